/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the end of a process means: a part is started again, of everybody else davitd reads in the feed. */
#include <sys/epoll.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/parse.h"
#include "init/run.h"

/* So many zombies a turn, so that a fork storm cannot keep davitd's messages and the watchdog waiting. */
#define REAP_TURN 2048
/* davitd died so often while it was to stop the units: go on without it. */
#define STOP_DEATHS_MAX 5
/* Whoever asked to stop is waiting. */
#define STOP_RESTART_DELAY_MAX (500 * USEC_PER_MSEC)
#define FORK_AGAIN_USEC USEC_PER_SEC

/* ---- parts ---- */

usec_t keeper_cannot_fork(struct keeper *k, int error, const char *what) {
    if (!k->no_process)
        (void)log_errno(LOG_ERR, error, "cannot fork for %s, trying again every second", what);
    k->no_process = true;
    return usec_add(now_monotonic(), FORK_AGAIN_USEC);
}

static void can_fork(struct keeper *k) {
    if (k->no_process)
        log_notice("there are processes to be had again");
    k->no_process = false;
}

/* davitd has died while it was to stop the units, or cannot even be started: not for ever. */
static void stop_failed(struct keeper *k) {
    if (k->phase != KEEPER_STOPPING || ++k->stop_deaths <= STOP_DEATHS_MAX)
        return;
    log_error("davitd cannot stop the units: ending without it");
    keeper_close(k);
}

void keeper_start_part(struct keeper *k, struct part *p) {
    bool manager = p == &k->parts[PART_MANAGER];

    if (manager) {
        boot_note_manager(&k->boot); /* before the fork: its environment has it */
        lost_begin(k);
    }
    int r = part_start(k->parts, p, &k->context);

    if (r < 0) {
        p->start_at = keeper_cannot_fork(k, r, p->label);
        if (manager)
            stop_failed(k);
        return;
    }
    can_fork(k);
    if (!manager)
        return;
    k->manager_ready = false;
    watchdog_start(&k->watchdog, p->started);
    /* Until it says READY=1 nobody but us can tell the manager above that all is well. */
    k->up_ping_at = k->up_watchdog_usec > 0 ? p->started : USEC_INFINITY;
    if (k->phase == KEEPER_STOPPING)
        (void)kill(p->pid, SIGTERM);
}

static void describe_end(const siginfo_t *info, char *buffer, size_t size) {
    char name[16];

    if (info->si_code == CLD_EXITED)
        (void)snprintf(buffer, size, "exited with status %d", info->si_status);
    else
        (void)snprintf(buffer, size, "was killed by %s%s", signal_name(info->si_status, name),
            info->si_code == CLD_DUMPED ? ", core dumped" : "");
}

static void restart_later(struct keeper *k, struct part *p, const siginfo_t *info) {
    usec_t now = now_monotonic();
    bool killed = info->si_code == CLD_KILLED && info->si_status == SIGKILL;
    char end[64], delay_text[TIMESPAN_MAX];

    p->quick_deaths = part_restart_count(p->quick_deaths, now - p->started, killed);
    usec_t delay = part_restart_delay(p->quick_deaths, k->restart_first);
    if (k->phase == KEEPER_STOPPING)
        delay = MIN(delay, STOP_RESTART_DELAY_MAX);
    p->start_at = usec_add(now, delay);

    describe_end(info, end, sizeof end);
    if (delay == 0)
        log_warning("%s %s: starting it again", p->label, end);
    else
        log_warning("%s %s: starting it again in %s", p->label, end,
            timespan_format(delay, USEC_PER_MSEC, delay_text));
    if (p->quick_deaths < RESTART_KEEPS_DYING)
        return;
    keeper_say(k, LOG_CRIT, "%s keeps dying (%u times in a row, last it %s); containers go on, trying again",
        p->label, p->quick_deaths, end);
    if (p == &k->parts[PART_MANAGER])
        boot_start_shell(&k->boot, k->context.libexec);
}

static void manager_ended(struct keeper *k, struct part *p, const siginfo_t *info) {
    watchdog_stop(&k->watchdog);
    k->manager_ready = false;
    lost_begin(k);
    k->up_ping_at = k->up_watchdog_usec > 0 ? now_monotonic() : USEC_INFINITY;
    if (k->phase == KEEPER_CLOSING)
        return;

    if (info->si_code == CLD_EXITED && info->si_status == MANAGER_EXIT_DONE) {
        keeper_close(k);
    } else if (info->si_code == CLD_EXITED && info->si_status == MANAGER_EXIT_REEXEC) {
        p->start_at = now_monotonic();
    } else {
        restart_later(k, p, info);
        stop_failed(k);
    }
}

