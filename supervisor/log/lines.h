/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a container writes, cut into lines. Pure: no descriptor, no memory of its own, no clock.
 *
 * A line ends with a newline, which is not part of it. A line longer than LINE_MAX_BYTES is given out in
 * pieces of that size, marked as partial, the last one (with the newline) not: that is the "P" and "F" of the
 * CRI log format.
 * "<N>" with N from 0 to 7 at the start of a line is its priority (sd-daemon(3)); it is taken off, and holds
 * for all pieces of the line.
 */
#pragma once

#include "base/macro.h"

#define LINE_MAX_BYTES (48 * 1024)

struct line {
    const char *text; /* inside the cursor's data */
    size_t length;
    uint8_t priority;
    bool partial; /* more of the same line follows */
};

/* Where in a line the data begins; kept from one batch to the next. */
struct line_context {
    bool continued;   /* a piece of this line has been given out already */
    uint8_t priority; /* of that line, when continued */
};

struct line_cursor {
    const char *data;
    size_t length, position;
    uint8_t default_priority;
    struct line_context context;
};

/* The next line, or piece of one. False if what is left (from position on, at most LINE_MAX_BYTES) has no end
 * yet. */
bool line_next(struct line_cursor *c, struct line *ret);
/* What is left, as it is: a piece (partial), or the last line of a stream that has ended. False if nothing is
 * left and, for the last line, no earlier piece waits for its end. */
bool line_rest(struct line_cursor *c, bool partial, struct line *ret);
