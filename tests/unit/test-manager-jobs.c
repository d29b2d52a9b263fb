/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-manager.c; without: cgroup */
/* wrap: calloc */
/* Several units: what a request pulls in, orders in both directions, failures that spread, cycles. */
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>

#include "fake-manager.h"

#define S USEC_PER_SEC

/* A notify service, so that the test decides when it is ready. */
static void unit(const char *name, const char *dependencies) {
    _cleanup_free_ char *text =
        strf("[Unit]\n%s\n[Service]\nType=notify\nExecStart=/bin/main\nTimeoutStopSec=5\n", dependencies);

    fake_write(name, text);
}

static void ready(const char *name) {
    fake_event(name, EVENT_READY);
}

static void up(const char *name) {
    start(name);
    ready(name);
    assert_state(name, STATE_RUNNING);
}

/* ---- starting together ---- */

static void test_dependents_wait_for_readiness(void **state _unused_) {
    unit("db.service", "");
    unit("web.service", "Requires=db.service\nAfter=db.service\n");
    fake_load();
    start("web.service");
    assert_state("db.service", STATE_STARTING);
    assert_state("web.service", STATE_WAITING);
    ready("db.service");
    assert_state("web.service", STATE_STARTING);
    ready("web.service");
    assert_string_equal(fake.last_job, "web.service done");
}

static void test_without_after_they_start_together(void **state _unused_) {
    unit("db.service", "");
    unit("web.service", "Requires=db.service\n");
    fake_load();
    start("web.service");
    assert_state("db.service", STATE_STARTING);
    assert_state("web.service", STATE_STARTING);
}

static void test_before_is_the_other_side_of_after(void **state _unused_) {
    unit("db.service", "Before=web.service\n");
    unit("web.service", "Wants=db.service\n");
    fake_load();
    start("web.service");
    assert_state("web.service", STATE_WAITING);
    ready("db.service");
    assert_state("web.service", STATE_STARTING);
}

static void test_order_alone_pulls_nothing_in(void **state _unused_) {
    unit("db.service", "");
    unit("web.service", "After=db.service\n");
    fake_load();
    start("web.service");
    assert_state("db.service", STATE_INACTIVE);
    assert_state("web.service", STATE_STARTING);
}

static void test_stop_is_in_reverse(void **state _unused_) {
    unit("db.service", "");
    unit("web.service", "Requires=db.service\nAfter=db.service\n");
    fake_load();
    start("web.service");
    ready("db.service");
    ready("web.service");
    fake.ignore_term = true;
    stop("db.service");
    assert_state("web.service", STATE_STOPPING);
    assert_state("db.service", STATE_RUNNING); /* it is needed until web has gone */
    fake_exits("web.service", CLD_EXITED, 0);
    assert_state("web.service", STATE_INACTIVE);
    assert_state("db.service", STATE_STOPPING);
    fake_exits("db.service", CLD_EXITED, 0);
    assert_string_equal(fake.last_job, "db.service done");
}

static void test_restart_takes_dependents_along(void **state _unused_) {
    unit("db.service", "");
    unit("web.service", "Requires=db.service\nAfter=db.service\n");
    unit("idle.service", "Requires=db.service\nAfter=db.service\n");
    fake_load();
    start("web.service");
    ready("db.service");
    ready("web.service");
    assert_int_equal(fake.mains, 2);
    assert_return_code(fake_job("db.service", JOB_RESTART), 0);
    /* web down, db down, db up, web up. */
    assert_state("db.service", STATE_STARTING);
    assert_state("web.service", STATE_WAITING);
    ready("db.service");
    assert_state("web.service", STATE_STARTING);
    ready("web.service");
    assert_int_equal(fake.mains, 4);
    assert_state("idle.service", STATE_INACTIVE); /* what did not run is not started */
}

static void test_restart_of_what_does_not_run(void **state _unused_) {
    unit("a.service", "");
    fake_load();
    assert_return_code(fake_job("a.service", JOB_RESTART), 0);
    ready("a.service");
    assert_state("a.service", STATE_RUNNING);
    stop("a.service");
    assert_return_code(fake_job("a.service", JOB_TRY_RESTART), 0);
    assert_state("a.service", STATE_INACTIVE);
    assert_string_equal(fake.last_job, "a.service done");
}

