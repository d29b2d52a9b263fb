/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-init's own messages: to stderr, which may be a terminal, a pipe, or the journal's stream socket.
 * Never waits for a reader: a message that cannot go out at once is dropped, since children are waiting to be
 * reaped.
 */
#pragma once

/* A log_sink_t (base/log.h). */
void console_write(int priority, const char *text, char *const *fields);
