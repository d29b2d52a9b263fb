/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A unit goes on where an earlier davitd left it: saved state says what it was doing, its processes are
 * adopted, timers are armed for the moments that were saved, and what happened meanwhile arrives as the
 * events that it would have been.
 *
 * A launch of which nobody knows whether it came to anything is never simply repeated: the unit's group is
 * killed and seen to be empty first, everything is cleaned up, and then it starts once more (start_again).
 * Whether it came to anything is usually told by the launcher's socket; where davit-init is another one, that
 * socket is gone.
 */
#include <signal.h>

#include "manager/core.h"

/* 1 adopted, 0 there is none, -ESRCH lost. */
static int adopt(
    struct managed_unit *u, enum process_role role, struct recovered_process *saved, struct process **ret) {
    const struct process_callbacks *callbacks =
        role == PROCESS_MAIN ? &unit_main_callbacks : &unit_control_callbacks;
    struct recovered_process p = *saved;
    int r;

    *saved = (struct recovered_process){};
    if (p.request == 0)
        return 0;
    if (p.pid == 0 && u->manager->keeper_changed)
        return -ESRCH;
    r = process_adopt(u->manager, u, role, p.request, p.pid, p.stage, callbacks, NULL, ret);
    if (r < 0)
        return -ESRCH;
    (*ret)->begun_at = p.begun_at;
    if (p.foreign || u->manager->keeper_changed)
        process_set_foreign(*ret);
    return 1;
}

void unit_start_over(struct managed_unit *u) {
    report_unit(u, LOG_NOTICE, NULL, "Its launch was lost while davitd was away. Starting it again.");
    u->start_again = !u->stop_requested;
    unit_enter_signal(u, STEP_FINAL_SIGKILL, RESULT_SUCCESS);
}

static void resume_commands(struct managed_unit *u) {
    if (!u->control)
        unit_resume_commands(u);
}

static void recover_starting(struct managed_unit *u, bool main_lost, bool control_lost) {
    if (main_lost || (control_lost && u->manager->keeper_changed) ||
        (!u->main && (u->step == STEP_START_MAIN || u->step == STEP_START_READY))) {
        unit_start_over(u);
        return;
    }
    unit_timer_set(u, TIMER_STATE, u->timeout_at);
    if (u->step == STEP_CONDITION || u->step == STEP_START_PRE || u->step == STEP_START_POST) {
        unit_watchdog_ping(u);
        resume_commands(u);
    }
}

static void recover_running(struct managed_unit *u, bool main_lost, bool control_lost) {
    const struct service_section *s = &u->config->service;

    if (main_lost) {
        unit_start_over(u);
        return;
    }
    if (u->state == STATE_RELOADING) {
        unit_timer_set(u, TIMER_STATE, u->timeout_at);
        if (control_lost)
            resume_commands(u);
    }
    if (u->main && u->state == STATE_RUNNING && s->runtime_max != USEC_INFINITY && s->runtime_max != 0)
        unit_timer_set(u, TIMER_RUNTIME, usec_add(u->active_since, s->runtime_max));
    if (u->backoff_step > 0 || u->start_limited)
        unit_timer_set(u, TIMER_STABLE, usec_add(u->active_since, s->restart_reset_sec));
    if (u->main)
        unit_watchdog_ping(u);
}

static void recover_stopping(struct managed_unit *u) {
    switch (u->step) {
    case STEP_CLEANUP:
        unit_enter_cleanup(u, RESULT_SUCCESS); /* decides anew, on the same grounds */
        return;
    case STEP_STOP:
    case STEP_STOP_POST:
        unit_timer_set(u, TIMER_STATE, u->timeout_at);
        resume_commands(u);
        return;
    default:
        /* This step is saved before its signal is sent, and once more behind it. In between there was neither
         * signal nor time-out, and nothing would ever end the wait. */
        if (u->step == STEP_STOP_SIGTERM && u->stop_signal_sent == 0) {
            unit_enter_signal(u, STEP_STOP_SIGTERM, RESULT_SUCCESS);
            return;
        }
        /* The signal is out: the state was saved together with it. If it was not, the time-out brings the
         * next. */
        unit_timer_set(u, TIMER_STATE, u->timeout_at);
        unit_watch_empty(u);
        unit_on_stop_progress(u);
        return;
    }
}

int unit_recover(struct managed_unit *u) {
    bool main_lost, control_lost;

    u->recovered = true;
    /* The program's messages went to a socket that is gone with davit-init: it cannot be held to send any. */
    if (u->manager->keeper_changed && u->resources.notify_fd < 0)
        u->watchdog_usec = 0;
    u->extended_until = USEC_INFINITY;
    /* Its file was removed while davitd was away: saved state could not know. */
    if (!u->config->fragment && u->config->type != UNIT_TARGET)
        u->gone = true;
    main_lost = adopt(u, PROCESS_MAIN, &u->recovered_main, &u->main) < 0;
    control_lost = adopt(u, PROCESS_CONTROL, &u->recovered_control, &u->control) < 0;
    exec_recover(u);
    if (unit_has_processes(u) && !unit_is_idle(u) && u->state != STATE_WAITING && u->state != STATE_BACKOFF) {
        unit_watch_oom(u);
        if (u->state != STATE_PREPARING && unit_check_oom(u))
            unit_event(u, EVENT_OOM);
    }
    switch (u->state) {
    case STATE_WAITING: /* jobs_recover() makes the job again */
        u->saved_job_running = false;
        unit_set_state(u, STATE_INACTIVE, STEP_NONE);
        break;
    case STATE_PREPARING:
        unit_start_over(u);
        break;
    case STATE_STARTING:
        recover_starting(u, main_lost, control_lost);
        break;
    case STATE_RUNNING:
    case STATE_RELOADING:
        recover_running(u, main_lost, control_lost);
        break;
    case STATE_STOPPING:
        recover_stopping(u);
        break;
    case STATE_BACKOFF:
        u->timeout_at = u->backoff_until;
        unit_timer_set(u, TIMER_STATE, u->backoff_until);
        break;
    default:
        unit_follow_up(u, FOLLOW_COLLECT);
        break;
    }
    return 0;
}
