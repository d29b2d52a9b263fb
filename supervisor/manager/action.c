/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager/action.h"

#include "manager/core.h"

/* ---- the decision ---- */

static int exit_status(int wanted, int code, int status) {
    if (wanted >= 0)
        return wanted;
    if (code == 0)
        return 0;
    return code == CLD_EXITED ? status : 128 + status;
}

struct action action_decide(const struct unit_section *s, enum action_cause cause, int code, int status) {
    const struct {
        const char *key, *argument;
        int word, status;
    } table[] = {
        [CAUSE_FAILED] = {"FailureAction", s->reboot_argument, s->failure_action,
            exit_status(s->failure_action_status, code, status)},
        [CAUSE_SUCCEEDED] = {"SuccessAction", s->reboot_argument, s->success_action,
            exit_status(s->success_action_status, code, status)},
        [CAUSE_START_LIMIT] = {"StartLimitAction", s->reboot_argument, s->start_limit_action,
            exit_status(-1, code, status)},
        [CAUSE_JOB_TIMEOUT] = {"JobTimeoutAction", s->job_timeout_reboot_argument, s->job_timeout_action, 0},
    };
    _Static_assert(ARRAY_SIZE(table) == _CAUSE_COUNT, "a row for each cause");

    return (struct action){.key = table[cause].key,
        .ending = ending_of_word((size_t)table[cause].word),
        .status = table[cause].status,
        .argument = table[cause].argument};
}

/* ---- carrying it out ---- */

void unit_take_action(struct managed_unit *u, enum action_cause cause) {
    struct manager *m = u->manager;
    struct action a = action_decide(&u->config->unit, cause, u->main_code, u->main_status);

    if (a.ending.kind == ENDING_NONE)
        return;
    /* systemd's shutdown cannot be replaced by another one either. */
    if (m->phase >= PHASE_STOPPING) {
        report_unit(u, LOG_INFO, NULL, "%s=%s: an end is under way already.", a.key, ending_format(a.ending));
        return;
    }
    _cleanup_free_ char *reason = strf("%s= of %s", a.key, u->name);
    report_unit(u, LOG_WARNING, NULL, "%s=%s.", a.key, ending_format(a.ending));
    manager_end(m, &(struct end_request){.ending = a.ending,
                       .status = a.ending.kind == ENDING_EXIT ? a.status : -1,
                       .argument = a.argument,
                       .reason = reason ?: a.key});
}

/* ---- JobTimeoutSec=, JobRunningTimeoutSec= ---- */

static usec_t limit_of(usec_t since, usec_t timeout) {
    return since == 0 || timeout == 0 ? USEC_INFINITY : usec_add(since, timeout);
}

void job_arm_timeout(struct job *j) {
    const struct unit_section *s = &j->unit->config->unit;
    usec_t at = MIN(limit_of(j->queued_at, s->job_timeout), limit_of(j->running_at, s->job_running_timeout));

    unit_timer_set(j->unit, TIMER_JOB, at);
}

void job_timed_out(struct managed_unit *u) {
    if (!u->job)
        return;
    report_unit(u, LOG_ERR, NULL, "Job %s timed out.", job_type_name(u->job->type));
    job_finish(u->job, JOB_TIMEOUT, "the time for the job is over");
    unit_follow_up(u, FOLLOW_JOB_TIMEOUT);
}
