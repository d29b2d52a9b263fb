/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Restart or not, and when: the tables of systemd.service(5), written down a second time. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
/* after the four above */
#include <cmocka.h>

#include "manager/core.h"

static void set_status(struct exit_set *s, int status) {
    s->status[status / 32] |= 1u << (status % 32);
}
static void set_signal(struct exit_set *s, int number) {
    s->signals |= 1ULL << (number - 1);
}

/* systemd.service(5), table "Exit causes and the effect of the Restart= settings". Columns as in enum
 * unit_result. */
static const char *const expected[] = {
    /* success exit-code signal core oom watchdog timeout limit resources protocol health condition dependency
     */
    [RESTART_NO] = "n n n n n n n n n n n n n",
    [RESTART_ON_SUCCESS] = "y n n n n n n n n n n n n",
    [RESTART_ON_FAILURE] = "n y y y y y y n y y y n y",
    [RESTART_ON_ABNORMAL] = "n n y y y y y n y y y n y",
    [RESTART_ON_ABORT] = "n n y y n n n n n n n n n",
    [RESTART_ON_WATCHDOG] = "n n n n n y n n n n n n n",
    [RESTART_ALWAYS] = "y y y y y y y n y y y n y",
};

static void test_modes(void **state _unused_) {
    for (int mode = RESTART_NO; mode <= RESTART_ALWAYS; mode++)
        for (int result = 0; result < _RESULT_COUNT; result++) {
            struct service_section s = {.restart = mode};
            struct restart_input in = {.result = result};
            const char *reason = NULL;
            bool wanted = expected[mode][2 * result] == 'y';

            if (restart_decide(&s, &in, &reason) != wanted)
                fail_msg("mode %d, result %s: %s", mode, unit_result_name(result), reason);
            assert_non_null(reason);

            in.stop_requested = true;
            assert_false(restart_decide(&s, &in, &reason));
            assert_non_null(strstr(reason, "request"));
        }
}

static void test_prevent_comes_first(void **state _unused_) {
    struct service_section s = {.restart = RESTART_ALWAYS};
    struct restart_input in = {
        .result = RESULT_EXIT_CODE, .main_exited = true, .code = CLD_EXITED, .status = 7};
    const char *reason;

    assert_true(restart_decide(&s, &in, &reason));
    set_status(&s.restart_prevent, 7);
    set_status(&s.restart_force, 7);
    assert_false(restart_decide(&s, &in, &reason));
    assert_non_null(strstr(reason, "Prevent"));

    /* A status that is not of a main process counts for neither list. */
    in.main_exited = false;
    assert_true(restart_decide(&s, &in, &reason));

    /* A signal with the number of the status is something else. */
    in.main_exited = true;
    in.code = CLD_KILLED;
    in.result = RESULT_SIGNAL;
    assert_true(restart_decide(&s, &in, &reason));
    set_signal(&s.restart_prevent, 7);
    assert_false(restart_decide(&s, &in, &reason));
    in.code = CLD_DUMPED;
    in.result = RESULT_CORE_DUMP;
    assert_false(restart_decide(&s, &in, &reason));
}

static void test_force(void **state _unused_) {
    struct service_section s = {.restart = RESTART_NO};
    struct restart_input in = {
        .result = RESULT_SUCCESS, .main_exited = true, .code = CLD_EXITED, .status = 133};
    const char *reason;

    set_status(&s.restart_force, 133);
    assert_true(restart_decide(&s, &in, &reason));
    in.was_oneshot = true; /* that succeeded: it would go round for ever */
    assert_false(restart_decide(&s, &in, &reason));
    in.result = RESULT_EXIT_CODE;
    assert_true(restart_decide(&s, &in, &reason));
    in.stop_requested = true;
    assert_false(restart_decide(&s, &in, &reason));
}

static void test_oneshot_that_succeeded(void **state _unused_) {
    struct service_section s = {.restart = RESTART_ALWAYS, .type = SERVICE_ONESHOT};
    struct restart_input in = {.result = RESULT_SUCCESS, .was_oneshot = true};
    const char *reason;

    assert_false(restart_decide(&s, &in, &reason));
    in.result = RESULT_EXIT_CODE;
    assert_true(restart_decide(&s, &in, &reason));
}

static void test_results(void **state _unused_) {
    static const struct {
        int code, status;
        enum unit_result daemon, oneshot;
    } table[] = {
        {CLD_EXITED, 0, RESULT_SUCCESS, RESULT_SUCCESS},
        {CLD_EXITED, 1, RESULT_EXIT_CODE, RESULT_EXIT_CODE},
        {CLD_EXITED, 143, RESULT_EXIT_CODE, RESULT_EXIT_CODE},
        {CLD_KILLED, SIGTERM, RESULT_SUCCESS, RESULT_SIGNAL},
        {CLD_KILLED, SIGHUP, RESULT_SUCCESS, RESULT_SIGNAL},
        {CLD_KILLED, SIGINT, RESULT_SUCCESS, RESULT_SIGNAL},
        {CLD_KILLED, SIGPIPE, RESULT_SUCCESS, RESULT_SIGNAL},
        {CLD_KILLED, SIGKILL, RESULT_SIGNAL, RESULT_SIGNAL},
        {CLD_KILLED, SIGUSR1, RESULT_SIGNAL, RESULT_SIGNAL},
        {CLD_DUMPED, SIGSEGV, RESULT_CORE_DUMP, RESULT_CORE_DUMP},
        {CLD_DUMPED, SIGTERM, RESULT_CORE_DUMP, RESULT_CORE_DUMP},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct service_section s = {.type = SERVICE_EXEC};

        assert_int_equal(result_from_exit(&s, table[i].code, table[i].status), table[i].daemon);
        s.type = SERVICE_ONESHOT;
        assert_int_equal(result_from_exit(&s, table[i].code, table[i].status), table[i].oneshot);
        assert_int_equal(result_from_control_exit(&s, table[i].code, table[i].status), table[i].oneshot);
    }
}

