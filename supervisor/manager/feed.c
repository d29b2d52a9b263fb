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
#include <sys/wait.h>

#include "base/fd.h"
#include "base/log.h"
#include "manager/process_internal.h"

/* Copies what is in the feed, whole records, without taking it out. Count or -errno; 0 = nothing there. */
static ssize_t copy_records(struct feed *f, struct feed_record *records) {
    ssize_t n = tee(f->fd, f->copy[1], FEED_BATCH * sizeof(*records), SPLICE_F_NONBLOCK);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : negative_errno();
    if (n == 0)
        return -EPIPE;
    ssize_t got = read(f->copy[0], records, (size_t)n);
    if (got != n || n % (ssize_t)sizeof(*records) != 0)
        return got < 0 ? negative_errno() : -EBADMSG;
    return n / (ssize_t)sizeof(*records);
}

static void consume_records(struct feed *f, size_t count) {
    struct feed_record discarded[FEED_BATCH];

    ssize_t n = read(f->fd, discarded, count * sizeof(*discarded));
    if (n != (ssize_t)(count * sizeof(*discarded)))
        log_error("Exit feed: %zu records were copied, %zd bytes consumed", count, n);
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

/* One batch. False when the feed is empty. */
static bool handle_batch(struct manager *m) {
    struct feed *f = &m->processes->feed;
    struct feed_record records[FEED_BATCH] = {};

    ssize_t count = copy_records(f, records);
    if (count == -EPIPE) {
        /* Whoever started us and reaped for us is gone, and the next one will start a davitd of its own. */
        log_error("davit-init is gone: davitd ends, what runs goes on by itself");
        exit(EXIT_FAILURE);
    }
    if (count < 0) {
        log_error("Exit feed: %s; ends of processes are no longer learned", errno_text((int)count));
        (void)sd_event_source_set_enabled(f->source, SD_EVENT_OFF);
        return false;
    }
    if (count == 0)
        return false;

    launchers_drain(m);
    for (ssize_t i = 0; i < count; i++)
        act_on(m, &records[i]);
    saved_flush(m);
    (void)saved_write_feed_sequence(m, f->sequence);
    consume_records(f, (size_t)count);
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
