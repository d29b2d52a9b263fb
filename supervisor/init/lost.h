/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine without a manager. davit-init goes on trying, and containers go on, so nothing more happens by
 * itself: the hardware watchdog is fed as long as the loop of davit-init turns, whether or not davitd is
 * well. Where that is not enough, `davit.manager_lost=TIME` says how long no davitd may be ready: then the
 * machine reboots, by davit-shutdown and with the hardware watchdog armed behind it, and has said why. A
 * watchdog that is left to run out would do the same without a word and without unmounting.
 */
#pragma once

#include "base/clock.h"

struct keeper;

/* No davitd is ready from now on; the first call counts. */
void lost_begin(struct keeper *k);
/* One is. */
void lost_end(struct keeper *k);
/* When it is too long; USEC_INFINITY = never. */
usec_t lost_deadline(const struct keeper *k);
void lost_overdue(struct keeper *k);
