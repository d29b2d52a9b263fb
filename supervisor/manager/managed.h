/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * struct managed_unit: a unit as the manager runs it. config says what its files want and may be swapped by a
 * reload; everything else is what is so. Only manager/unit_*.c write to it; state changes only through
 * unit_set_state().
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/id128.h"
#include "cgroup/cgroup.h"
#include "manager/api.h"
#include "manager/process.h"
#include "manager/state.h"
#include "unit/unit.h"

struct manager;
struct job;
struct run_session;

/* What a unit waits for in time. Each is armed for a state and cancelled by unit_set_state() when the new one
 * has no use for it; see unit_timer.c. */
enum unit_timer {
    TIMER_STATE,    /* time-out of the state or step, end of a back-off: EVENT_TIMEOUT */
    TIMER_WATCHDOG, /* WatchdogSec=: EVENT_WATCHDOG */
    TIMER_RUNTIME,  /* RuntimeMaxSec=: EVENT_TIMEOUT */
    TIMER_STABLE,   /* RestartResetSec= of running: back-off starts anew */
    TIMER_OOM,      /* v1 tells of an OOM before it kills: the counter is read again a little later */
    TIMER_JOB,      /* JobTimeoutSec=, JobRunningTimeoutSec=: of the job, whatever the unit's state is */
    TIMER_NEEDS,    /* needs.c did too much for it: it is looked at again */
    TIMER_POLL,     /* legacy machines only: is the group empty yet? */
    _TIMER_COUNT,
};

/* What a start made and the stop must take away again, besides processes. */
struct unit_resources {
    bool cgroup;       /* group of the unit's name exists */
    bool group_is_old; /* it did before this start: its counters are not only of this run */
    char *upper_dir;   /* <state>/containers/<unit>/<invocation>, removed by a chore */
    int notify_fd;     /* our end of <runtime>/notify/<unit>; in the store as "n-<id>" */
    int log_fd; /* the FIFO <runtime>/log/<unit>; in the store as "l-<id>"; known to davit-logd by the same id
                 */
    uint64_t id; /* stable number of this unit in store and logd: siphash_stable(name) */
    char **anonymous_volumes;
    uint32_t id_base, id_count; /* host ids of the user namespace; count 0 = the host's */
    struct image
        *image; /* resolved by prepare_start(), used by prepare_main_spec(), freed after the launch */
    struct cleanup *cleanup; /* cleanup.c: what is still being taken away; NULL = nothing */
};

/* What saved state knows of a process, for unit_recover() to hand to process_adopt(). request 0 = there is
 * none. */
struct recovered_process {
    uint64_t request;
    usec_t begun_at;
    pid_t pid;
    enum process_stage stage;
    bool foreign;
};

/* `davit run` with a client: where the main process reads and writes instead of the log. Owned; -1 = none. */
struct unit_stdio {
    int stdin_fd, stdout_fd, stderr_fd, terminal_fd;
};

struct start_limit { /* a window of starts: systemd's ratelimit */
    usec_t window_begin;
    unsigned count;
};

struct managed_unit {
    struct manager *manager;
    char *name;
    struct unit *config;      /* in force: what the running start was made from */
    struct unit *next_config; /* read by a reload while this one runs; taken at the next start; NULL = same */
    usec_t loaded_at;         /* realtime: when the files were last read */
    struct problem *load_problems; /* the file no longer loads: why; config stays the old one */

    enum unit_state state;
    enum unit_step step;
    enum unit_result result; /* of the last run that has ended; RESULT_SUCCESS while one is under way */
    enum unit_result pending_result;  /* of the run under way: the first failure stays. $SERVICE_RESULT */
    char *status_text;                /* STATUS= from the program */
    struct error *error;              /* why it failed; NULL = it did not. See unit_set_error() */
    usec_t state_since, active_since; /* monotonic */
    usec_t state_since_realtime;
    usec_t activating_since; /* monotonic: when its last start began, 0 = it was never started */
    char invocation[ID128_TEXT];
    unsigned restarts;     /* automatic ones, NRestarts */
    unsigned backoff_step; /* grows with each, back to 0 after RestartResetSec= of running */
    usec_t backoff_until;
    struct start_limit start_limit, needs_limit; /* the latter: needs.c */
    bool gone;                                   /* its file was removed; the unit goes when it stops */
    bool transient;                              /* made by api_run */
    bool run_attached; /* saved: the client of that is in the foreground, and so is the container */
    bool stop_requested, stop_by_dependency, frozen, start_limited;
    bool ready_received;
    uint64_t oom_kills_seen;
    unsigned oom_kills;         /* over all runs */
    int main_code, main_status; /* of the last main process; code 0 = none yet */
    const char *restart_reason; /* static text of the last decision */
    struct cgroup_problem *cgroup_problems;
    size_t n_cgroup_problems;

