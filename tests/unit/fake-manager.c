/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-manager.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/parse.h"
#include "manager/rooms.h"

struct fake fake;

/* ---- processes ---- */

struct fake_process {
    struct process p;
    struct list link;
    char group[64]; /* of a dead davitd's unit, too */
    struct process_exit exit;
    bool begin, start, end; /* what comes at the next turn */
};
static struct list processes = LIST_INIT(processes);
static uint64_t next_request = 1;
static pid_t next_pid = 1000;

struct fake_group {
    char unit[64];
    unsigned children;
    bool ignore_term;
    uint64_t oom_kills;
};
static struct fake_group groups[64];

static struct fake_group *group_of(const char *unit) {
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
        if (streq(groups[i].unit, unit))
            return &groups[i];
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
        if (!groups[i].unit[0]) {
            (void)snprintf(groups[i].unit, sizeof(groups[i].unit), "%s", unit);
            return &groups[i];
        }
    fail_msg("too many groups");
    return NULL;
}

static struct fake_process *of(struct process *p) {
    return container_of(p, struct fake_process, p);
}

static struct fake_process *new_process(struct managed_unit *u, enum process_role role,
    const struct process_callbacks *callbacks, void *userdata) {
    struct fake_process *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->p = (struct process){.manager = &fake.m,
        .unit = u,
        .role = role,
        .request = next_request++,
        .pidfd = -1,
        .status_fd = -1,
        .callbacks = callbacks,
        .userdata = userdata};
    (void)snprintf(f->group, sizeof(f->group), "%s", u->name);
    list_append(&processes, &f->link);
    return f;
}

int process_start(struct manager *m _unused_, struct managed_unit *unit, enum process_role role,
    struct container_spec *spec, const int *fds _unused_, size_t n_fds _unused_,
    const struct process_callbacks *callbacks, void *userdata, struct process **ret, struct error *e) {
    struct fake_process *f;

    if (fake.spawn_fails)
        return error_set(e, E2BIG, "the spec is too large");
    f = new_process(unit, role, callbacks, userdata);
    if (role == PROCESS_MAIN) {
        fake.mains++;
        f->begin = f->start = fake.auto_start;
    } else if (role == PROCESS_EXEC) {
        f->begin = f->start = true;
        fake.last_exec = &f->p;
    } else if (role == PROCESS_CONTROL) {
        fake.hooks++;
        (void)snprintf(fake.last_hook, sizeof(fake.last_hook), "%s", spec->argv ? spec->argv[0] : "");
        fake.hook_result = unit->pending_result;
        fake.hook_code = unit->main_code;
        fake.hook_status = unit->main_status;
        f->begin = true;
        if (fake.auto_hooks) {
            f->start = f->end = true;
            f->exit = (struct process_exit){.code = CLD_EXITED};
        }
    }
    *ret = &f->p;
    return 0;
}

int wall_start(struct manager *m _unused_, const char *text, struct error *e) {
    if (fake.spawn_fails)
        return error_set(e, EAGAIN, "no process");
    fake.times_told++;
    (void)snprintf(fake.told, sizeof(fake.told), "%s", text);
    return 0;
}

int process_adopt(struct manager *m _unused_, struct managed_unit *unit, enum process_role role,
    uint64_t request, pid_t pid, enum process_stage stage, const struct process_callbacks *callbacks,
    void *userdata, struct process **ret) {
    if (fake.adopt_result < 0)
        return fake.adopt_result;
    LIST_FOREACH (f, &processes, struct fake_process, link) {
        if (f->p.request != request)
            continue;
        assert_int_equal(f->p.pid, pid);
        assert_int_equal(f->p.role, role);
        f->p.unit = unit;
        f->p.callbacks = callbacks;
        f->p.userdata = userdata;
        f->p.stage = stage;
        *ret = &f->p;
        return 0;
    }
    return -ESRCH;
}

void process_set_foreign(struct process *p) {
    p->foreign = true;
}

