/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Jobs of units: installing, ordering, running, finishing, and what changes of state lead to. See job.h. */
#include "manager/core.h"
#include "manager/needs.h"

static const char *const type_names[] = {
    [JOB_START] = "start",
    [JOB_STOP] = "stop",
    [JOB_RESTART] = "restart",
    [JOB_TRY_RESTART] = "try-restart",
    [JOB_RELOAD] = "reload",
};
_Static_assert(ARRAY_SIZE(type_names) == _JOB_TYPE_COUNT, "a name for each type");

static const char *const result_names[] = {
    [JOB_DONE] = "done",
    [JOB_CANCELED] = "canceled",
    [JOB_TIMEOUT] = "timeout",
    [JOB_FAILED] = "failed",
    [JOB_DEPENDENCY] = "dependency",
    [JOB_SKIPPED] = "skipped",
};
_Static_assert(ARRAY_SIZE(result_names) == _JOB_RESULT_COUNT, "a name for each result");

const char *job_type_name(enum job_type t) {
    return type_names[t];
}
const char *job_result_name(enum job_result r) {
    return result_names[r];
}

/* ---- queues ---- */

static void wake(struct jobs *js) {
    if (js->source)
        (void)sd_event_source_set_enabled(js->source, SD_EVENT_ONESHOT);
}

static int on_run(sd_event_source *source _unused_, void *userdata) {
    jobs_run(userdata);
    return 0;
}

int jobs_new(struct manager *m) {
    struct jobs *js = calloc(1, sizeof(*js));
    int r;

    if (!js)
        return -ENOMEM;
    js->manager = m;
    js->next_id = 1;
    list_init(&js->all);
    list_init(&js->run_queue);
    list_init(&js->slot_queue);
    list_init(&js->prepared_queue);
    list_init(&js->followups);
    m->jobs = js;
    r = sd_event_add_defer(m->event, &js->source, on_run, m);
    if (r >= 0)
        r = sd_event_source_set_priority(js->source, PRIORITY_RUN_QUEUE);
    if (r >= 0)
        r = sd_event_source_set_enabled(js->source, SD_EVENT_OFF);
    if (r < 0)
        jobs_free(m);
    return r;
}

static void waiters_free(struct job *j) {
    LIST_FOREACH (w, &j->waiters, struct job_waiter, link) {
        list_remove(&w->link);
        free(w);
    }
}

static void job_free(struct job *j) {
    struct managed_unit *u = j->unit;

    waiters_free(j);
    list_remove(&j->link);
    list_remove(&j->run_queue);
    u->manager->jobs->count--;
    if (u->job == j)
        u->job = NULL;
    free(j);
}

void jobs_free(struct manager *m) {
    struct jobs *js = m->jobs;

    if (!js)
        return;
    LIST_FOREACH (j, &js->all, struct job, link)
        job_free(j);
    sd_event_source_disable_unref(js->source);
    free(js);
    m->jobs = NULL;
}

void job_enqueue(struct job *j) {
    struct jobs *js = j->unit->manager->jobs;

    list_remove(&j->run_queue);
    list_append(&js->run_queue, &j->run_queue);
    wake(js);
}

static unsigned default_concurrency(void) {
    static unsigned cached; /* sysconf(3) reads a file each time */
    long cpus;

    if (cached == 0) {
        cpus = sysconf(_SC_NPROCESSORS_ONLN);
        cached = cpus > 0 ? 2 * (unsigned)cpus : 2;
    }
    return cached;
}

bool jobs_slot_available(struct manager *m) {
    unsigned cap = m->settings.start_concurrency;

    return m->jobs->launching < (cap > 0 ? cap : default_concurrency());
}

void jobs_slot_freed(struct manager *m) {
    struct jobs *js = m->jobs;

    if (js->launching > 0)
        js->launching--;
    jobs_slot_changed(m);
}

void jobs_slot_changed(struct manager *m) {
    if (!list_empty(&m->jobs->slot_queue) || !list_empty(&m->jobs->prepared_queue))
        wake(m->jobs);
}

void unit_slot_release(struct managed_unit *u) {
    if (!u->launching)
        return;
    u->launching = false;
    jobs_slot_freed(u->manager);
}

