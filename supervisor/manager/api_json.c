/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `status`, `list` and `show` are made from. The shapes are those of control/io.davit.*.varlink. */
#include <sys/wait.h>

#include "manager/core.h"
#include "manager/load.h"

/* ---- small parts ---- */

static void set(json_t *o, const char *key, json_t *value) {
    (void)json_object_set_new(o, key, value); /* NULL (out of memory) leaves the key out */
}

static void set_text(json_t *o, const char *key, const char *text) {
    if (text && *text)
        set(o, key, json_string(text));
}

static void set_number(json_t *o, const char *key, uint64_t n) {
    if (n < CGROUP_INFINITY)
        set(o, key, json_integer((json_int_t)MIN(n, (uint64_t)INT64_MAX)));
}

static json_t *texts(char *const *l) {
    json_t *a = json_array();

    STRV_FOREACH (s, l)
        (void)json_array_append_new(a, json_string(*s));
    return a;
}

static void add_problems(json_t *a, const struct problem *list) {
    static const char *const levels[] = {
        [PROBLEM_NOTE] = "note", [PROBLEM_WARNING] = "warning", [PROBLEM_ERROR] = "error"};

    for (const struct problem *p = list; p; p = p->next) {
        json_t *o = json_pack("{ss ss}", "level", levels[p->level], "text", p->text);

        set_text(o, "file", p->file);
        if (p->line > 0)
            set(o, "line", json_integer(p->line));
        set_text(o, "section", p->section);
        set_text(o, "key", p->key);
        set_text(o, "hint", p->hint);
        (void)json_array_append_new(a, o);
    }
}

static usec_t to_realtime(usec_t monotonic) {
    return now_realtime() - core_now() + monotonic;
}

/* ---- one unit, short ---- */

static const char *load_word(const struct managed_unit *u) {
    if (u->config->has_errors || u->load_problems)
        return "error";
    return u->gone ? "gone" : "loaded";
}

static const char *substate(const struct managed_unit *u) {
    if (u->state == STATE_RUNNING && !unit_has_processes(u))
        return "active";
    if (u->state == STATE_RUNNING && !u->main)
        return "exited";
    return unit_substate_name(u->state, u->step);
}

static size_t problem_count(const struct managed_unit *u) {
    size_t n = u->n_cgroup_problems;

    for (const struct problem *p = u->config->problems; p; p = p->next)
        n += p->level != PROBLEM_NOTE;
    for (const struct problem *p = u->load_problems; p; p = p->next)
        n++;
    return n;
}

static json_t *summary(struct managed_unit *u) {
    json_t *o = json_pack("{ss ss ss ss ss ss ss sI si sb si}", "name", u->name, "type",
        unit_type_suffix(u->config->type) + 1, "load", load_word(u), "active", unit_active_name(u->state),
        "state", unit_state_name(u->state), "sub", substate(u), "result", unit_result_name(u->result),
        "since", (json_int_t)u->state_since_realtime, "restarts", (int)u->restarts, "frozen", (int)u->frozen,
        "problems", (int)problem_count(u));

    set_text(o, "description", u->config->unit.description);
    set_text(o, "status_text", u->status_text);
    if (u->main && u->main->pid > 0)
        set(o, "pid", json_integer(u->main->pid));
    return o;
}

/* ---- one unit, all ---- */

static json_t *error_json(const struct error *e) {
    json_t *o = json_pack("{si ss}", "number", (int)e->number, "message", e->text);

    set_text(o, "step", e->step);
    return o;
}

json_t *api_exit_json(const struct managed_unit *u) {
    return json_pack("{ss si}", "code", exit_code_word(u->main_code), "status", u->main_status);
}

