/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/cmdline.h"

#include <fcntl.h>

#include "base/id128.h"
#include "base/log.h"
#include "base/parse.h"

#define BOOT_TIMEOUT (5 * 60 * USEC_PER_SEC)
#define CRASH_DELAY (10 * USEC_PER_SEC)

void boot_options_init(struct boot_options *o) {
    *o = (struct boot_options){
        .log_level = -1,
        .console_level = LOG_NOTICE,
        .log_console = true,
        .log_kmsg = true,
        .boot_timeout = BOOT_TIMEOUT,
        .power_key = true,
        .shell = true,
        .crash_action = CRASH_REBOOT,
        .crash_delay = CRASH_DELAY,
        .watchdog_usec = USEC_INFINITY,
        .watchdog_reboot_usec = USEC_INFINITY,
        .watchdog_kexec_usec = USEC_INFINITY,
    };
}

/* ---- what a word does: a function a form ---- */

static int take_text(char *to, size_t size, const char *value) {
    if (isempty(value) || strlen(value) >= size)
        return -EINVAL;
    memcpy(to, value, strlen(value) + 1);
    return 0;
}

static int take_time(usec_t *to, const char *value) {
    return value ? timespan_parse(value, to) : -EINVAL;
}

static int take_target(struct boot_options *o, const char *value) {
    return take_text(o->target, sizeof o->target, value);
}

static int take_quiet(struct boot_options *o, const char *value) {
    if (value)
        return -ENOENT;
    o->console_level = LOG_WARNING;
    return 0;
}

static int take_debug(struct boot_options *o, const char *value) {
    if (value)
        return -ENOENT;
    o->log_level = o->console_level = LOG_DEBUG;
    return 0;
}

/* A comma list of a level and of places: "debug", "kmsg", "console,info", "null". */
static int take_log(struct boot_options *o, const char *value) {
    bool console = false, kmsg = false, null = false;
    int level = o->log_level;

    for (const char *p = value; p && *p;) {
        char name[16];
        size_t n = strcspn(p, ",");
        if (n >= sizeof name)
            return -EINVAL;
        memcpy(name, p, n);
        name[n] = '\0';
        if (streq(name, "console"))
            console = true;
        else if (streq(name, "kmsg"))
            kmsg = true;
        else if (streq(name, "null"))
            null = true;
        else if (log_level_parse(name, &level) < 0)
            return -EINVAL;
        p += n + (p[n] == ',');
    }
    if (isempty(value))
        return -EINVAL;
    o->log_level = level;
    if (console || kmsg || null) {
        o->log_console = console;
        o->log_kmsg = kmsg;
        if (console && level >= 0)
            o->console_level = level;
    }
    return 0;
}

/* The index of value in names, or -EINVAL. */
static int choice(const char *value, const char *const *names, size_t n) {
    for (size_t i = 0; value && i < n; i++)
        if (streq(value, names[i]))
            return (int)i;
    return -EINVAL;
}

static int take_crash(struct boot_options *o, const char *value) {
    static const char *const names[] = {
        [CRASH_REBOOT] = "reboot", [CRASH_POWEROFF] = "poweroff", [CRASH_FREEZE] = "freeze"};
    int r = choice(value, names, ARRAY_SIZE(names));

    if (r >= 0)
        o->crash_action = (enum crash_action)r;
    return r;
}

static int take_crash_delay(struct boot_options *o, const char *value) {
    return take_time(&o->crash_delay, value);
}

static int take_crash_core(struct boot_options *o, const char *value) {
    return value ? parse_boolean(value, &o->crash_core) : -EINVAL;
}

static int take_fsck_mode(struct boot_options *o, const char *value) {
    static const char *const names[] = {[FSCK_AUTO] = "auto", [FSCK_FORCE] = "force", [FSCK_SKIP] = "skip"};
    int r = choice(value, names, ARRAY_SIZE(names));

    if (r >= 0)
        o->fsck_mode = (enum fsck_mode)r;
    return r;
}

static int take_fsck_repair(struct boot_options *o, const char *value) {
    static const char *const names[] = {[FSCK_PREEN] = "preen", [FSCK_YES] = "yes", [FSCK_NO] = "no"};
    int r = choice(value, names, ARRAY_SIZE(names));

    if (r >= 0)
        o->fsck_repair = (enum fsck_repair)r;
    return r;
}

static int take_cgroup(struct boot_options *o, const char *value) {
    static const char *const names[] = {
        [CGROUP_UNIFIED] = "unified", [CGROUP_HYBRID] = "hybrid", [CGROUP_LEGACY] = "legacy"};
    int r = choice(value, names, ARRAY_SIZE(names));

    if (r >= 0)
        o->cgroup = (enum cgroup_layout)r;
    return r;
}

/* systemd's word for the same. */
static int take_unified(struct boot_options *o, const char *value) {
    bool unified = true;
    int r = value ? parse_boolean(value, &unified) : 0;

    if (r >= 0)
        o->cgroup = unified ? CGROUP_UNIFIED : CGROUP_HYBRID;
    return r;
}

static int take_hostname(struct boot_options *o, const char *value) {
    return take_text(o->hostname, sizeof o->hostname, value);
}

static int take_machine_id(struct boot_options *o, const char *value) {
    if (!value || !id128_is_valid(value))
        return -EINVAL;
    return take_text(o->machine_id, sizeof o->machine_id, value);
}

