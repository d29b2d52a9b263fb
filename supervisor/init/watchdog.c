/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/watchdog.h"

#include <signal.h>

void watchdog_init(struct watchdog *w, usec_t period) {
    *w = (struct watchdog){.period = period, .deadline = USEC_INFINITY};
}

void watchdog_start(struct watchdog *w, usec_t now) {
    w->aborted = false;
    w->deadline = w->period == 0 ? USEC_INFINITY : usec_add(now, WATCHDOG_START_PERIODS * w->period);
}

void watchdog_stop(struct watchdog *w) {
    w->aborted = false;
    w->deadline = USEC_INFINITY;
}

void watchdog_ping(struct watchdog *w, usec_t now) {
    if (w->period > 0 && !w->aborted)
        w->deadline = usec_add(now, w->period);
}

void watchdog_extend(struct watchdog *w, usec_t now, usec_t usec) {
    usec_t until = usec_add(now, usec);

    if (w->period > 0 && !w->aborted && until > w->deadline)
        w->deadline = until;
}

void watchdog_trigger(struct watchdog *w, usec_t now) {
    if (!w->aborted)
        w->deadline = now;
}

int watchdog_tick(struct watchdog *w, usec_t now) {
    if (now < w->deadline)
        return 0;
    if (w->aborted) {
        /* A process in uninterruptible sleep does not go at once; once more a little later does no harm. */
        w->deadline = usec_add(now, WATCHDOG_KILL_USEC);
        return SIGKILL;
    }
    w->aborted = true;
    w->deadline = usec_add(now, WATCHDOG_KILL_USEC);
    return SIGABRT;
}
