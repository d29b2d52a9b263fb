/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-manager.c; without: cgroup */
/* Files that change under a running fleet; davitd that dies and comes back at every point of a unit's life;
 * one-off units; a storm of random events. */
#include <signal.h>
#include <sys/wait.h>

#include "fake-manager.h"

#define S USEC_PER_SEC

static void service(const char *name, const char *text) {
    _cleanup_free_ char *all = strf("[Service]\nExecStart=/bin/main\n%s", text);

    fake_write(name, all);
}

static unsigned reload_units, reload_problems, reloads_done;

static void on_reload(
    void *userdata _unused_, unsigned units, unsigned problems, const struct error *e _unused_) {
    reloads_done++;
    reload_units = units;
    reload_problems = problems;
}

static void reload(void) {
    unsigned before = reloads_done;
    struct error e = {};

    assert_return_code(api_reload(&fake.m, on_reload, NULL, &e), 0);
    fake_settle();
    assert_int_equal(reloads_done, before + 1);
    assert_int_equal(fake.m.phase, PHASE_RUNNING);
}

/* ---- reload ---- */

static void test_running_unit_keeps_its_settings(void **state _unused_) {
    struct managed_unit *u;

    service("a.service", "KillSignal=SIGINT\n");
    fake_load();
    start("a.service");
    service("a.service", "KillSignal=SIGQUIT\n");
    reload();
    u = fake_unit("a.service");
    assert_state("a.service", STATE_RUNNING);
    assert_int_equal(u->config->service.kill_signal, SIGINT);
    assert_non_null(u->next_config);
    stop("a.service");
    assert_string_equal(fake_signals("a.service"), "*INT");
    start("a.service");
    assert_null(u->next_config);
    assert_int_equal(u->config->service.kill_signal, SIGQUIT);
}

static void test_change_that_is_taken_back(void **state _unused_) {
    service("a.service", "");
    fake_load();
    start("a.service");
    service("a.service", "Restart=always\n");
    reload();
    service("a.service", "");
    reload();
    assert_null(fake_unit("a.service")->next_config);
}

static void test_bad_edit_changes_nothing_that_runs(void **state _unused_) {
    struct managed_unit *u;

    service("a.service", "Restart=always\n");
    fake_load();
    start("a.service");
    fake_write("a.service", "[Service]\nType=nonsense\n"); /* no ExecStart= either */
    reload();
    u = fake_unit("a.service");
    assert_true(reload_problems > 0);
    assert_non_null(u->load_problems);
    assert_state("a.service", STATE_RUNNING);
    assert_false(u->config->has_errors);
    /* It is even restarted, with what it had. */
    fake_exits("a.service", CLD_EXITED, 1);
    fake_advance(S);
    assert_state("a.service", STATE_RUNNING);
    service("a.service", "Restart=always\n");
    reload();
    assert_null(u->load_problems);
}

static void test_idle_unit_takes_the_new_file_at_once(void **state _unused_) {
    service("a.service", "");
    fake_load();
    service("a.service", "KillSignal=SIGQUIT\n");
    reload();
    assert_int_equal(fake_unit("a.service")->config->service.kill_signal, SIGQUIT);
    fake_write("a.service", "[Service]\nType=nonsense\n");
    reload();
    assert_int_equal(fake_job("a.service", JOB_START), -EINVAL);
}

static void test_removed_file(void **state _unused_) {
    service("a.service", "");
    service("idle.service", "");
    fake_load();
    start("a.service");
    fake_write("a.service", NULL);
    fake_write("idle.service", NULL);
    reload();
    assert_null(manager_find(&fake.m, "idle.service"));
    assert_state("a.service", STATE_RUNNING);
    assert_true(fake_unit("a.service")->gone);
    stop("a.service");
    assert_null(manager_find(&fake.m, "a.service"));
}

static void test_new_file_and_new_order(void **state _unused_) {
    service("a.service", "Type=notify\n");
    fake_load();
    start("a.service");
    fake_write("b.service", "[Unit]\nRequires=a.service\nAfter=a.service\n[Service]\nExecStart=/bin/b\n");
    reload();
    start("b.service");
    assert_state("b.service", STATE_WAITING);
    fake_event("a.service", EVENT_READY);
    assert_state("b.service", STATE_RUNNING);
}

