/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A process ended, was never there, or took too long: what that means, by the unit's state. */
#include <signal.h>
#include <sys/wait.h>

#include "base/parse.h"
#include "manager/core.h"

/* ---- the result of an end ---- */

static void report_exit(struct managed_unit *u, const char *what, const struct process_exit *x, bool good) {
    char buffer[16], number[16];

    if (x->code == EXIT_UNKNOWN) {
        report_unit(u, LOG_NOTICE, MESSAGE_PROCESS_EXIT, "%s ended, and how is not known.", what);
        return;
    }
    (void)snprintf(number, sizeof(number), "%d", x->status);
    report_unit(u, good ? LOG_DEBUG : LOG_NOTICE, MESSAGE_PROCESS_EXIT, "%s ended, code=%s, status=%s.", what,
        exit_code_word(x->code), x->code == CLD_EXITED ? number : signal_name(x->status, buffer));
}

/* It was told to end with this signal and did: by dying of it, or by saying so as shells do (128 + n). Where
 * nobody saw how, that is what it is taken for. */
static bool is_answer_to_stop(const struct managed_unit *u, const struct process_exit *x) {
    if (u->stop_signal_sent == 0)
        return false;
    if (x->code == EXIT_UNKNOWN)
        return true;
    return x->code == CLD_KILLED ? x->status == u->stop_signal_sent
                                 : x->code == CLD_EXITED && x->status == 128 + u->stop_signal_sent;
}

#define OOM_RECENT USEC_PER_SEC
/* The kernel counts first, and what it kills may be long in dying: its memory is given back before. */
#define OOM_DYING (30 * USEC_PER_SEC)

/* The counter is read here, whatever order the exit and the event of the group come in. A program that gives
 * up because the kernel has just killed its worker has failed for want of memory as well: OOMPolicy= says
 * what is done while it runs, not what is true when it has ended. */
static bool is_oom_kill(struct managed_unit *u, const struct process_exit *x) {
    usec_t recent = x->code == CLD_KILLED && x->status == SIGKILL ? OOM_DYING : OOM_RECENT;

    return unit_check_oom(u) || (u->oom_last != 0 && core_now() - u->oom_last < recent);
}

static enum unit_result main_result(struct managed_unit *u, const struct process_exit *x) {
    const struct unit *c = u->config;
    enum unit_result r;

    if (u->exec_failed)
        return u->state == STATE_STOPPING || u->start_again ? RESULT_SUCCESS : RESULT_RESOURCES;
    if (is_answer_to_stop(u, x))
        return RESULT_SUCCESS;
    r = result_from_exit(&c->service, x->code, x->status);
    if (r == RESULT_SUCCESS)
        return r;
    if (is_oom_kill(u, x))
        return RESULT_OOM_KILL;
    if (c->type == UNIT_SERVICE && u->main_index < c->service.start.count &&
        (c->service.start.commands[u->main_index].flags & EXEC_IGNORE_FAILURE))
        return RESULT_SUCCESS;
    return r;
}

void unit_main_exited(struct managed_unit *u, const struct process_exit *x) {
    enum unit_result r = main_result(u, x);

    u->main_code = x->code;
    u->main_status = x->status;
    unit_fail(u, r);
    report_exit(u, "Main process", x, r == RESULT_SUCCESS);
    unit_mark_dirty(u);
    if (u->run && !u->start_again)
        run_session_exited(u, x);
    unit_event(u, EVENT_MAIN_EXIT);
}

/* systemd.service(5): 255, and an end by a signal, are failures. */
static bool says_no(const struct process_exit *x) {
    return x->code == CLD_EXITED && x->status >= 1 && x->status <= 254;
}

void unit_control_exited(struct managed_unit *u, const struct process_exit *x) {
    const struct exec_list *l = unit_step_commands(u, u->state, u->step);
    enum unit_result r = result_from_control_exit(&u->config->service, x->code, x->status);
    bool ignore =
        l && u->control_index < l->count && (l->commands[u->control_index].flags & EXEC_IGNORE_FAILURE);

    if (u->step == STEP_CONDITION && says_no(x) && !ignore) {
        r = RESULT_EXEC_CONDITION;
        unit_condition_says_no(u);
    }
    report_exit(u, "Hook", x, r == RESULT_SUCCESS || r == RESULT_EXEC_CONDITION || ignore);
    if (x->code == EXIT_UNKNOWN && u->state == STATE_STARTING) {
        unit_start_over(u);
        return;
    }
    u->control_result = ignore ? RESULT_SUCCESS : r;
    if (u->state != STATE_RELOADING)
        unit_fail(u, u->control_result);
    unit_mark_dirty(u);
    unit_event(u, EVENT_CONTROL_EXIT);
}

/* ---- the program ---- */

