/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-manager.c; without: cgroup */
/* The life of one unit: starting, readiness, ends, restarts, limits, time-outs, the ladder of stopping,
 * hooks. */
#include <signal.h>
#include <sys/wait.h>

#include "fake-manager.h"

#define S USEC_PER_SEC
#define MS USEC_PER_MSEC

static void service(const char *text) {
    _cleanup_free_ char *all = strf("[Service]\nExecStart=/bin/main\n%s", text);

    fake_write("a.service", all);
    fake_load();
}

/* ---- the table ---- */

static void test_table_is_complete(void **state _unused_) {
    /* Pairs that must do something; the rest may be ignored, but unit_handler() must know them all. */
    static const struct {
        enum unit_state state;
        enum unit_event event;
    } wanted[] = {
        {STATE_INACTIVE, EVENT_START},
        {STATE_WAITING, EVENT_START},
        {STATE_BACKOFF, EVENT_START},
        {STATE_FAILED, EVENT_START},
        {STATE_WAITING, EVENT_STOP},
        {STATE_PREPARING, EVENT_STOP},
        {STATE_STARTING, EVENT_STOP},
        {STATE_RUNNING, EVENT_STOP},
        {STATE_RELOADING, EVENT_STOP},
        {STATE_STOPPING, EVENT_STOP},
        {STATE_BACKOFF, EVENT_STOP},
        {STATE_PREPARING, EVENT_TIMEOUT},
        {STATE_STARTING, EVENT_TIMEOUT},
        {STATE_RUNNING, EVENT_TIMEOUT},
        {STATE_RELOADING, EVENT_TIMEOUT},
        {STATE_STOPPING, EVENT_TIMEOUT},
        {STATE_BACKOFF, EVENT_TIMEOUT},
        {STATE_STARTING, EVENT_MAIN_EXIT},
        {STATE_RUNNING, EVENT_MAIN_EXIT},
        {STATE_RELOADING, EVENT_MAIN_EXIT},
        {STATE_STOPPING, EVENT_MAIN_EXIT},
        {STATE_STARTING, EVENT_OOM},
        {STATE_RUNNING, EVENT_OOM},
        {STATE_RELOADING, EVENT_OOM},
        {STATE_STOPPING, EVENT_OOM},
        {STATE_STOPPING, EVENT_CLEANED},
        {STATE_STOPPING, EVENT_EMPTY},
    };

    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        if (!unit_handler(wanted[i].state, wanted[i].event))
            fail_msg("nothing happens: %s, event %d", unit_state_name(wanted[i].state), wanted[i].event);
    for (int s = 0; s < _STATE_COUNT; s++) {
        assert_non_null(unit_state_name(s));
        assert_non_null(unit_active_name(s));
        assert_int_equal(unit_state_from_name(unit_state_name(s)), s);
        for (int step = 0; step < _STEP_COUNT; step++) {
            assert_non_null(unit_substate_name(s, step));
            assert_int_equal(unit_step_from_name(unit_step_name(step)), step);
        }
        /* What is not up has nothing to abort, and what is down nothing to end. */
        if (s == STATE_INACTIVE || s == STATE_FAILED || s == STATE_BACKOFF || s == STATE_WAITING)
            for (int e = 0; e < _EVENT_COUNT; e++)
                if (e != EVENT_START && e != EVENT_STOP && e != EVENT_TIMEOUT)
                    assert_null(unit_handler(s, e));
    }
    for (int r = 0; r < _RESULT_COUNT; r++)
        assert_int_equal(unit_result_from_name(unit_result_name(r)), r);
    assert_int_equal(unit_state_from_name("nonsense"), -EINVAL);
}

/* ---- starting ---- */

static void test_simple_is_running_at_once(void **state _unused_) {
    fake.auto_start = false;
    service("Type=simple\n");
    start("a.service");
    assert_state("a.service", STATE_RUNNING);
    assert_string_equal(fake.last_job, "a.service done");
    fake_started("a.service");
    assert_state("a.service", STATE_RUNNING);
    assert_logged("a.service: Started");
}

static void test_exec_waits_for_execve(void **state _unused_) {
    fake.auto_start = false;
    service("Type=exec\n");
    start("a.service");
    fake_begun("a.service");
    assert_state("a.service", STATE_STARTING);
    assert_string_equal(fake.last_job, "");
    fake_started("a.service");
    assert_state("a.service", STATE_RUNNING);
    assert_string_equal(fake.last_job, "a.service done");
}

static void test_notify_waits_for_ready(void **state _unused_) {
    service("Type=notify\n");
    start("a.service");
    assert_state("a.service", STATE_STARTING);
    assert_int_equal(fake_unit("a.service")->step, STEP_START_READY);
    fake_event("a.service", EVENT_READY);
    assert_state("a.service", STATE_RUNNING);
}

static void test_ready_before_the_launchers_report(void **state _unused_) {
    fake.auto_start = false;
    service("Type=notify\n");
    start("a.service");
    fake_begun("a.service");
    fake_event("a.service", EVENT_READY);
    assert_state("a.service", STATE_STARTING);
    fake_started("a.service");
    assert_state("a.service", STATE_RUNNING);
}

static void test_notify_that_exits_before_ready(void **state _unused_) {
    service("Type=notify\n");
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_PROTOCOL);
    assert_non_null(strstr(fake.last_job, "a.service failed"));
}

static void test_oneshot(void **state _unused_) {
    service("Type=oneshot\nExecStart=/bin/second\n");
    start("a.service");
    assert_state("a.service", STATE_STARTING);
    assert_string_equal(fake.last_job, "");
    fake_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_STARTING); /* the second command */
    assert_int_equal(fake.mains, 2);
    fake_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_INACTIVE);
    assert_result("a.service", RESULT_SUCCESS);
    assert_string_equal(fake.last_job, "a.service done");
}

static void test_oneshot_that_remains(void **state _unused_) {
    service("Type=oneshot\nRemainAfterExit=yes\nExecStop=/bin/stop\n");
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_RUNNING);
    assert_null(fake_unit("a.service")->main);
    stop("a.service");
    assert_string_equal(fake.last_hook, "/bin/stop");
    assert_state("a.service", STATE_INACTIVE);
}

