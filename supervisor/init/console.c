/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/console.h"

#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/macro.h"

void console_write(int priority, const char *text, char *const *fields _unused_) {
    char line[1024];

    /* The prefix is for the journal and other collectors (sd-daemon(3)); a person at a terminal needs the
     * name only. */
    int n = isatty(STDERR_FILENO) ? snprintf(line, sizeof line, "davit-init: %s\n", text)
                                  : snprintf(line, sizeof line, "<%d>davit-init: %s\n", priority, text);
    if (n < 0)
        return;
    size_t length = MIN((size_t)n, sizeof line - 1);
    line[length - 1] = '\n';

    if (send(STDERR_FILENO, line, length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno != ENOTSOCK)
        return;
    /* A pipe that polls writable takes PIPE_BUF bytes without blocking; so does a terminal that is not
     * stopped. The descriptor itself stays blocking: it is shared with whoever started davit-init. SIGPIPE is
     * blocked. */
    _Static_assert(sizeof line <= PIPE_BUF, "one write, whole");
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT))
        (void)!write(STDERR_FILENO, line, length);
}
