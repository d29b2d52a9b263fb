/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-manager.c; without: cgroup */
/* wrap: sd_event_add_time */
/* What the end of one unit means for all, times of jobs, and endings that come later. */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "clock-of-test.h"
#include "fake-manager.h"
#include "manager/rooms.h"

#define S USEC_PER_SEC

static void service(const char *name, const char *unit_section, const char *service_section) {
    _cleanup_free_ char *text =
        strf("[Unit]\n%s\n[Service]\nType=exec\nExecStart=/bin/main\n%s\n", unit_section, service_section);

    fake_write(name, text);
}

/* davit-init was asked for this ending, once, with that status. */
static void assert_asked(const char *word, int status, int line) {
    _cleanup_free_ char *wanted = strf("X_DAVIT_END=%s\n", word), *code = strf("EXIT_STATUS=%d\n", status);
    const char *at = strstr(fake.notified, "X_DAVIT_END=");

    if (!at || strncmp(at, wanted, strlen(wanted)) != 0 || !strstr(at, code) ||
        strstr(at + 1, "X_DAVIT_END="))
        fail_msg(
            "line %d: wanted %s, status %d; davit-init was told:\n%s", line, word, status, fake.notified);
    fake.notified[0] = '\0';
}
#define ASKED(word, status) assert_asked((word), (status), __LINE__)
#define NOT_ASKED() assert_null(strstr(fake.notified, "X_DAVIT_END="))

/* ---- the decision ---- */

static void test_each_cause_has_its_key(void **state _unused_) {
    struct unit_section s = {.failure_action_status = -1,
        .success_action_status = -1,
        .reboot_argument = (char *)"a",
        .job_timeout_reboot_argument = (char *)"b"};
    int *const words[_CAUSE_COUNT] = {[CAUSE_FAILED] = &s.failure_action,
        [CAUSE_SUCCEEDED] = &s.success_action,
        [CAUSE_START_LIMIT] = &s.start_limit_action,
        [CAUSE_JOB_TIMEOUT] = &s.job_timeout_action};

    for (int cause = 0; cause < _CAUSE_COUNT; cause++) {
        assert_int_equal(action_decide(&s, cause, 0, 0).ending.kind, ENDING_NONE);
        for (int w = 0; ending_words[w]; w++) {
            *words[cause] = w;
            struct action a = action_decide(&s, cause, 0, 0);
            assert_string_equal(ending_format(a.ending), ending_words[w]);
            assert_string_equal(a.argument, cause == CAUSE_JOB_TIMEOUT ? "b" : "a");
        }
        *words[cause] = 0;
    }
}

static void test_exit_statuses(void **state _unused_) {
    struct unit_section s = {.failure_action_status = -1, .success_action_status = -1};
    static const struct {
        int code, status, wanted;
    } table[] = {{0, 0, 0}, {CLD_EXITED, 3, 3}, {CLD_EXITED, 0, 0}, {CLD_KILLED, SIGKILL, 137},
        {CLD_DUMPED, SIGSEGV, 139}};

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        assert_int_equal(
            action_decide(&s, CAUSE_FAILED, table[i].code, table[i].status).status, table[i].wanted);
        assert_int_equal(
            action_decide(&s, CAUSE_SUCCEEDED, table[i].code, table[i].status).status, table[i].wanted);
    }
    s.failure_action_status = 42;
    s.success_action_status = 0;
    assert_int_equal(action_decide(&s, CAUSE_FAILED, CLD_EXITED, 3).status, 42);
    assert_int_equal(action_decide(&s, CAUSE_SUCCEEDED, CLD_EXITED, 3).status, 0);
}

/* ---- units ---- */

static void test_failure_action(void **state _unused_) {
    service("db.service", "", "");
    service("web.service", "FailureAction=reboot\nRebootArgument=recovery", "");
    fake_load();
    start("db.service");
    start("web.service");
    fake_exits("web.service", CLD_EXITED, 1);
    assert_non_null(strstr(fake.notified, "X_DAVIT_END_ARGUMENT=recovery\n"));
    ASKED("reboot", 0);
    /* An orderly end stops the others at once, and nothing starts any more. */
    assert_int_equal(fake.m.phase, PHASE_ENDED);
    assert_state("db.service", STATE_INACTIVE);
    assert_int_equal(fake_job("db.service", JOB_START), -ESHUTDOWN);
}

