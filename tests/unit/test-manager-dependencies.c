/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-manager.c; without: cgroup */
/* Dependencies that go on acting while units run: stops and reloads that are handed on. What a start pulls in
 * and the order are in test-manager-jobs.c. */
#include <signal.h>
#include <sys/wait.h>

#include "base/json.h"
#include "fake-manager.h"

#define S USEC_PER_SEC

static void unit(const char *name, const char *dependencies) {
    _cleanup_free_ char *text = strf("[Unit]\nDefaultDependencies=no\n%s\n[Service]\nExecStart=/bin/main\n"
                                     "ExecReload=/bin/reload\nTimeoutStopSec=5\n",
        dependencies);

    fake_write(name, text);
}

static void up(const char *name) {
    start(name);
    assert_state(name, STATE_RUNNING);
}

/* ---- PropagatesStopTo= ---- */

static void test_stop_is_handed_on(void **state _unused_) {
    unit("a.service", "PropagatesStopTo=b.service\n");
    unit("b.service", "");
    fake_load();
    up("a.service");
    assert_state("b.service", STATE_INACTIVE); /* it starts nothing */
    up("b.service");
    stop("a.service");
    assert_state("b.service", STATE_INACTIVE);
    up("a.service");
    up("b.service");
    stop("b.service");
    assert_state("a.service", STATE_RUNNING); /* one way */
}

static void test_stop_is_handed_on_by_the_other_name(void **state _unused_) {
    unit("a.service", "");
    unit("b.service", "StopPropagatedFrom=a.service\n");
    unit("c.service", "StopPropagatedFrom=b.service\n");
    fake_load();
    up("a.service");
    up("b.service");
    up("c.service");
    stop("a.service");
    assert_state("b.service", STATE_INACTIVE);
    assert_state("c.service", STATE_INACTIVE);
}

