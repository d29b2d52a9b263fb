/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The exit feed (init/keeper.h): copied with tee(2), acted on, saved, and only then consumed.
 *
 * Before the records are acted on the launchers' sockets are emptied: whoever can appear in the feed has a
 * BEGUN in one of them. Pids that nobody knows are orphans of containers, and workers of a davitd that is
 * gone.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/log.h"
#include "manager/process_internal.h"

/* Copies what is in the feed without taking it out. Bytes or -errno; 0 = nothing there. */
static ssize_t copy_records(struct feed *f, struct feed_record *records) {
    ssize_t n = tee(f->fd, f->copy[1], FEED_BATCH * sizeof(*records), SPLICE_F_NONBLOCK);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : negative_errno();
    if (n == 0)
        return -EPIPE;
    ssize_t got = read(f->copy[0], records, (size_t)n);
    if (got != n)
        return got < 0 ? negative_errno() : -EIO;
    return n;
}

static void consume(struct feed *f, size_t size) {
    struct feed_record discarded[FEED_BATCH];

    ssize_t n = read(f->fd, discarded, size);
    if (n != (ssize_t)size)
        log_error("Exit feed: %zu bytes were copied, %zd consumed", size, n);
}

static void act_on(struct manager *m, const struct feed_record *record) {
    struct feed *f = &m->processes->feed;

    if (record->sequence <= f->sequence)
        return; /* handled by a davitd that died before it consumed it */
    f->sequence = record->sequence;

    struct process *p = process_by_pid(m->processes, record->pid);
    struct process_exit x = {.code = record->code, .status = record->status, .when = record->usec};
    if (p)
        process_has_exited(p, &x);
}

bool feed_has_end(struct manager *m, pid_t pid) {
    struct feed *f = &m->processes->feed;
    struct feed_record records[FEED_BATCH];
    bool found = false;
    ssize_t n;

    if (tee(f->fd, f->copy[1], INT_MAX, SPLICE_F_NONBLOCK) <= 0)
        return false;
    while ((n = read(f->copy[0], records, sizeof(records))) > 0)
        for (size_t i = 0; i < (size_t)n / sizeof(*records); i++)
            found |= records[i].pid == pid && records[i].sequence > f->sequence;
    return found;
}

/* Adopted processes that nobody can find: neither alive nor in the feed. Only after all of the feed was read.
 */
static void settle_lost(struct manager *m) {
    struct processes *ps = m->processes;

    for (size_t i = 0; i < PID_BUCKETS; i++) {
        LIST_FOREACH (p, &ps->by_pid[i], struct process, by_manager) {
            if (p->pidfd < 0)
                process_ended_unseen(p);
        }
    }
}

/* ---- what cannot be ---- */

/* What is in the feed is not harmed by our end: the next davitd reads it. */
_Noreturn static void give_up(int error) {
    if (error == -EPIPE) /* whoever reaped for us; the next one will start a davitd of its own */
        log_error("davit-init is gone: davitd ends, what runs goes on by itself");
    else
        log_error("Exit feed: %s; davitd ends, and the next one reads on", errno_text(error));
    exit(EXIT_FAILURE);
}

/* davit-init numbers what it writes. */
static bool are_records(const struct feed_record *records, size_t size) {
    size_t count = size / sizeof(*records);

    for (size_t i = 1; i < count; i++)
        if (records[i].sequence != records[i - 1].sequence + 1)
            return false;
    return size % sizeof(*records) == 0;
}

/* After a loss: who has ended and is not in the feed. One whose record is only about to be written is among them;
 * that it has ended is true all the same. */
static void settle_ended(struct manager *m) {
    struct processes *ps = m->processes;

    for (size_t i = 0; i < PID_BUCKETS; i++) {
        LIST_FOREACH (p, &ps->by_pid[i], struct process, by_manager) {
            if (!p->foreign && process_is_over(p->pidfd) && !feed_has_end(m, p->pid))
                process_ended_unseen(p);
        }
    }
}

/* The size bytes at the front are no records. Every davitd to come would meet them, so they go. What is written is
 * always whole: where more is in the feed than whole records, the rest is in front. */
static void skip_damage(struct manager *m, size_t size) {
    struct feed *f = &m->processes->feed;
    int all = 0;

    (void)ioctl(f->fd, FIONREAD, &all);
    size_t rest = (size_t)all % sizeof(struct feed_record);
    if (rest > 0)
        size = rest;
    log_error(
        "Exit feed: %zu bytes are no records and are passed over; how those processes ended will not be "
        "known",
        size);
    consume(f, size);
    settle_ended(m);
    saved_flush(m);
}

/* ---- reading ---- */

/* One batch. False when the feed is empty. */
static bool handle_batch(struct manager *m) {
    struct feed *f = &m->processes->feed;
    struct feed_record records[FEED_BATCH] = {};

    ssize_t size = copy_records(f, records);
    if (size < 0)
        give_up((int)size);
    if (size == 0)
        return false;

    launchers_drain(m);
    if (!are_records(records, (size_t)size)) {
        skip_damage(m, (size_t)size);
        return true;
    }
    for (size_t i = 0; i < (size_t)size / sizeof(*records); i++)
        act_on(m, &records[i]);
    saved_flush(m);
    (void)saved_write_feed_sequence(m, f->sequence);
    consume(f, (size_t)size);
    return true;
}

static int on_feed(_unused_ sd_event_source *s, _unused_ int fd, _unused_ uint32_t events, void *userdata) {
    (void)handle_batch(userdata);
    return 0;
}

int feed_new(struct manager *m, struct error *e) {
    struct feed *f = &m->processes->feed;

    f->fd = keeper_take(m, "feed");
    if (f->fd < 0)
        return error_set(e, ENOENT, "no exit feed was passed in: davitd is started by davit-init");
    f->sequence = saved_feed_sequence(m);
    if (pipe2(f->copy, O_CLOEXEC | O_NONBLOCK) < 0)
        return error_set_errno(e, errno, "pipe for the exit feed");
    (void)fcntl(f->copy[1], F_SETPIPE_SZ, fcntl(f->fd, F_GETPIPE_SZ)); /* for feed_has_end() */
    /* O_NONBLOCK belongs to the open file, which davit-init shares only for reading: its own end is another
     * one. */
    (void)fd_set_nonblock(f->fd, true);
    int r = sd_event_add_io(m->event, &f->source, f->fd, EPOLLIN, on_feed, m);
    if (r < 0)
        return error_set_errno(e, r, "watching the exit feed");
    (void)sd_event_source_set_priority(f->source, PRIORITY_FEED);
    (void)sd_event_source_set_enabled(f->source, SD_EVENT_OFF);
    return 0;
}

int feed_go(struct manager *m, struct error *e) {
    struct feed *f = &m->processes->feed;

    while (handle_batch(m))
        ;
    settle_lost(m);
    saved_flush(m);
    int r = sd_event_source_set_enabled(f->source, SD_EVENT_ON);
    return r < 0 ? error_set_errno(e, r, "exit feed") : 0;
}

void feed_free(struct feed *f) {
    f->source = sd_event_source_unref(f->source);
    close_and_reset(&f->fd);
    close_and_reset(&f->copy[0]);
    close_and_reset(&f->copy[1]);
}
