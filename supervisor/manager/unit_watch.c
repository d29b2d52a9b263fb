/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What control groups tell: the last process has gone, the kernel killed one for want of memory. */
#include <signal.h>
#include <sys/epoll.h>

#include "manager/core.h"

/* ---- empty ---- */

static int on_group_event(
    sd_event_source *source _unused_, int fd, uint32_t revents _unused_, void *userdata) {
    struct managed_unit *u = userdata;
    char buffer[256];

    /* Reading tells the kernel that this state of the file has been seen. The file of a group that was
     * removed is ready for ever: it must go, or the loop would spin. */
    if (lseek(fd, 0, SEEK_SET) < 0 || read(fd, buffer, sizeof(buffer)) < 0)
        u->cgroup_source = sd_event_source_unref(u->cgroup_source);
    if (!unit_group_is_populated(u))
        unit_event(u, EVENT_EMPTY);
    return 0;
}

enum { POLL_FIRST = 10 * USEC_PER_MSEC, POLL_LAST = 500 * USEC_PER_MSEC };

static void poll_later(struct managed_unit *u) {
    u->poll_delay = u->poll_delay == 0 ? POLL_FIRST : MIN(u->poll_delay * 2, (usec_t)POLL_LAST);
    unit_timer_set(u, TIMER_POLL, usec_add(core_now(), u->poll_delay));
}

/* Also called again by the poll timer of legacy machines. */
void unit_watch_empty(struct managed_unit *u) {
    int fd, r;

    if (u->cgroup_source)
        return;
    fd = u->manager->cgroups ? cgroup_events_open(u->manager->cgroups, u->name) : -EOPNOTSUPP;
    if (fd < 0) {
        poll_later(u);
        return;
    }
    r = sd_event_add_io(u->manager->event, &u->cgroup_source, fd, EPOLLPRI, on_group_event, u);
    if (r < 0) {
        (void)close(fd);
        poll_later(u);
        return;
    }
    (void)sd_event_source_set_io_fd_own(u->cgroup_source, true);
    (void)sd_event_source_set_priority(u->cgroup_source, PRIORITY_CGROUP);
    /* It may have become empty before the watch was there. */
    if (!unit_group_is_populated(u))
        unit_event(u, EVENT_EMPTY);
}

/* ---- out of memory ---- */

bool unit_check_oom(struct managed_unit *u) {
    uint64_t kills;

    if (!u->manager->cgroups)
        return false;
    kills = cgroup_oom_kills(u->manager->cgroups, u->name);
    if (kills == CGROUP_UNSET || kills <= u->oom_kills_seen)
        return false;
    u->oom_kills += (unsigned)(kills - u->oom_kills_seen);
    u->oom_kills_seen = kills;
    u->oom_last = core_now();
    unit_mark_dirty(u);
    report_unit(u, LOG_WARNING, MESSAGE_OUT_OF_MEMORY, "The kernel killed a process: out of memory.");
    return true;
}

static int on_oom_event(sd_event_source *source _unused_, int fd, uint32_t revents, void *userdata) {
    struct managed_unit *u = userdata;
    char buffer[512];

    if (revents & EPOLLPRI)
        (void)lseek(fd, 0, SEEK_SET);
    if (read(fd, buffer, sizeof(buffer)) < 0 && errno != EAGAIN) {
        u->oom_source = sd_event_source_unref(u->oom_source); /* the group was removed */
        return 0;
    }
    if (unit_check_oom(u)) {
        unit_event(u, EVENT_OOM);
        return 0;
    }
    /* v1 tells before it kills. */
    if (revents & EPOLLIN) {
        u->oom_checks = 0;
        unit_timer_set(u, TIMER_OOM, usec_add(core_now(), 10 * USEC_PER_MSEC));
    }
    return 0;
}

void unit_watch_oom(struct managed_unit *u) {
    struct cgroup_tree *t = u->manager->cgroups;
    uint32_t events = 0;
    uint64_t kills;
    int fd, r;

    if (!t || u->oom_source)
        return;
    if (!u->recovered && u->resources.group_is_old) {
        kills = cgroup_oom_kills(t, u->name);
        u->oom_kills_seen = kills == CGROUP_UNSET ? 0 : kills;
    }
    fd = cgroup_oom_open(t, u->name, &events);
    if (fd < 0)
        return; /* no memory controller: nothing can be killed for a limit */
    r = sd_event_add_io(u->manager->event, &u->oom_source, fd, events, on_oom_event, u);
    if (r < 0) {
        (void)close(fd);
        return;
    }
    (void)sd_event_source_set_io_fd_own(u->oom_source, true);
    (void)sd_event_source_set_priority(u->oom_source, PRIORITY_CGROUP);
}

/* OOMPolicy=. What is under way already is only hastened. */
void unit_on_oom(struct managed_unit *u) {
    enum oom_policy policy = u->config->resources.oom_policy;
    enum unit_step step = policy == OOM_KILL ? STEP_STOP_SIGKILL : STEP_STOP_SIGTERM;

    if (policy == OOM_CONTINUE)
        return;
    switch (u->state) {
    case STATE_RUNNING:
    case STATE_RELOADING:
        if (policy == OOM_KILL)
            unit_enter_signal(u, STEP_STOP_SIGKILL, RESULT_OOM_KILL);
        else
            unit_enter_stop(u, RESULT_OOM_KILL);
        break;
    case STATE_STARTING:
        unit_enter_signal(u, step, RESULT_OOM_KILL);
        break;
    case STATE_STOPPING:
        if (u->step == STEP_STOP)
            unit_enter_signal(u, step, RESULT_OOM_KILL);
        else if (u->step == STEP_STOP_SIGTERM || u->step == STEP_STOP_WATCHDOG)
            unit_enter_signal(u, STEP_STOP_SIGKILL, RESULT_OOM_KILL);
        else if (u->step == STEP_STOP_POST || u->step == STEP_FINAL_SIGTERM)
            unit_enter_signal(u, STEP_FINAL_SIGKILL, RESULT_OOM_KILL);
        else if (u->step != STEP_CLEANUP)
            unit_fail(u, RESULT_OOM_KILL);
        break;
    default:
        break;
    }
}