static void test_restart_runs_anew(void **state _unused_) {
    unit("a.service", "");
    fake_load();
    up("a.service");
    assert_return_code(fake_job("a.service", JOB_RESTART), 0);
    assert_state("a.service", STATE_STARTING);
    ready("a.service");
    assert_string_equal(fake.last_job, "a.service done");
    assert_int_equal(fake.mains, 2);
    assert_int_equal(fake_unit("a.service")->restarts, 0);
}

/* ---- failures that spread ---- */

static void test_requirement_that_fails(void **state _unused_) {
    unit("db.service", "");
    unit("web.service", "Requires=db.service\nAfter=db.service\n");
    unit("front.service", "Requires=web.service\nAfter=web.service\n");
    fake_load();
    start("front.service");
    fake_exits("db.service", CLD_EXITED, 1);
    assert_state("db.service", STATE_FAILED);
    assert_state("web.service", STATE_FAILED);
    assert_result("web.service", RESULT_DEPENDENCY);
    assert_result("front.service", RESULT_DEPENDENCY);
    assert_non_null(strstr(fake.last_job, "front.service dependency"));
    assert_int_equal(fake.mains, 1);
}

static void test_wish_that_fails(void **state _unused_) {
    unit("db.service", "");
    unit("web.service", "Wants=db.service\nAfter=db.service\n");
    fake_load();
    start("web.service");
    fake_exits("db.service", CLD_EXITED, 1);
    assert_state("web.service", STATE_STARTING);
}

static void test_dependents_wait_through_a_backoff(void **state _unused_) {
    fake_write("db.service", "[Service]\nType=notify\nExecStart=/bin/db\nRestart=always\n");
    unit("web.service", "Requires=db.service\nAfter=db.service\n");
    fake_load();
    start("web.service");
    fake_exits("db.service", CLD_EXITED, 1);
    assert_state("db.service", STATE_BACKOFF);
    assert_state("web.service", STATE_WAITING);
    /* Who asked is not left without an answer for as long as that takes. */
    assert_non_null(strstr(fake.last_job, "web.service dependency db.service failed and is tried again"));
    fake_advance(S);
    assert_state("db.service", STATE_STARTING);
    ready("db.service");
    assert_state("web.service", STATE_STARTING);
    ready("web.service");
    assert_state("web.service", STATE_RUNNING);
    assert_int_equal(fake.jobs_told, 1);
}

static void test_automatic_restart_leaves_requirers_alone(void **state _unused_) {
    fake_write("db.service", "[Service]\nType=notify\nExecStart=/bin/db\nRestart=always\n");
    unit("web.service", "Requires=db.service\nAfter=db.service\n");
    fake_load();
    start("web.service");
    ready("db.service");
    ready("web.service");
    fake_exits("db.service", CLD_EXITED, 1);
    fake_advance(S);
    ready("db.service");
    assert_state("web.service", STATE_RUNNING);
    assert_int_equal(fake.mains, 3);
}

static void test_missing_requirement(void **state _unused_) {
    unit("web.service", "Requires=nowhere.service\n");
    fake_load();
    assert_int_equal(fake_job("web.service", JOB_START), -ENOENT);
    assert_non_null(strstr(fake.last_job, "web.service: Requires=nowhere.service: there is no such unit"));
    assert_state("web.service", STATE_INACTIVE);
}

static void test_missing_wish(void **state _unused_) {
    unit("web.service", "Wants=nowhere.service\nAfter=nowhere.service network-online.target\n");
    fake_load();
    up("web.service");
}

static void test_unit_with_errors(void **state _unused_) {
    fake_write("bad.service", "[Service]\nType=notify\n");
    unit("web.service", "Requires=bad.service\n");
    unit("brave.service", "Wants=bad.service\n");
    fake_load();
    assert_int_equal(fake_job("bad.service", JOB_START), -EINVAL);
    assert_non_null(strstr(fake.last_job, "bad.service cannot be started"));
    assert_int_equal(fake_job("web.service", JOB_START), -EINVAL);
    assert_non_null(strstr(fake.last_job, "Requires=bad.service"));
    up("brave.service");
}

static void test_requisite(void **state _unused_) {
    unit("db.service", "");
    unit("web.service", "Requisite=db.service\nAfter=db.service\n");
    fake_load();
    assert_int_equal(fake_job("web.service", JOB_START), -EINVAL);
    assert_non_null(strstr(fake.last_job, "Requisite=db.service is not active"));
    up("db.service");
    up("web.service");
}