static void add_run(json_t *o, const struct managed_unit *u) {
    set_text(o, "invocation", u->invocation);
    set_text(o, "upper_dir", u->resources.upper_dir);
    if (u->active_since != 0)
        set_number(o, "active_since", to_realtime(u->active_since));
    if (u->control && u->control->pid > 0)
        set(o, "control_pid", json_integer(u->control->pid));
    if (u->main_code != 0)
        set(o, "exit", api_exit_json(u));
    if (u->error)
        set(o, "error", error_json(u->error));
    set_text(o, "restart_reason", u->restart_reason);
    if (u->state == STATE_BACKOFF)
        set_number(o, "restart_at", to_realtime(u->backoff_until));
    set(o, "oom_kills", json_integer(u->oom_kills));
    if (u->condition_failed)
        set_text(o, "condition", u->condition);
    set(o, "start_limited", json_boolean(u->start_limited));
    set(o, "can_reload", json_boolean(unit_can_reload(u)));
    if (u->job)
        set_text(o, "job", job_type_name(u->job->type));
    if (u->step != STEP_NONE)
        set_text(o, "step", unit_step_name(u->step));
}

static void add_limits(json_t *o, const struct managed_unit *u) {
    json_t *a = json_array();

    for (size_t i = 0; i < u->n_cgroup_problems; i++) {
        const struct cgroup_problem *p = &u->cgroup_problems[i];

        (void)json_array_append_new(a, json_pack("{ss ss sb}", "key", p->key, "message", p->error.text,
                                           "unsupported", (int)p->unsupported));
    }
    set(o, "limits", a);
}

enum { PIDS_SHOWN = 64 };

static json_t *pids(struct managed_unit *u) {
    pid_t list[PIDS_SHOWN];
    ssize_t n = u->manager->cgroups ? cgroup_pids(u->manager->cgroups, u->name, list, PIDS_SHOWN) : 0;
    json_t *a = json_array();

    for (ssize_t i = 0; i < n && i < PIDS_SHOWN; i++)
        (void)json_array_append_new(a, json_integer(list[i]));
    return a;
}

static void add_group(json_t *o, struct managed_unit *u) {
    struct cgroup_stats s;
    json_t *resources;
    _cleanup_free_ char *path = NULL;
    char **tasks = NULL;

    set(o, "processes", unit_has_processes(u) ? pids(u) : json_array());
    if (!unit_has_processes(u) || !u->manager->cgroups || !u->resources.cgroup)
        return;
    set_text(o, "cgroup", u->name);
    if (cgroup_paths(u->manager->cgroups, u->name, &path, &tasks) >= 0)
        set_text(o, "cgroup_path", path);
    strv_free(tasks);
    cgroup_stats(u->manager->cgroups, u->name, &s);
    resources = json_object();
    set_number(resources, "memory", s.memory_current);
    set_number(resources, "memory_peak", s.memory_peak);
    set_number(resources, "memory_max", u->config->resources.memory_max);
    set_number(resources, "swap", s.memory_swap_current);
    set_number(resources, "tasks", s.tasks_current);
    set_number(resources, "tasks_max", u->config->resources.tasks_max);
    set_number(resources, "cpu_usec", s.cpu_usage_usec);
    set_number(resources, "io_read", s.io_read_bytes);
    set_number(resources, "io_write", s.io_write_bytes);
    set(o, "resources", resources);
}

static void set_units(json_t *o, const char *key, struct managed_unit **units) {
    json_t *a = NULL;

    GRAPH_FOREACH (u, units) {
        if (!a)
            a = json_array();
        (void)json_array_append_new(a, json_string(u->name));
    }
    if (a)
        set(o, key, a);
}

static json_t *dependencies(const struct managed_unit *u) {
    json_t *o = json_object();

    for (int k = 0; k < _DEP_COUNT; k++) {
        const char *inverse = dependency_inverse_name(k);

        set_units(o, dependency_name(k), graph_dependencies(u, k));
        if (inverse)
            set_units(o, inverse, graph_dependents(u, k));
    }
    return o;
}

static json_t *settings(const struct unit *c) {
    const struct key_info *keys;
    size_t n = unit_keys(&keys);
    json_t *o = json_object();

    for (size_t i = 0; i < n; i++) {
        _cleanup_strv_free_ char **values = NULL;
        _cleanup_free_ char *name = strf("%s.%s", keys[i].section, keys[i].name);

        if (!name || unit_show_key(c, keys[i].section, keys[i].name, &values) < 0 || !values)
            continue;
        set(o, name, texts(values));
    }
    return o;
}

