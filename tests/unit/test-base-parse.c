/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/parse.h"

#include <setjmp.h>
#include <signal.h>

#include <cmocka.h>

static void booleans(void **state) {
    (void)state;
    static const char *const yes[] = {"1", "yes", "Y", "true", "T", "On", "YES"};
    static const char *const no[] = {"0", "no", "N", "false", "f", "oFF"};
    static const char *const bad[] = {"", "2", "yess", "ye", " yes", "yes ", "enabled"};
    bool value;

    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        value = false;
        assert_int_equal(parse_boolean(yes[i], &value), 0);
        assert_true(value);
    }
    for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
        value = true;
        assert_int_equal(parse_boolean(no[i], &value), 0);
        assert_false(value);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(parse_boolean(bad[i], &value), -EINVAL);
}

static void unsigned_integers(void **state) {
    (void)state;
    uint64_t value = 42;

    assert_int_equal(parse_uint("", 0, 10, &value), -EINVAL);
    assert_int_equal(parse_uint("-1", 0, 10, &value), -EINVAL);
    assert_int_equal(parse_uint("+1", 0, 10, &value), -EINVAL);
    assert_int_equal(parse_uint(" 1", 0, 10, &value), -EINVAL);
    assert_int_equal(parse_uint("1 ", 0, 10, &value), -EINVAL);
    assert_int_equal(parse_uint("0x10", 0, 100, &value), -EINVAL);
    assert_int_equal(parse_uint("11", 0, 10, &value), -ERANGE);
    assert_int_equal(parse_uint("4", 5, 10, &value), -ERANGE);
    assert_int_equal(parse_uint("18446744073709551616", 0, UINT64_MAX, &value), -ERANGE);
    assert_int_equal(parse_uint("99999999999999999999999x", 0, UINT64_MAX, &value), -EINVAL);
    assert_int_equal(value, 42);

    assert_int_equal(parse_uint("18446744073709551615", 0, UINT64_MAX, &value), 0);
    assert_true(value == UINT64_MAX);
}

/* Quadlet reads 010 as eight and falls back to the default for 08 (reference: defect e). */
static void leading_zeros_are_not_octal(void **state) {
    (void)state;
    uint64_t value;
    int64_t number;

    assert_int_equal(parse_uint("010", 0, 100, &value), 0);
    assert_int_equal(value, 10);
    assert_int_equal(parse_int("-08", -100, 100, &number), 0);
    assert_int_equal(number, -8);
}

static void signed_integers(void **state) {
    (void)state;
    int64_t value = 42;

    assert_int_equal(parse_int("9223372036854775807", INT64_MIN, INT64_MAX, &value), 0);
    assert_true(value == INT64_MAX);
    assert_int_equal(parse_int("-9223372036854775808", INT64_MIN, INT64_MAX, &value), 0);
    assert_true(value == INT64_MIN);
    assert_int_equal(parse_int("+7", 0, 10, &value), 0);
    assert_int_equal(value, 7);
    assert_int_equal(parse_int("-2", -10, 10, &value), 0);
    assert_int_equal(value, -2);
    assert_int_equal(parse_int("-0", -10, 10, &value), 0);
    assert_int_equal(value, 0);

    assert_int_equal(parse_int("9223372036854775808", INT64_MIN, INT64_MAX, &value), -ERANGE);
    assert_int_equal(parse_int("-9223372036854775809", INT64_MIN, INT64_MAX, &value), -ERANGE);
    assert_int_equal(parse_int("-1001", -1000, 1000, &value), -ERANGE);
    assert_int_equal(parse_int("--1", -1000, 1000, &value), -EINVAL);
    assert_int_equal(parse_int("-", -1000, 1000, &value), -EINVAL);
    assert_int_equal(parse_int("", -1000, 1000, &value), -EINVAL);
    assert_int_equal(value, 0);
}

static void modes_and_ids(void **state) {
    (void)state;
    mode_t mode = 0;
    uint32_t id = 0;

    assert_int_equal(parse_mode("0755", &mode), 0);
    assert_int_equal(mode, 0755);
    assert_int_equal(parse_mode("7777", &mode), 0);
    assert_int_equal(mode, 07777);
    assert_int_equal(parse_mode("10000", &mode), -ERANGE);
    assert_int_equal(parse_mode("0758", &mode), -EINVAL);
    assert_int_equal(parse_mode("rwx", &mode), -EINVAL);

    assert_int_equal(parse_id("4294967294", &id), 0);
    assert_true(id == UINT32_MAX - 1);
    assert_int_equal(parse_id("4294967295", &id), -ERANGE);
    assert_int_equal(parse_id("-1", &id), -EINVAL);
    assert_int_equal(parse_id("root", &id), -EINVAL);
}