static void test_failure_action_waits_for_the_last_restart(void **state _unused_) {
    service("web.service", "FailureAction=exit\nStartLimitBurst=2\nStartLimitIntervalSec=60",
        "Restart=on-failure\nRestartSec=1");
    fake_load();
    start("web.service");
    fake_exits("web.service", CLD_EXITED, 7);
    NOT_ASKED();
    fake_advance(S);
    fake_exits("web.service", CLD_EXITED, 7);
    NOT_ASKED();
    fake_advance(S);
    fake_exits("web.service", CLD_EXITED, 7);
    fake_advance(S);
    ASKED("exit", 7);
}

static void test_success_action_is_how_a_container_ends(void **state _unused_) {
    service("main.service", "SuccessAction=exit\nFailureAction=exit\nSuccessActionExitStatus=5", "");
    fake_load();
    start("main.service");
    fake_exits("main.service", CLD_EXITED, 0);
    ASKED("exit", 5);
    assert_int_equal(fake.m.exit_status, 5);
}

static void test_exit_after_a_signal(void **state _unused_) {
    service("main.service", "FailureAction=exit", "");
    fake_load();
    start("main.service");
    fake_exits("main.service", CLD_KILLED, SIGKILL);
    ASKED("exit", 137);
}

static void test_forced_action_stops_nothing(void **state _unused_) {
    service("db.service", "", "");
    service("web.service", "FailureAction=reboot-force", "");
    fake_load();
    start("db.service");
    start("web.service");
    fake_exits("web.service", CLD_EXITED, 1);
    ASKED("reboot-force", 0);
    assert_state("db.service", STATE_RUNNING); /* davit-init's affair */
}

static void test_no_action_while_all_is_ending(void **state _unused_) {
    service("web.service", "FailureAction=reboot-immediate\nSuccessAction=poweroff", "TimeoutStopSec=5");
    service("db.service", "SuccessAction=poweroff", "");
    fake_load();
    start("web.service");
    start("db.service");
    fake.ignore_term = true;
    assert_return_code(api_exit(&fake.m, 3, false), 0);
    ASKED("exit", 3);
    fake_advance(200 * S);
    assert_int_equal(fake.m.phase, PHASE_ENDED);
    NOT_ASKED();
}

static void test_start_limit_action(void **state _unused_) {
    service("web.service", "StartLimitAction=poweroff-force\nStartLimitBurst=1\nStartLimitIntervalSec=60",
        "Restart=always\nRestartSec=1");
    fake_load();
    start("web.service");
    fake_exits("web.service", CLD_EXITED, 1);
    fake_advance(S);
    fake_exits("web.service", CLD_EXITED, 1);
    fake_advance(S);
    ASKED("poweroff-force", 0);
}

/* ---- jobs ---- */

static void test_job_timeout_of_what_waits(void **state _unused_) {
    fake_write("db.service", "[Service]\nType=notify\nExecStart=/bin/main\nTimeoutStartSec=infinity\n");
    service("web.service",
        "Requires=db.service\nAfter=db.service\nJobTimeoutSec=10\nJobRunningTimeoutSec=1\n"
        "JobTimeoutAction=soft-reboot-force",
        "");
    fake_load();
    start("web.service");
    assert_state("web.service", STATE_WAITING);
    fake_advance(9 * S);
    NOT_ASKED();
    fake_advance(2 * S);
    assert_non_null(strstr(fake.last_job, "timeout"));
    assert_state("web.service", STATE_INACTIVE);
    ASKED("soft-reboot-force", 0);
}

static void test_job_timeout_counts_from_its_turn(void **state _unused_) {
    fake_write("db.service", "[Service]\nType=notify\nExecStart=/bin/main\nTimeoutStartSec=infinity\n");
    fake_write("web.service", "[Unit]\nAfter=db.service\nRequires=db.service\nJobRunningTimeoutSec=5\n"
                              "[Service]\nType=notify\nExecStart=/bin/main\nTimeoutStartSec=infinity\n");
    fake_load();
    start("web.service");
    fake_advance(60 * S);
    assert_state("web.service", STATE_WAITING);
    fake_event("db.service", EVENT_READY);
    assert_state("web.service", STATE_STARTING);
    fake_advance(6 * S);
    assert_non_null(strstr(fake.last_job, "timeout"));
    /* As with systemd: the job is over, what it has started goes on. */
    assert_state("web.service", STATE_STARTING);
    fake_event("web.service", EVENT_READY);
    assert_state("web.service", STATE_RUNNING);
    NOT_ASKED();
}