static void test_oneshot_that_fails(void **state _unused_) {
    service("Type=oneshot\nExecStart=/bin/second\nRemainAfterExit=yes\n");
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 3);
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_EXIT_CODE);
    assert_int_equal(fake.mains, 1);
}

static void test_failure_that_is_ignored(void **state _unused_) {
    fake_write("a.service", "[Service]\nType=oneshot\nExecStart=-/bin/one\nExecStart=/bin/two\n");
    fake_load();
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 1);
    assert_int_equal(fake.mains, 2);
    fake_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_INACTIVE);
}

static void test_hooks_in_order(void **state _unused_) {
    fake.auto_hooks = false;
    service("Type=exec\nExecStartPre=/bin/pre1\nExecStartPre=/bin/pre2\nExecStartPost=/bin/post\n");
    start("a.service");
    assert_string_equal(fake.last_hook, "/bin/pre1");
    fake_hook_exits("a.service", CLD_EXITED, 0);
    assert_string_equal(fake.last_hook, "/bin/pre2");
    assert_int_equal(fake.mains, 0);
    fake_hook_exits("a.service", CLD_EXITED, 0);
    assert_int_equal(fake.mains, 1);
    assert_string_equal(fake.last_hook, "/bin/post");
    assert_state("a.service", STATE_STARTING);
    fake_hook_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_RUNNING);
}

static void test_start_pre_that_fails(void **state _unused_) {
    fake.auto_hooks = false;
    service("ExecStartPre=/bin/pre\nExecStop=/bin/stop\nExecStopPost=/bin/post\n");
    start("a.service");
    fake_hook_exits("a.service", CLD_EXITED, 4);
    /* ExecStop= belongs to what was started; ExecStopPost= runs always. */
    assert_string_equal(fake.last_hook, "/bin/post");
    assert_int_equal(fake.hook_result, RESULT_EXIT_CODE);
    fake_hook_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_EXIT_CODE);
    assert_int_equal(fake.mains, 0);
}

static void test_start_pre_whose_failure_is_ignored(void **state _unused_) {
    fake.auto_hooks = false;
    service("ExecStartPre=-/bin/pre\n");
    start("a.service");
    fake_hook_exits("a.service", CLD_EXITED, 4);
    assert_state("a.service", STATE_RUNNING);
}

static void test_exec_condition(void **state _unused_) {
    static const struct {
        const char *prefix;
        int code, status;
        enum unit_state state;
        enum unit_result result;
        const char *job;
    } cases[] = {
        {"", CLD_EXITED, 0, STATE_RUNNING, RESULT_SUCCESS, "done"},
        {"", CLD_EXITED, 1, STATE_INACTIVE, RESULT_EXEC_CONDITION, "skipped"},
        {"", CLD_EXITED, 254, STATE_INACTIVE, RESULT_EXEC_CONDITION, "skipped"},
        {"-", CLD_EXITED, 1, STATE_RUNNING, RESULT_SUCCESS, "done"},
        {"", CLD_EXITED, 255, STATE_FAILED, RESULT_EXIT_CODE, "failed"},
        {"", CLD_KILLED, SIGKILL, STATE_FAILED, RESULT_SIGNAL, "failed"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        fake.auto_hooks = false;
        _cleanup_free_ char *text =
            strf("ExecCondition=%s/bin/condition\nExecStartPre=/bin/pre\nRestart=%s\n", cases[i].prefix,
                cases[i].state == STATE_FAILED ? "no" : "always");
        service(text);
        start("a.service");
        assert_string_equal(fake.last_hook, "/bin/condition");
        assert_string_equal(unit_substate_name(STATE_STARTING, fake_unit("a.service")->step), "condition");
        fake.auto_hooks = true;
        fake_hook_exits("a.service", cases[i].code, cases[i].status);
        if (fake_unit("a.service")->state != cases[i].state || !strstr(fake.last_job, cases[i].job))
            fail_msg("case %zu: %s, %s", i, unit_state_name(fake_unit("a.service")->state), fake.last_job);
        assert_result("a.service", cases[i].result);
        assert_string_equal(fake.last_hook, cases[i].state == STATE_RUNNING ? "/bin/pre" : "/bin/condition");
        stop("a.service");
    }
}

static void test_condition_skips(void **state _unused_) {
    fake_write("a.service", "[Unit]\nConditionPathExists=/nonexistent/x\n[Service]\nExecStart=/bin/main\n");
    fake_load();
    start("a.service");
    assert_state("a.service", STATE_INACTIVE);
    assert_result("a.service", RESULT_SUCCESS);
    assert_non_null(strstr(fake.last_job, "skipped"));
    assert_int_equal(fake.prepares, 0);
}

static void test_conditions_with_trigger(void **state _unused_) {
    fake_write("a.service", "[Unit]\nConditionPathExists=|/nonexistent/x\nConditionPathExists=|/proc\n"
                            "ConditionPathExists=!/nonexistent/y\n[Service]\nExecStart=/bin/main\n");
    fake_load();
    start("a.service");
    assert_state("a.service", STATE_RUNNING);
}

/* Of each kind one that holds on every machine, or with ! on none. */
static void test_each_kind_of_condition(void **state _unused_) {
    static const char *const held[] = {"PathExists=/proc", "PathExistsGlob=/proc/*/stat",
        "PathIsDirectory=/proc", "PathIsDirectory=!/proc/version", "PathIsSymbolicLink=/proc/self",
        "PathIsMountPoint=/proc", "PathIsMountPoint=!/proc/self/fd", "PathIsReadWrite=!/nonexistent",
        "DirectoryNotEmpty=/proc", "DirectoryNotEmpty=!/proc/version", "FileNotEmpty=/bin/sh",
        "FileNotEmpty=!/proc", "FileIsExecutable=/bin/sh", "FileIsExecutable=!/etc/passwd",
        "KernelCommandLine=!davit.nonsense", "KernelVersion=>=3.10", "KernelVersion=!<3.10",
        "KernelVersion=*.*", "Architecture=native", "Architecture=!vax", "Host=*", "Host=!no-such-host",
        "Memory=>=1M", "Memory=>1M", "Memory=!<=1M", "CPUs=1", "CPUs=!=100000", "CPUs=!>100000",
        "Environment=PATH", "Environment=!DAVIT_NONSENSE", "Environment=!PATH=x"};

    assert_non_null(getenv("PATH"));
    for (size_t i = 0; i < ARRAY_SIZE(held); i++)
        for (int assert = 0; assert < 2; assert++) {
            _cleanup_free_ char *text = strf(
                "[Unit]\n%s%s\n[Service]\nExecStart=/bin/main\n", assert ? "Assert" : "Condition", held[i]);
            fake_write("a.service", text);
            fake_load();
            start("a.service");
            if (fake_unit("a.service")->state != STATE_RUNNING)
                fail_msg("does not hold: %s", held[i]);
            stop("a.service");
        }
    /* And each of them can fail: all are turned round. */
    for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
        const char *equals = strchr(held[i], '=');
        bool negated = equals[1] == '!' && equals[2] != '=';
        _cleanup_free_ char *text = strf("[Unit]\nCondition%.*s=%s%s\n[Service]\nExecStart=/bin/main\n",
            (int)(equals - held[i]), held[i], negated ? "" : "!", equals + 1 + negated);
        fake_write("a.service", text);
        fake_load();
        start("a.service");
        if (fake_unit("a.service")->state != STATE_INACTIVE)
            fail_msg("holds all the same: %s", text);
    }
}

