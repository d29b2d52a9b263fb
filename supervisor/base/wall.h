/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A message to everybody who is logged in, as wall(1) writes it. */
#pragma once

#include "base/clock.h"
#include "base/ending.h"

/* To every terminal of utmp(5), without waiting for one that does not take it. utmp itself is locked, and that may
 * wait: not for davitd's own loop. */
void wall(const char *text);

/* What is said of an ending: message (or NULL) and when it is, CLOCK_REALTIME; what has passed is "now". New string or
 * NULL. */
char *wall_text(enum ending_kind kind, usec_t when, const char *message);
/* When an ending at `when` is told of next: each hour, in the last three every half, in the last ten minutes each. `when`
 * itself if nothing is to be said before. As systemd-logind does. Pure. */
usec_t wall_next(usec_t now, usec_t when);
