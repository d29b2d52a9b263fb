/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Restart or not, and when: pure functions of settings and result, so that they can be tested as tables. */
#pragma once

#include "manager/state.h"
#include "unit/unit.h"

struct restart_input {
    enum unit_result result;
    bool main_exited; /* code and status below are those of a main process */
    int code, status;
    bool stop_requested; /* by a person or a dependency: never restart */
    bool was_oneshot;
};
/* *ret_reason: a static text, "Restart=on-failure and result exit-code". */
bool restart_decide(const struct service_section *s, const struct restart_input *in, const char **ret_reason);
/* Result of a main process's end by systemd's rules (clean signals, SuccessExitStatus=, oneshot). */
enum unit_result result_from_exit(const struct service_section *s, int code, int status);
/* The same for a hook: signals are never clean. */
enum unit_result result_from_control_exit(const struct service_section *s, int code, int status);
/* Delay before restart number n (1 = first), without jitter: systemd's formula for RestartSteps=. */
usec_t restart_delay(const struct service_section *s, unsigned n);
/* delay plus a part of RestartRandomizedDelaySec=. random: any 64 bits. */
usec_t restart_jitter(const struct service_section *s, usec_t delay, uint64_t random);