static void test_assert_fails_the_job(void **state _unused_) {
    fake_write("a.service", "[Unit]\nConditionPathExists=/proc\nAssertPathExists=/nonexistent/x\n"
                            "[Service]\nExecStart=/bin/main\n");
    fake_write("b.service", "[Unit]\nRequires=a.service\nAfter=a.service\n[Service]\nExecStart=/bin/main\n");
    fake_load();
    start("a.service");
    assert_state("a.service", STATE_INACTIVE);
    assert_non_null(strstr(fake.last_job, "failed"));
    assert_string_equal(fake_unit("a.service")->condition, "AssertPathExists=/nonexistent/x");
    start("b.service");
    assert_result("b.service", RESULT_DEPENDENCY);
    assert_int_equal(fake.prepares, 0);
}

static void test_preparing_fails(void **state _unused_) {
    fake.prepare = FAKE_PREPARE_FAILS;
    fake.prepare_errno = ENOENT;
    service("");
    start("a.service");
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_RESOURCES);
    assert_int_equal(fake.prepares, 1);
    assert_int_equal(fake.cleanups, 1);
    assert_non_null(strstr(fake.last_job, "no image"));
}

static void test_preparing_is_tried_again(void **state _unused_) {
    fake.prepare = FAKE_PREPARE_FAILS;
    fake.prepare_errno = EBUSY;
    service("");
    start("a.service");
    assert_state("a.service", STATE_PREPARING);
    fake.prepare = FAKE_PREPARE_OK;
    fake_advance(2 * S);
    assert_state("a.service", STATE_RUNNING);
    assert_int_equal(fake.prepares, 2);
    assert_int_equal(unit_error(fake_unit("a.service"))->number, 0);
}

static void test_preparing_times_out(void **state _unused_) {
    fake.prepare = FAKE_PREPARE_WAITS;
    service("TimeoutPrepareSec=30\nTimeoutStartSec=5\n");
    start("a.service");
    fake_advance(29 * S);
    assert_state("a.service", STATE_PREPARING); /* TimeoutStartSec= does not count here */
    fake_advance(2 * S);
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_TIMEOUT);
}

static void test_start_times_out(void **state _unused_) {
    service("Type=notify\nTimeoutStartSec=5\n");
    start("a.service");
    fake_advance(4 * S);
    assert_state("a.service", STATE_STARTING);
    fake_advance(2 * S);
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_TIMEOUT);
    assert_string_equal(fake_signals("a.service"), "*TERM");
    assert_non_null(strstr(fake.last_job, "a.service timeout"));
}

static void test_extend_timeout(void **state _unused_) {
    service("Type=notify\nTimeoutStartSec=5\n");
    start("a.service");
    fake_advance(4 * S);
    unit_extend_timeout(fake_unit("a.service"), 10 * S);
    fake_advance(9 * S);
    assert_state("a.service", STATE_STARTING);
    unit_extend_timeout(fake_unit("a.service"), 3 * S);
    fake_advance(2 * S);
    assert_state("a.service", STATE_STARTING);
    fake_advance(2 * S);
    assert_result("a.service", RESULT_TIMEOUT);
}

static void test_extend_never_shortens(void **state _unused_) {
    service("Type=notify\nTimeoutStartSec=50\n");
    start("a.service");
    unit_extend_timeout(fake_unit("a.service"), 1 * S);
    fake_advance(40 * S);
    assert_state("a.service", STATE_STARTING);
}

static void test_launch_fails(void **state _unused_) {
    fake.auto_start = false;
    service("Type=exec\n");
    start("a.service");
    fake_launch_fails("a.service", EINVAL, "pivot_root");
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_RESOURCES);
    assert_string_equal(unit_error(fake_unit("a.service"))->step, "pivot_root");
    assert_non_null(strstr(fake.last_job, "pivot_root"));
}

/* A launcher that dies when the child is made and not yet let go: nothing of the hook has run. */
static void test_the_launcher_of_a_hook_dies(void **state _unused_) {
    fake.auto_hooks = false;
    service("Type=exec\nExecStopPost=/bin/post\nExecStopPost=/bin/second\n");
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 3);
    assert_int_equal(fake.hooks, 1);
    for (int lost = 1; lost <= 3; lost++) {
        fake_hook_exec_fails("a.service", ECANCELED, "launcher");
        assert_int_equal(fake.hooks, 1 + lost);
        assert_string_equal(fake.last_hook, "/bin/post");
        assert_int_equal(fake.hook_status, 3);
    }
    fake_hook_exits("a.service", CLD_EXITED, 0);
    assert_string_equal(fake.last_hook, "/bin/second");
    fake_hook_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_EXIT_CODE);
    assert_int_equal(fake_unit("a.service")->main_status, 3);
}

static void test_a_hook_that_launchers_die_of(void **state _unused_) {
    fake.auto_hooks = false;
    service("Type=exec\nExecStartPre=/bin/pre\n");
    start("a.service");
    for (int lost = 1; lost <= 4; lost++)
        fake_hook_exec_fails("a.service", ECANCELED, "launcher");
    assert_int_equal(fake.hooks, 4);
    assert_state("a.service", STATE_FAILED);
    assert_string_equal(unit_error(fake_unit("a.service"))->step, "launcher");
}

