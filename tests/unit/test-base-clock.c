/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE (60 * USEC_PER_SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define YEAR (31557600 * USEC_PER_SEC)

static void clocks_run(void **state) {
    (void)state;
    usec_t a = now_monotonic(), b = now_monotonic();

    assert_true(a > 0 && b >= a);
    assert_true(now_realtime() > UINT64_C(1700000000) * USEC_PER_SEC);
    assert_true(usec_add(1, 2) == 3);
    assert_true(usec_add(USEC_INFINITY, 1) == USEC_INFINITY);
    assert_true(usec_add(USEC_INFINITY - 1, 2) == USEC_INFINITY);
}

/* Cases of systemd's own test of parse_sec() are among these. */
static void spans(void **state) {
    (void)state;
    static const struct {
        const char *text;
        usec_t span;
    } good[] = {
        {"90", 90 * USEC_PER_SEC},
        {"0", 0},
        {"5s", 5 * USEC_PER_SEC},
        {"5s500ms", 5500 * USEC_PER_MSEC},
        {" 5s 500ms  ", 5500 * USEC_PER_MSEC},
        {" 5.5s 0.5ms ", 5500500},
        {".22s", 220000},
        {".50y", YEAR / 2},
        {"2.5", 2500000},
        {".7", 700000},
        {"+3.1s", 3100000},
        {"3.1s.2", 3300000},
        {"3.1 .2", 3300000},
        {"3.1 sec 1.2 sec", 4300000},
        {"23us", 23},
        {"23usec", 23},
        {"23\xC2\xB5s", 23},
        {"23\xCE\xBCs", 23},
        {"7msec", 7000},
        {"5min 20s", 320 * USEC_PER_SEC},
        {"1h30min", 90 * MINUTE},
        {"1h30m10s", 90 * MINUTE + 10 * USEC_PER_SEC},
        {"2 hours 1 minute 3 seconds", 121 * MINUTE + 3 * USEC_PER_SEC},
        {"2hr", 2 * HOUR},
        {"1day 1d 2days", 4 * DAY},
        {"1w 1week 2 weeks", 28 * DAY},
        {"1M", YEAR / 12},
        {"12months", YEAR},
        {"1month", YEAR / 12},
        {"1y", YEAR},
        {"2years", 2 * YEAR},
        {"1.1111111111111y", 35063999999999},
        {"infinity", USEC_INFINITY},
        {" infinity ", USEC_INFINITY},
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        usec_t span = 42;
        assert_int_equal(timespan_parse(good[i].text, &span), 0);
        if (span != good[i].span)
            print_error("<%s> gave %llu\n", good[i].text, (unsigned long long)span);
        assert_true(span == good[i].span);
    }
}

static void bad_spans(void **state) {
    (void)state;
    static const char *const bad[] = {"", " ", " xyz ", ".", " 5. ", ".s ", "0.-0s", "3.-0s ", " infinity .7",
        ".3 infinity", "3.+1s", "3. 1s", "3.s", "12.34.56", "12..34", "..1234", "1234..", "5S", "5Min",
        "5 5 x", "s5", "infinityy", "1e3"};
    static const char *const range[] = {"-5s", "-0.3s", "-0", "5s -3s", "11111111111111y",
        "18446744073709551616", "18446744073709551615us", "584554y 584554y"};
    usec_t span = 42;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (timespan_parse(bad[i], &span) != -EINVAL)
            print_error("<%s>\n", bad[i]);
        assert_int_equal(timespan_parse(bad[i], &span), -EINVAL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(range); i++)
        assert_int_equal(timespan_parse(range[i], &span), -ERANGE);
    assert_int_equal(span, 42);
}

static void spans_for_people(void **state) {
    (void)state;
    static const struct {
        usec_t span, accuracy;
        const char *text;
    } cases[] = {
        {0, 1, "0"},
        {USEC_INFINITY, 1, "infinity"},
        {1, 1, "1us"},
        {1500, 1, "1.5ms"},
        {100 * USEC_PER_MSEC, 1, "100ms"},
        {1234567, 1, "1.234567s"},
        {1234567, USEC_PER_MSEC, "1.234s"},
        {1034567, 100 * USEC_PER_MSEC, "1s"},
        {90 * USEC_PER_SEC, 1, "1min 30s"},
        {90 * USEC_PER_SEC + 1, USEC_PER_SEC, "1min 30s"},
        {90 * USEC_PER_SEC, MINUTE, "1min"},
        {30 * USEC_PER_SEC, MINUTE, "30s"}, /* better than nothing */
        {DAY + HOUR, 0, "1d 1h"},
        {YEAR + 8 * DAY, 1, "1y 1w 1d"},
    };
    char buffer[TIMESPAN_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_string_equal(timespan_format(cases[i].span, cases[i].accuracy, buffer), cases[i].text);
}

static void formatted_spans_are_read_back(void **state) {
    (void)state;
    static const usec_t spans_[] = {1, 12, 123, 1234, 12345, 123456, 1234567, 12345678, 999 * USEC_PER_MSEC,
        1200000, 1234500, 986087, YEAR * 9 / 5 - 23, DAY - 1, UINT64_C(0x123456789abcdef), USEC_INFINITY - 1};
    static const usec_t accuracies[] = {1, USEC_PER_MSEC, USEC_PER_SEC};

    for (size_t i = 0; i < ARRAY_SIZE(spans_); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(accuracies); k++) {
            char buffer[TIMESPAN_MAX];
            usec_t span;
            const char *text = timespan_format(spans_[i], accuracies[k], buffer);
            assert_int_equal(timespan_parse(text, &span), 0);
            assert_true(span / accuracies[k] == spans_[i] / accuracies[k]);
        }
    }
}

static int set_zone(void **state) {
    (void)state;
    /* Given as a rule: there may be no zone files on the machine. */
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    return 0;
}

static void timestamps_for_people(void **state) {
    (void)state;
    char buffer[TIMESTAMP_MAX];
    usec_t t = UINT64_C(1795239971123456);

    assert_string_equal(timestamp_format(t, buffer), "Sat 2026-11-21 06:46:11 CET");
    assert_string_equal(
        timestamp_format(UINT64_C(1784000000) * USEC_PER_SEC, buffer), "Tue 2026-07-14 05:33:20 CEST");
    assert_string_equal(timestamp_format(0, buffer), "n/a");
    assert_string_equal(timestamp_format(USEC_INFINITY, buffer), "n/a");
    assert_string_equal(timestamp_format_rfc3339(t, buffer), "2026-11-21T05:46:11.123456000Z");
    assert_string_equal(timestamp_format_rfc3339(0, buffer), "1970-01-01T00:00:00.000000000Z");
    (void)timestamp_format_rfc3339(USEC_INFINITY, buffer);
}

static void timestamps(void **state) {
    (void)state;
    const usec_t now = UINT64_C(1795239971) * USEC_PER_SEC; /* 2026-11-21 06:46:11 CET */
    static const struct {
        const char *text;
        uint64_t seconds;
    } good[] = {
        {"now", 1795239971},
        {"today", 1795215600},
        {"yesterday", 1795129200},
        {"-5min", 1795239671},
        {"5min ago", 1795239671},
        {"1h 30min ago", 1795234571},
        {"+1s", 1795239972},
        {"@12", 12},
        {"2026-11-21", 1795215600},
        {"2026-11-21 06:46", 1795239960},
        {"2026-11-21 06:46:11", 1795239971},
        {"2026-11-21 05:46:11 UTC", 1795239971},
        {"2026-11-21 UTC", 1795219200},
        {"Sat 2026-11-21 06:46:11 CET", 1795239971},
        {"Sat 2026-11-21 CET", 1795215600},
        {"2026-11-21T05:46:11Z", 1795239971},
        {"2026-11-21T05:46:11.999Z", 1795239971},
        {"2026-11-21T07:16:11+01:30", 1795239971},
        {"2026-11-21T00:46:11-05:00", 1795239971},
        {"2026-07-14 05:33:20", 1784000000},
        {"2024-02-29T00:00:00Z", 1709164800},
        {"2016-12-31T23:59:60Z", 1483228800},
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        usec_t t = 0;
        if (timestamp_parse(good[i].text, now, &t) < 0 || t / USEC_PER_SEC != good[i].seconds)
            print_error("<%s> gave %llu\n", good[i].text, (unsigned long long)t);
        assert_int_equal(timestamp_parse(good[i].text, now, &t), 0);
        assert_true(t / USEC_PER_SEC == good[i].seconds);
    }

    usec_t t;
    assert_int_equal(timestamp_parse("2026-11-21T05:46:11.123456789Z", now, &t), 0);
    assert_true(t == UINT64_C(1795239971123456));
    assert_int_equal(timestamp_parse("1000y ago", now, &t), 0);
    assert_true(t == 0);
}

static void bad_timestamps(void **state) {
    (void)state;
    static const char *const bad[] = {"", "tomorrowish", "2026", "2026-13-01", "2026-00-01", "2026-02-30",
        "2026-1-1", "2023-02-29", "2026-11-21 24:00", "2026-11-21 1:00", "2026-11-21 10:60",
        "2026-11-21T10:00:61Z", "2026-11-21T10:00:00+1:00", "2026-11-21T10:00:00.Z", "2026-11-21T10:00:00Zx",
        "2026-11-21 XYZ", "1969-12-31T23:00:00Z", "@", "@-1", "@x", "5min", "-", "ago", " ago", "-5min ago",
        "--5min", "infinity ago", "2026-11-21T"};
    usec_t t = 42;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (timestamp_parse(bad[i], USEC_PER_SEC, &t) != -EINVAL)
            print_error("<%s>\n", bad[i]);
        assert_int_equal(timestamp_parse(bad[i], USEC_PER_SEC, &t), -EINVAL);
    }
    assert_int_equal(t, 42);
}

static void formatted_timestamps_are_read_back(void **state) {
    (void)state;

    for (uint64_t seconds = 1; seconds < UINT64_C(4000000000); seconds += 12345678) {
        char buffer[TIMESTAMP_MAX];
        usec_t t = seconds * USEC_PER_SEC + 123456, back;
        assert_int_equal(timestamp_parse(timestamp_format_rfc3339(t, buffer), 0, &back), 0);
        assert_true(back == t);
        assert_int_equal(timestamp_parse(timestamp_format(t, buffer), 0, &back), 0);
        assert_true(back == seconds * USEC_PER_SEC);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_run),
        cmocka_unit_test(spans),
        cmocka_unit_test(bad_spans),
        cmocka_unit_test(spans_for_people),
        cmocka_unit_test(formatted_spans_are_read_back),
        cmocka_unit_test(timestamps_for_people),
        cmocka_unit_test(timestamps),
        cmocka_unit_test(bad_timestamps),
        cmocka_unit_test(formatted_timestamps_are_read_back),
    };
    return cmocka_run_group_tests(tests, set_zone, NULL);
}
