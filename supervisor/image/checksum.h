/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A checksum of 64 bits against bytes that went wrong by themselves, several times as fast as a digest. It
 * tells which of many files is another than it was; that all of them are the same is for digests to say.
 */
#pragma once

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct checksum {
    uint64_t state, tail; /* tail: up to seven bytes that make no word yet */
    unsigned n_tail;
};
#define CHECKSUM_INIT ((struct checksum){.state = UINT64_C(0x9e3779b97f4a7c15)})

/* Multiplying by an odd number and rotating lose nothing: a single word that differs always shows. */
static inline void checksum_word(struct checksum *c, uint64_t word) {
    c->state = (c->state ^ word) * UINT64_C(0xff51afd7ed558ccd);
    c->state = c->state << 31 | c->state >> 33;
}

static inline void checksum_byte(struct checksum *c, unsigned char byte) {
    c->tail |= (uint64_t)byte << 8 * c->n_tail;
    if (++c->n_tail < sizeof(c->tail))
        return;
    checksum_word(c, c->tail);
    c->tail = c->n_tail = 0;
}

/* In pieces of any size it comes to the same. */
static inline void checksum_update(struct checksum *c, const void *data, size_t n) {
    const unsigned char *p = data;

    for (; n > 0 && c->n_tail > 0; n--)
        checksum_byte(c, *p++);
    for (; n >= sizeof(uint64_t); n -= sizeof(uint64_t), p += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        checksum_word(c, le64toh(word));
    }
    for (; n > 0; n--)
        checksum_byte(c, *p++);
}

static inline uint64_t checksum_value(const struct checksum *c) {
    struct checksum end = *c;

    checksum_word(&end, end.tail);
    checksum_word(&end, end.n_tail);
    return end.state;
}