static void test_template_instance_on_demand(void **state _unused_) {
    struct managed_unit *u;
    struct error e = {};

    service("shell@.service", "");
    fake_load();
    assert_return_code(api_find_unit(&fake.m, "shell@a", &u, &e), 0);
    assert_string_equal(api_unit_name(u), "shell@a.service");
    start("shell@a.service");
    reload(); /* it is not listed, and stays */
    assert_false(fake_unit("shell@a.service")->gone);
    assert_int_equal(api_find_unit(&fake.m, "nowhere", &u, &e), -ENOENT);
    assert_non_null(strstr(e.text, "nowhere"));
}

/* gc of images begins at any moment, in the loop, and must not read files for what they name. */
static void test_images_of_templates_are_known_before_gc(void **state _unused_) {
    fake_write("t@.container", "[Container]\nImage=one\n");
    fake_write("broken@.container", "[Container\n");
    fake_load();
    assert_true(strv_contains(fake.m.templates, "t@.container"));
    assert_true(strv_contains(fake.m.templates, "broken@.container"));
    assert_true(strv_contains(fake.m.template_images, "one"));
    fake_write("t@.container", "[Container]\nImage=two\n");
    reload();
    assert_true(strv_contains(fake.m.template_images, "two"));
    assert_false(strv_contains(fake.m.template_images, "one"));
}

static void test_instances_that_are_referred_to(void **state _unused_) {
    service("worker@.service", "");
    fake_write("app.target", "[Unit]\nWants=worker@1.service worker@2.service\n");
    fake_load();
    start("app.target");
    assert_state("worker@2.service", STATE_RUNNING);
}

static void test_default_target_is_built_in(void **state _unused_) {
    service("a.service", "[Install]\nWantedBy=multi-user.target\n");
    fake_load();
    assert_return_code(manager_start_default(&fake.m), 0);
    fake_settle();
    assert_state("default.target", STATE_RUNNING);
    assert_state("multi-user.target", STATE_RUNNING);
}

static void test_too_many_units(void **state _unused_) {
    fake.m.settings.max_units = 3;
    for (int i = 0; i < 10; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "u%d.service", i);
        service(name, "");
    }
    fake_load();
    assert_true(hashmap_size(fake.m.units) <= 5); /* and the built-in targets */
}

/* ---- looking ---- */

static void test_json(void **state _unused_) {
    json_t *o;
    struct managed_unit *u;

    fake_write(
        "db.service", "[Unit]\nDescription=Data\n[Service]\nExecStart=/bin/db\nRestart=always\nTypo=1\n");
    fake_write(
        "web.service", "[Unit]\nRequires=db.service\nAfter=db.service\n[Service]\nExecStart=/bin/web\n");
    fake_load();
    start("web.service");
    u = fake_unit("db.service");
    o = api_unit_json(&fake.m, u, true);
    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, "name")), "db.service");
    assert_string_equal(json_string_value(json_object_get(o, "type")), "service");
    assert_string_equal(json_string_value(json_object_get(o, "state")), "running");
    assert_string_equal(json_string_value(json_object_get(o, "active")), "active");
    assert_string_equal(json_string_value(json_object_get(o, "description")), "Data");
    assert_int_equal(json_integer_value(json_object_get(o, "pid")), u->main->pid);
    assert_int_equal(json_array_size(json_object_get(o, "problems")), 1);
    assert_true(json_is_false(json_object_get(o, "outdated")));
    assert_true(json_is_object(json_object_get(json_object_get(o, "settings"), "Service.Restart")) ||
                json_is_array(json_object_get(json_object_get(o, "settings"), "Service.Restart")));
    json_decref(o);

    fake_exits("db.service", CLD_EXITED, 3);
    o = api_unit_json(&fake.m, u, true);
    assert_string_equal(json_string_value(json_object_get(o, "sub")), "auto-restart");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "exit"), "status")), 3);
    assert_non_null(json_object_get(o, "restart_at"));
    assert_non_null(json_object_get(o, "restart_reason"));
    json_decref(o);

    o = api_units_json(&fake.m);
    assert_string_equal(json_string_value(json_object_get(json_array_get(o, 0), "name")), "db.service");
    json_decref(o);
    o = api_manager_json(&fake.m);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "units"), "backoff")), 1);
    json_decref(o);
    o = api_jobs_json(&fake.m);
    assert_int_equal(json_array_size(o), 0);
    json_decref(o);
}

