/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/hardware_watchdog.h"

#include <fcntl.h>
#include <linux/watchdog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

/* Two chances in each period. */
#define PINGS_PER_PERIOD 2
/* Of a driver that neither takes a time-out nor tells the one it has. It runs since it was opened, so it is
 * touched as if it had the shortest that is common. */
#define UNKNOWN_SECONDS 5

static const struct reason {
    unsigned flag;
    char text[44]; /* in place: a pointer would be relocated, and its page davit-init's own */
} reasons[] = {
    {WDIOF_CARDRESET, "the hardware watchdog reset the machine"},
    {WDIOF_OVERHEAT, "the machine was too hot"},
    {WDIOF_FANFAULT, "a fan failed"},
    {WDIOF_POWERUNDER, "the supply voltage was too low"},
    {WDIOF_POWEROVER, "the supply voltage was too high"},
    {WDIOF_EXTERN1, "external relay 1 fired"},
    {WDIOF_EXTERN2, "external relay 2 fired"},
};

const char *hardware_watchdog_reason(unsigned flags, size_t *i) {
    while (*i < ARRAY_SIZE(reasons)) {
        const struct reason *r = &reasons[(*i)++];
        if (flags & r->flag)
            return r->text;
    }
    return NULL;
}

void hardware_watchdog_init(struct hardware_watchdog *w) {
    *w = (struct hardware_watchdog){
        .fd = -1, .reboot_usec = HARDWARE_WATCHDOG_REBOOT_USEC, .ping_at = USEC_INFINITY};
}

static int open_device(struct hardware_watchdog *w) {
    const char *const names[] = {w->device, "/dev/watchdog0", "/dev/watchdog"};

    for (size_t i = 0; i < (*w->device ? 1 : ARRAY_SIZE(names)); i++) {
        if (!*names[i])
            continue;
        w->fd = open(names[i], O_WRONLY | O_CLOEXEC);
        if (w->fd >= 0)
            return 0;
        if (errno != ENOENT)
            return negative_errno();
    }
    return -ENODEV;
}

static unsigned ask_boot_status(int fd) {
    int flags = 0;

    return ioctl(fd, WDIOC_GETBOOTSTATUS, &flags) < 0 ? 0 : (unsigned)flags;
}

int hardware_watchdog_open(struct hardware_watchdog *w) {
    struct watchdog_info info = {};

    if (w->fd >= 0 || w->run_usec == 0)
        return 0;
    int r = open_device(w);
    if (r < 0)
        return r;
    if (ioctl(w->fd, WDIOC_GETSUPPORT, &info) == 0)
        (void)snprintf(w->identity, sizeof w->identity, "%.32s", (const char *)info.identity);
    if (access(HARDWARE_WATCHDOG_BOOT_STATUS, F_OK) < 0)
        w->boot_status = ask_boot_status(w->fd);
    r = hardware_watchdog_set(w, w->run_usec);
    log_info("hardware watchdog \"%s\", time-out %llu s", w->identity,
        (unsigned long long)(w->set_usec / USEC_PER_SEC));
    return r;
}

static void touch(struct hardware_watchdog *w) {
    (void)ioctl(w->fd, WDIOC_KEEPALIVE, 0);
}

static int switch_on(struct hardware_watchdog *w, bool on) {
    int flags = on ? WDIOS_ENABLECARD : WDIOS_DISABLECARD;

    /* Drivers that cannot be switched are on for as long as they are open. */
    return ioctl(w->fd, WDIOC_SETOPTIONS, &flags) < 0 && errno != ENOTTY && errno != EOPNOTSUPP
               ? negative_errno()
               : 0;
}

int hardware_watchdog_set(struct hardware_watchdog *w, usec_t usec) {
    int seconds = (int)CLAMP((usec + USEC_PER_SEC - 1) / USEC_PER_SEC, (usec_t)1, (usec_t)INT32_MAX);

    if (w->fd < 0)
        return -ENODEV;
    if (usec == 0) {
        w->ping_at = USEC_INFINITY;
        w->set_usec = 0;
        return switch_on(w, false);
    }
    /* The driver says what it really took; one that takes nothing has a fixed period. */
    if (ioctl(w->fd, WDIOC_SETTIMEOUT, &seconds) < 0 && ioctl(w->fd, WDIOC_GETTIMEOUT, &seconds) < 0)
        seconds = UNKNOWN_SECONDS;
    w->set_usec = (usec_t)MAX(seconds, 1) * USEC_PER_SEC;
    int r = switch_on(w, true);
    touch(w);
    w->ping_at = usec_add(now_monotonic(), w->set_usec / PINGS_PER_PERIOD);
    return r;
}

void hardware_watchdog_tick(struct hardware_watchdog *w, usec_t now) {
    if (w->ping_at > now)
        return;
    touch(w);
    w->ping_at = usec_add(now, w->set_usec / PINGS_PER_PERIOD);
}
