/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/str.h"
#include "control/varlink.h"

enum { INPUT_CHUNK = 4096, INPUT_READ_MAX = 64 * 1024 };

struct varlink_output {
    struct list link;
    char *data; /* with the NUL that ends the message */
    size_t length, sent;
    int fds[VARLINK_FDS_MAX];
    size_t n_fds;
};

static void fds_close(int *fds, size_t n) {
    for (size_t i = 0; i < n; i++)
        close_and_reset(&fds[i]);
}

static void varlink_output_free(struct varlink_output *o) {
    fds_close(o->fds, o->n_fds);
    free(o->data);
    free(o);
}
DEFINE_CLEANUP(struct varlink_output *, varlink_output_free)

void varlink_message_done(struct varlink_message *m) {
    fds_close(m->fds, m->n_fds);
    m->n_fds = 0;
}

void varlink_stream_init(struct varlink_stream *s, int fd, size_t input_max, size_t output_max) {
    *s = (struct varlink_stream){.fd = fd, .input_max = input_max, .output_max = output_max};
    list_init(&s->output);
    (void)fd_set_nonblock(fd, true);
}

void varlink_stream_done(struct varlink_stream *s) {
    LIST_FOREACH (o, &s->output, struct varlink_output, link) {
        list_remove(&o->link);
        varlink_output_free(o);
    }
    for (size_t i = 0; i < s->n_batches; i++)
        fds_close(s->batches[i].fds, s->batches[i].n_fds);
    s->n_batches = 0;
    s->output_bytes = 0;
    free(TAKE_PTR(s->input));
    s->start = s->scanned = s->end = s->size = 0;
    close_and_reset(&s->fd);
}

/* ---- input ---- */

/* Makes room behind end. An idle connection keeps no buffer at all: hundreds of them may wait for events. */
static int input_reserve(struct varlink_stream *s) {
    if (s->start > 0) {
        memmove(s->input, s->input + s->start, s->end - s->start);
        s->end -= s->start;
        s->scanned -= s->start;
        s->start = 0;
    }
    if (s->end < s->size)
        return 0;
    size_t limit = s->input_max + 1; /* the longest message and its NUL */
    if (s->size >= limit)
        return -EMSGSIZE;
    size_t size = MIN(limit, MAX((size_t)INPUT_CHUNK, s->size * 2));
    char *input = realloc(s->input, size);
    if (!input)
        return -ENOMEM;
    s->input = input;
    s->size = size;
    return 0;
}

static int input_add_fds(struct varlink_stream *s, const int *fds, size_t n) {
    if (n == 0)
        return 0;
    if (s->n_batches == ARRAY_SIZE(s->batches))
        return -EXFULL;
    struct varlink_fd_batch *b = &s->batches[s->n_batches++];
    *b = (struct varlink_fd_batch){.position = s->position + (s->end - s->start) - 1, .n_fds = n};
    memcpy(b->fds, fds, n * sizeof(*fds));
    return 0;
}

int varlink_read(struct varlink_stream *s) {
    if (s->eof)
        return 0;
    int r = input_reserve(s);
    if (r < 0)
        return r;

    int fds[VARLINK_FDS_MAX];
    size_t n_fds = s->refuse_fds ? 0 : ARRAY_SIZE(fds), room = MIN(s->size - s->end, (size_t)INPUT_READ_MAX);
    ssize_t n = socket_recv_fds(s->fd, s->input + s->end, room, fds, &n_fds, MSG_DONTWAIT);
    if (n < 0)
        return (int)n;
    if (n == 0) {
        fds_close(fds, n_fds);
        s->eof = true;
        return 0;
    }
    s->end += (size_t)n;
    r = input_add_fds(s, fds, n_fds);
    if (r < 0) {
        fds_close(fds, n_fds);
        return r;
    }
    if (!varlink_has_message(s) && s->end - s->start > s->input_max)
        return -EMSGSIZE;
    return 1;
}

bool varlink_has_message(struct varlink_stream *s) {
    if (s->scanned == s->end)
        return false; /* also: no buffer yet */
    const char *nul = memchr(s->input + s->scanned, 0, s->end - s->scanned);
    s->scanned = nul ? (size_t)(nul - s->input) : s->end;
    return nul;
}