/* davitd dies between the report and the end of the child. */
static void test_a_lost_hook_is_run_again_by_the_next_davitd(void **state _unused_) {
    fake.auto_hooks = false;
    service("Type=exec\nExecStopPost=/bin/post\n");
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 3);
    fake_unit("a.service")->hook_lost = true;
    fake_manager_restart();
    fake_hook_exits("a.service", CLD_EXITED, 125);
    assert_int_equal(fake.hooks, 2);
    assert_string_equal(fake.last_hook, "/bin/post");
}

static void test_a_lost_hook_is_not_run_after_a_stop(void **state _unused_) {
    fake.auto_hooks = false;
    service("Type=exec\nExecStartPre=/bin/pre\n");
    start("a.service");
    fake_unit("a.service")->hook_lost = true;
    stop("a.service");
    assert_int_equal(fake.hooks, 1);
    assert_state("a.service", STATE_FAILED); /* the hook was killed */
}

static void test_exec_fails(void **state _unused_) {
    fake.auto_start = false;
    service("Type=exec\nExecStopPost=/bin/post\n");
    start("a.service");
    fake_exec_fails("a.service", ENOENT, "execve");
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_RESOURCES);
    assert_int_equal(fake_unit("a.service")->main_status, 126);
    assert_string_equal(fake.last_hook, "/bin/post");
}

static void test_spec_too_large(void **state _unused_) {
    fake.spawn_fails = true;
    service("");
    start("a.service");
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_RESOURCES);
}

/* ---- running, ends, restarts ---- */

static void test_clean_exit(void **state _unused_) {
    service("ExecStop=/bin/stop\n");
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 0);
    /* systemd.service(5): the stop operation is performed even if the program has ended by itself. */
    assert_string_equal(fake.last_hook, "/bin/stop");
    assert_state("a.service", STATE_INACTIVE);
    assert_result("a.service", RESULT_SUCCESS);
    assert_false(fake.cleanup_kept);
}

static void test_restart_on_failure(void **state _unused_) {
    service("Restart=on-failure\n");
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 1);
    assert_state("a.service", STATE_BACKOFF);
    assert_result("a.service", RESULT_EXIT_CODE);
    assert_true(fake.cleanup_kept);
    fake_advance(99 * MS);
    assert_state("a.service", STATE_BACKOFF);
    fake_advance(2 * MS);
    assert_state("a.service", STATE_RUNNING);
    assert_int_equal(fake_unit("a.service")->restarts, 1);
    fake_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_INACTIVE);
}

static void test_backoff_grows_and_starts_anew(void **state _unused_) {
    struct managed_unit *u;

    service(
        "Restart=always\nRestartSec=1\nRestartSteps=6\nRestartMaxDelaySec=60\nRestartResetSec=10\n[Unit]\n"
        "StartLimitIntervalSec=0\n");
    u = fake_unit("a.service");
    start("a.service");
    for (int i = 0; i < 3; i++) {
        fake_exits("a.service", CLD_EXITED, 1);
        fake_advance(4 * S);
        assert_state("a.service", STATE_RUNNING);
    }
    fake_exits("a.service", CLD_EXITED, 1);
    assert_true(u->backoff_until > fake.now + 7 * S && u->backoff_until < fake.now + 8 * S);
    fake_advance(8 * S);
    assert_state("a.service", STATE_RUNNING);
    assert_int_equal(u->restarts, 4);
    assert_int_equal(u->backoff_step, 4);
    fake_advance(11 * S);
    assert_int_equal(u->backoff_step, 0);
    assert_int_equal(u->restarts, 4); /* the counter is kept, only the delay starts anew */
    fake_exits("a.service", CLD_EXITED, 1);
    assert_int_equal(u->backoff_until, fake.now + 1 * S);
}

static void test_counter_starts_anew_with_a_persons_start(void **state _unused_) {
    service("Restart=always\n");
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 1);
    fake_advance(S);
    assert_int_equal(fake_unit("a.service")->restarts, 1);
    stop("a.service");
    assert_int_equal(fake_unit("a.service")->restarts, 1);
    start("a.service");
    assert_int_equal(fake_unit("a.service")->restarts, 0);
}

static void crash_until_limit(void) {
    for (int i = 0; i < 20 && fake_unit("a.service")->state == STATE_RUNNING; i++) {
        fake_exits("a.service", CLD_EXITED, 1);
        fake_advance(110 * MS);
    }
}

static void test_start_limit(void **state _unused_) {
    service("Restart=always\n");
    start("a.service");
    crash_until_limit();
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_START_LIMIT_HIT);
    assert_int_equal(fake_unit("a.service")->restarts, 6); /* five were allowed */
    assert_int_equal(fake.mains, 6);
    /* A person is never refused. */
    start("a.service");
    assert_state("a.service", STATE_RUNNING);
}

static void test_keep_trying(void **state _unused_) {
    struct managed_unit *u;

    fake.m.settings.keep_trying = true;
    service("Restart=always\n"); /* no RestartMaxDelaySec=: 30 s */
    u = fake_unit("a.service");
    start("a.service");
    crash_until_limit();
    assert_state("a.service", STATE_BACKOFF);
    assert_true(u->start_limited);
    assert_logged("Started too often");
    fake_advance(29 * S);
    assert_state("a.service", STATE_BACKOFF);
    fake_advance(2 * S);
    assert_state("a.service", STATE_RUNNING);
    fake_exits("a.service", CLD_EXITED, 1);
    assert_int_equal(u->backoff_until, fake.now + 30 * S);
    fake_advance(31 * S);
    assert_state("a.service", STATE_RUNNING);
    fake_advance(30 * S);
    assert_false(u->start_limited);
    assert_int_equal(u->backoff_step, 0);
}

static void test_person_cuts_backoff_short(void **state _unused_) {
    service("Restart=always\nRestartSec=60\n");
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 1);
    assert_state("a.service", STATE_BACKOFF);
    start("a.service");
    assert_state("a.service", STATE_RUNNING);
    fake_advance(61 * S);
    assert_int_equal(fake.mains, 2);
}

