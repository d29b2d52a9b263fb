/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

/* Starts a program that gets fd under the number as, which must not be in use for anything else that the
 * program is to keep. environment NULL: ours. Returns 0 or -errno; *ret is the caller's to wait for. */
int spawn_with_fd(
    const char *program, char *const *argv, char *const *environment, int fd, int as, pid_t *ret);
