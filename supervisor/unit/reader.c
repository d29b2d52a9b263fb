/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See reader.h. Two halves: the joiner, which makes one checked statement at a time, and the door to inih,
 * which takes statements through an fgets-like function and gives back section, key and value. */
#define INI_HANDLER_LINENO 1 /* as Debian builds the library; the header's default is 0 */
#include <ini.h>

#include "unit/reader.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"
/* Stands for ':' inside a key on the way through inih, which would split there. Keys with control characters
 * are refused before, so the way back is unambiguous. */
#define COLON_STAND_IN '\x01'

struct reader {
    const char *next, *end; /* text not read yet */
    unsigned physical;      /* number of the last physical line taken */

    struct strbuf statement; /* joined, trimmed, with '\n' when ready for inih */
    size_t handed_out;       /* bytes of it that inih has */
    unsigned line;           /* its first physical line */
    bool too_long;

    char *section;        /* current section, NULL before the first header */
    bool dropping;        /* no section to put keys in: said once, then silent up to the next good header */
    bool header_pending;  /* a header went to inih: the synthetic line that makes its event comes next */
    bool is_header_event; /* the handler call under way is that event, whatever its name looks like */

    reader_callback callback;
    void *data;
    int error;
};

/* isspace() in the C locale: what inih trims. The joiner must not see a key where inih sees a blank line. */
static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void report(struct reader *r, const struct reader_event *event) {
    if (r->error != 0)
        return;
    int e = r->callback(event, r->data);
    r->error = MIN(e, 0);
}

static void report_error(
    struct reader *r, const char *key, const char *value, const char *text, const char *hint) {
    report(r, &(struct reader_event){.kind = READER_ERROR,
                  .line = r->line,
                  .section = r->section,
                  .key = key,
                  .value = value,
                  .text = text,
                  .hint = hint});
}

/* ---- the joiner ---- */

static size_t count_trailing_backslashes(const char *line, size_t n) {
    size_t count = 0;
    while (count < n && line[n - 1 - count] == '\\')
        count++;
    return count;
}

/* The next physical line without its end of line and leading blanks. */
static bool next_physical_line(struct reader *r, const char **ret_line, size_t *ret_length) {
    if (r->next == r->end)
        return false;

    const char *line = r->next;
    const char *newline = memchr(line, '\n', (size_t)(r->end - line));
    const char *stop = newline ?: r->end;
    r->next = newline ? newline + 1 : r->end;
    r->physical++;

    if (stop > line && stop[-1] == '\r')
        stop--;
    while (line < stop && is_blank(*line))
        line++;
    *ret_line = line;
    *ret_length = (size_t)(stop - line);
    return true;
}

/* Appends to the statement unless that would make it too long; then nothing more of it is kept, only its end
 * found. */
static void statement_append(struct reader *r, const char *line, size_t n) {
    if (r->too_long || r->statement.length + n > READER_LINE_MAX) {
        r->too_long = true;
        return;
    }
    strbuf_append(&r->statement, line, n);
}

/* Joins the physical lines of the next statement. False at the end of the text. */
static bool join_statement(struct reader *r) {
    const char *line;
    size_t n;
    bool continued = false;

    r->statement.length = 0;
    r->too_long = false;
    while (next_physical_line(r, &line, &n)) {
        if (n > 0 && (*line == '#' || *line == ';'))
            continue;
        if (!continued) {
            if (n == 0)
                continue;
            r->line = r->physical;
        }
        if (count_trailing_backslashes(line, n) % 2 == 0) {
            statement_append(r, line, n);
            return true;
        }
        statement_append(r, line, n - 1);
        statement_append(r, " ", 1);
        continued = true;
    }
    return continued;
}

/* The statement without blanks at its ends, NUL-terminated. (One at the start comes from a line that is only
 * a backslash.) */
static char *statement_text(struct reader *r) {
    strbuf_append(&r->statement, "", 1);
    if (strbuf_failed(&r->statement))
        return NULL;
    r->statement.length--;

    char *text = r->statement.data;
    while (r->statement.length > 0 && is_blank(text[r->statement.length - 1]))
        text[--r->statement.length] = '\0';
    while (is_blank(*text))
        text++;
    return text;
}

static bool check_header(struct reader *r, char *text, size_t n) {
    const char *hint = NULL;

    if (!strchr(text, ']'))
        hint = "a section header is a name in brackets: [Container]";
    else if (text[n - 1] != ']')
        hint = "nothing may follow the closing bracket; comments go on a line of their own";
    else if (n == 2)
        hint = "the name between the brackets is missing";

    free(r->section);
    r->section = hint ? NULL : strndup(text + 1, n - 2);
    r->dropping = !r->section;
    if (hint)
        report_error(r, NULL, text, "bad section header, everything up to the next one is dropped", hint);
    else if (!r->section)
        r->error = -ENOMEM;
    return r->section;
}

