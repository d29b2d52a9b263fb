/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Random bytes from the last boot, mixed into the kernel's generator. Its date is the last time that the
 * machine is known to have run. */
#define SEED_FILE "/var/lib/davit/random-seed"
/* Touched by davit-shutdown: the same, at the end of the last run. */
#define CLOCK_FILE "/var/lib/davit/clock"