static void oneshot_exited(struct managed_unit *u) {
    if (u->pending_result != RESULT_SUCCESS) {
        unit_enter_signal(u, STEP_STOP_SIGTERM, u->pending_result);
        return;
    }
    if (u->config->type == UNIT_SERVICE && u->main_index + 1 < u->config->service.start.count) {
        u->main_index++;
        unit_start_main(u);
        return;
    }
    unit_enter_start_post(u);
}

static void main_exited_while_starting(struct managed_unit *u) {
    if (u->step == STEP_START_POST) {
        /* With a hook under way, the end of the hook decides. */
        if (!u->control)
            unit_enter_stop(u, u->pending_result);
        return;
    }
    switch (unit_service_type(u)) {
    case SERVICE_ONESHOT:
        oneshot_exited(u);
        return;
    case SERVICE_NOTIFY:
    case SERVICE_NOTIFY_RELOAD:
        /* Only READY=1 makes it running, and that can no longer come. */
        if (u->pending_result == RESULT_SUCCESS && u->config->service.remain_after_exit &&
            u->config->service.notify_access != NOTIFY_MAIN)
            return;
        unit_enter_signal(
            u, STEP_STOP_SIGTERM, u->pending_result == RESULT_SUCCESS ? RESULT_PROTOCOL : u->pending_result);
        return;
    case SERVICE_SIMPLE:
    case SERVICE_EXEC:
        unit_enter_running(u); /* which sees that it is gone, or failed */
        return;
    }
}

void unit_on_main_exit(struct managed_unit *u) {
    if (u->start_again && u->exec_failed && u->state != STATE_STOPPING) {
        unit_enter_signal(u, STEP_FINAL_SIGKILL, RESULT_SUCCESS);
        return;
    }
    switch (u->state) {
    case STATE_STARTING:
        if (u->step != STEP_START_PRE)
            main_exited_while_starting(u);
        break;
    case STATE_RUNNING:
        unit_enter_running(u);
        break;
    case STATE_RELOADING:
        if (!u->control)
            unit_enter_stop(u, u->pending_result);
        break;
    case STATE_STOPPING:
        unit_on_stop_progress(u);
        break;
    default:
        break;
    }
}

/* No process was made at all. */
void unit_on_launch_failure(struct managed_unit *u) {
    if (u->state == STATE_STOPPING)
        unit_on_stop_progress(u);
    else
        unit_enter_signal(u, STEP_STOP_SIGTERM, RESULT_RESOURCES);
}

/* ---- hooks ---- */

static void control_exited_while_starting(struct managed_unit *u, enum unit_result r) {
    if (r != RESULT_SUCCESS)
        unit_enter_signal(u, STEP_STOP_SIGTERM, r);
    else if (u->step == STEP_CONDITION)
        unit_enter_start_pre(u);
    else if (u->step == STEP_START_PRE)
        unit_start_main(u);
    else if (u->step == STEP_START_POST)
        unit_enter_running(u);
}

void unit_on_control_exit(struct managed_unit *u) {
    enum unit_result r = u->control_result;
    bool failed = false;

    if (r == RESULT_SUCCESS && unit_step_commands(u, u->state, u->step)) {
        if (unit_run_next_command(u, &failed))
            return;
        if (failed) {
            r = RESULT_RESOURCES;
            if (u->state != STATE_RELOADING)
                unit_fail(u, r);
        }
    }
    switch (u->state) {
    case STATE_STARTING:
        control_exited_while_starting(u, r);
        break;
    case STATE_RELOADING:
        unit_reload_commands_done(u, r != RESULT_SUCCESS);
        break;
    case STATE_STOPPING:
        unit_on_stop_progress(u);
        break;
    default:
        break;
    }
}

/* ---- too long ---- */

void unit_on_start_timeout(struct managed_unit *u) {
    report_unit(u, LOG_WARNING, NULL, "Start timed out (%s). Terminating.", unit_step_name(u->step));
    unit_enter_signal(u, STEP_STOP_SIGTERM, RESULT_TIMEOUT);
}

void unit_on_runtime_max(struct managed_unit *u) {
    report_unit(u, LOG_WARNING, NULL, "Ran for RuntimeMaxSec=. Stopping.");
    unit_enter_stop(u, RESULT_TIMEOUT);
}

void unit_on_reload_timeout(struct managed_unit *u) {
    report_unit(u, LOG_WARNING, NULL, "Reload timed out.");
    if (u->control) {
        (void)process_kill(u->control, SIGKILL);
        process_abandon(TAKE_PTR(u->control));
    }
    unit_reload_done(u, true);
}

void unit_on_watchdog(struct managed_unit *u) {
    report_unit(u, LOG_ERR, NULL, "Watchdog: no WATCHDOG=1 in time. Aborting.");
    unit_enter_signal(u, STEP_STOP_WATCHDOG, RESULT_WATCHDOG);
}