static void test_job_in_time_leaves_no_timer(void **state _unused_) {
    service("web.service", "JobTimeoutSec=10\nJobTimeoutAction=reboot", "");
    fake_load();
    start("web.service");
    assert_state("web.service", STATE_RUNNING);
    fake_advance(60 * S);
    NOT_ASKED();
    stop("web.service");
    fake_advance(60 * S);
    NOT_ASKED();
}

/* ---- later ---- */

static struct end_request request(enum ending_kind kind) {
    return (struct end_request){.ending = {.kind = kind}, .status = -1, .reason = "test"};
}

static usec_t stands_at;

static usec_t time_it_stands_at(void) {
    return stands_at;
}

/* So much is left when it is asked for, however long that takes. */
static void end_in(const struct end_request *r, usec_t left) {
    struct error e = {};

    stands_at = now_realtime();
    clock_of_test = (typeof(clock_of_test)){CLOCK_REALTIME, time_it_stands_at};
    assert_return_code(api_end(&fake.m, r, stands_at + left, &e), 0);
    clock_of_test.read = NULL;
}

static void turn_until_asked(void) {
    usec_t end = now_monotonic() + 30 * S;

    while (!strstr(fake.notified, "X_DAVIT_END=") && now_monotonic() < end)
        assert_true(sd_event_run(fake.m.event, 100000) >= 0);
}

static void turn_until_told(const char *text) {
    usec_t end = now_monotonic() + 30 * S;

    while (!startswith(fake.told, text) && now_monotonic() < end)
        assert_true(sd_event_run(fake.m.event, 100000) >= 0);
    assert_non_null(startswith(fake.told, text));
}

static void test_scheduled_end_comes(void **state _unused_) {
    struct end_request r = request(ENDING_HALT);

    fake_load();
    r.message = "tea time";
    r.no_wall = true;
    end_in(&r, S / 2);
    NOT_ASKED();
    turn_until_asked();
    ASKED("halt", 0);
    json_t *none = api_end_scheduled(&fake.m);
    assert_int_equal(json_object_size(none), 0);
    json_decref(none);
}

static void test_who_is_logged_in_is_told(void **state _unused_) {
    struct end_request r = request(ENDING_REBOOT);

    fake_load();
    r.message = "new kernel";
    /* Of what comes in half a second more than a minute: at once, and a minute before. */
    end_in(&r, 60 * S + S / 2);
    assert_int_equal(fake.times_told, 1);
    assert_non_null(strstr(fake.told, "new kernel\r\nThe system goes down for reboot at "));
    fake.told[0] = '\0';
    turn_until_told("new kernel\r\nThe system goes down for reboot at ");
    assert_true(api_end_cancel(&fake.m, false));
    assert_string_equal(fake.told, "The reboot that was scheduled is cancelled");
    assert_int_equal(fake.times_told, 3);
    assert_false(api_end_cancel(&fake.m, false));
    /* When its time has come: first they are told. Somebody who hears nothing is not waited for. */
    for (int hears = 1; hears >= 0; hears--) {
        fake.m.phase = PHASE_RUNNING;
        end_in(&r, S / 2);
        schedule_told(&fake.m); /* of what is to come */
        NOT_ASKED();
        turn_until_told("new kernel\r\nThe system goes down for reboot now!");
        NOT_ASKED();
        if (hears)
            schedule_told(&fake.m);
        else
            turn_until_asked();
        ASKED("reboot", 0);
    }
    assert_int_equal(fake.times_told, 7);
    schedule_told(&fake.m);
    NOT_ASKED();
}

static void test_nobody_can_be_told(void **state _unused_) {
    struct end_request r = request(ENDING_REBOOT);

    fake_load();
    fake.spawn_fails = true;
    end_in(&r, S / 2);
    turn_until_asked();
    ASKED("reboot", 0);
}

