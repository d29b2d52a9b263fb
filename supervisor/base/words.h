/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Splitting text into words with systemd's quoting rules (systemd.syntax(7), systemd.service(5) "command
 * lines"): blanks separate; '..' and ".." quote and may start inside a word; with WORDS_CUNESCAPE backslash
 * escapes are \a \b \f \n \r \t \v \\ \" \' \s \xHH \NNN \uXXXX \UXXXXXXXX, never NUL.
 */
#pragma once

#include "base/str.h"

enum words_flags {
    WORDS_UNQUOTE = 1 << 0,         /* quotes group and are removed */
    WORDS_CUNESCAPE = 1 << 1,       /* backslash escapes are decoded; an unknown one is an error */
    WORDS_CUNESCAPE_RELAX = 1 << 2, /* ... an unknown one is kept as it is */
    WORDS_RELAX = 1 << 3,           /* an unterminated quote ends at the end of the text */
    WORDS_KEEP_BACKSLASH = 1 << 4,  /* no escapes at all: backslash is an ordinary character */
};

/* Takes the next word off *p. Returns 1 and a new string in *ret, 0 at the end, -EINVAL on bad quoting or a
 * bad escape, -ENOMEM. An empty quoted word ("") is a word. separators NULL = blanks. */
int words_next(const char **p, char **ret, const char *separators, enum words_flags flags);
/* All words of s; same errors. */
int words_split(const char *s, enum words_flags flags, char ***ret);
/* Quotes s for display so that words_split(WORDS_UNQUOTE|WORDS_CUNESCAPE) gives it back. */
char *words_quote(const char *s);