/* A part is a zombie: info describes it, it is not reaped yet. */
static void part_ended(struct keeper *k, struct part *p, const siginfo_t *info) {
    bool manager = p == &k->parts[PART_MANAGER];

    /* What it sent before its end still counts, and is only believed while its pid is taken. */
    if (manager)
        keeper_receive(k);
    p->pid = 0;
    (void)waitid(P_PID, (id_t)info->si_pid, NULL, WEXITED | WNOHANG | __WALL);
    if (manager)
        manager_ended(k, p, info);
    else if (k->phase != KEEPER_CLOSING && p->replaced)
        p->start_at = now_monotonic();
    else if (k->phase != KEEPER_CLOSING)
        restart_later(k, p, info);
    p->replaced = false;
}

static void parts_due(struct keeper *k) {
    for (int i = 0; k->phase != KEEPER_CLOSING && i < PART_COUNT; i++)
        k->parts[i].start_at = now_monotonic();
}

/* ---- davit-boot ---- */

void keeper_begin_boot(struct keeper *k) {
    k->boot.worker_deadline = USEC_INFINITY;
    if (!k->boot.machine || k->phase != KEEPER_RUNNING)
        return;
    for (int i = 0; i < PART_COUNT; i++)
        k->parts[i].start_at = USEC_INFINITY;
    int r = boot_start_worker(&k->boot, k->context.libexec);
    if (r < 0)
        k->boot.worker_deadline = keeper_cannot_fork(k, r, "davit-boot");
    else
        can_fork(k);
}

void keeper_boot_over(struct keeper *k) {
    boot_tell_reasons(&k->boot, k->runtime_fd);
    parts_due(k);
    keeper_watch_keys(k);
}

/* ---- reaping ---- */

/* A zombie that is davit-init's own affair, and of which davitd learns nothing: answered, and reaped. */
static bool take_own(struct keeper *k, const siginfo_t *info) {
    struct part *p = part_find(k->parts, info->si_pid);

    if (p)
        part_ended(k, p, info);
    else if (info->si_pid == k->reexec.checker)
        keeper_reexec_checked(k, info);
    else if (info->si_pid == k->boot.worker) {
        (void)waitid(P_PID, (id_t)info->si_pid, NULL, WEXITED | WNOHANG | __WALL);
        boot_worker_ended(&k->boot, info->si_code, info->si_status);
        keeper_boot_over(k);
    } else
        return false;
    return true;
}

/* These have ended, wherever they stand in the queue of zombies. */
static void reap_own(struct keeper *k) {
    pid_t pids[PART_COUNT + 2] = {[PART_COUNT] = k->reexec.checker, k->boot.worker};

    for (int i = 0; i < PART_COUNT; i++)
        pids[i] = k->parts[i].pid;
    for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
        siginfo_t info = {};
        if (pids[i] > 0 && waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 &&
            info.si_pid > 0)
            (void)take_own(k, &info);
    }
}

static void wait_for_feed(struct keeper *k) {
    struct epoll_event event = {.events = EPOLLOUT, .data.fd = k->feed.write_fd};

    if (k->feed_full || epoll_ctl(k->epoll_fd, EPOLL_CTL_ADD, k->feed.write_fd, &event) < 0)
        return;
    k->feed_full = true;
    log_notice("the exit feed is full: ended processes stay zombies until davitd reads on");
}

/* Peek, append, reap, in this order: whatever goes wrong in between, the end of a child is either still with
 * the kernel or already in the feed. Until davitd reads it nothing else can happen to that record. */
void keeper_reap(struct keeper *k) {
    k->reap_again = false;
    for (int n = 0; n < REAP_TURN; n++) {
        siginfo_t info = {};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 || info.si_pid == 0)
            return;
        if (take_own(k, &info))
            continue;
        if (info.si_pid == k->boot.shell)
            k->boot.shell = 0;
        if (k->phase != KEEPER_CLOSING) { /* then there is nobody to read it */
            int r = feed_append(&k->feed, &info);
            if (r < 0) {
                wait_for_feed(k);
                reap_own(k);
                return;
            }
        }
        (void)waitid(P_PID, (id_t)info.si_pid, NULL, WEXITED | WNOHANG | __WALL);
    }
    k->reap_again = true;
}

void keeper_feed_writable(struct keeper *k) {
    (void)epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, k->feed.write_fd, NULL);
    k->feed_full = false;
    keeper_reap(k);
}
