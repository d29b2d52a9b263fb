/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/words.h"

#include <setjmp.h>

#include <cmocka.h>

#define COMMAND_LINE (WORDS_UNQUOTE | WORDS_CUNESCAPE)

/* Splits, and compares with the words joined by "|"; expected NULL means -EINVAL. */
static void check(const char *text, enum words_flags flags, const char *expected) {
    _cleanup_strv_free_ char **words = NULL;
    int r = words_split(text, flags, &words);

    if (!expected) {
        if (r != -EINVAL)
            print_error("<%s> was accepted\n", text);
        assert_int_equal(r, -EINVAL);
        assert_null(words);
        return;
    }
    assert_int_equal(r, 0);
    _cleanup_free_ char *joined = strv_join(words, "|");
    assert_string_equal(joined, expected);
}

static void blanks_separate(void **state) {
    (void)state;

    check("", 0, "");
    check("  \t\n ", 0, "");
    check("a", 0, "a");
    check("  a b\tc\r\n d ", 0, "a|b|c|d");
    check("'a b' \"c\"", 0, "'a|b'|\"c\"");
}

static void quotes_group(void **state) {
    (void)state;

    check("'a b' c", WORDS_UNQUOTE, "a b|c");
    check("\"a b\" c", WORDS_UNQUOTE, "a b|c");
    check("\"it's\" 'say \"x\"'", WORDS_UNQUOTE, "it's|say \"x\"");
}

/* A="b c"d is what people write in Environment=. */
static void quotes_may_open_inside_a_word(void **state) {
    (void)state;

    check("A=\"b c\"d e", WORDS_UNQUOTE, "A=b cd|e");
    check("a'b'\"c\"d", WORDS_UNQUOTE, "abcd");
}

/* Quadlet's own parser ends the list here (reference: defect a). */
static void empty_quoted_word_is_a_word(void **state) {
    (void)state;
    _cleanup_strv_free_ char **words = NULL;

    check("foo \"\" bar", COMMAND_LINE, "foo||bar");
    assert_int_equal(words_split("''", COMMAND_LINE, &words), 0);
    assert_int_equal(strv_length(words), 1);
    assert_string_equal(words[0], "");
}

static void unbalanced_quotes(void **state) {
    (void)state;

    check("a 'b c", WORDS_UNQUOTE, NULL);
    check("a b\"", WORDS_UNQUOTE, NULL);
    check("a 'b c", WORDS_UNQUOTE | WORDS_RELAX, "a|b c");
    check("a '", WORDS_UNQUOTE | WORDS_RELAX, "a|");
}

static void escapes(void **state) {
    (void)state;

    check("\\a\\b\\f\\n\\r\\t\\v\\\\\\\"\\'\\s", COMMAND_LINE, "\a\b\f\n\r\t\v\\\"' ");
    check("\\x41\\102\\u20ac\\U0001F433", COMMAND_LINE, "AB\xE2\x82\xAC\xF0\x9F\x90\xB3");
    check("\\u00b5 \\u0041", COMMAND_LINE, "\xC2\xB5|A");
    check("'a\\'b' \"c\\\"d\"", COMMAND_LINE, "a'b|c\"d");
    check("\\U0010FFFF \\uffff \\u0800 \\u07ff", COMMAND_LINE,
        "\xF4\x8F\xBF\xBF|\xEF\xBF\xBF|\xE0\xA0\x80|\xDF\xBF");
}

/* systemd's reading: \xHH is a byte, where Quadlet makes a character of it. */
static void hexadecimal_escape_is_a_byte(void **state) {
    (void)state;

    check("\\x81\\377", COMMAND_LINE, "\x81\xff");
}

