/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The reader: unit text to a row of events, by systemd.syntax(7), and nothing about what sections or keys
 * mean.
 *
 * It joins physical lines to logical ones and lets inih take them apart. inih alone would cut long lines,
 * split keys at ':', hide repeated headers and count joined lines instead of those in the file; so the joiner
 * checks each statement before inih sees it, and every event carries the first physical line of its
 * statement.
 *
 * The rules, where systemd's and Quadlet's parsers differ systemd's:
 *   - a line whose first non-blank character is # or ; is a comment, also between continued lines;
 *   - an odd number of backslashes at the end of a line continues it: the last one becomes a blank, leading
 * blanks of the next line go; a blank line or the end of the file ends the statement;
 *   - CR before LF is dropped, a byte order mark at the start is skipped;
 *   - text must be UTF-8 without NUL, a statement at most READER_LINE_MAX bytes;
 *   - after a broken section header everything up to the next good one is dropped: those keys belong to
 * nobody.
 */
#pragma once

#include "base/str.h"

#define READER_LINE_MAX (1024u * 1024)

enum reader_event_kind {
    READER_SECTION, /* section */
    READER_KEY,     /* section, key, value (trimmed, may be "") */
    READER_ERROR, /* text, hint; key or section where known, value = the offending line where it can be shown
                   */
};
struct reader_event {
    enum reader_event_kind kind;
    unsigned line;
    const char *section, *key, *value;
    const char *text, *hint;
};
/* Strings are valid during the call only. A negative return value ends the reading and is returned. */
typedef int (*reader_callback)(const struct reader_event *event, void *data);

/* 0, -ENOMEM, or what callback returned. Errors in the text are events, not return values. */
int reader_parse(const char *text, size_t n, reader_callback callback, void *data);
