/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/network_mounts.h"

#include <fcntl.h>
#include <poll.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/paths.h"
#include "boot/mounting.h"
#include "init/notify.h"

#define RETRY_FIRST (500 * USEC_PER_MSEC)
#define RETRY_MAX (5 * USEC_PER_SEC) /* while units wait */
#define RETRY_LATER_MAX (2 * USEC_PER_MINUTE)
#define UNMOUNT_TIMEOUT (30 * USEC_PER_SEC)

void network_mounts_ask(void) {
    _cleanup_(paths_done) struct paths paths = {};
    _cleanup_free_ char *directory = NULL, *link = NULL;

    int r = paths_load(&paths);
    if (r >= 0) {
        directory = path_join(paths.runtime, NETWORK_MOUNTS_LINKS);
        link = directory ? path_join(directory, NETWORK_MOUNTS_TARGET) : NULL;
        r = link ? mkdir_parents(AT_FDCWD, directory, 0755) : -ENOMEM;
    }
    if (r >= 0 && symlink(DAVIT_LIBEXEC_DIR "/units/" NETWORK_MOUNTS_TARGET, link) < 0 && errno != EEXIST)
        r = negative_errno();
    if (r < 0)
        (void)log_errno(LOG_ERR, r, FSTAB_FILE ": what needs the network will not be mounted");
}

/* davit-boot has told of it. */
static void on_bad_line(_unused_ void *userdata, _unused_ unsigned line, _unused_ const char *why) {}

static int load(struct fstab_list *ret) {
    int r = fstab_load(on_bad_line, NULL, ret);

    return r < 0 && r != -ENOENT ? log_errno(LOG_ERR, r, FSTAB_FILE) : 0;
}

static const char *name_of(const struct fstab_entry *f) {
    return f->target ? f->target : f->source;
}

/* ---- several at once ---- */

/* Beyond that they wait for each other. What hangs for good does not count. */
#define AT_ONCE 16

enum progress {
    NOT_OURS,
    WAITING, /* for try_at, for a file system above it, or for one of AT_ONCE to end */
    RUNNING, /* a child is at it */
    STUCK, /* its time is over, it was killed, and has not ended yet: there is no second one while it hangs */
    FINISHED,
};

struct line {
    enum progress progress;
    usec_t try_at, pause;
    struct fstab_child child;
    struct error error; /* of the last try; number 0 = none has failed */
};

struct mounts {
    struct fstab_list fstab;
    struct line *lines; /* beside fstab.entries */
    struct pollfd *fds; /* likewise */
    bool unmount;       /* else mount */
    usec_t begin;
    int (*begin_one)(const struct fstab_entry *f, struct fstab_child *ret, struct error *e);
    void (*failed)(struct mounts *m, size_t i);
    bool changed; /* a line has ended since this was false */
};

static void mounts_done(struct mounts *m) {
    for (size_t i = 0; m->lines && i < m->fstab.n; i++)
        fstab_child_leave(&m->lines[i].child);
    fstab_list_done(&m->fstab);
    free(m->lines);
    free(m->fds);
}

static int prepare(struct mounts *m) {
    if (load(&m->fstab) < 0)
        return -EIO;
    m->lines = calloc(m->fstab.n + 1, sizeof *m->lines);
    m->fds = calloc(m->fstab.n + 1, sizeof *m->fds);
    if (!m->lines || !m->fds)
        return -ENOMEM;
    for (size_t i = 0; i < m->fstab.n; i++) {
        const struct fstab_entry *f = &m->fstab.entries[i];
        m->lines[i].child = FSTAB_CHILD_NONE;
        /* Somebody may have mounted by hand what is not mounted by itself. */
        if (f->network && (m->unmount || !f->no_auto))
            m->lines[i].progress = WAITING;
    }
    return 0;
}

static bool is_missing(const struct line *l) {
    return l->progress == WAITING || l->progress == RUNNING || l->progress == STUCK;
}

static size_t count_missing(const struct mounts *m) {
    size_t n = 0;

    for (size_t i = 0; i < m->fstab.n; i++)
        n += is_missing(&m->lines[i]);
    return n;
}

