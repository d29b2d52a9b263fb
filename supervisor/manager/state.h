/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state machine of a unit.
 *
 *   inactive --> waiting --> preparing --> starting --> running --> stopping --> inactive
 *                               |             |           | ^          |
 *                               |             |           | reloading  +------> failed
 *                               +--- failure -+-----------+            |
 *                                                                      +------> backoff --> waiting
 *
 *   waiting    the start job runs; what it must come after is not ready yet, or the start-concurrency
 *              cap holds it
 *   preparing  image, volumes, id range, cgroup, sockets: own time-out and retries, not counted as starting
 *   starting   ExecStartPre=, the program is launched, until it is ready as Type= says, ExecStartPost=
 *   running    ready (targets, volumes and finished RemainAfterExit= units: active without a process)
 *   reloading  running, and ExecReload= or RELOADING=1 is under way
 *   stopping   ExecStop=, signals, the wait for the cgroup to be empty, ExecStopPost=, clean-up
 *   backoff    the program ended and will be started again after the delay
 *   failed     ended, not to be started again by itself; result says why
 *
 * Within starting and stopping a step (enum unit_step) says which part is under way; systemd's substates are
 * made from the two. One function, unit_set_state(), changes a state: it cancels every timer and watch that
 * the new one does not use, marks the unit for saving, tells subscribers, and lets jobs go on. What happens
 * in a state is in one table indexed by (state, event), complete by _Static_assert.
 */
#pragma once

#include <signal.h>

#include "base/macro.h"

enum unit_state {
    STATE_INACTIVE,
    STATE_WAITING,
    STATE_PREPARING,
    STATE_STARTING,
    STATE_RUNNING,
    STATE_RELOADING,
    STATE_STOPPING,
    STATE_BACKOFF,
    STATE_FAILED,
    _STATE_COUNT,
};

enum unit_step {
    STEP_NONE,
    STEP_CONDITION,   /* ExecCondition= */
    STEP_START_PRE,   /* ExecStartPre= */
    STEP_START_MAIN,  /* launched, exec not yet confirmed */
    STEP_START_READY, /* exec confirmed, READY=1 (or the end of a oneshot) awaited */
    STEP_START_POST,  /* ExecStartPost= */
    STEP_STOP,        /* ExecStop= */
    STEP_STOP_SIGTERM,
    STEP_STOP_SIGKILL,
    STEP_STOP_WATCHDOG, /* SIGABRT sent */
    STEP_STOP_POST,     /* ExecStopPost= */
    STEP_FINAL_SIGTERM, /* what StopPost left behind */
    STEP_FINAL_SIGKILL,
    STEP_CLEANUP, /* cgroup, upper layer, FIFO, sockets */
    _STEP_COUNT,
};

enum unit_event {
    EVENT_START, /* a start job may run */
    EVENT_PREPARED,
    EVENT_FAILURE,      /* preparing or launching failed: result in the unit */
    EVENT_LAUNCHED,     /* execve confirmed */
    EVENT_READY,        /* READY=1 */
    EVENT_MAIN_EXIT,    /* the main process ended */
    EVENT_CONTROL_EXIT, /* a hook ended */
    EVENT_EMPTY,        /* the cgroup is empty */
    EVENT_STOP,         /* a stop job runs, or a dependency demands it */
    EVENT_RELOAD,
    EVENT_RELOADING, /* RELOADING=1 from the program */
    EVENT_STOPPING,  /* STOPPING=1 from the program */
    EVENT_TIMEOUT,   /* the state's timer */
    EVENT_WATCHDOG,  /* WatchdogSec= went by without WATCHDOG=1 */
    EVENT_OOM,       /* the kernel killed something in the cgroup */
    EVENT_CLEANED,   /* nothing of the start is left */
    _EVENT_COUNT,
};

enum unit_result {
    RESULT_SUCCESS,
    RESULT_EXIT_CODE,
    RESULT_SIGNAL,
    RESULT_CORE_DUMP,
    RESULT_OOM_KILL,
    RESULT_WATCHDOG,
    RESULT_TIMEOUT,
    RESULT_START_LIMIT_HIT,
    RESULT_RESOURCES, /* could not be prepared or launched */
    RESULT_PROTOCOL,
    RESULT_HEALTH,
    RESULT_EXEC_CONDITION,
    RESULT_DEPENDENCY,
    _RESULT_COUNT,
};

/* The step of errors of fetching an image: see unit_on_prepare_failure(). */
#define PULL_STEP "pull"

const char *unit_state_name(enum unit_state s); /* "running" */
const char *unit_active_name(
    enum unit_state s); /* systemd's ActiveState: active, inactive, activating, ... */
const char *unit_substate_name(enum unit_state s, enum unit_step step);
const char *unit_result_name(enum unit_result r); /* "oom-kill" */
/* Inverse functions for saved state; -EINVAL. */
int unit_state_from_name(const char *s);
int unit_step_from_name(const char *s);
int unit_result_from_name(const char *s);
const char *unit_step_name(enum unit_step s);

/* Instead of CLD_EXITED and its kind: the process is gone, and who reaped it was not davit-init. */
#define EXIT_UNKNOWN (-1)

/* The word for how a process ended, as systemd.exec(5) has it in $EXIT_CODE: of CLD_EXITED, CLD_KILLED,
 * CLD_DUMPED, which are all that the exit feed knows. */
static inline const char *exit_code_word(int code) {
    return code == CLD_EXITED     ? "exited"
           : code == CLD_DUMPED   ? "dumped"
           : code == EXIT_UNKNOWN ? "unknown"
                                  : "killed";
}
