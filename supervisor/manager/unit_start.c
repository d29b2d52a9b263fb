/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way up: conditions, start limit, preparing, ExecStartPre=, the program, readiness, ExecStartPost=,
 * running; and reloading, which is a detour from running and back. */
#include <signal.h>

#include "manager/core.h"
#include "manager/rooms.h"

/* ---- may it start? ---- */

/* False: u->condition is the first that does not hold, and u->assert_failed whether that is a failure. */
static bool conditions_hold(struct managed_unit *u) {
    const struct unit_section *s = &u->config->unit;
    const struct condition *failed = conditions_first_failed(&s->conditions);

    u->assert_failed = false;
    if (!failed) {
        failed = conditions_first_failed(&s->asserts);
        u->assert_failed = failed;
    }
    free(u->condition);
    u->condition = failed ? condition_format(failed, u->assert_failed ? "Assert" : "Condition") : NULL;
    u->condition_failed = failed;
    return !failed;
}

/* The command of ExecCondition= that has just ended. */
void unit_condition_says_no(struct managed_unit *u) {
    const struct exec_command *c = unit_current_hook(u);

    free(u->condition);
    u->condition = strf("ExecCondition=%s", c ? c->path : "");
    u->condition_failed = true;
    u->assert_failed = false;
}

/* A back-off ends without a start: what was kept for the restart goes. Nobody waits for it. */
static void leave_backoff(struct managed_unit *u) {
    if (u->state == STATE_BACKOFF)
        prepare_cleanup(u, false);
}

/* False: the unit stays down, and its state says so. */
static bool start_limit_holds(struct managed_unit *u) {
    const struct unit_section *s = &u->config->unit;
    usec_t cap = start_limit_cap(&u->config->service);

    if (!u->automatic && !u->start_again) {
        u->start_limited = false;
        u->start_limit = (struct start_limit){};
        return true;
    }
    /* At the cap, the pace itself is the limit. */
    if (u->start_limited || u->start_again ||
        start_limit_allows(&u->start_limit, s->start_limit_interval, s->start_limit_burst, core_now()))
        return true;

    unit_follow_up(u, FOLLOW_START_LIMIT);
    if (u->manager->settings.keep_trying && u->state == STATE_BACKOFF) {
        u->start_limited = true;
        u->restarts -= u->restarts > 0; /* this one did not take place */
        unit_set_state(u, STATE_BACKOFF, STEP_NONE);
        u->backoff_until = usec_add(core_now(), cap);
        unit_timer_set(u, TIMER_STATE, u->backoff_until);
        unit_mark_dirty(u);
        report_unit(u, LOG_ALERT, MESSAGE_START_LIMIT,
            "Started too often (%u times in %llu s). It is tried again every %llu s; look at it.",
            s->start_limit_burst, (unsigned long long)(s->start_limit_interval / USEC_PER_SEC),
            (unsigned long long)(cap / USEC_PER_SEC));
        return false;
    }
    u->result = RESULT_START_LIMIT_HIT;
    report_unit(u, LOG_ERR, MESSAGE_FAILED, "Started too often (%u times in %llu s). Giving up.",
        s->start_limit_burst, (unsigned long long)(s->start_limit_interval / USEC_PER_SEC));
    leave_backoff(u);
    unit_set_state(u, STATE_FAILED, STEP_NONE);
    return false;
}

/* A run begins with nothing of the last one, except the counters that span runs. */
static void forget_last_run(struct managed_unit *u) {
    /* The counter of automatic restarts is kept as long as the unit does not stay down. */
    if (!u->automatic && !u->start_again) {
        u->restarts = 0;
        u->backoff_step = 0;
    }
    id128_random(u->invocation);
    u->result = u->pending_result = RESULT_SUCCESS;
    unit_set_error(u, NULL);
    unit_set_status_text(u, NULL);
    u->main_code = u->main_status = 0;
    u->main_index = u->control_index = 0;
    u->restart_reason = NULL;
    u->ready_received = u->stop_requested = u->stop_by_dependency = false;
    u->will_restart = u->start_again = u->returns_with_dependency = u->exec_failed = u->stop_by_notify =
        false;
    u->frozen = u->reload_failed = u->recovered = false;
    u->oom_kills_seen = 0;
    u->oom_last = 0;
    u->active_since = 0;
    u->activating_since = core_now();
    u->image_stop_signal = u->stop_signal_sent = 0;
    u->watchdog_usec = u->config->service.watchdog;
    u->prepare_attempts = 0;
    u->prepare_waits = u->fill_tried = u->volumes_filled = false;
    free(TAKE_PTR(u->pulled_image));
    u->poll_delay = 0;
}