/* Descriptors whose last byte lies before `end` go with the message that ends there. Two batches in one
 * message mean a peer that sent it in pieces: all of them are its. */
static void take_fds(struct varlink_stream *s, uint64_t end, struct varlink_message *m) {
    size_t n_taken = 0;
    for (; n_taken < s->n_batches && s->batches[n_taken].position < end; n_taken++) {
        struct varlink_fd_batch *b = &s->batches[n_taken];
        for (size_t i = 0; i < b->n_fds; i++)
            if (m->n_fds < ARRAY_SIZE(m->fds))
                m->fds[m->n_fds++] = b->fds[i];
            else
                (void)close(b->fds[i]);
    }
    s->n_batches -= n_taken;
    memmove(s->batches, s->batches + n_taken, s->n_batches * sizeof(s->batches[0]));
}

int varlink_next(struct varlink_stream *s, struct varlink_message *ret) {
    if (s->start == s->end || !varlink_has_message(s)) {
        if (s->start == s->end) {
            free(TAKE_PTR(s->input));
            s->start = s->scanned = s->end = s->size = 0;
        }
        return 0;
    }
    *ret = (struct varlink_message){.text = s->input + s->start, .length = s->scanned - s->start};
    s->position += ret->length + 1;
    s->start = s->scanned = s->scanned + 1;
    take_fds(s, s->position, ret);
    return 1;
}

/* Depth of nesting without parsing: jansson recurses up to 2048 levels, which is a lot of stack for what no
 * message of ours needs. Brackets inside strings do not count. */
static bool depth_is_bounded(const char *text, size_t length) {
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"')
            in_string = true;
        else if (c == '{' || c == '[') {
            if (++depth > VARLINK_DEPTH_MAX)
                return false;
        } else if ((c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return true;
}

int varlink_parse(const char *text, size_t length, json_t **ret, struct error *e) {
    if (!depth_is_bounded(text, length))
        return error_set(e, EBADMSG, "JSON is nested more than %d levels deep", VARLINK_DEPTH_MAX);
    json_error_t where;
    json_t *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    if (!object) {
        if (json_error_code(&where) == json_error_out_of_memory)
            return error_set(e, ENOMEM, "out of memory");
        return error_set(e, EBADMSG, "not JSON: %s, at byte %d", where.text, where.position);
    }
    if (!json_is_object(object)) {
        json_decref(object);
        return error_set(e, EBADMSG, "not a JSON object");
    }
    *ret = object;
    return 0;
}

/* ---- output ---- */

int varlink_queue(struct varlink_stream *s, json_t *object, const int *fds, size_t n_fds) {
    if (s->output_bytes > s->output_max)
        return -ENOBUFS;
    if (n_fds > VARLINK_FDS_MAX)
        return -EINVAL;
    _cleanup_(varlink_output_freep) struct varlink_output *o = calloc(1, sizeof(*o));
    if (!o)
        return -ENOMEM;
    o->data = json_dumps(object, JSON_COMPACT);
    if (!o->data)
        return -ENOMEM;
    o->length = strlen(o->data) + 1;
    for (; o->n_fds < n_fds; o->n_fds++) {
        o->fds[o->n_fds] = fcntl(fds[o->n_fds], F_DUPFD_CLOEXEC, 3);
        if (o->fds[o->n_fds] < 0)
            return negative_errno();
    }
    s->output_bytes += o->length;
    list_append(&s->output, &o->link);
    TAKE_PTR(o);
    return 0;
}

int varlink_flush(struct varlink_stream *s) {
    while (!list_empty(&s->output)) {
        struct varlink_output *o = LIST_ENTRY(s->output.next, struct varlink_output, link);
        ssize_t n =
            socket_send_fds(s->fd, o->data + o->sent, o->length - o->sent, o->fds, o->n_fds, MSG_DONTWAIT);
        if (n == -EAGAIN || n == -EINTR)
            return 0;
        if (n < 0)
            return (int)n;
        fds_close(o->fds, o->n_fds); /* they went with the first byte */
        o->n_fds = 0;
        o->sent += (size_t)n;
        s->output_bytes -= (size_t)n;
        if (o->sent < o->length)
            continue;
        list_remove(&o->link);
        varlink_output_free(o);
    }
    return 1;
}
