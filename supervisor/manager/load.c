/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unit files to managed units, at start and at each reload.
 *
 * A reload swaps whole sets: first everything is read, then each unit gets what was read for it. What is idle
 * takes it at once. What runs keeps the settings that it was started with, and takes the new ones at its next
 * start; a file that no longer parses changes nothing but what `status` shows. Dependencies are taken at
 * once, as systemd does.
 */
#include "manager/load.h"

#include "base/fs.h"
#include "manager/core.h"
#include "unit/load.h"

void loader_done(struct loader *l) {
    strv_free(l->path);
    unit_dirs_done(&l->dirs);
}

int loader_init_environment(struct loader *l, struct manager *m) {
    int r;

    *l = (struct loader){.manager = m};
    l->path = strv_copy(m->paths.unit_path);
    if (!l->path && m->paths.unit_path)
        return -ENOMEM;
    r = strv_extend(&l->path, m->settings.unit_path);
    usec_t restart_sec = MAX(m->settings.default_restart_sec, 1u);
    l->env = (struct unit_environment){
        .unit_path = l->path,
        .strict = m->settings.strict,
        /* In a unit file, too, a time-out of 0 is none. */
        .default_timeout_start = m->settings.default_timeout_start ?: USEC_INFINITY,
        .default_timeout_stop = m->settings.default_timeout_stop ?: USEC_INFINITY,
        .default_restart_sec = restart_sec,
    };
    return r;
}

int loader_init(struct loader *l, struct manager *m) {
    int r = loader_init_environment(l, m);

    return r < 0 ? r : unit_dirs_scan(l->path, &l->dirs);
}

static usec_t to_usec(const struct timespec *t) {
    return (usec_t)t->tv_sec * USEC_PER_SEC + (usec_t)t->tv_nsec / NSEC_PER_USEC;
}

/* systemd asks the same: is a file newer than the moment it was read? */
bool unit_changed_on_disk(const struct managed_unit *u) {
    _cleanup_strv_free_ char **files = u->transient ? NULL : unit_files(u->config);
    struct stat st;

    STRV_FOREACH (file, files)
        if (stat(*file, &st) < 0 || to_usec(&st.st_mtim) > u->loaded_at)
            return true;
    return false;
}

/* ---- one unit ---- */

static bool may_replace_config(const struct managed_unit *u) {
    return unit_is_idle(u) || u->state == STATE_WAITING;
}

void unit_take_next_config(struct managed_unit *u) {
    if (!u->next_config)
        return;
    unit_free(u->config);
    u->config = TAKE_PTR(u->next_config);
}

static void swap_dependencies(struct unit *a, struct unit *b) {
    for (int k = 0; k < _DEP_COUNT; k++) {
        char **list = a->unit.dependencies[k];

        a->unit.dependencies[k] = b->unit.dependencies[k];
        b->unit.dependencies[k] = list;
    }
}

static void report_problem(struct managed_unit *u) {
    if (!list_empty(&u->manager->listeners))
        unit_emit(u->manager, json_pack("{ss ss sI}", "event", "problem", "unit", u->name, "timestamp",
                                  (json_int_t)now_realtime()));
}

/* Takes `new` over. */
static void give_config(struct managed_unit *u, struct unit *new) {
    u->loaded_at = now_realtime();
    problems_free(u->load_problems);
    u->load_problems = NULL;
    u->gone = false;
    unit_free(u->next_config);
    u->next_config = NULL;
    if (new->problems)
        report_problem(u);
    if (!u->config) {
        u->config = new;
        return;
    }
    if (u->config->content_hash == new->content_hash && u->config->has_errors == new->has_errors) {
        /* The same text, but links beside it may have come or gone, and what depends on other files. */
        if (may_replace_config(u)) {
            unit_free(u->config);
            u->config = new;
        } else {
            swap_dependencies(u->config, new);
            u->config->enabled = new->enabled;
            unit_free(new);
        }
        return;
    }
    if (may_replace_config(u)) {
        unit_free(u->config);
        u->config = new;
    } else if (new->has_errors) {
        u->load_problems = TAKE_PTR(new->problems);
        unit_free(new);
    } else
        u->next_config = new;
}

