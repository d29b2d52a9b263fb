/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Varlink's wire format: JSON objects that end in a NUL byte, over a Unix stream socket, with file
 * descriptors beside them. This file knows bytes and messages, not methods: server and client are both made
 * of it.
 *
 * A stream never blocks and never trusts its peer. A message is at most input_max bytes, is nested at most
 * VARLINK_DEPTH_MAX deep, and carries at most VARLINK_FDS_MAX descriptors; what is queued for a peer that
 * does not read is at most output_max bytes and one message more. Beyond that a call fails and the owner
 * closes the stream.
 *
 * Descriptors belong to the message that holds the last byte of what the sendmsg() that carried them wrote.
 * The kernel never glues what follows them to it, so a peer that sends such a message by a sendmsg() of its
 * own always gets it right.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "base/list.h"

#define VARLINK_REQUEST_MAX (1024U * 1024)
#define VARLINK_OUTPUT_MAX (4U * 1024 * 1024)
#define VARLINK_REPLY_MAX (64U * 1024 * 1024) /* what our own client takes from a server */
#define VARLINK_DEPTH_MAX 32
#define VARLINK_FDS_MAX 4

/* A request or reply as it came, and its descriptors, which are the receiver's. text lives until the next
 * call on its stream. */
struct varlink_message {
    const char *text;
    size_t length; /* without the NUL */
    int fds[VARLINK_FDS_MAX];
    size_t n_fds;
};
void varlink_message_done(struct varlink_message *m); /* closes descriptors that were not taken (set to -1) */

struct varlink_fd_batch {
    uint64_t position; /* in the stream, of the last byte that came with them */
    int fds[VARLINK_FDS_MAX];
    size_t n_fds;
};

struct varlink_stream {
    int fd; /* owned */
    bool eof;
    bool refuse_fds; /* the kernel drops what the peer passes: closing a stranger's file ourselves can block
                        (FUSE, NFS) */
    size_t input_max, output_max;
    /* private */
    char *input;                      /* unread bytes are [start, end) */
    size_t start, scanned, end, size; /* no NUL in [start, scanned) */
    uint64_t position;                /* in the stream, of input[start] */
    struct varlink_fd_batch batches[VARLINK_FDS_MAX];
    size_t n_batches;
    struct list output; /* struct varlink_output */
    size_t output_bytes;
};

/* Takes fd over and makes it non-blocking. */
void varlink_stream_init(struct varlink_stream *s, int fd, size_t input_max, size_t output_max);
void varlink_stream_done(struct varlink_stream *s);

/* One recvmsg(). 1 something came, 0 end of file (s->eof is set), -EAGAIN, -EMSGSIZE (message too long),
 * -EXFULL (too many descriptors), or the error of recvmsg(2). */
int varlink_read(struct varlink_stream *s);
/* Takes the next complete message out. 1, or 0 if there is none yet. */
int varlink_next(struct varlink_stream *s, struct varlink_message *ret);
/* True if varlink_next() would give one. */
bool varlink_has_message(struct varlink_stream *s);

/* Text to a JSON object, strictly: no duplicate keys, no trailing text, valid UTF-8, no NUL in strings,
 * bounded depth. -EBADMSG with the place in *e, -ENOMEM. */
int varlink_parse(const char *text, size_t length, json_t **ret, struct error *e);

/* Queues an object (not taken over) with descriptors (duplicated). -ENOBUFS if the peer has more than
 * output_max bytes unread, -ENOMEM, -EMFILE. */
int varlink_queue(struct varlink_stream *s, json_t *object, const int *fds, size_t n_fds);
/* Sends what the socket takes. 1 all sent, 0 some is left, or -errno. */
int varlink_flush(struct varlink_stream *s);