static void test_stop_waits_for_what_comes_after(void **state _unused_) {
    unit("a.service", "PropagatesStopTo=b.service\n");
    unit("b.service", "After=a.service\n");
    fake_load();
    up("a.service");
    up("b.service");
    fake.ignore_term = true;
    stop("a.service");
    assert_state("b.service", STATE_STOPPING);
    assert_state("a.service", STATE_RUNNING);
    fake_exits("b.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_STOPPING);
}

static void test_end_by_itself_is_handed_on(void **state _unused_) {
    unit("a.service", "PropagatesStopTo=b.service\n");
    unit("b.service", "");
    fake_load();
    up("a.service");
    up("b.service");
    fake_exits("a.service", CLD_EXITED, 1);
    assert_state("a.service", STATE_FAILED);
    assert_state("b.service", STATE_INACTIVE);
}

/* As systemd: only a unit that the same request starts comes back. */
static void test_restart_stops_those_that_nobody_starts(void **state _unused_) {
    unit("a.service", "PropagatesStopTo=b.service c.service\nWants=c.service\n");
    unit("b.service", "");
    unit("c.service", "");
    fake_load();
    up("a.service");
    up("b.service");
    assert_int_equal(fake.mains, 3);
    assert_return_code(fake_job("a.service", JOB_RESTART), 0);
    assert_state("a.service", STATE_RUNNING);
    assert_state("b.service", STATE_INACTIVE);
    assert_state("c.service", STATE_RUNNING);
    assert_int_equal(fake.mains, 5); /* c too has been restarted */
}

static void test_stops_in_a_circle_end(void **state _unused_) {
    unit("a.service", "PropagatesStopTo=b.service\n");
    unit("b.service", "PropagatesStopTo=a.service\n");
    fake_load();
    up("a.service");
    up("b.service");
    stop("a.service");
    assert_state("a.service", STATE_INACTIVE);
    assert_state("b.service", STATE_INACTIVE);
    assert_int_equal(fake.m.jobs->count, 0);
}

/* All that is not wanted stops, and what is wanted is not restarted for its sake. */
static void test_isolate_restarts_nothing_that_is_wanted(void **state _unused_) {
    struct error e = {};

    fake_write("small.target", "[Unit]\nWants=kept.service\n");
    unit("kept.service", "");
    unit("other.service", "PropagatesStopTo=kept.service\n");
    fake_load();
    up("kept.service");
    up("other.service");
    assert_return_code(
        api_queue_job(&fake.m, fake_unit("small.target"), JOB_START, JOB_MODE_ISOLATE, NULL, NULL, &e), 0);
    fake_settle();
    assert_state("small.target", STATE_RUNNING);
    assert_state("other.service", STATE_INACTIVE);
    assert_state("kept.service", STATE_RUNNING);
    assert_int_equal(fake.mains, 2);
}

/* ---- both ends ---- */

static bool names(const char *unit_name, const char *kind, const char *other) {
    json_t *o = api_unit_json(&fake.m, fake_unit(unit_name), true);
    json_t *list = json_object_get(json_object_get(o, "dependencies"), kind), *name;
    bool found = false;
    size_t i;

    JSON_ARRAY_FOREACH (i, name, list)
        found |= streq(json_string_value(name), other);
    json_decref(o);
    return found;
}

static void test_both_ends_of_a_dependency_are_told(void **state _unused_) {
    unit("a.service", "BindsTo=b.service\nPartOf=b.service\nUpholds=b.service\n");
    unit("b.service", "");
    fake_load();
    assert_true(names("a.service", "BindsTo", "b.service"));
    assert_true(names("b.service", "BoundBy", "a.service"));
    assert_true(names("b.service", "ConsistsOf", "a.service"));
    assert_true(names("b.service", "UpheldBy", "a.service"));
    assert_false(names("a.service", "BoundBy", "b.service"));
}

/* ---- PropagatesReloadTo= ---- */

static void test_reload_is_handed_on_to_what_runs(void **state _unused_) {
    unit("a.service", "PropagatesReloadTo=b.service c.service\n");
    unit("b.service", "PropagatesReloadTo=d.service\n");
    unit("c.service", "");
    unit("d.service", "ReloadPropagatedFrom=a.service\n");
    fake_load();
    up("a.service");
    up("b.service");
    up("d.service");
    assert_return_code(fake_job("a.service", JOB_RELOAD), 0);
    assert_int_equal(fake.hooks, 3);
    assert_state("a.service", STATE_RUNNING);
    assert_state("b.service", STATE_RUNNING);
    assert_state("c.service", STATE_INACTIVE);
}

static void test_reload_goes_past_what_cannot(void **state _unused_) {
    unit("a.service", "PropagatesReloadTo=fixed.service b.service\n");
    fake_write("fixed.service", "[Service]\nExecStart=/bin/main\n");
    unit("b.service", "");
    fake_load();
    up("a.service");
    up("fixed.service");
    up("b.service");
    assert_return_code(fake_job("a.service", JOB_RELOAD), 0);
    assert_int_equal(fake.hooks, 2);
    assert_logged("fixed.service: Not reloaded with a.service");
}

static void test_reload_takes_no_stop_back(void **state _unused_) {
    unit("a.service", "PropagatesReloadTo=b.service\n");
    unit("b.service", "");
    fake_load();
    up("a.service");
    up("b.service");
    fake.ignore_term = true;
    stop("b.service");
    assert_return_code(fake_job("a.service", JOB_RELOAD), 0);
    assert_state("b.service", STATE_STOPPING);
    fake_exits("b.service", CLD_EXITED, 0);
    assert_state("b.service", STATE_INACTIVE);
}

static void test_target_hands_a_reload_on(void **state _unused_) {
    fake_write("all.target", "[Unit]\nPropagatesReloadTo=a.service\nWants=a.service\n");
    fake_write("plain.target", "[Unit]\nWants=a.service\n");
    unit("a.service", "");
    fake_load();
    start("all.target");
    assert_return_code(fake_job("all.target", JOB_RELOAD), 0);
    assert_string_equal(fake.last_job, "all.target done");
    assert_int_equal(fake.hooks, 1);
    start("plain.target");
    assert_int_equal(fake_job("plain.target", JOB_RELOAD), -EINVAL);
}

static void test_reload_of_the_programs_own_is_handed_on(void **state _unused_) {
    fake_write(
        "a.service", "[Unit]\nPropagatesReloadTo=b.service\n[Service]\nType=notify\nExecStart=/bin/main\n");
    unit("b.service", "");
    fake_load();
    start("a.service");
    fake_event("a.service", EVENT_READY);
    up("b.service");
    fake_event("a.service", EVENT_RELOADING);
    assert_state("a.service", STATE_RELOADING);
    assert_int_equal(fake.hooks, 1);
}

/* ---- StopWhenUnneeded= ---- */

static void test_what_nothing_needs_is_stopped(void **state _unused_) {
    static const char *const kinds[] = {"Requires", "Wants", "BindsTo"};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        _cleanup_free_ char *needs = strf("%s=helper.service\nAfter=helper.service\n", kinds[i]);

        unit("helper.service", "StopWhenUnneeded=yes\n");
        unit("a.service", needs);
        unit("b.service", needs);
        fake_load();
        up("a.service");
        up("b.service");
        assert_state("helper.service", STATE_RUNNING);
        stop("a.service");
        assert_state("helper.service", STATE_RUNNING);
        stop("b.service");
        assert_state("helper.service", STATE_INACTIVE);
    }
}

