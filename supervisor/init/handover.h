/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What davit-init tells itself across execve(2) (reexec.h): everything that it must not forget, as text in a
 * sealed memfd. Descriptors go through by number, as they are.
 *
 *   davit-init state
 *   version=1
 *   pid=1
 *   phase=0
 *   part.davitd=4711 30118204 18446744073709551615 0
 *   fd.feed-read=7
 *   fd.store=31 p-2f0e
 *   ...
 *   sum=0123456789abcdef
 *
 * The reader may be newer than the writer, or older (a downgrade). So:
 *   - a key that is missing leaves what a davit-init has that has just started
 *   - a key that is not known is passed over; one that starts with "fd." names a descriptor, which is closed
 *   - the version grows only when a key changes its meaning; a version that is not known is refused
 *
 * A room that has something to keep adds a row to the table in handover.c. Nothing is allocated.
 */
#pragma once

#include "init/run.h"

/* A sealed memfd with all of *k, close-on-exec. Its number or -errno. */
int handover_write(struct keeper *k);
/* Fills in *k, which is as keeper_init() leaves it. 0; -EBADMSG (damaged, or of another process),
 * -EPROTONOSUPPORT (a version that is not known), -errno; then *k is not to be used. */
int handover_read(int fd, struct keeper *k);
/* Reads as handover_read() does and touches no descriptor: can this program go on from there? */
int handover_check(int fd, struct keeper *scratch);
/* Whether the descriptors of *k go through the next execve(2). */
void handover_inherit(struct keeper *k, bool on);
