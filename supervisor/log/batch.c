/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/logd.h"

#include <string.h>
#include <sys/mman.h>

#include "log/cri.h"

#define OUT_BYTES (128 * 1024)
_Static_assert(OUT_BYTES > LINE_MAX_BYTES + CRI_HEAD_MAX + 3, "a record of the longest line fits");

/* One batch at work. All streams share the two buffers, since only one is served at a time; pages of them
 * that are never touched cost nothing. */
struct batch {
    struct logd *logd;
    struct stream *stream;
    struct state_batch *record;
    struct line_cursor cursor; /* over the rest of the last time, followed by what the FIFO has */
    size_t kept;               /* bytes of the former */
    size_t taken;              /* bytes of the latter that are out of the FIFO already */
    uint32_t skip;             /* lines that the journal has from a batch that was cut off */
};
_Alignas(4096) static char in_buffer[LINE_MAX_BYTES + FIFO_PEEK_MAX];
_Alignas(4096) static char out_buffer[OUT_BYTES];

void batch_trim(void) {
    /* Anonymous pages: they read as zeros afterwards, and take memory only when used again. */
    (void)madvise(in_buffer, sizeof in_buffer, MADV_DONTNEED);
    (void)madvise(out_buffer, sizeof out_buffer, MADV_DONTNEED);
}

static void batch_begin(struct batch *b, struct logd *l, struct stream *s, size_t peeked) {
    size_t kept = s->slot->length;

    *b = (struct batch){
        .logd = l, .stream = s, .record = l->state.current, .kept = kept, .skip = s->slot->skip};
    b->cursor = (struct line_cursor){
        .data = in_buffer,
        .length = kept + peeked,
        .default_priority = s->priority,
        .context = {.continued = s->slot->continued, .priority = s->slot->priority},
    };
}

/* The record of what comes next: everything up to the cursor goes to the sink, `rest` bytes after it into the
 * slot, all of it out of the FIFO. */
static void record_prepare(struct batch *b, size_t rest) {
    struct state_batch *r = b->record;
    size_t end = b->cursor.position + rest;

    r->fifo = b->stream->fifo_id;
    r->take = end > b->kept + b->taken ? (uint32_t)(end - b->kept - b->taken) : 0;
    r->last = (uint8_t)b->cursor.data[end > 0 ? end - 1 : 0];
    r->sentinel = (uint8_t)~r->last;
    memcpy(r->rest, b->cursor.data + b->cursor.position, rest);
    r->rest_length = (uint32_t)rest;
    r->rest_continued = b->cursor.context.continued;
    r->rest_priority = b->cursor.context.priority;
}

/* The sink has the lines: what is left to do of a record. Consuming cannot fail but when somebody else reads
 * the FIFO as well; what that one has taken is gone in any case. */
static void record_finish(struct logd *l, struct stream *s, struct state_batch *r) {
    if (r->take > 0 && r->phase != BATCH_STORING) {
        state_phase(r, BATCH_CONSUMING);
        (void)fifo_consume(s->fifo, r->take, &r->sentinel);
        s->left -= MIN(s->left, r->take);
    }
    state_phase(r, BATCH_STORING);
    state_store_rest(&l->state, r, s->slot);
}

static void commit(struct batch *b) {
    b->taken += b->record->take;
    record_finish(b->logd, b->stream, b->record);
}

/* ---- to a file: as many records as the buffer holds, with one write ---- */

static int write_file(struct batch *b, size_t n, size_t rest) {
    struct state_batch *r = b->record;
    struct log_file *f = &b->stream->file;
    uint64_t inode = 0, offset = 0;

    record_prepare(b, rest);
    if (n > 0) {
        int x = log_file_prepare(&b->logd->files, f, n, &inode, &offset);
        if (x < 0)
            return x;
        r->file_inode = inode;
        r->file_offset = offset;
        r->file_length = n;
        state_phase(r, BATCH_WRITING);
        x = log_file_append(f, offset, out_buffer, n);
        if (x < 0) {
            state_phase(r, BATCH_IDLE);
            return x;
        }
    }
    commit(b);
    return 0;
}

/* Takes the next line, or with the last argument the rest as a line. */
typedef bool (*next_line_t)(struct line_cursor *c, struct line *ret);

static int to_file(struct batch *b, next_line_t next) {
    char head[CRI_HEAD_MAX], *out = out_buffer;
    size_t head_length = cri_head(now_realtime(), head);
    struct line_cursor before = b->cursor;
    uint64_t lines = 0;
    struct line line;
    int r;

    while (next(&b->cursor, &line)) {
        if (cri_length(head_length, &line) > (size_t)(out_buffer + OUT_BYTES - out)) {
            b->cursor = before;
            r = write_file(b, (size_t)(out - out_buffer), 0);
            if (r < 0)
                return r;
            b->logd->lines += lines;
            lines = 0;
            out = out_buffer;
            continue;
        }
        out = cri_append(out, head, head_length, &line);
        before = b->cursor;
        lines++;
    }
    r = write_file(b, (size_t)(out - out_buffer), b->cursor.length - b->cursor.position);
    if (r >= 0)
        b->logd->lines += lines;
    return r;
}

/* ---- to the journal: an entry a line ---- */

#define ENTRY_PARTS 5
static struct iovec entry_parts[BATCH_SENDS][ENTRY_PARTS];
static struct line_cursor entry_ends[BATCH_SENDS];

