/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way down: ExecStop=, the stop signal, SIGKILL, ExecStopPost=, what that left behind, clean-up, and the
 * decision what comes next. Each step has a time-out that leads to the next one, so that nothing a program
 * does can hold a unit, or the machine's shutdown, for ever.
 */
#include <signal.h>

#include "manager/core.h"

/* For steps that only wait for the kernel, and where the unit says infinity. */
#define KILL_TIMEOUT (90 * USEC_PER_SEC)
#define CLEANUP_TIMEOUT (60 * USEC_PER_SEC)

usec_t unit_stop_timeout(const struct managed_unit *u) {
    const struct unit *c = u->config;

    /* 0 is no time at all, as with podman; to a timer, and in TimeoutStopSec=, it would be no end. */
    if (c->type == UNIT_CONTAINER && c->container && c->container->stop_timeout != USEC_INFINITY)
        return MAX(c->container->stop_timeout, (usec_t)1);
    return c->service.timeout_stop;
}

static int stop_signal(const struct managed_unit *u) {
    const struct unit *c = u->config;

    if (c->service.restart_kill_signal != 0 && u->job && u->job->type == JOB_RESTART)
        return c->service.restart_kill_signal;
    if (c->type == UNIT_CONTAINER && c->container && c->container->stop_signal != 0)
        return c->container->stop_signal;
    if (c->type == UNIT_CONTAINER && u->image_stop_signal != 0)
        return u->image_stop_signal;
    return c->service.kill_signal != 0 ? c->service.kill_signal : SIGTERM;
}

bool unit_group_is_populated(struct managed_unit *u) {
    return u->manager->cgroups && cgroup_is_populated(u->manager->cgroups, u->name) > 0;
}

static bool kills_group(const struct managed_unit *u) {
    return u->config->service.kill_mode == KILL_CONTROL_GROUP || u->config->service.kill_mode == KILL_MIXED;
}

static bool something_is_left(struct managed_unit *u) {
    return u->main || u->control || (kills_group(u) && unit_group_is_populated(u));
}

/* ---- signals ---- */

static void signal_process(struct process *p, int number) {
    if (!p)
        return;
    (void)process_kill(p, number);
    if (number != SIGKILL && number != SIGCONT)
        (void)process_kill(p, SIGCONT); /* a stopped process would never see it */
}

/* A hook of a container may run outside the container's group. */
static bool outside_group(struct managed_unit *u, const struct process *p) {
    return p && (p->pid == 0 || cgroup_has_pid(u->manager->cgroups, u->name, p->pid) <= 0);
}

static void kill_group(struct managed_unit *u, int number) {
    struct manager *m = u->manager;
    int r;

    if (outside_group(u, u->main))
        signal_process(u->main, number);
    if (outside_group(u, u->control))
        signal_process(u->control, number);
    r = cgroup_kill(m->cgroups, u->name, number);
    if (r >= 0 && number != SIGKILL)
        (void)cgroup_kill(m->cgroups, u->name, SIGCONT);
    if (r < 0 && r != -ENOENT)
        report_unit(u, LOG_WARNING, NULL, "Cannot signal all processes: %s", errno_text(r));
}

static void thaw(struct managed_unit *u) {
    if (!u->frozen)
        return;
    if (cgroup_freeze(u->manager->cgroups, u->name, false) >= 0)
        u->frozen = false;
}

/* Sends what the step and KillMode= ask for, while something is left. False: there is nobody that it could be
 * sent to and waited for. */
