/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/state.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define STATE_MAGIC 0x6461766974310002ULL /* the last digits are the version of the layout */

/* Sparse: a page takes memory only when it has been used. */
struct state_memory {
    uint64_t magic;
    uint32_t size;
    uint32_t slots_used; /* slots from here on have never been touched */
    struct state_batch batches[STATE_BATCHES];
    _Alignas(4096) struct state_slot slots[STATE_STREAMS];
    _Alignas(4096) char large[STATE_LARGE][LINE_MAX_BYTES];
};

static bool same_fifo(struct fifo_id a, struct fifo_id b) {
    return a.inode == b.inode && a.device == b.device;
}

static int map(struct state *s) {
    int flags = s->fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;

    if (s->fd >= 0 && ftruncate(s->fd, sizeof(struct state_memory)) < 0)
        return negative_errno();
    void *memory =
        mmap(NULL, sizeof(struct state_memory), PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, s->fd, 0);
    if (memory == MAP_FAILED)
        return negative_errno();
    s->memory = memory;
    return 0;
}

/* The first idle batch; if there is none, somebody has left four FIFOs unfinished that never came back: the
 * record of one of them is given up. */
static void choose_batch(struct state *s) {
    struct state_memory *m = s->memory;

    for (size_t i = 0; i < STATE_BATCHES; i++)
        if (m->batches[i].phase == BATCH_IDLE) {
            s->current = &m->batches[i];
            return;
        }
    s->current = &m->batches[0];
    state_phase(s->current, BATCH_IDLE);
}

int state_open(struct state *s, int fd) {
    *s = (struct state){.fd = fd};
    int r = map(s);
    if (r < 0)
        return r;

    struct state_memory *m = s->memory;
    if (m->magic != STATE_MAGIC || m->size != sizeof *m || m->slots_used > STATE_STREAMS) {
        /* New, or from a davit-logd that kept it differently: nothing in it can be understood. */
        if (s->fd >= 0 && (ftruncate(s->fd, 0) < 0 || ftruncate(s->fd, sizeof *m) < 0))
            return negative_errno();
        m->size = sizeof *m;
        m->magic = STATE_MAGIC;
    }
    for (size_t i = m->slots_used; i-- > 0;) {
        struct state_slot *slot = &m->slots[i];
        if (slot->fifo.inode == 0)
            s->free_slots[s->n_free++] = (uint16_t)i;
        else if (slot->large > 0 && slot->large <= STATE_LARGE)
            s->large_used[slot->large - 1] = true;
    }
    choose_batch(s);
    return 0;
}

static struct state_slot *own(struct state *s, size_t i, struct fifo_id fifo) {
    struct state_slot *slot = &s->memory->slots[i];

    s->owned[i] = true;
    if (!same_fifo(slot->fifo, fifo)) {
        *slot = (struct state_slot){};
        slot->fifo = fifo;
    }
    return slot;
}

struct state_slot *state_slot_get(struct state *s, struct fifo_id fifo) {
    struct state_memory *m = s->memory;

    for (size_t i = 0; i < m->slots_used; i++)
        if (same_fifo(m->slots[i].fifo, fifo))
            return own(s, i, fifo);
    if (s->n_free > 0)
        return own(s, s->free_slots[--s->n_free], fifo);
    if (m->slots_used < STATE_STREAMS)
        return own(s, m->slots_used++, fifo);
    for (size_t i = 0; i < STATE_STREAMS; i++)
        if (!s->owned[i]) { /* left by a predecessor, and nobody has asked for it since */
            state_slot_free(s, &m->slots[i]);
            return own(s, s->free_slots[--s->n_free], fifo);
        }
    return NULL;
}

static void release_large(struct state *s, uint16_t number) {
    struct state_memory *m = s->memory;

    if (number == 0)
        return;
    /* Gives the pages back: long rests are rare, and the next one may be far away. */
    (void)madvise(m->large[number - 1], LINE_MAX_BYTES, s->fd >= 0 ? MADV_REMOVE : MADV_DONTNEED);
    s->large_used[number - 1] = false;
}

void state_slot_free(struct state *s, struct state_slot *slot) {
    size_t i = (size_t)(slot - s->memory->slots);

    release_large(s, slot->large);
    *slot = (struct state_slot){};
    s->owned[i] = false;
    s->free_slots[s->n_free++] = (uint16_t)i;
}

static size_t find_large(const struct state *s) {
    for (size_t i = 0; i < STATE_LARGE; i++)
        if (!s->large_used[i])
            return i + 1;
    return 0;
}

/* What a predecessor left unfinished may need a block when its FIFO comes: that one is not for others. */
static bool large_to_spare(const struct state *s) {
    size_t n = 0;

    for (size_t i = 0; i < STATE_LARGE; i++)
        n += !s->large_used[i];
    for (size_t i = 0; i < STATE_BATCHES && n > 0; i++) {
        const struct state_batch *b = &s->memory->batches[i];
        n -= b != s->current && b->phase != BATCH_IDLE && b->rest_length > STATE_SMALL_BYTES;
    }
    return n > 0;
}

bool state_slot_fits(const struct state *s, const struct state_slot *slot, size_t n) {
    return n <= STATE_SMALL_BYTES || (n <= LINE_MAX_BYTES && (slot->large > 0 || large_to_spare(s)));
}

const char *state_slot_text(const struct state *s, const struct state_slot *slot) {
    return slot->large > 0 ? s->memory->large[slot->large - 1] : slot->text;
}

void state_phase(struct state_batch *b, enum batch_phase phase) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&b->phase, (uint32_t)phase, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

struct mmsghdr *state_sends_begin(struct state_batch *b, uint32_t before) {
    struct batch_sends *s = &b->sends;
    unsigned set = (s->before_and_set & 1) ^ 1;

    memset(s->messages[set], 0, sizeof s->messages[set]);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&s->before_and_set, (uint64_t)before * 2 + set, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return s->messages[set];
}

uint32_t state_sends_done(const struct state_batch *b) {
    const struct batch_sends *s = &b->sends;
    const struct mmsghdr *messages = s->messages[s->before_and_set & 1];
    uint32_t done = (uint32_t)(s->before_and_set / 2);

    for (size_t i = 0; i < BATCH_SENDS && messages[i].msg_len > 0; i++)
        done++;
    return done;
}

/* May be cut off anywhere and done again by the successor: nothing that it reads is changed by it. */
void state_store_rest(struct state *s, struct state_batch *b, struct state_slot *slot) {
    struct state_memory *m = s->memory;
    uint16_t large = slot->large;

    if (b->rest_length <= STATE_SMALL_BYTES) {
        memcpy(slot->text, b->rest, b->rest_length);
        slot->large = 0;
        release_large(s, large);
    } else {
        if (large == 0) {
            large = (uint16_t)find_large(s); /* there is one: state_slot_fits() */
            s->large_used[large - 1] = true;
            slot->large = large;
        }
        memcpy(m->large[large - 1], b->rest, b->rest_length);
    }
    slot->length = b->rest_length;
    slot->continued = b->rest_continued;
    slot->priority = b->rest_priority;
    slot->skip = 0;
    state_phase(b, BATCH_IDLE);
}

struct state_batch *state_unfinished(struct state *s, struct fifo_id fifo) {
    for (size_t i = 0; i < STATE_BATCHES; i++) {
        struct state_batch *b = &s->memory->batches[i];
        if (b != s->current && b->phase != BATCH_IDLE && same_fifo(b->fifo, fifo))
            return b;
    }
    return NULL;
}