void process_free(struct process *p) {
    struct fake_process *f = of(p);

    list_remove(&f->link);
    free(f);
}

void process_abandon(struct process *p) {
    p->callbacks = NULL;
    p->unit = NULL;
}

static void record_kill(const char *unit, int number, bool group) {
    if (fake.n_kills == ARRAY_SIZE(fake.kills) || number == SIGCONT)
        return;
    fake.kills[fake.n_kills].signal = number;
    fake.kills[fake.n_kills].group = group;
    (void)snprintf(fake.kills[fake.n_kills++].unit, sizeof(fake.kills->unit), "%s", unit);
}

static void deliver(struct fake_process *f, int number) {
    if (f->end || number == SIGCONT || number == 0)
        return;
    if (number == SIGKILL ? fake.ignore_kill : fake.ignore_term)
        return;
    f->end = true;
    f->exit = (struct process_exit){.code = CLD_KILLED, .status = number, .when = fake.now};
}

int process_kill(struct process *p, int number) {
    if (p->unit)
        record_kill(p->unit->name, number, false);
    deliver(of(p), number);
    return 0;
}

static void begin(struct fake_process *f) {
    f->begin = false;
    f->p.pid = next_pid++;
    f->p.stage = PROCESS_BEGUN;
    if (f->p.callbacks && f->p.callbacks->begun)
        f->p.callbacks->begun(&f->p);
}

static void started(struct fake_process *f) {
    f->start = false;
    f->p.stage = PROCESS_STARTED;
    if (f->p.callbacks && f->p.callbacks->started)
        f->p.callbacks->started(&f->p);
}

static void ended(struct fake_process *f) {
    const struct process_callbacks *c = f->p.callbacks;
    struct error e = {};

    f->end = false;
    f->p.stage = PROCESS_ENDED;
    if (!c) {
        process_free(&f->p);
        return;
    }
    if (f->p.pid == 0) { /* withdrawn before it was begun */
        error_set(&e, ECANCELED, "withdrawn");
        c->failed(&f->p, &e);
    } else {
        struct process_exit x = f->exit; /* the process is freed inside */

        c->exited(&f->p, &x);
    }
}

/* True if something happened. */
static bool process_turn(void) {
    LIST_FOREACH (f, &processes, struct fake_process, link) {
        if (f->begin)
            begin(f);
        else if (f->start)
            started(f);
        else if (f->end)
            ended(f);
        else
            continue;
        return true;
    }
    return false;
}

/* ---- control groups ---- */

int cgroup_is_populated(struct cgroup_tree *t _unused_, const char *name) {
    if (group_of(name)->children > 0)
        return 1;
    LIST_FOREACH (f, &processes, struct fake_process, link)
        if (streq(f->group, name) && f->p.pid > 0 && f->p.stage != PROCESS_ENDED)
            return 1;
    return 0;
}

bool fake_group_populated(const char *unit) {
    return cgroup_is_populated(NULL, unit) > 0;
}

int cgroup_kill(struct cgroup_tree *t _unused_, const char *name, int number) {
    struct fake_group *g = group_of(name);

    record_kill(name, number, true);
    LIST_FOREACH (f, &processes, struct fake_process, link)
        if (streq(f->group, name) && f->p.pid > 0)
            deliver(f, number);
    if ((number == SIGKILL && !fake.ignore_kill) ||
        (number != SIGCONT && number != SIGKILL && !g->ignore_term))
        g->children = 0;
    return 0;
}

int cgroup_has_pid(struct cgroup_tree *t _unused_, const char *name, pid_t pid) {
    LIST_FOREACH (f, &processes, struct fake_process, link)
        if (streq(f->group, name) && f->p.pid == pid)
            return 1;
    return 0;
}