static bool send_signals(struct managed_unit *u, enum unit_step step, bool left) {
    enum kill_mode mode = u->config->service.kill_mode;
    bool kill = step == STEP_STOP_SIGKILL || step == STEP_FINAL_SIGKILL;
    const struct service_section *s = &u->config->service;
    int number = kill                         ? s->final_kill_signal
                 : step == STEP_STOP_WATCHDOG ? s->watchdog_signal
                                              : stop_signal(u);
    bool hang_up = s->send_sighup && !kill && step != STEP_STOP_WATCHDOG && number != SIGHUP;

    if (mode == KILL_NONE || !left)
        return false;
    thaw(u);
    if (!kill && step == STEP_STOP_SIGTERM)
        u->stop_signal_sent = number;
    if (mode == KILL_CONTROL_GROUP || (mode == KILL_MIXED && kill)) {
        kill_group(u, number);
        if (hang_up)
            kill_group(u, SIGHUP);
        return true;
    }
    signal_process(u->main, number);
    signal_process(u->control, number);
    if (hang_up)
        signal_process(u->main, SIGHUP);
    return u->main || u->control;
}

static usec_t signal_timeout(const struct managed_unit *u, enum unit_step step) {
    usec_t t = u->config->service.timeout_stop;

    if (step == STEP_STOP_SIGTERM)
        return unit_stop_timeout(u);
    if (step == STEP_STOP_WATCHDOG)
        return u->config->service.timeout_abort;
    if (step == STEP_STOP_SIGKILL || step == STEP_FINAL_SIGKILL)
        return t == 0 || t == USEC_INFINITY ? KILL_TIMEOUT : t;
    return t;
}

void unit_enter_signal(struct managed_unit *u, enum unit_step step, enum unit_result result) {
    unit_fail(u, result);
    /* The request to stop is on disk before its signal is out: a davitd that dies in between must not take
     * the end that follows for one that the program chose, and start it again. */
    if (step == STEP_STOP_SIGTERM && u->stop_requested) {
        unit_set_state(u, STATE_STOPPING, step);
        saved_flush(u->manager);
    }
    /* Once for all steps of this moment: what has gone does not come back, and asking costs. */
    bool left = something_is_left(u);
    for (;;) {
        unit_set_state(u, STATE_STOPPING, step);
        if (send_signals(u, step, left)) {
            unit_timeout_in(u, signal_timeout(u, step));
            unit_watch_empty(u);
            return;
        }
        switch (step) {
        case STEP_STOP_SIGTERM:
        case STEP_STOP_WATCHDOG:
            step = STEP_STOP_SIGKILL;
            break;
        case STEP_FINAL_SIGTERM:
            step = STEP_FINAL_SIGKILL;
            break;
        case STEP_STOP_SIGKILL: {
            const struct exec_list *post = unit_step_commands(u, STATE_STOPPING, STEP_STOP_POST);

            if (left || (post && post->count > 0)) {
                unit_enter_stop_post(u, RESULT_SUCCESS);
                return;
            }
            step = STEP_FINAL_SIGKILL;
            break;
        }
        default:
            unit_enter_cleanup(u, RESULT_SUCCESS);
            return;
        }
    }
}

/* ---- steps ---- */

void unit_enter_stop(struct managed_unit *u, enum unit_result result) {
    bool failed = false;

    unit_fail(u, result);
    unit_set_state(u, STATE_STOPPING, STEP_STOP);
    if (u->stop_requested)
        saved_flush(u->manager);
    if (!unit_has_processes(u)) {
        unit_enter_cleanup(u, RESULT_SUCCESS);
        return;
    }
    if (!unit_run_commands(u, &failed))
        unit_enter_signal(u, STEP_STOP_SIGTERM, failed ? RESULT_RESOURCES : RESULT_SUCCESS);
}

void unit_enter_stop_post(struct managed_unit *u, enum unit_result result) {
    bool failed = false;

    unit_fail(u, result);
    unit_set_state(u, STATE_STOPPING, STEP_STOP_POST);
    if (!unit_run_commands(u, &failed))
        unit_enter_signal(u, STEP_FINAL_SIGTERM, failed ? RESULT_RESOURCES : RESULT_SUCCESS);
}

static bool stop_is_pending(const struct managed_unit *u) {
    return u->stop_requested || u->manager->phase == PHASE_STOPPING ||
           (u->job && (u->job->type == JOB_STOP || u->job->type == JOB_RESTART));
}

