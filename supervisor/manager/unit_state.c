/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one writer of a unit's state, the names of states, and small questions about a unit. */
#include <signal.h>

#include "manager/core.h"

/* ---- names ---- */

static const char *const state_names[] = {
    [STATE_INACTIVE] = "inactive",
    [STATE_WAITING] = "waiting",
    [STATE_PREPARING] = "preparing",
    [STATE_STARTING] = "starting",
    [STATE_RUNNING] = "running",
    [STATE_RELOADING] = "reloading",
    [STATE_STOPPING] = "stopping",
    [STATE_BACKOFF] = "backoff",
    [STATE_FAILED] = "failed",
};
_Static_assert(ARRAY_SIZE(state_names) == _STATE_COUNT, "a name for each state");

/* systemd's words: ActiveState, and SubState of a state that has no steps. */
static const char *const active_names[] = {
    [STATE_INACTIVE] = "inactive",
    [STATE_WAITING] = "activating",
    [STATE_PREPARING] = "activating",
    [STATE_STARTING] = "activating",
    [STATE_RUNNING] = "active",
    [STATE_RELOADING] = "reloading",
    [STATE_STOPPING] = "deactivating",
    [STATE_BACKOFF] = "activating",
    [STATE_FAILED] = "failed",
};
_Static_assert(ARRAY_SIZE(active_names) == _STATE_COUNT, "a word for each state");

static const char *const substate_names[] = {
    [STATE_INACTIVE] = "dead",
    [STATE_WAITING] = "waiting",
    [STATE_PREPARING] = "preparing",
    [STATE_STARTING] = "start",
    [STATE_RUNNING] = "running",
    [STATE_RELOADING] = "reload",
    [STATE_STOPPING] = "stop",
    [STATE_BACKOFF] = "auto-restart",
    [STATE_FAILED] = "failed",
};
_Static_assert(ARRAY_SIZE(substate_names) == _STATE_COUNT, "a word for each state");

static const char *const step_names[] = {
    [STEP_NONE] = "none",
    [STEP_CONDITION] = "condition",
    [STEP_START_PRE] = "start-pre",
    [STEP_START_MAIN] = "start",
    [STEP_START_READY] = "start-ready",
    [STEP_START_POST] = "start-post",
    [STEP_STOP] = "stop",
    [STEP_STOP_SIGTERM] = "stop-sigterm",
    [STEP_STOP_SIGKILL] = "stop-sigkill",
    [STEP_STOP_WATCHDOG] = "stop-watchdog",
    [STEP_STOP_POST] = "stop-post",
    [STEP_FINAL_SIGTERM] = "final-sigterm",
    [STEP_FINAL_SIGKILL] = "final-sigkill",
    [STEP_CLEANUP] = "cleanup",
};
_Static_assert(ARRAY_SIZE(step_names) == _STEP_COUNT, "a name for each step");

static const char *const result_names[] = {
    [RESULT_SUCCESS] = "success",
    [RESULT_EXIT_CODE] = "exit-code",
    [RESULT_SIGNAL] = "signal",
    [RESULT_CORE_DUMP] = "core-dump",
    [RESULT_OOM_KILL] = "oom-kill",
    [RESULT_WATCHDOG] = "watchdog",
    [RESULT_TIMEOUT] = "timeout",
    [RESULT_START_LIMIT_HIT] = "start-limit-hit",
    [RESULT_RESOURCES] = "resources",
    [RESULT_PROTOCOL] = "protocol",
    [RESULT_HEALTH] = "health",
    [RESULT_EXEC_CONDITION] = "exec-condition",
    [RESULT_DEPENDENCY] = "dependency",
};
_Static_assert(ARRAY_SIZE(result_names) == _RESULT_COUNT, "a name for each result");

static int find_name(const char *const *names, size_t n, const char *s) {
    for (size_t i = 0; i < n; i++)
        if (streq(names[i], s))
            return (int)i;
    return -EINVAL;
}

const char *unit_state_name(enum unit_state s) {
    return state_names[s];
}
const char *unit_active_name(enum unit_state s) {
    return active_names[s];
}
const char *unit_step_name(enum unit_step s) {
    return step_names[s];
}
const char *unit_result_name(enum unit_result r) {
    return result_names[r];
}
const char *unit_substate_name(enum unit_state s, enum unit_step step) {
    if (step == STEP_NONE || (s != STATE_STARTING && s != STATE_STOPPING))
        return substate_names[s];
    /* The wait for readiness is "start" to systemd as well. */
    return step == STEP_START_READY ? "start" : step_names[step];
}
int unit_state_from_name(const char *s) {
    return find_name(state_names, _STATE_COUNT, s);
}
int unit_step_from_name(const char *s) {
    return find_name(step_names, _STEP_COUNT, s);
}
int unit_result_from_name(const char *s) {
    return find_name(result_names, _RESULT_COUNT, s);
}

