/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/handover.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/hashmap.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/str.h"

#define FIRST_LINE "davit-init state\n"
#define VERSION "1"
#define SUM_LENGTH strlen("sum=0123456789abcdef\n")
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

enum field_type { FIELD_INT, FIELD_UNSIGNED, FIELD_U64, FIELD_BOOL, FIELD_ARRAY, FIELD_FD };

#define FIELD(key, type, member) \
    { key, type, offsetof(struct keeper, member), sizeof(((struct keeper *)0)->member) }

/* Without pointers, so that the pages of this table are the file's: a pointer would have to be relocated. */
static const struct field {
    char key[28];
    enum field_type type;
    size_t offset, size;
} fields[] = {
    FIELD("phase", FIELD_UNSIGNED, phase),
    FIELD("manager-ready", FIELD_BOOL, manager_ready),
    FIELD("feed-sequence", FIELD_U64, feed.sequence),
    FIELD("watchdog-period", FIELD_U64, watchdog.period),
    FIELD("watchdog-deadline", FIELD_U64, watchdog.deadline),
    FIELD("watchdog-aborted", FIELD_BOOL, watchdog.aborted),
    FIELD("up-watchdog", FIELD_U64, up_watchdog_usec),
    FIELD("up-ping-at", FIELD_U64, up_ping_at),
    FIELD("upward", FIELD_BOOL, upward.on),
    FIELD("upward-logd-state", FIELD_BOOL, upward.logd_state),
    FIELD("stop-deaths", FIELD_UNSIGNED, stop_deaths),
    FIELD("close-deadline", FIELD_U64, close_deadline),
    FIELD("exit-status", FIELD_INT, exit_status),
    FIELD("ending-argument", FIELD_ARRAY, ending_argument),
    FIELD("parts-killed", FIELD_BOOL, parts_killed),
    FIELD("forced", FIELD_BOOL, forced),
    FIELD("files-soft", FIELD_U64, context.files.rlim_cur),
    FIELD("files-hard", FIELD_U64, context.files.rlim_max),
    FIELD("oom-score-adj", FIELD_ARRAY, context.oom_score_adj),
    FIELD("fd.runtime", FIELD_FD, runtime_fd),
    FIELD("fd.notify", FIELD_FD, notify_fd),
    FIELD("fd.feed-read", FIELD_FD, feed.read_fd),
    FIELD("fd.feed-write", FIELD_FD, feed.write_fd),
    FIELD("fd.logd-state", FIELD_FD, context.state_fd),
    FIELD("fd.hardware-watchdog", FIELD_FD, boot.watchdog.fd),
    FIELD("hardware-watchdog-device", FIELD_ARRAY, boot.watchdog.device),
    FIELD("hardware-watchdog-run", FIELD_U64, boot.watchdog.run_usec),
    FIELD("hardware-watchdog-reboot", FIELD_U64, boot.watchdog.reboot_usec),
    FIELD("hardware-watchdog-kexec", FIELD_U64, boot.watchdog.kexec_usec),
    FIELD("hardware-watchdog-set", FIELD_U64, boot.watchdog.set_usec),
    FIELD("hardware-watchdog-ping-at", FIELD_U64, boot.watchdog.ping_at),
    FIELD("hardware-watchdog-missed", FIELD_BOOL, boot.watchdog_missed),
    /* Of a container's PID 1 these are arguments, which the next program does not get. */
    FIELD("boot-target", FIELD_ARRAY, boot.options.target),
    FIELD("boot-log-level", FIELD_INT, boot.options.log_level),
    FIELD("boot-emergency", FIELD_BOOL, boot.emergency),
    FIELD("boot-worker", FIELD_INT, boot.worker),
    FIELD("boot-shell", FIELD_INT, boot.shell),
    FIELD("manager-lost-at", FIELD_U64, manager_lost_at),
    FIELD("boot-worker-deadline", FIELD_U64, boot.worker_deadline),
    FIELD("time-userspace", FIELD_U64, boot.times.userspace),
    FIELD("time-mounts", FIELD_U64, boot.times.mounts),
    FIELD("time-boot", FIELD_U64, boot.times.boot),
    FIELD("time-manager", FIELD_U64, boot.times.manager),
    FIELD("time-ready", FIELD_U64, boot.times.ready),
    FIELD("time-finish", FIELD_U64, boot.times.finish),
    FIELD("time-init-work", FIELD_U64, boot.times.init_work),
};

/* ---- descriptors: those of the table, two for each part, and the store ---- */

typedef void (*each_fd_t)(int fd, const char *key, const char *name, void *userdata);

