/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Several layers of an image unpacked side by side, as many as there are processors. Their order is no matter
 * until they are put in their places: each is unpacked alone (unpack.h).
 *
 * Either all layers are there at the start, unpack_many(), or each is given to the crew when its blob has come,
 * while the caller goes on fetching: crew_start(), crew_add() for each, crew_end().
 */
#pragma once

#include "worker/unpack.h"

#define UNPACK_THREADS_MAX 4 /* each has some MiB of buffers */

/* Unpacks layer i of the userdata; called from several threads at once, each with a working directory of its
 * own. */
typedef int (*unpack_one_t)(void *userdata, size_t i, struct unpacked *ret, struct error *e);

/* Calls `one` for each i < n, but for nothing more once one has failed. ret has room for n and gets them in
 * order, up to the first that failed, whose -errno and *e are the result. */
int unpack_many(
    size_t n, unpack_one_t one, void *userdata, struct unpacked *ret, size_t *ret_n, struct error *e);

struct crew;
int crew_start(size_t n, unpack_one_t one, void *userdata, struct crew **ret, struct error *e);
/* Layer i may be unpacked from now on. */
void crew_add(struct crew *c, size_t i);
/* Nothing more is wanted: what `one` is at may be left as it is. Also true once one has failed. */
bool crew_stops(struct crew *c);
/* Waits for all that was added, or, `given_up`, for nothing more than what is under way. The result and ret are
 * those of unpack_many(): a layer that was never added ends the row. The crew is over afterwards. */
int crew_end(struct crew *c, bool given_up, struct unpacked *ret, size_t *ret_n, struct error *e);
