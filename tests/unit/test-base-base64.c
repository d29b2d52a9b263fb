/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/base64.h"

#include <setjmp.h>

#include <cmocka.h>

/* RFC 4648 section 10. */
static const char *const vectors[][2] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};

static void vectors_of_the_rfc(void **state) {
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        _cleanup_free_ char *text = base64_encode(vectors[i][0], strlen(vectors[i][0])), *back = NULL;
        size_t n;

        assert_string_equal(text, vectors[i][1]);
        assert_int_equal(base64_decode(text, &back, &n), 0);
        assert_int_equal(n, strlen(vectors[i][0]));
        assert_string_equal(back, vectors[i][0]);
    }
}

static void every_byte_comes_back(void **state) {
    uint8_t bytes[256];
    (void)state;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        _cleanup_free_ char *text = base64_encode(bytes, n), *back = NULL;
        size_t length;

        assert_int_equal(base64_decode(text, &back, &length), 0);
        assert_int_equal(length, n);
        assert_memory_equal(back, bytes, n);
    }
}

static void padding_may_be_missing(void **state) {
    _cleanup_free_ char *back = NULL;
    (void)state;

    assert_int_equal(base64_decode("Zm9vYg", &back, NULL), 0);
    assert_string_equal(back, "foob");
}

static void anything_else_is_refused(void **state) {
    static const char *const bad[] = {
        "Z", "Zm9vZ", "Zg=", "Z===", "====", "=", "Zg==Zg==", "Zm 9v", "Zm9v\n", "Zm-_"};
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char *back = NULL;
        assert_int_equal(base64_decode(bad[i], &back, NULL), -EINVAL);
        assert_null(back);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_the_rfc),
        cmocka_unit_test(every_byte_comes_back),
        cmocka_unit_test(padding_may_be_missing),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