static void test_nobody_is_told_with_no_wall(void **state _unused_) {
    struct end_request r = request(ENDING_REBOOT);
    _cleanup_free_ char *text = NULL;

    fake_load();
    r.no_wall = true;
    end_in(&r, 3600 * S);
    assert_return_code(file_read(fake.m.runtime_fd, "scheduled", 4096, &text, NULL), 0);
    assert_non_null(strstr(text, "WARN_WALL=0\n"));
    /* The next davitd keeps to it, and so does who takes it back. */
    schedule_recover(&fake.m);
    assert_true(api_end_cancel(&fake.m, false));
    r.no_wall = false;
    end_in(&r, 3600 * S);
    assert_int_equal(fake.times_told, 1);
    assert_true(api_end_cancel(&fake.m, true));
    assert_int_equal(fake.times_told, 1);
}

static void test_schedule_outlives_davitd(void **state _unused_) {
    struct end_request r = request(ENDING_KEXEC);
    _cleanup_free_ char *text = NULL;

    fake_load();
    r.argument = "x";
    end_in(&r, 3600 * S);
    assert_return_code(file_read(fake.m.runtime_fd, "scheduled", 4096, &text, NULL), 0);
    assert_non_null(strstr(text, "MODE=kexec\n"));

    /* The next davitd finds it, here with a time that has come meanwhile. */
    assert_true(api_end_cancel(&fake.m, false));
    _cleanup_free_ char *past =
        strf("USEC=%llu\nMODE=kexec\nARGUMENT=x\n", (unsigned long long)(now_realtime() - S));
    assert_return_code(file_write_atomic(fake.m.runtime_fd, "scheduled", past, strlen(past), 0644, false), 0);
    schedule_recover(&fake.m);
    turn_until_asked();
    assert_non_null(strstr(fake.notified, "X_DAVIT_END_ARGUMENT=x\n"));
    ASKED("kexec", 0);
    assert_int_equal(file_read(fake.m.runtime_fd, "scheduled", 4096, &text, NULL), -ENOENT);
}

static bool no_timers;

int __real_sd_event_add_time(sd_event *e, sd_event_source **s, clockid_t clock, uint64_t usec,
    uint64_t accuracy, sd_event_time_handler_t callback, void *userdata);
int __wrap_sd_event_add_time(sd_event *e, sd_event_source **s, clockid_t clock, uint64_t usec,
    uint64_t accuracy, sd_event_time_handler_t callback, void *userdata);

int __wrap_sd_event_add_time(sd_event *e, sd_event_source **s, clockid_t clock, uint64_t usec,
    uint64_t accuracy, sd_event_time_handler_t callback, void *userdata) {
    return no_timers ? -ENOMEM : __real_sd_event_add_time(e, s, clock, usec, accuracy, callback, userdata);
}

static void cannot_schedule(const struct end_request *r) {
    struct error e = {};

    no_timers = true;
    int x = api_end(&fake.m, r, now_realtime() + 3600 * S, &e);
    no_timers = false;
    assert_int_equal(x, -ENOMEM);
}

static void test_a_schedule_that_failed_is_not_found_by_the_next_davitd(void **state _unused_) {
    struct end_request r = request(ENDING_HALT), other = request(ENDING_REBOOT);
    _cleanup_free_ char *text = NULL;
    struct error e = {};

    fake_load();
    cannot_schedule(&r);
    assert_int_equal(file_read(fake.m.runtime_fd, "scheduled", 4096, &text, NULL), -ENOENT);
    /* One that was there before stays. */
    assert_return_code(api_end(&fake.m, &r, now_realtime() + 3600 * S, &e), 0);
    cannot_schedule(&other);
    assert_return_code(file_read(fake.m.runtime_fd, "scheduled", 4096, &text, NULL), 0);
    assert_non_null(strstr(text, "MODE=halt\n"));
    assert_true(api_end_cancel(&fake.m, true));
}

static void test_schedule_that_makes_no_sense(void **state _unused_) {
    static const char *const texts[] = {
        "", "USEC=x\nMODE=halt\n", "MODE=halt\n", "USEC=5\n", "USEC=5\nMODE=dance\n"};

    fake_load();
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        assert_return_code(
            file_write_atomic(fake.m.runtime_fd, "scheduled", texts[i], strlen(texts[i]), 0644, false), 0);
        schedule_recover(&fake.m);
        assert_false(api_end_cancel(&fake.m, false));
    }
    schedule_forget(&fake.m);
}

static bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

static void test_nobody_logs_in_before_a_scheduled_end(void **state _unused_) {
    struct end_request r = request(ENDING_POWEROFF);
    _cleanup_free_ char *text = NULL;

    fake_load();
    _cleanup_free_ char *path = path_join(fake.m.paths.runtime, "nologin");
    assert_non_null(path);
    /* A fleet is not the machine: its logins are not our affair. */
    end_in(&r, 60 * S);
    assert_false(exists(path));
    assert_true(api_end_cancel(&fake.m, true));

    fake.m.nologin = path;
    end_in(&r, 4 * 60 * S);
    assert_return_code(file_read(AT_FDCWD, path, 4096, &text, NULL), 0);
    assert_non_null(strstr(text, "going down"));
    /* A later time takes it back, until five minutes are left; so does who cancels. */
    end_in(&r, 3600 * S);
    assert_false(exists(path));
    end_in(&r, 5 * 60 * S + S / 2);
    assert_false(exists(path));
    for (usec_t end = now_monotonic() + 30 * S; !exists(path) && now_monotonic() < end;)
        assert_true(sd_event_run(fake.m.event, 100000) >= 0);
    assert_true(exists(path));
    /* The next davitd goes on with it. */
    schedule_recover(&fake.m);
    assert_true(exists(path));
    assert_true(api_end_cancel(&fake.m, true));
    assert_false(exists(path));

    /* Left by the userspace before a soft-reboot: gone. An administrator's own: stays. */
    assert_return_code(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, false), 0);
    schedule_recover(&fake.m);
    assert_false(exists(path));
    assert_return_code(file_write_atomic(AT_FDCWD, path, "closed\n", 7, 0644, false), 0);
    end_in(&r, 60 * S);
    assert_true(api_end_cancel(&fake.m, true));
    assert_true(exists(path));
    assert_return_code(unlink(path), 0);
    fake.m.nologin = NULL;
}

static void test_one_schedule_at_most(void **state _unused_) {
    struct end_request r = request(ENDING_HALT);
    struct error e = {};

    fake_load();
    end_in(&r, 3600 * S);
    r.ending.kind = ENDING_REBOOT;
    end_in(&r, 7200 * S);
    json_t *o = api_end_scheduled(&fake.m);
    assert_string_equal(json_string_value(json_object_get(o, "action")), "reboot");
    json_decref(o);
    assert_true(api_end_cancel(&fake.m, false));
    assert_false(api_end_cancel(&fake.m, false));
    r.message = "two\nlines";
    assert_int_equal(api_end(&fake.m, &r, 0, &e), -EINVAL);
    r.message = NULL;
    r.argument = "X_DAVIT\nEXIT_STATUS=1"; /* would be words of its own to davit-init */
    assert_int_equal(api_end(&fake.m, &r, 0, &e), -EINVAL);
    NOT_ASKED();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_cause_has_its_key),
        cmocka_unit_test(test_exit_statuses),
        TEST(test_failure_action),
        TEST(test_failure_action_waits_for_the_last_restart),
        TEST(test_success_action_is_how_a_container_ends),
        TEST(test_exit_after_a_signal),
        TEST(test_forced_action_stops_nothing),
        TEST(test_no_action_while_all_is_ending),
        TEST(test_start_limit_action),
        TEST(test_job_timeout_of_what_waits),
        TEST(test_job_timeout_counts_from_its_turn),
        TEST(test_job_in_time_leaves_no_timer),
        TEST(test_scheduled_end_comes),
        TEST(test_who_is_logged_in_is_told),
        TEST(test_nobody_is_told_with_no_wall),
        TEST(test_nobody_can_be_told),
        TEST(test_schedule_outlives_davitd),
        TEST(test_a_schedule_that_failed_is_not_found_by_the_next_davitd),
        TEST(test_schedule_that_makes_no_sense),
        TEST(test_nobody_logs_in_before_a_scheduled_end),
        TEST(test_one_schedule_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