static unsigned events;
static char last_state[64];

static void on_event(void *userdata _unused_, json_t *event) {
    events++;
    if (streq(json_string_value(json_object_get(event, "event")), "state"))
        (void)snprintf(
            last_state, sizeof(last_state), "%s", json_string_value(json_object_get(event, "new")));
}

static void test_events(void **state _unused_) {
    events = 0;
    service("a.service", "");
    fake_load();
    assert_return_code(api_subscribe(&fake.m, on_event, &events), 0);
    start("a.service");
    assert_true(events >= 4);
    assert_string_equal(last_state, "running");
    api_unsubscribe(&fake.m, &events);
    events = 0;
    stop("a.service");
    assert_int_equal(events, 0);
}

/* ---- davitd dies ---- */

static void test_running_goes_on(void **state _unused_) {
    service("a.service", "Restart=always\n");
    fake_load();
    start("a.service");
    fake_manager_restart();
    assert_state("a.service", STATE_RUNNING);
    assert_int_equal(fake.mains, 1);
    fake_exits("a.service", CLD_EXITED, 5);
    assert_state("a.service", STATE_BACKOFF);
    assert_result("a.service", RESULT_EXIT_CODE);
    assert_int_equal(fake_unit("a.service")->main_status, 5);
    fake_manager_restart();
    assert_state("a.service", STATE_BACKOFF);
    fake_advance(S);
    assert_state("a.service", STATE_RUNNING);
    assert_int_equal(fake_unit("a.service")->restarts, 1);
}

static void test_default_target_is_not_started_twice(void **state _unused_) {
    service("a.service", "[Install]\nWantedBy=default.target\n");
    fake_load();
    fake_write("default.target", "[Unit]\nWants=a.service\n");
    fake_load();
    assert_return_code(manager_start_default(&fake.m), 0);
    fake_settle();
    stop("a.service");
    fake_manager_restart();
    assert_return_code(manager_start_default(&fake.m), 0);
    fake_settle();
    assert_state("a.service", STATE_INACTIVE); /* somebody stopped it */
}

static void test_starting_goes_on(void **state _unused_) {
    service("a.service", "Type=notify\nTimeoutStartSec=10\n");
    fake_write("b.service", "[Unit]\nRequires=a.service\nAfter=a.service\n[Service]\nExecStart=/bin/b\n");
    fake_load();
    start("b.service");
    fake_advance(4 * S);
    fake_manager_restart();
    assert_state("a.service", STATE_STARTING);
    assert_state("b.service", STATE_WAITING);
    fake_event("a.service", EVENT_READY);
    assert_state("b.service", STATE_RUNNING);
    assert_int_equal(fake.mains, 2);
}

static void test_time_out_keeps_its_moment(void **state _unused_) {
    service("a.service", "Type=notify\nTimeoutStartSec=10\n");
    fake_load();
    start("a.service");
    fake_advance(8 * S);
    fake_manager_restart();
    fake_advance(3 * S);
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_TIMEOUT);
}

static void test_stop_goes_on(void **state _unused_) {
    service("a.service", "TimeoutStopSec=10\nRestart=always\n");
    fake_load();
    start("a.service");
    fake.ignore_term = true;
    stop("a.service");
    fake_manager_restart();
    assert_state("a.service", STATE_STOPPING);
    fake_advance(11 * S);
    assert_string_equal(fake_signals("a.service"), "*TERM *KILL");
    assert_state("a.service", STATE_FAILED); /* not restarted: the stop was asked for */
    assert_result("a.service", RESULT_TIMEOUT);
}

