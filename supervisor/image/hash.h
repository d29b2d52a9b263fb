/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making digests. Uses nettle, so it is for davit-image only: davitd, davit and davit-launch do not link it.
 */
#pragma once

#include <nettle/sha2.h>

#include "image/digest.h"

struct hash {
    struct sha256_ctx context;
    uint64_t size; /* bytes so far */
};
void hash_init(struct hash *h);
void hash_update(struct hash *h, const void *data, size_t n);
/* The digest of what went in so far; more may follow. */
void hash_digest(const struct hash *h, char ret[static DIGEST_TEXT]);
void hash_data(const void *data, size_t n, char ret[static DIGEST_TEXT]);