static void test_requisite_that_is_about_to_be(void **state _unused_) {
    unit("db.service", "");
    unit("web.service", "Requisite=db.service\nAfter=db.service\n");
    fake_load();
    start("db.service");
    start("web.service");
    assert_state("web.service", STATE_WAITING);
    fake_exits("db.service", CLD_EXITED, 1);
    assert_result("web.service", RESULT_DEPENDENCY);
}

/* ---- stopping together ---- */

static void test_binds_to_follows_an_end(void **state _unused_) {
    unit("db.service", "");
    unit("web.service", "BindsTo=db.service\nAfter=db.service\n");
    unit("other.service", "Requires=db.service\nAfter=db.service\n");
    fake_load();
    start("web.service");
    ready("db.service");
    ready("web.service");
    up("other.service");
    fake_exits("db.service", CLD_EXITED, 0);
    assert_state("db.service", STATE_INACTIVE);
    assert_state("web.service", STATE_INACTIVE);
    assert_state("other.service", STATE_RUNNING); /* Requires= follows only what is asked for */
}

static void test_binds_to_comes_back_after_a_restart(void **state _unused_) {
    fake_write("db.service", "[Service]\nType=notify\nExecStart=/bin/db\nRestart=always\n");
    unit("web.service", "BindsTo=db.service\nAfter=db.service\n");
    fake_load();
    start("web.service");
    ready("db.service");
    ready("web.service");
    fake_exits("db.service", CLD_EXITED, 1);
    assert_state("web.service", STATE_INACTIVE);
    fake_advance(S);
    assert_state("db.service", STATE_STARTING);
    assert_state("web.service", STATE_WAITING);
    ready("db.service");
    ready("web.service");
    assert_state("web.service", STATE_RUNNING);
}

/* RestartMode=direct: nobody is told that it has gone, until it is known that it does not come back. */
static void test_binds_to_stays_through_a_direct_restart(void **state _unused_) {
    fake_write(
        "db.service", "[Service]\nType=notify\nExecStart=/bin/db\nRestart=on-failure\nRestartMode=direct\n");
    unit("web.service", "BindsTo=db.service\nAfter=db.service\n");
    fake_load();
    start("web.service");
    ready("db.service");
    ready("web.service");
    fake_exits("db.service", CLD_EXITED, 1);
    assert_state("db.service", STATE_BACKOFF);
    assert_state("web.service", STATE_RUNNING);
    fake_advance(S);
    ready("db.service");
    assert_state("web.service", STATE_RUNNING);
    assert_int_equal(fake.mains, 3);

    fake_exits("db.service", CLD_EXITED, 0);
    assert_state("db.service", STATE_INACTIVE);
    assert_state("web.service", STATE_INACTIVE);
    /* And a stop on request is the usual one. */
    start("web.service");
    ready("db.service");
    ready("web.service");
    stop("db.service");
    assert_state("web.service", STATE_INACTIVE);
}

static void test_stopped_by_hand_it_does_not_come_back(void **state _unused_) {
    fake_write("db.service", "[Service]\nType=notify\nExecStart=/bin/db\nRestart=always\nRestartSec=5\n");
    unit("web.service", "BindsTo=db.service\nAfter=db.service\n");
    fake_load();
    start("web.service");
    ready("db.service");
    ready("web.service");
    fake_exits("db.service", CLD_EXITED, 1);
    stop("web.service");
    fake_advance(6 * S);
    ready("db.service");
    assert_state("db.service", STATE_RUNNING);
    assert_state("web.service", STATE_INACTIVE);
}

static void test_what_is_not_for_persons_to_start_or_stop(void **state _unused_) {
    unit("web.service", "Requires=db.service\nAfter=db.service\n");
    unit("db.service", "RefuseManualStart=yes\nRefuseManualStop=yes\n");
    fake_load();
    assert_int_equal(fake_job("db.service", JOB_START), -EPERM);
    assert_state("db.service", STATE_INACTIVE);
    start("web.service");
    ready("db.service");
    ready("web.service");
    assert_state("web.service", STATE_RUNNING);
    assert_int_equal(fake_job("db.service", JOB_STOP), -EPERM);
    assert_int_equal(fake_job("db.service", JOB_RESTART), -EPERM);
    assert_int_equal(fake_job("db.service", JOB_TRY_RESTART), -EPERM);
    assert_state("db.service", STATE_RUNNING);
    /* It may be stopped by what it conflicts with, and end by itself. */
    unit("guest.service", "Conflicts=db.service\n");
    fake_load();
    start("guest.service");
    assert_state("db.service", STATE_INACTIVE);
}