static void test_stop_in_backoff(void **state _unused_) {
    service("Restart=always\n");
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 1);
    stop("a.service");
    assert_state("a.service", STATE_INACTIVE);
    assert_result("a.service", RESULT_EXIT_CODE);
    assert_false(fake.cleanup_kept);
    fake_advance(10 * S);
    assert_state("a.service", STATE_INACTIVE);
}

static void test_stop_while_cleaning_up_for_a_restart(void **state _unused_) {
    service("Restart=always\n");
    start("a.service");
    fake.cleanup_waits = true;
    fake_exits("a.service", CLD_EXITED, 1);
    assert_state("a.service", STATE_STOPPING);
    assert_true(fake.cleanup_kept);
    stop("a.service");
    fake_cleaned("a.service");
    assert_false(fake.cleanup_kept); /* what was kept for the restart goes now */
    assert_int_equal(fake.cleanups, 2);
    fake_cleaned("a.service");
    assert_state("a.service", STATE_FAILED);
    assert_non_null(strstr(fake.last_job, "a.service done"));
}

static void test_start_that_fails_tells_its_caller_and_goes_on(void **state _unused_) {
    service("Type=notify\nRestart=always\n");
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 1);
    assert_non_null(strstr(fake.last_job, "a.service failed"));
    assert_int_equal(fake.jobs_told, 1);
    assert_state("a.service", STATE_BACKOFF);
    fake_advance(S);
    fake_event("a.service", EVENT_READY);
    assert_state("a.service", STATE_RUNNING);
    assert_null(fake_unit("a.service")->job);
    assert_int_equal(fake.jobs_told, 1);
}

static void test_prevent_exit_status(void **state _unused_) {
    service("Restart=always\nRestartPreventExitStatus=23\n");
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 23);
    assert_state("a.service", STATE_FAILED);
}

static void test_killed_by_signal(void **state _unused_) {
    service("Restart=on-abort\n");
    start("a.service");
    fake_exits("a.service", CLD_DUMPED, SIGSEGV);
    assert_state("a.service", STATE_BACKOFF);
    assert_result("a.service", RESULT_CORE_DUMP);
}

static void test_runtime_max(void **state _unused_) {
    service("RuntimeMaxSec=10\nExecStop=/bin/stop\n");
    start("a.service");
    fake_advance(9 * S);
    assert_state("a.service", STATE_RUNNING);
    fake_advance(2 * S);
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_TIMEOUT);
    assert_string_equal(fake.last_hook, "/bin/stop");
}

static void test_watchdog(void **state _unused_) {
    service("Type=notify\nWatchdogSec=2\nTimeoutStopSec=5\n");
    start("a.service");
    fake_advance(30 * S);
    assert_state("a.service", STATE_STARTING); /* it counts from READY=1 */
    fake_event("a.service", EVENT_READY);
    for (int i = 0; i < 5; i++) {
        fake_advance(1900 * MS);
        unit_watchdog_ping(fake_unit("a.service"));
    }
    assert_state("a.service", STATE_RUNNING);
    fake.ignore_term = true;
    fake_advance(2100 * MS);
    assert_state("a.service", STATE_STOPPING);
    assert_int_equal(fake_unit("a.service")->step, STEP_STOP_WATCHDOG);
    assert_string_equal(fake_signals("a.service"), "*ABRT");
    fake_advance(5 * S);
    assert_string_equal(fake_signals("a.service"), "*ABRT *KILL");
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_WATCHDOG);
}

static void test_watchdog_set_by_the_program(void **state _unused_) {
    service("Restart=on-watchdog\n");
    start("a.service");
    unit_watchdog_set(fake_unit("a.service"), 3 * S);
    fake_advance(2 * S);
    assert_state("a.service", STATE_RUNNING);
    fake_advance(1050 * MS);
    assert_state("a.service", STATE_BACKOFF);
    assert_result("a.service", RESULT_WATCHDOG);
}

/* ---- out of memory ---- */

static void test_main_killed_for_memory(void **state _unused_) {
    service("Restart=on-failure\n");
    start("a.service");
    fake_oom("a.service", 1);
    fake_exits("a.service", CLD_KILLED, SIGKILL); /* no event came before */
    assert_state("a.service", STATE_BACKOFF);
    assert_result("a.service", RESULT_OOM_KILL);
    assert_int_equal(fake_unit("a.service")->oom_kills, 1);
    fake_advance(S);
    assert_state("a.service", STATE_RUNNING);
    /* SIGKILL without the counter rising is a signal. */
    fake_exits("a.service", CLD_KILLED, SIGKILL);
    assert_result("a.service", RESULT_SIGNAL);
}

static void test_oom_event_before_the_exit(void **state _unused_) {
    service("OOMPolicy=continue\n");
    start("a.service");
    fake_oom("a.service", 1);
    assert_true(unit_check_oom(fake_unit("a.service")));
    fake_event("a.service", EVENT_OOM);
    assert_state("a.service", STATE_RUNNING);
    fake_exits("a.service", CLD_KILLED, SIGKILL);
    assert_result("a.service", RESULT_OOM_KILL);
}

/* Gigabytes are given back before the process is seen to end. */
static void test_killed_for_memory_and_long_in_dying(void **state _unused_) {
    service("OOMPolicy=continue\n");
    start("a.service");
    fake_oom("a.service", 1);
    assert_true(unit_check_oom(fake_unit("a.service")));
    fake_event("a.service", EVENT_OOM);
    fake_advance(5 * S);
    fake_exits("a.service", CLD_KILLED, SIGKILL);
    assert_result("a.service", RESULT_OOM_KILL);
}

static void test_worker_killed_and_main_gives_up(void **state _unused_) {
    service("OOMPolicy=continue\n");
    start("a.service");
    fake_oom("a.service", 1);
    fake_exits("a.service", CLD_EXITED, 1);
    assert_result("a.service", RESULT_OOM_KILL);
}

static void test_old_oom_is_no_reason(void **state _unused_) {
    service("OOMPolicy=continue\n");
    start("a.service");
    fake_oom("a.service", 1);
    assert_true(unit_check_oom(fake_unit("a.service")));
    fake_event("a.service", EVENT_OOM);
    fake_advance(60 * S);
    fake_exits("a.service", CLD_EXITED, 1);
    assert_result("a.service", RESULT_EXIT_CODE);
}

