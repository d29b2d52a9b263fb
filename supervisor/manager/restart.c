/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Restart or not, and when. Rules: systemd.service(5), Restart= and RestartSteps=. No clock, no random
 * numbers, no state. */
#include "manager/restart.h"

#include <signal.h>
#include <sys/wait.h>

/* Signals whose default action ends a daemon in good order. A oneshot is not a daemon: for it they are
 * failures. */
static bool signal_is_clean(int number) {
    return number == SIGHUP || number == SIGINT || number == SIGTERM || number == SIGPIPE;
}

static bool exit_set_matches(const struct exit_set *s, int code, int status) {
    if (code == CLD_EXITED)
        return exit_set_has_status(s, status);
    if (code == CLD_KILLED || code == CLD_DUMPED)
        return exit_set_has_signal(s, status);
    return false;
}

static enum unit_result classify_exit(const struct service_section *s, int code, int status, bool daemon) {
    bool clean = exit_set_matches(&s->success, code, status);

    switch (code) {
    case CLD_EXITED:
        return clean || status == 0 ? RESULT_SUCCESS : RESULT_EXIT_CODE;
    case CLD_KILLED:
        return clean || (daemon && signal_is_clean(status)) ? RESULT_SUCCESS : RESULT_SIGNAL;
    case CLD_DUMPED:
        return clean ? RESULT_SUCCESS : RESULT_CORE_DUMP;
    default:
        return RESULT_PROTOCOL;
    }
}

enum unit_result result_from_exit(const struct service_section *s, int code, int status) {
    return classify_exit(s, code, status, s->type != SERVICE_ONESHOT);
}

enum unit_result result_from_control_exit(const struct service_section *s, int code, int status) {
    return classify_exit(s, code, status, false);
}

/* One line for each value of Restart=: which results start the unit again. RESULT_EXEC_CONDITION and
 * RESULT_START_LIMIT_HIT never do, see restart_decide(). */
#define ALL_RESULTS ((1u << _RESULT_COUNT) - 1)
#define ONE(r) (1u << (r))
static const struct {
    unsigned results;
    const char *yes, *no;
} modes[] = {
    [RESTART_NO] = {0, NULL, "Restart=no"},
    [RESTART_ON_SUCCESS] = {ONE(RESULT_SUCCESS), "Restart=on-success and it ended well",
        "Restart=on-success and it failed"},
    [RESTART_ON_FAILURE] = {ALL_RESULTS & ~ONE(RESULT_SUCCESS), "Restart=on-failure and it failed",
        "Restart=on-failure and it ended well"},
    [RESTART_ON_ABNORMAL] = {ALL_RESULTS & ~ONE(RESULT_SUCCESS) & ~ONE(RESULT_EXIT_CODE),
        "Restart=on-abnormal and it did not exit by itself", "Restart=on-abnormal and it exited by itself"},
    [RESTART_ON_ABORT] = {ONE(RESULT_SIGNAL) | ONE(RESULT_CORE_DUMP),
        "Restart=on-abort and a signal ended it", "Restart=on-abort and no signal ended it"},
    [RESTART_ON_WATCHDOG] = {ONE(RESULT_WATCHDOG), "Restart=on-watchdog and the watchdog ended it",
        "Restart=on-watchdog and the watchdog did not end it"},
    [RESTART_ALWAYS] = {ALL_RESULTS, "Restart=always", NULL},
};

bool restart_decide(
    const struct service_section *s, const struct restart_input *in, const char **ret_reason) {
    bool restart;

    if (in->stop_requested) {
        *ret_reason = "stopped on request";
        return false;
    }
    if (in->result == RESULT_EXEC_CONDITION || in->result == RESULT_START_LIMIT_HIT) {
        *ret_reason = in->result == RESULT_EXEC_CONDITION ? "its condition does not hold" : "start limit hit";
        return false;
    }
    if (in->main_exited && exit_set_matches(&s->restart_prevent, in->code, in->status)) {
        *ret_reason = "RestartPreventExitStatus= lists its exit status";
        return false;
    }
    if (in->main_exited && exit_set_matches(&s->restart_force, in->code, in->status)) {
        /* A oneshot that succeeded has done its work; restarting it would be an endless loop. */
        if (in->was_oneshot && in->result == RESULT_SUCCESS) {
            *ret_reason = "RestartForceExitStatus= lists its exit status, but it is a oneshot that succeeded";
            return false;
        }
        *ret_reason = "RestartForceExitStatus= lists its exit status";
        return true;
    }
    if (in->was_oneshot && in->result == RESULT_SUCCESS) {
        *ret_reason = "a oneshot that succeeded";
        return false;
    }
    restart = modes[s->restart].results & ONE(in->result);
    *ret_reason = restart ? modes[s->restart].yes : modes[s->restart].no;
    return restart;
}

static double power(double x, unsigned n) {
    double result = 1;

    while (n > 0) {
        if (n & 1)
            result *= x;
        x *= x;
        n >>= 1;
    }
    return result;
}

/* The n-th root of x >= 1, by halving. Once a restart, and libm stays out of davitd's memory. */
static double root(double x, unsigned n) {
    double low = 1, high = x;

    for (int i = 0; i < 100; i++) {
        double middle = (low + high) / 2;

        if (power(middle, n) < x)
            low = middle;
        else
            high = middle;
    }
    return high;
}

usec_t restart_delay(const struct service_section *s, unsigned n) {
    usec_t first = s->restart_sec, last = s->restart_max_delay;
    double delay;

    if (s->restart_steps == 0 || last == USEC_INFINITY)
        return first;
    if (last <= first)
        return last; /* RestartMaxDelaySec= is a ceiling for RestartSec= as well */
    if (n <= 1)
        return first;
    if (n > s->restart_steps)
        return last;
    /* Equal factors from RestartSec= to RestartMaxDelaySec=. From 0 there is no factor, so 1 µs stands for
     * it. */
    delay = (double)MAX(first, 1ULL) *
            power(root((double)last / (double)MAX(first, 1ULL), s->restart_steps), n - 1);
    return delay >= (double)last ? last : (usec_t)(delay + 0.5);
}

usec_t restart_jitter(const struct service_section *s, usec_t delay, uint64_t random) {
    if (s->restart_jitter == 0 || s->restart_jitter == USEC_INFINITY)
        return delay;
    return usec_add(delay, random % (s->restart_jitter + 1));
}