static void add_files(json_t *o, struct managed_unit *u) {
    const struct unit *c = u->config;
    json_t *problems = json_array();
    struct loader l;

    add_problems(problems, u->load_problems);
    add_problems(problems, c->problems);
    set(o, "problems", problems);
    set_text(o, "fragment", c->fragment);
    set(o, "dropins", texts(c->dropins));
    set(o, "documentation", texts(c->unit.documentation));
    set(o, "outdated", json_boolean(u->next_config || u->load_problems || unit_changed_on_disk(u)));
    set(o, "transient", json_boolean(u->transient));
    if (c->fragment && !u->transient && loader_init_environment(&l, u->manager) >= 0) {
        set_text(o, "enabled", unit_enable_state(&l.env, c));
        loader_done(&l);
    }
}

json_t *api_unit_json(struct manager *m _unused_, struct managed_unit *u, bool full) {
    json_t *o = summary(u);

    if (!o || !full)
        return o;
    add_files(o, u);
    add_run(o, u);
    add_limits(o, u);
    add_group(o, u);
    set(o, "dependencies", dependencies(u));
    set(o, "settings", settings(u->config));
    return o;
}

/* ---- lists ---- */

static int compare_names(const void *a, const void *b) {
    return strcmp((*(struct managed_unit *const *)a)->name, (*(struct managed_unit *const *)b)->name);
}

json_t *api_units_json(struct manager *m) {
    _cleanup_free_ struct managed_unit **list = calloc(hashmap_size(m->units) + 1, sizeof(*list));
    struct managed_unit *u;
    json_t *a = json_array();
    size_t n = 0;

    if (!list || !a) {
        json_decref(a);
        return NULL;
    }
    HASHMAP_FOREACH (u, m->units)
        list[n++] = u;
    qsort(list, n, sizeof(*list), compare_names);
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(a, summary(list[i]));
    return a;
}

json_t *api_jobs_json(struct manager *m) {
    json_t *a = json_array();

    LIST_FOREACH (j, &m->jobs->all, struct job, link)
        (void)json_array_append_new(
            a, json_pack("{si ss ss ss}", "id", (int)j->id, "unit", j->unit->name, "type",
                   job_type_name(j->type), "state", j->running ? "running" : "waiting"));
    return a;
}

static const char *phase_word(enum manager_phase phase) {
    static const char *const words[] = {
        [PHASE_STARTING] = "starting",
        [PHASE_RUNNING] = "running",
        [PHASE_RELOADING] = "reloading",
        [PHASE_STOPPING] = "stopping",
        [PHASE_ENDED] = "ended",
    };
    return words[phase];
}

#ifndef DAVIT_VERSION
#define DAVIT_VERSION "unknown"
#endif

json_t *api_manager_json(struct manager *m) {
    unsigned count[_STATE_COUNT] = {};
    json_t *o, *units = json_object(), *problems = json_array(), *reasons = json_array(),
               *path = texts(m->paths.unit_path);
    struct managed_unit *u;

    HASHMAP_FOREACH (u, m->units)
        count[u->state]++;
    for (int s = 0; s < _STATE_COUNT; s++)
        set(units, unit_state_name(s), json_integer(count[s]));
    add_problems(problems, m->problems);
    boot_add_report(m, problems, reasons);
    STRV_FOREACH (p, m->settings.unit_path)
        (void)json_array_append_new(path, json_string(*p));
    o = json_pack("{ss si ss sI so si so ss ss ss so so}", "version", DAVIT_VERSION, "pid", (int)getpid(),
        "phase", phase_word(m->phase), "since", (json_int_t)m->started_at, "units", units, "jobs",
        (int)m->jobs->count, "unit_path", path, "runtime_dir", m->paths.runtime ? m->paths.runtime : "",
        "state_dir", m->paths.state ? m->paths.state : "", "log_dir", m->paths.log ? m->paths.log : "",
        "problems", problems, "boot_reasons", reasons);
    if (!o)
        return NULL;
    set_text(o, "storage_driver", m->settings.storage_driver);
    if (m->settings.log_sink && !streq(m->settings.log_sink, "auto"))
        set_text(o, "log_sink", m->settings.log_sink);
    if (m->cgroups)
        set_text(o, "cgroups", cgroup_tree_mode(m->cgroups));
    return o;
}