static void test_unneeded_after_a_failed_start_and_after_an_end(void **state _unused_) {
    unit("helper.service", "StopWhenUnneeded=yes\n");
    unit("a.service", "Wants=helper.service\nAfter=helper.service\n");
    fake_load();
    up("a.service");
    fake_exits("a.service", CLD_EXITED, 1);
    assert_state("helper.service", STATE_INACTIVE);
    fake.spawn_fails = true;
    start("a.service");
    assert_state("a.service", STATE_FAILED);
    assert_state("helper.service", STATE_FAILED);
}

/* It is inactive for a moment, with a job. */
static void test_needed_through_a_restart(void **state _unused_) {
    unit("helper.service", "StopWhenUnneeded=yes\n");
    unit("a.service", "Wants=helper.service\nAfter=helper.service\n");
    fake_load();
    up("a.service");
    assert_return_code(fake_job("a.service", JOB_RESTART), 0);
    assert_state("a.service", STATE_RUNNING);
    assert_state("helper.service", STATE_RUNNING);
    assert_int_equal(fake.mains, 3); /* helper was not started a second time */
}

static void test_needed_by_what_waits_and_by_what_comes_back(void **state _unused_) {
    unit("helper.service", "StopWhenUnneeded=yes\n");
    fake_write("slow.service", "[Service]\nType=notify\nExecStart=/bin/main\n");
    fake_write("a.service", "[Unit]\nWants=helper.service\nRequires=slow.service\nAfter=slow.service\n"
                            "[Service]\nExecStart=/bin/main\nRestart=always\nRestartSec=5\n");
    fake_load();
    start("a.service");
    assert_state("a.service", STATE_WAITING);
    assert_state("helper.service", STATE_RUNNING);
    fake_event("slow.service", EVENT_READY);
    assert_state("a.service", STATE_RUNNING);
    fake_exits("a.service", CLD_EXITED, 1);
    assert_state("a.service", STATE_BACKOFF);
    assert_state("helper.service", STATE_RUNNING);
    stop("a.service");
    assert_state("helper.service", STATE_INACTIVE);
}

static void test_unneeded_in_a_chain(void **state _unused_) {
    unit("a.service", "Requires=b.service\n");
    unit("b.service", "StopWhenUnneeded=yes\nRequires=c.service\n");
    unit("c.service", "StopWhenUnneeded=yes\n");
    fake_load();
    up("a.service");
    stop("a.service");
    assert_state("b.service", STATE_INACTIVE);
    assert_state("c.service", STATE_INACTIVE);
}

