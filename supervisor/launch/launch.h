/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The door to launching: a container_spec becomes a process. davit-launch is a thin loop around it; other
 * doors (`davit run`, `davit launch UNIT`) use the same functions.
 *
 * launcher_open(), once: the process moves to a mount namespace of its own with almost nothing in it, so that
 * cloning it is cheap and no host mount can get into a container.
 *
 * launch_begin(): prepares (may block), clones; the child does its steps and waits at the barrier.
 *
 * launch_release(): lets the child go on to execve.
 *
 * launched_done(): closes what is left; without launch_release() the child leaves without having run.
 *
 * The caller must be single-threaded, privileged, and (for LAUNCH_CLONE_PARENT) have a parent that reaps.
 * Nothing here logs; whatever fails fills a struct error whose step is a word that users see in `davit
 * status`.
 */
#pragma once

#include <stdio.h>

#include "launch/protocol.h"
#include "launch/spec.h"

struct launcher;

/* -EPERM without privilege, -ENOSYS on a kernel that is too old (5.12 is needed). On failure the process may
 * already be in another mount namespace and should end. */
int launcher_open(struct launcher **ret, struct error *e);
void launcher_close(struct launcher *l);
DEFINE_CLEANUP(struct launcher *, launcher_close)

enum launch_flags {
    LAUNCH_CLONE_PARENT = 1 << 0, /* the child's parent is our parent; else it is us, and SIGCHLD comes */
};

struct prepared;
struct launched {
    pid_t pid;
    int pidfd;
    int status_fd; /* see protocol.h: end of file or one struct error */
    int go_fd;     /* the launcher's end of the barrier */
    struct prepared
        *prepared; /* what launched_done() releases: slow to close, so not before the child may go on */
};

/* Steps of a failure that callers may care about: "layers" or "volumes" with EOPNOTSUPP says that a
 * directory's file system cannot be id-mapped here, so that the container cannot have a user namespace.
 * "clone" with ENODEV, ENOENT: the group is gone. All else is for people.
 *
 * s and fds are borrowed until launched_done(). s must have passed spec_check() (spec_decode() does it). */
int launch_begin(struct launcher *l, const struct container_spec *s, const int *fds, enum launch_flags flags,
    struct launched *ret, struct error *e);
void launch_release(struct launched *d);
/* The same, but a child that cannot execute its program does not end before launched_done(): for a caller
 * whose own end is near once that of the child is seen. */
void launch_go(struct launched *d);
void launched_done(struct launched *d);

/* Serves requests from a SOCK_SEQPACKET socket as protocol.h says, until its other end is closed (0) or it
 * fails. */
int launcher_serve(struct launcher *l, int socket_fd, struct error *e);

/* Rule R6: makes the running program immutable. If it does not run from a sealed memfd yet, copies it to one
 * and executes that with the same arguments and environment: then it does not return. 0 if already sealed. */
int sealed_reexec(char *const *argv, struct error *e);