/* A device as fstab names it. */
static bool is_device_name(const char *value) {
    return value[0] == '/' || startswith(value, "UUID=") || startswith(value, "LABEL=") ||
           startswith(value, "PARTUUID=") || startswith(value, "PARTLABEL=");
}

static int take_var(struct boot_options *o, const char *value) {
    if (!value || (!streq(value, "tmpfs") && !is_device_name(value)))
        return -EINVAL;
    return take_text(o->var, sizeof o->var, value);
}

static int take_boot_timeout(struct boot_options *o, const char *value) {
    return take_time(&o->boot_timeout, value);
}

static int take_power_key(struct boot_options *o, const char *value) {
    return value ? parse_boolean(value, &o->power_key) : -EINVAL;
}

static int take_shell(struct boot_options *o, const char *value) {
    return value ? parse_boolean(value, &o->shell) : -EINVAL;
}

static int take_manager_lost(struct boot_options *o, const char *value) {
    return take_time(&o->manager_lost, value);
}

static int take_watchdog_device(struct boot_options *o, const char *value) {
    return value && value[0] == '/' ? take_text(o->watchdog_device, sizeof o->watchdog_device, value)
                                    : -EINVAL;
}

static int take_watchdog(struct boot_options *o, const char *value) {
    return take_time(&o->watchdog_usec, value);
}

static int take_watchdog_reboot(struct boot_options *o, const char *value) {
    return take_time(&o->watchdog_reboot_usec, value);
}

static int take_watchdog_kexec(struct boot_options *o, const char *value) {
    return take_time(&o->watchdog_kexec_usec, value);
}

static int set_target(struct boot_options *o, const char *value, const char *target) {
    return value ? -ENOENT : take_target(o, target);
}

static int take_rescue(struct boot_options *o, const char *value) {
    return set_target(o, value, "rescue.target");
}

static int take_emergency(struct boot_options *o, const char *value) {
    return set_target(o, value, "emergency.target");
}

/* value is what follows "=", NULL where there is none. */
static const struct boot_word {
    const char *name;
    int (*take)(struct boot_options *o, const char *value);
} boot_words[] = {
    {"davit.target", take_target},
    {"davit.log", take_log},
    {"davit.hostname", take_hostname},
    {"davit.machine_id", take_machine_id},
    {"davit.var", take_var},
    {"davit.cgroup", take_cgroup},
    {"davit.boot_timeout", take_boot_timeout},
    {"davit.power_key", take_power_key},
    {"davit.shell", take_shell},
    {"davit.manager_lost", take_manager_lost},
    {"davit.crash", take_crash},
    {"davit.crash_delay", take_crash_delay},
    {"davit.crash_core", take_crash_core},
    {"davit.watchdog", take_watchdog},
    {"davit.watchdog_device", take_watchdog_device},
    {"davit.watchdog_reboot", take_watchdog_reboot},
    {"davit.watchdog_kexec", take_watchdog_kexec},
    /* what boot loaders already say to other inits */
    {"systemd.unit", take_target},
    {"systemd.hostname", take_hostname},
    {"systemd.machine_id", take_machine_id},
    {"systemd.unified_cgroup_hierarchy", take_unified},
    {"fsck.mode", take_fsck_mode},
    {"fsck.repair", take_fsck_repair},
    {"rescue", take_rescue},
    {"single", take_rescue},
    {"1", take_rescue},
    {"s", take_rescue},
    {"S", take_rescue},
    {"emergency", take_emergency},
    {"-b", take_emergency},
    {"quiet", take_quiet},
    {"debug", take_debug},
};

int boot_options_take(struct boot_options *o, const char *word) {
    size_t n = strcspn(word, "=");
    const char *value = word[n] == '=' ? word + n + 1 : NULL;

    for (size_t i = 0; i < ARRAY_SIZE(boot_words); i++) {
        const struct boot_word *w = &boot_words[i];
        if (strlen(w->name) == n && memcmp(w->name, word, n) == 0) {
            int r = w->take(o, value);
            return r < 0 && r != -ENOENT ? -EINVAL : MIN(r, 0);
        }
    }
    return -ENOENT;
}

bool word_reader_put(struct word_reader *w, char c) {
    bool ends = c == '\0' || (!w->quoted && (c == ' ' || c == '\t' || c == '\n'));

    if (ends) {
        bool whole = w->length > 0 && !w->too_long;
        w->word[w->length] = '\0';
        w->length = 0;
        w->too_long = w->quoted = false;
        return whole;
    }
    if (c == '"')
        w->quoted = !w->quoted;
    else if (w->length + 1 < sizeof w->word)
        w->word[w->length++] = c;
    else
        w->too_long = true;
    return false;
}

int boot_options_read(struct boot_options *o, const char *path) {
    struct word_reader w = {};
    char piece[256];
    ssize_t n;

    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return negative_errno();
    do {
        n = read(fd, piece, sizeof piece);
        if (n < 0)
            return negative_errno();
        if (n == 0)
            piece[n++] = '\0';
        for (ssize_t i = 0; i < n; i++)
            if (word_reader_put(&w, piece[i]) && boot_options_take(o, w.word) == -EINVAL)
                log_warning("%s: %s makes no sense here: ignored", path, w.word);
    } while (piece[n - 1] != '\0');
    return 0;
}
