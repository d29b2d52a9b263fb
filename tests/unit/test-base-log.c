/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static char caught[4096];
static int caught_priority;
static char *const *caught_fields;

static void catch_message(int priority, const char *text, char *const *fields) {
    (void)snprintf(caught, sizeof(caught), "%s", text);
    caught_priority = priority;
    caught_fields = fields;
    errno = EDOM; /* a sink may do anything */
}

static int reset(void **state) {
    (void)state;
    caught[0] = '\0';
    log_set_sink(catch_message);
    log_set_level(LOG_INFO);
    return 0;
}

static void levels_are_read(void **state) {
    (void)state;
    int level = 42;

    assert_int_equal(log_level_parse("debug", &level), 0);
    assert_int_equal(level, LOG_DEBUG);
    assert_int_equal(log_level_parse("err", &level), 0);
    assert_int_equal(level, LOG_ERR);
    assert_int_equal(log_level_parse("7", &level), 0);
    assert_int_equal(level, 7);
    assert_int_equal(log_level_parse("8", &level), -EINVAL);
    assert_int_equal(log_level_parse("", &level), -EINVAL);
    assert_int_equal(log_level_parse("verbose", &level), -EINVAL);
    assert_int_equal(level, 7);
}

static void level_is_a_threshold(void **state) {
    (void)state;

    log_debug("hidden");
    assert_string_equal(caught, "");
    log_set_level(LOG_DEBUG);
    assert_int_equal(log_get_level(), LOG_DEBUG);
    log_debug("shown %d", 1);
    assert_string_equal(caught, "shown 1");
    log_set_level(LOG_ERR);
    log_warning("hidden");
    assert_string_equal(caught, "shown 1");
    log_error("shown");
    assert_int_equal(caught_priority, LOG_ERR);
}

static void errno_is_described_and_kept(void **state) {
    (void)state;

    errno = ENOENT;
    assert_int_equal(log_errno(LOG_ERR, errno, "open %s", "/x"), -ENOENT);
    assert_int_equal(errno, ENOENT);
    assert_string_equal(caught, "open /x: No such file or directory");
    assert_int_equal(log_errno(LOG_DEBUG, -EPERM, "hidden"), -EPERM);
}

static void fields_reach_the_sink(void **state) {
    (void)state;
    char field[] = "UNIT=web";
    char *const fields[] = {field, NULL};

    log_write_fields(LOG_NOTICE, fields, "text");
    assert_ptr_equal(caught_fields, fields);
}

/* What log_error(...) writes to stderr, read back. */
static void capture_stderr(const char *text, char *ret, size_t size) {
    int fds[2], saved = dup(STDERR_FILENO);

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
    close(fds[1]);
    log_set_sink(NULL);
    log_open("test");
    log_error("%s", text);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    ssize_t n = read(fds[0], ret, size - 1);
    assert_true(n >= 0);
    ret[n] = '\0';
    close(fds[0]);
}

static void stderr_lines_have_a_priority(void **state) {
    (void)state;
    char line[8192];

    capture_stderr("text", line, sizeof(line));
    assert_string_equal(line, "<3>text\n");
}

/* A container's text must not pass for another message, nor reach the terminal as an escape sequence. */
static void control_characters_are_replaced(void **state) {
    (void)state;
    char line[8192];

    capture_stderr("a\n<0>b\r\x1b[31m\tc\x7f", line, sizeof(line));
    assert_string_equal(line, "<3>a <0>b??[31m\tc?\n");
}

static void long_messages_are_cut(void **state) {
    (void)state;
    char text[5000], line[8192];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';

    capture_stderr(text, line, sizeof(line));
    assert_int_equal(strlen(line), strlen("<3>") + 2047 + 1);
    assert_string_equal(line + strlen(line) - 2, "x\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(levels_are_read, reset),
        cmocka_unit_test_setup(level_is_a_threshold, reset),
        cmocka_unit_test_setup(errno_is_described_and_kept, reset),
        cmocka_unit_test_setup(fields_reach_the_sink, reset),
        cmocka_unit_test_setup(stderr_lines_have_a_priority, reset),
        cmocka_unit_test_setup(control_characters_are_replaced, reset),
        cmocka_unit_test_setup(long_messages_are_cut, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