/* As systemd: who starts it by hand sees it run and go. */
static void test_unneeded_from_the_start(void **state _unused_) {
    unit("helper.service", "StopWhenUnneeded=yes\n");
    fake_load();
    start("helper.service");
    assert_state("helper.service", STATE_INACTIVE);
    assert_logged("helper.service: Stopping: nothing needs it any more.");
}

static void test_unneeded_while_there_was_no_davitd(void **state _unused_) {
    unit("helper.service", "StopWhenUnneeded=yes\n");
    unit("a.service", "Wants=helper.service\n");
    fake_load();
    up("a.service");
    fake_manager_restart();
    assert_state("helper.service", STATE_RUNNING);
    unit("a.service", ""); /* its file is another one when the next davitd reads it */
    fake_manager_restart();
    assert_state("a.service", STATE_RUNNING);
    assert_state("helper.service", STATE_INACTIVE);
}

/* Somebody who starts it again each time it stops. */
static void test_rules_that_contradict_each_other_are_held_up(void **state _unused_) {
    unit("helper.service", "StopWhenUnneeded=yes\nOnSuccess=again.service\nStartLimitIntervalSec=0\n");
    fake_write("again.service", "[Unit]\nOnSuccess=helper.service\nStartLimitIntervalSec=0\n"
                                "[Service]\nType=oneshot\nExecStart=/bin/main\n");
    fake_load();
    start("helper.service");
    for (int i = 0; i < 40 && fake_unit("helper.service")->state != STATE_RUNNING; i++)
        fake_exits("again.service", CLD_EXITED, 0);
    assert_state("helper.service", STATE_RUNNING);
    assert_int_equal(fake_unit("helper.service")->needs_limit.count, 16);
    assert_logged("helper.service: Not stopped");
    fake_advance(11 * S);
    assert_state("helper.service", STATE_INACTIVE);
}

/* ---- Upholds= ---- */

static void test_upheld_comes_back(void **state _unused_) {
    unit("a.service", "Upholds=b.service\n");
    unit("b.service", "");
    fake_load();
    up("a.service");
    assert_state("b.service", STATE_RUNNING);
    fake_exits("b.service", CLD_EXITED, 1);
    assert_state("b.service", STATE_RUNNING);
    fake_exits("b.service", CLD_EXITED, 0);
    assert_state("b.service", STATE_RUNNING);
    stop("b.service"); /* a person too stops it for a moment only, as with systemd */
    assert_state("b.service", STATE_RUNNING);
    assert_logged("b.service: Starting: a.service upholds it.");
    stop("a.service");
    assert_state("b.service", STATE_RUNNING);
    fake_exits("b.service", CLD_EXITED, 1);
    assert_state("b.service", STATE_FAILED);
    up("a.service");
    assert_state("b.service", STATE_RUNNING);
}

static void test_upheld_by_a_target_that_comes_after(void **state _unused_) {
    fake_write("a.target", "[Unit]\nUpholds=b.service\n");
    fake_write("b.service", "[Service]\nType=notify\nExecStart=/bin/main\n");
    fake_load();
    start("a.target");
    assert_state("a.target", STATE_WAITING);
    fake_event("b.service", EVENT_READY);
    assert_state("a.target", STATE_RUNNING);
}

/* A start that fails is a wish that fails, and is tried again until the limit. */
static void test_upholding_what_cannot_run_is_held_up(void **state _unused_) {
    unit("a.service", "Upholds=b.service\n");
    unit("b.service", "StartLimitIntervalSec=0\n");
    fake_load();
    up("a.service");
    for (int i = 0; i < 16; i++) {
        assert_state("b.service", STATE_RUNNING);
        fake_exits("b.service", CLD_EXITED, 1);
    }
    fake_exits("b.service", CLD_EXITED, 1);
    assert_state("b.service", STATE_FAILED);
    assert_logged("b.service: Not started again");
    fake_advance(11 * S);
    assert_state("b.service", STATE_RUNNING);
}

