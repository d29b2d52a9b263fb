/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A shell on the console, for rescue.service, emergency.service and console-shell.service. Nobody is locked
 * out of a machine that he stands in front of:
 *
 *   sulogin --force (util-linux) asks for root's password where there is one, and for none where root has
 * none, is locked, or the files that would say so are broken. Where there is no sulogin the shell is opened
 * without a question: the console and the boot loader give the same power already.
 *
 * When the shell of rescue or emergency is left, the machine goes on to its default target.
 */
#pragma once

/* name: "rescue", "emergency", "console". Returns the exit status when the shell has ended. */
int shell_run(const char *name);
/* Exit status: not under the first process of a machine or container, so no console is ours. */
#define SHELL_EXIT_NOT_OURS 3
