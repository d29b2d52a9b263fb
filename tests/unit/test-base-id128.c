/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/id128.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void random_ids(void **state) {
    (void)state;
    char a[ID128_TEXT], b[ID128_TEXT];

    id128_random(a);
    id128_random(b);
    assert_true(id128_is_valid(a));
    assert_true(id128_is_valid(b));
    assert_string_not_equal(a, b);
    /* Version and variant of RFC 9562. */
    assert_int_equal(a[12], '4');
    assert_non_null(strchr("89ab", a[16]));
}

static void validity(void **state) {
    (void)state;

    assert_true(id128_is_valid("0123456789abcdef0123456789abcdef"));
    assert_false(id128_is_valid("0123456789abcdef0123456789abcde"));
    assert_false(id128_is_valid("0123456789abcdef0123456789abcdef0"));
    assert_false(id128_is_valid("0123456789ABCDEF0123456789ABCDEF"));
    assert_false(id128_is_valid("01234567-9abcdef0123456789abcdef"));
    assert_false(id128_is_valid("uninitialized"));
    assert_false(id128_is_valid(""));
}

static void ids_of_boot_and_machine(void **state) {
    (void)state;
    char id[ID128_TEXT] = "untouched";

    int r = id128_machine(id);
    if (r < 0)
        assert_string_equal(id, "untouched"); /* a machine or container without one */
    else
        assert_true(id128_is_valid(id));
    assert_int_equal(id128_boot(id), 0);
    assert_true(id128_is_valid(id));
}

static void random_bytes_fill_every_byte(void **state) {
    (void)state;
    uint8_t seen[64] = {}, data[64];

    for (int i = 0; i < 20; i++) {
        random_bytes(data, sizeof(data));
        for (size_t k = 0; k < sizeof(data); k++)
            seen[k] |= data[k];
    }
    for (size_t k = 0; k < sizeof(seen); k++)
        assert_true(seen[k] != 0);
    random_bytes(data, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_ids),
        cmocka_unit_test(validity),
        cmocka_unit_test(ids_of_boot_and_machine),
        cmocka_unit_test(random_bytes_fill_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
