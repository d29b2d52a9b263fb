/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Several layers of an image unpacked side by side, as many as there are processors. Their order is no matter
 * until they are put in their places: each is unpacked alone (unpack.h). */
#pragma once

#include "worker/unpack.h"

#define UNPACK_THREADS_MAX 4 /* each has some MiB of buffers */

/* Calls `one` for each i < n, from several threads at once, but for nothing more once one has failed. ret has
 * room for n and gets them in order, up to the first that failed, whose -errno and *e are the result. */
int unpack_many(size_t n, int (*one)(void *userdata, size_t i, struct unpacked *ret, struct error *e),
    void *userdata, struct unpacked *ret, size_t *ret_n, struct error *e);