static int unreadable_stub(const char *name, const struct error *why, struct unit **ret) {
    struct unit *stub = unit_stub(name);

    if (!stub)
        return -ENOMEM;
    stub->has_errors = true;
    (void)problem_add(&stub->problems, PROBLEM_ERROR, name, 0, NULL, NULL, NULL, "%s", why->text);
    *ret = stub;
    return 0;
}

static int read_unit(struct loader *l, const char *name, struct unit **ret) {
    struct error e = {};
    int r = unit_load_from(&l->env, &l->dirs, name, ret, &e);

    /* A file that is there and cannot be read is a unit with an error, not one that does not exist. */
    if (r < 0 && r != -ENOENT && r != -EINVAL && r != -ENOMEM)
        r = unreadable_stub(name, &e, ret);
    return r;
}

static int load_into(struct loader *l, const char *name, struct managed_unit **ret) {
    struct manager *m = l->manager;
    struct managed_unit *u = manager_find(m, name);
    struct unit *config;
    int r;

    r = read_unit(l, name, &config);
    if (r < 0)
        return r;
    if (!u && m->settings.max_units > 0 && hashmap_size(m->units) >= m->settings.max_units) {
        unit_free(config);
        return -EDQUOT;
    }
    /* An alias leads to the unit that has the file. */
    if (!streq(config->name, name)) {
        struct managed_unit *real = manager_find(m, config->name);

        if (real) {
            unit_free(config);
            *ret = real;
            return 0;
        }
        u = NULL;
    }
    if (!u)
        u = managed_unit_new(m, config->name);
    if (!u) {
        unit_free(config);
        return -ENOMEM;
    }
    give_config(u, config);
    *ret = u;
    return 0;
}

/* ---- what units refer to ---- */

static const enum dependency_kind pulling[] = {
    DEP_REQUIRES,
    DEP_WANTS,
    DEP_BINDS_TO,
    DEP_REQUISITE,
    DEP_ON_FAILURE,
    DEP_ON_SUCCESS,
    DEP_CONFLICTS,
    DEP_PART_OF,
    DEP_UPHOLDS,
    DEP_PROPAGATES_STOP_TO,
    DEP_STOP_PROPAGATED_FROM,
    DEP_PROPAGATES_RELOAD_TO,
    DEP_RELOAD_PROPAGATED_FROM,
};

/* Instances of templates exist by being named. Each name is tried once: those that are not there stay away.
 */
static int load_references(struct loader *l, char ***names) {
    for (size_t i = 0; *names && (*names)[i]; i++) {
        struct managed_unit *u = manager_find(l->manager, (*names)[i]);
        const struct unit *c;

        if (!u)
            continue;
        c = u->next_config ? u->next_config : u->config;
        for (size_t k = 0; k < ARRAY_SIZE(pulling); k++)
            STRV_FOREACH (name, c->unit.dependencies[pulling[k]]) {
                struct managed_unit *other;
                int r;

                if (manager_find(l->manager, *name) || hashmap_get(l->tried, *name))
                    continue;
                r = strv_append(names, *name);
                if (r >= 0)
                    r = hashmap_put(l->tried, (*names)[strv_length(*names) - 1], l);
                if (r < 0)
                    return r;
                r = load_into(l, *name, &other);
                if (r < 0 && r != -ENOENT && r != -EINVAL)
                    log_errno(LOG_ERR, r, "%s: cannot be loaded", *name);
            }
    }
    return 0;
}

/* ---- all ---- */

