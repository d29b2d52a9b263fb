/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The CRI log format, one record a line (Kubernetes, "kubelet CRI logging"): time stamp, stream, tag, text.
 *
 *   2026-11-21T05:46:11.123456000Z stdout F text
 *
 * The tag is P for a piece of a line that goes on in the next record, F for its end. A unit has one FIFO for
 * both its output streams, so that their order is kept; the stream is always given as stdout.
 */
#pragma once

#include "base/clock.h"
#include "log/lines.h"

#define CRI_HEAD_MAX (TIMESTAMP_MAX + 10)

/* The part of a record that all lines read at one time share; tag and text follow. Returns its length. */
size_t cri_head(usec_t realtime, char ret[static CRI_HEAD_MAX]);
/* Bytes that cri_append() writes. */
static inline size_t cri_length(size_t head_length, const struct line *line) {
    return head_length + 2 + line->length + 1;
}
/* Writes the record of a line at out, which has room for it. Returns the end. */
char *cri_append(char *out, const char *head, size_t head_length, const struct line *line);