static size_t count(const struct mounts *m, enum progress progress) {
    size_t n = 0;

    for (size_t i = 0; i < m->fstab.n; i++)
        n += m->lines[i].progress == progress;
    return n;
}

/* A mount waits for what lies above it, an unmount for what lies below; not for what does not go. */
static bool waits_for(const struct mounts *m, size_t i, size_t k) {
    const struct fstab_entry *f = m->fstab.entries;
    const struct line *l = &m->lines[k];

    if (m->unmount)
        return k > i && is_missing(l) && l->progress != STUCK && fstab_must_follow(&f[k], &f[i]);
    return k < i && is_missing(l) && fstab_must_follow(&f[i], &f[k]);
}

static bool is_blocked(const struct mounts *m, size_t i) {
    for (size_t k = 0; k < m->fstab.n; k++)
        if (waits_for(m, i, k))
            return true;
    return false;
}

static void begin_what_is_due(struct mounts *m) {
    size_t running = count(m, RUNNING);
    usec_t now = now_monotonic();

    for (size_t i = 0; i < m->fstab.n && running < AT_ONCE; i++) {
        struct line *l = &m->lines[i];
        if (l->progress != WAITING || l->try_at > now || is_blocked(m, i))
            continue;
        if (m->begin_one(&m->fstab.entries[i], &l->child, &l->error) < 0) {
            m->changed = true;
            m->failed(m, i);
        } else {
            l->progress = RUNNING;
            running++;
        }
    }
}

/* A child has ended, or its time is over. */
static void take_in(struct mounts *m, size_t i) {
    struct line *l = &m->lines[i];
    struct error e = {};
    bool was_stuck = l->progress == STUCK;

    int r = fstab_child_end(&l->child, &e);
    m->changed = true;
    if (r >= 0) {
        l->progress = FINISHED;
        return;
    }
    if (was_stuck) { /* why has been told, and the pause has begun then */
        l->progress = m->unmount ? NOT_OURS : WAITING;
        return;
    }
    l->error = e;
    l->progress = l->child.pidfd >= 0 ? STUCK : WAITING;
    m->failed(m, i);
}

static void take_in_all(struct mounts *m) {
    usec_t now = now_monotonic();

    for (size_t i = 0; i < m->fstab.n; i++)
        if (m->fds[i].fd >= 0 &&
            (m->fds[i].revents != 0 || (m->lines[i].progress == RUNNING && m->lines[i].child.end <= now)))
            take_in(m, i);
}

/* Until a child ends, or something is due; not beyond end. */
static void wait_for_news(struct mounts *m, usec_t end) {
    bool room = count(m, RUNNING) < AT_ONCE;
    usec_t now = now_monotonic();

    for (size_t i = 0; i < m->fstab.n; i++) {
        const struct line *l = &m->lines[i];
        bool under_way = l->progress == RUNNING || l->progress == STUCK;
        m->fds[i] = (struct pollfd){.fd = under_way ? l->child.pidfd : -1, .events = POLLIN};
        if (l->progress == RUNNING)
            end = MIN(end, l->child.end);
        else if (l->progress == WAITING && room && !is_blocked(m, i))
            end = MIN(end, l->try_at);
    }
    int timeout = end == USEC_INFINITY ? -1
                  : end > now          ? (int)MIN((end - now) / USEC_PER_MSEC + 1, (usec_t)INT32_MAX)
                                       : 0;
    (void)poll(m->fds, m->fstab.n, timeout);
    take_in_all(m);
}

/* ---- mounting ---- */

/* Of a server that is gone even a look at the mount point can wait: that is the child's affair. */
static int begin_mount(const struct fstab_entry *f, struct fstab_child *ret, struct error *e) {
    struct fstab_entry once = *f;

    once.device_timeout = 0; /* waiting is done here */
    return fstab_mount_begin(&once, now_monotonic(), ret, e);
}

/* Units do not wait for it any longer than that. */
static usec_t patience_end(const struct mounts *m, size_t i) {
    const struct fstab_entry *f = &m->fstab.entries[i];

    return f->no_fail ? 0 : usec_add(m->begin, f->device_timeout);
}