/* ---- questions ---- */

bool unit_is_active(const struct managed_unit *u) {
    return u->state == STATE_RUNNING || u->state == STATE_RELOADING;
}

bool unit_is_idle(const struct managed_unit *u) {
    return u->state == STATE_INACTIVE || u->state == STATE_FAILED;
}

bool unit_has_processes(const struct managed_unit *u) {
    return u->config->type == UNIT_CONTAINER || u->config->type == UNIT_SERVICE;
}

enum service_type unit_service_type(const struct managed_unit *u) {
    const struct unit *c = u->config;

    if (c->type != UNIT_CONTAINER)
        return c->service.type == SERVICE_NOTIFY_RELOAD ? SERVICE_NOTIFY : c->service.type;
    /* As Quadlet does it: Notify= decides whose word counts. Without it a container is up when its program
     * runs, not already when its launch was asked for: a missing image must not pass for a start. */
    if (c->service.type == SERVICE_ONESHOT)
        return SERVICE_ONESHOT;
    return c->container && c->container->notify ? SERVICE_NOTIFY : SERVICE_EXEC;
}

bool unit_can_reload(const struct managed_unit *u) {
    const struct service_section *s = &u->config->service;
    struct managed_unit **others = graph_dependencies(u, DEP_PROPAGATES_RELOAD_TO);

    /* A target's reload is that of others. */
    return unit_has_processes(u) ? s->reload.count > 0 || s->reload_signal != 0 : others && *others;
}

void unit_fail(struct managed_unit *u, enum unit_result result) {
    if (u->pending_result == RESULT_SUCCESS)
        u->pending_result = result;
}

/* ---- the setter ---- */

#define BIT(x) (1u << (x))
#define IN_STATES(set, state) ((set) >> (state)&1)

/* In which states each timer has a meaning. TIMER_STATE belongs to one step and is always cancelled. */
static const unsigned timer_states[] = {
    [TIMER_STATE] = 0,
    [TIMER_WATCHDOG] = BIT(STATE_STARTING) | BIT(STATE_RUNNING) | BIT(STATE_RELOADING),
    [TIMER_RUNTIME] = BIT(STATE_RUNNING),
    [TIMER_STABLE] = BIT(STATE_RUNNING) | BIT(STATE_RELOADING),
    [TIMER_OOM] = BIT(STATE_STARTING) | BIT(STATE_RUNNING) | BIT(STATE_RELOADING) | BIT(STATE_STOPPING),
    [TIMER_JOB] = BIT(_STATE_COUNT) - 1,
    [TIMER_NEEDS] = BIT(_STATE_COUNT) - 1,
    [TIMER_POLL] = BIT(STATE_STOPPING),
};
_Static_assert(ARRAY_SIZE(timer_states) == _TIMER_COUNT, "each timer");

enum {
    EMPTY_WATCH_STATES = BIT(STATE_STOPPING),
    OOM_WATCH_STATES = BIT(STATE_STARTING) | BIT(STATE_RUNNING) | BIT(STATE_RELOADING) | BIT(STATE_STOPPING),
    LAUNCHING_STATES = BIT(STATE_PREPARING) | BIT(STATE_STARTING),
};

static void cancel_what_is_unused(struct managed_unit *u) {
    /* On v1 the removal of a group is told as if memory had run out in it. */
    bool group_goes = u->state == STATE_STOPPING && u->step == STEP_CLEANUP;

    for (int t = 0; t < _TIMER_COUNT; t++)
        if (!IN_STATES(timer_states[t], u->state))
            unit_timer_cancel(u, t);
    u->timeout_at = u->extended_until = USEC_INFINITY;
    if (u->state != STATE_PREPARING)
        list_remove(&u->slot_link);
    /* Both sources own their descriptors. */
    if (!IN_STATES(EMPTY_WATCH_STATES, u->state) && u->cgroup_source)
        u->cgroup_source = sd_event_source_disable_unref(u->cgroup_source);
    if (group_goes)
        unit_timer_cancel(u, TIMER_OOM);
    if ((group_goes || !IN_STATES(OOM_WATCH_STATES, u->state)) && u->oom_source)
        u->oom_source = sd_event_source_disable_unref(u->oom_source);
    /* The wait for readiness does not count as launching: a slow program must not hold up the others. */
    if (u->launching && (!IN_STATES(LAUNCHING_STATES, u->state) || u->step > STEP_START_MAIN)) {
        u->launching = false;
        jobs_slot_freed(u->manager);
    }
}

