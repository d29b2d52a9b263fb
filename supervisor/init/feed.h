/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The exit feed: a pipe into which davit-init writes how each child ended, before it reaps it (keeper.h has
 * the contract with davitd). davit-init keeps both ends for as long as it lives, so records wait there while
 * no davitd runs. The feed never blocks and never drops: when it is full the caller leaves the child a zombie
 * and comes back.
 */
#pragma once

#include <signal.h>

#include "init/keeper.h"

struct feed {
    int read_fd;       /* handed to each davitd */
    int write_fd;      /* ours, non-blocking */
    uint64_t sequence; /* of the last record written */
};

/* Makes the pipe; sequence is the caller's. Asks for 1 MiB (32768 records) and makes do with less where the
 * kernel refuses. 0 or -errno. */
int feed_open(struct feed *f);
/* Appends the end of the child that waitid(2) described. 0, -EAGAIN when full (nothing written), -errno. */
int feed_append(struct feed *f, const siginfo_t *info);
