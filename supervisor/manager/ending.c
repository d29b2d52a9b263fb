/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end, as davitd has its part in it: it asks davit-init, whose affair it is how a machine or a container
 * ends (init/signals.h), and stops the units in their order. davit-init knows of the ending from the first
 * moment: should davitd die on the way, the next one is told to go on with it.
 *
 * However many units hang, and for however long each of them may: the stop of all together has a time-out.
 * Then what is left is killed.
 */
#include "manager/core.h"
#include "manager/rooms.h"

/* systemd's poweroff.target and its kin have JobTimeoutSec=30min. */
#define DEFAULT_STOP_USEC (30 * 60 * USEC_PER_SEC)

void manager_end(struct manager *m, const struct end_request *r) {
    const char *word = ending_format(r->ending);

    log_notice("%s: %s%s%s", word, r->reason, isempty(r->message) ? "" : ": ", r->message ?: "");
    if (r->status >= 0)
        m->exit_status = r->status;
    /* X_DAVIT first: such a message is never dropped, however many wait. */
    keeper_notify(m, "X_DAVIT_END=%s\nX_DAVIT_END_ARGUMENT=%s\nEXIT_STATUS=%d", word, r->argument ?: "",
        m->exit_status);
    if (r->ending.urgency == ENDING_ORDERLY)
        (void)manager_stop_all(m);
}

/* ---- the time-out of it all ---- */

static usec_t stop_timeout(struct manager *m) {
    const struct managed_unit *target = manager_find(m, "shutdown.target");

    if (m->settings.shutdown_timeout > 0)
        return m->settings.shutdown_timeout;
    usec_t wanted = target && !target->config->has_errors ? target->config->unit.job_timeout : 0;
    return wanted > 0 && wanted != USEC_INFINITY ? wanted : DEFAULT_STOP_USEC;
}

static int on_overdue(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
    struct manager *m = userdata;
    struct managed_unit *u;

    HASHMAP_FOREACH (u, m->units) {
        if (unit_is_idle(u))
            continue;
        report_unit(u, LOG_ERR, NULL, "Still %s (%s) when the time to stop all units is over: killed.",
            unit_state_name(u->state), unit_step_name(u->step));
        if (unit_has_processes(u) && m->cgroups)
            (void)cgroup_kill(m->cgroups, u->name, SIGKILL);
    }
    manager_set_ended(m);
    return 0;
}

void manager_arm_stop_timeout(struct manager *m) {
    usec_t timeout = stop_timeout(m);

    if (timeout == USEC_INFINITY || m->stop_timer)
        return;
    int r = sd_event_add_time_relative(
        m->event, &m->stop_timer, CLOCK_MONOTONIC, timeout, USEC_PER_SEC, on_overdue, m);
    if (r < 0)
        (void)log_errno(LOG_ERR, r, "No time-out for stopping all units");
}
