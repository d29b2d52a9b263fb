/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-init's loop and everything it owns. One thread, one epoll, no timer but epoll's own time-out: when
 * nothing is due it sleeps without end. After keeper_run() has said it is ready nothing is allocated any
 * more, and there is no way out but the end of davitd by request (or SIGNAL_FORCE): an error of any kind is
 * told and lived with.
 *
 *   RUNNING ──stop signal──▶ STOPPING ──davitd has ended──▶ CLOSING ──parts have ended──▶ end.c
 *      └────────────────davitd ends with MANAGER_EXIT_DONE─────▲
 *
 *   RUNNING   parts are started again whenever they die
 *   STOPPING  davitd has been told (SIGTERM) and stops the units. If it dies it is started again and told
 * again, a few times; the other parts are kept alive too, since stopping needs them CLOSING   no unit is
 * left. davit-logd writes what is still in its FIFOs, launchers end; nobody is started again
 */
#pragma once

#include "init/boot.h"
#include "init/children.h"
#include "init/lost.h"
#include "init/notify.h"
#include "init/power_key.h"
#include "init/reexec.h"
#include "init/signals.h"
#include "init/upward.h"
#include "init/watchdog.h"

enum keeper_phase { KEEPER_RUNNING, KEEPER_STOPPING, KEEPER_CLOSING };

struct keeper {
    enum keeper_phase phase;
    int epoll_fd, signal_fd, notify_fd;
    const char *runtime;
    int runtime_fd; /* the directory, and the lock on it */
    char notify_address[128];

    struct part parts[PART_COUNT];
    struct parts_context context;
    struct feed feed;
    struct power_keys power_keys;
    struct boot boot; /* a machine's duties: davit-boot, hardware watchdog, times */

    usec_t restart_first;   /* children.h */
    bool feed_full;         /* zombies wait until the feed can be written; its write end is in the epoll */
    bool reap_again;        /* one turn's share of zombies was reaped, more may be there */
    bool no_process;        /* fork(2) fails, which has been said */
    bool manager_ready;     /* READY=1 from this davitd */
    usec_t manager_lost_at; /* since then none has been ready, USEC_INFINITY = one is: lost.c */
    struct watchdog watchdog;
    struct reexec reexec;

    struct notify_target up; /* whoever started us */
    struct upward upward;
    usec_t up_watchdog_usec; /* what it expects, 0 = nothing */
    usec_t trim_at;          /* quiet for a moment then: code that ran goes back; USEC_INFINITY = it has */
    usec_t up_ping_at;       /* our own WATCHDOG=1, while no davitd is ready to send it */

    usec_t stop_requests[SIGNAL_FORCE_COUNT]; /* times of the last ones, a ring */
    size_t stop_position;
    unsigned stop_deaths;                      /* of davitd while STOPPING */
    usec_t close_deadline;                     /* CLOSING: SIGKILL to what is left */
    int exit_status;                           /* EXIT_STATUS= */
    struct ending ending;                      /* what comes when all is over; NONE: as EXIT */
    char ending_argument[ENDING_ARGUMENT_MAX]; /* for reboot(2); "" = none */
    bool parts_killed;                         /* CLOSING: SIGKILL was sent to the parts */
    bool forced;                               /* everything is being killed, adopted children too */

    /* Last: pages cost nothing until they are used, and what is used of all this fits on one. */
    struct notify_message message; /* the one that is being answered */
    struct store store;
};

#define KEEPER_EXIT_SETUP 125 /* nothing was started */

/* Runs until all is over. Returns the exit status of the program. Both paths are absolute and live as long.
 * boot is copied. resume_fd: the state that an earlier program of this process has handed over (reexec.h), -1
 * = a start. */
int keeper_run(const char *runtime, const char *libexec, const struct boot *boot, int resume_fd);
/* Whether this program could go on from that state, which is that of its parent: the exit status. */
int keeper_check_state(int fd);

/* ---- between keeper.c, setup.c, reap.c, reports.c, stop.c and end.c ---- */

/* As it is before anything was opened. *k is all zero. */
void keeper_init(struct keeper *k, const char *runtime, const char *libexec);
/* At a start: everything that is kept. 0 or -errno, which was logged. */
int keeper_open(struct keeper *k);
/* Takes over from the program that ran in this process before. Does not fail: without a state that can be
 * read all begins anew. */
void keeper_resume(struct keeper *k, int state_fd);
/* Takes in who has ended, a turn's share. */
void keeper_reap(struct keeper *k);
/* There is room in the feed again, on which zombies have waited. */
void keeper_feed_writable(struct keeper *k);
/* fork(2) has failed: no process or no memory to be had. That passes: returns when to try again. */
usec_t keeper_cannot_fork(struct keeper *k, int error, const char *what);
/* A machine's units need what davit-boot prepares: starts it, and lets the parts wait for its end. */
void keeper_begin_boot(struct keeper *k);
/* davit-boot has ended: what has waited for it begins. */
void keeper_boot_over(struct keeper *k);
/* The power key is ours from now on, where it is to be. */
void keeper_watch_keys(struct keeper *k);
/* Takes in everything that davitd has sent so far. */
void keeper_receive(struct keeper *k);
void keeper_start_part(struct keeper *k, struct part *p);
/* A signal, or davitd, asks for an ending. why: for the log. */
void keeper_request_ending(struct keeper *k, struct ending e, const char *why);
/* All units are stopped, or nobody can stop them: end the other parts. */
void keeper_close(struct keeper *k);
/* Ends everything that davit-init has started or adopted, at once. */
void keeper_force(struct keeper *k);
/* CLOSING, when the time is up. */
void keeper_close_overdue(struct keeper *k);
/* CLOSING, after each child that ended: true when nothing is left to wait for. */
bool keeper_closed(struct keeper *k);
/* Tells the log, and whoever started us: STATUS= is what `systemctl status` shows. */
void keeper_say(struct keeper *k, int priority, const char *fmt, ...) _printf_(3, 4);
/* When nothing of davit runs any more: carries out k->ending as the role has it (signals.h). Returns the exit
 * status of a container's PID 1 or of a process; on a machine it does not return. */
int keeper_end(struct keeper *k);
/* sync(2), for so long. */
void keeper_sync(usec_t timeout);
/* reboot(2), now. Returns only where that is not to be had: on anything but a machine. */
void keeper_end_immediately(struct keeper *k, struct ending e);