/* Something of an earlier run that would not die (a process in an uninterruptible sleep, say) is still there.
 * There must never be two of a container. */
static bool leftovers_are_gone(struct managed_unit *u) {
    enum kill_mode mode = u->config->service.kill_mode;
    struct error e = {};

    int populated = u->manager->cgroups ? cgroup_is_populated(u->manager->cgroups, u->name) : -ENOENT;
    u->resources.group_is_old = populated != -ENOENT;
    if (mode == KILL_NONE || mode == KILL_PROCESS || populated <= 0)
        return true;
    (void)cgroup_kill(u->manager->cgroups, u->name, SIGKILL);
    if (!unit_group_is_populated(u))
        return true;
    error_set_step(&e, "cgroup");
    error_set(&e, EBUSY, "processes of an earlier run are still there and cannot be killed yet");
    unit_set_error(u, &e);
    return false;
}

static void prepare(struct managed_unit *u) {
    u->timeout_at = u->prepare_deadline;
    unit_timer_set(u, TIMER_STATE, u->timeout_at);
    if (leftovers_are_gone(u)) {
        prepare_start(u);
        return;
    }
    unit_fail(u, RESULT_RESOURCES);
    unit_event(u, EVENT_FAILURE);
}

/* A condition that does not hold is no failure, and an assert is one of the job: the unit itself never began. */
static void refuse_start(struct managed_unit *u) {
    const char *what = u->condition ? u->condition : "a condition";

    if (u->assert_failed)
        report_unit(u, LOG_ERR, NULL, "Not started: %s does not hold.", what);
    else
        report_unit(u, LOG_INFO, NULL, "Skipped: %s does not hold.", what);
    unit_mark_dirty(u);
    leave_backoff(u);
    unit_set_state(u, STATE_INACTIVE, STEP_NONE);
    if (u->job) /* the state was inactive before: nobody was told */
        job_finish(u->job, u->assert_failed ? JOB_FAILED : JOB_SKIPPED, u->condition);
}

void unit_begin_start(struct managed_unit *u) {
    struct error e = {};

    unit_take_next_config(u);
    if (!conditions_hold(u)) {
        refuse_start(u);
        return;
    }
    if (!start_limit_holds(u))
        return;
    forget_last_run(u);
    if (u->config->type == UNIT_TARGET) {
        unit_enter_running(u);
        return;
    }
    if (u->config->type == UNIT_VOLUME) {
        unit_set_state(u, STATE_PREPARING, STEP_NONE);
        if (volume_prepare(u, &e) < 0) {
            unit_set_error(u, &e);
            unit_fail(u, RESULT_RESOURCES);
            unit_event(u, EVENT_FAILURE);
        } else
            unit_event(u, EVENT_PREPARED);
        return;
    }
    if (unit_has_processes(u)) {
        u->launching = true;
        u->manager->jobs->launching++;
    }
    u->prepare_deadline = u->config->service.timeout_prepare == 0
                              ? USEC_INFINITY
                              : usec_add(core_now(), u->config->service.timeout_prepare);
    unit_set_state(u, STATE_PREPARING, STEP_NONE);
    prepare(u);
}

/* ---- preparing ---- */

enum { PREPARE_ATTEMPTS = 3 };
#define PREPARE_RETRY_DELAY (500 * USEC_PER_MSEC)
#define PREPARE_RETRY_MAX (30 * USEC_PER_SEC)

/* What may be gone in a moment; a missing image is not. */
static bool failure_is_transient(int number) {
    switch (number) {
    case EAGAIN:
    case EBUSY:
    case EINTR:
    case ENOMEM:
    case ENFILE:
    case EMFILE:
    case ETIMEDOUT:
    case ENOBUFS:
        return true;
    default:
        return false;
    }
}

/* A registry that cannot be reached: at boot the network often comes later than we do, so there is no number
 * of attempts but the time-out. */
static bool failure_is_of_network(const struct error *e) {
    static const int numbers[] = {
        EHOSTUNREACH, ENETUNREACH, ECONNREFUSED, ECONNRESET, ETIMEDOUT, EREMOTEIO, EIO, EBUSY};

    if (!streq(e->step, PULL_STEP))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        if (e->number == numbers[i])
            return true;
    return false;
}

