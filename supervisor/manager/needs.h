/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * StopWhenUnneeded= and Upholds=: what holds for as long as units run, not only when a job is made.
 *
 * Whenever a unit changes its state or is done with a job, those that it needs, and the unit itself, are looked
 * at again: not at once, but as a follow-up, when the jobs of one request are all there. So a unit is never
 * stopped in the middle of a transaction that is about to need it.
 *
 * Two units may have such rules that contradict each other. What is done here is therefore limited as systemd
 * does it, to 16 times in 10 seconds for a unit; after that the unit is left alone until they are over.
 */
#pragma once

#include "manager/manager.h"

/* u's state, or its job, is another one. */
void needs_changed(struct managed_unit *u);
/* FOLLOW_NEEDS: does what has to be done with u, if anything. */
void needs_look(struct managed_unit *u);
/* All units: after files were read, and for what happened while there was no davitd. */
void needs_look_at_all(struct manager *m);