static void test_success_exit_status(void **state _unused_) {
    struct service_section s = {.type = SERVICE_ONESHOT};

    set_status(&s.success, 75);
    set_status(&s.success, 255);
    set_signal(&s.success, SIGKILL);
    assert_int_equal(result_from_exit(&s, CLD_EXITED, 75), RESULT_SUCCESS);
    assert_int_equal(result_from_exit(&s, CLD_EXITED, 255), RESULT_SUCCESS);
    assert_int_equal(result_from_exit(&s, CLD_EXITED, 9), RESULT_EXIT_CODE);
    assert_int_equal(result_from_exit(&s, CLD_KILLED, SIGKILL), RESULT_SUCCESS);
    assert_int_equal(result_from_exit(&s, CLD_KILLED, SIGTERM), RESULT_SIGNAL);
}

static void assert_about(usec_t value, double seconds) {
    double difference = (double)value / 1e6 - seconds;

    if (difference < -0.06 || difference > 0.06)
        fail_msg("%llu us is not about %g s", (unsigned long long)value, seconds);
}

static void test_delay_formula(void **state _unused_) {
    static const double want[] = {1, 1.98, 3.91, 7.75, 15.3, 30.3, 60, 60, 60};
    struct service_section s = {
        .restart_sec = USEC_PER_SEC, .restart_max_delay = 60 * USEC_PER_SEC, .restart_steps = 6};

    for (unsigned n = 1; n <= ARRAY_SIZE(want); n++)
        assert_about(restart_delay(&s, n), want[n - 1]);
    assert_about(restart_delay(&s, 0), 1);
    assert_about(restart_delay(&s, 1000000), 60);
    /* Both keys are needed. */
    s.restart_steps = 0;
    assert_about(restart_delay(&s, 5), 1);
    s.restart_steps = 6;
    s.restart_max_delay = USEC_INFINITY;
    assert_about(restart_delay(&s, 5), 1);
    /* A ceiling below RestartSec= lowers it. */
    s.restart_max_delay = USEC_PER_SEC / 2;
    assert_int_equal(restart_delay(&s, 1), USEC_PER_SEC / 2);
    /* From nothing it still grows to the ceiling. */
    s.restart_sec = 0;
    s.restart_max_delay = 60 * USEC_PER_SEC;
    assert_int_equal(restart_delay(&s, 1), 0);
    assert_true(restart_delay(&s, 4) > restart_delay(&s, 3));
    assert_about(restart_delay(&s, 7), 60);
    s.restart_steps = 1;
    assert_about(restart_delay(&s, 2), 60);
}

static void test_delay_grows(void **state _unused_) {
    struct service_section s = {.restart_sec = 100 * USEC_PER_MSEC, .restart_max_delay = 3600 * USEC_PER_SEC};

    for (s.restart_steps = 1; s.restart_steps < 200; s.restart_steps++)
        for (unsigned n = 1; n <= s.restart_steps + 1; n++) {
            assert_true(restart_delay(&s, n) <= restart_delay(&s, n + 1));
            assert_true(restart_delay(&s, n) >= s.restart_sec && restart_delay(&s, n) <= s.restart_max_delay);
        }
}

static void test_jitter(void **state _unused_) {
    struct service_section s = {.restart_jitter = 0};

    assert_int_equal(restart_jitter(&s, 500, UINT64_MAX), 500);
    s.restart_jitter = 100;
    for (uint64_t random = 0; random < 1000; random++) {
        usec_t delay = restart_jitter(&s, 500, random);

        assert_true(delay >= 500 && delay <= 600);
    }
    assert_int_equal(restart_jitter(&s, 500, 100), 600);
    assert_int_equal(restart_jitter(&s, USEC_INFINITY, 7), USEC_INFINITY);
}

static void test_start_limit(void **state _unused_) {
    struct start_limit l = {};
    usec_t now = 1000;

    for (int i = 0; i < 5; i++)
        assert_true(start_limit_allows(&l, 10 * USEC_PER_SEC, 5, now + (usec_t)i));
    assert_false(start_limit_allows(&l, 10 * USEC_PER_SEC, 5, now + 6));
    assert_false(start_limit_allows(&l, 10 * USEC_PER_SEC, 5, now + 10 * USEC_PER_SEC - 1));
    assert_true(start_limit_allows(&l, 10 * USEC_PER_SEC, 5, now + 10 * USEC_PER_SEC));
    /* 0 switches it off. */
    for (int i = 0; i < 100; i++) {
        assert_true(start_limit_allows(&l, 0, 5, now));
        assert_true(start_limit_allows(&l, USEC_PER_SEC, 0, now));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_prevent_comes_first),
        cmocka_unit_test(test_force),
        cmocka_unit_test(test_oneshot_that_succeeded),
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_success_exit_status),
        cmocka_unit_test(test_delay_formula),
        cmocka_unit_test(test_delay_grows),
        cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_start_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
