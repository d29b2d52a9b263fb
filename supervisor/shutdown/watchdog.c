/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/watchdog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "shutdown/shutdown.h"

static int watchdog = -1;

void watchdog_take(int fd) {
    int seconds = 0;

    watchdog = fd;
    if (fd >= 0 && ioctl(fd, WDIOC_GETTIMEOUT, &seconds) == 0)
        log_info("hardware watchdog: %d s", seconds);
    watchdog_keepalive();
}

void watchdog_keepalive(void) {
    if (watchdog >= 0)
        (void)ioctl(watchdog, WDIOC_KEEPALIVE, 0);
}

void watchdog_leave(void) {
    if (watchdog >= 0 && fd_set_cloexec(watchdog, true) >= 0)
        (void)!write(watchdog, "V", 1);
}