static void test_part_of(void **state _unused_) {
    fake_write("app.target", "[Unit]\nWants=web.service\n");
    unit("web.service", "PartOf=app.target\n");
    fake_load();
    start("app.target");
    ready("web.service");
    assert_state("app.target", STATE_RUNNING);
    assert_return_code(fake_job("app.target", JOB_RESTART), 0);
    ready("web.service");
    assert_int_equal(fake.mains, 2);
    assert_state("app.target", STATE_RUNNING);
    stop("app.target");
    assert_state("web.service", STATE_INACTIVE);
    /* It goes down with the target, and not the other way round. */
    start("app.target");
    ready("web.service");
    stop("web.service");
    assert_state("app.target", STATE_RUNNING);
}

static void test_conflicts(void **state _unused_) {
    unit("a.service", "");
    unit("b.service", "Conflicts=a.service\nAfter=a.service\n");
    fake_load();
    up("a.service");
    fake.ignore_term = true;
    start("b.service");
    assert_state("a.service", STATE_STOPPING);
    assert_state("b.service", STATE_WAITING); /* the stop comes first */
    fake_exits("a.service", CLD_EXITED, 0);
    assert_state("b.service", STATE_STARTING);
    ready("b.service");
    /* The other way round as well. */
    fake.ignore_term = false;
    start("a.service");
    assert_state("b.service", STATE_INACTIVE);
    ready("a.service");
    assert_state("a.service", STATE_RUNNING);
}

static void test_conflict_within_a_request(void **state _unused_) {
    unit("a.service", "");
    unit("b.service", "Conflicts=a.service\n");
    unit("both.service", "Requires=a.service b.service\n");
    fake_load();
    assert_int_equal(fake_job("both.service", JOB_START), -EINVAL);
    assert_non_null(strstr(fake.last_job, "at once"));
    assert_state("a.service", STATE_INACTIVE);
    assert_state("b.service", STATE_INACTIVE);
}

static void test_target_comes_after_what_it_wants(void **state _unused_) {
    fake_write("app.target", "[Unit]\nWants=web.service\n");
    unit("web.service", "");
    fake_load();
    start("app.target");
    assert_state("app.target", STATE_WAITING);
    ready("web.service");
    assert_state("app.target", STATE_RUNNING);
}

/* ---- cycles ---- */

static void test_cycle_is_told_in_full(void **state _unused_) {
    unit("a.service", "After=b.service\nRequires=b.service\n");
    unit("b.service", "After=c.service\nRequires=c.service\n");
    unit("c.service", "After=a.service\nRequires=a.service\n");
    fake_load();
    assert_int_equal(fake_job("a.service", JOB_START), -EDEADLK);
    assert_non_null(strstr(fake.last_job, "a.service -> b.service -> c.service -> a.service"));
    assert_state("a.service", STATE_INACTIVE);
    assert_int_equal(fake.m.jobs->count, 0);
}

static void test_cycle_of_two(void **state _unused_) {
    unit("a.service", "After=b.service\nRequires=b.service\n");
    unit("b.service", "After=a.service\n");
    fake_load();
    assert_int_equal(fake_job("a.service", JOB_START), -EDEADLK);
    assert_non_null(strstr(fake.last_job, "a.service -> b.service -> a.service"));
}

static void test_cycle_is_broken_where_nothing_is_required(void **state _unused_) {
    unit("a.service", "After=b.service\nWants=b.service\n");
    unit("b.service", "After=a.service\n");
    fake_load();
    start("a.service");
    assert_state("a.service", STATE_STARTING);
    assert_state("b.service", STATE_INACTIVE);
    assert_logged("b.service: Left out");
}

static void test_requirement_cycle_without_order_is_fine(void **state _unused_) {
    unit("a.service", "Requires=b.service\n");
    unit("b.service", "Requires=a.service\n");
    fake_load();
    start("a.service");
    assert_state("a.service", STATE_STARTING);
    assert_state("b.service", STATE_STARTING);
    ready("a.service");
    ready("b.service");
    stop("a.service");
    assert_state("b.service", STATE_INACTIVE);
}