static bool check_assignment(struct reader *r, char *text) {
    if (r->dropping)
        return false;
    if (!r->section) {
        r->dropping = true;
        report_error(r, NULL, text, "text before the first section header",
            "a unit file starts with a section such as [Unit] or [Container]");
        return false;
    }

    char *equals = strchr(text, '=');
    if (!equals) {
        report_error(r, NULL, text, "not an assignment",
            "write Key=value; end a line with \\ to continue it on the next");
        return false;
    }
    if (equals == text) {
        report_error(r, NULL, text, "no key before \"=\"", NULL);
        return false;
    }
    for (char *c = text; c < equals; c++) {
        if ((unsigned char)*c < ' ' && *c != '\t') {
            report_error(r, NULL, NULL, "control character in a key", NULL);
            return false;
        }
        if (*c == ':')
            *c = COLON_STAND_IN;
    }
    return true;
}

/* Makes the next statement that inih can be trusted with. False at the end. */
static bool next_statement(struct reader *r) {
    while (r->error == 0 && join_statement(r)) {
        if (r->too_long) {
            report_error(
                r, NULL, NULL, "line longer than 1 MiB", "a missing quote or a stray \\ at a line's end?");
            continue;
        }
        char *text = statement_text(r);
        if (!text) {
            r->error = -ENOMEM;
            return false;
        }
        size_t n = strlen(text);
        if (n == 0)
            continue;
        if (!utf8_is_valid(text, n)) {
            report_error(r, NULL, NULL, "not valid UTF-8", "save the file as UTF-8");
            r->dropping |= *text == '[';
            continue;
        }
        if (*text == '[') {
            if (!check_header(r, text, n))
                continue;
            r->header_pending = true;
        } else if (!check_assignment(r, text))
            continue;
        return true;
    }
    return false;
}

/* ---- the door to inih ---- */

/* fgets() for inih: hands out the statement in pieces of at most size - 1 bytes, then makes the next one. */
static char *hand_out(char *buffer, int size, void *stream) {
    struct reader *r = stream;

    if (r->handed_out == r->statement.length) {
        r->is_header_event = r->header_pending;
        if (r->header_pending) {
            /* inih says nothing on a new section, so it gets an assignment whose call is the section's event.
             */
            r->header_pending = false;
            r->statement.length = 0;
            strbuf_puts(&r->statement, ".=");
        } else if (!next_statement(r))
            return NULL;
        strbuf_putc(&r->statement, '\n');
        r->handed_out = 0;
        if (strbuf_failed(&r->statement)) {
            r->error = -ENOMEM;
            return NULL;
        }
    }

    size_t n = MIN((size_t)size - 1, r->statement.length - r->handed_out);
    memcpy(buffer, r->statement.data + r->handed_out, n);
    buffer[n] = '\0';
    r->handed_out += n;
    return buffer;
}

static int take_assignment(
    void *data, const char *section _unused_, const char *name, const char *value, int line _unused_) {
    struct reader *r = data;
    /* inih cuts section names at 49 bytes and counts joined lines: both come from the joiner instead. */
    struct reader_event event = {.kind = READER_SECTION, .line = r->line, .section = r->section};
    _cleanup_free_ char *key = NULL;

    if (!r->is_header_event) {
        event.kind = READER_KEY;
        event.key = name;
        event.value = value;
        if (strchr(name, COLON_STAND_IN)) {
            key = strdup(name);
            if (!key) {
                r->error = -ENOMEM;
                return 0;
            }
            for (char *c = key; (c = strchr(c, COLON_STAND_IN));)
                *c = ':';
            event.key = key;
        }
    }
    report(r, &event);
    return 1;
}

/* Debian's inih takes its options at run time, for the whole process. Nobody else in davit uses it. */
static void configure_inih(void) {
    ini_use_stack = false;
    ini_allow_realloc = true;
    ini_max_line = READER_LINE_MAX + 8;
    ini_allow_inline_comments = false;
    ini_allow_multiline = false;
    ini_allow_bom = false;
    ini_allow_no_value = false;
    ini_stop_on_first_error = false;
}

static void reader_done(struct reader *r) {
    strbuf_free(&r->statement);
    free(r->section);
}

int reader_parse(const char *text, size_t n, reader_callback callback, void *data) {
    _cleanup_(reader_done) struct reader r = {
        .next = text, .end = text + n, .callback = callback, .data = data};

    const char *nul = memchr(text, '\0', n);
    if (nul) {
        r.line = 1;
        for (const char *c = text; c < nul; c++)
            r.line += *c == '\n';
        report_error(&r, NULL, NULL, "NUL byte, the file is not read", "this is not a text file");
        return r.error;
    }
    if (n >= strlen(BYTE_ORDER_MARK) && memcmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
        r.next += strlen(BYTE_ORDER_MARK);

    configure_inih();
    if (ini_parse_stream(hand_out, &r, take_assignment, &r) == -2)
        return -ENOMEM;
    return r.error;
}