static void test_held_up_over_a_death_of_davitd(void **state _unused_) {
    test_upholding_what_cannot_run_is_held_up(state);
    for (int i = 0; i < 16; i++)
        fake_exits("b.service", CLD_EXITED, 1);
    assert_state("b.service", STATE_FAILED);
    fake_manager_restart();
    assert_state("a.service", STATE_RUNNING);
    assert_state("b.service", STATE_FAILED);
    fake_advance(11 * S);
    assert_state("b.service", STATE_RUNNING);
}

static void test_upheld_after_a_condition_that_does_not_hold(void **state _unused_) {
    unit("a.service", "Upholds=b.service\n");
    unit("b.service", "ConditionPathExists=/nonexistent\n");
    fake_load();
    up("a.service"); /* and this ends */
    assert_state("b.service", STATE_INACTIVE);
}

static void test_upheld_while_there_was_no_davitd(void **state _unused_) {
    unit("a.service", "");
    unit("b.service", "");
    fake_load();
    up("a.service");
    unit("a.service", "Upholds=b.service\n");
    fake_manager_restart();
    assert_state("b.service", STATE_RUNNING);
    fake_unit("b.service")->start_limit.count = 0;
    fake_exits("b.service", CLD_EXITED, 1);
    assert_state("b.service", STATE_RUNNING);
}

/* Everything stops, and nobody is started for somebody who stops as well. */
static void test_nothing_is_upheld_at_the_end(void **state _unused_) {
    unit("a.service", "Upholds=b.service\nAfter=b.service\n");
    unit("b.service", "StopWhenUnneeded=yes\n");
    fake_load();
    up("a.service");
    assert_return_code(manager_stop_all(&fake.m), 0);
    fake_settle();
    assert_int_equal(fake.m.phase, PHASE_ENDED);
    assert_int_equal(fake.mains, 2);
}

static void test_upholding_in_a_circle(void **state _unused_) {
    unit("a.service", "Upholds=b.service\n");
    unit("b.service", "Upholds=a.service\n");
    fake_load();
    up("a.service");
    fake_exits("a.service", CLD_EXITED, 1);
    assert_state("a.service", STATE_RUNNING);
    assert_state("b.service", STATE_RUNNING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_stop_is_handed_on),
        TEST(test_stop_is_handed_on_by_the_other_name),
        TEST(test_stop_waits_for_what_comes_after),
        TEST(test_end_by_itself_is_handed_on),
        TEST(test_restart_stops_those_that_nobody_starts),
        TEST(test_stops_in_a_circle_end),
        TEST(test_isolate_restarts_nothing_that_is_wanted),
        TEST(test_both_ends_of_a_dependency_are_told),
        TEST(test_reload_is_handed_on_to_what_runs),
        TEST(test_reload_goes_past_what_cannot),
        TEST(test_reload_takes_no_stop_back),
        TEST(test_target_hands_a_reload_on),
        TEST(test_reload_of_the_programs_own_is_handed_on),
        TEST(test_what_nothing_needs_is_stopped),
        TEST(test_unneeded_after_a_failed_start_and_after_an_end),
        TEST(test_needed_through_a_restart),
        TEST(test_needed_by_what_waits_and_by_what_comes_back),
        TEST(test_unneeded_in_a_chain),
        TEST(test_unneeded_from_the_start),
        TEST(test_unneeded_while_there_was_no_davitd),
        TEST(test_rules_that_contradict_each_other_are_held_up),
        TEST(test_upheld_comes_back),
        TEST(test_upheld_by_a_target_that_comes_after),
        TEST(test_upholding_what_cannot_run_is_held_up),
        TEST(test_held_up_over_a_death_of_davitd),
        TEST(test_upheld_after_a_condition_that_does_not_hold),
        TEST(test_upheld_while_there_was_no_davitd),
        TEST(test_nothing_is_upheld_at_the_end),
        TEST(test_upholding_in_a_circle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
