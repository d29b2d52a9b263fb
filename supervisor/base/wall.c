/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/wall.h"

#include <fcntl.h>
#include <utmpx.h>

#include "base/fs.h"
#include "base/str.h"

/* For one who writes to it at this moment. */
#define TERMINAL_USEC (50 * USEC_PER_MSEC)

/* A terminal may be stopped, and its name in utmp anything: only what is a terminal below /dev gets the text,
 * and what does not take it in time does not get it. */
static void write_to(const char *line, const char *text) {
    _cleanup_free_ char *path = strf("/dev/%s", line);

    if (!path || strstr(line, ".."))
        return;
    _cleanup_close_ int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && isatty(fd))
        (void)write_within(fd, text, strlen(text), TERMINAL_USEC);
}

void wall(const char *text) {
    char host[256] = "", user[64];
    struct utmpx *u;

    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(user, sizeof(user), "%u", (unsigned)getuid());
    _cleanup_free_ char *whole = strf("\r\n\aBroadcast message from %s on %s:\r\n\r\n%s\r\n\r\n",
        getuid() == 0 ? "root" : user, *host ? host : "this machine", text);
    if (!whole)
        return;
    setutxent();
    while ((u = getutxent())) {
        char line[sizeof(u->ut_line) + 1]; /* there it ends with a NUL only where there is room */
        (void)snprintf(line, sizeof(line), "%.*s", (int)sizeof(u->ut_line), u->ut_line);
        if (u->ut_type == USER_PROCESS && *line)
            write_to(line, whole);
    }
    endutxent();
}

char *wall_text(enum ending_kind kind, usec_t when, const char *message) {
    char time[TIMESTAMP_MAX];
    bool later = when > now_realtime();

    return strf("%s%sThe system goes down for %s %s%s!", message ?: "", isempty(message) ? "" : "\r\n",
        ending_name(kind), later ? "at " : "", later ? timestamp_format(when, time) : "now");
}

usec_t wall_next(usec_t now, usec_t when) {
    static const unsigned minutes_before[] = {
        180, 150, 130, 100, 70, 55, 40, 25, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1};
    usec_t left = when > now ? when - now : 0;

    if (left == 0)
        return when;
    if (left > 180 * USEC_PER_MINUTE)
        return when - (left - 1) / (60 * USEC_PER_MINUTE) * (60 * USEC_PER_MINUTE);
    for (size_t i = 0; i < ARRAY_SIZE(minutes_before); i++)
        if (minutes_before[i] * USEC_PER_MINUTE < left)
            return when - minutes_before[i] * USEC_PER_MINUTE;
    return when;
}
