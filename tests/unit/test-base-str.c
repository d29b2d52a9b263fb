/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/str.h"

#include <limits.h>
#include <setjmp.h>

#include <cmocka.h>

/* ---- strings ---- */

static void prefix_and_suffix(void **state) {
    (void)state;

    assert_string_equal(startswith("foobar", "foo"), "bar");
    assert_string_equal(startswith("foo", "foo"), "");
    assert_string_equal(startswith("foo", ""), "foo");
    assert_null(startswith("fo", "foo"));
    assert_string_equal(endswith("web.container", ".container"), ".container");
    assert_string_equal(endswith("x", ""), "");
    assert_null(endswith("r", "container"));
    assert_null(endswith("web.volume", ".container"));
}

static void free_and_strdup_takes_a_part_of_the_old_string(void **state) {
    (void)state;
    _cleanup_free_ char *s = NULL;

    assert_int_equal(free_and_strdup(&s, "abc"), 0);
    assert_int_equal(free_and_strdup(&s, s + 1), 0);
    assert_string_equal(s, "bc");
    assert_int_equal(free_and_strdup(&s, NULL), 0);
    assert_null(s);
}

static void strip_blanks(void **state) {
    (void)state;
    char a[] = " \t a b \r\n", b[] = "", c[] = "   ", d[] = "x";

    assert_string_equal(strstrip(a), "a b");
    assert_string_equal(strstrip(b), "");
    assert_string_equal(strstrip(c), "");
    assert_string_equal(strstrip(d), "x");
}