static void test_deep_chain(void **state _unused_) {
    for (int i = 0; i < 400; i++) {
        char name[32], dependencies[96];

        (void)snprintf(name, sizeof(name), "u%d.target", i);
        (void)snprintf(dependencies, sizeof(dependencies), "[Unit]\nRequires=u%d.target\nAfter=u%d.target\n",
            i + 1, i + 1);
        fake_write(name, i < 399 ? dependencies : "[Unit]\n");
    }
    fake_load();
    start("u0.target");
    assert_state("u0.target", STATE_RUNNING);
    assert_state("u399.target", STATE_RUNNING);
    stop("u399.target");
    assert_state("u0.target", STATE_INACTIVE);
}

/* ---- merging ---- */

static void test_stop_replaces_start(void **state _unused_) {
    unit("db.service", "");
    unit("web.service", "Requires=db.service\nAfter=db.service\n");
    fake_load();
    start("web.service");
    assert_state("web.service", STATE_WAITING);
    stop("web.service");
    assert_state("web.service", STATE_INACTIVE);
    assert_int_equal(fake.jobs_told, 2); /* the start was canceled, and told so */
    ready("db.service");
    assert_state("web.service", STATE_INACTIVE);
}

static void test_start_while_stopping(void **state _unused_) {
    unit("a.service", "");
    fake_load();
    up("a.service");
    fake.ignore_term = true;
    stop("a.service");
    start("a.service");
    assert_state("a.service", STATE_STOPPING);
    fake_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_STARTING);
    ready("a.service");
    assert_string_equal(fake.last_job, "a.service done");
}

static void test_two_callers_of_one_job(void **state _unused_) {
    unit("a.service", "");
    fake_load();
    start("a.service");
    start("a.service");
    ready("a.service");
    assert_int_equal(fake.jobs_told, 2);
    assert_int_equal(fake.mains, 1);
}

static void test_client_that_leaves(void **state _unused_) {
    unit("a.service", "");
    fake_load();
    start("a.service");
    api_forget_client(&fake.m, &fake);
    ready("a.service");
    assert_int_equal(fake.jobs_told, 0);
    assert_state("a.service", STATE_RUNNING);
}

static void test_accepted_is_remembered(void **state _unused_) {
    struct error e = {};

    unit("a.service", "");
    fake_load();
    assert_return_code(
        api_queue_job(&fake.m, fake_unit("a.service"), JOB_START, JOB_MODE_REPLACE, NULL, NULL, &e), 0);
    assert_true(fake.flushes > 0); /* before anybody is told */
    assert_int_equal(fake_unit("a.service")->saved_job, JOB_START);
    fake_manager_restart();
    assert_state("a.service", STATE_STARTING);
}

/* It was started, runs and ends while davitd is away: it has had its start. */
static void test_a_start_that_is_over_before_the_next_davitd_is_ready_is_not_done_again(
    void **state _unused_) {
    struct error e = {};

    fake_write("a.service", "[Service]\nType=exec\nExecStart=/bin/a\n");
    fake_load();
    fake.auto_start = false;
    assert_return_code(
        api_queue_job(&fake.m, fake_unit("a.service"), JOB_START, JOB_MODE_REPLACE, NULL, NULL, &e), 0);
    fake_settle();
    assert_state("a.service", STATE_STARTING);
    fake_waits_in_the_feed("a.service", CLD_EXITED, 0);
    fake_manager_restart();
    assert_state("a.service", STATE_INACTIVE);
    assert_int_equal(fake.mains, 1);
    assert_int_equal(fake_unit("a.service")->saved_job, -1);
}

/* The same a moment later, when its job is there again and has not been run yet. */
static void test_a_start_that_is_over_before_its_job_is_looked_at_is_not_done_again(void **state _unused_) {
    struct error e = {};
    struct job *j;

    fake_write("a.service", "[Service]\nType=exec\nExecStart=/bin/a\n");
    fake_load();
    fake.auto_start = false;
    for (int status = 0; status < 2; status++) {
        assert_return_code(
            api_queue_job(&fake.m, fake_unit("a.service"), JOB_START, JOB_MODE_REPLACE, NULL, NULL, &e), 0);
        fake_settle();
        assert_state("a.service", STATE_STARTING);
        struct managed_unit *u = fake_unit("a.service");
        job_finish(u->job, JOB_CANCELED, NULL);
        assert_return_code(job_install_alone(u, JOB_START, &j), 0);
        job_recovered(j, false);
        assert_true(j->running);
        fake_waits_in_the_feed("a.service", CLD_EXITED, status);
        fake_settle();
        assert_state("a.service", status == 0 ? STATE_INACTIVE : STATE_FAILED);
        assert_null(u->job);
    }
    assert_int_equal(fake.mains, 2);
}