int cgroup_freeze(struct cgroup_tree *t _unused_, const char *name _unused_, bool freeze _unused_) {
    return 0;
}
int cgroup_events_open(struct cgroup_tree *t _unused_, const char *name _unused_) {
    return -EOPNOTSUPP; /* as on legacy machines: the core polls */
}
int cgroup_oom_open(struct cgroup_tree *t _unused_, const char *name _unused_, uint32_t *e _unused_) {
    return -EOPNOTSUPP;
}
uint64_t cgroup_oom_kills(struct cgroup_tree *t _unused_, const char *name) {
    return group_of(name)->oom_kills;
}
ssize_t cgroup_pids(struct cgroup_tree *t _unused_, const char *name, pid_t *pids, size_t max) {
    size_t n = 0;

    LIST_FOREACH (f, &processes, struct fake_process, link)
        if (streq(f->group, name) && f->p.pid > 0 && n < max)
            pids[n++] = f->p.pid;
    return (ssize_t)n;
}
int cgroup_paths(struct cgroup_tree *t _unused_, const char *name, char **ret_unified, char ***ret_tasks) {
    *ret_unified = strf("/fake/%s", name);
    *ret_tasks = NULL;
    return 0;
}
void cgroup_stats(struct cgroup_tree *t _unused_, const char *name _unused_, struct cgroup_stats *ret) {
    memset(ret, 0xff, sizeof(*ret)); /* CGROUP_UNSET everywhere */
}
const char *cgroup_tree_mode(const struct cgroup_tree *t _unused_) {
    return "legacy";
}

void fake_set_children(const char *unit, unsigned n, bool ignore_term) {
    group_of(unit)->children = n;
    group_of(unit)->ignore_term = ignore_term;
}

void fake_oom(const char *unit, unsigned kills) {
    group_of(unit)->oom_kills += kills;
}

/* ---- preparing ---- */

void prepare_start(struct managed_unit *u) {
    fake.prepares++;
    u->resources.cgroup = true;
    if (fake.prepare == FAKE_PREPARE_OK)
        unit_event(u, EVENT_PREPARED);
    else if (fake.prepare == FAKE_PREPARE_FAILS) {
        struct error e = {};

        error_set(&e, fake.prepare_errno, "no image");
        unit_set_error(u, &e);
        u->pending_result = RESULT_RESOURCES;
        unit_event(u, EVENT_FAILURE);
    }
}
void prepare_cancel(struct managed_unit *u _unused_) {}

void prepare_cleanup(struct managed_unit *u, bool restart_follows) {
    fake.cleanups++;
    fake.cleanup_kept = restart_follows;
    u->resources.cgroup = restart_follows;
    if (!fake.cleanup_waits)
        unit_event(u, EVENT_CLEANED);
}

void resources_free(struct managed_unit *u) {
    free(u->resources.upper_dir);
    strv_free(u->resources.anonymous_volumes);
}

static int empty_spec(struct container_spec *ret, size_t *ret_n_fds) {
    *ret_n_fds = 0;
    spec_init(ret);
    return 0;
}
int prepare_main_spec(struct managed_unit *u, struct container_spec *ret,
    int fds[static SPEC_MAX_FDS] _unused_, size_t *ret_n_fds, struct error *e) {
    if (run_waits_for_stdio(u)) /* as the real one */
        return error_set(e, ECONNRESET, "no input and output");
    return empty_spec(ret, ret_n_fds);
}
int prepare_control_spec(struct managed_unit *u _unused_, const struct exec_command *c,
    struct container_spec *ret, int fds[static SPEC_MAX_FDS] _unused_, size_t *ret_n_fds,
    struct error *e _unused_) {
    empty_spec(ret, ret_n_fds);
    return strv_append(&ret->argv, c->path);
}
int prepare_exec_spec(struct managed_unit *u _unused_, const struct exec_request *r _unused_,
    struct container_spec *ret, int fds[static SPEC_MAX_FDS] _unused_, size_t *ret_n_fds,
    struct error *e _unused_) {
    return empty_spec(ret, ret_n_fds);
}
int volume_prepare(struct managed_unit *u _unused_, struct error *e) {
    return fake.prepare == FAKE_PREPARE_FAILS ? error_set(e, fake.prepare_errno, "no volume") : 0;
}