static void each_fd(struct keeper *k, each_fd_t call, void *userdata) {
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (fields[i].type == FIELD_FD)
            call(*(int *)((char *)k + fields[i].offset), fields[i].key, "", userdata);
    for (int i = 0; i < PART_COUNT; i++) {
        call(k->parts[i].manager_end, "fd.manager-end", k->parts[i].label, userdata);
        call(k->parts[i].part_end, "fd.part-end", k->parts[i].label, userdata);
    }
    for (size_t i = 0; i < k->store.count; i++)
        call(k->store.entries[i].fd, "fd.store", k->store.entries[i].name, userdata);
}

static void inherit_one(int fd, const char *key _unused_, const char *name _unused_, void *userdata) {
    if (fd >= 0)
        (void)fd_set_cloexec(fd, !*(bool *)userdata);
}

void handover_inherit(struct keeper *k, bool on) {
    each_fd(k, inherit_one, &on);
}

/* ---- writing ---- */

struct writer {
    int fd, error;
    size_t used;
    char buffer[8192];
};

static void flush(struct writer *w) {
    if (w->error == 0)
        w->error = write_all(w->fd, w->buffer, w->used);
    w->used = 0;
}

static void put(struct writer *w, const char *fmt, ...) _printf_(2, 3);
static void put(struct writer *w, const char *fmt, ...) {
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    /* One value, one line: what cannot be told is left out, which is a davit-init that does not know it. */
    if (n < 0 || (size_t)n >= sizeof line || strchr(line, '\n') != line + n - 1)
        return;
    if (w->used + (size_t)n > sizeof w->buffer)
        flush(w);
    memcpy(w->buffer + w->used, line, (size_t)n);
    w->used += (size_t)n;
}

static void put_fd(int fd, const char *key, const char *name, void *userdata) {
    if (fd >= 0)
        put(userdata, "%s=%d%s%s\n", key, fd, *name ? " " : "", name);
}

static void put_field(struct writer *w, const struct keeper *k, const struct field *f) {
    const void *v = (const char *)k + f->offset;

    switch (f->type) {
    case FIELD_INT:
        put(w, "%s=%d\n", f->key, *(const int *)v);
        break;
    case FIELD_UNSIGNED:
        put(w, "%s=%u\n", f->key, *(const unsigned *)v);
        break;
    case FIELD_U64:
        put(w, "%s=%" PRIu64 "\n", f->key, *(const uint64_t *)v);
        break;
    case FIELD_BOOL:
        put(w, "%s=%s\n", f->key, *(const bool *)v ? "yes" : "no");
        break;
    case FIELD_ARRAY:
        put(w, "%s=%s\n", f->key, (const char *)v);
        break;
    case FIELD_FD:
        break; /* by each_fd() */
    }
}

/* What upward_tell() has not said yet; as a rule there is nothing. */
static void put_untold(struct writer *w, const struct store *s) {
    for (size_t i = 0; i < s->count; i++) {
        const struct store_entry *e = &s->entries[i];
        if (e->removed)
            put(w, "store-removed=%s\n", e->name);
        else if (!e->above)
            put(w, "store-untold=%s\n", e->name);
    }
}

static void put_all(struct writer *w, struct keeper *k) {
    put(w, FIRST_LINE);
    put(w, "version=" VERSION "\n");
    put(w, "program=" DAVIT_VERSION "\n");
    put(w, "pid=%d\n", getpid());
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        put_field(w, k, &fields[i]);
    for (int i = 0; i < PART_COUNT; i++) {
        const struct part *p = &k->parts[i];
        put(w, "part.%s=%d %" PRIu64 " %" PRIu64 " %u %d\n", p->label, p->pid, p->started, p->start_at,
            p->quick_deaths, p->replaced);
    }
    put(w, "ending=%s\n", ending_format(k->ending));
    for (size_t i = 0; i < SIGNAL_FORCE_COUNT; i++) /* oldest first */
        put(w, "stop-request=%" PRIu64 "\n", k->stop_requests[(k->stop_position + i) % SIGNAL_FORCE_COUNT]);
    if (k->up.fd >= 0) {
        const char *path = k->up.address.sun_path;
        put(w, "up=%s%s\n", *path ? "" : "@", *path ? path : path + 1);
    }
    each_fd(k, put_fd, w);
    if (k->upward.on)
        put_untold(w, &k->store);
    flush(w);
}

/* The whole of a file, changeable and private, with a NUL at its end; *ret_size counts that too. NULL and
 * errno. */
