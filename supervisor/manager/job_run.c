/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The run queue: starts jobs whose turn it is, and does what changes of state have led to. Runs from the
 * event loop at PRIORITY_RUN_QUEUE, after everything that has happened is known. */
#include "manager/core.h"
#include "manager/needs.h"

/* ---- running a job ---- */

static const char *requisite_missing(struct managed_unit *u) {
    static const enum dependency_kind kinds[] = {DEP_REQUISITE, DEP_BINDS_TO};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        GRAPH_FOREACH (other, graph_dependencies(u, kinds[i])) {
            bool ordered = false;

            GRAPH_FOREACH (before, graph_dependencies(u, DEP_AFTER))
                ordered |= before == other;
            /* BindsTo= without After= says nothing about now. */
            if ((ordered || kinds[i] == DEP_REQUISITE) && !unit_is_active(other))
                return other->name;
        }
    return NULL;
}

static void run_start(struct managed_unit *u, struct job *j) {
    const char *missing;

    switch (u->state) {
    case STATE_RUNNING:
    case STATE_RELOADING:
        job_finish(j, JOB_DONE, NULL);
        return;
    case STATE_PREPARING:
    case STATE_STARTING:
        job_set_running(j, true);
        return;
    case STATE_STOPPING:
        return; /* job_changed() comes back to it */
    case STATE_BACKOFF:
        /* A dependency's wish is no reason to cut a back-off short; a person's is. */
        if (!j->by_person && !j->automatic)
            return;
        break;
    default:
        break;
    }
    missing = j->ignore_order ? NULL : requisite_missing(u);
    if (missing) {
        job_fail_start(u, missing, "is not active");
        return;
    }
    if (unit_has_processes(u) && !jobs_slot_available(u->manager)) {
        list_remove(&j->run_queue);
        list_append(&u->manager->jobs->slot_queue, &j->run_queue);
        return;
    }
    job_set_running(j, true);
    u->automatic = !j->by_person;
    unit_event(u, EVENT_START);
}

static void run_stop(struct managed_unit *u, struct job *j) {
    if (unit_is_idle(u)) {
        job_finish(j, JOB_DONE, NULL);
        return;
    }
    job_set_running(j, true);
    unit_event(u, EVENT_STOP);
}

static void run_restart(struct managed_unit *u, struct job *j) {
    if (unit_is_idle(u) || u->state == STATE_WAITING) {
        j->type = JOB_START;
        u->saved_job = JOB_START;
        if (unit_is_idle(u))
            unit_set_state(u, STATE_WAITING, STEP_NONE);
        job_enqueue(j);
        return;
    }
    job_set_running(j, true);
    unit_event(u, EVENT_STOP);
}

static void run_reload(struct managed_unit *u, struct job *j) {
    switch (u->state) {
    case STATE_RUNNING:
        if (!unit_has_processes(u)) {
            job_finish(j, JOB_DONE, NULL);
            return;
        }
        job_set_running(j, true);
        unit_event(u, EVENT_RELOAD);
        return;
    case STATE_WAITING:
    case STATE_PREPARING:
    case STATE_STARTING:
    case STATE_RELOADING:
        return; /* after that */
    default:
        job_finish(j, JOB_FAILED, "it is not running");
        return;
    }
}

static bool order_allows(const struct job *j) {
    if (j->ignore_order)
        return true;
    GRAPH_FOREACH (after, graph_dependencies(j->unit, DEP_AFTER))
        if (after->job && job_comes_before(after->job, j))
            return false;
    GRAPH_FOREACH (before, graph_dependencies(j->unit, DEP_BEFORE))
        if (before->job && job_comes_before(before->job, j))
            return false;
    return true;
}

static void run_by_type(struct managed_unit *u, struct job *j) {
    switch (j->type) {
    case JOB_START:
        run_start(u, j);
        break;
    case JOB_STOP:
        run_stop(u, j);
        break;
    case JOB_RESTART:
        run_restart(u, j);
        break;
    case JOB_RELOAD:
        run_reload(u, j);
        break;
    default:
        job_finish(j, JOB_FAILED, "unknown type");
        break;
    }
}

