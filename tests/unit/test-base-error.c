/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void set_returns_negative_errno(void **state) {
    (void)state;
    struct error e = {};

    assert_int_equal(error_set(&e, EINVAL, "%s: bad", "key"), -EINVAL);
    assert_int_equal(e.number, EINVAL);
    assert_string_equal(e.text, "key: bad");
    assert_int_equal(error_set(&e, -ENOENT, "again"), -ENOENT);
    assert_int_equal(e.number, ENOENT);
    assert_string_equal(e.text, "again");
}

/* `return error_set(...)` must never look like success. */
static void number_zero_is_an_error_all_the_same(void **state) {
    (void)state;
    struct error e = {};

    assert_int_equal(error_set(&e, 0, "x"), -EIO);
    assert_int_equal(error_set(&e, INT_MIN, "x"), -EIO);
    assert_int_equal(error_set(NULL, 0, "x"), -EIO);
}

static void null_error_is_accepted(void **state) {
    (void)state;

    assert_int_equal(error_set(NULL, EPERM, "x"), -EPERM);
    assert_int_equal(error_set_errno(NULL, EPERM, "x"), -EPERM);
    assert_int_equal(error_prefix(NULL, -EPERM, "x"), -EPERM);
    error_set_step(NULL, "x");
    assert_non_null(error_format(NULL, NULL, 0));
}

static void set_errno_appends_the_description(void **state) {
    (void)state;
    struct error e = {};

    error_set_errno(&e, ENOENT, "open %s", "/x");
    assert_string_equal(e.text, "open /x: No such file or directory");
}

static void prefix_keeps_number_and_text(void **state) {
    (void)state;
    struct error e = {};

    error_set(&e, EPERM, "inner");
    assert_int_equal(error_prefix(&e, -e.number, "unit %s", "web"), -EPERM);
    assert_string_equal(e.text, "unit web: inner");
}

static void arguments_may_point_into_the_error(void **state) {
    (void)state;
    struct error e = {};

    error_set(&e, EPERM, "inner");
    error_set(&e, EPERM, "outer: %s", e.text);
    assert_string_equal(e.text, "outer: inner");
}

static void long_text_is_cut_with_dots(void **state) {
    (void)state;
    struct error e = {};
    char text[2000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';

    error_set(&e, EPERM, "%s", text);
    assert_int_equal(strlen(e.text), ERROR_TEXT_MAX - 1);
    assert_string_equal(e.text + ERROR_TEXT_MAX - 5, "x...");

    /* What the kernel said is not lost with it. */
    error_set_errno(&e, ENOENT, "%s", text);
    assert_int_equal(strlen(e.text), ERROR_TEXT_MAX - 1);
    assert_non_null(strstr(e.text, "x...: No such file or directory"));

    error_prefix(&e, -e.number, "unit web");
    assert_int_equal(strlen(e.text), ERROR_TEXT_MAX - 1);
    assert_true(strncmp(e.text, "unit web: xxx", 13) == 0);
    assert_string_equal(e.text + ERROR_TEXT_MAX - 4, "...");

    error_prefix(&e, -e.number, "%s", text);
    assert_true(strlen(e.text) < ERROR_TEXT_MAX);
}

/* Every length around the limit, for the sanitizers. */
static void cutting_is_exact_at_every_length(void **state) {
    (void)state;
    char text[ERROR_TEXT_MAX + 20];

    for (size_t n = ERROR_TEXT_MAX - 60; n < sizeof(text) - 1; n++) {
        struct error e = {};
        memset(text, 'x', n);
        text[n] = '\0';
        error_set(&e, EPERM, "%s", text);
        assert_int_equal(strlen(e.text), MIN(n, (size_t)ERROR_TEXT_MAX - 1));
        error_set_errno(&e, EPERM, "%s", text);
        assert_true(strlen(e.text) < ERROR_TEXT_MAX);
        assert_non_null(strstr(e.text, ": Operation not permitted"));
    }
}

static void characters_are_not_cut_in_two(void **state) {
    (void)state;

    for (size_t shift = 0; shift < 3; shift++) {
        struct error e = {};
        char text[900] = "";
        memset(text, 'x', shift);
        for (size_t i = 0; i < 200; i++)
            strcat(text, "\xE2\x82\xAC");
        error_set(&e, EPERM, "%s", text);
        size_t n = strlen(e.text);
        assert_string_equal(e.text + n - 3, "...");
        assert_int_equal((n - 3 - shift) % 3, 0);
    }
}

static void text_is_one_line(void **state) {
    (void)state;
    struct error e = {};

    error_set(&e, EPERM, "a\nb\r\nc");
    assert_string_equal(e.text, "a b  c");
}

static void first_step_stays(void **state) {
    (void)state;
    struct error e = {};
    char buffer[600];

    error_set(&e, EPERM, "text");
    error_set_step(&e, "pivot_root");
    error_set_step(&e, "rootfs");
    assert_string_equal(e.step, "pivot_root");
    assert_string_equal(error_format(&e, buffer, sizeof(buffer)), "pivot_root: text");

    /* A new error has nothing to do with the step of the old one. */
    error_set(&e, EINVAL, "other");
    assert_string_equal(error_format(&e, buffer, sizeof(buffer)), "other");

    error_set_step(&e, "a-name-of-a-step-that-is-longer-than-its-field");
    assert_int_equal(strlen(e.step), ERROR_STEP_MAX - 1);
}

static void step_named_beforehand_stays(void **state) {
    (void)state;
    struct error e = {};

    error_set_step(&e, "mounts");
    error_set(&e, EPERM, "text");
    assert_string_equal(e.step, "mounts");
}

static void format_falls_back_to_the_description(void **state) {
    (void)state;
    struct error e = {.number = ENOENT};
    char buffer[600];

    assert_string_equal(error_format(&e, buffer, sizeof(buffer)), "No such file or directory");
    assert_string_equal(errno_text(-ENOENT), "No such file or directory");
    assert_string_equal(errno_text(0), "Success");
    assert_string_equal(errno_text(99999), "Unknown error");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_returns_negative_errno),
        cmocka_unit_test(number_zero_is_an_error_all_the_same),
        cmocka_unit_test(null_error_is_accepted),
        cmocka_unit_test(set_errno_appends_the_description),
        cmocka_unit_test(prefix_keeps_number_and_text),
        cmocka_unit_test(arguments_may_point_into_the_error),
        cmocka_unit_test(long_text_is_cut_with_dots),
        cmocka_unit_test(cutting_is_exact_at_every_length),
        cmocka_unit_test(characters_are_not_cut_in_two),
        cmocka_unit_test(text_is_one_line),
        cmocka_unit_test(first_step_stays),
        cmocka_unit_test(step_named_beforehand_stays),
        cmocka_unit_test(format_falls_back_to_the_description),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