static char *map_text(int fd, size_t *ret_size) {
    struct stat st;

    if (fstat(fd, &st) < 0)
        return NULL;
    size_t size = (size_t)st.st_size + 1;
    char *text = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (text == MAP_FAILED)
        return NULL;
    if (pread(fd, text, size - 1, 0) != (ssize_t)st.st_size) {
        (void)munmap(text, size);
        errno = EIO; /* a memfd has its pages */
        return NULL;
    }
    *ret_size = size;
    return text;
}

static int close_by_sum(struct writer *w) {
    size_t size;

    char *text = map_text(w->fd, &size);
    if (!text)
        return negative_errno();
    put(w, "sum=%016" PRIx64 "\n", siphash_stable(text, size - 1));
    (void)munmap(text, size);
    flush(w);
    return w->error;
}

int handover_write(struct keeper *k) {
    static struct writer w; /* not on the stack of a process that counts its pages */

    _cleanup_close_ int fd = memfd_create("davit-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return negative_errno();
    w = (struct writer){.fd = fd};
    put_all(&w, k);
    int r = w.error == 0 ? close_by_sum(&w) : w.error;
    if (r >= 0 && fcntl(fd, F_ADD_SEALS, SEALS) < 0)
        r = negative_errno();
    return r < 0 ? r : TAKE_FD(fd);
}

/* ---- reading ----
 *
 * What fails for want of memory or descriptors is tried until it succeeds: without its state davit-init could
 * not go on, and it cannot go back. */

static void wait_a_little(void) {
    (void)usleep(50 * 1000);
}

struct reader {
    struct keeper *keeper;
    bool adopt; /* descriptors are ours, too */
    size_t stop_requests;
};

static int *fd_slot(struct keeper *k, const char *key, const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (fields[i].type == FIELD_FD && streq(fields[i].key, key))
            return (int *)((char *)k + fields[i].offset);
    for (int i = 0; i < PART_COUNT; i++) {
        if (!streq(k->parts[i].label, name))
            continue;
        if (streq(key, "fd.manager-end"))
            return &k->parts[i].manager_end;
        if (streq(key, "fd.part-end"))
            return &k->parts[i].part_end;
    }
    return NULL;
}

/* "7", "7 NAME" */
static int read_fd(struct reader *r, const char *key, char *value) {
    char *name = strchr(value, ' ');
    uint64_t number;

    if (name)
        *name++ = '\0';
    if (parse_uint(value, 3, INT32_MAX, &number) < 0)
        return -EBADMSG;
    int fd = (int)number;
    if (!r->adopt)
        return 0;
    if (fd_set_cloexec(fd, true) < 0)
        return -EBADMSG; /* not open: that is not our state */
    if (streq(key, "fd.store")) {
        struct store *s = &r->keeper->store;
        int x = store_add(s, fd, name ?: "");
        if (x < 0)
            (void)log_errno(LOG_ERR, x, "descriptor \"%s\" cannot be kept any longer", name ?: "");
        else
            s->entries[s->count - 1].above = r->keeper->upward.on;
        return 0;
    }
    int *slot = fd_slot(r->keeper, key, name ?: "");
    if (slot)
        *slot = fd;
    else
        (void)close(fd); /* of a version that has more parts, or knows more than this one */
    return 0;
}

/* What put_untold() has written. */
static void read_removed(struct store *s, const char *name) {
    if (store_add(s, -1, name) >= 0)
        s->entries[s->count - 1].above = s->entries[s->count - 1].removed = true;
}

static void read_untold(struct store *s, const char *name) {
    for (size_t i = 0; i < s->count; i++)
        if (!s->entries[i].removed && streq(s->entries[i].name, name))
            s->entries[i].above = false;
}

/* PID STARTED START_AT QUICK_DEATHS REPLACED; more may follow one day */
static int read_part(struct keeper *k, const char *label, char *value) {
    enum { PID, STARTED, START_AT, QUICK_DEATHS, REPLACED, COUNT };
    uint64_t numbers[COUNT];

    for (size_t i = 0; i < COUNT; i++) {
        char *word = strsep(&value, " ");
        if (!word || parse_uint(word, 0, UINT64_MAX, &numbers[i]) < 0)
            return -EBADMSG;
    }
    if (numbers[PID] > INT32_MAX || numbers[QUICK_DEATHS] > UINT32_MAX)
        return -EBADMSG;
    for (int i = 0; i < PART_COUNT; i++) {
        struct part *p = &k->parts[i];
        if (!streq(p->label, label))
            continue;
        p->pid = (pid_t)numbers[PID];
        p->started = numbers[STARTED];
        p->start_at = numbers[START_AT];
        p->quick_deaths = (unsigned)numbers[QUICK_DEATHS];
        p->replaced = numbers[REPLACED] != 0;
    }
    return 0;
}

static int read_field(struct keeper *k, const struct field *f, const char *value) {
    void *v = (char *)k + f->offset;
    uint64_t number = 0;
    int64_t integer = 0;
    int r = 0;

    switch (f->type) {
    case FIELD_INT:
        r = parse_int(value, INT32_MIN, INT32_MAX, &integer);
        *(int *)v = (int)integer;
        break;
    case FIELD_UNSIGNED:
        r = parse_uint(value, 0, UINT32_MAX, &number);
        *(unsigned *)v = (unsigned)number;
        break;
    case FIELD_U64:
        r = parse_uint(value, 0, UINT64_MAX, &number);
        *(uint64_t *)v = number;
        break;
    case FIELD_BOOL:
        r = parse_boolean(value, v);
        break;
    case FIELD_ARRAY:
        if (strlen(value) >= f->size)
            return -EBADMSG;
        memcpy(v, value, strlen(value) + 1);
        break;
    case FIELD_FD:
        break;
    }
    return r < 0 ? -EBADMSG : 0;
}

/* Whoever expects our reports would take their absence for a hang. */
static int open_up(struct keeper *k, const char *value) {
    int r;

    while ((r = notify_target_open(&k->up, value)) < 0) {
        if (r == -EINVAL || r == -ENAMETOOLONG)
            return -EBADMSG;
        wait_a_little();
    }
    return 0;
}

static int read_line(struct reader *r, char *line) {
    struct keeper *k = r->keeper;
    char *value = strchr(line, '=');
    uint64_t number;

    if (!value)
        return -EBADMSG;
    *value++ = '\0';
    if (streq(line, "version"))
        return streq(value, VERSION) ? 0 : -EPROTONOSUPPORT;
    if (streq(line, "pid")) /* of the checking program the parent is meant */
        return parse_uint(value, 1, INT32_MAX, &number) >= 0 &&
                       (pid_t)number == (r->adopt ? getpid() : getppid())
                   ? 0
                   : -EBADMSG;
    if (startswith(line, "fd."))
        return read_fd(r, line, value);
    const char *label = startswith(line, "part.");
    if (label)
        return read_part(k, label, value);
    if (streq(line, "up"))
        return open_up(k, value);
    if (streq(line, "ending"))
        return streq(value, "none") || ending_parse(value, &k->ending) >= 0 ? 0 : -EBADMSG;
    if (streq(line, "store-removed"))
        read_removed(&k->store, value);
    else if (streq(line, "store-untold"))
        read_untold(&k->store, value);
    if (streq(line, "stop-request")) {
        if (parse_uint(value, 0, UINT64_MAX, &number) < 0)
            return -EBADMSG;
        k->stop_requests[r->stop_requests++ % SIGNAL_FORCE_COUNT] = number;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (streq(line, fields[i].key))
            return read_field(k, &fields[i], value);
    return 0;
}

/* size is that of the text without its NUL. Cuts the sum off. */
static int check_sum(char *text, size_t size) {
    char expected[32];

    if (size < SUM_LENGTH || !startswith(text, FIRST_LINE))
        return -EBADMSG;
    size -= SUM_LENGTH;
    (void)snprintf(expected, sizeof expected, "sum=%016" PRIx64 "\n", siphash_stable(text, size));
    if (!streq(text + size, expected))
        return -EBADMSG;
    text[size] = '\0';
    return 0;
}

static int read_text(struct reader *r, char *text, size_t size) {
    int result = check_sum(text, size);

    for (char *line = text + strlen(FIRST_LINE), *end; result >= 0 && *line; line = end + 1) {
        end = strchr(line, '\n');
        if (!end)
            return -EBADMSG;
        *end = '\0';
        result = read_line(r, line);
    }
    return result;
}

static int read_from(int fd, struct reader *r) {
    size_t size;

    /* Sealed, so nobody else can have written it after us. */
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS)
        return -EBADMSG;
    char *text;
    while (!(text = map_text(fd, &size)))
        wait_a_little();
    int result = read_text(r, text, size - 1);
    (void)munmap(text, size);
    return result;
}

int handover_read(int fd, struct keeper *k) {
    int r = read_from(fd, &(struct reader){.keeper = k, .adopt = true});
    if (r < 0)
        return r;
    /* Without these there is nothing to go on from. */
    return k->runtime_fd < 0 || k->notify_fd < 0 || k->feed.read_fd < 0 || k->feed.write_fd < 0 ? -EBADMSG
                                                                                                : 0;
}

int handover_check(int fd, struct keeper *scratch) {
    return read_from(fd, &(struct reader){.keeper = scratch});
}