/* ---- the rest of the neighbours ---- */

void images_collect_left(struct manager *m _unused_) {}

void notify_drain(struct managed_unit *u _unused_) {}
int notify_watch(struct managed_unit *u _unused_) {
    return 0;
}
void saved_flush(struct manager *m) {
    fake.flushes++;
    LIST_FOREACH (u, &m->save_queue, struct managed_unit, save_queue)
        list_remove(&u->save_queue);
}
int saved_write(struct managed_unit *u _unused_) {
    return fake.save_fails ? -ENOSPC : 0;
}
void saved_remove(struct managed_unit *u _unused_) {}
void keeper_notify(struct manager *m _unused_, const char *fmt, ...) {
    size_t n = strlen(fake.notified);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(fake.notified + n, sizeof(fake.notified) - n, fmt, ap);
    va_end(ap);
    (void)strncat(fake.notified, "\n", sizeof(fake.notified) - strlen(fake.notified) - 1);
}

int config_read(struct manager *m, void (*done)(struct manager *m, const struct error *e, void *userdata),
    void *userdata, struct error *e _unused_) {
    done(m, NULL, userdata);
    return 0;
}

void report_unit(
    struct managed_unit *u, int priority _unused_, const char *message_id _unused_, const char *fmt, ...) {
    size_t n = strlen(fake.log);
    va_list ap;

    if (n > sizeof(fake.log) - 1024)
        n = 0;
    n += (size_t)snprintf(fake.log + n, sizeof(fake.log) - n, "%s: ", u->name);
    va_start(ap, fmt);
    n += (size_t)vsnprintf(fake.log + n, sizeof(fake.log) - n, fmt, ap);
    va_end(ap);
    (void)snprintf(fake.log + MIN(n, sizeof(fake.log) - 2), 2, "\n");
}

/* ---- the clock ---- */

struct fake_timer {
    struct managed_unit *unit;
    enum unit_timer which;
    usec_t at;
};
static struct fake_timer timers[1024];
static size_t n_timers;

usec_t core_now(void) {
    return fake.now;
}

static struct fake_timer *find_timer(const struct managed_unit *u, enum unit_timer which) {
    for (size_t i = 0; i < n_timers; i++)
        if (timers[i].unit == u && timers[i].which == which)
            return &timers[i];
    return NULL;
}

void unit_timer_cancel(struct managed_unit *u, enum unit_timer which) {
    struct fake_timer *t = find_timer(u, which);

    if (t)
        *t = timers[--n_timers];
}

void unit_timer_set(struct managed_unit *u, enum unit_timer which, usec_t at) {
    unit_timer_cancel(u, which);
    if (at == USEC_INFINITY)
        return;
    assert_true(n_timers < ARRAY_SIZE(timers));
    timers[n_timers++] = (struct fake_timer){u, which, at};
}

bool unit_timer_is_set(const struct managed_unit *u, enum unit_timer which) {
    return find_timer(u, which);
}

void fake_settle(void) {
    bool more;

    do {
        more = false;
        while (sd_event_run(fake.m.event, 0) > 0)
            more = true;
        more |= process_turn();
        if (more) /* a poll timer that would find its group empty is an event that has happened */
            continue;
        for (size_t i = 0; i < n_timers && !more; i++)
            if (timers[i].which == TIMER_POLL && !fake_group_populated(timers[i].unit->name)) {
                struct fake_timer t = timers[i];

                unit_timer_cancel(t.unit, t.which);
                unit_timer_fired(t.unit, t.which);
                more = true;
            }
    } while (more);
}

void fake_advance(usec_t by) {
    usec_t end = fake.now + by;

    fake_settle();
    for (;;) {
        struct fake_timer *next = NULL, t;

        for (size_t i = 0; i < n_timers; i++)
            if (timers[i].at <= end && (!next || timers[i].at < next->at))
                next = &timers[i];
        if (!next)
            break;
        t = *next;
        fake.now = MAX(fake.now, t.at);
        unit_timer_cancel(t.unit, t.which);
        unit_timer_fired(t.unit, t.which);
        fake_settle();
    }
    fake.now = end;
}

