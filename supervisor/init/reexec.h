/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-init replaced in place: execve(2) of its own, perhaps new, program file, with everything that it
 * keeps (handover.h). It stays the same process, so children stay children, and what the kernel holds for a
 * process stays where it is: zombies that were not reaped, signals that are blocked and pending, the rank of
 * a subreaper. What has happened up to the end of a turn of the loop is acted on before, what happens
 * afterwards is found by the next program: nothing is lost, and nothing is done twice.
 *
 * A program file that does not work must not take the fleet with it. So it is tried first, in a child:
 * `davit-init --check-state=FD` reads the state that would be handed over. Only if that child ends with 0 in
 * time comes the execve; in any other case davit-init says why and goes on as it was.
 *
 *   request ──▶ a child checks ──0──▶ end of the turn: state, execve ──▶ davit-init --resume=FD
 *                  └── else: said, and nothing else changes      └── fails: likewise
 */
#pragma once

#include <signal.h>

#include "base/clock.h"

struct keeper;

struct reexec {
    pid_t checker;   /* the child that tries the program file, 0 = none */
    usec_t deadline; /* for the checker */
    bool ready;      /* checked: at the end of this turn */
};

#define REEXEC_CHECK_USEC (10 * USEC_PER_SEC)

/* First of all in main(), before the working directory changes: where the program file is. argv0 lives on. */
void reexec_note_program(char *argv0);
/* That path; "" if it could not be found out. */
const char *reexec_program(void);
/* Replaces launchers and davit-logd, and davit-init itself if its file can go on. davitd replaces itself. */
void keeper_request_reexec(struct keeper *k);
/* The checker is a zombie: takes it away. */
void keeper_reexec_checked(struct keeper *k, const siginfo_t *info);
/* When the time is up. */
void keeper_reexec_overdue(struct keeper *k);
/* At the end of a turn. Returns only if it failed, or was not due. */
void keeper_reexec(struct keeper *k);
