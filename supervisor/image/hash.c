/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/hash.h"

#include <string.h>

void hash_init(struct hash *h) {
    sha256_init(&h->context);
    h->size = 0;
}

void hash_update(struct hash *h, const void *data, size_t n) {
    sha256_update(&h->context, n, data);
    h->size += n;
}

void hash_digest(const struct hash *h, char ret[static DIGEST_TEXT]) {
    struct sha256_ctx context = h->context; /* sha256_digest() starts its context anew */
    uint8_t sum[SHA256_DIGEST_SIZE];
    char *p = ret + sizeof(DIGEST_PREFIX) - 1;

    sha256_digest(&context, sizeof(sum), sum);
    memcpy(ret, DIGEST_PREFIX, sizeof(DIGEST_PREFIX) - 1);
    for (size_t i = 0; i < sizeof(sum); i++, p += 2) {
        p[0] = "0123456789abcdef"[sum[i] >> 4];
        p[1] = "0123456789abcdef"[sum[i] & 15];
    }
    *p = '\0';
}

void hash_data(const void *data, size_t n, char ret[static DIGEST_TEXT]) {
    struct hash h;

    hash_init(&h);
    hash_update(&h, data, n);
    hash_digest(&h, ret);
}
