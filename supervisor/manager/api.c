/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What control/ may ask: units, jobs, signals, reload, the end, and events. Looking is in api_json.c, running
 * commands in api_exec.c. */
#include <signal.h>

#include "manager/core.h"
#include "manager/load.h"
#include "manager/needs.h"
#include "unit/load.h"

#define FALLBACK_TARGET "rescue.target"

/* ---- units ---- */

struct search {
    struct manager *manager;
    struct loader loader;
    bool scanned;
};

static bool unit_exists(const char *name, void *data) {
    struct search *s = data;
    struct unit *c;

    if (manager_find(s->manager, name))
        return true;
    if (!s->scanned) {
        s->scanned = true;
        if (loader_init(&s->loader, s->manager) < 0)
            return false;
    }
    if (unit_load_from(&s->loader.env, &s->loader.dirs, name, &c, NULL) < 0)
        return false;
    unit_free(c);
    return true;
}

int api_find_unit(struct manager *m, const char *written, struct managed_unit **ret, struct error *e) {
    struct search s = {.manager = m};
    _cleanup_free_ char *name = NULL;
    struct managed_unit *u;
    int r;

    r = unit_name_resolve(written, unit_exists, &s, &name);
    loader_done(&s.loader);
    if (r == -ENOENT)
        return error_set(e, ENOENT, "there is no unit %s", written);
    if (r < 0)
        return error_set(e, r, "%s is not a name of a unit", written);
    u = manager_find(m, name);
    if (u) {
        *ret = u;
        return 0;
    }
    return manager_load_one(m, name, ret, e);
}

const char *api_unit_name(const struct managed_unit *u) {
    return u->name;
}

/* ---- jobs ---- */

/* As systemd has it: a restart is both. */
static int check_manual(const struct managed_unit *u, enum job_type type, struct error *e) {
    const struct unit_section *s = &u->config->unit;
    bool restart = type == JOB_RESTART || type == JOB_TRY_RESTART;

    if (s->refuse_manual_start && (type == JOB_START || restart))
        return error_set(e, EPERM, "%s is started only by units that want it (RefuseManualStart=)", u->name);
    if (s->refuse_manual_stop && (type == JOB_STOP || restart))
        return error_set(e, EPERM, "%s is stopped only together with others (RefuseManualStop=)", u->name);
    return 0;
}

int api_queue_job(struct manager *m, struct managed_unit *u, enum job_type type, enum job_mode mode,
    job_done_t done, void *userdata, struct error *e) {
    _cleanup_free_ struct job_waiter *w = done ? job_waiter_new(done, userdata) : NULL;
    struct job *j = NULL;
    int r;

    if (done && !w)
        return error_set_errno(e, ENOMEM, "%s", u->name);
    if (m->phase >= PHASE_STOPPING && type != JOB_STOP)
        return error_set(e, ESHUTDOWN, "davit is shutting down");
    r = check_manual(u, type, e);
    if (r >= 0)
        r = transaction_run(m, u, type, mode, TRANSACTION_BY_PERSON, &j, e);
    if (r < 0)
        return r;
    if (!done) {
        /* "Accepted" is all that will be said: a davitd that dies now must not have forgotten it. */
        saved_flush(m);
        return 0;
    }
    if (!j) {
        done(userdata, u->name, JOB_DONE, NULL);
        return 0;
    }
    job_add_waiter(j, TAKE_PTR(w));
    return 0;
}

void api_forget_client(struct manager *m, void *userdata) {
    struct managed_unit *u;

    job_forget_waiters(m, userdata);
    api_reload_forget(userdata);
    HASHMAP_FOREACH (u, m->units) {
        exec_forget_client(u, userdata);
        run_forget_client(u, userdata);
    }
}

/* ---- signals ---- */

static int check_running(const struct managed_unit *u, struct error *e) {
    if (!unit_has_processes(u))
        return error_set(e, EINVAL, "%s has no processes", u->name);
    if (unit_is_idle(u) || u->state == STATE_WAITING || u->state == STATE_PREPARING ||
        u->state == STATE_BACKOFF)
        return error_set(e, ESRCH, "%s is not running", u->name);
    return 0;
}

int api_kill(struct manager *m, struct managed_unit *u, enum kill_whom whom, int signal, struct error *e) {
    int r = check_running(u, e);

    if (r < 0)
        return r;
    if (signal < 1 || signal > SIGRTMAX)
        return error_set(e, EINVAL, "there is no signal %d", signal);
    if (whom == KILL_WHOM_MAIN)
        r = u->main ? process_kill(u->main, signal) : -ESRCH;
    else
        r = cgroup_kill(m->cgroups, u->name, signal);
    return r < 0 ? error_set_errno(e, r, "cannot signal %s", u->name) : 0;
}