static void test_a_start_that_fails_while_davitd_is_away_is_not_done_again(void **state _unused_) {
    struct error e = {};

    fake_write("a.service", "[Service]\nType=notify\nExecStart=/bin/a\nExecStopPost=/bin/post\n");
    fake_load();
    fake.auto_hooks = false;
    assert_return_code(
        api_queue_job(&fake.m, fake_unit("a.service"), JOB_START, JOB_MODE_REPLACE, NULL, NULL, &e), 0);
    fake_settle();
    fake_exits("a.service", CLD_EXITED, 1); /* never ready */
    assert_state("a.service", STATE_STOPPING);
    fake_manager_restart();
    fake_hook_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_FAILED);
    assert_int_equal(fake.mains, 1);
    assert_null(fake_unit("a.service")->job);

    /* the same, and it is down before the next davitd is ready */
    assert_return_code(
        api_queue_job(&fake.m, fake_unit("a.service"), JOB_START, JOB_MODE_REPLACE, NULL, NULL, &e), 0);
    fake_settle();
    fake_exits("a.service", CLD_EXITED, 1);
    fake_hook_waits_in_the_feed("a.service");
    fake_manager_restart();
    assert_state("a.service", STATE_FAILED);
    assert_int_equal(fake.mains, 2);
    assert_null(fake_unit("a.service")->job);
    start("a.service"); /* a new one has nothing of it */
    assert_int_equal(fake.mains, 3);
}

static void test_mode_fail(void **state _unused_) {
    struct error e = {};

    unit("a.service", "");
    fake_load();
    start("a.service");
    assert_int_equal(
        api_queue_job(&fake.m, fake_unit("a.service"), JOB_STOP, JOB_MODE_FAIL, NULL, NULL, &e), -EBUSY);
    assert_non_null(strstr(e.text, "start job"));
}

static void test_mode_ignore_dependencies(void **state _unused_) {
    struct error e = {};

    unit("db.service", "");
    unit("web.service", "Requires=db.service\nAfter=db.service\n");
    fake_load();
    assert_return_code(api_queue_job(&fake.m, fake_unit("web.service"), JOB_START,
                           JOB_MODE_IGNORE_DEPENDENCIES, NULL, NULL, &e),
        0);
    fake_settle();
    assert_state("web.service", STATE_STARTING);
    assert_state("db.service", STATE_INACTIVE);
}

/* ---- whole or not at all ---- */

static unsigned callocs = UINT_MAX; /* that still succeed */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size) {
    if (callocs == 0)
        return NULL;
    callocs -= callocs < UINT_MAX;
    return __real_calloc(n, size);
}

/* One is to take the place of another, which is starting: half of it could be that neither runs. */
static void load_successor(void) {
    unit("old.service", "");
    unit("db.service", "");
    unit("new.service", "Requires=db.service\nAfter=db.service\nConflicts=old.service\n");
    fake_load();
    start("old.service");
}

static int start_successor(struct error *e) {
    return api_queue_job(
        &fake.m, fake_unit("new.service"), JOB_START, JOB_MODE_REPLACE, fake_job_told, &fake, e);
}

static void assert_nothing_changed(void) {
    fake_settle();
    assert_state("old.service", STATE_STARTING);
    assert_state("db.service", STATE_INACTIVE);
    assert_state("new.service", STATE_INACTIVE);
    assert_int_equal(fake.m.jobs->count, 1);
    assert_int_equal(fake_unit("old.service")->job->type, JOB_START);
    assert_int_equal(fake.jobs_told, 0);
}

static void assert_succeeds(int r) {
    assert_return_code(r, 0);
    fake_settle();
    assert_state("old.service", STATE_INACTIVE);
    ready("db.service");
    ready("new.service");
    assert_string_equal(fake.last_job, "new.service done");
}

static void test_a_request_that_memory_is_missing_for_changes_nothing(void **state _unused_) {
    int r = -ENOMEM;
    unsigned n;

    load_successor();
    for (n = 0; r < 0; n++) {
        struct error e = {};

        callocs = n;
        r = start_successor(&e);
        callocs = UINT_MAX;
        if (r < 0) {
            assert_int_equal(r, -ENOMEM);
            assert_nothing_changed();
        }
    }
    assert_true(n > 7); /* three entries, three jobs and who waits for them */
    assert_succeeds(r);
}

