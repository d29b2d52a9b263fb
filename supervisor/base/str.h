/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Strings, string arrays and a growing buffer.
 *
 * strv: a NULL-terminated array of owned strings; NULL is the empty one.
 * strbuf: text under construction. After an allocation failure it stays failed, so a row of appends needs one
 * check, at strbuf_take() or strbuf_failed().
 */
#pragma once

#include <stdarg.h>
#include <string.h>

#include "base/macro.h"

static inline bool streq(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

/* Equal, where NULL equals only NULL. */
static inline bool streq_ptr(const char *a, const char *b) {
    return (!a || !b) ? a == b : strcmp(a, b) == 0;
}

static inline bool isempty(const char *s) {
    return !s || !*s;
}

/* The rest of s after prefix, or NULL. */
const char *startswith(const char *s, const char *prefix);
/* The position of suffix in s, or NULL. */
const char *endswith(const char *s, const char *suffix);

/* Printf into a new string; NULL on out of memory. */
char *strf(const char *fmt, ...) _printf_(1, 2);
/* Replaces *p (freed) by a copy of s (NULL stays NULL). Returns 0 or -ENOMEM, then *p is untouched. */
int free_and_strdup(char **p, const char *s);
/* Cuts blanks (space, tab, CR, LF) off both ends in place; returns the first character kept. */
char *strstrip(char *s);
/* mountinfo and fstab write blank, tab, newline and backslash as \NNN (octal). Decodes in place, returns s.
 */
char *octal_unescape(char *s);
/* True if s is valid UTF-8 of n bytes without NUL. */
bool utf8_is_valid(const char *s, size_t n);
/* Number of edits from a to b, for "did you mean": a character more, less or another one, or two that have changed
 * places. Strings over 64 bytes count as far away. */
unsigned edit_distance(const char *a, const char *b);

/* ---- strv ---- */
size_t strv_length(char *const *l);
void strv_free(char **l);
DEFINE_CLEANUP(char **, strv_free)
#define _cleanup_strv_free_ _cleanup_(strv_freep)
/* Appends a copy of s. Returns 0 or -ENOMEM, then *l is untouched. */
int strv_append(char ***l, const char *s);
/* Appends s itself and takes it over, also on failure (then it is freed). A NULL s is -ENOMEM, so that the
 * result of strf() or strdup() can be passed unchecked. */
int strv_consume(char ***l, char *s);
int strv_extend(char ***l, char *const *more);
char **strv_copy(char *const *l);
bool strv_contains(char *const *l, const char *s);
/* Removes every element equal to s. */
void strv_remove(char **l, const char *s);
/* Sets NAME=VALUE in an environment block, replacing an earlier NAME. */
int strv_env_set(char ***env, const char *name, const char *value);
/* Value of NAME in an environment block (the last, where there are several), or NULL. */
const char *strv_env_get(char *const *env, const char *name);
char *strv_join(char *const *l, const char *separator);
void strv_sort(char **l);
#define STRV_FOREACH(s, l) for (char *const *s = (char *const *)(l); s && *s; s++)

/* ---- strbuf ---- */
struct strbuf {
    char *data;
    size_t length, size;
    bool failed;
};
void strbuf_free(struct strbuf *b);
#define _cleanup_strbuf_ _cleanup_(strbuf_free)
void strbuf_append(struct strbuf *b, const void *data, size_t n);
void strbuf_puts(struct strbuf *b, const char *s);
void strbuf_putc(struct strbuf *b, char c);
void strbuf_printf(struct strbuf *b, const char *fmt, ...) _printf_(2, 3);
void strbuf_vprintf(struct strbuf *b, const char *fmt, va_list ap);
static inline bool strbuf_failed(const struct strbuf *b) {
    return b->failed;
}
/* Hands over the NUL-terminated text ("" if nothing was appended) and leaves b empty. NULL on out of memory.
 */
char *strbuf_take(struct strbuf *b);
