/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hardware watchdog: a timer that resets the machine when nobody has touched it for a while. davit-init
 * touches it from its loop and nowhere else, so it runs out exactly when the loop stands still.
 *
 * Off unless a time-out is given (`davit.watchdog=` on the kernel's command line, or "watchdog" in
 * davit.conf). The device is never closed while a machine runs: closing may stop the timer or, on other
 * hardware, fire it. davit-shutdown inherits the descriptor, with the time-out for reboot or kexec set.
 *
 * ioctls on a watchdog device do not wait: drivers answer from registers
 * (Documentation/watchdog/watchdog-api.rst).
 */
#pragma once

#include "base/clock.h"

#define HARDWARE_WATCHDOG_REBOOT_USEC (10 * 60 * USEC_PER_SEC) /* as systemd: generous, but not for ever */

struct hardware_watchdog {
    int fd;                                   /* -1 = not open */
    char device[64];                          /* "" = the first one there is */
    usec_t run_usec, reboot_usec, kexec_usec; /* what is wanted; 0 = off */
    usec_t set_usec;                          /* what the hardware made of it */
    usec_t ping_at;                           /* USEC_INFINITY = never */
    char identity[33];
    unsigned boot_status; /* WDIOF_* of the last reset, where sysfs does not tell them */
};

/* Where the kernel tells what a watchdog remembers of the last reset, without opening it
 * (CONFIG_WATCHDOG_SYSFS). */
#define HARDWARE_WATCHDOG_BOOT_STATUS "/sys/class/watchdog/watchdog0/bootstatus"

/* The reasons for a boot that are in flags, one a call, in words; NULL when there are no more. *i begins with
 * 0. */
const char *hardware_watchdog_reason(unsigned flags, size_t *i);

void hardware_watchdog_init(struct hardware_watchdog *w);
/* Opens the device if a time-out is wanted and it is not open yet, sets the time-out, touches it. To be
 * called again when drivers may have come. 0, -ENODEV while there is none, or -errno. */
int hardware_watchdog_open(struct hardware_watchdog *w);
/* Sets another time-out on the open device: before a reboot, or when davit.conf says so. 0 stops the timer,
 * where the hardware can be stopped. */
int hardware_watchdog_set(struct hardware_watchdog *w, usec_t usec);
/* Touches it when that is due; called in every turn of the loop. */
void hardware_watchdog_tick(struct hardware_watchdog *w, usec_t now);