void unit_slot_request(struct managed_unit *u) {
    struct jobs *js = u->manager->jobs;

    if (!unit_has_processes(u) || u->launching) {
        unit_prepare_again(u);
        return;
    }
    list_remove(&u->slot_link);
    list_append(&js->prepared_queue, &u->slot_link);
    wake(js);
}

void unit_follow_up(struct managed_unit *u, enum followup what) {
    struct jobs *js = u->manager->jobs;

    u->followups |= what;
    if (list_empty(&u->followup_link))
        list_append(&js->followups, &u->followup_link);
    wake(js);
}

/* ---- order ---- */

static bool is_after(const struct managed_unit *u, const struct managed_unit *other) {
    GRAPH_FOREACH (x, graph_dependencies(u, DEP_AFTER))
        if (x == other)
            return true;
    return false;
}

static bool stops_first(const struct job *j) {
    return j->type == JOB_STOP || j->type == JOB_RESTART;
}

/* systemd.unit(5), Before=: two starts in the order, two stops in reverse; where one goes down and one comes
 * up, the one that goes down is first, whatever the order. */
bool job_comes_before(const struct job *a, const struct job *b) {
    if (is_after(b->unit, a->unit)) /* a, then b */
        return !stops_first(b);
    if (is_after(a->unit, b->unit))
        return stops_first(a);
    return false;
}

static void wake_array(struct managed_unit **array) {
    GRAPH_FOREACH (other, array)
        if (other->job && !other->job->running)
            job_enqueue(other->job);
}

static void wake_neighbours(struct managed_unit *u) {
    wake_array(graph_dependencies(u, DEP_AFTER));
    wake_array(graph_dependencies(u, DEP_BEFORE));
}

/* ---- installing ---- */

/* What becomes of a job when another one is asked for. */
static enum job_type merged_type(const struct job *j, enum job_type type) {
    if (type == j->type)
        return type;
    if (j->type == JOB_RESTART && (type == JOB_START || type == JOB_RELOAD))
        return JOB_RESTART;
    if (type == JOB_RELOAD && j->type == JOB_START)
        return JOB_START; /* what is about to start reads its settings anyway */
    return type;
}

void job_set_running(struct job *j, bool running) {
    j->running = j->unit->saved_job_running = running;
    if (running && j->running_at == 0) {
        j->running_at = core_now();
        job_arm_timeout(j);
    }
}

struct job *job_new(void) {
    return calloc(1, sizeof(struct job));
}

bool jobs_have_room(const struct manager *m, size_t n) {
    return n <= JOBS_MAX && m->jobs->count <= JOBS_MAX - n;
}

static void give_job(struct managed_unit *u, enum job_type type, struct job *j) {
    struct jobs *js = u->manager->jobs;

    *j = (struct job){.unit = u, .type = type, .id = js->next_id++, .queued_at = core_now()};
    list_init(&j->waiters);
    list_init(&j->run_queue);
    list_append(&js->all, &j->link);
    js->count++;
    u->job = j;
    u->saved_job_running = false;
    job_arm_timeout(j);
}

struct job *job_install(
    struct managed_unit *u, enum job_type type, unsigned flags, bool ignore_order, struct job **spare) {
    struct job *j = u->job;

    if (j && ((j->type == JOB_STOP) != (type == JOB_STOP))) {
        job_finish(j, JOB_CANCELED, "another job took its place");
        j = NULL;
    }
    if (!j) {
        j = TAKE_PTR(*spare);
        give_job(u, type, j);
    } else {
        enum job_type t = merged_type(j, type);

        if (t != j->type)
            job_set_running(j, false);
        j->type = t;
    }
    j->by_person |= flags & TRANSACTION_BY_PERSON;
    j->automatic |= flags & TRANSACTION_AUTOMATIC;
    j->ignore_order |= ignore_order;
    /* A start that waits for the end of a back-off must be looked at again. */
    if (u->state == STATE_BACKOFF)
        job_set_running(j, false);
    if (j->type == JOB_START && unit_is_idle(u) && !j->running)
        unit_set_state(u, STATE_WAITING, STEP_NONE);
    if (flags & TRANSACTION_BY_PERSON)
        u->returns_with_dependency = false;
    u->saved_job = (int)j->type;
    unit_mark_dirty(u);
    if (!j->running)
        job_enqueue(j);
    return j;
}

