/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Jobs: what has been asked of units and is not yet done.
 *
 * Two phases. First transaction.c finds out, with a queue and no recursion, which jobs one request means for
 * which units (Requires= pulls in a start, a stop takes dependents along), drops what is only wanted and
 * cannot be, and refuses the rest with an explanation; nothing has changed until then. Then the jobs are
 * installed, one a unit at most, merged with what was there: all of them, for the memory was taken before. The
 * run queue starts each job once nothing that is ordered before it is left.
 *
 * A job never waits for anything but unit_set_state(): each change of state is told to job_unit_changed(),
 * which finishes jobs and lets others go on.
 */
#pragma once

#include "base/list.h"
#include "manager/manager.h"

enum { JOBS_MAX = 65536 };

struct job_waiter {
    struct list link;
    job_done_t done;
    void *userdata;
};

struct job {
    struct managed_unit *unit;
    enum job_type
        type;       /* what is still to be done; JOB_RESTART becomes JOB_START when the unit has stopped */
    bool running;   /* its unit is at it; false: waits for its turn */
    bool by_person; /* or pulled in by what a person asked for: start limits do not count, back-off is cut
                       short */
    bool automatic; /* an automatic restart: may start a unit that is in back-off */
    bool ignore_order;
    bool needs_slot; /* could run, but start_concurrency launches are under way; in slot_queue */
    uint32_t id;
    usec_t queued_at, running_at; /* monotonic; running_at 0 = it waits */
    struct list link;             /* jobs.all */
    struct list run_queue;        /* jobs.run_queue or jobs.slot_queue */
    struct list waiters;          /* struct job_waiter */
};

/* Things that a change of state leads to and that must not happen inside it. Bits in managed_unit.followups.
 */
enum followup {
    FOLLOW_STOP_BOUND = 1 << 0, /* what binds to this unit must stop: it went away by itself */
    FOLLOW_ON_FAILURE = 1 << 1,
    FOLLOW_ON_SUCCESS = 1 << 2,
    FOLLOW_RESTART = 1 << 3,     /* the back-off is over */
    FOLLOW_COLLECT = 1 << 4,     /* perhaps nobody needs the unit any more */
    FOLLOW_START_LIMIT = 1 << 5, /* StartLimitAction= */
    FOLLOW_JOB_TIMEOUT = 1 << 6, /* JobTimeoutAction= */
    FOLLOW_NEEDS = 1 << 8,       /* StopWhenUnneeded=, Upholds=: needs_look() */
    FOLLOW_RELOAD = 1 << 7,      /* the program reloads itself: PropagatesReloadTo= */
};

struct jobs {
    struct manager *manager;
    struct list all, run_queue, slot_queue, followups;
    struct list
        prepared_queue;      /* units that gave their slot back while they waited for an image, and go on */
    sd_event_source *source; /* defer, PRIORITY_RUN_QUEUE */
    uint32_t next_id;
    size_t count;
    unsigned launching; /* start-concurrency slots in use */
};

int jobs_new(struct manager *m);
void jobs_free(struct manager *m);

/* ---- transaction.c ---- */
enum transaction_flags {
    TRANSACTION_BY_PERSON = 1 << 0,
    TRANSACTION_AUTOMATIC = 1 << 1, /* an automatic restart */
};
/* Makes the jobs for one request. ret_job: that of u itself, NULL if there is nothing to do. Errors: see
 * api_queue_job(). */
int transaction_run(struct manager *m, struct managed_unit *u, enum job_type type, enum job_mode mode,
    unsigned flags, struct job **ret_job, struct error *e);

/* PropagatesReloadTo=: whether other is reloaded with u, as things are. */
bool transaction_reloads_along(const struct managed_unit *u, struct managed_unit *other);

/* ---- job.c ---- */
/* For one that is to be installed; free(3) where it was not. */
struct job *job_new(void);
/* That so many units which have no job may get one. */
bool jobs_have_room(const struct manager *m, size_t n);
/* Puts a job on the unit, merged with the one it has or replacing it, and gives it back. Takes *spare if it needs
 * a new one, so it cannot fail. */
struct job *job_install(
    struct managed_unit *u, enum job_type type, unsigned flags, bool ignore_order, struct job **spare);
/* The same of one job that is no part of a request. -ENOMEM, -ENOBUFS. */
int job_install_alone(struct managed_unit *u, enum job_type type, struct job **ret);
struct job_waiter *job_waiter_new(job_done_t done, void *userdata);
void job_add_waiter(struct job *j, struct job_waiter *w); /* taken over */
void job_forget_waiters(struct manager *m, void *userdata);
/* Ends the job, tells its waiters and, for a start that failed, fails the starts that require it. */
void job_finish(struct job *j, enum job_result result, const char *message);
/* The start that waits on u cannot be, because of the unit of that name; spreads as job_finish() does. */
void job_fail_start(struct managed_unit *u, const char *name, const char *why);
/* One that an earlier davitd had, and whose turn it was there: what its unit has come to meanwhile counts. */
void job_recovered(struct job *j, bool was_running);
/* Its unit is at it, or it waits for its turn; saved with the unit. JobRunningTimeoutSec= counts from the first time. */
void job_set_running(struct job *j, bool running);
void job_unit_changed(struct managed_unit *u, enum unit_state old, enum unit_state now);
/* True if a is to be done before b, by After=/Before= between their units. */
bool job_comes_before(const struct job *a, const struct job *b);
void job_enqueue(struct job *j);
/* action.c: TIMER_JOB for JobTimeoutSec= and JobRunningTimeoutSec=, and what it means. */
void job_arm_timeout(struct job *j);
void job_timed_out(struct managed_unit *u);
/* A launch slot is free again. */
void jobs_slot_freed(struct manager *m);
/* start_concurrency may have changed. */
void jobs_slot_changed(struct manager *m);
bool jobs_slot_available(struct manager *m);
void unit_follow_up(struct managed_unit *u, enum followup what);
/* Does what waits in the queues now; the event loop calls it. */
void jobs_run(struct manager *m);
/* Makes the jobs of recovered units again, and does what follows from how units are by now. */
void jobs_recover(struct manager *m);