static void try_again(struct mounts *m, size_t i) {
    struct line *l = &m->lines[i];
    usec_t now = now_monotonic();

    l->pause = CLAMP(2 * l->pause, RETRY_FIRST, now < patience_end(m, i) ? RETRY_MAX : RETRY_LATER_MAX);
    l->try_at = usec_add(now, l->pause);
}

/* The first time at which nobody has to wait any more: 0 = all but those with "nofail" are there. */
static usec_t ready_at(const struct mounts *m) {
    usec_t t = 0;

    for (size_t i = 0; i < m->fstab.n; i++)
        if (is_missing(&m->lines[i]))
            t = MAX(t, patience_end(m, i));
    return t;
}

struct teller {
    struct notify_target up;
    bool told, ready, warned; /* anything; READY=1; what has failed and is missing after all patience */
};

/* Once in words of its own, and always in `davit status`. */
static void tell(struct teller *t, const struct mounts *m, size_t missing, bool ready) {
    size_t i = 0;
    char text[sizeof m->lines->error.text + 128];

    while (i < m->fstab.n && !(is_missing(&m->lines[i]) && m->lines[i].error.number != 0))
        i++;
    if (missing == 0)
        (void)snprintf(text, sizeof text, "all are mounted");
    else if (i == m->fstab.n)
        (void)snprintf(text, sizeof text, "%zu missing", missing);
    else
        (void)snprintf(text, sizeof text, "%zu missing: %s: %s", missing, name_of(&m->fstab.entries[i]),
            m->lines[i].error.text);
    if (ready && missing > 0 && i < m->fstab.n && !t->warned) {
        log_warning(FSTAB_FILE ": %s; trying on", text);
        t->warned = true;
    }
    _cleanup_free_ char *message = strf("STATUS=%s%s", text, ready ? "\nREADY=1" : "");
    if (message)
        (void)notify_target_send(&t->up, message);
    t->told = true;
    t->ready = ready;
}

/* What is new: all are there, a try has failed, a state that was told has changed, or nobody has to wait any more. */
static bool is_news(const struct teller *t, const struct mounts *m, size_t missing, bool ready) {
    return missing == 0 || (ready && !t->ready) || (m->changed && (t->told || count(m, RUNNING) == 0));
}

int network_mounts_start(void) {
    _cleanup_(mounts_done) struct mounts m = {
        .begin = now_monotonic(), .begin_one = begin_mount, .failed = try_again};
    struct teller t = {};

    (void)notify_target_open(&t.up, getenv("NOTIFY_SOCKET"));
    if (prepare(&m) < 0)
        return EXIT_FAILURE;
    for (;;) {
        begin_what_is_due(&m);
        size_t missing = count_missing(&m);
        usec_t patience = ready_at(&m);
        bool ready = patience <= now_monotonic();
        if (is_news(&t, &m, missing, ready))
            tell(&t, &m, missing, ready);
        if (missing == 0)
            return EXIT_SUCCESS;
        m.changed = false;
        wait_for_news(&m, ready ? USEC_INFINITY : patience);
    }
}

/* ---- unmounting ---- */

static int begin_unmount(const struct fstab_entry *f, struct fstab_child *ret, struct error *e) {
    return fstab_unmount_begin(f, UNMOUNT_TIMEOUT, ret, e);
}

/* It stays: there is no second try. */
static void give_up(struct mounts *m, size_t i) {
    log_warning("%s: %s", name_of(&m->fstab.entries[i]), m->lines[i].error.text);
    if (m->lines[i].progress == WAITING)
        m->lines[i].progress = NOT_OURS;
}

int network_mounts_stop(void) {
    _cleanup_(mounts_done) struct mounts m = {.unmount = true, .begin_one = begin_unmount, .failed = give_up};

    if (prepare(&m) < 0)
        return EXIT_FAILURE;
    size_t all = count(&m, WAITING);
    while (count(&m, WAITING) + count(&m, RUNNING) > 0) {
        begin_what_is_due(&m);
        wait_for_news(&m, USEC_INFINITY);
    }
    return count(&m, FINISHED) == all ? EXIT_SUCCESS : EXIT_FAILURE;
}
