/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/watchdog.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "shutdown/shutdown.h"

static int watchdog = -1;

void watchdog_arm(int fd, usec_t timeout) {
    int seconds = (int)MIN(timeout / USEC_PER_SEC, (usec_t)INT32_MAX);

    watchdog = fd;
    if (fd < 0)
        return;
    /* A device that cannot count that far keeps the time-out it has: it is pinged all the more often. */
    if (seconds > 0 && ioctl(fd, WDIOC_SETTIMEOUT, &seconds) < 0)
        (void)log_errno(LOG_WARNING, errno, "the watchdog does not take a time-out of %d s", seconds);
    else if (ioctl(fd, WDIOC_GETTIMEOUT, &seconds) == 0)
        log_info("hardware watchdog: %d s", seconds);
    watchdog_keepalive();
}

void watchdog_keepalive(void) {
    if (watchdog >= 0)
        (void)ioctl(watchdog, WDIOC_KEEPALIVE, 0);
}
