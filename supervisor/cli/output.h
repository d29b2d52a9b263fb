/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the command line prints: text that cannot play tricks on a terminal, colors where they are wanted,
 * tables that fit.
 */
#pragma once

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"

enum color { COLOR_NONE, COLOR_GREEN, COLOR_YELLOW, COLOR_RED, COLOR_GREY, COLOR_BOLD };

/* Colors: on a terminal, and $NO_COLOR (https://no-color.org) is not set. */
bool output_has_colors(void);
/* Escape sequence that starts a color or (COLOR_NONE) ends it; "" without colors. */
const char *color_start(enum color c);
/* Width of the terminal in columns; SIZE_MAX if output is not a terminal: then nothing is cut. */
size_t output_width(void);

/* A copy of n bytes in which control characters and bytes that are no UTF-8 are written as \xNN. Names,
 * descriptions and STATUS= come from files and programs that may want to write escape sequences to the
 * operator's terminal. */
char *text_printable(const char *s, size_t n);
/* Columns that printable UTF-8 takes (one a character). */
size_t text_width(const char *s);
/* Bytes of the first `width` characters. */
size_t text_prefix(const char *s, size_t width);

/* Color of a state's dot and word, by systemd's ActiveState. */
enum color state_color(const char *active);
/* "5min ago", "3h 2min ago", "just now". Returns buffer. */
const char *time_ago(usec_t realtime, usec_t now, char buffer[static TIMESPAN_MAX + 8]);

/* A process's command line, printable; "" for a kernel thread, NULL where there is no such process. */
char *process_text(int64_t pid);

/* ---- tables ---- */

enum { TABLE_COLUMNS_MAX = 12 };
struct table_column {
    const char *heading;
    bool right;    /* numbers */
    bool flexible; /* gives way first when the terminal is narrow */
};
struct table {
    const struct table_column *columns;
    size_t n_columns;
    struct table_cell {
        char *text;
        enum color color;
    } * cells; /* row by row */
    size_t n_cells, size;
    bool failed;
};
/* Adds a cell; text (copied, made printable) may be NULL for "-". */
void table_add(struct table *t, enum color color, const char *text);
/* Prints what there is and frees it. width: SIZE_MAX = as wide as it gets. Returns 0 or -ENOMEM. */
int table_print(struct table *t, FILE *f, size_t width, bool heading);
void table_free(struct table *t);

/* JSON on stdout: indented for people, in one line for programs. */
void json_print(json_t *value);
/* An array of strings, and an object of what are NAME=VALUE each. */
json_t *json_texts(char *const *l);
json_t *json_pairs(char *const *l);

/* ---- reading replies ---- */

/* Member as string, "" if it is none. */
const char *json_text(json_t *object, const char *name);
/* Member as number, or otherwise. */
int64_t json_number(json_t *object, const char *name, int64_t otherwise);
bool json_flag(json_t *object, const char *name);
