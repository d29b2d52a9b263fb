/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "log/cri.h"

/* Feeds text in chunks as davit-logd does: what line_next() leaves is put in front of the next chunk. Each
 * record goes to out as priority, tag, text, newline. */
static void feed(const char *text, size_t length, size_t (*chunk)(void), struct strbuf *out) {
    struct line_context context = {};
    struct line line;
    char *data = malloc(length + 1);
    size_t kept = 0;

    for (size_t done = 0; done < length;) {
        size_t wish = chunk(), n = MIN(wish, length - done);
        memcpy(data + kept, text + done, n);
        done += n;
        struct line_cursor c = {.data = data, .length = kept + n, .default_priority = 6, .context = context};
        while (line_next(&c, &line)) {
            strbuf_printf(out, "%d%c", line.priority, line.partial ? 'P' : 'F');
            strbuf_append(out, line.text, line.length);
            strbuf_putc(out, '\n');
        }
        context = c.context;
        kept = c.length - c.position;
        assert_true(kept <= LINE_MAX_BYTES);
        memmove(data, data + c.position, kept);
    }
    struct line_cursor c = {.data = data, .length = kept, .default_priority = 6, .context = context};
    if (line_rest(&c, false, &line)) {
        strbuf_printf(out, "%d%c", line.priority, line.partial ? 'P' : 'F');
        strbuf_append(out, line.text, line.length);
        strbuf_putc(out, '\n');
    }
    free(data);
}

/* The same by the book: whole text, one line after the other, each cut into pieces. */
static void reference(const char *text, size_t length, struct strbuf *out) {
    const char *end = text + length;

    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline ? newline : end;
        int priority = 6;
        bool first = true;
        do {
            size_t n = MIN((size_t)(stop - text), (size_t)LINE_MAX_BYTES);
            bool partial = n < (size_t)(stop - text);
            const char *p = text;
            size_t left = n;
            if (first && n >= 3 && p[0] == '<' && p[2] == '>' && strchr("01234567", p[1]) && p[1]) {
                priority = p[1] - '0';
                p += 3;
                left -= 3;
            }
            strbuf_printf(out, "%d%c", priority, partial ? 'P' : 'F');
            strbuf_append(out, p, left);
            strbuf_putc(out, '\n');
            text += n;
            first = false;
        } while (text < stop);
        if (newline)
            text = newline + 1;
    }
}

static size_t chunk_limit;
static size_t any_chunk(void) {
    return 1 + (size_t)rand() % chunk_limit;
}

static char *random_text(size_t length) {
    static const char alphabet[] = "ab<>0379\n\n\n\0x";
    char *text = malloc(length + 1);
    unsigned long_line = 0;

    for (size_t i = 0; i < length; i++) {
        if (long_line == 0 && rand() % 20000 == 0)
            long_line = (unsigned)rand() % 150000;
        if (long_line > 0)
            long_line--;
        text[i] = alphabet[(size_t)rand() % (long_line > 0 ? 8 : sizeof alphabet - 1)];
        if (long_line > 0 && text[i] == '\n')
            text[i] = 'y';
    }
    return text;
}

static void test_any_chunking_gives_the_same_lines(void **state _unused_) {
    const size_t limits[] = {1, 3, 100, 4096, 65536};

    srand(7);
    for (size_t round = 0; round < 60; round++) {
        size_t length = round % 5 == 0 ? 400000 : (size_t)rand() % 5000;
        _cleanup_free_ char *text = random_text(length);
        _cleanup_strbuf_ struct strbuf wanted = {}, got = {};
        chunk_limit = limits[round % ARRAY_SIZE(limits)];
        if (length > 100000 && chunk_limit < 100)
            chunk_limit = 5000; /* the copying of the test, not of the program, takes its time */
        reference(text, length, &wanted);
        feed(text, length, any_chunk, &got);
        assert_int_equal(got.length, wanted.length);
        assert_memory_equal(got.data ? got.data : "", wanted.data ? wanted.data : "", wanted.length);
    }
}

