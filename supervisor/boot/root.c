/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/root.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/fs.h"
#include "base/log.h"
#include "boot/boot.h"
#include "boot/mounting.h"

#define ROOT "/sysroot"
#define COMMAND_LINE "/proc/cmdline"
#define COMMAND_LINE_MAX (1024 * 1024)
#define DEFAULT_INIT "/sbin/davit-init"
#define REBOOT_DELAY_SEC 10

/* Here they are needed to find the root; on it they are needed from the first instruction of its init. */
static const struct {
    const char *type, *target;
    unsigned long flags;
} early_mounts[] = {
    {"devtmpfs", "/dev", MS_NOSUID},
    {"proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC},
    {"sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC},
};

/* ---- the command line ---- */

void root_options_done(struct root_options *o) {
    free(o->root);
    free(o->type);
    free(o->flags);
    free(o->init);
    *o = (struct root_options){};
}

static int take_word(struct root_options *o, const char *word) {
    const struct {
        const char *name;
        char **value;
    } values[] = {
        {"root=", &o->root},
        {"rootfstype=", &o->type},
        {"rootflags=", &o->flags},
        {"init=", &o->init},
    };

    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        const char *value = startswith(word, values[i].name);
        if (!value)
            continue;
        free(*values[i].value);
        *values[i].value = strdup(value);
        return *values[i].value ? 0 : -ENOMEM;
    }
    if (streq(word, "ro") || streq(word, "rw"))
        o->writable = streq(word, "rw");
    return 0;
}

int root_options_parse(const char *command_line, struct root_options *o) {
    struct word_reader w = {};

    for (const char *c = command_line;; c++) {
        int r = word_reader_put(&w, *c) ? take_word(o, w.word) : 0;
        if (r < 0 || *c == '\0')
            return r;
    }
}

char *root_fstab_line(const struct root_options *o) {
    return strf("%s " ROOT " %s %s%s%s", o->root, isempty(o->type) ? "auto" : o->type,
        o->writable ? "rw" : "ro", isempty(o->flags) ? "" : ",", isempty(o->flags) ? "" : o->flags);
}

/* ---- the steps ---- */

static _Noreturn void give_up(const char *why) {
    log_write(LOG_EMERG, "%s; the machine is started again in %d s", why, REBOOT_DELAY_SEC);
    (void)sleep(REBOOT_DELAY_SEC);
    (void)reboot(RB_AUTOBOOT);
    for (;;)
        (void)pause();
}

static void mount_early(void) {
    for (size_t i = 0; i < ARRAY_SIZE(early_mounts); i++) {
        (void)mkdir(early_mounts[i].target, 0755);
        if (mount(early_mounts[i].type, early_mounts[i].target, early_mounts[i].type, early_mounts[i].flags,
                NULL) < 0)
            (void)log_errno(LOG_ERR, errno, "cannot mount %s", early_mounts[i].target);
    }
}

static void mount_root(const struct root_options *o) {
    _cleanup_(fstab_entry_done) struct fstab_entry f = {};
    struct error e = {};
    _cleanup_free_ char *line = NULL;

    if (isempty(o->root))
        give_up("the kernel's command line names no root=");
    line = root_fstab_line(o);
    (void)mkdir(ROOT, 0755);
    int r = line ? fstab_parse_line(line, &f, &e) : -ENOMEM;
    if (r > 0)
        r = fstab_mount(&f, now_monotonic(), &e);
    if (r < 0) {
        log_error("root=%s: %s", o->root, isempty(e.text) ? errno_text(r) : e.text);
        give_up("there is no root file system");
    }
}

/* Only there may files be removed. */
static bool is_initramfs(void) {
    struct statfs fs;

    return statfs("/", &fs) == 0 && (fs.f_type == RAMFS_MAGIC || fs.f_type == TMPFS_MAGIC);
}

/* The memory of the initramfs: nobody can reach its files any more once the root is entered. */
static void empty_initramfs(void) {
    static const char *const names[] = {"init", "usr", "etc"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        (void)remove_tree(AT_FDCWD, names[i]);
}

static void enter_root(void) {
    for (size_t i = 0; i < ARRAY_SIZE(early_mounts); i++) {
        _cleanup_free_ char *target = strf(ROOT "%s", early_mounts[i].target);
        if (!target || mount(early_mounts[i].target, target, NULL, MS_MOVE, NULL) < 0)
            (void)umount2(early_mounts[i].target, MNT_DETACH); /* init mounts what it needs */
    }
    empty_initramfs();
    if (chdir(ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0) {
        (void)log_errno(LOG_ERR, errno, "cannot change to the root file system");
        give_up("there is no way out of the initramfs");
    }
}

void root_run(char **argv) {
    _cleanup_(root_options_done) struct root_options options = {};
    struct boot_context boot = {};
    _cleanup_free_ char *text = NULL;

    if (!is_initramfs())
        give_up("davit-initramfs was started from a disk");
    mount_early();
    int r = file_read(AT_FDCWD, COMMAND_LINE, COMMAND_LINE_MAX, &text, NULL);
    if (r >= 0)
        r = root_options_parse(text, &options);
    if (r < 0)
        (void)log_errno(LOG_ERR, r, COMMAND_LINE);
    step_modules(&boot);
    strbuf_free(&boot.report);
    mount_root(&options);
    enter_root();

    const char *init = options.init ? options.init : DEFAULT_INIT;
    argv[0] = (char *)init;
    (void)execv(init, argv);
    (void)log_errno(LOG_ERR, errno, "cannot execute %s", init);
    give_up("the root file system has no init");
}