static void test_a_request_that_there_is_no_room_for_changes_nothing(void **state _unused_) {
    struct error e = {};

    load_successor();
    fake.m.jobs->count += JOBS_MAX - 2;
    int r = start_successor(&e);
    fake.m.jobs->count -= JOBS_MAX - 2;
    assert_int_equal(r, -ENOBUFS);
    assert_nothing_changed();
    fake.m.jobs->count += JOBS_MAX - 3; /* that of old.service gives its own place away */
    r = start_successor(&e);
    fake.m.jobs->count -= JOBS_MAX - 3;
    assert_succeeds(r);
}

/* ---- what an end leads to ---- */

static void test_on_failure_and_on_success(void **state _unused_) {
    unit("alarm.service", "");
    unit("next.service", "");
    unit("a.service", "OnFailure=alarm.service\nOnSuccess=next.service\n");
    fake_load();
    up("a.service");
    fake_exits("a.service", CLD_EXITED, 0);
    assert_state("next.service", STATE_STARTING);
    assert_state("alarm.service", STATE_INACTIVE);
    up("a.service");
    fake_exits("a.service", CLD_EXITED, 1);
    assert_state("alarm.service", STATE_STARTING);
}

static void test_on_failure_only_when_it_gives_up(void **state _unused_) {
    unit("alarm.service", "");
    fake_write("a.service", "[Unit]\nOnFailure=alarm.service\n[Service]\nExecStart=/bin/a\nRestart=always\n");
    fake_load();
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 1);
    fake_advance(S);
    assert_state("alarm.service", STATE_INACTIVE);
    for (int i = 0; i < 10 && fake_unit("a.service")->state == STATE_RUNNING; i++) {
        fake_exits("a.service", CLD_EXITED, 1);
        fake_advance(S / 5);
    }
    assert_state("a.service", STATE_FAILED);
    assert_state("alarm.service", STATE_STARTING);
}

static void test_on_failure_by_dependency(void **state _unused_) {
    unit("alarm.service", "");
    unit("db.service", "");
    unit("web.service", "Requires=db.service\nAfter=db.service\nOnFailure=alarm.service\n");
    fake_load();
    start("web.service");
    fake_exits("db.service", CLD_EXITED, 1);
    assert_state("alarm.service", STATE_STARTING);
}

/* ---- many at once ---- */

static void test_concurrency_cap(void **state _unused_) {
    fake.m.settings.start_concurrency = 2;
    fake.auto_start = false;
    for (int i = 0; i < 5; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "u%d.service", i);
        unit(name, "");
    }
    fake_write("all.target", "[Unit]\nWants=u0.service u1.service u2.service u3.service u4.service\n");
    fake_load();
    start("all.target");
    assert_int_equal(fake.mains, 2);
    assert_int_equal(fake.m.jobs->launching, 2);
    assert_state("u4.service", STATE_WAITING);
    fake_started("u0.service"); /* it is not ready, but it runs: that is enough */
    assert_int_equal(fake.mains, 3);
    fake_launch_fails("u1.service", EIO, "rootfs");
    assert_int_equal(fake.mains, 4);
    fake_started("u2.service");
    fake_started("u3.service");
    fake_started("u4.service");
    assert_int_equal(fake.m.jobs->launching, 0);
    ready("u0.service");
    ready("u2.service");
    ready("u3.service");
    ready("u4.service");
    assert_state("all.target", STATE_RUNNING);
}

static void test_waiting_for_a_slot_can_be_stopped(void **state _unused_) {
    fake.m.settings.start_concurrency = 1;
    fake.auto_start = false;
    unit("a.service", "");
    unit("b.service", "");
    fake_load();
    start("a.service");
    start("b.service");
    assert_state("b.service", STATE_WAITING);
    stop("b.service");
    assert_state("b.service", STATE_INACTIVE);
    fake_started("a.service");
    assert_state("b.service", STATE_INACTIVE);
}

