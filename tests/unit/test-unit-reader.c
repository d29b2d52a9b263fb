/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The reader against a reference that knows no inih: hard examples by hand, then thousands made at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/reader.h"

/* ---- events as text ---- */

static int note_event(const struct reader_event *e, void *data) {
    struct strbuf *b = data;
    if (e->kind == READER_SECTION)
        strbuf_printf(b, "S%u[%s]\n", e->line, e->section);
    else if (e->kind == READER_KEY)
        strbuf_printf(b, "K%u[%s]<%s>=<%s>\n", e->line, e->section, e->key, e->value);
    else
        strbuf_printf(b, "E%u\n", e->line);
    return 0;
}

static char *read_events(const char *text, size_t n) {
    struct strbuf b = {0};
    assert_int_equal(reader_parse(text, n, note_event, &b), 0);
    return strbuf_take(&b);
}

static void check(const char *text, const char *expected) {
    _cleanup_free_ char *events = read_events(text, strlen(text));
    assert_string_equal(events, expected);
}

/* ---- the reference: the whole text at once, no streaming, no library ---- */

static bool reference_blank(char c) {
    return strchr(" \t\n\v\f\r", c) && c;
}

struct reference {
    struct strbuf out;
    char section[4096];
    bool has_section, dropping;
};

static void reference_statement(struct reference *r, unsigned line, char *s, size_t n) {
    while (n > 0 && reference_blank(s[n - 1]))
        n--;
    while (n > 0 && reference_blank(*s)) {
        s++;
        n--;
    }
    s[n] = '\0';
    if (n == 0)
        return;
    if (!utf8_is_valid(s, n)) {
        strbuf_printf(&r->out, "E%u\n", line);
        if (s[0] == '[')
            r->dropping = true;
        return;
    }
    if (s[0] == '[') {
        r->has_section = s[n - 1] == ']' && n > 2;
        r->dropping = !r->has_section;
        if (!r->has_section) {
            strbuf_printf(&r->out, "E%u\n", line);
            return;
        }
        s[n - 1] = '\0';
        strcpy(r->section, s + 1);
        strbuf_printf(&r->out, "S%u[%s]\n", line, r->section);
        return;
    }
    if (r->dropping)
        return;
    char *equals = strchr(s, '=');
    bool control = false;
    for (char *c = s; equals && c < equals; c++)
        control |= (unsigned char)*c < 32 && *c != '\t';
    if (!r->has_section || !equals || equals == s || control) {
        r->dropping |= !r->has_section;
        strbuf_printf(&r->out, "E%u\n", line);
        return;
    }
    char *value = equals + 1;
    *equals = '\0';
    while (equals > s && reference_blank(equals[-1]))
        *--equals = '\0';
    while (reference_blank(*value))
        value++;
    strbuf_printf(&r->out, "K%u[%s]<%s>=<%s>\n", line, r->section, s, value);
}

static char *reference_events(const char *text, size_t n) {
    static struct reference r;
    static char joined[65536];
    size_t length = 0;
    unsigned line = 0, first = 0;
    bool open = false;

    memset(&r, 0, sizeof(r));
    for (size_t at = n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; at < n;) {
        size_t end = at;
        while (end < n && text[end] != '\n')
            end++;
        size_t next = end + 1, stop = end, slashes = 0;
        line++;
        if (stop > at && text[stop - 1] == '\r')
            stop--;
        while (at < stop && reference_blank(text[at]))
            at++;
        if (at == stop || (text[at] != '#' && text[at] != ';')) {
            if (!open)
                first = line;
            memcpy(joined + length, text + at, stop - at);
            length += stop - at;
            while (slashes < stop - at && text[stop - 1 - slashes] == '\\')
                slashes++;
            open = slashes % 2 == 1;
            if (open) {
                joined[length - 1] = ' ';
            } else {
                reference_statement(&r, first, joined, length);
                length = 0;
            }
        }
        at = next;
    }
    if (open)
        reference_statement(&r, first, joined, length);
    return strbuf_take(&r.out);
}

/* ---- by hand ---- */