static void test_oom_policy_stop(void **state _unused_) {
    service("OOMPolicy=stop\nExecStop=/bin/stop\n");
    start("a.service");
    fake_set_children("a.service", 3, false);
    fake_event("a.service", EVENT_OOM);
    assert_string_equal(fake.last_hook, "/bin/stop");
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_OOM_KILL);
    assert_string_equal(fake_signals("a.service"), "*TERM");
}

static void test_oom_policy_kill(void **state _unused_) {
    service("OOMPolicy=kill\nExecStop=/bin/stop\n");
    start("a.service");
    fake_event("a.service", EVENT_OOM);
    assert_string_equal(fake.last_hook, "");
    assert_result("a.service", RESULT_OOM_KILL);
    assert_string_equal(fake_signals("a.service"), "*KILL");
}

/* ---- stopping ---- */

static void test_stop(void **state _unused_) {
    service("Restart=always\n");
    start("a.service");
    stop("a.service");
    assert_state("a.service", STATE_INACTIVE);
    assert_result("a.service", RESULT_SUCCESS);
    assert_string_equal(fake_signals("a.service"), "*TERM");
    assert_true(fake.flushes > 0); /* the wish was on disk before the signal was out */
}

static void test_stop_escalates(void **state _unused_) {
    service("TimeoutStopSec=7\n");
    start("a.service");
    fake.ignore_term = true;
    stop("a.service");
    fake_advance(6 * S);
    assert_state("a.service", STATE_STOPPING);
    assert_string_equal(fake_signals("a.service"), "*TERM");
    fake_advance(2 * S);
    assert_string_equal(fake_signals("a.service"), "*TERM *KILL");
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_TIMEOUT);
}

static void test_stop_timeout_0_is_no_time_and_not_for_ever(void **state _unused_) {
    fake_write("a.container", "[Container]\nImage=x\nStopTimeout=0\n");
    fake_load();
    start("a.container");
    fake.ignore_term = true;
    stop("a.container");
    fake_advance(1 * S);
    assert_string_equal(fake_signals("a.container"), "TERM *KILL");
    assert_state("a.container", STATE_FAILED);
}

static void test_nothing_dies_and_it_still_ends(void **state _unused_) {
    service("TimeoutStopSec=7\nExecStop=/bin/stop\nExecStopPost=/bin/post\n");
    start("a.service");
    fake.ignore_term = fake.ignore_kill = true;
    fake.auto_hooks = false;
    stop("a.service");
    fake_advance(10 * 60 * S);
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_TIMEOUT);
    /* And there is never a second one. */
    fake_set_children("a.service", 1, true);
    start("a.service");
    fake_advance(10 * S);
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_RESOURCES);
    assert_int_equal(fake.mains, 1);
    assert_int_equal(fake.prepares, 1);
}

static void test_cleanup_that_never_ends(void **state _unused_) {
    service("");
    start("a.service");
    fake.cleanup_waits = true;
    stop("a.service");
    assert_state("a.service", STATE_STOPPING);
    fake_advance(61 * S);
    assert_state("a.service", STATE_INACTIVE);
}

static void test_stop_signal_and_its_exit_code(void **state _unused_) {
    service("KillSignal=SIGQUIT\n");
    start("a.service");
    stop("a.service");
    assert_string_equal(fake_signals("a.service"), "*QUIT");
    assert_result("a.service", RESULT_SUCCESS); /* it died of what it was told to die of */

    fake.ignore_term = true;
    start("a.service");
    stop("a.service");
    fake_exits("a.service", CLD_EXITED, 128 + SIGQUIT);
    assert_result("a.service", RESULT_SUCCESS);
    /* Without having been asked it is a failure. */
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 128 + SIGTERM);
    assert_result("a.service", RESULT_EXIT_CODE);
}

static void test_signals_of_a_stop(void **state _unused_) {
    service("FinalKillSignal=SIGQUIT\nSendSIGHUP=yes\nTimeoutStopSec=5\n");
    start("a.service");
    fake.ignore_term = true;
    stop("a.service");
    assert_string_equal(fake_signals("a.service"), "*TERM *HUP");
    fake_advance(6 * S);
    assert_string_equal(fake_signals("a.service"), "*TERM *HUP *QUIT");
}

static void test_restart_may_have_a_signal_of_its_own(void **state _unused_) {
    service("RestartKillSignal=SIGUSR2\n");
    start("a.service");
    assert_return_code(fake_job("a.service", JOB_RESTART), 0);
    assert_string_equal(fake_signals("a.service"), "*USR2");
    assert_state("a.service", STATE_RUNNING);
    stop("a.service");
    assert_string_equal(fake_signals("a.service"), "*USR2 *TERM");
}

static void test_watchdog_has_its_signal_and_time(void **state _unused_) {
    service("WatchdogSec=10\nWatchdogSignal=SIGQUIT\nTimeoutAbortSec=3\n");
    start("a.service");
    fake.ignore_term = true;
    fake_advance(11 * S);
    assert_string_equal(fake_signals("a.service"), "*QUIT");
    fake_advance(4 * S);
    assert_string_equal(fake_signals("a.service"), "*QUIT *KILL");
    assert_result("a.service", RESULT_WATCHDOG);
}

static void test_kill_mode_mixed(void **state _unused_) {
    service("KillMode=mixed\n");
    start("a.service");
    fake_set_children("a.service", 2, true);
    stop("a.service");
    /* The signal to main alone, and SIGKILL to the rest as soon as it has gone. */
    assert_string_equal(fake_signals("a.service"), "TERM *KILL");
    assert_state("a.service", STATE_INACTIVE);
}

static void test_kill_mode_control_group(void **state _unused_) {
    service("TimeoutStopSec=5\n");
    start("a.service");
    fake_set_children("a.service", 2, true);
    stop("a.service");
    assert_state("a.service", STATE_STOPPING);
    assert_int_equal(fake_unit("a.service")->step, STEP_FINAL_SIGTERM);
    fake_advance(6 * S);
    assert_string_equal(fake_signals("a.service"), "*TERM *TERM *KILL");
    assert_result("a.service", RESULT_TIMEOUT);
}