    struct process *main, *control;
    struct recovered_process recovered_main, recovered_control; /* set by saved_read_all() only */
    struct unit_stdio *stdio;                                   /* NULL = output goes to the log */
    size_t control_index; /* which command of the step's list is under way */
    size_t main_index;    /* which ExecStart= is under way; more than 0 only for oneshot services */
    struct list extra;    /* chores of this unit */
    struct list sessions; /* `davit exec`: struct exec_session, api_exec.c */
    char **recovered_sessions;
    struct unit_resources resources;

    struct job *job; /* at most one; see job.h */
    sd_event_source *timers[_TIMER_COUNT];
    sd_event_source *notify_source, *cgroup_source, *oom_source;
    usec_t timeout_at; /* of TIMER_STATE, USEC_INFINITY = none; EXTEND_TIMEOUT_USEC= moves it */

    struct list save_queue;  /* linked when the saved state is out of date */
    uint8_t notify_batches;  /* in a row after which more messages waited; notify.c */
    uint16_t saved_size;     /* of the file, if another state can be appended to it; saved.c */
    struct run_session *run; /* `davit run`: its waiting client, api_run.c */
    char *run_key;           /* saved: of that client's choice, until it has been told all; NULL = none */
    /* What it depends on and what depends on it, resolved: graph.c's, rebuilt by graph_build(). Of the lists
     * that there could be most are empty: a bit for each that is not, and those in the order of the bits. */
    uint64_t edge_kinds;
    struct managed_unit ***edges;

    /* ---- the core's own. What has to outlive davitd is marked "saved". ---- */
    int saved_job; /* saved: enum job_type of u->job, -1 = none; jobs_recover() makes the job again */
    bool saved_job_running; /* saved: a start of which the unit failed is not one that it is still to begin */
    bool will_restart;      /* saved: decided on the way to STEP_CLEANUP */
    bool start_again;       /* saved: the launch was lost: start once more, without a new count */
    bool returns_with_dependency; /* saved: stopped because what it binds to went away to be restarted */
    bool exec_failed;             /* saved: the program was never reached; u->error says why */
    bool hook_lost;               /* saved: the hook under way was not either, and is to be run again */
    bool stop_by_notify;          /* saved: STOPPING=1 instead of a signal */
    bool stopped_in_backoff;      /* saved: then it is inactive and not failed, whatever the last run was */
    bool kept_for_restart;        /* the clean-up under way left the group in place */
    bool automatic;               /* this start was not asked for by a person */
    bool condition_failed;        /* the last start was skipped; condition says which */
    bool assert_failed;           /* and that is a failure */
    bool recovered;               /* came from saved state, not from a start of this davitd */
    bool state_lost;              /* ... or from its control group alone */
    bool launching;               /* holds one of settings.start_concurrency */
    struct list slot_link;        /* preparing, and waits for one: jobs.prepared_queue */
    struct pull_waiter *pull;     /* pull.c: its image is being fetched; NULL = it is not */
    char *pulled_image;           /* canonical name of what was fetched for this start; NULL = nothing was */
    struct image_worker *tree_worker; /* tree.c: its root is being made; NULL = it is not */
    struct fill *fill;                /* fill.c: its volumes are being filled; NULL = they are not */
    bool fill_tried, volumes_filled;  /* in this start */
    bool reload_failed;
    /* Type=notify-reload: for RELOADING=1, then for READY=1. Not saved: a new davitd takes the next READY=1. */
    enum { RELOAD_WAITS_NOT, RELOAD_WAITS_FOR_WORD, RELOAD_WAITS_FOR_READY } reload_waits;
    bool prepare_waits; /* for the next attempt */
    unsigned prepare_attempts;
    unsigned launches_lost; /* in a row: the launcher died when the child was made and not yet let go */
    usec_t prepare_deadline;
    usec_t watchdog_usec;  /* saved: in force, WATCHDOG_USEC= may change it; 0 = none */
    usec_t extended_until; /* EXTEND_TIMEOUT_USEC=: a time-out never comes before it */
    usec_t oom_last;       /* when the kernel last killed something */
    usec_t poll_delay;
    char *condition;
    enum unit_result control_result; /* of the hook that has just ended */
    unsigned oom_checks;
    int image_stop_signal;        /* saved: what the image says, set by prepare_start(); 0 = nothing */
    int stop_signal_sent;         /* saved: an end that answers it is no failure */
    unsigned n_events, followups; /* followups: enum followup, job.h */
    uint8_t events[_EVENT_COUNT]; /* not yet handled, in order; each at most once */
    struct list event_link;       /* in the manager's queue of units with events */
    struct list followup_link;
    struct list dependency_queue; /* job.c, while the failure of a start spreads */
};

/* `davit run`: it is to read and write what its client has, and an earlier davitd was given that. */
static inline bool run_waits_for_stdio(const struct managed_unit *u) {
    return u->run_key && u->run_attached && !u->stdio;
}
