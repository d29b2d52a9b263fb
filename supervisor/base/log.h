/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages of the programs themselves. Only manager/, log/, control/, init/, cli/ and main/ log; library
 * folders return a struct error. By default a message goes to stderr as "<N>text" when $JOURNAL_STREAM or a
 * non-terminal is there, "PROGRAM: text" on a terminal; a program may install its own sink (davitd: the
 * journal).
 *
 * A message is one line of at most 2047 bytes. errno is kept, so log_errno(LOG_ERR, errno, ...) may stand
 * anywhere.
 */
#pragma once

#include <syslog.h>

#include "base/clock.h"

/* fields: NULL or a NULL-terminated array of "NAME=value" journal fields. */
typedef void (*log_sink_t)(int priority, const char *text, char *const *fields);
void log_open(const char *program);
void log_set_sink(log_sink_t sink); /* NULL = stderr */
/* For programs that others wait for: from now on a message to stderr is written as log_line() does it. */
void log_never_wait(void);
void log_set_level(int max_priority);
int log_get_level(void);
/* "debug", "info", "7"; -EINVAL. */
int log_level_parse(const char *s, int *ret);
void log_write(int priority, const char *fmt, ...) _printf_(2, 3);
void log_write_fields(int priority, char *const *fields, const char *fmt, ...) _printf_(3, 4);
/* Logs "text: description" and returns -|number|. */
int log_errno(int priority, int number, const char *fmt, ...) _printf_(3, 4);

/* ---- for sinks ---- */

/* To stderr, as without a sink. */
void log_to_stderr(int priority, const char *text);
/* A line (PIPE_BUF bytes at most) to a descriptor that may be shared with others and stays as it is, blocking or
 * not. Waits up to timeout where another process writes to the same terminal, or a reader is slow. What is not taken
 * by then is lost, and nothing waits again before a line has been taken. */
void log_line(int fd, const char *line, size_t n, usec_t timeout);

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERR, __VA_ARGS__)
