/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What control/ may ask of the manager: the whole interface between "a client said" and "the fleet does".
 * Everything is asynchronous: an operation is a struct request, and its completion arrives as one call. No
 * function here blocks.
 */
#pragma once

#include <jansson.h>

#include "base/clock.h"
#include "base/ending.h"
#include "base/error.h"
#include "manager/state.h"

struct manager;
struct managed_unit;
struct container_spec;

enum job_type { JOB_START, JOB_STOP, JOB_RESTART, JOB_TRY_RESTART, JOB_RELOAD, _JOB_TYPE_COUNT };
enum job_mode {
    JOB_MODE_REPLACE,
    JOB_MODE_FAIL,
    JOB_MODE_IGNORE_DEPENDENCIES,
    JOB_MODE_ISOLATE, /* JOB_START only: whatever the unit does not need is stopped */
};
enum job_result {
    JOB_DONE,
    JOB_CANCELED,
    JOB_TIMEOUT,
    JOB_FAILED,
    JOB_DEPENDENCY,
    JOB_SKIPPED,
    _JOB_RESULT_COUNT
};
const char *job_type_name(enum job_type t);
const char *job_result_name(enum job_result r);

/* Called once when the job is over. message: why it failed, NULL otherwise. */
typedef void (*job_done_t)(void *userdata, const char *unit, enum job_result result, const char *message);

/* Finds a unit by what a person wrote ("web"), loading it if need be. -ENOENT, -EINVAL with *e. */
int api_find_unit(struct manager *m, const char *written, struct managed_unit **ret, struct error *e);
const char *api_unit_name(const struct managed_unit *u);

/* done may be NULL (--no-block). A returned error means that no job was made and done is not called. -ENOENT,
 * -EDEADLK (dependency cycle, whole path in *e), -EINVAL (unit has errors: first problem), -ESHUTDOWN. */
int api_queue_job(struct manager *m, struct managed_unit *u, enum job_type type, enum job_mode mode,
    job_done_t done, void *userdata, struct error *e);
/* The client is gone: forget its callbacks. Its jobs go on; its exec gets SIGHUP, its attached run is
 * stopped. */
void api_forget_client(struct manager *m, void *userdata);

enum kill_whom { KILL_WHOM_ALL, KILL_WHOM_MAIN };
int api_kill(struct manager *m, struct managed_unit *u, enum kill_whom whom, int signal, struct error *e);
int api_freeze(struct manager *m, struct managed_unit *u, bool freeze, struct error *e);
int api_reset_failed(struct manager *m, struct managed_unit *u); /* u NULL = all */
/* Re-reads all unit files and davit.conf; done is called with the number of units and of problems. */
typedef void (*reload_done_t)(void *userdata, unsigned units, unsigned problems, const struct error *e);
int api_reload(struct manager *m, reload_done_t done, void *userdata, struct error *e);
/* davitd and davit's other programs are replaced by what their files are now; nothing that runs notices.
 * -ESHUTDOWN, or what keeps state from being written: without it the next davitd would know less. */
int api_reexecute(struct manager *m, struct error *e);
/* Stops everything, then davitd ends; containers stay if keep is true. */
int api_exit(struct manager *m, int status, bool keep);

/* The end of the machine, the container, or the fleet: see init/signals.h for what each ending is where. */
struct end_request {
    struct ending ending;
    int status;           /* of ENDING_EXIT; -1 = as it is */
    const char *argument; /* for reboot(2); NULL = none. One line, less than ENDING_ARGUMENT_MAX bytes */
    const char *reason;   /* who or what asks, for the log */
    const char *message;  /* a person's own words; NULL = none */
    bool no_wall;         /* of a later one: those who are logged in are not told */
};
/* At that time (CLOCK_REALTIME), or now where it has passed; what was scheduled before is forgotten. Those who are
 * logged in are told of what is to come, at once and again and again (wall_next()). -EINVAL, -ESHUTDOWN. */
int api_end(struct manager *m, const struct end_request *r, usec_t when, struct error *e);
/* False if nothing was scheduled. Told to those who had been told of it, unless no_wall. */
bool api_end_cancel(struct manager *m, bool no_wall);
/* {"action", "when", "message"}, {} if nothing is scheduled. */
json_t *api_end_scheduled(struct manager *m);

/* A command in a running container. The three stdio fds (or one terminal in terminal_fd) are duplicated.
 * started is called with the pid, or with an error (then exited is not called). Of a command whose davitd has died that may be
 * before this returns. */
typedef void (*exec_started_t)(void *userdata, pid_t pid, const struct error *e);
typedef void (*exec_exited_t)(void *userdata, int code, int status);
struct exec_request {
    char **argv, **environment;
    const char *user, *working_dir;
    /* Of the client's choice, an id128; NULL = none. One that is known is that command, not a second one. */
    const char *key;
    bool again; /* it has been asked for before: not in doubt whether it has run */
    bool privileged;
    int stdin_fd, stdout_fd, stderr_fd, terminal_fd;
};
int api_exec(struct managed_unit *u, const struct exec_request *r, exec_started_t started,
    exec_exited_t exited, void *userdata, struct error *e);

/* To what api_exec(), or api_run() in the foreground, of an earlier davitd has started: by the key, or, where
 * that is NULL, by the pid of a command. -ESRCH if nothing is known of it. */
int api_attach(struct managed_unit *u, const char *key, pid_t pid, exec_started_t started,
    exec_exited_t exited, void *userdata, struct error *e);

/* A one-off container, `davit run`: a transient unit made from unit text, so that every key, default and
 * check is the unit language's own. Its stdio is the client's. The unit is gone when it has ended. */
struct run_request {
    const char *name;      /* "dreamland" or NULL: chosen */
    const char *unit_text; /* a .container file */
    const char *key;       /* as of an exec_request: it and again need a name */
    bool again;
    int stdin_fd, stdout_fd, stderr_fd, terminal_fd; /* all -1: detached, output goes to the log */
};
int api_run(struct manager *m, const struct run_request *r, exec_started_t started, exec_exited_t exited,
    void *userdata, char **ret_unit, struct error *e);
/* Signals a command of api_exec, or the main process of an api_run unit: by userdata of the request. */
int api_exec_kill(struct manager *m, void *userdata, int signal);

/* ---- looking. New references; NULL on out of memory. Shapes: docs and control/io.davit.*.varlink ---- */
json_t *api_manager_json(struct manager *m);
/* full: all of `status` and `show`. */
json_t *api_unit_json(struct manager *m, struct managed_unit *u, bool full);
json_t *api_units_json(struct manager *m); /* short form of each, sorted by name */
json_t *api_jobs_json(struct manager *m);

/* ---- events ---- */
/* One call for each change: {"event":"state","unit":...,"old":...,"new":...,"result":...,"timestamp":...},
 * job, problem, reload, exit. */
typedef void (*event_listener_t)(void *userdata, json_t *event);
int api_subscribe(struct manager *m, event_listener_t listener, void *userdata);
void api_unsubscribe(struct manager *m, void *userdata);