/* ---- units and jobs ---- */

void fake_write(const char *name, const char *text) {
    _cleanup_free_ char *path = strf("%s/%s", fake.directory, name);

    assert_non_null(path);
    if (!text) {
        (void)unlink(path);
        return;
    }
    assert_return_code(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, false), 0);
}

void fake_load(void) {
    struct error e = {};

    if (manager_load_units(&fake.m, NULL, &e) < 0)
        fail_msg("%s", e.text);
    fake_settle();
}

struct managed_unit *fake_unit(const char *name) {
    struct managed_unit *u = manager_find(&fake.m, name);

    if (!u)
        fail_msg("no unit %s", name);
    return u;
}

void fake_job_told(void *userdata _unused_, const char *unit, enum job_result result, const char *message) {
    fake.jobs_told++;
    (void)snprintf(fake.last_job, sizeof(fake.last_job), "%s %s%s%s", unit, job_result_name(result),
        message ? " " : "", message ? message : "");
}

int fake_job(const char *unit, enum job_type type) {
    struct error e = {};
    int r;

    fake.last_job[0] = '\0';
    r = api_queue_job(&fake.m, fake_unit(unit), type, JOB_MODE_REPLACE, fake_job_told, &fake, &e);
    if (r < 0)
        (void)snprintf(fake.last_job, sizeof(fake.last_job), "%s", e.text);
    fake_settle();
    return r;
}

void fake_process_exits(struct process *p, int code, int status) {
    of(p)->end = true;
    of(p)->exit = (struct process_exit){.code = code, .status = status, .when = fake.now};
    fake_settle();
}

void fake_process_fails(struct process *p, int number) {
    struct error e = {};

    of(p)->begin = of(p)->start = false;
    error_set(&e, number, "cannot be");
    p->callbacks->failed(p, &e);
    fake_settle();
}

static struct fake_process *main_of(const char *unit) {
    struct managed_unit *u = fake_unit(unit);

    if (!u->main)
        fail_msg("%s has no main process", unit);
    return of(u->main);
}

void fake_begun(const char *unit) {
    main_of(unit)->begin = true;
    fake_settle();
}

void fake_started(const char *unit) {
    struct fake_process *f = main_of(unit);

    f->begin = f->p.pid == 0;
    f->start = true;
    fake_settle();
}

void fake_launch_fails(const char *unit, int number, const char *step) {
    struct process *p = &main_of(unit)->p;
    struct error e = {};

    error_set_step(&e, step);
    error_set(&e, number, "launch of %s", unit);
    p->stage = PROCESS_ENDED;
    p->callbacks->failed(p, &e);
    fake_settle();
}

static void exec_fails(struct fake_process *f, int number, const char *step) {
    struct error e = {};

    if (f->p.pid == 0)
        begin(f);
    error_set_step(&e, step);
    error_set(&e, number, "exec of %s", f->p.unit->name);
    f->p.callbacks->failed(&f->p, &e);
    f->end = true;
    f->start = false;
    f->exit = (struct process_exit){.code = CLD_EXITED, .status = 126};
    fake_settle();
}

void fake_process_exec_fails(struct process *p, int number, const char *step) {
    exec_fails(of(p), number, step);
}

void fake_exec_fails(const char *unit, int number, const char *step) {
    exec_fails(main_of(unit), number, step);
}

void fake_exits(const char *unit, int code, int status) {
    struct fake_process *f = main_of(unit);

    f->end = true;
    f->exit = (struct process_exit){.code = code, .status = status, .when = fake.now};
    fake_settle();
}

void fake_waits_in_the_feed(const char *unit, int code, int status) {
    struct fake_process *f = main_of(unit);

    f->begin = f->p.pid == 0;
    f->start = f->end = true;
    f->exit = (struct process_exit){.code = code, .status = status, .when = fake.now};
}

