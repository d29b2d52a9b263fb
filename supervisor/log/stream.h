/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One container's output: its FIFO, what is known about its unit, and where it stands. A stream is ready when
 * its FIFO may have data (edge-triggered: it stays ready until it was found empty), failing when its sink
 * refused its lines and it waits for another attempt.
 */
#pragma once

#include "base/clock.h"
#include "log/file.h"
#include "log/state.h"

#define RETRY_FIRST (250 * USEC_PER_MSEC)
#define RETRY_MAX (15 * USEC_PER_SEC)

#define STREAM_REPLACED UINT64_MAX /* id of a stream whose number has gone to another FIFO */

struct stream {
    struct list link;  /* all streams */
    struct list ready; /* the ready ones; unlinked while failing */
    uint64_t id;
    int fifo;
    struct fifo_id fifo_id;
    struct state_slot *slot;
    char *unit, *invocation;
    uint8_t priority; /* of lines that name none */
    char *fields;     /* journal fields of every line, in the protocol's form */
    size_t fields_length;
    struct log_file file;
    usec_t retry_at; /* USEC_INFINITY: not failing */
    usec_t retry_delay;
    bool recovered; /* nothing that a predecessor began is left to finish */
    bool removing;  /* REMOVE came, what was in the FIFO then is still to be written: */
    size_t left;    /* so many bytes of it */
};

/* What ADD says about a unit. */
struct stream_facts {
    const char *unit, *container, *invocation, *identifier;
    uint8_t priority;
};

/* Takes fifo over, also on failure. 0, -EINVAL (not a FIFO, bad unit name), -ENOMEM. The slot is not set. */
int stream_new(uint64_t id, int fifo, const struct stream_facts *facts, struct stream **ret);
/* Other facts for the same FIFO: a new invocation. On failure the old ones stay. */
int stream_set_facts(struct stream *s, const struct stream_facts *facts);
void stream_free(struct stream *s); /* unlinks it; the slot is the caller's */
/* The device and inode of a FIFO; -EINVAL for anything else. */
int fifo_identify(int fd, struct fifo_id *ret);