static bool decide_restart(struct managed_unit *u) {
    struct restart_input in = {
        .result = u->pending_result,
        .main_exited = u->main_code != 0 && !u->exec_failed,
        .code = u->main_code,
        .status = u->main_status,
        .stop_requested = stop_is_pending(u),
        .was_oneshot = unit_service_type(u) == SERVICE_ONESHOT,
    };

    if (!unit_has_processes(u) || u->gone || u->transient)
        return false;
    return restart_decide(&u->config->service, &in, &u->restart_reason);
}

void unit_enter_cleanup(struct managed_unit *u, enum unit_result result) {
    unit_fail(u, result);
    u->will_restart = decide_restart(u);
    u->kept_for_restart = u->will_restart;
    /* Whoever survived SIGKILL sits in the kernel. The next start looks at the group before it does anything.
     */
    if (u->main)
        process_abandon(TAKE_PTR(u->main));
    if (u->control)
        process_abandon(TAKE_PTR(u->control));
    unit_set_state(u, STATE_STOPPING, STEP_CLEANUP);
    if (!unit_has_processes(u)) {
        unit_event(u, EVENT_CLEANED);
        return;
    }
    unit_timeout_in(u, CLEANUP_TIMEOUT);
    prepare_cleanup(u, u->kept_for_restart);
}

/* ---- the end ---- */

static void enter_backoff(struct managed_unit *u) {
    const struct service_section *s = &u->config->service;
    uint64_t random;
    usec_t delay;

    random_bytes(&random, sizeof(random));
    delay = u->start_limited ? start_limit_cap(s) : restart_delay(s, u->backoff_step + 1);
    delay = restart_jitter(s, delay, random);
    u->backoff_until = usec_add(core_now(), delay);
    unit_set_state(u, STATE_BACKOFF, STEP_NONE);
    u->timeout_at = u->backoff_until;
    unit_timer_set(u, TIMER_STATE, u->backoff_until);
}

/* A start that ExecCondition= did not want is no failure. */
static bool ended_well(const struct managed_unit *u) {
    return u->result == RESULT_SUCCESS || u->result == RESULT_EXEC_CONDITION;
}

static void report_end(struct managed_unit *u) {
    if (u->result == RESULT_EXEC_CONDITION)
        report_unit(u, LOG_INFO, NULL, "Skipped: %s says no.", u->condition ?: "ExecCondition=");
    else if (u->result == RESULT_SUCCESS)
        report_unit(u, LOG_DEBUG, MESSAGE_SUCCESS, "Ended well.");
    else
        report_unit(
            u, LOG_WARNING, MESSAGE_FAILURE_RESULT, "Failed with result '%s'.", unit_result_name(u->result));
}

static void finish(struct managed_unit *u) {
    bool inactive = u->stopped_in_backoff, restart = u->will_restart && !stop_is_pending(u);

    if (!inactive) {
        u->result = u->pending_result;
        if (unit_has_processes(u))
            report_end(u);
    }
    u->stopped_in_backoff = u->kept_for_restart = u->will_restart = false;
    if (u->start_again && !stop_is_pending(u)) {
        u->backoff_until = core_now();
        unit_set_state(u, STATE_BACKOFF, STEP_NONE);
        unit_event(u, EVENT_START);
        return;
    }
    u->start_again = false;
    if (restart)
        enter_backoff(u);
    else
        unit_set_state(u, inactive || ended_well(u) ? STATE_INACTIVE : STATE_FAILED, STEP_NONE);
    unit_follow_up(u, FOLLOW_COLLECT);
}

void unit_on_cleaned(struct managed_unit *u) {
    if (u->step != STEP_CLEANUP)
        return;
    if (u->kept_for_restart && stop_is_pending(u)) {
        /* Somebody stopped it while it was being cleaned up for a restart. */
        u->kept_for_restart = u->will_restart = false;
        prepare_cleanup(u, false);
        return;
    }
    finish(u);
}

/* ---- events ---- */