static void run_job(struct job *j) {
    list_remove(&j->run_queue);
    if (j->running || !order_allows(j))
        return; /* whoever is before it wakes it when it is done */
    run_by_type(j->unit, j);
}

/* ---- what changes of state lead to ---- */

static void start_all(struct managed_unit *u, struct managed_unit **units, const char *why) {
    GRAPH_FOREACH (other, units) {
        struct error e = {};
        struct job *j;

        if (transaction_run(u->manager, other, JOB_START, JOB_MODE_REPLACE, 0, &j, &e) < 0)
            report_unit(u, LOG_ERR, NULL, "%s=%s: %s", why, other->name, e.text);
    }
}

/* u has ended by itself. True if other stops because of that. */
static bool stop_with(struct managed_unit *u, struct managed_unit *other) {
    struct error e = {};
    struct job *j;

    if (unit_is_idle(other) || (other->job && other->job->type == JOB_STOP))
        return false;
    if (transaction_run(u->manager, other, JOB_STOP, JOB_MODE_REPLACE, 0, &j, &e) < 0) {
        report_unit(other, LOG_ERR, NULL, "Cannot stop with %s: %s", u->name, e.text);
        return false;
    }
    other->stop_by_dependency = true;
    unit_mark_dirty(other);
    return true;
}

/* BindsTo=: stronger than Requires=, it also follows a unit that ends by itself. If that unit is about to be
 * started again, so are those that it took along. PropagatesStopTo= is followed in the same case, one way. */
static void stop_bound(struct managed_unit *u) {
    bool returns = u->state == STATE_BACKOFF || u->state == STATE_STOPPING;

    if (unit_is_active(u))
        return;
    GRAPH_FOREACH (other, graph_dependents(u, DEP_BINDS_TO))
        if (stop_with(u, other))
            other->returns_with_dependency = returns;
    GRAPH_FOREACH (other, graph_dependencies(u, DEP_PROPAGATES_STOP_TO))
        (void)stop_with(u, other);
}

/* The program reloads itself, without a job that would have taken others along. */
static void reload_along(struct managed_unit *u) {
    GRAPH_FOREACH (other, graph_dependencies(u, DEP_PROPAGATES_RELOAD_TO)) {
        struct error e = {};
        struct job *j;

        if (transaction_reloads_along(u, other) &&
            transaction_run(u->manager, other, JOB_RELOAD, JOB_MODE_FAIL, 0, &j, &e) < 0)
            report_unit(other, LOG_WARNING, NULL, "Not reloaded with %s: %s", u->name, e.text);
    }
}

static void start_returning(struct managed_unit *u) {
    GRAPH_FOREACH (other, graph_dependents(u, DEP_BINDS_TO)) {
        struct error e = {};
        struct job *j;

        if (!other->returns_with_dependency)
            continue;
        other->returns_with_dependency = false;
        unit_mark_dirty(other);
        if (transaction_run(u->manager, other, JOB_START, JOB_MODE_REPLACE, 0, &j, &e) < 0)
            report_unit(other, LOG_ERR, NULL, "Cannot start again with %s: %s", u->name, e.text);
    }
}

/* It will not be started again by itself: then nobody comes back with it either. */
static void forget_returning(struct managed_unit *u) {
    GRAPH_FOREACH (other, graph_dependents(u, DEP_BINDS_TO))
        other->returns_with_dependency = false;
}

static void restart(struct managed_unit *u) {
    struct error e = {};
    struct job *j;
    int r;

    if (u->state != STATE_BACKOFF || (u->job && u->job->type == JOB_STOP) ||
        u->manager->phase == PHASE_STOPPING)
        return;
    u->restarts++;
    u->backoff_step++;
    unit_mark_dirty(u);
    report_unit(u, LOG_INFO, MESSAGE_RESTART_SCHEDULED, "Restarting, counter is at %u (%s).", u->restarts,
        u->restart_reason ? u->restart_reason : "Restart=");
    r = transaction_run(u->manager, u, JOB_START, JOB_MODE_REPLACE, TRANSACTION_AUTOMATIC, &j, &e);
    if (r < 0) {
        unit_set_error(u, &e);
        u->result = RESULT_DEPENDENCY;
        report_unit(u, LOG_ERR, MESSAGE_FAILED, "Cannot be restarted: %s", e.text);
        prepare_cleanup(u, false);
        unit_set_state(u, STATE_FAILED, STEP_NONE);
        return;
    }
    start_returning(u);
}