int job_install_alone(struct managed_unit *u, enum job_type type, struct job **ret) {
    _cleanup_free_ struct job *spare = job_new();

    if (!spare)
        return -ENOMEM;
    if (!u->job && !jobs_have_room(u->manager, 1))
        return -ENOBUFS;
    *ret = job_install(u, type, 0, false, &spare);
    return 0;
}

struct job_waiter *job_waiter_new(job_done_t done, void *userdata) {
    struct job_waiter *w = calloc(1, sizeof(*w));

    if (w)
        *w = (struct job_waiter){.done = done, .userdata = userdata};
    return w;
}

void job_add_waiter(struct job *j, struct job_waiter *w) {
    list_append(&j->waiters, &w->link);
}

void job_forget_waiters(struct manager *m, void *userdata) {
    LIST_FOREACH (j, &m->jobs->all, struct job, link)
        LIST_FOREACH (w, &j->waiters, struct job_waiter, link)
            if (w->userdata == userdata) {
                list_remove(&w->link);
                free(w);
            }
}

/* ---- finishing ---- */

/* Waiters may ask for other jobs, or go away, from inside their call: each is taken off before it is told. */
static void tell_waiters(struct job *j, enum job_result result, const char *message) {
    while (!list_empty(&j->waiters)) {
        struct job_waiter *w = LIST_ENTRY(j->waiters.next, struct job_waiter, link);
        job_done_t done = w->done;
        void *userdata = w->userdata;

        list_remove(&w->link);
        free(w);
        done(userdata, j->unit->name, result, message);
    }
}

static void report_job(
    struct managed_unit *u, enum job_type type, enum job_result result, const char *message) {
    const char *what = u->config->unit.description ? u->config->unit.description : u->name;

    if (type == JOB_START && (result == JOB_FAILED || result == JOB_TIMEOUT || result == JOB_DEPENDENCY))
        report_unit(u, LOG_ERR, MESSAGE_FAILED, "Failed to start %s: %s.", what,
            message ? message : result_names[result]);
    else if (type == JOB_STOP && result == JOB_DONE)
        report_unit(u, LOG_INFO, MESSAGE_STOPPED, "Stopped %s.", what);
}

/* Removes the job and tells everybody; the caller looks after dependents. */
static void end_job(struct job *j, enum job_result result, const char *message) {
    struct managed_unit *u = j->unit;
    enum job_type type = j->type;

    if (u->job == j)
        u->job = NULL;
    unit_timer_cancel(u, TIMER_JOB);
    u->saved_job = -1;
    u->saved_job_running = false;
    list_remove(&j->run_queue);
    report_job(u, type, result, message);
    unit_mark_dirty(u);
    api_event_job(u->manager, j, result, message);
    tell_waiters(j, result, message);
    wake_neighbours(u);
    job_free(j);
    /* A start that will not be: the unit does not wait any more. */
    if (u->state == STATE_WAITING && !u->job && result != JOB_DEPENDENCY)
        unit_set_state(u, STATE_INACTIVE, STEP_NONE);
    unit_follow_up(u, FOLLOW_COLLECT);
    needs_changed(u);
    boot_check_finished(u->manager);
}

static bool fails_with_dependency(const struct managed_unit *u) {
    return u->job && u->job->type == JOB_START && !unit_is_active(u) &&
           (u->state == STATE_WAITING || unit_is_idle(u) || u->state == STATE_BACKOFF);
}

static void add_dependents(struct managed_unit *u, struct list *queue) {
    static const enum dependency_kind kinds[] = {DEP_REQUIRES, DEP_BINDS_TO, DEP_REQUISITE};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        GRAPH_FOREACH (other, graph_dependents(u, kinds[i]))
            if (fails_with_dependency(other) && list_empty(&other->dependency_queue))
                list_append(queue, &other->dependency_queue);
}

/* The job of a unit that cannot start because of another one. */
static void fail_with_dependency(struct managed_unit *u, const char *name, const char *why) {
    struct error e = {};

    error_set_step(&e, "dependency");
    error_set(&e, ECANCELED, "%s %s", name, why);
    u->result = RESULT_DEPENDENCY;
    unit_set_error(u, &e);
    end_job(u->job, JOB_DEPENDENCY, e.text);
    if (u->state == STATE_WAITING || unit_is_idle(u))
        unit_set_state(u, STATE_FAILED, STEP_NONE);
    else if (u->state == STATE_BACKOFF)
        unit_event(u, EVENT_STOP);
}

