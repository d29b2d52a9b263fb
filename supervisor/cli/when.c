/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times of shutdown(8) and of --when=. */
#include "base/parse.h"
#include "cli/cli.h"

/* "23:15": today, or tomorrow where that has passed. In local time, over a change of the clock as well. */
static int parse_clock(const char *s, usec_t now, usec_t *ret) {
    time_t seconds = (time_t)(now / USEC_PER_SEC);
    _cleanup_free_ char *text = strdup(s);
    char *minutes = text, *hours = strsep(&minutes, ":");
    uint64_t hour, minute;
    struct tm tm;

    if (!minutes || parse_uint(hours, 0, 23, &hour) < 0 || parse_uint(minutes, 0, 59, &minute) < 0)
        return -EINVAL;
    for (int day = 0; day < 3; day++) {
        if (!localtime_r(&seconds, &tm))
            return -EINVAL;
        tm.tm_mday += day;
        tm.tm_hour = (int)hour;
        tm.tm_min = (int)minute;
        tm.tm_sec = 0;
        tm.tm_isdst = -1;
        time_t t = mktime(&tm);
        if (t > seconds) {
            *ret = (usec_t)t * USEC_PER_SEC;
            return 0;
        }
    }
    return -EINVAL;
}

int when_parse(const char *s, usec_t now, usec_t default_unit, usec_t *ret) {
    uint64_t n;
    usec_t t;

    if (*s == '+' && parse_uint(s + 1, 0, UINT32_MAX, &n) >= 0) {
        *ret = usec_add(now, n * default_unit);
        return 0;
    }
    if (parse_clock(s, now, ret) >= 0)
        return 0;
    /* "today" and "5min ago" are times, but none to wait for. */
    int r = timestamp_parse(s, now, &t);
    if (r < 0)
        return r;
    if (t < now)
        return -ERANGE;
    *ret = t;
    return 0;
}
