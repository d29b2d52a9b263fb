/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the manager's core (unit_*.c, load.c, startlimit.c, api*.c) share. Nobody else includes
 * this. */
#pragma once

#include "base/log.h"
#include "manager/action.h"
#include "manager/graph.h"
#include "manager/job.h"
#include "manager/manager.h"
#include "manager/restart.h"

/* Identifiers of messages, systemd's own, so that journal catalogues and people's filters know them. */
#define MESSAGE_STARTED "39f53479d3a045ac8e11786248231fbf"
#define MESSAGE_FAILED "be02cf6855d2428ba40df7e9d022f03d"
#define MESSAGE_STOPPED "9d1aaa27d60140bd96365438aad20286"
#define MESSAGE_RELOADED "7b05ebc668384222baa8881179cfda54"
#define MESSAGE_RESTART_SCHEDULED "5eb03494b6584870a536b337290809b3"
#define MESSAGE_SUCCESS "7ad2d189f7e94e70a38c781354912448"
#define MESSAGE_FAILURE_RESULT "d9b373ed55a64feb8242e02dbe79a49c"
#define MESSAGE_PROCESS_EXIT "98e322203f7a4ed290d09fe03c09fe15"
#define MESSAGE_OUT_OF_MEMORY "fe6faa94e7774663a0da52717891d8ef"
#define MESSAGE_START_LIMIT \
    "1d2f4bca0c3b4d0f9a5a3f4f0c4b7a11" /* ours: the limit was hit, and it goes on at the cap */

/* ---- unit_timer.c: the only place that knows the clock ---- */
usec_t core_now(void);
void unit_timer_set(struct managed_unit *u, enum unit_timer which, usec_t at); /* USEC_INFINITY = cancel */
void unit_timer_cancel(struct managed_unit *u, enum unit_timer which);
bool unit_timer_is_set(const struct managed_unit *u, enum unit_timer which);
/* TIMER_STATE for that long from now; 0 or infinity = none. */
void unit_timeout_in(struct managed_unit *u, usec_t delay);

/* ---- unit_state.c ---- */
struct managed_unit *managed_unit_new(struct manager *m, const char *name);
void managed_unit_free(struct managed_unit *u); /* takes it out of the table and all queues */
/* The first failure of a run stays. */
void unit_fail(struct managed_unit *u, enum unit_result result);
bool unit_is_active(const struct managed_unit *u); /* running or reloading */
bool unit_is_idle(const struct managed_unit *u);   /* inactive or failed */
bool unit_has_processes(
    const struct managed_unit *u); /* a container or service: starting it means launching */
enum service_type unit_service_type(const struct managed_unit *u);
bool unit_can_reload(const struct managed_unit *u);
/* When a timer fires. */
void unit_timer_fired(struct managed_unit *u, enum unit_timer which);
json_t *api_exit_json(const struct managed_unit *u); /* of the last main process: {"code", "status"} */
json_t *unit_state_event(struct managed_unit *u, enum unit_state old);

/* ---- unit_table.c ---- */
typedef void (*unit_handler_t)(struct managed_unit *u);
unit_handler_t unit_handler(enum unit_state state, enum unit_event event); /* NULL = ignored */

/* ---- unit_start.c ---- */
void unit_begin_start(struct managed_unit *u);
void unit_condition_says_no(struct managed_unit *u);
void unit_prepare_again(struct managed_unit *u);
void unit_on_prepared(struct managed_unit *u);
void unit_on_prepare_failure(struct managed_unit *u);
void unit_on_prepare_timeout(struct managed_unit *u);
void unit_on_launched(struct managed_unit *u);
void unit_on_ready(struct managed_unit *u);
void unit_enter_start_pre(struct managed_unit *u);
void unit_start_main(struct managed_unit *u);
void unit_enter_start_post(struct managed_unit *u);
void unit_enter_running(struct managed_unit *u);
void unit_begin_reload(struct managed_unit *u);
void unit_on_reloading(struct managed_unit *u);
void unit_on_reload_begun(struct managed_unit *u);
void unit_reload_commands_done(struct managed_unit *u, bool failed);
void unit_reload_done(struct managed_unit *u, bool failed);

/* ---- condition.c ---- */
/* The one that keeps the unit from being started; NULL: all hold. */
const struct condition *conditions_first_failed(const struct condition_list *l);
/* As it is written: "ConditionPathExists=!/x". */
char *condition_format(const struct condition *c, const char *prefix);

/* ---- unit_control.c: the hooks ---- */
/* The list that a step runs; NULL if it runs none. */
const struct exec_list *unit_step_commands(
    const struct managed_unit *u, enum unit_state state, enum unit_step step);
/* Starts the first command of the current step's list; false if the list is empty. A command that cannot even
 * be asked for counts as failed: *ret_failed. */
