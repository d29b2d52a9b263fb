/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of fsck share: finding what is wrong (fsck.c, fsck-chains.c), and getting it back from what is
 * on this machine (fsck-restore.c). */
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

/* What drivers have put together of an image's layers, if they have: 1 if it is not what the layers are (which has
 * been said); with repair it is removed then, and made anew when a container needs it. seen: digests of those
 * that have been looked at; each is only once. */
int fsck_chain_of(struct worker *w, const char *manifest, char ***seen, bool repair, struct error *e);