void unit_on_prepare_failure(struct managed_unit *u) {
    const struct error *e = unit_error(u);
    usec_t delay;

    u->prepare_attempts++;
    delay = MIN(PREPARE_RETRY_DELAY << MIN(u->prepare_attempts, 8U), PREPARE_RETRY_MAX);
    /* Somebody waits at a terminal for a one-off container: a name with a typing error is told. */
    bool again = (failure_is_of_network(e) && !u->transient) ||
                 (failure_is_transient(e->number) && u->prepare_attempts < PREPARE_ATTEMPTS);
    if (again && usec_add(core_now(), delay) < u->prepare_deadline) {
        u->pending_result = RESULT_SUCCESS;
        u->prepare_waits = true;
        unit_slot_release(u);
        unit_timer_set(u, TIMER_STATE, usec_add(core_now(), delay));
        unit_mark_dirty(u);
        return;
    }
    unit_enter_cleanup(u, RESULT_RESOURCES);
}

void unit_prepare_again(struct managed_unit *u) {
    if (u->state == STATE_PREPARING)
        prepare(u);
}

void unit_on_prepare_timeout(struct managed_unit *u) {
    struct error e = {};

    if (u->prepare_waits) {
        u->prepare_waits = false;
        u->timeout_at = u->prepare_deadline;
        unit_timer_set(u, TIMER_STATE, u->timeout_at);
        unit_slot_request(u);
        return;
    }
    prepare_cancel(u);
    error_set_step(&e, "prepare");
    error_set(&e, ETIMEDOUT, "not prepared within TimeoutPrepareSec=");
    unit_set_error(u, &e);
    unit_enter_cleanup(u, RESULT_TIMEOUT);
}

void unit_on_prepared(struct managed_unit *u) {
    bool failed = false;

    unit_set_error(u, NULL);
    unit_set_status_text(u, NULL);
    if (!unit_has_processes(u)) {
        unit_enter_running(u);
        return;
    }
    unit_set_state(u, STATE_STARTING, STEP_CONDITION);
    unit_watch_oom(u);
    if (unit_run_commands(u, &failed))
        return;
    if (failed)
        unit_enter_signal(u, STEP_STOP_SIGTERM, RESULT_RESOURCES);
    else
        unit_enter_start_pre(u);
}

void unit_enter_start_pre(struct managed_unit *u) {
    bool failed = false;

    unit_set_state(u, STATE_STARTING, STEP_START_PRE);
    if (unit_run_commands(u, &failed))
        return;
    if (failed)
        unit_enter_signal(u, STEP_STOP_SIGTERM, RESULT_RESOURCES);
    else
        unit_start_main(u);
}

/* ---- the program ---- */

void unit_start_main(struct managed_unit *u) {
    enum service_type type = unit_service_type(u);

    unit_set_state(u, STATE_STARTING, STEP_START_MAIN);
    /* Nothing to run is fine for a oneshot: it is about its hooks. */
    if (u->config->type == UNIT_SERVICE && u->config->service.start.count == 0) {
        unit_enter_start_post(u);
        return;
    }
    unit_timeout_in(u, u->config->service.timeout_start);
    /* From here on a crash of davitd must find that there is a launch to look for: the state is on disk
     * first, see unit_spawn_main(). */
    if (unit_spawn_main(u) < 0) {
        unit_enter_signal(u, STEP_STOP_SIGTERM, RESULT_RESOURCES);
        return;
    }
    if (type == SERVICE_SIMPLE)
        unit_enter_start_post(u);
}

/* The program runs. What that means for the start depends on Type=. */
void unit_on_launched(struct managed_unit *u) {
    if (u->step != STEP_START_MAIN)
        return;
    switch (unit_service_type(u)) {
    case SERVICE_SIMPLE:
    case SERVICE_EXEC:
        unit_enter_start_post(u);
        return;
    case SERVICE_NOTIFY:
    case SERVICE_NOTIFY_RELOAD: /* not one of unit_service_type() */
    case SERVICE_ONESHOT: {
        /* The step changes, its time-out goes on. */
        usec_t at = u->timeout_at, extended = u->extended_until;

        unit_set_state(u, STATE_STARTING, STEP_START_READY);
        u->timeout_at = at;
        u->extended_until = extended;
        unit_timer_set(u, TIMER_STATE, at);
        if (u->ready_received && unit_service_type(u) == SERVICE_NOTIFY)
            unit_enter_start_post(u);
        return;
    }
    }
}

void unit_on_ready(struct managed_unit *u) {
    u->ready_received = true;
    unit_mark_dirty(u);
    if (u->state == STATE_RELOADING) {
        /* Not the answer to our signal, but something from before. */
        if (u->reload_waits == RELOAD_WAITS_FOR_WORD)
            return;
        /* A reload that the program announced itself is over; one by ExecReload= is over when its commands
         * are. */
        u->reload_waits = RELOAD_WAITS_NOT;
        if (!u->control)
            unit_reload_done(u, false);
    } else if (u->step == STEP_START_READY && unit_service_type(u) == SERVICE_NOTIFY)
        unit_enter_start_post(u);
    /* In STEP_START_MAIN the message overtook the launcher's report: unit_on_launched() remembers. */
}

