/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Time: microseconds on CLOCK_MONOTONIC for deciding, wall clock only for people. Time spans as in
 * systemd.time(7). */
#pragma once

#include <time.h>

#include "base/macro.h"

typedef uint64_t usec_t;
#define USEC_INFINITY UINT64_MAX
#define USEC_PER_MSEC 1000ULL
#define USEC_PER_SEC 1000000ULL
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define NSEC_PER_USEC 1000ULL
#define NSEC_PER_SEC 1000000000L /* of a struct timespec */

usec_t clock_usec(clockid_t clock);
static inline usec_t now_monotonic(void) {
    return clock_usec(CLOCK_MONOTONIC);
}
static inline usec_t now_realtime(void) {
    return clock_usec(CLOCK_REALTIME);
}
/* a + b, where infinity and overflow give infinity. */
static inline usec_t usec_add(usec_t a, usec_t b) {
    return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}

#define TIMESPAN_MAX 64
#define TIMESTAMP_MAX 40
/* "5min 20s", "100ms", "1.5h", "90" (seconds), "infinity"; units us ms s min h d w month y and their long
 * forms. 0, -EINVAL, -ERANGE. */
int timespan_parse(const char *s, usec_t *ret);
/* "1min 30s", "1.5s", "infinity", "0". accuracy: parts below it are left out, but never all of them. Returns
 * buffer or a constant. */
const char *timespan_format(usec_t t, usec_t accuracy, char buffer[static TIMESPAN_MAX]);
/* "Sat 2026-11-21 05:46:11 UTC" in local time; "n/a" for 0 and infinity, which stand for "never". Returns
 * buffer or a constant. */
const char *timestamp_format(usec_t realtime, char buffer[static TIMESTAMP_MAX]);
/* RFC 3339 with nanoseconds, UTC: "2026-11-21T05:46:11.123456000Z". */
const char *timestamp_format_rfc3339(usec_t realtime, char buffer[static TIMESTAMP_MAX]);
/* Inverse for `--since`: RFC 3339, "YYYY-MM-DD[ HH:MM[:SS]]" (local), "today", "yesterday", "now", "-5min",
 * "5min ago",
 * "@EPOCH", and what timestamp_format() writes. 0 or -EINVAL. */
int timestamp_parse(const char *s, usec_t now, usec_t *ret_realtime);
