/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/output.h"

#include <sys/ioctl.h>

bool output_has_colors(void) {
    static int known = -1;
    if (known < 0) {
        const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
        known = isatty(STDOUT_FILENO) && isempty(no_color) && !(term && streq(term, "dumb"));
    }
    return known;
}

const char *color_start(enum color c) {
    static const char *const sequences[] = {
        [COLOR_NONE] = "\033[0m",
        [COLOR_GREEN] = "\033[0;1;32m",
        [COLOR_YELLOW] = "\033[0;1;33m",
        [COLOR_RED] = "\033[0;1;31m",
        [COLOR_GREY] = "\033[0;38;5;245m",
        [COLOR_BOLD] = "\033[0;1m",
    };
    return output_has_colors() ? sequences[c] : "";
}

size_t output_width(void) {
    struct winsize w;
    if (!isatty(STDOUT_FILENO))
        return SIZE_MAX;
    const char *columns = getenv("COLUMNS");
    long n = columns ? strtol(columns, NULL, 10) : 0;
    if (n > 0 && n < 10000)
        return (size_t)n;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

/* ---- text ---- */

/* Length of the UTF-8 sequence that a byte starts, 0 if none can. */
static size_t utf8_length(unsigned char c) {
    return c < 0x80                ? 1
           : c >= 0xC2 && c < 0xE0 ? 2
           : c >= 0xE0 && c < 0xF0 ? 3
           : c >= 0xF0 && c < 0xF5 ? 4
                                   : 0;
}

static bool is_control(const char *s, size_t length) {
    unsigned char c = (unsigned char)s[0];
    if (length == 1)
        return (c < 0x20 && c != '\t') || c == 0x7F;
    return length == 2 && c == 0xC2 &&
           (unsigned char)s[1] < 0xA0; /* U+0080 to U+009F: terminals obey those too */
}

char *text_printable(const char *s, size_t n) {
    struct strbuf b = {};
    for (size_t i = 0; i < n;) {
        size_t length = utf8_length((unsigned char)s[i]);
        if (length > 0 && length <= n - i && (length == 1 || utf8_is_valid(s + i, length)) &&
            !is_control(s + i, length)) {
            strbuf_append(&b, s + i, length);
            i += length;
        } else
            strbuf_printf(&b, "\\x%02x", (unsigned char)s[i++]);
    }
    return strbuf_take(&b);
}

size_t text_width(const char *s) {
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}

size_t text_prefix(const char *s, size_t width) {
    size_t i = 0;
    for (size_t n = 0; s[i]; i++) {
        n += ((unsigned char)s[i] & 0xC0) != 0x80;
        if (n > width)
            break;
    }
    return i;
}

enum color state_color(const char *active) {
    return streq(active, "active") || streq(active, "reloading") ? COLOR_GREEN
           : streq(active, "failed")                             ? COLOR_RED
           : streq(active, "inactive")                           ? COLOR_NONE
                                                                 : COLOR_YELLOW;
}

const char *time_ago(usec_t realtime, usec_t now, char buffer[static TIMESPAN_MAX + 8]) {
    char span[TIMESPAN_MAX];
    usec_t distance = now > realtime ? now - realtime : realtime - now;
    usec_t accuracy = distance >= 86400 * USEC_PER_SEC  ? 3600 * USEC_PER_SEC
                      : distance >= 3600 * USEC_PER_SEC ? 60 * USEC_PER_SEC
                      : distance >= USEC_PER_SEC        ? USEC_PER_SEC
                                                        : USEC_PER_MSEC;
    (void)snprintf(buffer, TIMESPAN_MAX + 8, "%s %s", timespan_format(distance, accuracy, span),
        now >= realtime ? "ago" : "left");
    return buffer;
}

/* ---- tables ---- */

void table_add(struct table *t, enum color color, const char *text) {
    if (t->n_cells == t->size) {
        size_t size = t->size ? t->size * 2 : 64;
        struct table_cell *cells = reallocarray(t->cells, size, sizeof(*cells));
        if (!cells) {
            t->failed = true;
            return;
        }
        t->cells = cells;
        t->size = size;
    }
    char *copy = isempty(text) ? strdup("-") : text_printable(text, strlen(text));
    t->failed = t->failed || !copy;
    if (copy)
        t->cells[t->n_cells++] = (struct table_cell){.text = copy, .color = color};
}

/* Widths of the columns: what they hold, and where that is too much, flexible ones are narrowed, last ones
 * first, down to what a heading needs. */
static void table_measure(
    const struct table *t, size_t width, bool heading, size_t widths[static TABLE_COLUMNS_MAX]) {
    size_t total = 2 * (t->n_columns - 1);
    for (size_t k = 0; k < t->n_columns; k++) {
        widths[k] = heading ? text_width(t->columns[k].heading) : 1;
        for (size_t i = k; i < t->n_cells; i += t->n_columns)
            widths[k] = MAX(widths[k], text_width(t->cells[i].text));
        total += widths[k];
    }
    for (size_t k = t->n_columns; k-- > 0 && total > width;) {
        size_t least = MAX(text_width(t->columns[k].heading), 10U);
        if (!t->columns[k].flexible || widths[k] <= least)
            continue;
        size_t less = MIN(widths[k] - least, total - width);
        widths[k] -= less;
        total -= less;
    }
}

static void print_cell(
    FILE *f, const struct table_column *c, const char *text, enum color color, size_t width, bool last) {
    size_t n = text_width(text), bytes = strlen(text);
    const char *cut = "";

    if (n > width) {
        bytes = text_prefix(text, width - 1);
        n = width;
        cut = "…";
    }
    int before = c->right ? (int)(width - n) : 0, after = c->right || last ? 0 : (int)(width - n);
    (void)fprintf(f, "%*s%s%.*s%s%s%*s", before, "", color ? color_start(color) : "", (int)bytes, text, cut,
        color ? color_start(COLOR_NONE) : "", after, "");
    (void)fputs(last ? "\n" : "  ", f);
}

int table_print(struct table *t, FILE *f, size_t width, bool heading) {
    size_t widths[TABLE_COLUMNS_MAX];
    int r = t->failed ? -ENOMEM : 0;

    if (r == 0 && t->n_columns > 0) {
        table_measure(t, width, heading, widths);
        for (size_t k = 0; k < t->n_columns && heading; k++)
            print_cell(
                f, &t->columns[k], t->columns[k].heading, COLOR_BOLD, widths[k], k == t->n_columns - 1);
        for (size_t i = 0; i < t->n_cells; i++) {
            size_t k = i % t->n_columns;
            print_cell(
                f, &t->columns[k], t->cells[i].text, t->cells[i].color, widths[k], k == t->n_columns - 1);
        }
    }
    table_free(t);
    return r;
}

void table_free(struct table *t) {
    for (size_t i = 0; i < t->n_cells; i++)
        free(t->cells[i].text);
    free(TAKE_PTR(t->cells));
    t->n_cells = t->size = 0;
}

/* ---- JSON ---- */

void json_print(json_t *value) {
    (void)json_dumpf(
        value, stdout, JSON_ENCODE_ANY | (isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT));
    (void)fputc('\n', stdout);
}

json_t *json_texts(char *const *l) {
    json_t *a = json_array();

    STRV_FOREACH (s, l)
        (void)json_array_append_new(a, json_string(*s));
    return a;
}

json_t *json_pairs(char *const *l) {
    json_t *o = json_object();

    STRV_FOREACH (pair, l) {
        size_t n = strcspn(*pair, "=");
        _cleanup_free_ char *name = strndup(*pair, n);
        if (name)
            (void)json_object_set_new(o, name, json_string((*pair)[n] ? *pair + n + 1 : ""));
    }
    return o;
}

const char *json_text(json_t *object, const char *name) {
    return json_string_value(json_object_get(object, name)) ?: "";
}

int64_t json_number(json_t *object, const char *name, int64_t otherwise) {
    json_t *n = json_object_get(object, name);
    return json_is_integer(n) ? json_integer_value(n) : otherwise;
}

bool json_flag(json_t *object, const char *name) {
    return json_is_true(json_object_get(object, name));
}
