/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What davitd and a launcher say to each other, over one SOCK_SEQPACKET pair per launcher. davit-init keeps
 * both ends, so whatever was sent and not yet received survives the death of either side.
 *
 *   davitd -> launcher   an encoded container_spec, with its descriptors
 *   launcher -> davitd   struct launch_answer, with descriptors as below
 *
 *   HELLO {pid}: at start. BEGUN {request, pid} + pidfd + status pipe: the child exists and stands at the
 * barrier, or will: it does all its steps, then waits for one byte from the launcher before execve (or before
 * it exits with an error). The launcher sends that byte only after BEGUN is in the socket. So: whoever can
 * appear in the exit feed has a BEGUN in the socket before; a child whose launcher died before BEGUN sees the
 * end of the barrier and leaves without having run. FAILED {request, error}: no child was made. DONE
 * {request}: a chore that was too small for a process of its own: it has been done. UNREADABLE {request, error}: the
 * request is of another version than the launcher, and nothing was done. Versions meet when the programs on disk were
 * replaced and one of the two has died since, and when a request waits in the socket over a replacement of both.
 *
 * The status pipe tells davitd, without the launcher, how the child fared: end of file = execve succeeded
 * (the write end is close-on-exec; for tasks: the chore is under way), one struct error = the step that
 * failed; the child then exits with one of the LAUNCH_EXIT codes.
 *
 * Each request is answered once, by BEGUN, FAILED, DONE or UNREADABLE, and in the order in which they were sent. So a
 * request is lost, consumed by a launcher that then died, if a later one of the same socket is answered
 * before it. After a HELLO davitd sends something harmless if anything is unanswered, so that there is a
 * later one. What was lost it sends again, at most twice, then fails it.
 */
#pragma once

#include "base/error.h"

/* 2 is not used: what waits in a socket may be read by a davitd of another version than its sender's. */
enum launch_answer_type { LAUNCH_HELLO = 1, LAUNCH_BEGUN = 3, LAUNCH_FAILED, LAUNCH_DONE, LAUNCH_UNREADABLE };

struct launch_answer {
    uint32_t type;
    int32_t pid;
    uint64_t request;
    struct error error; /* FAILED, UNREADABLE */
};

/* Exit status of a child that did not reach its program: 125 to 127 as podman, env(1) and POSIX shells use
 * them. */
enum { LAUNCH_EXIT_SETUP = 125, LAUNCH_EXIT_CANNOT_EXEC = 126, LAUNCH_EXIT_NOT_FOUND = 127 };

/* Descriptor numbers at the start of davit-launch. */
enum { LAUNCH_FD_SOCKET = 3 };
#define LAUNCH_COUNT 2 /* launchers that davit-init starts */
