/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A manager's core with nothing real behind it: processes, control groups, preparing, saving, reports and the
 * clock are in memory (fake-manager.c), units are real files in a directory of their own. Tests say what
 * processes do and how time goes by, and look at what the core makes of it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

#include "manager/core.h"

enum fake_prepare { FAKE_PREPARE_OK, FAKE_PREPARE_FAILS, FAKE_PREPARE_WAITS };

struct fake_kill {
    char unit[64];
    int signal;
    bool group; /* the whole control group */
};

struct fake {
    struct manager m;
    char directory[64];
    usec_t now;
    /* ---- what the fakes do ---- */
    bool auto_start;  /* launches succeed at the next turn */
    bool auto_hooks;  /* hooks exit 0 at the next turn */
    bool ignore_term; /* processes do not end by anything but SIGKILL */
    bool ignore_kill; /* processes do not even end by SIGKILL */
    enum fake_prepare prepare;
    int prepare_errno;
    bool cleanup_waits;
    bool spawn_fails, save_fails;
    char told[512]; /* to those who are logged in */
    unsigned times_told;
    int adopt_result; /* of process_adopt(): 0, or -ESRCH */
    /* ---- what happened ---- */
    unsigned prepares, cleanups, mains, hooks, flushes;
    bool cleanup_kept;   /* the last clean-up kept the group */
    char last_hook[256]; /* argv[0], and of the hook's unit: $SERVICE_RESULT */
    enum unit_result hook_result;
    int hook_code, hook_status;
    struct fake_kill kills[256];
    size_t n_kills;
    char log[65536];                    /* "unit: text\n" of each report */
    char notified[4096];                /* what davit-init was told, a line an assignment */
    char last_job[ERROR_TEXT_MAX + 64]; /* "unit result message" of the last waiter's call */
    unsigned jobs_told;
    struct process *last_exec; /* of `davit exec` */
};
extern struct fake fake;

int fake_setup(void **state);
int fake_teardown(void **state);

/* Writes a unit file; drops it for NULL. */
void fake_write(const char *name, const char *text);
void fake_load(void); /* manager_load_units() */
struct managed_unit *fake_unit(const char *name);

/* Everything that can happen without time going by. */
void fake_settle(void);
/* Time goes by; timers fire at their moments. */
void fake_advance(usec_t by);

/* A job that a person asks for. Settles. Returns what api_queue_job() does; text of the error in
 * fake.last_job. */
int fake_job(const char *unit, enum job_type type);
/* The job_done_t of these: fake.last_job, fake.jobs_told. */
void fake_job_told(void *userdata, const char *unit, enum job_result result, const char *message);
#define start(u) assert_return_code(fake_job((u), JOB_START), 0)
#define stop(u) assert_return_code(fake_job((u), JOB_STOP), 0)

/* The main process's life. Each settles. */
void fake_begun(const char *unit);
void fake_started(const char *unit);
void fake_launch_fails(const char *unit, int number, const char *step);
void fake_exec_fails(const char *unit, int number, const char *step); /* has a pid; its exit 126 follows */
void fake_exits(const char *unit, int code, int status);
void fake_waits_in_the_feed(
    const char *unit, int code, int status); /* starts and exits, for the next settling */
void fake_process_exits(struct process *p, int code, int status);
void fake_process_fails(struct process *p, int number);                        /* no child was made */
void fake_process_exec_fails(struct process *p, int number, const char *step); /* as fake_exec_fails() */
void fake_hook_exec_fails(const char *unit, int number, const char *step);
void fake_hook_waits_in_the_feed(const char *unit); /* ends well, for the next settling */
void fake_hook_exits(const char *unit, int code, int status);
void fake_event(const char *unit, enum unit_event event);
void fake_prepared(const char *unit);
void fake_cleaned(const char *unit);
/* Processes besides main in the group. */
void fake_set_children(const char *unit, unsigned n, bool ignore_term);
void fake_oom(const char *unit, unsigned kills);
bool fake_group_populated(const char *unit);
/* The manager dies and another takes over from what was saved: units are made anew, state and processes
 * carried over. */
void fake_manager_restart(void);

void fake_assert_state(const char *unit, enum unit_state state, const char *file, int line);
void fake_assert_result(const char *unit, enum unit_result result, const char *file, int line);
#define assert_state(u, s) fake_assert_state((u), (s), __FILE__, __LINE__)
#define assert_result(u, r) fake_assert_result((u), (r), __FILE__, __LINE__)
#define assert_logged(text) assert_non_null(strstr(fake.log, (text)))
#define assert_not_logged(text) assert_null(strstr(fake.log, (text)))
/* Which signals were sent, in order: "TERM KILL". */
const char *fake_signals(const char *unit);
