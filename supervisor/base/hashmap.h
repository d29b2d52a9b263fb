/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hash table with string keys: open addressing, siphash with a random key (names may come from outsiders),
 * insertion order not kept. A NULL map reads as an empty one. Keys are borrowed: they must live inside the
 * value or longer than the entry.
 */
#pragma once

#include "base/macro.h"

struct hashmap;
struct hashmap *hashmap_new(void);
void hashmap_free(struct hashmap *h); /* values are not touched */
DEFINE_CLEANUP(struct hashmap *, hashmap_free)
size_t hashmap_size(const struct hashmap *h);
void *hashmap_get(const struct hashmap *h, const char *key);
/* 0, -EEXIST, -ENOMEM, -EINVAL (a NULL value, which get could not tell from none). */
int hashmap_put(struct hashmap *h, const char *key, void *value);
/* Removes and returns the value, or NULL. Safe for the current entry inside HASHMAP_FOREACH. */
void *hashmap_remove(struct hashmap *h, const char *key);
/* Iteration: *position starts at 0; returns NULL at the end. Do not insert while iterating. */
void *hashmap_next(const struct hashmap *h, size_t *position);
#define HASHMAP_FOREACH(value, h) \
    for (size_t position_##value = 0; ((value) = hashmap_next((h), &position_##value));)

/* SipHash-2-4 with a key fixed for this process. */
uint64_t siphash(const void *data, size_t n);
/* The same with key 0: stable over processes, for names that are derived from other names. */
uint64_t siphash_stable(const void *data, size_t n);
