/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager/needs.h"

#include "manager/core.h"

#define LIMIT_INTERVAL (10 * USEC_PER_SEC)
#define LIMIT_BURST 16

/* How one unit can need another. */
static const enum dependency_kind needs[] = {
    DEP_REQUIRES, DEP_REQUISITE, DEP_WANTS, DEP_BINDS_TO, DEP_UPHOLDS};

/* Whether there is any rule for u: most units have none, and are not looked at. */
static bool has_rule(const struct managed_unit *u) {
    return u->config->unit.stop_when_unneeded || graph_dependencies(u, DEP_UPHELD_BY);
}

static bool is_unneeded(const struct managed_unit *u) {
    if (!u->config->unit.stop_when_unneeded || u->state != STATE_RUNNING || u->job)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
        GRAPH_FOREACH (other, graph_dependents(u, needs[i]))
            if (other->job || !unit_is_idle(other))
                return false;
    return true;
}

/* Who runs and wants u to, which does not; NULL: nobody. One that has a job itself is asked when that is
 * done. */
static const struct managed_unit *upheld_by(const struct managed_unit *u) {
    if (!unit_is_idle(u) || u->job || u->gone)
        return NULL;
    GRAPH_FOREACH (other, graph_dependencies(u, DEP_UPHELD_BY))
        if (!other->job && unit_is_active(other))
            return other;
    return NULL;
}

/* Counts what is about to be done. */
static bool is_allowed(struct managed_unit *u, const char *what) {
    if (start_limit_allows(&u->needs_limit, LIMIT_INTERVAL, LIMIT_BURST, core_now())) {
        unit_mark_dirty(u);
        return true;
    }
    if (!unit_timer_is_set(u, TIMER_NEEDS)) {
        report_unit(u, LOG_WARNING, NULL, "Not %s: that was done too often lately. It is tried later.", what);
        unit_timer_set(u, TIMER_NEEDS, usec_add(u->needs_limit.window_begin, LIMIT_INTERVAL));
    }
    return false;
}

static void ask(struct managed_unit *u, enum job_type type) {
    struct error e = {};
    struct job *j;

    if (transaction_run(u->manager, u, type, JOB_MODE_FAIL, 0, &j, &e) < 0)
        report_unit(
            u, LOG_WARNING, NULL, "Cannot be %s: %s", type == JOB_STOP ? "stopped" : "started", e.text);
}

void needs_look(struct managed_unit *u) {
    const struct managed_unit *upholder;

    if (u->manager->phase >= PHASE_STOPPING)
        return;
    if (is_unneeded(u) && is_allowed(u, "stopped, although nothing needs it any more")) {
        report_unit(u, LOG_INFO, NULL, "Stopping: nothing needs it any more.");
        ask(u, JOB_STOP);
    }
    upholder = upheld_by(u);
    if (upholder && is_allowed(u, "started again")) {
        report_unit(u, LOG_INFO, NULL, "Starting: %s upholds it.", upholder->name);
        ask(u, JOB_START);
    }
}

void needs_changed(struct managed_unit *u) {
    if (has_rule(u))
        unit_follow_up(u, FOLLOW_NEEDS);
    for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
        GRAPH_FOREACH (other, graph_dependencies(u, needs[i]))
            if (has_rule(other))
                unit_follow_up(other, FOLLOW_NEEDS);
}

void needs_look_at_all(struct manager *m) {
    struct managed_unit *u;

    HASHMAP_FOREACH (u, m->units)
        if (has_rule(u))
            unit_follow_up(u, FOLLOW_NEEDS);
}
