/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way out: from the first request to stop, through the end of davitd, to the end of the other parts. */
#include <fcntl.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/str.h"
#include "init/run.h"

/* davit-logd writes what is left in the FIFOs when it gets SIGTERM: a slow disk is given time. */
#define CLOSE_USEC (10 * USEC_PER_SEC)
/* After SIGKILL: how long to wait for what does not go even then (uninterruptible sleep). */
#define CLOSE_KILLED_USEC (2 * USEC_PER_SEC)

static bool asked_often(struct keeper *k, usec_t now) {
    k->stop_requests[k->stop_position] = now;
    k->stop_position = (k->stop_position + 1) % SIGNAL_FORCE_COUNT;
    usec_t first =
        k->stop_requests[k->stop_position]; /* of the last COUNT, this one included; 0 = not so many yet */
    return first > 0 && now - first <= SIGNAL_FORCE_USEC;
}

/* The first request stays, unless a later one is more urgent: then it is the one that is meant. */
static void take_ending(struct keeper *k, struct ending e) {
    if (k->ending.kind == ENDING_NONE || e.urgency > k->ending.urgency)
        k->ending = e;
}

static void stop_orderly(struct keeper *k, const char *why) {
    struct part *manager = &k->parts[PART_MANAGER];

    if (k->phase != KEEPER_RUNNING)
        return;
    log_info("stopping: %s", why);
    k->phase = KEEPER_STOPPING;
    if (manager->pid > 0)
        (void)kill(manager->pid, SIGTERM);
    else
        manager->start_at = now_monotonic(); /* nobody else can stop the units; told when it has started */
}

void keeper_request_ending(struct keeper *k, struct ending e, const char *why) {
    if (e.urgency == ENDING_ORDERLY && asked_often(k, now_monotonic())) {
        keeper_say(k, LOG_WARNING, "asked to stop %d times: not waiting any longer", SIGNAL_FORCE_COUNT);
        e.urgency = ENDING_FORCE;
    } else if (e.urgency != ENDING_ORDERLY)
        keeper_say(k, LOG_WARNING, "ending: %s", why);
    take_ending(k, e);
    if (e.urgency == ENDING_IMMEDIATE)
        keeper_end_immediately(k, e);
    if (e.urgency != ENDING_ORDERLY)
        keeper_force(k);
    else
        stop_orderly(k, why);
}

static void signal_parts(struct keeper *k, int signal) {
    for (int i = 0; i < PART_COUNT; i++)
        if (k->parts[i].pid > 0)
            (void)kill(k->parts[i].pid, signal);
}

static void kill_parts(struct keeper *k) {
    k->parts_killed = true;
    k->close_deadline = usec_add(now_monotonic(), CLOSE_KILLED_USEC);
    signal_parts(k, SIGKILL);
}

void keeper_close(struct keeper *k) {
    if (k->phase == KEEPER_CLOSING)
        return;
    k->phase = KEEPER_CLOSING;
    k->close_deadline = usec_add(now_monotonic(), CLOSE_USEC);
    watchdog_stop(&k->watchdog);
    for (int i = 0; i < PART_COUNT; i++)
        k->parts[i].start_at = USEC_INFINITY;
    (void)notify_target_send(&k->up, "STOPPING=1\n");
    signal_parts(k, SIGTERM);
}

/* Kills our children by /proc/PID/task/PID/children, which lists adopted ones too. A process that is killed
 * hands its own children to us: they are met in the next round, when it has been reaped. */
static void kill_children(void) {
    char path[64], list[8192];

    if (init_role() == ROLE_MACHINE) /* davit-shutdown knows whom to spare, and asks before it kills */
        return;
    if (init_role() == ROLE_CONTAINER) { /* exactly everything else that lives in the pid namespace */
        (void)kill(-1, SIGKILL);
        return;
    }
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, list, sizeof list - 1);
    if (n <= 0)
        return;
    list[n] = '\0';
    for (char *p = list; *p;) {
        char *end;
        long pid = strtol(p, &end, 10);
        /* The last number may be cut by the size of the buffer: only one that a blank follows is whole. */
        if (end == p || *end != ' ')
            break;
        if (pid > 1)
            (void)kill((pid_t)pid, SIGKILL);
        p = end + 1;
    }
}

void keeper_force(struct keeper *k) {
    keeper_close(k);
    k->forced = true;
    kill_parts(k);
    kill_children();
}

void keeper_close_overdue(struct keeper *k) {
    if (k->parts_killed) { /* SIGKILL did not help: leave them to the one who adopts them */
        log_error("processes that cannot be killed are left behind");
        for (int i = 0; i < PART_COUNT; i++)
            k->parts[i].pid = 0;
        k->close_deadline = USEC_INFINITY;
        k->forced = false;
        return;
    }
    log_warning("parts did not end in time: killing them");
    kill_parts(k);
}

bool keeper_closed(struct keeper *k) {
    siginfo_t info = {};

    for (int i = 0; i < PART_COUNT; i++)
        if (k->parts[i].pid > 0)
            return false;
    if (init_role() == ROLE_MACHINE)
        return true; /* whoever is left is davit-shutdown's */
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
        return true; /* ECHILD */
    if (k->forced) {
        kill_children();
        return false;
    }
    if (info.si_pid == 0)
        log_notice("processes that no unit claims are left running");
    return true;
}
