/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One request and all that follows from it, worked out before anything is changed.
 *
 * The transaction is built by walking a queue of entries: each entry is a unit and what is to become of it,
 * and adds the entries that its dependencies ask for. An entry is "required" if the request cannot be carried
 * out without it, and merely wanted otherwise. When something is impossible (a unit that is missing or has
 * errors, two opposite jobs for one unit, a cycle in the order) and a unit that is merely wanted can be left
 * out to make it possible, that unit is marked as left out and everything is built anew; it ends because each
 * round leaves out one more. Otherwise the request fails with an explanation.
 */
#include "manager/core.h"

struct entry {
    struct managed_unit *unit;
    enum job_type type; /* START, STOP, RESTART, RELOAD */
    bool required;
    bool stops_along;                     /* PropagatesStopTo= was looked at */
    const struct managed_unit *pulled_by; /* NULL: the request itself */
    enum dependency_kind pulled_as;
    unsigned color;       /* of the search for cycles */
    struct entry *parent; /* in that search */
    struct job *spare;    /* NULL: there is nothing to do for it */
    struct list link, queue;
};

struct transaction {
    struct manager *manager;
    struct managed_unit *anchor;
    struct hashmap *entries;  /* by name */
    struct list order;        /* as they were added */
    struct list queue;        /* whose dependencies have not been looked at since they changed */
    struct hashmap *left_out; /* name -> unit */
    bool retry;               /* something was left out: build again */
};

static void entries_clear(struct transaction *t) {
    LIST_FOREACH (e, &t->order, struct entry, link) {
        list_remove(&e->link);
        list_remove(&e->queue);
        free(e->spare);
        free(e);
    }
    hashmap_free(t->entries);
    t->entries = NULL;
}

static void transaction_done(struct transaction *t) {
    entries_clear(t);
    hashmap_free(t->left_out);
}

/* u cannot be part of this. 0 if it can be left out (and t->retry is set). */
static int leave_out(struct transaction *t, struct managed_unit *u, bool required, struct error *e) {
    int r;

    if (required || u == t->anchor)
        return -(e && e->number ? e->number : EINVAL);
    r = hashmap_put(t->left_out, u->name, u);
    if (r < 0 && r != -EEXIST)
        return error_set_errno(e, r, "%s", u->name);
    if (r >= 0)
        report_unit(u, LOG_WARNING, NULL, "Left out: %s", e ? e->text : "it cannot be");
    t->retry = true;
    return 0;
}

static bool is_stop(enum job_type type) {
    return type == JOB_STOP;
}

/* Two wishes for one unit. */
static int merge(
    struct transaction *t, struct entry *e, enum job_type type, bool required, struct error *err) {
    if (is_stop(e->type) != is_stop(type)) {
        struct managed_unit *u = e->unit;
        bool start_required = is_stop(type) ? e->required : required;
        bool stop_required = is_stop(type) ? required : e->required;

        if (!stop_required && start_required) { /* Conflicts= of somebody who is only wanted */
            e->type = is_stop(type) ? e->type : type;
            e->required = true;
            return 0;
        }
        error_set(err, EINVAL, "%s would have to be started and stopped at once (Conflicts=)", u->name);
        return leave_out(t, u, start_required, err);
    }
    if (type == JOB_RESTART || (e->type == JOB_RELOAD && type == JOB_START && !unit_is_active(e->unit)))
        e->type = type;
    e->required |= required;
    return 0;
}

static int add(
    struct transaction *t, struct managed_unit *u, enum job_type type, bool required, struct error *err) {
    struct entry *e = hashmap_get(t->entries, u->name);
    int r;

    if (!is_stop(type) && hashmap_get(t->left_out, u->name)) {
        error_set(err, EINVAL, "%s is left out", u->name);
        return -EINVAL;
    }
    if (e) {
        bool was_required = e->required;
        enum job_type was = e->type;

        r = merge(t, e, type, required, err);
        /* What it takes along has to hear of it. Changes go one way only, so this ends. */
        if (r >= 0 && (was != e->type || was_required != e->required)) {
            list_remove(&e->queue);
            list_append(&t->queue, &e->queue);
        }
        return r;
    }
    e = calloc(1, sizeof(*e));
    if (!e)
        return error_set_errno(err, ENOMEM, "%s", u->name);
    *e = (struct entry){.unit = u, .type = type, .required = required};
    list_init(&e->link);
    list_init(&e->queue);
    r = hashmap_put(t->entries, u->name, e);
    if (r < 0) {
        free(e);
        return error_set_errno(err, r, "%s", u->name);
    }
    list_append(&t->order, &e->link);
    list_append(&t->queue, &e->queue);
    return 0;
}

