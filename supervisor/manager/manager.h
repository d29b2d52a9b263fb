/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manager: one thread, one sd-event loop, which never returns, never blocks and never forks.
 *
 * Event priorities, lowest number first, and why:
 *   -40 launcher answers   a BEGUN must be known before the exit of that pid is read
 *   -30 exit feed          (drains the launchers' sockets first, for the same reason)
 *   -20 notify sockets     a READY=1 sent before exit is honoured (feed handling drains the socket first);
 *                          a flood of messages goes down to 40
 *   -10 cgroup events
 *     0 timers
 *    20 the run queue: jobs whose turn it may be
 *    30 saving
 *    40 control clients     last, or a client that asks in a loop keeps jobs from running; and what it is
 *                           told is saved
 *
 * Crash safety: peek, act, save, then consume. See process.h and keeper.h.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/hashmap.h"
#include "base/paths.h"
#include "cgroup/cgroup.h"
#include "manager/api.h"
#include "manager/boot.h"
#include "manager/managed.h"
#include "manager/settings.h"

enum {
    PRIORITY_LAUNCHER = -40,
    PRIORITY_FEED = -30,
    PRIORITY_NOTIFY = -20,
    PRIORITY_CGROUP = -10,
    PRIORITY_TIMER = 0,
    PRIORITY_RUN_QUEUE = 20,
    PRIORITY_CONTROL = 40,
};

struct keeper;    /* keeper.c: store, notify upward */
struct processes; /* process.c: launchers, exit feed, table by pid and request */
struct logs;      /* logs.c: davit-logd */
struct jobs;      /* job.c */
struct idmaps;    /* idmap.c */
struct schedule;  /* schedule.c */
struct control;   /* control/server.c */

enum manager_phase { PHASE_STARTING, PHASE_RUNNING, PHASE_RELOADING, PHASE_STOPPING, PHASE_ENDED };

struct manager {
    sd_event *event;
    enum manager_phase phase;
    struct paths paths;
    struct settings settings;
    struct manager_boot boot;
    struct problem *problems; /* of davit.conf and of the unit directories */
    struct cgroup_tree *cgroups;
    struct hashmap *units; /* name -> struct managed_unit */
    struct keeper *keeper;
    struct processes *processes;
    struct logs *logs;
    struct jobs *jobs;
    struct idmaps *idmaps;
    struct schedule *schedule; /* NULL = no ending is scheduled */
    const char *nologin;       /* nologin(5) of the machine that we are the init of; NULL = of none */
    struct control *control;
    struct list save_queue, listeners;
    struct list pulls;              /* images that are being fetched; pull.c */
    struct image_worker *collector; /* gc of the image store; images_gc.c */
    bool collect_again;
    char **templates, **template_images; /* their names, and what they name: gc leaves it; load.c */
    struct list event_queue;             /* units with events that wait for their turn; unit_table.c */
    bool handling_events;
    int runtime_fd, state_fd; /* directories */
    int exit_status;
    bool keeper_changed;         /* what was taken over was launched under another davit-init; recover.c */
    bool keep_containers;        /* at exit */
    sd_event_source *stop_timer; /* PHASE_STOPPING; ending.c */
    bool reexecute;              /* main/davitd.c: end, so that the program file is executed again */
    /* standalone.h: no loop, one unit, and another service manager's notify socket (NULL = it has none) */
    bool without_davitd;
    const char *notify_socket;
    usec_t started_at;
};

/* ---- implemented by the core (unit_*.c, job.c, graph.c, api.c) ---- */
/* The core's part of a manager: queues, jobs, the table of units. event, settings and paths are set. */
int manager_init_core(struct manager *m);
/* The unit of that name, or a new one with what its files say (a stand-in if they are gone). For
 * saved_read_all(), which fills in what was saved and then calls unit_recover(). */
int manager_add_unit(struct manager *m, const char *name, struct managed_unit **ret);
/* For prepare.c: u gives its launch slot back while it waits for something slow, and asks for one to go on:
 * prepare_start() is called once more then. */
void unit_slot_release(struct managed_unit *u);
void unit_slot_request(struct managed_unit *u);
/* The only writer of u->state. step may change with the same state. */
void unit_set_state(struct managed_unit *u, enum unit_state state, enum unit_step step);
void unit_event(struct managed_unit *u, enum unit_event event);
void unit_mark_dirty(struct managed_unit *u); /* to be saved */
/* Why a run failed. Few units have one, and it is half a KiB: it is kept only where it is needed. */
void unit_set_error(struct managed_unit *u, const struct error *e); /* copied; NULL or number 0 = none */
const struct error *unit_error(const struct managed_unit *u);       /* never NULL; number 0 = none */
/* For notify.c: what a program's messages mean besides EVENT_READY, EVENT_RELOADING and EVENT_STOPPING.
 * WATCHDOG=trigger is EVENT_WATCHDOG; MAINPID= is not the core's business. */
void unit_extend_timeout(struct managed_unit *u, usec_t usec);       /* EXTEND_TIMEOUT_USEC= */
void unit_watchdog_ping(struct managed_unit *u);                     /* WATCHDOG=1 */
void unit_watchdog_set(struct managed_unit *u, usec_t usec);         /* WATCHDOG_USEC= */
void unit_set_status_text(struct managed_unit *u, const char *text); /* STATUS=; NULL or "" clears it */
struct managed_unit *manager_find(struct manager *m, const char *name);
/* Loads all unit files and builds the graph; keeps what runs. */
int manager_load_units(struct manager *m, unsigned *ret_problems, struct error *e);
/* Queues a start job for the default target; after a recovery: makes the jobs that were under way again
 * instead. */
int manager_start_default(struct manager *m);
/* Its name: what the kernel's command line says, else davit.conf. */
const char *manager_default_target(const struct manager *m);
int manager_status_text(struct manager *m, char **ret); /* "12 running, 1 failed, 2 waiting" */
/* Makes a unit from saved state again after a restart of davitd; processes are adopted. */
int unit_recover(struct managed_unit *u);
/* Below the runtime directory: the unit text of each container of `davit run`, for a davitd that comes back. */
#define RUN_TEXTS "transient"
char *run_text_path(const struct manager *m, const char *name);
/* From its text, where that is all that is left of it: that it may have been launched. */
bool run_may_have_begun(struct manager *m, const char *name);
/* Removes the text of a container that is gone, once its client would have come back. */
void run_keep_text(struct manager *m, const char *name);
/* Stops all units: phase becomes PHASE_STOPPING, and PHASE_ENDED once nothing runs any
 * more. */
int manager_stop_all(struct manager *m);
/* Asks davit-init for an ending; an orderly one begins with manager_stop_all(). */
void manager_end(struct manager *m, const struct end_request *r);
void unit_emit(struct manager *m, json_t *event); /* to all listeners; takes the reference over */

/* ---- implemented beside the core: keeper.c, process.c, saved.c, prepare.c, notify.c, logs.c, ... ---- */
/* keeper.c: reads LISTEN_FDS, finds the fixed descriptors. */
int keeper_new(struct manager *m, struct error *e);
int keeper_store(struct manager *m, const char *name, int fd); /* FDSTORE=1 */
void keeper_unstore(struct manager *m, const char *name);
/* The descriptor inherited under that name, ownership moves; -ENOENT. */
int keeper_take(struct manager *m, const char *name);
void keeper_notify(struct manager *m, const char *fmt, ...) _printf_(2, 3); /* READY=1, STATUS=... */
/* process.c */
int processes_new(struct manager *m, struct error *e); /* HELLOs, feed */
/* saved.c: <runtime>/state/<unit>, text, one file a unit, written whole */
int saved_write(struct managed_unit *u);
void saved_remove(struct managed_unit *u);
/* All of the save queue: before a launch is sent, before the feed is consumed. */
void saved_flush(struct manager *m);
/* The same; false if something could not be written. */
static inline bool saved_flush_all(struct manager *m) {
    saved_flush(m);
    return list_empty(&m->save_queue);
}
int saved_read_all(struct manager *m); /* makes managed units and calls unit_recover() on each */
/* prepare.c: everything that a start needs, for containers and services. Calls unit_event(u, EVENT_PREPARED)
 * or fills u->error, sets pending_result RESULT_RESOURCES and calls unit_event(u, EVENT_FAILURE); maybe at
 * once, maybe later. */
void prepare_start(struct managed_unit *u);
void prepare_cancel(struct managed_unit *u);
/* The spec of the main process or of one hook. unit_current_hook(): the one under way, by step and index;
 * NULL if there is none. */
const struct exec_command *unit_current_hook(const struct managed_unit *u);
int prepare_main_spec(struct managed_unit *u, struct container_spec *ret, int fds[static SPEC_MAX_FDS],
    size_t *ret_n_fds, struct error *e);
int prepare_control_spec(struct managed_unit *u, const struct exec_command *c, struct container_spec *ret,
    int fds[static SPEC_MAX_FDS], size_t *ret_n_fds, struct error *e);
int prepare_exec_spec(struct managed_unit *u, const struct exec_request *r, struct container_spec *ret,
    int fds[static SPEC_MAX_FDS], size_t *ret_n_fds, struct error *e);
/* Takes away everything that prepare_start() made; EVENT_CLEANED when nothing is left. keep_cgroup: a restart
 * follows. */
void prepare_cleanup(struct managed_unit *u, bool restart_follows);
/* notify.c: the unit's socket is open; messages become events. Drains what is queued. */
int notify_watch(struct managed_unit *u);
void notify_drain(struct managed_unit *u);
/* logs.c */
int logs_new(struct manager *m, struct error *e);
int logs_add(struct managed_unit *u);
void logs_remove(struct managed_unit *u, void (*done)(struct managed_unit *u)); /* drained and closed */
/* config.c: reads davit.conf through a worker; done(m, error or NULL) */
/* At the first start most machines have no davit.conf, or one that only has comments: then a worker, which
 * costs as much as davitd itself, has nothing to read. True: the built-in settings are in force. */
bool config_says_nothing(struct manager *m);
int config_read(struct manager *m, void (*done)(struct manager *m, const struct error *e, void *userdata),
    void *userdata, struct error *e);
/* report.c: the journal */
void report_open(struct manager *m);
void report_unit(struct managed_unit *u, int priority, const char *message_id, const char *fmt, ...)
    _printf_(4, 5);