/* systemd.unit(5), Requires= with After=: if the other unit fails to start, this one is not started. */
static void fail_dependents(struct managed_unit *failed) {
    struct list queue;

    list_init(&queue);
    add_dependents(failed, &queue);
    while (!list_empty(&queue)) {
        struct managed_unit *u = LIST_ENTRY(queue.next, struct managed_unit, dependency_queue);

        list_remove(&u->dependency_queue);
        if (!fails_with_dependency(u))
            continue;
        fail_with_dependency(u, failed->name, "could not be started");
        add_dependents(u, &queue);
    }
}

void job_fail_start(struct managed_unit *u, const char *name, const char *why) {
    fail_with_dependency(u, name, why);
    fail_dependents(u);
}

void job_finish(struct job *j, enum job_result result, const char *message) {
    struct managed_unit *u = j->unit;
    bool start_failed =
        j->type == JOB_START && (result == JOB_FAILED || result == JOB_TIMEOUT || result == JOB_DEPENDENCY);

    end_job(j, result, message);
    if (start_failed)
        fail_dependents(u);
}

/* ---- changes of state ---- */

static const char *failure_text(struct managed_unit *u, char *buffer, size_t size) {
    const struct error *e = unit_error(u);

    if (e->number == 0)
        (void)snprintf(buffer, size, "result '%s'", unit_result_name(u->result));
    else
        (void)snprintf(buffer, size, "%s%s%s", e->step, *e->step ? ": " : "", e->text);
    return buffer;
}

/* Whoever waits for a unit that needs u hears of it as well, although that unit goes on waiting. */
static void tell_dependents(struct managed_unit *u) {
    char text[ERROR_TEXT_MAX];
    struct list queue;

    (void)snprintf(text, sizeof(text), "%s failed and is tried again; this unit waits for it", u->name);
    list_init(&queue);
    add_dependents(u, &queue);
    /* Who was met stays in the list until the end: requirements may go in circles. */
    for (struct list *l = queue.next; l != &queue; l = l->next)
        add_dependents(LIST_ENTRY(l, struct managed_unit, dependency_queue), &queue);
    while (!list_empty(&queue)) {
        struct managed_unit *other = LIST_ENTRY(queue.next, struct managed_unit, dependency_queue);

        list_remove(&other->dependency_queue);
        if (other->job && other != u)
            tell_waiters(other->job, JOB_DEPENDENCY, text);
    }
}

static void start_job_changed(struct managed_unit *u, struct job *j, enum unit_state now) {
    char buffer[ERROR_TEXT_MAX + ERROR_STEP_MAX + 4];

    switch (now) {
    case STATE_RUNNING:
    case STATE_RELOADING:
        job_finish(j, JOB_DONE, NULL);
        break;
    case STATE_FAILED:
        job_finish(j, u->result == RESULT_TIMEOUT ? JOB_TIMEOUT : JOB_FAILED,
            failure_text(u, buffer, sizeof(buffer)));
        break;
    case STATE_INACTIVE:
        if (u->condition_failed || u->result == RESULT_EXEC_CONDITION)
            job_finish(j, u->assert_failed ? JOB_FAILED : JOB_SKIPPED, u->condition);
        else
            job_finish(j, JOB_FAILED, failure_text(u, buffer, sizeof(buffer)));
        break;
    case STATE_BACKOFF:
        /* Whoever asked wants to know now; whoever comes after this unit goes on waiting for it. */
        if (u->start_again)
            break;
        tell_waiters(j, u->result == RESULT_TIMEOUT ? JOB_TIMEOUT : JOB_FAILED,
            failure_text(u, buffer, sizeof(buffer)));
        tell_dependents(u);
        job_set_running(j, false);
        j->by_person = j->automatic = false;
        break;
    default:
        break;
    }
}