/* ---- what an entry asks for ---- */

static int check_startable(struct managed_unit *u, struct error *err) {
    _cleanup_free_ char *text = NULL;

    if (!u->config->has_errors)
        return 0;
    for (const struct problem *p = u->config->problems; p; p = p->next)
        if (p->level == PROBLEM_ERROR) {
            text = problem_format(p);
            break;
        }
    return error_set(err, EINVAL, "%s cannot be started: %s", u->name, text ? text : "its files have errors");
}

static int check_present(struct managed_unit *u, enum dependency_kind kind, struct error *err) {
    size_t index = 0;
    const char *name = graph_missing(u, kind, &index);

    if (!name)
        return 0;
    return error_set(err, ENOENT,
        "%s: %s=%s: there is no such unit (is the file in the unit path, has it been reloaded?)", u->name,
        dependency_name(kind), name);
}

static int pull_start(
    struct transaction *t, struct entry *e, enum dependency_kind kind, bool required, struct error *err) {
    GRAPH_FOREACH (other, graph_dependencies(e->unit, kind)) {
        struct error why = {};
        int r = add(t, other, JOB_START, required && e->required, &why);
        struct entry *o = r >= 0 ? hashmap_get(t->entries, other->name) : NULL;

        if (o && o->unit != t->anchor && !o->pulled_by) {
            o->pulled_by = e->unit;
            o->pulled_as = kind;
        }

        if (r >= 0 || !required) {
            if (t->retry)
                return 0;
            continue;
        }
        /* e needs it: then e cannot be either. */
        error_set(
            err, why.number, "%s %s=%s: %s", e->unit->name, dependency_name(kind), other->name, why.text);
        return leave_out(t, e->unit, e->required, err);
    }
    return 0;
}

static int pull_stop(struct transaction *t, struct managed_unit **units, enum job_type type, bool required,
    struct error *err) {
    GRAPH_FOREACH (other, units) {
        struct entry *o = hashmap_get(t->entries, other->name);
        int r;

        if (unit_is_idle(other) && !other->job && (!o || o->type == JOB_STOP))
            continue;
        if (type == JOB_RESTART && !unit_is_active(other) && other->state != STATE_STARTING)
            continue; /* try-restart: it does not run */
        r = add(t, other, type, required, err);
        if (r < 0)
            return r;
        if (t->retry)
            return 0;
    }
    return 0;
}

static const struct {
    enum dependency_kind kind;
    bool required;
} start_pulls[] = {
    {DEP_REQUIRES, true},
    {DEP_BINDS_TO, true},
    {DEP_WANTS, false},
    {DEP_UPHOLDS, false},
};

