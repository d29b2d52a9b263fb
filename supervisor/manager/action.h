/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FailureAction=, SuccessAction=, StartLimitAction=, JobTimeoutAction=: what the end of one unit means for
 * all (systemd.unit(5)). The decision is a pure function of the unit's settings.
 */
#pragma once

#include "base/ending.h"
#include "unit/unit.h"

enum action_cause {
    CAUSE_FAILED,      /* entered the failed state */
    CAUSE_SUCCEEDED,   /* became inactive after a run that ended well, or was stopped */
    CAUSE_START_LIMIT, /* StartLimitBurst= was reached */
    CAUSE_JOB_TIMEOUT, /* JobTimeoutSec= or JobRunningTimeoutSec= is over */
    _CAUSE_COUNT,
};

struct action {
    struct ending ending; /* NONE: nothing is to be done */
    const char *key;      /* "FailureAction" */
    int status;           /* of ENDING_EXIT */
    const char *argument; /* for reboot(2), NULL = none; the unit's */
};

/* code, status: how the unit's last main process ended; code 0 = there was none. Where the unit does not say
 * with which status davit is to exit it is that process's; 128 + N after a signal, as shells and container
 * managers have it. */
struct action action_decide(const struct unit_section *s, enum action_cause cause, int code, int status);