void unit_enter_start_post(struct managed_unit *u) {
    bool failed = false;

    unit_set_state(u, STATE_STARTING, STEP_START_POST);
    unit_watchdog_ping(u); /* it counts from readiness */
    if (unit_run_commands(u, &failed))
        return;
    if (failed)
        unit_enter_stop(u, RESULT_RESOURCES);
    else
        unit_enter_running(u);
}

static bool main_is_good(const struct managed_unit *u) {
    return !unit_has_processes(u) || u->main;
}

/* Also the way back from a reload, and the place that decides when the program ended meanwhile. */
void unit_enter_running(struct managed_unit *u) {
    const struct service_section *s = &u->config->service;
    bool first = !unit_is_active(u);

    if (u->pending_result != RESULT_SUCCESS) {
        unit_enter_signal(u, STEP_STOP_SIGTERM, u->pending_result);
        return;
    }
    if (first)
        u->active_since = core_now();
    unit_set_state(u, STATE_RUNNING, STEP_NONE);
    if (first)
        report_unit(u, LOG_INFO, MESSAGE_STARTED, "Started %s.",
            u->config->unit.description ? u->config->unit.description : u->name);
    if (!main_is_good(u) && !s->remain_after_exit) {
        unit_enter_stop(u, RESULT_SUCCESS); /* a oneshot that did its work */
        return;
    }
    if (u->stop_by_notify) { /* STOPPING=1 came while it was starting */
        unit_on_stopping(u);
        return;
    }
    if (!u->main) {
        unit_timer_cancel(u, TIMER_WATCHDOG);
        unit_timer_cancel(u, TIMER_RUNTIME);
        return;
    }
    unit_watchdog_ping(u);
    if (s->runtime_max != USEC_INFINITY && s->runtime_max != 0 && unit_service_type(u) != SERVICE_ONESHOT)
        unit_timer_set(u, TIMER_RUNTIME, usec_add(u->active_since, s->runtime_max));
    if ((u->backoff_step > 0 || u->start_limited) && !unit_timer_is_set(u, TIMER_STABLE))
        unit_timer_set(u, TIMER_STABLE, usec_add(u->active_since, s->restart_reset_sec));
}

/* ---- reloading ---- */

void unit_begin_reload(struct managed_unit *u) {
    const struct service_section *s = &u->config->service;
    bool failed = false;

    u->reload_failed = false;
    unit_set_state(u, STATE_RELOADING, STEP_NONE);
    if (s->reload_signal != 0 && u->main)
        (void)process_kill(u->main, s->reload_signal);
    u->reload_waits = s->type == SERVICE_NOTIFY_RELOAD && u->main ? RELOAD_WAITS_FOR_WORD : RELOAD_WAITS_NOT;
    if (!unit_run_commands(u, &failed))
        unit_reload_commands_done(u, failed);
}

/* Type=notify-reload: the program's own word is still to come. */
void unit_reload_commands_done(struct managed_unit *u, bool failed) {
    if (failed || u->reload_waits == RELOAD_WAITS_NOT)
        unit_reload_done(u, failed);
    else
        unit_timeout_in(u, u->config->service.timeout_start);
}

void unit_on_reloading(struct managed_unit *u) {
    u->reload_failed = false;
    u->reload_waits = RELOAD_WAITS_NOT;
    unit_set_state(u, STATE_RELOADING, STEP_NONE);
    unit_timeout_in(u, u->config->service.timeout_start);
    unit_follow_up(u, FOLLOW_RELOAD);
}

/* RELOADING=1 as the answer to ReloadSignal=: the READY=1 that follows belongs to it. */
void unit_on_reload_begun(struct managed_unit *u) {
    if (u->reload_waits == RELOAD_WAITS_FOR_WORD)
        u->reload_waits = RELOAD_WAITS_FOR_READY;
}

/* A reload that failed leaves the program running as it was. */
void unit_reload_done(struct managed_unit *u, bool failed) {
    u->reload_failed = failed;
    u->reload_waits = RELOAD_WAITS_NOT;
    if (failed)
        report_unit(u, LOG_WARNING, NULL, "Reload failed; it runs on with what it had.");
    else
        report_unit(u, LOG_INFO, MESSAGE_RELOADED, "Reloaded %s.",
            u->config->unit.description ? u->config->unit.description : u->name);
    unit_enter_running(u);
}