static void bad_escapes(void **state) {
    (void)state;
    static const char *const bad[] = {"\\q", "\\x4", "\\xg0", "\\x00", "\\000", "\\400", "\\12", "\\189",
        "\\u12", "\\u0000", "\\ud800", "\\U00110000", "\\U0000000", "\\", "a\\", "'a\\", "a\\ b"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        check(bad[i], COMMAND_LINE, NULL);
}

static void relaxed_escapes_stay_as_they_are(void **state) {
    (void)state;
    enum words_flags relaxed = WORDS_UNQUOTE | WORDS_CUNESCAPE_RELAX;

    check("\\q \\x4 \\n", relaxed, "\\q|\\x4|\n");
    check("a\\", relaxed, "a\\");
    check("'a\\", relaxed, NULL);
    check("'a\\", relaxed | WORDS_RELAX, "a\\");
    check("\\000", relaxed, "\\000");
}

static void backslash_without_escapes_quotes_one_character(void **state) {
    (void)state;

    check("a\\ b \\'c \\\\", WORDS_UNQUOTE, "a b|'c|\\");
    check("a\\", WORDS_UNQUOTE, NULL);
}

static void backslash_kept(void **state) {
    (void)state;

    check("C:\\dir\\ \\n '\\'", WORDS_UNQUOTE | WORDS_KEEP_BACKSLASH, "C:\\dir\\|\\n|\\");
}

static void other_separators(void **state) {
    (void)state;
    const char *p = ":a b::'c:d':";
    static const char *const expected[] = {"a b", "c:d"};

    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        _cleanup_free_ char *word = NULL;
        assert_int_equal(words_next(&p, &word, ":", WORDS_UNQUOTE), 1);
        assert_string_equal(word, expected[i]);
    }
    char *untouched = NULL;
    assert_int_equal(words_next(&p, &untouched, ":", WORDS_UNQUOTE), 0);
    assert_null(untouched);
    assert_string_equal(p, "");
    assert_int_equal(words_next(&p, &untouched, ":", WORDS_UNQUOTE), 0);
}

static void failure_leaves_the_position(void **state) {
    (void)state;
    const char *text = "  'a", *p = text;
    char *word = NULL;

    assert_int_equal(words_next(&p, &word, NULL, WORDS_UNQUOTE), -EINVAL);
    assert_ptr_equal(p, text);
    assert_null(word);
}

static void quoting_is_undone_by_splitting(void **state) {
    (void)state;
    static const char *const texts[] = {"", "plain", "two words", "it's", "say \"x\"", "a\\b",
        "line\nbreak\t", "\x01\x7f\x1b[31m", "\xE2\x82\xAC", "\xE2\x82\xAC and blanks", "\x81\xff",
        "$x %n #"};

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        _cleanup_free_ char *quoted = words_quote(texts[i]);
        _cleanup_strv_free_ char **words = NULL;
        assert_int_equal(words_split(quoted, COMMAND_LINE, &words), 0);
        assert_int_equal(strv_length(words), 1);
        assert_string_equal(words[0], texts[i]);
        for (const char *c = quoted; *c; c++)
            assert_true((unsigned char)*c >= 0x20 && *c != 0x7F);
    }

    for (int c = 1; c < 256; c++) {
        char text[] = {(char)c, '\0'};
        _cleanup_free_ char *quoted = words_quote(text);
        _cleanup_strv_free_ char **words = NULL;
        assert_int_equal(words_split(quoted, COMMAND_LINE, &words), 0);
        assert_string_equal(words[0], text);
    }
}

static void quotes_only_where_needed(void **state) {
    (void)state;
    _cleanup_free_ char *a = words_quote("/usr/bin/x"), *b = words_quote("a b"), *c = words_quote("");

    assert_string_equal(a, "/usr/bin/x");
    assert_string_equal(b, "\"a b\"");
    assert_string_equal(c, "\"\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blanks_separate),
        cmocka_unit_test(quotes_group),
        cmocka_unit_test(quotes_may_open_inside_a_word),
        cmocka_unit_test(empty_quoted_word_is_a_word),
        cmocka_unit_test(unbalanced_quotes),
        cmocka_unit_test(escapes),
        cmocka_unit_test(hexadecimal_escape_is_a_byte),
        cmocka_unit_test(bad_escapes),
        cmocka_unit_test(relaxed_escapes_stay_as_they_are),
        cmocka_unit_test(backslash_without_escapes_quotes_one_character),
        cmocka_unit_test(backslash_kept),
        cmocka_unit_test(other_separators),
        cmocka_unit_test(failure_leaves_the_position),
        cmocka_unit_test(quoting_is_undone_by_splitting),
        cmocka_unit_test(quotes_only_where_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