static struct fake_process *hook_of(const char *unit) {
    struct managed_unit *u = fake_unit(unit);

    if (!u->control)
        fail_msg("%s has no hook", unit);
    return of(u->control);
}

void fake_hook_exec_fails(const char *unit, int number, const char *step) {
    exec_fails(hook_of(unit), number, step);
}

void fake_hook_waits_in_the_feed(const char *unit) {
    struct fake_process *f = hook_of(unit);

    f->start = f->end = true;
    f->exit = (struct process_exit){.code = CLD_EXITED, .when = fake.now};
}

void fake_hook_exits(const char *unit, int code, int status) {
    struct fake_process *f = hook_of(unit);

    f->start = f->end = true;
    f->exit = (struct process_exit){.code = code, .status = status, .when = fake.now};
    fake_settle();
}

void fake_event(const char *unit, enum unit_event event) {
    unit_event(fake_unit(unit), event);
    fake_settle();
}
void fake_prepared(const char *unit) {
    fake_event(unit, EVENT_PREPARED);
}
void fake_cleaned(const char *unit) {
    fake_event(unit, EVENT_CLEANED);
}

/* ---- the manager itself ---- */

static void manager_open(void) {
    memset(&fake.m, 0, sizeof(fake.m));
    assert_return_code(sd_event_new(&fake.m.event), 0);
    settings_init(&fake.m.settings);
    fake.m.settings.keep_trying = false;
    fake.m.settings.start_concurrency = 100;
    assert_return_code(strv_append(&fake.m.paths.unit_path, fake.directory), 0);
    fake.m.paths.runtime = strdup(fake.directory);
    fake.m.runtime_fd = open(fake.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fake.m.runtime_fd >= 0);
    fake.m.state_fd = -1;
    fake.m.cgroups = (struct cgroup_tree *)&fake; /* never looked into: see the fakes above */
    assert_return_code(manager_init_core(&fake.m), 0);
    fake.m.phase = PHASE_RUNNING;
}

static void manager_close(void) {
    struct managed_unit *u;
    size_t position = 0;

    while ((u = hashmap_next(fake.m.units, &position))) {
        u->main = u->control = NULL;
        managed_unit_free(u);
        position = 0;
    }
    jobs_free(&fake.m);
    hashmap_free(fake.m.units);
    strv_free(TAKE_PTR(fake.m.templates));
    strv_free(TAKE_PTR(fake.m.template_images));
    settings_done(&fake.m.settings);
    (void)close(fake.m.runtime_fd);
    strv_free(fake.m.paths.unit_path);
    free(fake.m.paths.runtime);
    sd_event_source_disable_unref(fake.m.stop_timer);
    sd_event_unref(fake.m.event);
    n_timers = 0;
}

int fake_setup(void **state _unused_) {
    memset(&fake, 0, sizeof(fake));
    memset(groups, 0, sizeof(groups));
    (void)snprintf(fake.directory, sizeof(fake.directory), "/tmp/davit-test-manager-XXXXXX");
    if (!mkdtemp(fake.directory))
        return -1;
    fake.now = 1000 * USEC_PER_SEC;
    fake.auto_start = fake.auto_hooks = true;
    manager_open();
    return 0;
}

int fake_teardown(void **state _unused_) {
    manager_close();
    LIST_FOREACH (f, &processes, struct fake_process, link)
        process_free(&f->p);
    return remove_tree(AT_FDCWD, fake.directory);
}

/* Field by field what saved.c keeps. */
struct saved {
    struct managed_unit copy;
    struct error error;
    char name[64], run_key[ID128_TEXT];
};

static struct recovered_process remember(const struct process *p) {
    return p ? (struct recovered_process){p->request, p->begun_at, p->pid, p->stage, p->foreign}
             : (struct recovered_process){};
}

