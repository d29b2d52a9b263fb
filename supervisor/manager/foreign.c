/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes of units that are not children of our davit-init: the one that was their parent was killed,
 * and they have gone on below somebody else's init; or a service has named a main process (MAINPID=) whose parent still
 * runs. Their ends come by pidfd instead of the exit feed, and how they ended is known only where the kernel tells it of a
 * process that another has reaped (6.15 and later). Elsewhere it is said to be unknown.
 */
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/log.h"
#include "manager/process_internal.h"

/* Of linux/pidfd.h, first version of the structure; the answer is there once the process has been reaped. */
struct pidfd_exit_info {
    uint64_t mask, cgroup;
    uint32_t ids[11];
    int32_t exit_code; /* as waitpid(2) has it */
};
#define PIDFD_INFO_EXIT (1U << 3)
#define PIDFD_GET_EXIT_INFO _IOWR(0xFF, 11, struct pidfd_exit_info)

/* Between the end of a process and its reaping by its new parent. */
#define REAP_INTERVAL (20 * USEC_PER_MSEC)
#define REAP_TRIES 50

/* 0; -EAGAIN: not reaped yet; another error: this kernel does not tell. */
static int ask_kernel(int pidfd, struct process_exit *ret) {
    struct pidfd_exit_info info = {.mask = PIDFD_INFO_EXIT};

    if (ioctl(pidfd, PIDFD_GET_EXIT_INFO, &info) < 0)
        return negative_errno();
    if (!(info.mask & PIDFD_INFO_EXIT))
        return -EAGAIN;
    int status = info.exit_code;
    ret->code = WIFEXITED(status) ? CLD_EXITED : WCOREDUMP(status) ? CLD_DUMPED : CLD_KILLED;
    ret->status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
    return 0;
}

void process_ended_unseen(struct process *p) {
    log_warning(
        "%s: process %d ended, and nobody knows how", p->unit ? p->unit->name : "davitd", (int)p->pid);
    process_has_exited(p, &(struct process_exit){EXIT_UNKNOWN, 0, now_monotonic()});
}

static int on_reap_timer(sd_event_source *s, _unused_ uint64_t usec, void *userdata);

/* Its parent may have ended before it; then davit-init reaps it, and the feed tells how it ended. A number that is not
 * its own any more says nothing. */
static bool is_for_the_feed(const struct process *p) {
    bool unreaped = syscall(SYS_pidfd_send_signal, p->pidfd, 0, NULL, 0) >= 0;

    return (unreaped && process_is_for_keeper(p->pid)) || feed_has_end(p->manager, p->pid);
}

static void has_ended(struct process *p) {
    struct process_exit x = {.when = now_monotonic()};

    if (is_for_the_feed(p)) {
        process_unwatch_foreign(p);
        process_unstore_pidfd(p);
        p->foreign = false;
        return;
    }
    int r = ask_kernel(p->pidfd, &x);
    if (r == -EAGAIN && p->foreign_tries++ < REAP_TRIES) {
        sd_event_source *s = NULL;
        process_unwatch_foreign(p);
        r = sd_event_add_time_relative(
            p->manager->event, &s, CLOCK_MONOTONIC, REAP_INTERVAL, 0, on_reap_timer, p);
        if (r >= 0) {
            p->sources[SOURCE_FOREIGN] = s;
            return;
        }
    }
    if (r < 0)
        process_ended_unseen(p);
    else
        process_has_exited(p, &x);
}

static int on_reap_timer(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
    has_ended(userdata);
    return 0;
}

static int on_pidfd(_unused_ sd_event_source *s, _unused_ int fd, _unused_ uint32_t events, void *userdata) {
    has_ended(userdata);
    return 0;
}

void process_unwatch_foreign(struct process *p) {
    p->sources[SOURCE_FOREIGN] = sd_event_source_unref(p->sources[SOURCE_FOREIGN]);
}

/* Where nobody has kept its pidfd: the unit's group says whose number that is. */
static int find_in_group(const struct process *p) {
    const struct managed_unit *u = p->unit;
    _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);

    return fd >= 0 && u && cgroup_has_pid(u->manager->cgroups, u->name, p->pid) > 0 ? TAKE_FD(fd) : -ESRCH;
}

void process_set_foreign(struct process *p) {
    sd_event_source *s = NULL;

    p->foreign = true;
    if (p->pidfd < 0)
        p->pidfd = find_in_group(p);
    if (p->pidfd < 0 || p->sources[SOURCE_FOREIGN])
        return; /* gone already: feed_go() says so */
    int r = sd_event_add_io(p->manager->event, &s, p->pidfd, EPOLLIN, on_pidfd, p);
    if (r < 0) {
        (void)log_errno(LOG_ERR, r, "%s: the end of process %d will not be noticed",
            p->unit ? p->unit->name : "davitd", (int)p->pid);
        return;
    }
    (void)sd_event_source_set_priority(s, PRIORITY_FEED);
    p->sources[SOURCE_FOREIGN] = s;
    process_store_pidfd(p);
}