static int collect_gone(struct loader *l, struct hashmap *seen) {
    _cleanup_strv_free_ char **unseen = NULL;
    struct managed_unit *u;
    int r = 0;

    HASHMAP_FOREACH (u, l->manager->units) {
        bool built_in = u->config && !u->config->fragment && u->config->type == UNIT_TARGET;

        if (!hashmap_get(seen, u->name) && !u->transient && !built_in)
            r = strv_append(&unseen, u->name);
        if (r < 0)
            return r;
    }
    /* Not listed: an instance that somebody asked for, or its file was removed. */
    STRV_FOREACH (name, unseen) {
        u = manager_find(l->manager, *name);
        if (!u || load_into(l, *name, &u) != -ENOENT)
            continue;
        u = manager_find(l->manager, *name);
        u->gone = true;
        unit_follow_up(u, FOLLOW_COLLECT);
    }
    return 0;
}

/* A fleet needs no target files: these exist by themselves. multi-user.target is where many unit files hang.
 */
static int add_builtin_targets(struct manager *m) {
    const char *wanted = m->settings.default_target ? m->settings.default_target : "default.target";
    const char *const names[] = {wanted, "multi-user.target"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct managed_unit *u = manager_find(m, names[i]);
        struct unit *stub;

        if (u || unit_type_from_name(names[i]) != UNIT_TARGET)
            continue;
        stub = unit_stub(names[i]);
        u = stub ? managed_unit_new(m, names[i]) : NULL;
        if (!u) {
            unit_free(stub);
            return -ENOMEM;
        }
        u->config = stub;
        if (i == 0 && !streq(wanted, names[1]) &&
            strv_append(&stub->unit.dependencies[DEP_WANTS], names[1]) < 0)
            return -ENOMEM;
    }
    return 0;
}

static unsigned count_problems(struct manager *m) {
    struct managed_unit *u;
    unsigned n = 0;

    HASHMAP_FOREACH (u, m->units) {
        const struct unit *c = u->next_config ? u->next_config : u->config;

        for (const struct problem *p = u->load_problems; p; p = p->next)
            n += p->level != PROBLEM_NOTE;
        for (const struct problem *p = c->problems; p; p = p->next)
            n += p->level != PROBLEM_NOTE;
    }
    return n;
}

static int load_names(struct loader *l, char **names, struct hashmap *seen) {
    STRV_FOREACH (name, names) {
        struct managed_unit *u;
        int r = load_into(l, *name, &u);

        if (r == -ENOMEM)
            return r;
        if (r < 0 && r != -ENOENT)
            log_errno(LOG_ERR, r, "%s: not loaded", *name);
        if (r < 0)
            continue;
        r = hashmap_put(seen, u->name, u);
        if (r < 0 && r != -EEXIST)
            return r;
    }
    return 0;
}

/* gc has to know of them although they are no units, and must not read files when it begins. */
static int note_templates(struct loader *l) {
    _cleanup_strv_free_ char **files = NULL, **names = NULL, **images = NULL;
    struct manager *m = l->manager;
    int r = unit_list_files(&l->env, &files, NULL);

    STRV_FOREACH (name, files) {
        _cleanup_(unit_freep) struct unit *config = NULL;
        const char *named[UNIT_IMAGES];

        if (r < 0 || !name_is_template(*name))
            continue;
        r = strv_append(&names, *name);
        if (r < 0 || unit_load_from(&l->env, &l->dirs, *name, &config, NULL) < 0)
            continue; /* one that does not load keeps what its instances have used */
        unit_images(config, named);
        for (size_t i = 0; i < UNIT_IMAGES && r >= 0; i++)
            if (named[i])
                r = strv_append(&images, named[i]);
    }
    if (r < 0)
        return r;
    strv_free(m->templates);
    strv_free(m->template_images);
    m->templates = TAKE_PTR(names);
    m->template_images = TAKE_PTR(images);
    return 0;
}