static void test_kill_mode_process(void **state _unused_) {
    service("KillMode=process\n");
    start("a.service");
    fake_set_children("a.service", 2, true);
    stop("a.service");
    assert_string_equal(fake_signals("a.service"), "TERM");
    assert_state("a.service", STATE_INACTIVE);
    assert_true(fake_group_populated("a.service"));
}

static void test_kill_mode_none(void **state _unused_) {
    service("KillMode=none\nExecStop=/bin/stop\n");
    start("a.service");
    stop("a.service");
    assert_string_equal(fake_signals("a.service"), "");
    assert_state("a.service", STATE_INACTIVE);
}

static void test_exec_stop_times_out(void **state _unused_) {
    service("TimeoutStopSec=5\nExecStop=/bin/stop\n");
    start("a.service");
    fake.auto_hooks = false;
    stop("a.service");
    assert_state("a.service", STATE_STOPPING);
    fake_advance(6 * S);
    assert_state("a.service", STATE_FAILED);
    assert_result("a.service", RESULT_TIMEOUT);
}

static void test_stop_post_sees_the_result(void **state _unused_) {
    service("ExecStopPost=/bin/post\nRestart=on-failure\n");
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 42);
    assert_string_equal(fake.last_hook, "/bin/post");
    assert_int_equal(fake.hook_result, RESULT_EXIT_CODE);
    assert_int_equal(fake.hook_code, CLD_EXITED);
    assert_int_equal(fake.hook_status, 42);
    assert_state("a.service", STATE_BACKOFF);
}

static void test_stop_while_starting(void **state _unused_) {
    service("Type=notify\nExecStop=/bin/stop\nExecStopPost=/bin/post\nRestart=always\n");
    start("a.service");
    stop("a.service");
    assert_string_equal(fake.last_hook, "/bin/post");
    assert_int_equal(fake.hooks, 1);
    assert_state("a.service", STATE_INACTIVE);
}

static void test_stop_before_the_launch_is_known(void **state _unused_) {
    fake.auto_start = false;
    service("Type=exec\n");
    start("a.service");
    stop("a.service");
    assert_state("a.service", STATE_INACTIVE);
    assert_null(fake_unit("a.service")->main);
}

static void test_stop_while_preparing(void **state _unused_) {
    fake.prepare = FAKE_PREPARE_WAITS;
    service("");
    start("a.service");
    stop("a.service");
    assert_state("a.service", STATE_INACTIVE);
    fake_prepared("a.service"); /* too late */
    assert_state("a.service", STATE_INACTIVE);
}

static void test_stopping_by_notify(void **state _unused_) {
    service("Type=notify\nRestart=always\nTimeoutStopSec=5\n");
    start("a.service");
    fake_event("a.service", EVENT_READY);
    fake.ignore_term = true;
    fake_event("a.service", EVENT_STOPPING);
    assert_state("a.service", STATE_STOPPING);
    assert_string_equal(fake_signals("a.service"), "");
    fake_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_BACKOFF); /* it chose to: Restart= decides */
}

/* ---- reloading ---- */

static void test_reload(void **state _unused_) {
    fake.auto_hooks = false;
    service("ExecReload=/bin/reload\n");
    start("a.service");
    assert_return_code(fake_job("a.service", JOB_RELOAD), 0);
    assert_state("a.service", STATE_RELOADING);
    assert_string_equal(fake.last_hook, "/bin/reload");
    fake_hook_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_RUNNING);
    assert_string_equal(fake.last_job, "a.service done");
}

static void test_reload_that_fails_leaves_it_running(void **state _unused_) {
    fake.auto_hooks = false;
    service("ExecReload=/bin/reload\n");
    start("a.service");
    assert_return_code(fake_job("a.service", JOB_RELOAD), 0);
    fake_hook_exits("a.service", CLD_EXITED, 1);
    assert_state("a.service", STATE_RUNNING);
    assert_non_null(strstr(fake.last_job, "failed"));
    assert_int_equal(fake_unit("a.service")->pending_result, RESULT_SUCCESS);
    stop("a.service");
    assert_result("a.service", RESULT_SUCCESS);
}

static void test_reload_times_out(void **state _unused_) {
    fake.auto_hooks = false;
    service("ExecReload=/bin/reload\nTimeoutStartSec=5\n");
    start("a.service");
    assert_return_code(fake_job("a.service", JOB_RELOAD), 0);
    fake_advance(6 * S);
    assert_state("a.service", STATE_RUNNING);
    assert_non_null(strstr(fake.last_job, "failed"));
}

static void test_reload_by_signal(void **state _unused_) {
    fake_write("a.container", "[Container]\nImage=x\nReloadSignal=SIGUSR1\n");
    fake_load();
    start("a.container");
    fake.ignore_term = true;
    assert_return_code(fake_job("a.container", JOB_RELOAD), 0);
    assert_string_equal(fake_signals("a.container"), "USR1");
    assert_state("a.container", STATE_RUNNING);
    assert_non_null(strstr(fake.last_job, "done"));
}

/* The READY=1 that counts is the one behind RELOADING=1. */
static void test_notify_reload_waits_for_the_programs_word(void **state _unused_) {
    service("Type=notify-reload\nTimeoutStartSec=5\n");
    start("a.service");
    fake_event("a.service", EVENT_READY);
    assert_state("a.service", STATE_RUNNING);
    fake.ignore_term = true;
    assert_return_code(fake_job("a.service", JOB_RELOAD), 0);
    assert_string_equal(fake_signals("a.service"), "HUP");
    fake_event("a.service", EVENT_READY);
    assert_state("a.service", STATE_RELOADING);
    fake_event("a.service", EVENT_RELOADING);
    assert_state("a.service", STATE_RELOADING);
    fake_event("a.service", EVENT_READY);
    assert_state("a.service", STATE_RUNNING);
    assert_non_null(strstr(fake.last_job, "done"));

    assert_return_code(fake_job("a.service", JOB_RELOAD), 0);
    fake_event("a.service", EVENT_RELOADING);
    fake_advance(6 * S);
    assert_state("a.service", STATE_RUNNING); /* a reload that fails leaves it as it was */
    assert_non_null(strstr(fake.last_job, "failed"));
}

