/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/str.h"

#define STRBUF_SIZE_MIN 64

void strbuf_free(struct strbuf *b) {
    free(b->data);
    *b = (struct strbuf){};
}

/* Room for n more bytes and the NUL. */
static bool reserve(struct strbuf *b, size_t n) {
    if (b->failed)
        return false;
    if (n < b->size - b->length)
        return true;

    size_t needed, size = MAX(b->size, (size_t)STRBUF_SIZE_MIN);
    if (__builtin_add_overflow(b->length, n, &needed) || needed > SIZE_MAX / 2 - 1) {
        b->failed = true;
        return false;
    }
    while (size <= needed)
        size *= 2;

    char *grown = realloc(b->data, size);
    if (!grown) {
        b->failed = true;
        return false;
    }
    b->data = grown;
    b->size = size;
    return true;
}

void strbuf_append(struct strbuf *b, const void *data, size_t n) {
    if (!reserve(b, n))
        return;
    if (n > 0)
        memcpy(b->data + b->length, data, n);
    b->length += n;
    b->data[b->length] = '\0';
}

void strbuf_puts(struct strbuf *b, const char *s) {
    strbuf_append(b, s, strlen(s));
}

void strbuf_putc(struct strbuf *b, char c) {
    strbuf_append(b, &c, 1);
}

void strbuf_printf(struct strbuf *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    strbuf_vprintf(b, fmt, ap);
    va_end(ap);
}

void strbuf_vprintf(struct strbuf *b, const char *fmt, va_list ap) {
    if (!reserve(b, 0))
        return;

    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(b->data + b->length, b->size - b->length, fmt, ap);
    if (n < 0)
        b->failed = true;
    else if ((size_t)n >= b->size - b->length && reserve(b, (size_t)n))
        (void)vsnprintf(b->data + b->length, b->size - b->length, fmt, again);
    va_end(again);

    if (!b->failed)
        b->length += (size_t)n;
}

char *strbuf_take(struct strbuf *b) {
    /* Also gives an empty buffer its "". */
    strbuf_append(b, NULL, 0);

    char *text = b->failed ? NULL : TAKE_PTR(b->data);
    strbuf_free(b);
    return text;
}