int manager_load_units(struct manager *m, unsigned *ret_problems, struct error *e) {
    _cleanup_(loader_done) struct loader l = {};
    _cleanup_(hashmap_freep) struct hashmap *seen = hashmap_new(), *tried = hashmap_new();
    _cleanup_strv_free_ char **names = NULL;
    int r;

    if (!seen || !tried)
        return error_set_errno(e, ENOMEM, "loading units");
    r = loader_init(&l, m);
    if (r < 0)
        return error_set_errno(e, r, "loading units");
    l.tried = tried;
    r = unit_list_names(&l.env, &names, e);
    if (r < 0)
        return r;
    r = load_names(&l, names, seen);
    if (r >= 0)
        r = note_templates(&l);
    if (r >= 0)
        r = add_builtin_targets(m);
    if (r >= 0)
        r = collect_gone(&l, seen);
    if (r >= 0)
        r = load_references(&l, &names);
    if (r >= 0)
        r = graph_build(m);
    if (r < 0)
        return error_set_errno(e, r, "loading units");
    if (ret_problems)
        *ret_problems = count_problems(m);
    return 0;
}

int manager_load_one(struct manager *m, const char *name, struct managed_unit **ret, struct error *e) {
    _cleanup_(loader_done) struct loader l = {};
    _cleanup_(hashmap_freep) struct hashmap *tried = hashmap_new();
    _cleanup_strv_free_ char **names = NULL;
    struct managed_unit *u;
    int r;

    if (!tried)
        return error_set_errno(e, ENOMEM, "%s", name);
    if (name_is_template(name))
        return error_set(e, EINVAL, "%s is a template: name an instance, as in %.*s@NAME", name,
            (int)strcspn(name, "@"), name);
    r = loader_init(&l, m);
    if (r < 0)
        return error_set_errno(e, r, "%s", name);
    l.tried = tried;
    r = load_into(&l, name, &u);
    if (r == -ENOENT)
        return error_set(e, ENOENT, "there is no unit %s", name);
    if (r == -EDQUOT)
        return error_set(e, EDQUOT, "%s: there are %u units already (max_units in davit.conf)", name,
            m->settings.max_units);
    if (r >= 0)
        r = strv_append(&names, u->name);
    if (r >= 0)
        r = load_references(&l, &names);
    if (r >= 0)
        r = graph_build(m);
    if (r < 0)
        return error_set_errno(e, r, "%s", name);
    *ret = u;
    return 0;
}

/* For a unit that an earlier davitd knew. A one-off container's text is kept beside the state. */
static int read_transient(struct manager *m, const char *name, struct unit **ret) {
    _cleanup_free_ char *path = run_text_path(m, name);
    struct unit_environment env = {};
    struct error e = {};

    if (!path)
        return -ENOMEM;
    return unit_load_file(&env, path, ret, &e);
}

int manager_add_unit(struct manager *m, const char *name, struct managed_unit **ret) {
    struct managed_unit *u = manager_find(m, name);
    struct unit *config = NULL;
    struct error e = {};
    bool transient;

    if (u) {
        *ret = u;
        return 0;
    }
    if (!unit_name_is_valid(name))
        return -EINVAL;
    if (manager_load_one(m, name, &u, &e) >= 0) {
        *ret = u;
        return 0;
    }
    transient = read_transient(m, name, &config) >= 0;
    if (!transient)
        config = unit_stub(name);
    u = config ? managed_unit_new(m, name) : NULL;
    if (!u) {
        unit_free(config);
        return -ENOMEM;
    }
    u->config = config;
    u->gone = true;
    u->transient = transient;
    *ret = u;
    return 0;
}

void unit_collect(struct managed_unit *u) {
    if (!(u->gone || u->transient) || !unit_is_idle(u) || u->job || u->main || u->control ||
        u->n_events > 0 || u->resources.cleanup || exec_runs(u) || run_waits_for_client(u))
        return;
    if (u->transient)
        run_unload(u);
    saved_remove(u);
    managed_unit_free(u);
}
