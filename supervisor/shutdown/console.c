/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "base/log.h"
#include "shutdown/shutdown.h"

/* For a hook that writes at this moment, or a whole buffer (4 KiB) at 9,600 baud. */
#define CONSOLE_USEC (5 * USEC_PER_SEC)
#define LOOK_USEC (20 * USEC_PER_MSEC)

void console_log(int priority, const char *text, _unused_ char *const *fields) {
    char line[1024];
    int n = snprintf(line, sizeof line, "%sdavit-shutdown: %s\n", priority <= LOG_ERR ? "*** " : "", text);

    watchdog_keepalive();
    if (n > 0)
        log_line(STDERR_FILENO, line, MIN((size_t)n, sizeof line - 1), CONSOLE_USEC);
}

void console_give(void) {
    _cleanup_close_ int fd =
        isatty(STDERR_FILENO) ? open("/proc/self/fd/2", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC) : -1;

    if (fd < 0 || fd_set_nonblock(fd, false) < 0)
        return;
    (void)dup2(fd, STDOUT_FILENO);
    (void)dup2(fd, STDERR_FILENO);
}

void console_drain(void) {
    usec_t deadline = usec_add(now_monotonic(), CONSOLE_USEC);
    int left = 0;

    while (ioctl(STDERR_FILENO, TIOCOUTQ, &left) == 0 && left > 0 && now_monotonic() < deadline)
        bounded_pause(LOOK_USEC);
    bounded_pause(LOOK_USEC); /* for what the device itself has in hand */
}