static void sizes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t base, value;
    } good[] = {
        {"0", 1024, 0},
        {"100", 1024, 100},
        {"4K", 1024, 4096},
        {"4k", 1024, 4096},
        {"1.5G", 1024, 1610612736},
        {"100MB", 1024, 104857600},
        {"100MiB", 1024, 104857600},
        {"100mib", 1024, 104857600},
        {"512b", 1024, 512},
        {"512B", 1024, 512},
        {"1g", 1024, 1073741824},
        {"1T", 1024, UINT64_C(1) << 40},
        {"1P", 1024, UINT64_C(1) << 50},
        {"15E", 1024, UINT64_C(15) << 60},
        {".5K", 1024, 512},
        {"2 M", 1024, 2097152},
        {"10M", 1000, 10000000},
        {"10MiB", 1000, 10485760},
        {"1.333K", 1000, 1333},
        {"0.999999999999999999999999999999K", 1024, 1023},
        {"18446744073709551614", 1024, UINT64_MAX - 1},
        {"infinity", 1024, UINT64_MAX},
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        uint64_t value = 42;
        assert_int_equal(parse_size(good[i].text, good[i].base, &value), 0);
        if (value != good[i].value)
            print_error("%s\n", good[i].text);
        assert_true(value == good[i].value);
    }
}

static void bad_sizes(void **state) {
    (void)state;
    static const char *const bad[] = {"", "K", "-1", "+1", "1X", "1KK", "1BB", "1.K", "1..5K", "1 2", "10%",
        " 1", "1e3", "infinit", "Infinity", "1iB", "0x10", "10Mi"};
    static const char *const range[] = {
        "16E", "18446744073709551615", "99999999999999999999", "18014398509481984K"};
    uint64_t value = 42;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(parse_size(bad[i], 1024, &value), -EINVAL);
    for (size_t i = 0; i < ARRAY_SIZE(range); i++)
        assert_int_equal(parse_size(range[i], 1024, &value), -ERANGE);
    assert_int_equal(value, 42);
}

static void percentages(void **state) {
    (void)state;
    uint64_t value = 42;

    assert_int_equal(parse_permyriad("50%", 10000, &value), 0);
    assert_int_equal(value, 5000);
    assert_int_equal(parse_permyriad("12.5%", 10000, &value), 0);
    assert_int_equal(value, 1250);
    assert_int_equal(parse_permyriad("0.01%", 10000, &value), 0);
    assert_int_equal(value, 1);
    assert_int_equal(parse_permyriad("250%", 1000000, &value), 0);
    assert_int_equal(value, 25000);

    assert_int_equal(parse_permyriad("100.01%", 10000, &value), -ERANGE);
    assert_int_equal(parse_permyriad("99999999999999999999%", UINT64_MAX, &value), -ERANGE);
    assert_int_equal(parse_permyriad("50", 10000, &value), -EINVAL);
    assert_int_equal(parse_permyriad("0.001%", 10000, &value), -EINVAL);
    assert_int_equal(parse_permyriad("%", 10000, &value), -EINVAL);
    assert_int_equal(parse_permyriad("-5%", 10000, &value), -EINVAL);
    assert_int_equal(value, 25000);
}

static void signal_numbers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int number;
    } good[] = {{"SIGTERM", SIGTERM}, {"TERM", SIGTERM}, {"15", 15}, {"KILL", SIGKILL},
        {"SIGWINCH", SIGWINCH}, {"SIGPOLL", SIGIO}, {"64", 64}};
    static const char *const bad[] = {"", "SIG", "SIGFOO", "0", "65", "-1", "SIGSIGTERM", "term ", "RTMIN-1",
        "RTMAX+1", "RTMIN+31", "RTMIN+", "RTMINX", "15x"};
    int number;

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(parse_signal(good[i].text, &number), 0);
        assert_int_equal(number, good[i].number);
    }
    assert_int_equal(parse_signal("SIGRTMIN+3", &number), 0);
    assert_int_equal(number, SIGRTMIN + 3);
    assert_int_equal(parse_signal("RTMIN", &number), 0);
    assert_int_equal(number, SIGRTMIN);
    assert_int_equal(parse_signal("RTMAX-2", &number), 0);
    assert_int_equal(number, SIGRTMAX - 2);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_true(parse_signal(bad[i], &number) < 0);
    assert_int_equal(number, SIGRTMAX - 2);
}

