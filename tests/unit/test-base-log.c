/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <termios.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/str.h"
#include "terminal-of-test.h"

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

/* ---- a reader that does not read ---- */

/* stderr becomes fd; what it was before. */
static int give_stderr(int fd) {
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

    assert_true(dup2(fd, STDERR_FILENO) >= 0);
    log_set_sink(NULL);
    log_open("test");
    log_never_wait();
    return saved;
}

static void take_stderr_back(int saved) {
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
}

static void fill(int fd) {
    static char much[65536];

    assert_int_equal(fd_set_nonblock(fd, true), 0);
    while (write(fd, much, sizeof(much)) > 0 || write(fd, much, 1) > 0)
        ;
    assert_int_equal(fd_set_nonblock(fd, false), 0);
}

/* All that has been written to what now has no writer but us, and is the reading end. */
static size_t read_rest(int fd, char *ret, size_t size) {
    size_t n = 0;

    assert_int_equal(fd_set_nonblock(fd, true), 0);
    for (ssize_t r; (r = read(fd, ret + n % size, size - n % size)) > 0;)
        n += (size_t)r;
    return n;
}

/* ends: [0] is read, [1] is stderr and full. What is said then is lost; and what is said later arrives. */
static void nothing_waits_for(const int ends[2]) {
    static char text[1 << 20];

    fill(ends[1]);
    int saved = give_stderr(ends[1]);
    for (int i = 0; i < 1000; i++)
        log_error("lost");
    assert_int_equal(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0); /* it is not ours alone */
    (void)read_rest(ends[0], text, sizeof(text));
    log_error("said");
    take_stderr_back(saved);
    size_t n = read_rest(ends[0], text, sizeof(text));
    assert_int_equal(n, strlen("<3>said\n"));
    assert_memory_equal(text, "<3>said\n", n);
}

static void a_pipe_is_not_waited_for(void **state) {
    (void)state;
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    nothing_waits_for(ends);
    close(ends[0]);
    close(ends[1]);
}

static void a_stream_is_not_waited_for(void **state) {
    (void)state;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    nothing_waits_for(ends);
    close(ends[0]);
    close(ends[1]);
}

static void a_terminal_is_not_waited_for(void **state) {
    (void)state;
    char text[64];
    int master = open_terminal_master(0), slave = open_terminal_slave(master, 0);

    assert_int_equal(tcflow(slave, TCOOFF), 0); /* Ctrl-S */
    int saved = give_stderr(slave);
    log_error("lost");
    log_error("lost");
    assert_int_equal(tcflow(slave, TCOON), 0);
    log_error("said");
    take_stderr_back(saved);
    ssize_t n = read(master, text, sizeof(text));
    assert_true(n > 0);
    text[n] = '\0';
    assert_string_equal(text, isempty(getenv("JOURNAL_STREAM")) ? "test: said\r\n" : "<3>said\r\n");
    close(slave);
    close(master);
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
        cmocka_unit_test_setup(a_pipe_is_not_waited_for, reset),
        cmocka_unit_test_setup(a_stream_is_not_waited_for, reset),
        cmocka_unit_test_setup(a_terminal_is_not_waited_for, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