/* As it is saved before the signal, which a davitd that dies then does not send. */
static void test_stop_signal_that_was_not_sent(void **state _unused_) {
    service("a.service", "TimeoutStopSec=infinity\n");
    fake_load();
    start("a.service");
    fake.ignore_term = true;
    stop("a.service");
    struct managed_unit *u = fake_unit("a.service");
    assert_int_equal(u->step, STEP_STOP_SIGTERM);
    /* Sent: it is not sent again. */
    fake_manager_restart();
    assert_string_equal(fake_signals("a.service"), "*TERM");
    u = fake_unit("a.service");
    u->stop_signal_sent = 0;
    u->timeout_at = USEC_INFINITY;
    fake.ignore_term = false;
    fake_manager_restart();
    assert_string_equal(fake_signals("a.service"), "*TERM *TERM");
    assert_state("a.service", STATE_INACTIVE);
}

static void test_restart_job_goes_on(void **state _unused_) {
    service("a.service", "TimeoutStopSec=10\n");
    fake_load();
    start("a.service");
    fake.ignore_term = true;
    assert_return_code(fake_job("a.service", JOB_RESTART), 0);
    fake_manager_restart();
    fake_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_RUNNING);
    assert_int_equal(fake.mains, 2);
}

static void test_lost_launch_is_started_once_more(void **state _unused_) {
    fake.auto_start = false;
    service("a.service", "Type=exec\n");
    fake_load();
    start("a.service");
    fake_set_children("a.service", 1, true); /* something of it is there */
    fake.adopt_result = -ESRCH;
    fake.auto_start = true;
    fake_manager_restart();
    assert_string_equal(fake_signals("a.service"), "*KILL");
    assert_state("a.service", STATE_RUNNING);
    assert_false(fake_group_populated("a.service") && fake.mains != 2);
    assert_int_equal(fake.mains, 2);
    assert_int_equal(fake_unit("a.service")->restarts, 0);
}

static void test_lost_while_preparing(void **state _unused_) {
    fake.prepare = FAKE_PREPARE_WAITS;
    service("a.service", "");
    fake_load();
    start("a.service");
    fake.prepare = FAKE_PREPARE_OK;
    fake_manager_restart();
    assert_state("a.service", STATE_RUNNING);
    assert_int_equal(fake.cleanups, 1);
    assert_int_equal(fake.prepares, 2);
}

static void test_hook_is_taken_over(void **state _unused_) {
    fake.auto_hooks = false;
    service("a.service", "ExecStartPre=/bin/one\nExecStartPre=/bin/two\n");
    fake_load();
    start("a.service");
    fake_manager_restart();
    assert_state("a.service", STATE_STARTING);
    fake_hook_exits("a.service", CLD_EXITED, 0);
    assert_string_equal(fake.last_hook, "/bin/two");
    /* The second one is lost with its launcher: it runs again. */
    fake.adopt_result = -ESRCH;
    fake_manager_restart();
    fake.adopt_result = 0;
    assert_string_equal(fake.last_hook, "/bin/two");
    fake_hook_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_RUNNING);
    assert_int_equal(fake.hooks, 3);
}

static void test_stop_post_is_taken_over(void **state _unused_) {
    fake.auto_hooks = false;
    service("a.service", "ExecStopPost=/bin/post\nRestart=on-failure\n");
    fake_load();
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 9);
    fake_manager_restart();
    assert_state("a.service", STATE_STOPPING);
    fake_hook_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_BACKOFF);
    assert_result("a.service", RESULT_EXIT_CODE);
}

static void test_cleanup_goes_on(void **state _unused_) {
    service("a.service", "");
    fake_load();
    start("a.service");
    fake.cleanup_waits = true;
    stop("a.service");
    fake.cleanup_waits = false;
    fake_manager_restart();
    assert_state("a.service", STATE_INACTIVE);
}

static void test_oom_while_davitd_was_away(void **state _unused_) {
    service("a.service", "OOMPolicy=stop\n");
    fake_load();
    start("a.service");
    fake_oom("a.service", 1);
    fake_manager_restart();
    fake_settle();
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_OOM_KILL);
}

