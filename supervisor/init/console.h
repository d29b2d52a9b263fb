/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-init's own messages. What does not go out within 50 ms is dropped (log_line() in base/log.h): children are
 * waiting to be reaped.
 *
 * As a process or in a container they go to stderr, which may be a terminal, a pipe, or the journal's stream
 * socket.
 *
 * On a machine they go to the kernel's log, which keeps them in memory until a journal or a person fetches
 * them, and to the console, as far as the kernel does not show them there itself. The console is opened for
 * each message and closed when that is said: nobody's hang-up, flow control or "kill everything on this terminal"
 * can reach davit-init, and it never becomes its controlling terminal. What is said before /dev is there waits
 * in a small buffer.
 */
#pragma once

#include "init/cmdline.h"

/* log_sink_t (base/log.h) of a process or a container. */
void console_write(int priority, const char *text, char *const *fields);

/* From now on as PID 1 of a machine. Descriptors 0 to 2 lead nowhere. */
void console_open_machine(void);
/* /dev and /proc are there: what waited goes out, and descriptors 1 and 2 become the kernel's log, for the
 * programs that inherit them. */
void console_connect(void);
/* For a program that davit-init has started and that speaks as it does (davit-boot): stderr is the kernel's
 * log. */
void console_share(const char *program);
/* Before this process becomes another program, or ends: what the console has not said within 5 s is dropped. */
void console_close(void);
/* The same, where that program takes the console over, with what it has yet to say, and closes what it inherits. */
void console_pass_on(void);
/* Levels and places from the command line. */
void console_configure(const struct boot_options *options);