int api_freeze(struct manager *m, struct managed_unit *u, bool freeze, struct error *e) {
    int r = check_running(u, e);

    if (r < 0)
        return r;
    if (u->state == STATE_STOPPING)
        return error_set(e, EBUSY, "%s is being stopped", u->name);
    r = cgroup_freeze(m->cgroups, u->name, freeze);
    if (r < 0)
        return error_set_errno(e, r, "cannot %s %s", freeze ? "freeze" : "thaw", u->name);
    u->frozen = freeze;
    /* A frozen program cannot say WATCHDOG=1. */
    if (freeze)
        unit_timer_cancel(u, TIMER_WATCHDOG);
    else
        unit_watchdog_ping(u);
    unit_mark_dirty(u);
    return 0;
}

static void reset_failed(struct managed_unit *u) {
    u->start_limit = (struct start_limit){};
    u->start_limited = false;
    u->restarts = u->backoff_step = 0;
    if (u->state == STATE_FAILED) {
        u->result = RESULT_SUCCESS;
        unit_set_error(u, NULL);
        unit_set_state(u, STATE_INACTIVE, STEP_NONE);
    }
    unit_mark_dirty(u);
}

int api_reset_failed(struct manager *m, struct managed_unit *u) {
    struct managed_unit *each;

    if (u) {
        reset_failed(u);
        return 0;
    }
    HASHMAP_FOREACH (each, m->units)
        reset_failed(each);
    return 0;
}

/* ---- reload ---- */

struct reload_waiter {
    struct list link;
    reload_done_t done;
    void *userdata;
};
static struct list reload_waiters = LIST_INIT(reload_waiters);

void api_reload_forget(void *userdata) {
    LIST_FOREACH (w, &reload_waiters, struct reload_waiter, link)
        if (w->userdata == userdata) {
            list_remove(&w->link);
            free(w);
        }
}

static void reload_finish(struct manager *m, unsigned problems, const struct error *e) {
    unsigned units = (unsigned)hashmap_size(m->units);

    if (m->phase == PHASE_RELOADING) {
        m->phase = PHASE_RUNNING;
        keeper_notify(m, "READY=1");
    }
    unit_emit(m, json_pack("{ss sI si si}", "event", "reload", "timestamp", (json_int_t)now_realtime(),
                     "units", (int)units, "problems", (int)problems));
    while (!list_empty(&reload_waiters)) {
        struct reload_waiter *w = LIST_ENTRY(reload_waiters.next, struct reload_waiter, link);

        list_remove(&w->link);
        w->done(w->userdata, units, problems, e);
        free(w);
    }
}

static void on_config_read(struct manager *m, const struct error *config_error, void *userdata _unused_) {
    struct error e = {};
    unsigned problems = 0;
    int r = manager_load_units(m, &problems, &e);

    if (r < 0)
        log_error("Reload: %s", e.text);
    reload_finish(m, problems, r < 0 ? &e : config_error);
    needs_look_at_all(m);
    jobs_slot_changed(m);
}

int api_reload(struct manager *m, reload_done_t done, void *userdata, struct error *e) {
    struct reload_waiter *w;
    int r;

    if (m->phase >= PHASE_STOPPING)
        return error_set(e, ESHUTDOWN, "davit is shutting down");
    w = calloc(1, sizeof(*w));
    if (!w)
        return error_set_errno(e, ENOMEM, "reload");
    *w = (struct reload_waiter){.done = done, .userdata = userdata};
    list_append(&reload_waiters, &w->link);
    if (m->phase == PHASE_RELOADING)
        return 0; /* the answer of the one under way is as good */
    m->phase = PHASE_RELOADING;
    keeper_notify(m, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)now_monotonic());
    r = config_read(m, on_config_read, NULL, e);
    if (r < 0) {
        list_remove(&w->link);
        free(w);
        m->phase = PHASE_RUNNING;
        keeper_notify(m, "READY=1");
    }
    return r;
}

/* ---- beginning and end ---- */

const char *manager_default_target(const struct manager *m) {
    if (m->boot.target)
        return m->boot.target;
    return m->settings.default_target ? m->settings.default_target : "default.target";
}