static void test_runtime_max_counts_from_the_start(void **state _unused_) {
    service("a.service", "RuntimeMaxSec=10\n");
    fake_load();
    start("a.service");
    fake_advance(8 * S);
    fake_manager_restart();
    fake_advance(3 * S);
    assert_result("a.service", RESULT_TIMEOUT);
}

static void test_file_removed_while_davitd_was_away(void **state _unused_) {
    service("a.service", "");
    fake_load();
    start("a.service");
    fake_write("a.service", NULL);
    fake_manager_restart();
    assert_state("a.service", STATE_RUNNING);
    stop("a.service");
    assert_null(manager_find(&fake.m, "a.service"));
}

/* ---- a storm ---- */

static unsigned long long seed;

static unsigned dice(unsigned n) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(seed >> 33) % n;
}

/* What must hold whatever has happened. */
static void check_invariants(void) {
    unsigned launching = 0;
    struct managed_unit *u;

    HASHMAP_FOREACH (u, fake.m.units) {
        launching += u->launching;
        assert_int_equal(u->n_events, 0);
        if (unit_is_idle(u) || u->state == STATE_BACKOFF || u->state == STATE_WAITING) {
            assert_null(u->main);
            assert_null(u->control);
        }
        if (u->state == STATE_INACTIVE || u->state == STATE_FAILED)
            for (int t = 0; t < _TIMER_COUNT; t++)
                assert_false(unit_timer_is_set(u, t));
        if (u->state == STATE_BACKOFF)
            assert_true(unit_timer_is_set(u, TIMER_STATE) || u->job);
        if (u->state == STATE_WAITING)
            assert_non_null(u->job);
        if (u->launching)
            assert_true(u->state == STATE_PREPARING || u->state == STATE_STARTING);
        if (u->job)
            assert_ptr_equal(u->job->unit, u);
        assert_int_equal(u->saved_job, u->job ? (int)u->job->type : -1);
    }
    assert_int_equal(launching, fake.m.jobs->launching);
}

static const char *const storm_units[] = {"a.service", "b.service", "c.service", "d.service", "all.target"};

static void storm_step(void) {
    const char *name = storm_units[dice(5)];
    struct managed_unit *u = fake_unit(name);
    static const int ends[] = {0, 1, 23, 143};

    switch (dice(14)) {
    case 0:
    case 1:
        (void)fake_job(name, JOB_START);
        break;
    case 2:
        (void)fake_job(name, JOB_STOP);
        break;
    case 3:
        (void)fake_job(name, JOB_RESTART);
        break;
    case 4:
        (void)fake_job(name, JOB_RELOAD);
        break;
    case 5:
        if (u->main && u->main->pid > 0)
            fake_exits(name, CLD_EXITED, ends[dice(4)]);
        break;
    case 6:
        if (u->main && u->main->pid > 0)
            fake_exits(name, dice(2) ? CLD_KILLED : CLD_DUMPED, 1 + (int)dice(30));
        break;
    case 7:
        if (u->main)
            fake_started(name);
        break;
    case 8:
        if (u->control && u->control->pid > 0)
            fake_hook_exits(name, CLD_EXITED, (int)dice(2));
        break;
    case 9:
        /* Whatever may come from outside at any time, welcome or not. */
        fake_event(name, (enum unit_event[]){EVENT_READY, EVENT_RELOADING, EVENT_STOPPING, EVENT_WATCHDOG,
                             EVENT_OOM, EVENT_EMPTY, EVENT_LAUNCHED}[dice(7)]);
        break;
    case 10:
        fake_advance(dice(2) ? dice(200) * USEC_PER_MSEC : dice(100) * S);
        break;
    case 11:
        fake.auto_start = dice(4);
        fake.auto_hooks = dice(2);
        fake.ignore_term = dice(3) == 0;
        fake.prepare = dice(8) ? FAKE_PREPARE_OK : FAKE_PREPARE_FAILS;
        fake.prepare_errno = dice(2) ? EBUSY : ENOENT;
        break;
    case 12:
        fake_set_children(name, dice(3), dice(2));
        break;
    case 13:
        if (dice(4) == 0)
            reload();
        break;
    }
}