static struct line only_line(const char *text, uint8_t default_priority) {
    struct line_cursor c = {.data = text, .length = strlen(text), .default_priority = default_priority};
    struct line line;
    assert_true(line_next(&c, &line));
    assert_int_equal(c.position, strlen(text));
    return line;
}

static void test_priority_prefix(void **state _unused_) {
    static const struct {
        const char *text;
        int priority;
        const char *rest;
    } cases[] = {
        {"<0>a\n", 0, "a"},
        {"<7>\n", 7, ""},
        {"<3> b\n", 3, " b"},
        {"<8>a\n", 5, "<8>a"},
        {"<33>a\n", 5, "<33>a"},
        {"< 3>a\n", 5, "< 3>a"},
        {"<3a\n", 5, "<3a"},
        {"a<3>b\n", 5, "a<3>b"},
        {"<3>\n", 3, ""},
        {"<3\n", 5, "<3"},
        {"\n", 5, ""},
        {"<1><2>x\n", 1, "<2>x"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct line line = only_line(cases[i].text, 5);
        assert_int_equal(line.priority, cases[i].priority);
        assert_int_equal(line.length, strlen(cases[i].rest));
        assert_memory_equal(line.text, cases[i].rest, line.length);
        assert_false(line.partial);
    }
}

static void test_line_of_exactly_the_limit_is_whole(void **state _unused_) {
    _cleanup_free_ char *text = malloc(LINE_MAX_BYTES + 2);
    memset(text, 'a', LINE_MAX_BYTES);
    memcpy(text + LINE_MAX_BYTES, "\n", 2);
    struct line line = only_line(text, 6);
    assert_int_equal(line.length, LINE_MAX_BYTES);
    assert_false(line.partial);

    /* One byte more: a piece, and an end of one byte, which is no prefix whatever it looks like. */
    struct line_cursor c = {.data = text, .length = LINE_MAX_BYTES + 1, .default_priority = 6};
    text[LINE_MAX_BYTES] = '<';
    assert_true(line_next(&c, &line));
    assert_true(line.partial);
    assert_int_equal(line.length, LINE_MAX_BYTES);
    assert_false(line_next(&c, &line));
    assert_true(line_rest(&c, false, &line));
    assert_int_equal(line.length, 1);
    assert_false(line.partial);
    assert_false(line_rest(&c, false, &line));
}

static void test_end_after_a_piece_is_told_even_when_empty(void **state _unused_) {
    struct line_cursor c = {.data = "", .length = 0, .context = {.continued = true, .priority = 2}};
    struct line line;
    assert_false(line_rest(&c, true, &line));
    assert_true(line_rest(&c, false, &line));
    assert_int_equal(line.length, 0);
    assert_int_equal(line.priority, 2);
    assert_false(line_rest(&c, false, &line));
}

static void test_cri_records(void **state _unused_) {
    char head[CRI_HEAD_MAX], out[200];
    size_t n = cri_head(1795844771123456ULL, head);
    const struct line whole = {.text = "hello", .length = 5},
                      piece = {.text = "", .length = 0, .partial = true};

    char *end = cri_append(out, head, n, &whole);
    assert_int_equal(end - out, cri_length(n, &whole));
    end = cri_append(end, head, n, &piece);
    *end = '\0';
    assert_string_equal(
        out, "2026-11-28T05:46:11.123456000Z stdout F hello\n2026-11-28T05:46:11.123456000Z stdout P \n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_chunking_gives_the_same_lines),
        cmocka_unit_test(test_priority_prefix),
        cmocka_unit_test(test_line_of_exactly_the_limit_is_whole),
        cmocka_unit_test(test_end_after_a_piece_is_told_even_when_empty),
        cmocka_unit_test(test_cri_records),
    };
    return cmocka_run_group_tests_name("log/lines, log/cri", tests, NULL, NULL);
}