static void test_sections_and_keys(void **state _unused_) {
    check("", "");
    check("[A]\nx=1\n", "S1[A]\nK2[A]<x>=<1>\n");
    check("[A]\nx=1", "S1[A]\nK2[A]<x>=<1>\n");
    check("\n\n[A]\n\n  x  =  1 2  \n", "S3[A]\nK5[A]<x>=<1 2>\n");
    check("[A]\n[A]\n[B]\nx=\n", "S1[A]\nS2[A]\nS3[B]\nK4[B]<x>=<>\n");
    check("[A]\nx==1\n", "S1[A]\nK2[A]<x>=<=1>\n");
    check("[A]\n.=1\n", "S1[A]\nK2[A]<.>=<1>\n"); /* looks like the reader's own synthetic line */
    check("[A]\na:b=1:2\n", "S1[A]\nK2[A]<a:b>=<1:2>\n");
    check("[A]\nx=a;b #c ;d\n", "S1[A]\nK2[A]<x>=<a;b #c ;d>\n");
    check("[A]\nx=1\n  y=2\n", "S1[A]\nK2[A]<x>=<1>\nK3[A]<y>=<2>\n"); /* indented: no continuation */
    check("[a]b]\nx=1\n", "S1[a]b]\nK2[a]b]<x>=<1>\n");
    check("[A]\r\nx=1\r\n", "S1[A]\nK2[A]<x>=<1>\n");
    check("\xef\xbb\xbf[A]\nx=1\n", "S1[A]\nK2[A]<x>=<1>\n");
}

static void test_comments(void **state _unused_) {
    check("# c\n; c\n[A]\n  # c\nx=1 # no comment\n", "S3[A]\nK5[A]<x>=<1 # no comment>\n");
    check("# c \\\n[A]\nx=1\n", "S2[A]\nK3[A]<x>=<1>\n"); /* a comment is not continued */
}

static void test_continuation(void **state _unused_) {
    check("[A]\nx=a\\\nb\ny=2\n", "S1[A]\nK2[A]<x>=<a b>\nK4[A]<y>=<2>\n");
    check("[A]\nx=a \\\n   b \\\n\tc\n", "S1[A]\nK2[A]<x>=<a  b  c>\n");
    check("[A]\nx=a\\\n# c\n; c\nb\n", "S1[A]\nK2[A]<x>=<a b>\n");
    check("[A]\nx=a\\\n\ny=2\n", "S1[A]\nK2[A]<x>=<a>\nK4[A]<y>=<2>\n"); /* a blank line ends it */
    check("[A]\nx=a\\\\\ny=2\n", "S1[A]\nK2[A]<x>=<a\\\\>\nK3[A]<y>=<2>\n");
    check("[A]\nx=a\\\\\\\nb\n", "S1[A]\nK2[A]<x>=<a\\\\ b>\n");
    check("[A]\nx=a\\ \nb=1\n",
        "S1[A]\nK2[A]<x>=<a\\>\nK3[A]<b>=<1>\n"); /* a blank behind it: no continuation */
    check("[A]\nx=a\\\r\nb\r\n", "S1[A]\nK2[A]<x>=<a b>\n");
    check("[A]\nx=a\\", "S1[A]\nK2[A]<x>=<a>\n");
    check("[A]\nx=a\\\n# c", "S1[A]\nK2[A]<x>=<a>\n"); /* Quadlet loses the value here */
    check("[A]\nx=a\\\n[B]\ny=1\n", "S1[A]\nK2[A]<x>=<a [B]>\nK4[A]<y>=<1>\n");
}

static void test_errors_have_the_first_line(void **state _unused_) {
    check("x=1\ny=2\n[A]\nz=3\n", "E1\nS3[A]\nK4[A]<z>=<3>\n");
    check("[A]\nfoo\nx=1\n", "S1[A]\nE2\nK3[A]<x>=<1>\n");
    check("[A]\n\n\nfoo \\\n bar\nx=1\n", "S1[A]\nE4\nK6[A]<x>=<1>\n");
    check("[A]\n=1\n", "S1[A]\nE2\n");
    check("[A]\nx\x02y=1\n", "S1[A]\nE2\n");
    check("[A]\nx=\xff\ny=1\n", "S1[A]\nE2\nK3[A]<y>=<1>\n");
}

/* Keys below a broken header belong to nobody: they must never land in the section before it. */
static void test_bad_header_drops_what_follows(void **state _unused_) {
    check("[A]\nx=1\n[B\ny=2\n[C]\nz=3\n", "S1[A]\nK2[A]<x>=<1>\nE3\nS5[C]\nK6[C]<z>=<3>\n");
    check("[A] x\ny=2\n", "E1\n");
    check("[]\ny=2\n", "E1\n");
    check("[A]\n[B\xff]\ny=2\n", "S1[A]\nE2\n");
}

static void test_nul_byte(void **state _unused_) {
    static const char text[] = "[A]\nx=1\ny=\0 2\nz=3\n";
    _cleanup_free_ char *events = read_events(text, sizeof(text) - 1);
    assert_string_equal(events, "E3\n");
}

