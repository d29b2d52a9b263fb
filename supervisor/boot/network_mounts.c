/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/network_mounts.h"

#include <fcntl.h>

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

/* ---- mounting ---- */

enum progress { NOT_OURS, WAITING, MOUNTED };

struct mounts {
    struct fstab_list fstab;
    enum progress *progress;
    usec_t begin;
    bool told; /* what is missing after all patience */
    size_t missing, required_missing;
    struct error error; /* of the last one that is missing */
    const char *missing_name;
};

static bool parent_is_missing(const struct mounts *m, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (m->progress[k] == WAITING && fstab_must_follow(&m->fstab.entries[i], &m->fstab.entries[k]))
            return true;
    return false;
}

/* Of a server that is gone even a look at the mount point can wait: that is the child's affair. */
static bool try_one(struct mounts *m, const struct fstab_entry *f) {
    struct fstab_entry once = *f;

    once.device_timeout = 0; /* waiting is done here, for all together */
    if (fstab_mount(&once, now_monotonic(), &m->error) < 0) {
        m->missing_name = name_of(f);
        return false;
    }
    log_info("%s: mounted", name_of(f));
    return true;
}

/* One round over what is missing. */
static void try_all(struct mounts *m) {
    m->missing = m->required_missing = 0;
    for (size_t i = 0; i < m->fstab.n; i++) {
        const struct fstab_entry *f = &m->fstab.entries[i];
        if (m->progress[i] == WAITING && !parent_is_missing(m, i) && try_one(m, f))
            m->progress[i] = MOUNTED;
        if (m->progress[i] == WAITING) {
            m->missing++;
            m->required_missing += !f->no_fail && now_monotonic() < usec_add(m->begin, f->device_timeout);
        }
    }
}

/* Once in words of its own, and always in `davit status`. */
static void tell(struct mounts *m, struct notify_target *up, bool ready) {
    char text[sizeof m->error.text + 128];

    if (m->missing == 0)
        (void)snprintf(text, sizeof text, "all are mounted");
    else
        (void)snprintf(text, sizeof text, "%zu missing: %s: %s", m->missing, m->missing_name, m->error.text);
    if (ready && m->missing > 0 && !m->told) {
        log_warning(FSTAB_FILE ": %s; trying on", text);
        m->told = true;
    }
    _cleanup_free_ char *message = strf("STATUS=%s%s", text, ready ? "\nREADY=1" : "");
    if (message)
        (void)notify_target_send(up, message);
}

static int prepare(struct mounts *m) {
    if (load(&m->fstab) < 0)
        return -EIO;
    m->progress = calloc(m->fstab.n + 1, sizeof *m->progress);
    if (!m->progress)
        return -ENOMEM;
    for (size_t i = 0; i < m->fstab.n; i++)
        if (m->fstab.entries[i].network && !m->fstab.entries[i].no_auto)
            m->progress[i] = WAITING;
    return 0;
}

static void mounts_done(struct mounts *m) {
    fstab_list_done(&m->fstab);
    free(m->progress);
}

int network_mounts_start(void) {
    _cleanup_(mounts_done) struct mounts m = {.begin = now_monotonic()};
    struct notify_target up;

    (void)notify_target_open(&up, getenv("NOTIFY_SOCKET"));
    if (prepare(&m) < 0)
        return EXIT_FAILURE;
    for (usec_t pause = RETRY_FIRST;; pause *= 2) {
        try_all(&m);
        tell(&m, &up, m.required_missing == 0);
        if (m.missing == 0)
            return EXIT_SUCCESS;
        pause = MIN(pause, m.required_missing > 0 ? RETRY_MAX : RETRY_LATER_MAX);
        (void)usleep((useconds_t)pause);
    }
}

/* ---- unmounting ---- */

int network_mounts_stop(void) {
    _cleanup_(fstab_list_done) struct fstab_list l = {};
    int status = EXIT_SUCCESS;

    if (load(&l) < 0)
        return EXIT_FAILURE;
    for (size_t i = l.n; i-- > 0;) {
        struct error e = {};
        if (!l.entries[i].network || fstab_unmount(&l.entries[i], UNMOUNT_TIMEOUT, &e) >= 0)
            continue;
        log_warning("%s", e.text);
        status = EXIT_FAILURE;
    }
    return status;
}
