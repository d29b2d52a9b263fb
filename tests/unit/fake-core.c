/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-core.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/log.h"

struct fake_core *fake;

/* ---- what the core offers ---- */

void unit_event(struct managed_unit *u, enum unit_event event) {
    (void)u;
    fake->events[event]++;
}
void unit_mark_dirty(struct managed_unit *u) {
    list_remove(&u->save_queue);
    list_append(&u->manager->save_queue, &u->save_queue);
}
void unit_slot_release(struct managed_unit *u) {
    (void)u;
}
void unit_slot_request(struct managed_unit *u) {
    (void)u;
}
void unit_emit(struct manager *m, json_t *event) {
    (void)m;
    json_decref(event);
}
void unit_extend_timeout(struct managed_unit *u, usec_t usec) {
    (void)u;
    fake->extended = usec;
}
void unit_watchdog_ping(struct managed_unit *u) {
    (void)u;
    fake->watchdog_pings++;
}
void unit_watchdog_set(struct managed_unit *u, usec_t usec) {
    (void)u;
    fake->watchdog_set = usec;
}
void unit_set_status_text(struct managed_unit *u, const char *text) {
    (void)free_and_strdup(&u->status_text, text);
}
struct managed_unit *manager_find(struct manager *m, const char *name) {
    return hashmap_get(m->units, name);
}
int manager_add_unit(struct manager *m, const char *name, struct managed_unit **ret) {
    (void)m;
    (void)name;
    (void)ret;
    return -ENOENT;
}
int manager_status_text(struct manager *m, char **ret) {
    *ret = strf("%zu units", hashmap_size(m->units));
    return 0;
}
void images_collect(struct manager *m) {
    (void)m;
}
void images_collect_left(struct manager *m) {
    (void)m;
}
void exec_format(const struct managed_unit *u, const char *key, struct strbuf *b) {
    (void)u;
    (void)key;
    (void)b;
}
int unit_recover(struct managed_unit *u) {
    (void)u;
    return 0;
}
void run_keep_text(_unused_ struct manager *m, const char *name) {
    assert_true(strlen(name) < sizeof(fake->kept_text));
    (void)strcpy(fake->kept_text, name);
}
bool run_may_have_begun(struct manager *m, const char *name) {
    (void)m;
    (void)name;
    return false;
}

#define NAMES(what, count) \
    const char *unit_##what##_name(enum unit_##what v) { \
        static char names[count][24]; \
        (void)snprintf(names[v], sizeof(names[v]), #what "-%d", (int)v); \
        return names[v]; \
    } \
    int unit_##what##_from_name(const char *s) { \
        for (int i = 0; i < (count); i++) \
            if (streq(s, unit_##what##_name((enum unit_##what)i))) \
                return i; \
        return -EINVAL; \
    }
NAMES(state, _STATE_COUNT)
NAMES(step, _STEP_COUNT)
NAMES(result, _RESULT_COUNT)

/* ---- making it ---- */

static void make_paths(void) {
    struct paths *p = &fake->m.paths;
    const struct {
        char **field;
        const char *name;
    } table[] = {{&p->runtime, "run"}, {&p->state, "state"}, {&p->log, "log"}, {&p->libexec, "libexec"}};

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        *table[i].field = strf("%s/%s", fake->directory, table[i].name);
        assert_int_equal(mkdir_parents(AT_FDCWD, *table[i].field, 0755), 0);
    }
    p->config = strf("%s/davit.conf", fake->directory);
    assert_int_equal(strv_consume(&p->unit_path, strf("%s/units", fake->directory)), 0);
    assert_int_equal(mkdir_parents(AT_FDCWD, p->unit_path[0], 0755), 0);
}

static void open_directories(void) {
    struct manager *m = &fake->m;

    m->runtime_fd = open(m->paths.runtime, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    m->state_fd = open(m->paths.state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(m->runtime_fd >= 0 && m->state_fd >= 0);
    assert_int_equal(mkdir_parents(m->runtime_fd, "state", 0700), 0);
    assert_int_equal(mkdir_parents(m->runtime_fd, "notify", 0711), 0);
    assert_int_equal(mkdir_parents(m->runtime_fd, "log", 0711), 0);
}

void fake_core_new(void) {
    struct error e = {};

    fake = calloc(1, sizeof(*fake));
    assert_non_null(fake);
    (void)snprintf(fake->directory, sizeof(fake->directory), "/tmp/davit-test-XXXXXX");
    assert_non_null(mkdtemp(fake->directory));
    log_set_level(LOG_CRIT);
    struct manager *m = &fake->m;
    make_paths();
    open_directories();
    settings_init(&m->settings);
    m->units = hashmap_new();
    list_init(&m->save_queue);
    list_init(&m->listeners);
    list_init(&m->pulls);
    list_init(&m->event_queue);
    assert_true(sd_event_new(&m->event) >= 0);
    assert_int_equal(keeper_new(m, &e), 0);
    assert_int_equal(idmaps_new(m, &e), 0);
}

static void free_unit(struct managed_unit *u) {
    resources_free(u);
    unit_free(u->config);
    free(u->status_text);
    free(u->error);
    free(u->cgroup_problems);
    free(u->name);
    free(u);
}

void fake_core_done(void) {
    struct manager *m = &fake->m;
    struct managed_unit *u;

    HASHMAP_FOREACH (u, m->units) {
        (void)hashmap_remove(m->units, u->name);
        free_unit(u);
    }
    hashmap_free(m->units);
    logs_free(m);
    processes_free(m);
    idmaps_free(m);
    keeper_free(m);
    settings_done(&m->settings);
    paths_done(&m->paths);
    (void)close(m->runtime_fd);
    (void)close(m->state_fd);
    (void)sd_event_unref(m->event);
    assert_int_equal(remove_tree(AT_FDCWD, fake->directory), 0);
    free(fake);
    fake = NULL;
}

int fake_core_setup(void **state) {
    (void)state;
    fake_core_new();
    return 0;
}

int fake_core_teardown(void **state) {
    (void)state;
    fake_core_done();
    return 0;
}

struct managed_unit *fake_unit(const char *name, const char *text) {
    struct manager *m = &fake->m;
    struct error e = {};
    const struct unit_environment env = {
        .unit_path = m->paths.unit_path,
        .runtime_dir = m->paths.runtime,
        .state_dir = m->paths.state,
        .cache_dir = "/var/cache",
        .log_dir = m->paths.log,
        .config_dir = "/etc",
    };

    _cleanup_free_ char *path = strf("%s/%s", m->paths.unit_path[0], name);
    assert_int_equal(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, false), 0);
    struct managed_unit *u = calloc(1, sizeof(*u));
    u->manager = m;
    u->name = strdup(name);
    u->saved_job = -1;
    u->timeout_at = u->extended_until = USEC_INFINITY;
    u->resources.notify_fd = u->resources.log_fd = -1;
    u->resources.id = siphash_stable(name, strlen(name));
    list_init(&u->save_queue);
    list_init(&u->extra);
    list_init(&u->event_link);
    list_init(&u->slot_link);
    if (unit_load(&env, name, &u->config, &e) < 0)
        fail_msg("%s: %s", name, e.text);
    for (const struct problem *p = u->config->problems; p; p = p->next) {
        if (p->level == PROBLEM_ERROR)
            fail_msg("%s:%u: %s", name, p->line, p->text);
    }
    assert_int_equal(hashmap_put(m->units, u->name, u), 0);
    return u;
}

void fake_turn(void) {
    while (sd_event_run(fake->m.event, 20 * USEC_PER_MSEC) > 0)
        ;
}