/* In the order in which systemd has them; the first one that ends everything is the one that counts. */
static void take_actions(struct managed_unit *u, unsigned what) {
    if (what & FOLLOW_START_LIMIT)
        unit_take_action(u, CAUSE_START_LIMIT);
    if (what & FOLLOW_JOB_TIMEOUT)
        unit_take_action(u, CAUSE_JOB_TIMEOUT);
    if ((what & FOLLOW_ON_FAILURE) && u->state == STATE_FAILED)
        unit_take_action(u, CAUSE_FAILED);
    if ((what & FOLLOW_ON_SUCCESS) && u->state == STATE_INACTIVE && u->result == RESULT_SUCCESS)
        unit_take_action(u, CAUSE_SUCCEEDED);
}

static void follow_up(struct managed_unit *u) {
    unsigned what = u->followups;

    u->followups = 0;
    if (what & FOLLOW_STOP_BOUND)
        stop_bound(u);
    if (what & FOLLOW_RELOAD)
        reload_along(u);
    if (what & FOLLOW_RESTART)
        restart(u);
    if (u->manager->phase != PHASE_STOPPING) {
        if ((what & FOLLOW_ON_FAILURE) && u->state == STATE_FAILED)
            start_all(u, graph_dependencies(u, DEP_ON_FAILURE), "OnFailure");
        if ((what & FOLLOW_ON_SUCCESS) && u->result == RESULT_SUCCESS)
            start_all(u, graph_dependencies(u, DEP_ON_SUCCESS), "OnSuccess");
    }
    take_actions(u, what);
    if (what & FOLLOW_NEEDS)
        needs_look(u);
    if ((what & FOLLOW_COLLECT) && unit_is_idle(u))
        forget_returning(u);
    if (what & FOLLOW_COLLECT)
        unit_collect(u); /* u may be gone now */
}

/* ---- the queues ---- */

/* Who has begun goes before who has not: what it waited for is there. */
static void resume_prepared(struct jobs *js) {
    while (!list_empty(&js->prepared_queue) && jobs_slot_available(js->manager)) {
        struct managed_unit *u = LIST_ENTRY(js->prepared_queue.next, struct managed_unit, slot_link);

        list_remove(&u->slot_link);
        u->launching = true;
        js->launching++;
        unit_prepare_again(u);
    }
}

static void refill_from_slots(struct jobs *js) {
    struct list *l;

    if (list_empty(&js->slot_queue) || !jobs_slot_available(js->manager))
        return;
    l = js->slot_queue.next;
    list_remove(l);
    list_append(&js->run_queue, l);
}

void jobs_run(struct manager *m) {
    struct jobs *js = m->jobs;

    for (;;) {
        while (!list_empty(&js->followups)) {
            struct managed_unit *u = LIST_ENTRY(js->followups.next, struct managed_unit, followup_link);

            list_remove(&u->followup_link);
            follow_up(u);
        }
        resume_prepared(js);
        if (list_empty(&js->run_queue))
            refill_from_slots(js);
        if (list_empty(&js->run_queue))
            break;
        run_job(LIST_ENTRY(js->run_queue.next, struct job, run_queue));
    }
    if (m->phase == PHASE_STOPPING && js->count == 0)
        (void)manager_stop_all(m); /* looks whether anything is left */
}

/* ---- after a restart of davitd ---- */

void jobs_recover(struct manager *m) {
    struct managed_unit *u;

    HASHMAP_FOREACH (u, m->units) {
        bool was_running = u->saved_job_running;
        struct job *j;

        if (u->saved_job < 0 || u->job)
            continue;
        if (job_install_alone(u, (enum job_type)u->saved_job, &j) < 0) {
            report_unit(u, LOG_ERR, NULL, "Its %s job is lost: out of memory.", job_type_name(u->saved_job));
            u->saved_job = -1;
            continue;
        }
        job_recovered(j, was_running);
    }
    needs_look_at_all(m);
}