static void signal_names_are_read_back(void **state) {
    (void)state;
    char buffer[16];

    for (int i = 1; i <= SIGRTMAX; i++) {
        int number = 0;
        assert_int_equal(parse_signal(signal_name(i, buffer), &number), 0);
        assert_int_equal(number, i);
    }
    assert_string_equal(signal_name(SIGABRT, buffer), "SIGABRT");
    assert_string_equal(signal_name(SIGRTMIN + 3, buffer), "SIGRTMIN+3");
    assert_string_equal(signal_name(0, buffer), "0");
    assert_string_equal(signal_name(-2147483647, buffer), "-2147483647");
}

static void exit_status_names(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint8_t status;
    } good[] = {{"SUCCESS", 0}, {"FAILURE", 1}, {"NOTRUNNING", 7}, {"USAGE", 64}, {"TEMPFAIL", 75},
        {"CONFIG", 78}, {"CHDIR", 200}, {"EXEC", 203}, {"APPARMOR", 231}, {"CREDENTIALS", 243},
        {"EXCEPTION", 255}, {"0", 0}, {"143", 143}, {"255", 255}};
    uint8_t status;

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(parse_exit_status(good[i].text, &status), 0);
        assert_int_equal(status, good[i].status);
    }
    assert_int_equal(parse_exit_status("256", &status), -ERANGE);
    assert_int_equal(parse_exit_status("SIGTERM", &status), -EINVAL);
    assert_int_equal(parse_exit_status("", &status), -EINVAL);
    assert_int_equal(status, 255);
}

static void cpu_lists(void **state) {
    (void)state;
    uint8_t bitmap[3] = {0xFF, 0xFF, 0xAA};

    assert_int_equal(parse_cpu_list("0-3,5 7", bitmap, 16), 0);
    assert_int_equal(bitmap[0], 0xAF);
    assert_int_equal(bitmap[1], 0x00);
    assert_int_equal(bitmap[2], 0xAA);
    assert_int_equal(parse_cpu_list(" 15, 8-9 ", bitmap, 16), 0);
    assert_int_equal(bitmap[0], 0x00);
    assert_int_equal(bitmap[1], 0x83);

    assert_int_equal(parse_cpu_list("0,16", bitmap, 16), -ERANGE);
    assert_int_equal(parse_cpu_list("0-99999999999999999999", bitmap, 16), -ERANGE);
    assert_int_equal(parse_cpu_list("3-1", bitmap, 16), -EINVAL);
    assert_int_equal(parse_cpu_list("", bitmap, 16), -EINVAL);
    assert_int_equal(parse_cpu_list(" ", bitmap, 16), -EINVAL);
    assert_int_equal(parse_cpu_list("1-", bitmap, 16), -EINVAL);
    assert_int_equal(parse_cpu_list("1-2-3", bitmap, 16), -EINVAL);
    assert_int_equal(parse_cpu_list(",1", bitmap, 16), -EINVAL);
    assert_int_equal(parse_cpu_list("1x", bitmap, 16), -EINVAL);
    assert_int_equal(bitmap[0], 0x00);
    assert_int_equal(bitmap[1], 0x83);
}

static void sizes_for_people(void **state) {
    (void)state;
    char buffer[16];

    assert_string_equal(size_format(0, buffer), "0B");
    assert_string_equal(size_format(1023, buffer), "1023B");
    assert_string_equal(size_format(1024, buffer), "1.0K");
    assert_string_equal(size_format(12897485, buffer), "12.3M");
    assert_string_equal(size_format(UINT64_MAX - 1, buffer), "15.9E");
    assert_string_equal(size_format(UINT64_MAX, buffer), "infinity");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(booleans),
        cmocka_unit_test(unsigned_integers),
        cmocka_unit_test(leading_zeros_are_not_octal),
        cmocka_unit_test(signed_integers),
        cmocka_unit_test(modes_and_ids),
        cmocka_unit_test(sizes),
        cmocka_unit_test(bad_sizes),
        cmocka_unit_test(percentages),
        cmocka_unit_test(signal_numbers),
        cmocka_unit_test(signal_names_are_read_back),
        cmocka_unit_test(exit_status_names),
        cmocka_unit_test(cpu_lists),
        cmocka_unit_test(sizes_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