static void restart_job_changed(struct managed_unit *u, struct job *j, enum unit_state now) {
    if (now != STATE_INACTIVE && now != STATE_FAILED && now != STATE_BACKOFF)
        return;
    /* Down: now the other half. What waited for the stop may go on, as job_comes_before() now sees a start.
     */
    j->type = JOB_START;
    u->saved_job = JOB_START;
    job_set_running(j, false);
    if (now != STATE_BACKOFF)
        unit_set_state(u, STATE_WAITING, STEP_NONE);
    job_enqueue(j);
    wake_neighbours(u);
}

/* What the unit does is what this job wants, whoever has begun it: an earlier davitd, or the unit by itself. */
static void take_up(struct job *j) {
    list_remove(&j->run_queue);
    job_set_running(j, true);
}

static void job_changed(struct managed_unit *u, enum unit_state now) {
    struct job *j = u->job;

    if (!j)
        return;
    switch (j->type) {
    case JOB_START:
        if (now == STATE_PREPARING || now == STATE_STARTING || unit_is_active(u))
            take_up(j);
        if (j->running)
            start_job_changed(u, j, now);
        else if (now != STATE_WAITING)
            job_enqueue(j); /* the unit was on its way down: perhaps it is its turn now */
        break;
    case JOB_STOP:
        if (now == STATE_INACTIVE || now == STATE_FAILED)
            job_finish(j, JOB_DONE, NULL);
        break;
    case JOB_RESTART:
        if (j->running)
            restart_job_changed(u, j, now);
        break;
    case JOB_RELOAD:
        if (now == STATE_RELOADING)
            take_up(j);
        if (j->running && now == STATE_RUNNING)
            job_finish(
                j, u->reload_failed ? JOB_FAILED : JOB_DONE, u->reload_failed ? "the reload failed" : NULL);
        else if (now == STATE_STOPPING || now == STATE_INACTIVE || now == STATE_FAILED)
            job_finish(j, j->running ? JOB_FAILED : JOB_CANCELED, "it is not running any more");
        else if (!j->running)
            job_enqueue(j);
        break;
    default:
        break;
    }
}

void job_recovered(struct job *j, bool was_running) {
    if (was_running)
        take_up(j);
    job_changed(j->unit, j->unit->state);
}

/* Between a davitd's taking over and jobs_recover() a unit has no job, only what was saved of it. What has come
 * to its end by then must not be made again: it would be done twice. */
static void saved_job_changed(struct managed_unit *u, enum unit_state old) {
    bool has_failed = u->saved_job_running && unit_is_idle(u);

    if (u->job || u->saved_job < 0)
        return;
    if ((u->saved_job == JOB_START && (unit_is_active(u) || has_failed)) ||
        (u->saved_job == JOB_RELOAD && old == STATE_RELOADING))
        u->saved_job = -1;
    if (u->saved_job < 0 || unit_is_idle(u))
        u->saved_job_running = false; /* what is left of a restart is still to begin */
    unit_mark_dirty(u);
}

/* True if those that are bound to it go with it. With RestartMode=direct they stay as long as it may come back by itself.
 */
static bool leaves_dependents(
    const struct managed_unit *u, bool was_active, enum unit_state old, enum unit_state now) {
    if (u->stop_requested) /* they are part of that stop */
        return false;
    if (u->config->service.restart_way == RESTART_NORMAL)
        return was_active && now != STATE_RUNNING && now != STATE_RELOADING;
    return (now == STATE_INACTIVE || now == STATE_FAILED) && old != STATE_INACTIVE && old != STATE_FAILED;
}

void job_unit_changed(struct managed_unit *u, enum unit_state old, enum unit_state now) {
    bool was_active = old == STATE_RUNNING || old == STATE_RELOADING;

    saved_job_changed(u, old);
    job_changed(u, now);
    if (u->state != now)
        return; /* it has moved on; that change was told by itself */
    if (leaves_dependents(u, was_active, old, now))
        unit_follow_up(u, FOLLOW_STOP_BOUND);
    if (now == STATE_FAILED)
        unit_follow_up(u, FOLLOW_ON_FAILURE);
    if (now == STATE_INACTIVE && old == STATE_STOPPING && u->active_since != 0)
        unit_follow_up(u, FOLLOW_ON_SUCCESS);
    needs_changed(u);
    if (now == STATE_INACTIVE || now == STATE_FAILED) {
        run_session_failed(u); /* if its client has not heard anything yet */
        unit_follow_up(u, FOLLOW_COLLECT);
    }
}
