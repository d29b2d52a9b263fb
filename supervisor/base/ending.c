/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/ending.h"

#include <fcntl.h>
#include <linux/reboot.h>
#include <sys/syscall.h>

#include "base/str.h"

static const char *const names[_ENDING_COUNT] = {
    [ENDING_NONE] = "none",
    [ENDING_EXIT] = "exit",
    [ENDING_HALT] = "halt",
    [ENDING_POWEROFF] = "poweroff",
    [ENDING_REBOOT] = "reboot",
    [ENDING_KEXEC] = "kexec",
    [ENDING_SOFT_REBOOT] = "soft-reboot",
};

/* systemd.unit(5), FailureAction=. */
#define WORDS(X) \
    X("none", ENDING_NONE, ENDING_ORDERLY) \
    X("exit", ENDING_EXIT, ENDING_ORDERLY) \
    X("exit-force", ENDING_EXIT, ENDING_FORCE) \
    X("halt", ENDING_HALT, ENDING_ORDERLY) \
    X("halt-force", ENDING_HALT, ENDING_FORCE) \
    X("halt-immediate", ENDING_HALT, ENDING_IMMEDIATE) \
    X("poweroff", ENDING_POWEROFF, ENDING_ORDERLY) \
    X("poweroff-force", ENDING_POWEROFF, ENDING_FORCE) \
    X("poweroff-immediate", ENDING_POWEROFF, ENDING_IMMEDIATE) \
    X("reboot", ENDING_REBOOT, ENDING_ORDERLY) \
    X("reboot-force", ENDING_REBOOT, ENDING_FORCE) \
    X("reboot-immediate", ENDING_REBOOT, ENDING_IMMEDIATE) \
    X("kexec", ENDING_KEXEC, ENDING_ORDERLY) \
    X("kexec-force", ENDING_KEXEC, ENDING_FORCE) \
    X("soft-reboot", ENDING_SOFT_REBOOT, ENDING_ORDERLY) \
    X("soft-reboot-force", ENDING_SOFT_REBOOT, ENDING_FORCE)

#define AS_TEXT(text, kind, urgency) text,
#define AS_ENDING(text, kind, urgency) {kind, urgency},
const char *const ending_words[] = {WORDS(AS_TEXT) NULL};
static const struct ending endings[] = {WORDS(AS_ENDING)};
_Static_assert(ARRAY_SIZE(ending_words) == ARRAY_SIZE(endings) + 1, "a meaning for each word");

const char *ending_name(enum ending_kind k) {
    return names[k];
}

struct ending ending_of_word(size_t index) {
    return index < ARRAY_SIZE(endings) ? endings[index] : (struct ending){};
}

const char *ending_format(struct ending e) {
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
        if (endings[i].kind == e.kind && endings[i].urgency == e.urgency)
            return ending_words[i];
    return names[e.kind];
}

int ending_parse(const char *s, struct ending *ret) {
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
        if (streq(s, ending_words[i])) {
            *ret = endings[i];
            return 0;
        }
    return -EINVAL;
}

static bool kexec_is_loaded(void) {
    char c = '0';
    _cleanup_close_ int fd = open("/sys/kernel/kexec_loaded", O_RDONLY | O_CLOEXEC);

    return fd >= 0 && read(fd, &c, 1) == 1 && c == '1';
}

int ending_reboot(enum ending_kind k, const char *argument) {
    static const unsigned commands[_ENDING_COUNT] = {
        [ENDING_HALT] = LINUX_REBOOT_CMD_HALT,
        [ENDING_POWEROFF] = LINUX_REBOOT_CMD_POWER_OFF,
        [ENDING_REBOOT] = LINUX_REBOOT_CMD_RESTART,
        [ENDING_KEXEC] = LINUX_REBOOT_CMD_KEXEC,
    };

    if (commands[k] == 0)
        return -EINVAL;
    if (k == ENDING_KEXEC && !kexec_is_loaded())
        return -ENOENT;
    /* The C library's reboot() has no room for the argument. */
    if (k == ENDING_REBOOT && !isempty(argument))
        (void)syscall(
            SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART2, argument);
    (void)syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, commands[k], NULL);
    return negative_errno();
}