static void test_stop_all(void **state _unused_) {
    unit("db.service", "");
    unit("web.service", "Requires=db.service\nAfter=db.service\n");
    fake_write("crash.service", "[Service]\nExecStart=/bin/x\nRestart=always\n");
    fake_load();
    start("web.service");
    ready("db.service");
    ready("web.service");
    start("crash.service");
    fake_exits("crash.service", CLD_EXITED, 1);
    assert_state("crash.service", STATE_BACKOFF);
    fake.ignore_term = true;
    assert_return_code(api_exit(&fake.m, 3, false), 0);
    fake_settle();
    assert_int_equal(fake.m.phase, PHASE_STOPPING);
    assert_state("web.service", STATE_STOPPING);
    assert_state("db.service", STATE_RUNNING);
    assert_int_equal(fake_job("crash.service", JOB_START), -ESHUTDOWN);
    fake_advance(60 * S);
    assert_int_equal(fake.m.phase, PHASE_ENDED);
    assert_state("crash.service", STATE_INACTIVE);
    assert_int_equal(fake.m.exit_status, 3);
}

static void test_isolate_stops_what_is_not_needed(void **state _unused_) {
    unit("db.service", "");
    unit("log.service", "PartOf=web.service\n");
    unit("web.service", "");
    unit("shell.service", "Requires=db.service\nAfter=db.service\n");
    fake_write("rescue.target", "[Unit]\nRequires=shell.service\n");
    fake_load();
    up("db.service");
    up("web.service");
    up("log.service");
    struct error e = {};
    assert_return_code(
        api_queue_job(&fake.m, fake_unit("rescue.target"), JOB_START, JOB_MODE_ISOLATE, NULL, NULL, &e), 0);
    fake_settle();
    assert_state("web.service", STATE_INACTIVE);
    assert_state("log.service", STATE_INACTIVE);
    assert_state("db.service", STATE_RUNNING);
    ready("shell.service");
    assert_state("shell.service", STATE_RUNNING);
    assert_state("rescue.target", STATE_RUNNING);
    assert_int_equal(
        api_queue_job(&fake.m, fake_unit("db.service"), JOB_STOP, JOB_MODE_ISOLATE, NULL, NULL, &e), -EINVAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_isolate_stops_what_is_not_needed),
        TEST(test_dependents_wait_for_readiness),
        TEST(test_without_after_they_start_together),
        TEST(test_before_is_the_other_side_of_after),
        TEST(test_order_alone_pulls_nothing_in),
        TEST(test_stop_is_in_reverse),
        TEST(test_restart_takes_dependents_along),
        TEST(test_restart_of_what_does_not_run),
        TEST(test_restart_runs_anew),
        TEST(test_requirement_that_fails),
        TEST(test_wish_that_fails),
        TEST(test_dependents_wait_through_a_backoff),
        TEST(test_automatic_restart_leaves_requirers_alone),
        TEST(test_missing_requirement),
        TEST(test_missing_wish),
        TEST(test_unit_with_errors),
        TEST(test_requisite),
        TEST(test_requisite_that_is_about_to_be),
        TEST(test_binds_to_follows_an_end),
        TEST(test_binds_to_comes_back_after_a_restart),
        TEST(test_binds_to_stays_through_a_direct_restart),
        TEST(test_stopped_by_hand_it_does_not_come_back),
        TEST(test_what_is_not_for_persons_to_start_or_stop),
        TEST(test_part_of),
        TEST(test_conflicts),
        TEST(test_conflict_within_a_request),
        TEST(test_target_comes_after_what_it_wants),
        TEST(test_cycle_is_told_in_full),
        TEST(test_cycle_of_two),
        TEST(test_cycle_is_broken_where_nothing_is_required),
        TEST(test_requirement_cycle_without_order_is_fine),
        TEST(test_deep_chain),
        TEST(test_stop_replaces_start),
        TEST(test_start_while_stopping),
        TEST(test_two_callers_of_one_job),
        TEST(test_client_that_leaves),
        TEST(test_accepted_is_remembered),
        TEST(test_a_start_that_is_over_before_the_next_davitd_is_ready_is_not_done_again),
        TEST(test_a_start_that_is_over_before_its_job_is_looked_at_is_not_done_again),
        TEST(test_a_start_that_fails_while_davitd_is_away_is_not_done_again),
        TEST(test_mode_fail),
        TEST(test_mode_ignore_dependencies),
        TEST(test_a_request_that_memory_is_missing_for_changes_nothing),
        TEST(test_a_request_that_there_is_no_room_for_changes_nothing),
        TEST(test_on_failure_and_on_success),
        TEST(test_on_failure_only_when_it_gives_up),
        TEST(test_on_failure_by_dependency),
        TEST(test_concurrency_cap),
        TEST(test_waiting_for_a_slot_can_be_stopped),
        TEST(test_stop_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