static void make_entry(
    const struct stream *s, const struct line *line, struct iovec *parts, struct msghdr *message) {
    static char begin[] = "MESSAGE=", more[] = "LINE_BREAK=line-max\n";
    static char priorities[8][sizeof "\nPRIORITY=0\n"] = {"\nPRIORITY=0\n", "\nPRIORITY=1\n",
        "\nPRIORITY=2\n", "\nPRIORITY=3\n", "\nPRIORITY=4\n", "\nPRIORITY=5\n", "\nPRIORITY=6\n",
        "\nPRIORITY=7\n"};

    parts[0] = (struct iovec){begin, sizeof begin - 1};
    parts[1] = (struct iovec){(char *)line->text, line->length};
    parts[2] = (struct iovec){priorities[line->priority & 7], sizeof priorities[0] - 1};
    parts[3] = (struct iovec){s->fields, s->fields_length};
    parts[4] = (struct iovec){more, sizeof more - 1};
    message->msg_iov = parts;
    message->msg_iovlen = line->partial ? ENTRY_PARTS : ENTRY_PARTS - 1;
}

/* Sends the next lines, as many as go with one call. Moves the cursor behind those that went out. Returns how
 * many, 0 if there was none, -errno if not one could be sent. */
static int send_lines(struct batch *b, next_line_t next, uint32_t before) {
    struct mmsghdr *messages = state_sends_begin(b->record, before);
    struct line_cursor start = b->cursor;
    struct line line;
    int n = 0;

    for (; n < BATCH_SENDS && next(&b->cursor, &line); n++) {
        make_entry(b->stream, &line, entry_parts[n], &messages[n].msg_hdr);
        entry_ends[n] = b->cursor;
    }
    int sent = n > 0 ? journal_send_many(&b->logd->journal, messages, (unsigned)n) : 0;
    if (n > 0 && sent < n)
        b->cursor = sent > 0 ? entry_ends[sent - 1] : start;
    return sent;
}

static int to_journal(struct batch *b, next_line_t next) {
    struct state_batch *record = b->record;
    struct line line;
    uint32_t done = 0;
    int r;

    record->fifo = b->stream->fifo_id;
    record->file_inode = 0;
    (void)state_sends_begin(record, b->skip);
    state_phase(record, BATCH_WRITING);
    while (done < b->skip && next(&b->cursor, &line)) /* the journal has them */
        done++;
    while ((r = send_lines(b, next, done)) > 0) {
        done += (uint32_t)r;
        b->logd->lines += (uint64_t)r;
    }
    if (r < 0 && done == 0) {
        state_phase(record, BATCH_IDLE);
        return r;
    }
    record_prepare(b, r < 0 ? 0 : b->cursor.length - b->cursor.position);
    commit(b);
    return r;
}

/* ---- what all batches have in common ---- */

static int write_out(struct batch *b, next_line_t next) {
    return b->logd->sink == SINK_FILE ? to_file(b, next) : to_journal(b, next);
}

static bool next_rest(struct line_cursor *c, struct line *ret) {
    return line_rest(c, true, ret);
}

static bool next_last(struct line_cursor *c, struct line *ret) {
    return line_rest(c, false, ret);
}

/* A line, or what stands there instead when all blocks for long rests are in use. */
static bool next_any(struct line_cursor *c, struct line *ret) {
    return line_next(c, ret) || line_rest(c, true, ret);
}

int batch_serve(struct logd *l, struct stream *s) {
    size_t kept = s->slot->length;
    struct batch b;

    memcpy(in_buffer, state_slot_text(&l->state, s->slot), kept);
    ssize_t n = fifo_peek(&l->peeker, s->fifo, in_buffer + kept, FIFO_PEEK_MAX);
    if (n <= 0)
        return (int)n;
    l->most_bytes = MAX(l->most_bytes, (size_t)n);
    batch_begin(&b, l, s, (size_t)n);

    /* The longest rest there can be decides; it is at most what there is in all. */
    size_t longest = MIN(b.cursor.length, (size_t)LINE_MAX_BYTES);
    int r = write_out(&b, state_slot_fits(&l->state, s->slot, longest) ? line_next : next_any);
    return r < 0 ? r : 1;
}

int batch_flush(struct logd *l, struct stream *s, bool partial) {
    struct batch b;

    if (s->slot->length == 0 && (partial || !s->slot->continued))
        return 0;
    memcpy(in_buffer, state_slot_text(&l->state, s->slot), s->slot->length);
    batch_begin(&b, l, s, 0);
    return write_out(&b, partial ? next_rest : next_last);
}

/* ---- after a kill ---- */

int batch_recover(struct logd *l, struct stream *s) {
    struct state_batch *r = state_unfinished(&l->state, s->fifo_id);

    if (!r)
        return 0;
    if (r->phase == BATCH_WRITING && r->file_inode == 0) {
        /* What the journal has is still in the FIFO: it is passed over when read again. */
        s->slot->skip = state_sends_done(r);
        state_phase(r, BATCH_IDLE);
        return 0;
    }
    if (r->phase == BATCH_WRITING) {
        int x = log_file_written(&l->files, &s->file, r->file_inode, r->file_offset, r->file_length);
        if (x < 0)
            return x;
        if (x == 0) { /* never happened */
            state_phase(r, BATCH_IDLE);
            return 0;
        }
    }
    if (r->phase == BATCH_CONSUMING && r->sentinel == r->last)
        state_phase(r, BATCH_STORING);
    record_finish(l, s, r);
    return 0;
}
