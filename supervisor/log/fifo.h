/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looking into a FIFO without taking anything out, and taking out what has been dealt with (log/state.h says
 * why). */
#pragma once

#include <sys/types.h>

#include "base/macro.h"

#define FIFO_PEEK_MAX 65536

struct fifo_peeker {
    int ends[2]; /* a pipe of our own that holds the copied pages for a moment */
};

int fifo_peeker_open(struct fifo_peeker *p);
/* Copies what stands at the front of the FIFO, at most n bytes (<= FIFO_PEEK_MAX), into buffer. The FIFO must
 * be O_NONBLOCK. Returns bytes, 0 if it is empty, -errno. */
ssize_t fifo_peek(struct fifo_peeker *p, int fifo, char *buffer, size_t n);
/* Takes n bytes (1 to FIFO_PEEK_MAX, which are there) out of the FIFO; the last one ends up in *last, and
 * only when all are out. 0, -EIO if fewer were there, -errno. */
int fifo_consume(int fifo, size_t n, uint8_t *last);
