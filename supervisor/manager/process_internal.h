/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What process.c, launcher.c and feed.c share. Nobody else includes this. */
#pragma once

#include "init/keeper.h"
#include "launch/protocol.h"
#include "manager/manager.h"
#include "manager/rooms.h"

#define MAX_LAUNCHERS 8
/* Sent and not yet answered. A SEQPACKET queue holds net.unix.max_dgram_qlen (10) messages; a launcher
 * answers each request once and says HELLO once, so it never waits for us in the middle of its work. */
#define LAUNCHER_WINDOW 4
#define MAX_ATTEMPTS 3
/* A BEGUN brings two descriptors, and must find room for them: who began cannot be made not to have begun. */
#define BEGUN_FDS 2
#define RESERVED_FDS (MAX_LAUNCHERS * LAUNCHER_WINDOW * BEGUN_FDS)
#define PID_BUCKETS 256
#define FEED_BATCH 64

enum { SOURCE_STATUS, SOURCE_HANG, SOURCE_FOREIGN }; /* struct process.sources */

struct launcher {
    struct manager *manager;
    int fd;
    unsigned index;
    sd_event_source *source;
    struct list in_flight; /* struct process.by_launcher, in the order in which they were sent */
    unsigned n_in_flight;
    uint64_t sent; /* requests */
    bool blocked;  /* EPOLLOUT is being waited for */
    bool unsure;   /* what became of requests that it was sent is to be found out, and it was not asked yet */
    bool leaving;  /* of another version than we are; davit-init was asked to replace it */
    bool renewed;  /* and has done so */
};

struct feed {
    int fd;
    int copy[2]; /* private pipe for tee(2) */
    sd_event_source *source;
    uint64_t sequence;
};

struct processes {
    struct launcher launchers[MAX_LAUNCHERS];
    unsigned n_launchers;
    unsigned turn;                   /* of equally busy launchers this one is next */
    struct list queue;               /* by_launcher: not sent yet, oldest first */
    struct list unassigned;          /* by_launcher: asked for by an earlier davitd; no launcher is known */
    struct list by_pid[PID_BUCKETS]; /* by_manager */
    struct list no_pid;              /* by_manager */
    uint64_t next_request;
    int reserved[RESERVED_FDS]; /* numbers kept free for the answers to come; only as many as are needed */
    unsigned n_reserved;
    sd_event_source *dispatch;
    unsigned probes; /* see launcher_probe() */
    struct feed feed;
};

static inline struct list *pid_bucket(struct processes *ps, pid_t pid) {
    return &ps->by_pid[(unsigned)pid % PID_BUCKETS];
}

/* ---- process.c ---- */
struct process *process_new(struct manager *m, struct managed_unit *unit, enum process_role role,
    uint64_t request, const struct process_callbacks *callbacks, void *userdata);
struct process *process_by_pid(struct processes *ps, pid_t pid);
/* Frees what only a request needs. */
void process_drop_message(struct process *p);
/* The request was answered: the child exists. Takes over the descriptors (-1 = none). */
void process_has_begun(struct process *p, pid_t pid, int pidfd, int status_fd);
/* No child was made, or it failed in a step; without a pid this is the last call and p may be gone
 * afterwards. */
void process_has_failed(struct process *p, const struct error *e);
void process_has_exited(struct process *p, const struct process_exit *x);
/* For the next davitd: where nobody keeps the number of a process from being given away, only that helps. */
void process_store_pidfd(struct process *p);
void process_unstore_pidfd(struct process *p);
/* It is a child of our davit-init, which reaps it: its end will be in the feed. */
bool process_is_for_keeper(pid_t pid);
/* A chore that the launcher did itself: as if its process had ended well. */
void process_was_done(struct process *p);
/* A zombie, or reaped. */
bool process_is_over(int pidfd);
/* Reads the status pipe and makes the call that follows from it. */
void process_read_status(struct process *p);

/* ---- foreign.c ---- */
/* Neither alive nor in the feed. */
void process_ended_unseen(struct process *p);
void process_unwatch_foreign(struct process *p);

/* ---- launcher.c ---- */
int launchers_new(struct manager *m, struct error *e);
void launchers_free(struct processes *ps);
void launcher_drop(struct process *p); /* takes p off its launcher's list or the queue */
/* Which launchers may be working on p, as bits: the one that p was sent to, if p is the oldest of all that it has; for a
 * request of an earlier davitd, all those that have not answered yet what came behind it. */
unsigned launchers_at(const struct process *p);
/* Handles every answer that is in the sockets. */
void launchers_drain(struct manager *m);
void launchers_dispatch_soon(struct processes *ps);
/* Each launcher is asked for something harmless. Requests are handled in order, so once all have answered, a
 * request of an earlier davitd that is still unanswered was never sent (or its launcher died with it). */
void launcher_probe(struct manager *m);

/* ---- feed.c ---- */
int feed_new(struct manager *m, struct error *e);
int feed_go(struct manager *m, struct error *e);
/* The end of the process of that number waits to be handled: davit-init has reaped it, or is about to. */
bool feed_has_end(struct manager *m, pid_t pid);
void feed_free(struct feed *f);
