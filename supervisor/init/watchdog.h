/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether davitd still makes progress: it promises WATCHDOG=1 within each period. Until its first sign of
 * life it has three periods (it may have a thousand units to take over), and EXTEND_TIMEOUT_USEC= buys more.
 * A davitd that is late gets SIGABRT, for a core dump, and SIGKILL five seconds later. Containers do not
 * notice.
 *
 * Pure: the caller brings the time and sends the signal.
 */
#pragma once

#include "base/clock.h"

#define WATCHDOG_DEFAULT_USEC (180 * USEC_PER_SEC)
#define WATCHDOG_START_PERIODS 3
#define WATCHDOG_KILL_USEC (5 * USEC_PER_SEC)

struct watchdog {
    usec_t period;   /* 0 = off */
    usec_t deadline; /* USEC_INFINITY = nothing is waited for */
    bool aborted;    /* SIGABRT was sent, the next is SIGKILL */
};

void watchdog_init(struct watchdog *w, usec_t period);
void watchdog_start(struct watchdog *w, usec_t now);
void watchdog_stop(struct watchdog *w);
void watchdog_ping(struct watchdog *w, usec_t now);
/* EXTEND_TIMEOUT_USEC=: not before now + usec. */
void watchdog_extend(struct watchdog *w, usec_t now, usec_t usec);
/* WATCHDOG=trigger: as if the time had run out. */
void watchdog_trigger(struct watchdog *w, usec_t now);
/* The signal that is due, or 0. Moves the deadline on. */
int watchdog_tick(struct watchdog *w, usec_t now);
