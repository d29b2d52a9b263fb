/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The operator's terminal and the pseudo-terminal that a program gets instead of it. The container never sees
 * the operator's own terminal: with that it could type into the shell that started us (TIOCSTI).
 */
#pragma once

#include "base/macro.h"

/* A new pty with the size and the settings of our own terminal, where there is one. Both ends close-on-exec.
 * 0 or -errno. */
int terminal_new(int *ret_master, int *ret_slave);
/* Copies the size of our terminal to the pty. */
void terminal_resize(int master);
/* Our own terminal passes each key on as it is. Undone by terminal_restore(), at exit at the latest. 0 if fd
 * is none. */
int terminal_raw(int fd);
void terminal_restore(void);
/* The character that means end of input to the program on the pty. */
char terminal_eof(int master);
