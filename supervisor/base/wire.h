/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Flat messages between davit's own programs: a row of fixed-width integers (host byte order: both ends are
 * on one machine) and length-prefixed strings. The writer stays failed after an error; the reader checks
 * every length, and after the first bad one returns zeros and stays failed, so that a decoder needs one check
 * at its end.
 */
#pragma once

#include "base/str.h"

struct wire_writer {
    struct strbuf out;
};
void wire_put_u8(struct wire_writer *w, uint8_t v);
void wire_put_u32(struct wire_writer *w, uint32_t v);
void wire_put_u64(struct wire_writer *w, uint64_t v);
/* NULL and "" stay different. */
void wire_put_string(struct wire_writer *w, const char *s);
void wire_put_bytes(struct wire_writer *w, const void *data, uint32_t n);
void wire_put_strv(struct wire_writer *w, char *const *l);
void wire_writer_free(struct wire_writer *w);

struct wire_reader {
    const uint8_t *data;
    size_t length, position;
    int error; /* 0, -EBADMSG, -ENOMEM */
};
uint8_t wire_get_u8(struct wire_reader *r);
uint32_t wire_get_u32(struct wire_reader *r);
uint64_t wire_get_u64(struct wire_reader *r);
char *wire_get_string(struct wire_reader *r); /* new string or NULL */
void *wire_get_bytes(struct wire_reader *r, uint32_t *ret_n);
char **wire_get_strv(struct wire_reader *r);
/* A count of elements that each take at least min_size bytes: refuses counts that cannot fit in what is left.
 */
uint32_t wire_get_count(struct wire_reader *r, size_t min_size);
/* 0 if nothing failed and nothing is left over. */
int wire_reader_finish(const struct wire_reader *r);
