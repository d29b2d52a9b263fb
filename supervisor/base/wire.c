/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/wire.h"

/* The length that stands for NULL. A string of that length would not fit in a message anyway. */
#define LENGTH_OF_NULL UINT32_MAX

/* ---- writing ---- */

void wire_put_u8(struct wire_writer *w, uint8_t v) {
    strbuf_append(&w->out, &v, sizeof(v));
}

void wire_put_u32(struct wire_writer *w, uint32_t v) {
    strbuf_append(&w->out, &v, sizeof(v));
}

void wire_put_u64(struct wire_writer *w, uint64_t v) {
    strbuf_append(&w->out, &v, sizeof(v));
}

void wire_put_bytes(struct wire_writer *w, const void *data, uint32_t n) {
    if (n == LENGTH_OF_NULL) {
        w->out.failed = true;
        return;
    }
    wire_put_u32(w, n);
    strbuf_append(&w->out, data, n);
}

void wire_put_string(struct wire_writer *w, const char *s) {
    size_t n = s ? strlen(s) : 0;

    if (!s)
        wire_put_u32(w, LENGTH_OF_NULL);
    else if (n >= LENGTH_OF_NULL)
        w->out.failed = true;
    else
        wire_put_bytes(w, s, (uint32_t)n);
}

void wire_put_strv(struct wire_writer *w, char *const *l) {
    wire_put_u32(w, (uint32_t)strv_length(l));
    STRV_FOREACH (s, l)
        wire_put_string(w, *s);
}

void wire_writer_free(struct wire_writer *w) {
    strbuf_free(&w->out);
}

/* ---- reading ---- */

static void fail(struct wire_reader *r, int error) {
    if (r->error == 0)
        r->error = error;
}

/* The next n bytes, or NULL and a failed reader. */
static const uint8_t *take(struct wire_reader *r, size_t n) {
    if (r->error != 0)
        return NULL;
    if (n > r->length - r->position) {
        fail(r, -EBADMSG);
        return NULL;
    }
    const uint8_t *p = r->data + r->position;
    r->position += n;
    return p;
}

/* Copied out: nothing in a message is aligned. */
static void get(struct wire_reader *r, void *v, size_t size) {
    const uint8_t *p = take(r, size);
    if (p)
        memcpy(v, p, size);
}

uint8_t wire_get_u8(struct wire_reader *r) {
    uint8_t v = 0;
    get(r, &v, sizeof(v));
    return v;
}

uint32_t wire_get_u32(struct wire_reader *r) {
    uint32_t v = 0;
    get(r, &v, sizeof(v));
    return v;
}

uint64_t wire_get_u64(struct wire_reader *r) {
    uint64_t v = 0;
    get(r, &v, sizeof(v));
    return v;
}

/* A copy of the next n bytes with a NUL behind them. */
static char *take_copy(struct wire_reader *r, uint32_t n) {
    /* Taken before anything is allocated: a forged length costs no memory. */
    const uint8_t *p = take(r, n);
    if (!p)
        return NULL;

    char *copy = malloc((size_t)n + 1);
    if (!copy) {
        fail(r, -ENOMEM);
        return NULL;
    }
    if (n > 0)
        memcpy(copy, p, n);
    copy[n] = '\0';
    return copy;
}

char *wire_get_string(struct wire_reader *r) {
    uint32_t n = wire_get_u32(r);
    if (r->error != 0 || n == LENGTH_OF_NULL)
        return NULL;

    _cleanup_free_ char *s = take_copy(r, n);
    if (s && memchr(s, '\0', n)) {
        fail(r, -EBADMSG);
        return NULL;
    }
    return TAKE_PTR(s);
}

void *wire_get_bytes(struct wire_reader *r, uint32_t *ret_n) {
    uint32_t n = wire_get_u32(r);
    char *data = r->error != 0 ? NULL : take_copy(r, n);
    *ret_n = data ? n : 0;
    return data;
}

uint32_t wire_get_count(struct wire_reader *r, size_t min_size) {
    uint32_t n = wire_get_u32(r);
    if (r->error == 0 && n > (r->length - r->position) / MAX(min_size, (size_t)1)) {
        fail(r, -EBADMSG);
        return 0;
    }
    return n;
}

char **wire_get_strv(struct wire_reader *r) {
    uint32_t n = wire_get_count(r, sizeof(uint32_t));
    if (n == 0)
        return NULL;

    _cleanup_strv_free_ char **l = calloc((size_t)n + 1, sizeof(char *));
    if (!l) {
        fail(r, -ENOMEM);
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        l[i] = wire_get_string(r);
        if (!l[i]) {
            /* An array has no room for a NULL among its strings. */
            fail(r, -EBADMSG);
            return NULL;
        }
    }
    return TAKE_PTR(l);
}

int wire_reader_finish(const struct wire_reader *r) {
    if (r->error != 0)
        return r->error;
    return r->position == r->length ? 0 : -EBADMSG;
}