static void test_long_section_names_are_not_cut(void **state _unused_) {
    _cleanup_strbuf_ struct strbuf text = {0}, expected = {0};
    char name[301];
    memset(name, 'n', 300);
    name[300] = '\0';
    strbuf_printf(&text, "[%s]\n%s=1\n", name, name);
    strbuf_printf(&expected, "S1[%s]\nK2[%s]<%s>=<1>\n", name, name, name);
    check(text.data, expected.data);
}

/* ---- long lines ---- */

static char *repeat(const char *before, char c, size_t n, const char *after) {
    struct strbuf b = {0};
    strbuf_puts(&b, before);
    for (size_t i = 0; i < n; i++)
        strbuf_putc(&b, c);
    strbuf_puts(&b, after);
    return strbuf_take(&b);
}

static void test_line_limit(void **state _unused_) {
    size_t most = READER_LINE_MAX - strlen("x=");
    _cleanup_free_ char *fits = repeat("[A]\nx=", 'v', most, "\ny=2\n");
    _cleanup_free_ char *value = repeat("S1[A]\nK2[A]<x>=<", 'v', most, ">\nK3[A]<y>=<2>\n");
    check(fits, value);

    _cleanup_free_ char *too_long = repeat("[A]\nx=", 'v', most + 1, "\ny=2\n");
    check(too_long, "S1[A]\nE2\nK3[A]<y>=<2>\n");

    _cleanup_free_ char *joined = repeat("[A]\nx=a\\\n", 'v', READER_LINE_MAX, "\\\nb\ny=2\n");
    check(joined, "S1[A]\nE2\nK5[A]<y>=<2>\n");
}

/* inih's buffer starts at 200 bytes and doubles: no length on the way may split a line. */
static void test_every_length_around_buffer_sizes(void **state _unused_) {
    for (size_t n = 180; n < 900; n++) {
        _cleanup_free_ char *text = repeat("[A]\nx=", 'v', n, "\ny=2\n");
        _cleanup_free_ char *expected = repeat("S1[A]\nK2[A]<x>=<", 'v', n, ">\nK3[A]<y>=<2>\n");
        check(text, expected);
    }
}

static int stop_at_second(const struct reader_event *e _unused_, void *data) {
    int *count = data;
    return ++*count == 2 ? -ECANCELED : 0;
}

static void test_callback_can_stop(void **state _unused_) {
    static const char text[] = "[A]\nx=1\ny=2\nz=3\n";
    int count = 0;
    assert_int_equal(reader_parse(text, strlen(text), stop_at_second, &count), -ECANCELED);
    assert_int_equal(count, 2);
}

/* ---- at random ---- */

static uint64_t random_state = 88172645463325252ull;
static unsigned random_below(unsigned n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 20) % n;
}

static void test_random_texts_match_the_reference(void **state _unused_) {
    static const char *const pieces[] = {"\n", "\n", "\n", "\r\n", "\\\n", "\\\n", "\\\r\n", "\\", "\\\\",
        "[A]\n", "[Bee]\n", "\n[C", "]", "[", "=", "=", "x=1", "key = value", "k", ":", " ", "  ", "\t", "\v",
        "\f", "\r", "#", ";", "\n# c\n", "\n; c \\\n", "\"", "'", "\xc3\xa9", "\xff", "\xef\xbb\xbf", "\x01",
        ".=", "[S] junk", "%i"};

    for (int round = 0; round < 20000; round++) {
        _cleanup_strbuf_ struct strbuf text = {0};
        if (random_below(4) == 0)
            strbuf_puts(&text, "\xef\xbb\xbf");
        if (random_below(3) != 0)
            strbuf_puts(&text, "[A]\n");
        for (unsigned i = random_below(60); i > 0; i--)
            strbuf_puts(&text, pieces[random_below(ARRAY_SIZE(pieces))]);
        strbuf_puts(&text, "");
        const char *s = text.data ?: "";
        _cleanup_free_ char *events = read_events(s, text.length);
        _cleanup_free_ char *expected = reference_events(s, text.length);
        if (!streq(events, expected))
            fail_msg("round %d, text:\n%s\n--- reader:\n%s--- reference:\n%s", round, s, events, expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sections_and_keys),
        cmocka_unit_test(test_comments),
        cmocka_unit_test(test_continuation),
        cmocka_unit_test(test_errors_have_the_first_line),
        cmocka_unit_test(test_bad_header_drops_what_follows),
        cmocka_unit_test(test_nul_byte),
        cmocka_unit_test(test_long_section_names_are_not_cut),
        cmocka_unit_test(test_line_limit),
        cmocka_unit_test(test_every_length_around_buffer_sizes),
        cmocka_unit_test(test_callback_can_stop),
        cmocka_unit_test(test_random_texts_match_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
