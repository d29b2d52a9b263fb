/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal's native protocol, sending side: datagrams of fields to /run/systemd/journal/socket
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL). Never waits: sd_journal_send(3) blocks for as long as
 * journald hangs, which neither the manager nor davit-logd can afford. What to do with a message that did not
 * go out (keep it, drop it, write it to /dev/kmsg) is for the caller to decide.
 */
#pragma once

#include <sys/uio.h>

#include "base/macro.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define JOURNAL_FIELDS_MAX 48

struct journal {
    int fd; /* connected, or -1; may be watched for EPOLLOUT after -EAGAIN (it changes on reconnection) */
    const char *path; /* borrowed */
    uint64_t failed;  /* sends that did not go out, by any error */
};

#define JOURNAL_INIT ((struct journal){.fd = -1, .path = JOURNAL_SOCKET})

/* Connects. 0, or -errno when no journal is there (-ENOENT, -ECONNREFUSED): journal_send() will try again. */
int journal_open(struct journal *j);
void journal_close(struct journal *j);
/* Sends one entry. Each field is "NAME=value" of iov_len bytes; a value may contain anything, newlines
 * included. Reconnects by itself after journald was restarted. 0, -EAGAIN (journald is slow: would block),
 * -ENOENT or -ECONNREFUSED (no journal), -E2BIG (more than JOURNAL_FIELDS_MAX), -EINVAL (a field without
 * '='). */
int journal_send(struct journal *j, const struct iovec *fields, size_t n);
/* Sends entries that are in the protocol's form already, each small enough for a datagram. Returns how many
 * went out (at least one), or -errno as above. The kernel notes in msg_len of each message that it has been
 * sent, before anything can kill the caller: with the messages in memory that outlives it, its successor can
 * tell (log/state.h). */
struct mmsghdr;
int journal_send_many(struct journal *j, struct mmsghdr *messages, unsigned n);

/* Puts one field into the protocol's form: as "NAME=value\n", or, where the value has a newline, as name,
 * newline, 64-bit little-endian length, value, newline. Writes at most 5 elements at out, which point into
 * field and header. Returns how many, or -EINVAL. Used by journal_send(); open for testing and for entries
 * prepared once. */
int journal_field(const struct iovec *field, uint64_t *header, struct iovec out[static 5]);
