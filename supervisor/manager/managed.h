/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * struct managed_unit: a unit as the manager runs it. config says what its files want and may be swapped by a reload;
 * everything else is what is so. Only manager/unit_*.c write to it; state changes only through unit_set_state().
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

/* What a start made and the stop must take away again, besides processes. */
struct unit_resources {
    bool cgroup;          /* group of the unit's name exists */
    char *upper_dir;      /* <state>/containers/<unit>/<invocation>, removed by a chore */
    int notify_fd;        /* our end of <runtime>/notify/<unit>; in the store as "n-<id>" */
    int log_fd;           /* the FIFO <runtime>/log/<unit>; in the store as "l-<id>"; known to davit-logd by the same id */
    uint64_t id;          /* stable number of this unit in store and logd: siphash_stable(name) */
    char **anonymous_volumes;
    struct image *image;     /* resolved by prepare_start(), used by prepare_main_spec(), freed after the launch */
    struct cleanup *cleanup; /* cleanup.c: what is still being taken away; NULL = nothing */
};

/* What saved state knows of a process, for unit_recover() to hand to process_adopt(). request 0 = there is none. */
struct recovered_process {
    uint64_t request;
    usec_t begun_at;
    pid_t pid;
    enum process_stage stage;
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
    struct problem *load_problems; /* the file no longer loads: why; config stays the old one */
    bool gone;                /* its file was removed; the unit goes when it stops */
    bool transient;           /* made by api_run */

    enum unit_state state;
    enum unit_step step;
    enum unit_result result;      /* of the last run */
    enum unit_result pending_result; /* gathered while stopping */
    char *status_text;            /* STATUS= from the program */
    struct error error;           /* why preparing or launching failed */
    usec_t state_since, active_since; /* monotonic */
    usec_t state_since_realtime;
    char invocation[ID128_TEXT];
    unsigned restarts;            /* automatic ones, NRestarts */
    unsigned backoff_step;        /* grows with each, back to 0 after RestartResetSec= of running */
    usec_t backoff_until;
    struct start_limit start_limit;
    bool stop_requested, stop_by_dependency, frozen, start_limited;
    bool ready_received;
    uint64_t oom_kills_seen;
    unsigned oom_kills;           /* over all runs */
    int main_code, main_status;   /* of the last main process; code 0 = none yet */
    const char *restart_reason;   /* static text of the last decision */
    struct cgroup_problem *cgroup_problems;
    size_t n_cgroup_problems;

    struct process *main, *control;
    struct recovered_process recovered_main, recovered_control; /* set by saved_read_all() only */
    struct unit_stdio *stdio; /* NULL = output goes to the log */
    size_t control_index;         /* which command of the list */
    struct list extra;            /* exec sessions and chores of this unit */
    struct unit_resources resources;

    struct job *job;              /* at most one; see job.h */
    sd_event_source *timer, *watchdog_timer, *runtime_timer, *stable_timer;
    sd_event_source *notify_source, *cgroup_source, *oom_source;
    usec_t timeout_at;            /* of timer; EXTEND_TIMEOUT_USEC= moves it */

    struct list save_queue;       /* linked when the saved state is out of date */
    struct list run_link;         /* `davit run`: its waiting client */
    struct managed_unit **dependencies[_DEP_COUNT]; /* resolved, NULL-terminated; rebuilt by graph_build() */
};
