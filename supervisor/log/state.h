/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What davit-logd must not forget when it is killed, in a memfd that davit-init keeps (LOGD_FD_STATE): why no
 * line is lost and none is written twice.
 *
 * Two things live here.
 *
 *   Rests. The end of a FIFO's data is often half a line. It is taken out of the FIFO (a writer that finds a
 * non-empty pipe full goes to sleep without waking an edge-triggered reader, so a FIFO must always be read to
 * its end) and kept here, one slot a stream: short rests in the slot, long ones in a large block.
 *
 *   Batches. A line is copied out of the FIFO with tee(2), written to its sink, and only then consumed; a
 * kill between two of these steps leaves a record from which the successor sees how far it went:
 *
 *     WRITING    lines are on their way into the sink. File: the record has the file's size before and the
 * number of bytes, so the file itself tells whether the write took place (a part of it is cut off again).
 *                Journal: the record counts the lines sent; only a kill between the send and the count can
 * double one. CONSUMING  the sink has the lines; `take` bytes are to be read from the FIFO. The last of these
 * bytes is read into `sentinel`, which held its complement: it tells whether the read took place. STORING the
 * FIFO is consumed; the new rest goes from the record into the slot, which may be done twice.
 *
 * Everything is written by one thread, and death comes between two instructions: what has been stored is
 * there. Where there is no memfd the same memory is private, and a kill may double or lose what was in
 * flight.
 */
#pragma once

#include <sys/socket.h>
#include <sys/stat.h>

#include "log/lines.h"

#define STATE_STREAMS 8192
#define STATE_LARGE 256 /* blocks for rests that do not fit into a slot */
#define STATE_BATCHES 4
#define STATE_SMALL_BYTES 228

struct fifo_id {
    uint64_t device, inode;
};

struct state_slot {
    struct fifo_id fifo;         /* inode 0: free */
    uint32_t length;             /* of the rest */
    uint32_t skip;               /* so many lines from the start of the rest on are in the journal already */
    uint16_t large;              /* number of the large block + 1; 0: the rest is in text */
    uint8_t continued, priority; /* struct line_context of the rest */
    char text[STATE_SMALL_BYTES];
};
_Static_assert(sizeof(struct state_slot) == 256, "slots do not straddle pages");

enum batch_phase { BATCH_IDLE, BATCH_WRITING, BATCH_CONSUMING, BATCH_STORING };

#define BATCH_SENDS 64

/* Lines on their way to the journal, at most BATCH_SENDS with one call. Two sets of messages in turn: one
 * word says which of them counts, and how many lines had been sent before it. */
struct batch_sends {
    uint64_t before_and_set; /* lines * 2 + set */
    struct mmsghdr messages[2][BATCH_SENDS];
};

struct state_batch {
    uint32_t phase;
    uint32_t take; /* bytes to consume */
    struct fifo_id fifo;
    uint64_t file_inode; /* 0: the sink is the journal */
    uint64_t file_offset, file_length;
    uint32_t rest_length;
    uint8_t rest_continued, rest_priority;
    uint8_t last, sentinel;
    char rest[LINE_MAX_BYTES];
    struct batch_sends sends;
};

struct state_memory;

struct state {
    struct state_memory *memory;
    int fd;                      /* -1: private memory */
    struct state_batch *current; /* idle between two batches */
    uint16_t free_slots[STATE_STREAMS];
    size_t n_free;
    bool owned[STATE_STREAMS]; /* slots with a stream in this process */
    bool large_used[STATE_LARGE];
};

/* Maps the memory behind fd (taken over; -1 = private), made fit and cleared if it is new or of another
 * version. 0 or -errno. */
int state_open(struct state *s, int fd);

/* The slot of a FIFO: the one it had, or a new one. NULL when there are too many streams. */
struct state_slot *state_slot_get(struct state *s, struct fifo_id fifo);
/* Forgets the rest and frees the slot. */
void state_slot_free(struct state *s, struct state_slot *slot);
/* True if a rest of n bytes can be kept for this slot. */
bool state_slot_fits(const struct state *s, const struct state_slot *slot, size_t n);
const char *state_slot_text(const struct state *s, const struct state_slot *slot);

/* Moves s->current to the next phase: nothing before it is reordered after it, nor the other way round. */
void state_phase(struct state_batch *b, enum batch_phase phase);
/* The messages for the next call: so many lines of the batch have been sent (or need not be). All msg_len are
 * 0. */
struct mmsghdr *state_sends_begin(struct state_batch *b, uint32_t before);
/* Lines of the batch that have been sent, from a predecessor's record. */
uint32_t state_sends_done(const struct state_batch *b);
/* STORING: the batch's rest into the slot; the batch is idle afterwards. */
void state_store_rest(struct state *s, struct state_batch *b, struct state_slot *slot);
/* The batch that a predecessor left unfinished for this FIFO, or NULL. */
struct state_batch *state_unfinished(struct state *s, struct fifo_id fifo);
