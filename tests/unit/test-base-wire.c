/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/wire.h"

#include <setjmp.h>

#include <cmocka.h>

static struct wire_reader reader_of(const struct wire_writer *w) {
    return (struct wire_reader){.data = (const uint8_t *)w->out.data, .length = w->out.length};
}

static void write_everything(struct wire_writer *w) {
    wire_put_u8(w, 0xAB);
    wire_put_u32(w, 0xDEADBEEF);
    wire_put_u64(w, UINT64_C(0x0123456789ABCDEF));
    wire_put_string(w, "text");
    wire_put_string(w, "");
    wire_put_string(w, NULL);
    wire_put_bytes(w, "a\0b", 3);
    wire_put_bytes(w, NULL, 0);
    wire_put_strv(w, (char *[]){(char *)"one", (char *)"", NULL});
    wire_put_strv(w, NULL);
}

/* Reads what write_everything() wrote, without looking at it. */
static void read_everything(struct wire_reader *r) {
    uint32_t n;

    (void)wire_get_u8(r);
    (void)wire_get_u32(r);
    (void)wire_get_u64(r);
    for (int i = 0; i < 3; i++)
        free(wire_get_string(r));
    free(wire_get_bytes(r, &n));
    free(wire_get_bytes(r, &n));
    strv_free(wire_get_strv(r));
    strv_free(wire_get_strv(r));
}

static void everything_comes_back(void **state) {
    (void)state;
    _cleanup_(wire_writer_free) struct wire_writer w = {};
    write_everything(&w);
    struct wire_reader r = reader_of(&w);
    uint32_t n = 0;

    assert_int_equal(wire_get_u8(&r), 0xAB);
    assert_true(wire_get_u32(&r) == 0xDEADBEEF);
    assert_true(wire_get_u64(&r) == UINT64_C(0x0123456789ABCDEF));
    _cleanup_free_ char *text = wire_get_string(&r), *empty = wire_get_string(&r),
                        *none = wire_get_string(&r);
    assert_string_equal(text, "text");
    assert_string_equal(empty, "");
    assert_null(none);
    _cleanup_free_ void *bytes = wire_get_bytes(&r, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(bytes, "a\0b", 3);
    _cleanup_free_ void *no_bytes = wire_get_bytes(&r, &n);
    assert_int_equal(n, 0);
    assert_non_null(no_bytes);
    _cleanup_strv_free_ char **l = wire_get_strv(&r), **nothing = wire_get_strv(&r);
    assert_int_equal(strv_length(l), 2);
    assert_string_equal(l[0], "one");
    assert_string_equal(l[1], "");
    assert_null(nothing);
    assert_int_equal(wire_reader_finish(&r), 0);
}

static void every_cut_is_noticed(void **state) {
    (void)state;
    _cleanup_(wire_writer_free) struct wire_writer w = {};
    write_everything(&w);

    for (size_t n = 0; n < w.out.length; n++) {
        /* In a block of exactly that size, for the address sanitizer. */
        _cleanup_free_ uint8_t *copy = malloc(n);
        memcpy(copy, w.out.data, n);
        struct wire_reader r = {.data = copy, .length = n};
        read_everything(&r);
        assert_int_equal(wire_reader_finish(&r), -EBADMSG);
    }
}

static void random_changes_never_hurt(void **state) {
    (void)state;
    _cleanup_(wire_writer_free) struct wire_writer w = {};
    write_everything(&w);

    for (size_t i = 0; i < w.out.length; i++) {
        for (unsigned change = 1; change < 256; change++) {
            w.out.data[i] = (char)((unsigned char)w.out.data[i] ^ change);
            struct wire_reader r = reader_of(&w);
            read_everything(&r);
            w.out.data[i] = (char)((unsigned char)w.out.data[i] ^ change);
        }
    }
}

static void leftovers_are_an_error(void **state) {
    (void)state;
    _cleanup_(wire_writer_free) struct wire_writer w = {};
    wire_put_u8(&w, 1);
    wire_put_u8(&w, 2);
    struct wire_reader r = reader_of(&w);

    assert_int_equal(wire_get_u8(&r), 1);
    assert_int_equal(wire_reader_finish(&r), -EBADMSG);
}

static void failed_reader_gives_zeros(void **state) {
    (void)state;
    _cleanup_(wire_writer_free) struct wire_writer w = {};
    wire_put_u32(&w, 1000);
    wire_put_u64(&w, 7);
    struct wire_reader r = reader_of(&w);
    uint32_t n = 42;

    assert_null(wire_get_string(&r));
    assert_int_equal(r.error, -EBADMSG);
    assert_int_equal(wire_get_u8(&r), 0);
    assert_int_equal(wire_get_u32(&r), 0);
    assert_true(wire_get_u64(&r) == 0);
    assert_null(wire_get_string(&r));
    assert_null(wire_get_strv(&r));
    assert_null(wire_get_bytes(&r, &n));
    assert_int_equal(n, 0);
    assert_int_equal(wire_get_count(&r, 1), 0);
    assert_int_equal(wire_reader_finish(&r), -EBADMSG);
}

static void string_with_a_nul_is_refused(void **state) {
    (void)state;
    _cleanup_(wire_writer_free) struct wire_writer w = {};
    wire_put_bytes(&w, "a\0b", 3);
    struct wire_reader r = reader_of(&w);

    assert_null(wire_get_string(&r));
    assert_int_equal(r.error, -EBADMSG);
}

static void null_in_an_array_is_refused(void **state) {
    (void)state;
    _cleanup_(wire_writer_free) struct wire_writer w = {};
    wire_put_u32(&w, 2);
    wire_put_string(&w, "x");
    wire_put_string(&w, NULL);
    struct wire_reader r = reader_of(&w);

    assert_null(wire_get_strv(&r));
    assert_int_equal(wire_reader_finish(&r), -EBADMSG);
}

static void impossible_counts_are_refused(void **state) {
    (void)state;
    _cleanup_(wire_writer_free) struct wire_writer w = {};
    wire_put_u32(&w, 3);
    wire_put_u64(&w, 0);
    wire_put_u64(&w, 0);

    struct wire_reader r = reader_of(&w);
    assert_int_equal(wire_get_count(&r, 8), 0);
    assert_int_equal(r.error, -EBADMSG);
    r = reader_of(&w);
    assert_int_equal(wire_get_count(&r, 5), 3);
    r = reader_of(&w);
    assert_int_equal(wire_get_count(&r, 0), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(random_changes_never_hurt),
        cmocka_unit_test(leftovers_are_an_error),
        cmocka_unit_test(failed_reader_gives_zeros),
        cmocka_unit_test(string_with_a_nul_is_refused),
        cmocka_unit_test(null_in_an_array_is_refused),
        cmocka_unit_test(impossible_counts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
