/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/str.h"

#include <limits.h>

#define EDIT_DISTANCE_MAX 64

const char *startswith(const char *s, const char *prefix) {
    size_t n = strlen(prefix);
    return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

const char *endswith(const char *s, const char *suffix) {
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && memcmp(s + n - m, suffix, m) == 0 ? s + n - m : NULL;
}

char *strf(const char *fmt, ...) {
    char *s;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    return n < 0 ? NULL : s;
}

int free_and_strdup(char **p, const char *s) {
    char *copy = NULL;

    /* Copied before the old one is freed: s may point into it. */
    if (s) {
        copy = strdup(s);
        if (!copy)
            return -ENOMEM;
    }
    free(*p);
    *p = copy;
    return 0;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

char *strstrip(char *s) {
    while (is_blank(*s))
        s++;
    char *end = s + strlen(s);
    while (end > s && is_blank(end[-1]))
        end--;
    *end = '\0';
    return s;
}

/* Length of the UTF-8 character at s, 0 if it is malformed: Unicode table 3-7, "Well-Formed UTF-8 Byte
 * Sequences". It leaves out overlong forms, surrogates and everything above U+10FFFF. */
static size_t utf8_character_length(const unsigned char *s, size_t n) {
    static const struct {
        unsigned char first_low, first_high, second_low, second_high, length;
    } forms[] = {
        {0x01, 0x7F, 0x00, 0x00, 1},
        {0xC2, 0xDF, 0x80, 0xBF, 2},
        {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3},
        {0xED, 0xED, 0x80, 0x9F, 3},
        {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4},
        {0xF1, 0xF3, 0x80, 0xBF, 4},
        {0xF4, 0xF4, 0x80, 0x8F, 4},
    };

    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        if (s[0] < forms[i].first_low || s[0] > forms[i].first_high)
            continue;
        if (n < forms[i].length)
            return 0;
        if (forms[i].length > 1 && (s[1] < forms[i].second_low || s[1] > forms[i].second_high))
            return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if ((s[k] & 0xC0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

bool utf8_is_valid(const char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t length = utf8_character_length((const unsigned char *)s + i, n - i);
        if (length == 0)
            return false;
        i += length;
    }
    return true;
}

/* Levenshtein distance, one row of the table at a time. */
unsigned edit_distance(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    unsigned rows[3][EDIT_DISTANCE_MAX + 1], *above2 = rows[0], *above = rows[1], *row = rows[2];

    if (n > EDIT_DISTANCE_MAX || m > EDIT_DISTANCE_MAX)
        return UINT_MAX;

    for (size_t j = 0; j <= m; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *unused = above2;
        above2 = above;
        above = row;
        row = unused;
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = MIN(replaced, MIN(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) /* "strat" for "start" */
                row[j] = MIN(row[j], above2[j - 2] + 1);
        }
    }
    return row[m];
}

char *octal_unescape(char *s) {
    char *to = s;

    for (const char *from = s; *from;) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' &&
            from[3] >= '0' && from[3] <= '7') {
            *to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else
            *to++ = *from++;
    }
    *to = '\0';
    return s;
}