void unit_set_state(struct managed_unit *u, enum unit_state state, enum unit_step step) {
    enum unit_state old = u->state;

    if (old == state && u->step == step)
        return;
    u->state = state;
    u->step = step;
    cancel_what_is_unused(u);
    unit_mark_dirty(u);
    if (old == state)
        return;
    u->state_since = core_now();
    u->state_since_realtime = now_realtime();
    log_debug("%s: %s -> %s", u->name, state_names[old], state_names[state]);
    if (!list_empty(&u->manager->listeners))
        unit_emit(u->manager, unit_state_event(u, old));
    job_unit_changed(u, old, state);
}

void unit_mark_dirty(struct managed_unit *u) {
    if (list_empty(&u->save_queue))
        list_append(&u->manager->save_queue, &u->save_queue);
}

void unit_set_status_text(struct managed_unit *u, const char *text) {
    if (streq_ptr(u->status_text, isempty(text) ? NULL : text))
        return;
    if (free_and_strdup(&u->status_text, isempty(text) ? NULL : text) < 0)
        return; /* the old text stays; it is for people only */
    unit_mark_dirty(u);
}

/* ---- timers ---- */

void unit_timeout_in(struct managed_unit *u, usec_t delay) {
    u->timeout_at = delay == 0 ? USEC_INFINITY : usec_add(core_now(), delay);
    unit_timer_set(u, TIMER_STATE, u->timeout_at);
    unit_mark_dirty(u); /* the next davitd has to set it again */
}

static void on_stable(struct managed_unit *u) {
    if (u->start_limited)
        report_unit(u, LOG_NOTICE, NULL, "Runs again: the alarm of its start limit is over.");
    u->backoff_step = 0;
    u->start_limited = false;
    unit_mark_dirty(u);
}

void unit_timer_fired(struct managed_unit *u, enum unit_timer which) {
    switch (which) {
    case TIMER_STATE:
        /* EXTEND_TIMEOUT_USEC= came in time: as long as more of them come, the time-out waits. */
        if (u->extended_until != USEC_INFINITY && u->extended_until > core_now()) {
            u->timeout_at = u->extended_until;
            unit_timer_set(u, TIMER_STATE, u->timeout_at);
            unit_mark_dirty(u);
            return;
        }
        unit_event(u, EVENT_TIMEOUT);
        break;
    case TIMER_RUNTIME:
        unit_event(u, EVENT_TIMEOUT);
        break;
    case TIMER_WATCHDOG:
        unit_event(u, EVENT_WATCHDOG);
        break;
    case TIMER_STABLE:
        on_stable(u);
        break;
    case TIMER_OOM:
        if (unit_check_oom(u))
            unit_event(u, EVENT_OOM);
        else if (++u->oom_checks < 4)
            unit_timer_set(u, TIMER_OOM, usec_add(core_now(), (50 * USEC_PER_MSEC) << u->oom_checks));
        break;
    case TIMER_JOB:
        job_timed_out(u);
        break;
    case TIMER_NEEDS:
        unit_follow_up(u, FOLLOW_NEEDS);
        break;
    case TIMER_POLL:
        if (unit_group_is_populated(u))
            unit_watch_empty(u);
        else
            unit_event(u, EVENT_EMPTY);
        break;
    case _TIMER_COUNT:
        break;
    }
}

void unit_extend_timeout(struct managed_unit *u, usec_t usec) {
    usec_t until = usec_add(core_now(), usec);

    if (until == USEC_INFINITY)
        return;
    if (u->state == STATE_RUNNING) {
        /* RuntimeMaxSec= can be extended as well (sd_notify(3)). */
        if (unit_timer_is_set(u, TIMER_RUNTIME) && u->active_since + u->config->service.runtime_max < until)
            unit_timer_set(u, TIMER_RUNTIME, until);
        return;
    }
    if (u->timeout_at == USEC_INFINITY)
        return;
    u->extended_until = until;
    /* It never shortens: the time-out that the unit has is kept, unless the new one is later. */
    if (until > u->timeout_at) {
        u->timeout_at = until;
        unit_timer_set(u, TIMER_STATE, until);
        unit_mark_dirty(u);
    }
}

static void arm_watchdog(struct managed_unit *u) {
    bool counts = unit_is_active(u) || (u->state == STATE_STARTING && u->step == STEP_START_POST);

    if (u->watchdog_usec == 0 || u->watchdog_usec == USEC_INFINITY)
        unit_timer_cancel(u, TIMER_WATCHDOG);
    else if (counts)
        unit_timer_set(u, TIMER_WATCHDOG, usec_add(core_now(), u->watchdog_usec));
}

void unit_watchdog_ping(struct managed_unit *u) {
    arm_watchdog(u);
}

void unit_watchdog_set(struct managed_unit *u, usec_t usec) {
    u->watchdog_usec = usec;
    unit_mark_dirty(u);
    arm_watchdog(u);
}