void unit_on_stop(struct managed_unit *u) {
    u->stop_requested = true;
    if (u->state == STATE_RELOADING && u->control) {
        (void)process_kill(u->control, SIGKILL);
        process_abandon(TAKE_PTR(u->control));
    }
    /* ExecStop= belongs to what was started completely. */
    if (u->state == STATE_STARTING)
        unit_enter_signal(u, STEP_STOP_SIGTERM, RESULT_SUCCESS);
    else
        unit_enter_stop(u, RESULT_SUCCESS);
}

void unit_on_stop_again(struct managed_unit *u) {
    u->stop_requested = true;
    u->will_restart = u->start_again = false;
    unit_mark_dirty(u);
}

void unit_on_stop_waiting(struct managed_unit *u) {
    unit_set_state(u, STATE_INACTIVE, STEP_NONE);
}

void unit_on_stop_preparing(struct managed_unit *u) {
    u->stop_requested = true;
    prepare_cancel(u);
    unit_enter_cleanup(u, RESULT_SUCCESS);
}

void unit_on_stop_backoff(struct managed_unit *u) {
    u->stop_requested = u->stopped_in_backoff = true;
    u->start_limited = false;
    unit_enter_cleanup(u, RESULT_SUCCESS);
}

/* STOPPING=1: as if the signal had been sent, and with the time that it would have had. */
void unit_on_stopping(struct managed_unit *u) {
    u->stop_by_notify = true;
    unit_mark_dirty(u);
    if (u->state == STATE_STARTING)
        return; /* unit_enter_running() remembers */
    if (u->control) {
        (void)process_kill(u->control, SIGKILL);
        process_abandon(TAKE_PTR(u->control));
    }
    unit_set_state(u, STATE_STOPPING, STEP_STOP_SIGTERM);
    unit_timeout_in(u, unit_stop_timeout(u));
    unit_watch_empty(u);
}

/* A process ended or the group became empty. */
void unit_on_stop_progress(struct managed_unit *u) {
    switch (u->step) {
    case STEP_STOP:
        if (!u->control)
            unit_enter_signal(u, STEP_STOP_SIGTERM, RESULT_SUCCESS);
        break;
    case STEP_STOP_SIGTERM:
    case STEP_STOP_SIGKILL:
    case STEP_STOP_WATCHDOG:
        if (!u->main && !u->control)
            unit_enter_stop_post(u, RESULT_SUCCESS);
        break;
    case STEP_STOP_POST:
        if (!u->main && !u->control)
            unit_enter_signal(u, STEP_FINAL_SIGTERM, RESULT_SUCCESS);
        break;
    case STEP_FINAL_SIGTERM:
    case STEP_FINAL_SIGKILL:
        if (!something_is_left(u))
            unit_enter_cleanup(u, RESULT_SUCCESS);
        break;
    default:
        break;
    }
}

void unit_on_stop_timeout(struct managed_unit *u) {
    report_unit(u, LOG_WARNING, NULL, "Stop timed out (%s).", unit_step_name(u->step));
    switch (u->step) {
    case STEP_STOP:
        unit_enter_signal(u, STEP_STOP_SIGTERM, RESULT_TIMEOUT);
        break;
    case STEP_STOP_SIGTERM:
    case STEP_STOP_WATCHDOG:
        unit_enter_signal(u, STEP_STOP_SIGKILL, RESULT_TIMEOUT);
        break;
    case STEP_STOP_SIGKILL:
        unit_enter_stop_post(u, RESULT_TIMEOUT);
        break;
    case STEP_STOP_POST:
        unit_enter_signal(u, STEP_FINAL_SIGTERM, RESULT_TIMEOUT);
        break;
    case STEP_FINAL_SIGTERM:
        unit_enter_signal(u, STEP_FINAL_SIGKILL, RESULT_TIMEOUT);
        break;
    case STEP_FINAL_SIGKILL:
        unit_enter_cleanup(u, RESULT_TIMEOUT);
        break;
    default:
        finish(u); /* cleaning up goes on by itself; the unit does not wait for it */
        break;
    }
}
