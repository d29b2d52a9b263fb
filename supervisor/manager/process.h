/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything that davitd has running is a struct process: a container's main process, a hook, a command of
 * `davit exec`, a worker, a chore. It is asked for with a spec, and its whole life arrives as calls:
 *
 *   process_start() --> on_begun (pid known) --> on_started (execve confirmed) --> on_exit
 *                   \-> on_failed            \-> on_failed, then on_exit
 *                   \-> on_exit (a small chore that the launcher did itself)
 *
 * on_failed without a pid (p->pid == 0) is the last call; with one, on_exit follows. on_exit is always the
 * last. The owner frees the process after its last call with process_free(), and may drop interest earlier
 * (process_abandon()). All calls come from the event loop, never from inside process_start().
 *
 * Nothing is lost when davitd dies: requests and answers wait in the launcher's sockets, status pipes are in
 * davit-init's store ("s-<request>"; "p-<request>" are pidfds of those who are not its children), exits in
 * the feed. saved.c writes each process of a unit with its
 * request number; process_adopt() takes it over again after a restart.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "base/str.h"
#include "launch/spec.h"

struct manager;
struct managed_unit;
struct process;

enum process_role {
    PROCESS_MAIN,
    PROCESS_CONTROL, /* ExecStartPre= ... ExecStopPost= */
    PROCESS_EXEC,    /* davit exec */
    PROCESS_CHORE,   /* remove a tree, fill a volume */
    PROCESS_WORKER,  /* davit.conf reader, ... */
    _PROCESS_ROLE_COUNT,
};

struct process_exit {
    int code, status; /* CLD_EXITED, CLD_KILLED, CLD_DUMPED: status or signal; EXIT_UNKNOWN */
    usec_t when;
};

struct process_callbacks {
    void (*begun)(struct process *p);
    void (*started)(struct process *p);
    void (*failed)(struct process *p, const struct error *e);
    void (*exited)(struct process *p, const struct process_exit *x);
};

enum process_stage { PROCESS_REQUESTED, PROCESS_BEGUN, PROCESS_STARTED, PROCESS_ENDED };

struct process {
    struct manager *manager;
    struct managed_unit *unit; /* NULL for workers */
    enum process_role role;
    enum process_stage stage;
    uint64_t request;
    pid_t pid; /* 0 until BEGUN */
    int pidfd;
    int status_fd; /* -1 once execve is confirmed */
    usec_t begun_at;
    unsigned attempts;
    const struct process_callbacks *callbacks; /* NULL = abandoned: only the pid is tracked */
    void *userdata;
    struct list by_manager; /* private to process.c from here on */
    struct list by_launcher;
    void *sources[3];
    void *message; /* encoded spec, kept until BEGUN so that it can be sent again */
    size_t message_size;
    int fds[SPEC_MAX_FDS];
    unsigned n_fds, launcher;
    int pending_signal; /* asked for before there was a pid */
    uint64_t order;     /* of its launcher's requests; answers come in this order */
    bool sent, withdrawn, probe;
    bool foreign; /* not a child of our davit-init; foreign.c */
    uint8_t foreign_tries;
};

/* Sends the spec (request is filled in). fds are duplicated and stay the caller's. 0 and *ret, or -errno and
 * *e
 * (-E2BIG: spec too large; -EAGAIN never: requests queue in davitd when the launchers are busy). */
int process_start(struct manager *m, struct managed_unit *unit, enum process_role role,
    struct container_spec *spec, const int *fds, size_t n_fds, const struct process_callbacks *callbacks,
    void *userdata, struct process **ret, struct error *e);
/* After a restart of davitd: a process that saved state knows by its request. Finds its descriptors in the
 * store and by its pid. Its calls go on where they stopped. -ESRCH: neither pid nor answer exists, the launch
 * is lost (start it again). */
int process_adopt(struct manager *m, struct managed_unit *unit, enum process_role role, uint64_t request,
    pid_t pid, enum process_stage stage, const struct process_callbacks *callbacks, void *userdata,
    struct process **ret);
/* After process_adopt(), where it was saved as such, or davit-init is another one than at the launch: its end is learned
 * by pidfd. */
void process_set_foreign(struct process *p);
/* Signal by pidfd; before BEGUN: the request is withdrawn or the child killed as soon as it exists. */
int process_kill(struct process *p, int signal);
/* No more calls; the process itself goes on and is forgotten when it ends. */
void process_abandon(struct process *p);
void process_free(struct process *p);

/* In failed(): its launcher died between making the child and letting it go (launch/protocol.h). Nothing of the
 * program has run. */
static inline bool process_is_lost_launch(const struct process *p, const struct error *e) {
    return p->pid != 0 && e->number == ECANCELED && streq(e->step, "launcher");
}
