/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processes of a unit: its program and the hooks around it. Asks for them, and turns what becomes of them
 * into events. */
#include <signal.h>

#include "manager/core.h"

#define LAUNCHES_LOST_MAX 3

static void close_fds(int *fds, size_t n) {
    for (size_t i = 0; i < n; i++)
        close_and_reset(&fds[i]);
}

static usec_t command_timeout(const struct managed_unit *u) {
    return u->state == STATE_STOPPING ? u->config->service.timeout_stop : u->config->service.timeout_start;
}

static int spawn_control(struct managed_unit *u, const struct exec_command *c) {
    struct error e = {};
    int fds[SPEC_MAX_FDS], r;
    size_t n_fds = 0;
    struct container_spec spec;

    spec_init(&spec);
    r = prepare_control_spec(u, c, &spec, fds, &n_fds, &e);
    if (r >= 0) {
        u->hook_lost = false;
        unit_mark_dirty(u);
        r = process_start(u->manager, u, PROCESS_CONTROL, &spec, fds, n_fds, &unit_control_callbacks, NULL,
            &u->control, &e);
    }
    close_fds(fds, n_fds);
    spec_done(&spec);
    if (r < 0) {
        unit_set_error(u, &e);
        report_unit(u, LOG_ERR, NULL, "Cannot run %s: %s", c->path, e.text);
    }
    return r;
}

bool unit_run_current_command(struct managed_unit *u, bool *ret_failed) {
    const struct exec_list *l = unit_step_commands(u, u->state, u->step);

    for (; l && u->control_index < l->count; u->control_index++) {
        const struct exec_command *c = &l->commands[u->control_index];

        unit_timeout_in(u, command_timeout(u));
        if (spawn_control(u, c) >= 0)
            return true;
        if (!(c->flags & EXEC_IGNORE_FAILURE)) {
            unit_timer_cancel(u, TIMER_STATE);
            *ret_failed = true;
            return false;
        }
    }
    unit_timer_cancel(u, TIMER_STATE);
    return false;
}

bool unit_run_commands(struct managed_unit *u, bool *ret_failed) {
    u->control_index = 0;
    return unit_run_current_command(u, ret_failed);
}

bool unit_run_next_command(struct managed_unit *u, bool *ret_failed) {
    u->control_index++;
    return unit_run_current_command(u, ret_failed);
}

void unit_resume_commands(struct managed_unit *u) {
    bool failed = false;

    if (unit_run_current_command(u, &failed))
        return;
    /* Nothing was left to run: as if the last one had ended just now. */
    u->control_result = failed ? RESULT_RESOURCES : RESULT_SUCCESS;
    unit_event(u, EVENT_CONTROL_EXIT);
}

int unit_spawn_main(struct managed_unit *u) {
    struct error e = {};
    int fds[SPEC_MAX_FDS], r;
    size_t n_fds = 0;
    struct container_spec spec;

    spec_init(&spec);
    r = prepare_main_spec(u, &spec, fds, &n_fds, &e);
    if (r >= 0) {
        u->exec_failed = false;
        unit_mark_dirty(u);
        r = process_start(
            u->manager, u, PROCESS_MAIN, &spec, fds, n_fds, &unit_main_callbacks, NULL, &u->main, &e);
    }
    close_fds(fds, n_fds);
    spec_done(&spec);
    if (r < 0) {
        unit_set_error(u, &e);
        report_unit(u, LOG_ERR, NULL, "Cannot launch: %s", e.text);
    }
    return r;
}

/* ---- what becomes of them ---- */

static void main_begun(struct process *p) {
    unit_mark_dirty(p->unit);
    if (p->unit->run && unit_service_type(p->unit) == SERVICE_SIMPLE)
        run_session_started(p->unit);
}

static void main_started(struct process *p) {
    struct managed_unit *u = p->unit;

    u->launches_lost = 0;
    unit_mark_dirty(u);
    if (u->run)
        run_session_started(u);
    unit_event(u, EVENT_LAUNCHED);
}

/* Nothing of the program has run, so it is started again, unless this unit is what launchers die of. */
static bool is_worth_another(struct managed_unit *u, const struct process *p, const struct error *e) {
    return process_is_lost_launch(p, e) && u->launches_lost++ < LAUNCHES_LOST_MAX;
}

static void main_failed(struct process *p, const struct error *e) {
    struct managed_unit *u = p->unit;

    u->exec_failed = true;
    unit_mark_dirty(u);
    if (!u->stop_requested && u->state != STATE_STOPPING && is_worth_another(u, p, e)) {
        report_unit(u, LOG_NOTICE, NULL, "Its launcher died. Starting it again.");
        u->start_again = true;
        return;
    }
    unit_set_error(u, e);
    if (u->state != STATE_STOPPING) /* else it was withdrawn, or killed while it was still being set up */
        report_unit(u, LOG_ERR, NULL, "Launch failed at step %s: %s", *e->step ? e->step : "?", e->text);
    if (p->pid != 0)
        return; /* its exit follows */
    u->main = NULL;
    process_free(p);
    unit_event(u, EVENT_FAILURE);
}

static void main_exited(struct process *p, const struct process_exit *x) {
    struct managed_unit *u = p->unit;

    /* What it said before it ended counts: a READY=1 and an exit may come in one turn of the loop. */
    notify_drain(u);
    u->main = NULL;
    process_free(p);
    unit_main_exited(u, x);
}

static void control_begun(struct process *p) {
    unit_mark_dirty(p->unit);
}

static void control_started(struct process *p) {
    p->unit->launches_lost = 0;
    unit_mark_dirty(p->unit);
}

static void control_failed(struct process *p, const struct error *e) {
    struct managed_unit *u = p->unit;

    if (is_worth_another(u, p, e)) {
        u->hook_lost = true;
        unit_mark_dirty(u);
        return; /* its exit follows */
    }
    if (!u->error)
        unit_set_error(u, e);
    report_unit(u, LOG_ERR, NULL, "A hook cannot be run, step %s: %s", *e->step ? e->step : "?", e->text);
    if (p->pid != 0)
        return;
    /* It never was. To the state machine that is a hook that failed. */
    u->control = NULL;
    process_free(p);
    unit_control_exited(u, &(struct process_exit){.code = CLD_EXITED, .status = 255, .when = core_now()});
}

static void control_exited(struct process *p, const struct process_exit *x) {
    struct managed_unit *u = p->unit;

    u->control = NULL;
    process_free(p);
    if (u->hook_lost && unit_current_hook(u)) {
        report_unit(u, LOG_NOTICE, NULL, "The launcher of a hook died. Running the hook again.");
        unit_resume_commands(u);
        return;
    }
    unit_control_exited(u, x);
}

const struct process_callbacks unit_main_callbacks = {
    .begun = main_begun,
    .started = main_started,
    .failed = main_failed,
    .exited = main_exited,
};
const struct process_callbacks unit_control_callbacks = {
    .begun = control_begun,
    .started = control_started,
    .failed = control_failed,
    .exited = control_exited,
};