static void test_reload_without_a_way_to(void **state _unused_) {
    service("");
    start("a.service");
    assert_int_equal(fake_job("a.service", JOB_RELOAD), -EINVAL);
    assert_non_null(strstr(fake.last_job, "ExecReload="));
}

static void test_end_while_reloading(void **state _unused_) {
    fake.auto_hooks = false;
    service("ExecReload=/bin/reload\nRestart=on-failure\n");
    start("a.service");
    assert_return_code(fake_job("a.service", JOB_RELOAD), 0);
    fake_exits("a.service", CLD_EXITED, 1);
    assert_state("a.service", STATE_RELOADING); /* the hook is still at it */
    fake_hook_exits("a.service", CLD_EXITED, 0);
    assert_state("a.service", STATE_BACKOFF);
    assert_result("a.service", RESULT_EXIT_CODE);
}

static void test_reloading_by_notify(void **state _unused_) {
    service("Type=notify\n");
    start("a.service");
    fake_event("a.service", EVENT_READY);
    fake_event("a.service", EVENT_RELOADING);
    assert_state("a.service", STATE_RELOADING);
    fake_event("a.service", EVENT_READY);
    assert_state("a.service", STATE_RUNNING);
}

/* ---- other kinds ---- */

static void test_volume_and_target(void **state _unused_) {
    fake_write("data.volume", "[Volume]\n");
    fake_write("all.target", "[Unit]\nDescription=All\n");
    fake_load();
    start("data.volume");
    assert_state("data.volume", STATE_RUNNING);
    start("all.target");
    assert_state("all.target", STATE_RUNNING);
    stop("data.volume");
    assert_state("data.volume", STATE_INACTIVE);
    fake.prepare = FAKE_PREPARE_FAILS;
    fake.prepare_errno = EROFS;
    start("data.volume");
    assert_state("data.volume", STATE_FAILED);
    assert_result("data.volume", RESULT_RESOURCES);
}

static void test_nothing_is_armed_when_idle(void **state _unused_) {
    service("Type=exec\nRestart=always\n");
    start("a.service");
    for (int t = 0; t < _TIMER_COUNT; t++)
        assert_false(unit_timer_is_set(fake_unit("a.service"), t));
    stop("a.service");
    for (int t = 0; t < _TIMER_COUNT; t++)
        assert_false(unit_timer_is_set(fake_unit("a.service"), t));
    assert_int_equal(fake.m.jobs->count, 0);
    assert_int_equal(fake.m.jobs->launching, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_table_is_complete),
        TEST(test_simple_is_running_at_once),
        TEST(test_exec_waits_for_execve),
        TEST(test_notify_waits_for_ready),
        TEST(test_ready_before_the_launchers_report),
        TEST(test_notify_that_exits_before_ready),
        TEST(test_oneshot),
        TEST(test_oneshot_that_remains),
        TEST(test_oneshot_that_fails),
        TEST(test_failure_that_is_ignored),
        TEST(test_hooks_in_order),
        TEST(test_start_pre_that_fails),
        TEST(test_start_pre_whose_failure_is_ignored),
        TEST(test_condition_skips),
        TEST(test_exec_condition),
        TEST(test_conditions_with_trigger),
        TEST(test_each_kind_of_condition),
        TEST(test_assert_fails_the_job),
        TEST(test_preparing_fails),
        TEST(test_preparing_is_tried_again),
        TEST(test_preparing_times_out),
        TEST(test_start_times_out),
        TEST(test_extend_timeout),
        TEST(test_extend_never_shortens),
        TEST(test_launch_fails),
        TEST(test_the_launcher_of_a_hook_dies),
        TEST(test_a_hook_that_launchers_die_of),
        TEST(test_a_lost_hook_is_run_again_by_the_next_davitd),
        TEST(test_a_lost_hook_is_not_run_after_a_stop),
        TEST(test_exec_fails),
        TEST(test_spec_too_large),
        TEST(test_clean_exit),
        TEST(test_restart_on_failure),
        TEST(test_backoff_grows_and_starts_anew),
        TEST(test_counter_starts_anew_with_a_persons_start),
        TEST(test_start_limit),
        TEST(test_keep_trying),
        TEST(test_person_cuts_backoff_short),
        TEST(test_stop_in_backoff),
        TEST(test_stop_while_cleaning_up_for_a_restart),
        TEST(test_start_that_fails_tells_its_caller_and_goes_on),
        TEST(test_prevent_exit_status),
        TEST(test_killed_by_signal),
        TEST(test_runtime_max),
        TEST(test_watchdog),
        TEST(test_watchdog_set_by_the_program),
        TEST(test_main_killed_for_memory),
        TEST(test_oom_event_before_the_exit),
        TEST(test_killed_for_memory_and_long_in_dying),
        TEST(test_worker_killed_and_main_gives_up),
        TEST(test_old_oom_is_no_reason),
        TEST(test_oom_policy_stop),
        TEST(test_oom_policy_kill),
        TEST(test_stop),
        TEST(test_stop_escalates),
        TEST(test_stop_timeout_0_is_no_time_and_not_for_ever),
        TEST(test_nothing_dies_and_it_still_ends),
        TEST(test_cleanup_that_never_ends),
        TEST(test_stop_signal_and_its_exit_code),
        TEST(test_signals_of_a_stop),
        TEST(test_restart_may_have_a_signal_of_its_own),
        TEST(test_watchdog_has_its_signal_and_time),
        TEST(test_kill_mode_mixed),
        TEST(test_kill_mode_control_group),
        TEST(test_kill_mode_process),
        TEST(test_kill_mode_none),
        TEST(test_exec_stop_times_out),
        TEST(test_stop_post_sees_the_result),
        TEST(test_stop_while_starting),
        TEST(test_stop_before_the_launch_is_known),
        TEST(test_stop_while_preparing),
        TEST(test_stopping_by_notify),
        TEST(test_reload),
        TEST(test_reload_that_fails_leaves_it_running),
        TEST(test_reload_times_out),
        TEST(test_reload_by_signal),
        TEST(test_notify_reload_waits_for_the_programs_word),
        TEST(test_reload_without_a_way_to),
        TEST(test_end_while_reloading),
        TEST(test_reloading_by_notify),
        TEST(test_volume_and_target),
        TEST(test_nothing_is_armed_when_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