int manager_start_default(struct manager *m) {
    const char *name = manager_default_target(m);
    struct managed_unit *target = manager_find(m, name);
    struct error e = {};
    struct job *j;
    int r;

    jobs_recover(m);
    if (!target) {
        /* As systemd does: somebody mistyped it, and a machine that does nothing cannot be asked what is
         * wrong. */
        log_error("%s: there is no such unit (%s); trying " FALLBACK_TARGET, name,
            m->boot.target ? "kernel command line" : "default_target in davit.conf");
        name = FALLBACK_TARGET;
        target = manager_find(m, name);
        if (!target)
            return -ENOENT;
    }
    /* Taken over from an earlier davitd: what was stopped since it was started stays stopped. */
    if (target->recovered)
        return 0;
    r = transaction_run(m, target, JOB_START, JOB_MODE_REPLACE, 0, &j, &e);
    if (r < 0)
        log_error("%s cannot be started: %s", name, e.text);
    return r;
}

void manager_set_ended(struct manager *m) {
    m->phase = PHASE_ENDED;
    m->stop_timer = sd_event_source_disable_unref(m->stop_timer);
    unit_emit(m, json_pack("{ss sI}", "event", "exit", "timestamp", (json_int_t)now_realtime()));
}

int manager_stop_all(struct manager *m) {
    struct managed_unit *u;
    bool left = false;

    if (m->phase == PHASE_ENDED)
        return 0;
    if (m->phase != PHASE_STOPPING) {
        m->phase = PHASE_STOPPING;
        keeper_notify(m, "STOPPING=1");
        manager_arm_stop_timeout(m);
    }
    HASHMAP_FOREACH (u, m->units) {
        struct job *j;

        if (unit_is_idle(u) && !u->job)
            continue;
        left = true;
        if (job_install_alone(u, JOB_STOP, &j) < 0)
            unit_event(u, EVENT_STOP); /* without an order rather than not at all */
    }
    if (!left)
        manager_set_ended(m);
    return 0;
}

int api_reexecute(struct manager *m, struct error *e) {
    if (m->phase >= PHASE_STOPPING)
        return error_set(e, ESHUTDOWN, "davit is shutting down");
    if (!saved_flush_all(m))
        return error_set(e, ENOSPC, "state cannot be saved in %s/state, so davitd stays", m->paths.runtime);
    m->reexecute = true;
    return 0;
}

int api_exit(struct manager *m, int status, bool keep) {
    const struct end_request end = {
        .ending = {.kind = ENDING_EXIT}, .status = status, .reason = "asked for by a client"};

    m->keep_containers = keep;
    if (!keep) {
        manager_end(m, &end);
        return 0;
    }
    m->exit_status = status;
    manager_set_ended(m);
    return 0;
}

/* ---- events ---- */

struct listener {
    struct list link;
    event_listener_t call;
    void *userdata;
};

int api_subscribe(struct manager *m, event_listener_t listener, void *userdata) {
    struct listener *l = calloc(1, sizeof(*l));

    if (!l)
        return -ENOMEM;
    *l = (struct listener){.call = listener, .userdata = userdata};
    list_append(&m->listeners, &l->link);
    return 0;
}

void api_unsubscribe(struct manager *m, void *userdata) {
    LIST_FOREACH (l, &m->listeners, struct listener, link)
        if (l->userdata == userdata) {
            list_remove(&l->link);
            free(l);
        }
}

void unit_emit(struct manager *m, json_t *event) {
    if (!event)
        return; /* out of memory: nobody hears of it, nothing else is harmed */
    LIST_FOREACH (l, &m->listeners, struct listener, link)
        l->call(l->userdata, event);
    json_decref(event);
}

json_t *unit_state_event(struct managed_unit *u, enum unit_state old) {
    json_t *event = json_pack("{ss ss ss ss ss sI}", "event", "state", "unit", u->name, "old",
        unit_state_name(old), "new", unit_state_name(u->state), "result", unit_result_name(u->result),
        "timestamp", (json_int_t)u->state_since_realtime);

    /* Who waits for a program that is gone a moment later has no time to ask. */
    if (event && !u->main && u->main_code != 0)
        (void)json_object_set_new(event, "exit", api_exit_json(u));
    return event;
}

void api_event_job(struct manager *m, const struct job *j, enum job_result result, const char *message) {
    json_t *event;

    if (list_empty(&m->listeners))
        return;
    event = json_pack("{ss ss ss ss sI}", "event", "job", "unit", j->unit->name, "type",
        job_type_name(j->type), "result", job_result_name(result), "timestamp", (json_int_t)now_realtime());
    if (event && message)
        (void)json_object_set_new(event, "message", json_string(message));
    unit_emit(m, event);
}