static int expand_start(struct transaction *t, struct entry *e, struct error *err) {
    struct managed_unit *u = e->unit;
    int r;

    if (!unit_is_active(u) || e->type == JOB_RESTART) {
        struct error why = {};

        r = check_startable(u, &why);
        if (r >= 0)
            r = check_present(u, DEP_REQUIRES, &why);
        if (r >= 0)
            r = check_present(u, DEP_BINDS_TO, &why);
        if (r >= 0)
            r = check_present(u, DEP_REQUISITE, &why);
        if (r < 0) {
            *err = why;
            return leave_out(t, u, e->required, err);
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(start_pulls) && !t->retry; i++) {
        r = pull_start(t, e, start_pulls[i].kind, start_pulls[i].required, err);
        if (r < 0)
            return r;
    }
    if (t->retry)
        return 0;
    r = pull_stop(t, graph_dependencies(u, DEP_CONFLICTS), JOB_STOP, e->required, err);
    if (r >= 0 && !t->retry)
        r = pull_stop(t, graph_dependents(u, DEP_CONFLICTS), JOB_STOP, false, err);
    return r;
}

static const char no_reload[] = "it has neither ExecReload= nor ReloadCmd= nor ReloadSignal=";

/* As systemd's try-reload: what does not run is left alone, and what cannot be reloaded is no reason not to
 * reload the rest. */
bool transaction_reloads_along(const struct managed_unit *u, struct managed_unit *other) {
    if (unit_is_idle(other) || other->state == STATE_STOPPING || (other->job && other->job->type == JOB_STOP))
        return false;
    if (!unit_can_reload(other))
        report_unit(other, LOG_WARNING, NULL, "Not reloaded with %s: %s", u->name, no_reload);
    return unit_can_reload(other);
}

static int expand_reload(struct transaction *t, struct entry *e, struct error *err) {
    int r = 0;

    GRAPH_FOREACH (other, graph_dependencies(e->unit, DEP_PROPAGATES_RELOAD_TO))
        if (r >= 0 && transaction_reloads_along(e->unit, other))
            r = add(t, other, JOB_RELOAD, false, err);
    return r;
}

static int expand(struct transaction *t, struct entry *e, struct error *err) {
    static const enum dependency_kind takes_along[] = {
        DEP_REQUIRES, DEP_BINDS_TO, DEP_PART_OF, DEP_REQUISITE};
    int r = 0;

    if (e->type == JOB_RELOAD)
        return expand_reload(t, e, err);
    if (e->type == JOB_STOP || e->type == JOB_RESTART)
        for (size_t i = 0; i < ARRAY_SIZE(takes_along) && r >= 0 && !t->retry; i++)
            r = pull_stop(t, graph_dependents(e->unit, takes_along[i]), e->type, e->required, err);
    if (r >= 0 && !t->retry && e->type != JOB_STOP)
        r = expand_start(t, e, err);
    return r;
}

/* Requisite= does not start what is missing; it must be there, or about to be. */
static int check_requisites(struct transaction *t, struct error *err) {
    LIST_FOREACH (e, &t->order, struct entry, link) {
        if (e->type == JOB_STOP || e->type == JOB_RELOAD || unit_is_active(e->unit))
            continue;
        GRAPH_FOREACH (other, graph_dependencies(e->unit, DEP_REQUISITE)) {
            struct entry *o = hashmap_get(t->entries, other->name);

            if ((o && o->type != JOB_STOP) ||
                (!o && (unit_is_active(other) || other->state == STATE_STARTING ||
                           (other->job && other->job->type != JOB_STOP))))
                continue;
            error_set(err, EINVAL, "%s: Requisite=%s is not active", e->unit->name, other->name);
            return leave_out(t, e->unit, e->required, err);
        }
    }
    return 0;
}

/* Job mode isolate: all that the anchor has not pulled in goes down. A program that a person has just started
 * with `davit run` is none of the machine's. */
static int stop_the_others(struct transaction *t, struct error *err) {
    struct managed_unit *u;

    HASHMAP_FOREACH (u, t->manager->units) {
        if (hashmap_get(t->entries, u->name) || (unit_is_idle(u) && !u->job) || u->transient)
            continue;
        int r = add(t, u, JOB_STOP, false, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int expand_queue(struct transaction *t, struct error *err) {
    while (!list_empty(&t->queue) && !t->retry) {
        struct entry *e = LIST_ENTRY(t->queue.next, struct entry, queue);

        list_remove(&e->queue);
        int r = expand(t, e, err);
        if (r < 0) {
            if (e->pulled_by && err)
                error_prefix(
                    err, r, "%s: %s=%s", e->pulled_by->name, dependency_name(e->pulled_as), e->unit->name);
            return r;
        }
    }
    return 0;
}

/* PropagatesStopTo= of what goes down, looked at when all else is known: a unit that this transaction starts
 * is restarted instead of refusing the whole. A unit that only restarts stops those all the same, as systemd
 * has it. */
static int stop_along(struct transaction *t, struct error *err) {
    LIST_FOREACH (e, &t->order, struct entry, link) {
        if (e->stops_along || e->type == JOB_START || e->type == JOB_RELOAD)
            continue;
        e->stops_along = true;
        GRAPH_FOREACH (other, graph_dependencies(e->unit, DEP_PROPAGATES_STOP_TO)) {
            struct entry *o = hashmap_get(t->entries, other->name);
            int r = 0;

            if (o && o->type == JOB_START)
                r = add(t, other, JOB_RESTART, e->required, err);
            else if (!o && (!unit_is_idle(other) || other->job))
                r = add(t, other, JOB_STOP, e->required, err);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int expand_all(struct transaction *t, struct error *err) {
    int r;

    do {
        r = expand_queue(t, err);
        if (r >= 0 && !t->retry)
            r = stop_along(t, err);
    } while (r >= 0 && !t->retry && !list_empty(&t->queue));
    return r;
}

static int build_once(struct transaction *t, enum job_type type, enum job_mode mode, struct error *err) {
    int r;

    entries_clear(t);
    t->retry = false;
    t->entries = hashmap_new();
    if (!t->entries)
        return error_set_errno(err, ENOMEM, "transaction");
    r = add(t, t->anchor, type, true, err);
    if (r < 0)
        return r;
    if (mode == JOB_MODE_IGNORE_DEPENDENCIES)
        return type == JOB_STOP || type == JOB_RELOAD ? 0 : check_startable(t->anchor, err);
    r = expand_all(t, err);
    if (r >= 0 && mode == JOB_MODE_ISOLATE && !t->retry) {
        r = stop_the_others(t, err);
        if (r >= 0)
            r = expand_queue(t, err); /* what goes now takes nothing along that the anchor wants */
    }
    if (r < 0)
        return r;
    return t->retry ? 0 : check_requisites(t, err);
}

/* ---- cycles in the order ---- */

/* The way round, from the unit that waits to the one it waits for: "a.container -> b.container ->
 * a.container". */
static char *describe_cycle(const struct entry *from, const struct entry *to) {
    _cleanup_free_ char *text = strdup(to->unit->name);

    for (const struct entry *e = from; e && text; e = e == to ? NULL : e->parent) {
        char *longer = strf("%s -> %s", e->unit->name, text);

        free(text);
        text = longer;
    }
    return TAKE_PTR(text);
}

static int break_cycle(struct transaction *t, struct entry *from, struct entry *to, struct error *err) {
    _cleanup_free_ char *text = describe_cycle(from, to);

    error_set(err, EDEADLK, "the order has a cycle: %s", text ? text : "(out of memory)");
    for (struct entry *e = from; e; e = e == to ? NULL : e->parent)
        if (!e->required && e->unit != t->anchor && e->type != JOB_STOP)
            return leave_out(t, e->unit, false, err);
    return -EDEADLK;
}

enum { WHITE, GREY, BLACK };

/* Depth first without recursion: the way down is in the parents, `next` remembers where each entry's loop
 * stands. */
static int check_from(struct transaction *t, struct entry *root, struct hashmap *next, struct error *err) {
    struct entry *e = root;

    e->color = GREY;
    while (e) {
        struct managed_unit **at = hashmap_get(next, e->unit->name);
        struct managed_unit **array = at ? at : graph_dependencies(e->unit, DEP_AFTER);
        struct entry *down = NULL;
        int r;

        for (; array && *array && !down; array++) {
            struct entry *o = hashmap_get(t->entries, (*array)->name);

            if (!o || o->color == BLACK)
                continue;
            if (o->color == GREY)
                return break_cycle(t, e, o, err);
            down = o;
        }
        if (!down) {
            e->color = BLACK;
            e = e->parent;
            continue;
        }
        (void)hashmap_remove(next, e->unit->name);
        r = hashmap_put(next, e->unit->name, array);
        if (r < 0)
            return error_set_errno(err, r, "transaction");
        down->color = GREY;
        down->parent = e;
        e = down;
    }
    return 0;
}

static int check_order(struct transaction *t, struct error *err) {
    _cleanup_(hashmap_freep) struct hashmap *next = hashmap_new();
    int r = 0;

    if (!next)
        return error_set_errno(err, ENOMEM, "transaction");
    LIST_FOREACH (e, &t->order, struct entry, link) {
        if (e->color != WHITE)
            continue;
        e->parent = NULL;
        r = check_from(t, e, next, err);
        if (r < 0 || t->retry)
            break;
    }
    return r;
}

/* ---- carrying it out ---- */

static bool is_redundant(const struct transaction *t, const struct entry *e) {
    const struct managed_unit *u = e->unit;

    if (u->job || u == t->anchor)
        return false;
    return (e->type == JOB_START && unit_is_active(u)) || (e->type == JOB_STOP && unit_is_idle(u));
}

static bool contradicts(const struct job *j, enum job_type type) {
    return (j->type == JOB_STOP) != (type == JOB_STOP) ||
           (j->type != type && (j->type == JOB_RESTART || type == JOB_RESTART));
}

static int check_mode(struct transaction *t, enum job_mode mode, struct error *err) {
    if (mode != JOB_MODE_FAIL)
        return 0;
    LIST_FOREACH (e, &t->order, struct entry, link)
        if (e->unit->job && contradicts(e->unit->job, e->type))
            return error_set(
                err, EBUSY, "%s has a %s job already", e->unit->name, job_type_name(e->unit->job->type));
    return 0;
}

/* All that can fail, before anything is changed: half of a request could be a unit that goes down without the one
 * that was to take its place. */
static int reserve(struct transaction *t, struct error *err) {
    size_t n = 0;

    LIST_FOREACH (e, &t->order, struct entry, link) {
        if (is_redundant(t, e))
            continue;
        e->spare = job_new();
        if (!e->spare)
            return error_set_errno(err, ENOMEM, "%s: no room for a job", e->unit->name);
        n += !e->unit->job;
    }
    if (!jobs_have_room(t->manager, n))
        return error_set(err, ENOBUFS, "%s: more than %d jobs would be waiting", t->anchor->name, JOBS_MAX);
    return 0;
}

/* The anchor's job. */
static struct job *install(struct transaction *t, bool alone, unsigned flags) {
    struct job *found = NULL;

    LIST_FOREACH (e, &t->order, struct entry, link) {
        if (!e->spare)
            continue;
        /* Only the anchor of an automatic restart is one; what it pulls in is started by dependency. */
        struct job *j = job_install(e->unit, e->type,
            e->unit == t->anchor ? flags : flags & ~(unsigned)TRANSACTION_AUTOMATIC, alone, &e->spare);
        if (e->unit == t->anchor)
            found = j;
        else if (e->type == JOB_STOP)
            e->unit->stop_by_dependency = true;
    }
    return found;
}

/* try-restart, and what a type means for a unit as it is now. False: nothing to do. */
static bool collapse(const struct managed_unit *u, enum job_type *type) {
    bool runs = !unit_is_idle(u) && u->state != STATE_WAITING;

    if (*type == JOB_TRY_RESTART) {
        if (!runs)
            return false;
        *type = JOB_RESTART;
    }
    return true;
}

static int check_applicable(
    const struct managed_unit *u, enum job_type type, enum job_mode mode, struct error *err) {
    if (mode == JOB_MODE_ISOLATE && type != JOB_START)
        return error_set(err, EINVAL, "%s: isolate is for starting", u->name);
    if (type != JOB_RELOAD)
        return 0;
    if (!unit_can_reload(u))
        return error_set(err, EINVAL, "%s cannot be reloaded: %s", u->name, no_reload);
    if (unit_is_idle(u) && !u->job)
        return error_set(err, EINVAL, "%s is not running", u->name);
    return 0;
}

int transaction_run(struct manager *m, struct managed_unit *u, enum job_type type, enum job_mode mode,
    unsigned flags, struct job **ret_job, struct error *e) {
    _cleanup_(transaction_done) struct transaction t = {.manager = m, .anchor = u};
    bool alone = mode == JOB_MODE_IGNORE_DEPENDENCIES;
    struct error why = {};
    int r;

    list_init(&t.order);
    list_init(&t.queue);
    r = check_applicable(u, type, mode, e);
    if (r < 0)
        return r;
    if (!collapse(u, &type)) {
        *ret_job = NULL;
        return 0;
    }
    t.left_out = hashmap_new();
    if (!t.left_out)
        return error_set_errno(e, ENOMEM, "transaction");
    do {
        r = build_once(&t, type, mode, &why);
        if (r >= 0 && !t.retry && !alone)
            r = check_order(&t, &why);
        if (r < 0) {
            if (e)
                *e = why;
            return r;
        }
    } while (t.retry);
    r = check_mode(&t, mode, e);
    if (r >= 0)
        r = reserve(&t, e);
    if (r < 0)
        return r;
    *ret_job = install(&t, alone, flags);
    return 0;
}