static void restore(struct managed_unit *u, const struct saved *saved) {
    const struct managed_unit *s = &saved->copy;

#define COPY(field) u->field = s->field
    COPY(gone);
    COPY(transient);
    COPY(run_attached);
    if (saved->run_key[0])
        assert_return_code(free_and_strdup(&u->run_key, saved->run_key), 0);
    COPY(state);
    COPY(step);
    COPY(result);
    COPY(pending_result);
    unit_set_error(u, &saved->error);
    COPY(state_since);
    COPY(active_since);
    COPY(timeout_at);
    COPY(restarts);
    COPY(backoff_step);
    COPY(backoff_until);
    COPY(start_limit);
    COPY(needs_limit);
    COPY(stop_requested);
    COPY(start_limited);
    COPY(ready_received);
    COPY(oom_kills_seen);
    COPY(main_code);
    COPY(main_status);
    COPY(control_index);
    COPY(main_index);
    COPY(saved_job);
    COPY(saved_job_running);
    COPY(will_restart);
    COPY(start_again);
    COPY(returns_with_dependency);
    COPY(exec_failed);
    COPY(hook_lost);
    COPY(stop_by_notify);
    COPY(watchdog_usec);
    COPY(stop_signal_sent);
    COPY(stopped_in_backoff);
    COPY(recovered_main);
    COPY(recovered_control);
    u->resources.cgroup = s->resources.cgroup;
#undef COPY
}

static void forget_owners(void) {
    LIST_FOREACH (f, &processes, struct fake_process, link)
        process_abandon(&f->p);
}

void fake_manager_restart(void) {
    struct saved saved[64];
    struct managed_unit *u;
    size_t n = 0;

    HASHMAP_FOREACH (u, fake.m.units) {
        assert_true(n < ARRAY_SIZE(saved));
        (void)snprintf(saved[n].name, sizeof(saved[n].name), "%s", u->name);
        saved[n].copy = *u;
        saved[n].error = *unit_error(u);
        (void)snprintf(saved[n].run_key, sizeof(saved[n].run_key), "%s", u->run_key ?: "");
        saved[n].copy.recovered_main = remember(u->main);
        saved[n++].copy.recovered_control = remember(u->control);
    }
    manager_close();
    forget_owners();
    manager_open();
    fake.m.phase = PHASE_STARTING;
    assert_return_code(manager_load_units(&fake.m, NULL, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        assert_return_code(manager_add_unit(&fake.m, saved[i].name, &u), 0);
        restore(u, &saved[i]);
    }
    HASHMAP_FOREACH (u, fake.m.units)
        assert_return_code(unit_recover(u), 0);
    fake_settle(); /* what waits in the feed */
    fake.m.phase = PHASE_RUNNING;
    jobs_recover(&fake.m);
    fake_settle();
}

/* ---- looking ---- */

/* print_error() takes 1 KiB at most: the newest is what matters. */
static const char *end_of_log(void) {
    size_t n = strlen(fake.log);

    return n > 800 ? fake.log + n - 800 : fake.log;
}

void fake_assert_state(const char *unit, enum unit_state state, const char *file, int line) {
    const struct managed_unit *u = fake_unit(unit);

    if (u->state != state) {
        print_error("%s is %s (step %s, result %s), not %s\n%s", unit, unit_state_name(u->state),
            unit_step_name(u->step), unit_result_name(u->result), unit_state_name(state), end_of_log());
        _fail(file, line);
    }
}

void fake_assert_result(const char *unit, enum unit_result result, const char *file, int line) {
    const struct managed_unit *u = fake_unit(unit);

    if (u->result != result) {
        print_error("%s: result %s, not %s\n%s", unit, unit_result_name(u->result), unit_result_name(result),
            end_of_log());
        _fail(file, line);
    }
}

const char *fake_signals(const char *unit) {
    static char text[1024];
    char buffer[16];
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; i < fake.n_kills; i++)
        if (streq(fake.kills[i].unit, unit))
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%s", n ? " " : "",
                fake.kills[i].group ? "*" : "", signal_name(fake.kills[i].signal, buffer) + 3);
    return text;
}
