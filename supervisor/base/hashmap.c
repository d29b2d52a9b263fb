/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/hashmap.h"

#include <string.h>

#include "base/id128.h"

#define SLOTS_MIN 8

/*
 * Linear probing over a power of two of slots, at most three quarters of them in use. A removed entry leaves
 * a mark behind (key removed_key) instead of moving its neighbours up: that keeps positions stable, which is
 * what makes removal inside HASHMAP_FOREACH safe. Marks go away at the next growth.
 */
struct slot {
    const char *key; /* NULL = never used since the last growth */
    void *value;
    uint64_t hash;
};

struct hashmap {
    struct slot *slots;
    size_t n_slots; /* 0 or a power of two */
    size_t n_entries;
    size_t n_used; /* entries and marks */
};

static const char removed_key[] = "";

static bool slot_is_entry(const struct slot *s) {
    return s->key && s->key != removed_key;
}

struct hashmap *hashmap_new(void) {
    return calloc(1, sizeof(struct hashmap));
}

void hashmap_free(struct hashmap *h) {
    if (!h)
        return;
    free(h->slots);
    free(h);
}

size_t hashmap_size(const struct hashmap *h) {
    return h ? h->n_entries : 0;
}

static struct slot *find(const struct hashmap *h, const char *key, uint64_t hash) {
    if (!h || h->n_slots == 0)
        return NULL;

    /* Ends: at least a quarter of the slots were never used. */
    for (size_t i = hash & (h->n_slots - 1); h->slots[i].key; i = (i + 1) & (h->n_slots - 1)) {
        struct slot *s = &h->slots[i];
        if (s->hash == hash && s->key != removed_key && strcmp(s->key, key) == 0)
            return s;
    }
    return NULL;
}

static void insert_new(struct hashmap *h, const struct slot *entry) {
    size_t i = entry->hash & (h->n_slots - 1);
    while (h->slots[i].key)
        i = (i + 1) & (h->n_slots - 1);
    h->slots[i] = *entry;
    h->n_used++;
    h->n_entries++;
}

/* Makes room for one more, in a new table without marks. */
static int grow(struct hashmap *h) {
    if (h->n_slots > 0 && h->n_used < h->n_slots / 4 * 3)
        return 0;

    /* Where it was mostly marks that filled the table, the same size will do. */
    size_t n = MAX(h->n_slots, (size_t)SLOTS_MIN);
    if (h->n_entries >= n / 2)
        n *= 2;
    struct slot *slots = calloc(n, sizeof(*slots));
    if (!slots)
        return -ENOMEM;

    struct hashmap old = *h;
    *h = (struct hashmap){.slots = slots, .n_slots = n};
    for (size_t i = 0; i < old.n_slots; i++)
        if (slot_is_entry(&old.slots[i]))
            insert_new(h, &old.slots[i]);
    free(old.slots);
    return 0;
}

void *hashmap_get(const struct hashmap *h, const char *key) {
    if (hashmap_size(h) == 0)
        return NULL;
    const struct slot *s = find(h, key, siphash(key, strlen(key)));
    return s ? s->value : NULL;
}

int hashmap_put(struct hashmap *h, const char *key, void *value) {
    uint64_t hash = siphash(key, strlen(key));
    if (!value)
        return -EINVAL;
    if (find(h, key, hash))
        return -EEXIST;

    int r = grow(h);
    if (r < 0)
        return r;
    insert_new(h, &(struct slot){.key = key, .value = value, .hash = hash});
    return 0;
}

void *hashmap_remove(struct hashmap *h, const char *key) {
    struct slot *s = find(h, key, siphash(key, strlen(key)));
    if (!s)
        return NULL;

    void *value = s->value;
    *s = (struct slot){.key = removed_key};
    h->n_entries--;
    return value;
}

void *hashmap_next(const struct hashmap *h, size_t *position) {
    while (h && *position < h->n_slots) {
        const struct slot *s = &h->slots[(*position)++];
        if (slot_is_entry(s))
            return s->value;
    }
    return NULL;
}

/* ---- SipHash-2-4: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012 ---- */

static uint64_t rotate_left(uint64_t x, unsigned bits) {
    return x << bits | x >> (64 - bits);
}

static void sip_rounds(uint64_t v[static 4], unsigned n) {
    for (; n > 0; n--) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate_left(v[1], 13) ^ v[0];
        v[3] = rotate_left(v[3], 16) ^ v[2];
        v[0] = rotate_left(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate_left(v[1], 17) ^ v[2];
        v[3] = rotate_left(v[3], 21) ^ v[0];
        v[2] = rotate_left(v[2], 32);
    }
}

static uint64_t load_little_endian(const uint8_t *p, size_t n) {
    uint64_t x = 0;
    for (size_t i = 0; i < n; i++)
        x |= (uint64_t)p[i] << (8 * i);
    return x;
}

static uint64_t siphash_keyed(const void *data, size_t n, const uint64_t key[static 2]) {
    uint64_t v[4] = {
        key[0] ^ UINT64_C(0x736f6d6570736575),
        key[1] ^ UINT64_C(0x646f72616e646f6d),
        key[0] ^ UINT64_C(0x6c7967656e657261),
        key[1] ^ UINT64_C(0x7465646279746573),
    };
    const uint8_t *p = data;
    size_t left = n;

    for (; left >= 8; p += 8, left -= 8) {
        uint64_t m = load_little_endian(p, 8);
        v[3] ^= m;
        sip_rounds(v, 2);
        v[0] ^= m;
    }

    uint64_t last = (uint64_t)(n & 0xFF) << 56 | load_little_endian(p, left);
    v[3] ^= last;
    sip_rounds(v, 2);
    v[0] ^= last;

    v[2] ^= 0xFF;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t siphash(const void *data, size_t n) {
    static uint64_t key[2];
    static bool have_key;

    if (!have_key) {
        random_bytes(key, sizeof(key));
        have_key = true;
    }
    return siphash_keyed(data, n, key);
}

uint64_t siphash_stable(const void *data, size_t n) {
    return siphash_keyed(data, n, (const uint64_t[2]){0, 0});
}
