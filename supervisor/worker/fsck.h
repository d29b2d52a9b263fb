/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of fsck share: finding what is wrong (fsck.c), and getting it back from what is on this
 * machine (fsck-restore.c). */
#pragma once

#include "worker/worker.h"

/* Stores besides our own, read-only: those of --root that are there. */
struct fsck_roots {
    struct store *stores;
    size_t n;
};

/* Brings back what an image lacks: documents from another store that has them, layers from their blob if that
 * was kept, or from another store. Everything is checked by its digest on the way. 0 if the image is whole
 * then; why not stands in *e. Takes the store's lock by itself, so the caller must not hold it. */
int fsck_restore(
    const struct store *s, const struct fsck_roots *roots, const char *manifest, struct error *e);