static void utf8(void **state) {
    (void)state;
    static const char *const good[] = {"", "abc", "\xC2\xB5s", "\xE2\x82\xAC", "\xF0\x9F\x90\xB3", "\x7F",
        "\xED\x9F\xBF", "\xEE\x80\x80", "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {
        "\x80",             /* continuation without a start */
        "\xC2",             /* cut */
        "\xE2\x82",         /* cut */
        "\xC0\xAF",         /* overlong slash */
        "\xE0\x80\xAF",     /* overlong slash */
        "\xF0\x80\x80\xAF", /* overlong slash */
        "\xED\xA0\x80",     /* surrogate */
        "\xF4\x90\x80\x80", /* above U+10FFFF */
        "\xFF",
        "a\xE2(\xA1",
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(utf8_is_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(utf8_is_valid(bad[i], strlen(bad[i])));
    assert_false(utf8_is_valid("a\0b", 3));
}

static void edit_distances(void **state) {
    (void)state;
    char longest[66];
    memset(longest, 'x', 65);
    longest[65] = '\0';

    assert_int_equal(edit_distance("", ""), 0);
    assert_int_equal(edit_distance("", "abc"), 3);
    assert_int_equal(edit_distance("abc", ""), 3);
    assert_int_equal(edit_distance("kitten", "sitting"), 3);
    assert_int_equal(edit_distance("Imgae", "Image"), 1);
    assert_int_equal(edit_distance("PublishPorts", "PublishPort"), 1);
    assert_true(edit_distance(longest, "x") == UINT_MAX);
    longest[64] = '\0';
    assert_int_equal(edit_distance(longest, "x"), 63);
}

/* ---- strv ---- */

static void strv_grows_in_order(void **state) {
    (void)state;
    _cleanup_strv_free_ char **l = NULL;

    for (int i = 0; i < 1000; i++)
        assert_int_equal(strv_consume(&l, strf("%d", i)), 0);
    assert_int_equal(strv_length(l), 1000);
    assert_string_equal(l[0], "0");
    assert_string_equal(l[999], "999");
    assert_null(l[1000]);
    assert_int_equal(strv_consume(&l, NULL), -ENOMEM);
    assert_int_equal(strv_length(l), 1000);
}

static void strv_null_is_empty(void **state) {
    (void)state;
    char **none = NULL;

    assert_int_equal(strv_length(none), 0);
    assert_false(strv_contains(none, "x"));
    strv_remove(none, "x");
    strv_sort(none);
    strv_free(none);
    assert_int_equal(strv_extend(&none, NULL), 0);
    assert_null(none);

    _cleanup_strv_free_ char **copy = strv_copy(none);
    assert_non_null(copy);
    assert_null(copy[0]);
    _cleanup_free_ char *joined = strv_join(none, ",");
    assert_string_equal(joined, "");
}

static void strv_extend_by_itself(void **state) {
    (void)state;
    _cleanup_strv_free_ char **l = NULL;

    strv_append(&l, "a");
    strv_append(&l, "b");
    assert_int_equal(strv_extend(&l, l), 0);
    _cleanup_free_ char *joined = strv_join(l, " ");
    assert_string_equal(joined, "a b a b");
}

static void strv_remove_takes_all_of_them(void **state) {
    (void)state;
    _cleanup_strv_free_ char **l = NULL;

    strv_append(&l, "x");
    strv_append(&l, "a");
    strv_append(&l, "x");
    strv_append(&l, "x");
    strv_append(&l, "b");
    strv_remove(l, "x");
    assert_true(strv_contains(l, "b"));
    assert_false(strv_contains(l, "x"));
    assert_int_equal(strv_length(l), 2);
    /* There is room left behind the NULL; appending must still go right. */
    strv_append(&l, "c");
    assert_string_equal(l[2], "c");
    assert_null(l[3]);
}

static void strv_sorted(void **state) {
    (void)state;
    _cleanup_strv_free_ char **l = NULL;

    strv_append(&l, "b");
    strv_append(&l, "a");
    strv_append(&l, "B");
    strv_sort(l);
    _cleanup_free_ char *joined = strv_join(l, ", ");
    assert_string_equal(joined, "B, a, b");
}

static void environment_blocks(void **state) {
    (void)state;
    _cleanup_strv_free_ char **env = NULL;

    assert_null(strv_env_get(env, "A"));
    assert_int_equal(strv_env_set(&env, "A", "1"), 0);
    assert_int_equal(strv_env_set(&env, "AB", "2"), 0);
    assert_string_equal(strv_env_get(env, "A"), "1");
    assert_string_equal(strv_env_get(env, "AB"), "2");
    assert_null(strv_env_get(env, "B"));

    /* The last one counts, and setting leaves one only. */
    strv_append(&env, "A=3");
    assert_string_equal(strv_env_get(env, "A"), "3");
    assert_int_equal(strv_env_set(&env, "A", "x=y"), 0);
    assert_string_equal(strv_env_get(env, "A"), "x=y");
    assert_int_equal(strv_length(env), 2);
    /* The value may be the one that is being replaced. */
    assert_int_equal(strv_env_set(&env, "A", strv_env_get(env, "A")), 0);
    assert_string_equal(strv_env_get(env, "A"), "x=y");
    assert_int_equal(strv_env_set(&env, "A", ""), 0);
    assert_string_equal(strv_env_get(env, "A"), "");
}

/* ---- strbuf ---- */

static void strbuf_collects(void **state) {
    (void)state;
    _cleanup_strbuf_ struct strbuf b = {};
    size_t expected = 0;

    for (int i = 0; i < 1000; i++) {
        strbuf_puts(&b, "ab");
        strbuf_putc(&b, 'c');
        strbuf_printf(&b, "%03d", i);
        expected += 6;
    }
    assert_int_equal(b.length, expected);
    _cleanup_free_ char *s = strbuf_take(&b);
    assert_int_equal(strlen(s), expected);
    assert_true(strncmp(s, "abc000abc001", 12) == 0);
    assert_int_equal(b.length, 0);
}

static void strbuf_printf_longer_than_its_room(void **state) {
    (void)state;

    for (int width = 1; width < 300; width++) {
        _cleanup_strbuf_ struct strbuf b = {};
        strbuf_puts(&b, "x");
        strbuf_printf(&b, "%*d", width, 7);
        _cleanup_free_ char *s = strbuf_take(&b);
        assert_int_equal(strlen(s), 1 + width);
        assert_int_equal(s[width], '7');
    }
}

static void strbuf_empty_and_failed(void **state) {
    (void)state;
    _cleanup_strbuf_ struct strbuf b = {};

    _cleanup_free_ char *empty = strbuf_take(&b);
    assert_string_equal(empty, "");

    strbuf_puts(&b, "lost");
    b.failed = true;
    strbuf_puts(&b, "more");
    strbuf_printf(&b, "%d", 1);
    assert_true(strbuf_failed(&b));
    assert_null(strbuf_take(&b));
    /* Taken means empty, whatever came of it. */
    assert_false(strbuf_failed(&b));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefix_and_suffix),
        cmocka_unit_test(free_and_strdup_takes_a_part_of_the_old_string),
        cmocka_unit_test(strip_blanks),
        cmocka_unit_test(utf8),
        cmocka_unit_test(edit_distances),
        cmocka_unit_test(strv_grows_in_order),
        cmocka_unit_test(strv_null_is_empty),
        cmocka_unit_test(strv_extend_by_itself),
        cmocka_unit_test(strv_remove_takes_all_of_them),
        cmocka_unit_test(strv_sorted),
        cmocka_unit_test(environment_blocks),
        cmocka_unit_test(strbuf_collects),
        cmocka_unit_test(strbuf_printf_longer_than_its_room),
        cmocka_unit_test(strbuf_empty_and_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