static void write_storm(void) {
    fake_write("a.service",
        "[Service]\nType=notify\nExecStart=/bin/a\nRestart=always\nTimeoutStartSec=20\nWatchdogSec=30\n"
        "TimeoutStopSec=5\nExecStartPre=/bin/pre\nExecReload=/bin/reload\n");
    fake_write("b.service",
        "[Unit]\nRequires=a.service\nAfter=a.service\n[Service]\nType=exec\nExecStart=/bin/b\n"
        "Restart=on-failure\nTimeoutStopSec=5\nExecStop=/bin/stop\nExecStopPost=/bin/post\n");
    fake_write("c.service",
        "[Unit]\nBindsTo=b.service\nAfter=b.service\nOnFailure=d.service\n[Service]\nType=simple\n"
        "ExecStart=/bin/c\nTimeoutStopSec=5\nExecStartPost=/bin/post\nKillMode=mixed\nRestart=always\n"
        "RestartSteps=3\nRestartMaxDelaySec=10\n");
    fake_write("d.service",
        "[Unit]\nConflicts=c.service\n[Service]\nType=oneshot\nExecStart=/bin/d\nExecStart=/bin/e\n"
        "TimeoutStopSec=5\nTimeoutStartSec=30\n");
    fake_write("all.target", "[Unit]\nWants=a.service b.service c.service d.service\n");
}

static void storm(unsigned steps, bool with_deaths) {
    write_storm();
    fake_load();
    fake.m.settings.start_concurrency = 1 + dice(3);
    for (unsigned i = 0; i < steps; i++) {
        storm_step();
        fake.log[0] = '\0';
        fake.n_kills = 0;
        check_invariants();
        if (with_deaths && dice(20) == 0) {
            fake_manager_restart();
            check_invariants();
        }
    }
    /* However it went, it ends. */
    fake.ignore_term = false;
    fake.auto_hooks = fake.auto_start = true;
    for (size_t i = 0; i < ARRAY_SIZE(storm_units); i++)
        fake_set_children(storm_units[i], 0, false);
    assert_return_code(api_exit(&fake.m, 0, false), 0);
    fake_advance(3600 * S);
    assert_int_equal(fake.m.phase, PHASE_ENDED);
    check_invariants();
}

/* STORM_SEEDS=1000 for a longer look. */
static void test_storm(void **state) {
    const char *wanted = getenv("STORM_SEEDS");
    unsigned long long last = wanted ? strtoull(wanted, NULL, 10) : 40;

    for (unsigned long long first = 1; first <= last; first++) {
        seed = first;
        if (wanted)
            print_message("seed %llu\n", first);
        storm(600, first % 2);
        fake_teardown(state);
        fake_setup(state);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_running_unit_keeps_its_settings),
        TEST(test_change_that_is_taken_back),
        TEST(test_bad_edit_changes_nothing_that_runs),
        TEST(test_idle_unit_takes_the_new_file_at_once),
        TEST(test_removed_file),
        TEST(test_new_file_and_new_order),
        TEST(test_template_instance_on_demand),
        TEST(test_images_of_templates_are_known_before_gc),
        TEST(test_instances_that_are_referred_to),
        TEST(test_default_target_is_built_in),
        TEST(test_too_many_units),
        TEST(test_json),
        TEST(test_events),
        TEST(test_running_goes_on),
        TEST(test_default_target_is_not_started_twice),
        TEST(test_starting_goes_on),
        TEST(test_time_out_keeps_its_moment),
        TEST(test_stop_goes_on),
        TEST(test_stop_signal_that_was_not_sent),
        TEST(test_restart_job_goes_on),
        TEST(test_lost_launch_is_started_once_more),
        TEST(test_lost_while_preparing),
        TEST(test_hook_is_taken_over),
        TEST(test_stop_post_is_taken_over),
        TEST(test_cleanup_goes_on),
        TEST(test_oom_while_davitd_was_away),
        TEST(test_runtime_max_counts_from_the_start),
        TEST(test_file_removed_while_davitd_was_away),
        TEST(test_storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
