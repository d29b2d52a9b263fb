/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Managed units come and go, and with them the manager's core. */
#include <signal.h>

#include "manager/core.h"
#include "manager/load.h"
#include "manager/rooms.h"

static void pick_stub_values(struct unit *c) {
    struct service_section *s = &c->service;

    s->type = SERVICE_SIMPLE;
    s->restart_sec = 100 * USEC_PER_MSEC;
    s->restart_max_delay = USEC_INFINITY;
    s->restart_reset_sec = 10 * USEC_PER_SEC;
    s->timeout_start = s->timeout_stop = s->timeout_abort = 90 * USEC_PER_SEC;
    s->runtime_max = USEC_INFINITY;
    s->timeout_prepare = 15 * 60 * USEC_PER_SEC;
    s->kill_mode = KILL_MIXED;
    s->kill_signal = SIGTERM;
    s->final_kill_signal = SIGKILL;
    s->watchdog_signal = SIGABRT;
    c->unit.default_dependencies = true;
    c->resources.oom_policy = OOM_CONTINUE;
    c->resources.oom_score_adjust = c->resources.nice = INT32_MIN;
    c->resources.cpu_priority = c->resources.io_priority = INT32_MIN;
}

/* What stands in for files that are not there: enough to stop what runs, or a target that only has
 * dependents. */
static struct unit *stub_new(const char *name, enum unit_type type) {
    struct unit *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->type = type;
    c->name = strdup(name);
    pick_stub_values(c);
    if (type == UNIT_CONTAINER) {
        c->container = calloc(1, sizeof(*c->container));
        if (c->container)
            c->container->stop_timeout = USEC_INFINITY;
    } else if (type == UNIT_VOLUME)
        c->volume = calloc(1, sizeof(*c->volume));
    else if (type == UNIT_IMAGE)
        c->image = calloc(1, sizeof(*c->image));
    if (!c->name || (type == UNIT_CONTAINER && !c->container) || (type == UNIT_VOLUME && !c->volume) ||
        (type == UNIT_IMAGE && !c->image)) {
        unit_free(c);
        return NULL;
    }
    return c;
}

struct unit *unit_stub(const char *name) {
    enum unit_type type = unit_type_from_name(name);

    return type == _UNIT_TYPE_INVALID ? NULL : stub_new(name, type);
}

struct managed_unit *managed_unit_new(struct manager *m, const char *name) {
    struct managed_unit *u = calloc(1, sizeof(*u));

    if (!u)
        return NULL;
    u->manager = m;
    u->name = strdup(name);
    u->state_since = core_now();
    u->state_since_realtime = now_realtime();
    u->timeout_at = u->extended_until = USEC_INFINITY;
    u->saved_job = -1;
    u->resources.notify_fd = u->resources.log_fd = -1;
    u->resources.id = u->name ? siphash_stable(name, strlen(name)) : 0;
    list_init(&u->extra);
    list_init(&u->sessions);
    list_init(&u->save_queue);
    list_init(&u->event_link);
    list_init(&u->followup_link);
    list_init(&u->dependency_queue);
    list_init(&u->slot_link);
    if (!u->name || hashmap_put(m->units, u->name, u) < 0) {
        free(u->name);
        free(u);
        return NULL;
    }
    return u;
}

void managed_unit_free(struct managed_unit *u) {
    (void)hashmap_remove(u->manager->units, u->name);
    if (u->job)
        job_finish(u->job, JOB_CANCELED, "the unit is gone");
    for (int t = 0; t < _TIMER_COUNT; t++)
        unit_timer_cancel(u, t);
    sd_event_source_disable_unref(u->cgroup_source);
    sd_event_source_disable_unref(u->oom_source);
    if (u->main)
        process_abandon(u->main);
    if (u->control)
        process_abandon(u->control);
    run_session_free(u);
    exec_free_all(u);
    list_remove(&u->event_link);
    list_remove(&u->followup_link);
    list_remove(&u->dependency_queue);
    list_remove(&u->save_queue);
    list_remove(&u->slot_link);
    graph_remove(u);
    unit_free(u->config);
    unit_free(u->next_config);
    problems_free(u->load_problems);
    free(u->status_text);
    free(u->run_key);
    free(u->condition);
    free(u->pulled_image);
    free(u->error);
    free(u->cgroup_problems);
    resources_free(u);
    free(u->name);
    free(u);
}

struct managed_unit *manager_find(struct manager *m, const char *name) {
    return hashmap_get(m->units, name);
}

int manager_init_core(struct manager *m) {
    m->units = hashmap_new();
    if (!m->units)
        return -ENOMEM;
    list_init(&m->save_queue);
    list_init(&m->listeners);
    list_init(&m->pulls);
    list_init(&m->event_queue);
    m->handling_events = false;
    m->started_at = now_realtime();
    return jobs_new(m);
}

int manager_status_text(struct manager *m, char **ret) {
    unsigned count[_STATE_COUNT] = {}, alarms = 0;
    _cleanup_strbuf_ struct strbuf b = {};
    struct managed_unit *u;
    char *text;

    HASHMAP_FOREACH (u, m->units) {
        if (!unit_has_processes(u))
            continue;
        count[u->state]++;
        alarms += u->start_limited;
    }
    strbuf_printf(&b, "%u running", count[STATE_RUNNING] + count[STATE_RELOADING]);
    for (int s = 0; s < _STATE_COUNT; s++)
        if (s != STATE_RUNNING && s != STATE_RELOADING && s != STATE_INACTIVE && count[s] > 0)
            strbuf_printf(&b, ", %u %s", count[s], unit_state_name(s));
    if (alarms > 0)
        strbuf_printf(&b, ", %u started too often", alarms);
    text = strbuf_take(&b);
    if (!text)
        return -ENOMEM;
    *ret = text;
    return 0;
}