bool unit_run_commands(struct managed_unit *u, bool *ret_failed);
/* The one that control_index says, which was lost with an earlier davitd. */
bool unit_run_current_command(struct managed_unit *u, bool *ret_failed);
/* The same, for one of which nothing has run. Where none is left it is as if the last one had just ended. */
void unit_resume_commands(struct managed_unit *u);
/* The next of them; false if there is none. */
bool unit_run_next_command(struct managed_unit *u, bool *ret_failed);
int unit_spawn_main(struct managed_unit *u);
extern const struct process_callbacks unit_main_callbacks, unit_control_callbacks;

/* ---- unit_recover.c ---- */
/* Whether a part of the start came to anything is not known: all of it is ended, and then done once more. */
void unit_start_over(struct managed_unit *u);

/* ---- unit_exit.c ---- */
void unit_on_main_exit(struct managed_unit *u);
void unit_on_control_exit(struct managed_unit *u);
void unit_on_launch_failure(struct managed_unit *u);
void unit_main_exited(struct managed_unit *u, const struct process_exit *x);
void unit_control_exited(struct managed_unit *u, const struct process_exit *x);
void unit_on_start_timeout(struct managed_unit *u);
void unit_on_runtime_max(struct managed_unit *u);
void unit_on_reload_timeout(struct managed_unit *u);
void unit_on_watchdog(struct managed_unit *u);

/* ---- unit_stop.c ---- */
void unit_on_stop(struct managed_unit *u);
void unit_on_stop_again(struct managed_unit *u);
void unit_on_stop_waiting(struct managed_unit *u);
void unit_on_stop_preparing(struct managed_unit *u);
void unit_on_stop_backoff(struct managed_unit *u);
void unit_on_stopping(struct managed_unit *u);
void unit_on_stop_progress(struct managed_unit *u);
void unit_on_stop_timeout(struct managed_unit *u);
void unit_on_cleaned(struct managed_unit *u);
void unit_enter_stop(struct managed_unit *u, enum unit_result result);
void unit_enter_signal(struct managed_unit *u, enum unit_step step, enum unit_result result);
void unit_enter_stop_post(struct managed_unit *u, enum unit_result result);
void unit_enter_cleanup(struct managed_unit *u, enum unit_result result);
usec_t unit_stop_timeout(const struct managed_unit *u);
bool unit_group_is_populated(struct managed_unit *u);

/* ---- unit_watch.c: control group events ---- */
void unit_watch_empty(struct managed_unit *u);
void unit_watch_oom(struct managed_unit *u);
/* Reads the counter; true if it has risen since it was last read. */
bool unit_check_oom(struct managed_unit *u);
void unit_on_oom(struct managed_unit *u);

/* ---- action.c ---- */
/* Does what the unit's files want to be done then, unless all is ending already. */
void unit_take_action(struct managed_unit *u, enum action_cause cause);

/* ---- startlimit.c ---- */
/* Counts a start at time now; false if it is one too many. interval or burst 0 = never. */
bool start_limit_allows(struct start_limit *l, usec_t interval, unsigned burst, usec_t now);
/* How long a unit that hit its limit waits where keep_trying is set. */
usec_t start_limit_cap(const struct service_section *s);

/* ---- load.c ---- */
/* Loads a unit that nobody has loaded yet, with what it needs. -ENOENT. */
int manager_load_one(struct manager *m, const char *name, struct managed_unit **ret, struct error *e);
void unit_take_next_config(struct managed_unit *u);
/* Removes units that have no file any more, or were one-off, and are idle. */
void unit_collect(struct managed_unit *u);

/* ---- api_exec.c ---- */
/* A command of `davit exec` is under way. */
bool exec_runs(const struct managed_unit *u);
/* Goes on with the commands of an earlier davitd, from u->recovered_sessions. */
void exec_recover(struct managed_unit *u);
void exec_free_all(struct managed_unit *u);
void exec_forget_client(struct managed_unit *u, void *userdata);

/* ---- api_run.c ---- */
bool run_has_key(const struct managed_unit *u, const char *key);
bool run_is_for(const struct managed_unit *u, const void *userdata);
/* Its client is back, with another davitd than the one that it asked to run this. What is known is told at once. */
int run_attach(
    struct managed_unit *u, exec_started_t started, exec_exited_t exited, void *userdata, struct error *e);
/* What becomes of it, to its client if it has one. */
void run_session_started(struct managed_unit *u);
void run_session_failed(struct managed_unit *u);
void run_session_exited(struct managed_unit *u, const struct process_exit *x);
void run_session_free(struct managed_unit *u);
/* Its client has to be told of its end, and may still come. Asked of an idle unit, that begins to wait. */
bool run_waits_for_client(struct managed_unit *u);
void run_forget_key(struct managed_unit *u);
/* Its text goes with it; if its state was lost, when no client can come any more who asks again. */
void run_unload(struct managed_unit *u);
void run_forget_client(struct managed_unit *u, void *userdata);

/* ---- ending.c ---- */
/* Once a stop of everything has begun: what has not stopped by then is killed, and davitd ends. */
void manager_arm_stop_timeout(struct manager *m);

/* ---- api.c ---- */
void manager_set_ended(struct manager *m);
void api_reload_forget(void *userdata);
void api_event_job(struct manager *m, const struct job *j, enum job_result result, const char *message);
