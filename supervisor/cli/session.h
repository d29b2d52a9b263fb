/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program that works for us: `exec` and `run`. Gives it standard input and output, passes on bytes, signals
 * and window sizes while it runs, and ends with its exit status.
 */
#pragma once

#include "cli/cli.h"

/* method: io.davit.Unit.Exec or .Run, of that unit; parameters (taken over) with a key and without the descriptors,
 * which are added here as the options say. Returns the exit status for davit: the program's, 128 + signal, or 125 to 127 when it
 * did not run. */
int session_run(struct cli *c, const char *method, const char *unit, json_t *parameters);
/* Environment of our own that a program on a terminal needs: "TERM=...". NULL if there is none. */
char *session_term(const struct cli_options *o);
