/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A message to everybody who is logged in: when it is sent, and whom it reaches. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <utmpx.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/str.h"
#include "base/wall.h"
#include "terminal-of-test.h"

#define MINUTE USEC_PER_MINUTE

/* ---- when ---- */

static void warnings_come_more_often_as_the_end_comes_nearer(void **state) {
    (void)state;
    static const struct {
        usec_t left, next_left;
    } table[] = {
        {26 * 60 * MINUTE, 25 * 60 * MINUTE},
        {25 * 60 * MINUTE + 1, 25 * 60 * MINUTE},
        {181 * MINUTE, 180 * MINUTE},
        {180 * MINUTE, 150 * MINUTE},
        {60 * MINUTE, 55 * MINUTE},
        {11 * MINUTE, 10 * MINUTE},
        {10 * MINUTE, 9 * MINUTE},
        {MINUTE + 1, MINUTE},
        /* nothing more before the end itself */
        {MINUTE, 0},
        {1, 0},
        {0, 0},
    };
    const usec_t when = 1000 * 60 * MINUTE;

    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        assert_int_equal(wall_next(when - table[i].left, when), when - table[i].next_left);
    assert_int_equal(wall_next(when + MINUTE, when), when); /* the clock has jumped past it */
    /* Followed to its end it ends, and every step is later than the one before. */
    unsigned steps = 0;
    for (usec_t now = when - 5 * 60 * MINUTE, next; now < when; now = next, steps++) {
        next = wall_next(now, when);
        assert_true(next > now && next <= when);
    }
    assert_int_equal(steps, 1 + 18 + 1); /* 4 h; 3 h to 1 min; itself */
}

static void the_text_says_what_and_when(void **state) {
    (void)state;
    char time[TIMESTAMP_MAX];
    usec_t later = now_realtime() + 5 * MINUTE;
    _cleanup_free_ char *now = wall_text(ENDING_POWEROFF, 0, NULL),
                        *in_time = wall_text(ENDING_REBOOT, later, "new kernel"),
                        *wanted = strf("new kernel\r\nThe system goes down for reboot at %s!",
                            timestamp_format(later, time));

    assert_string_equal(now, "The system goes down for poweroff now!");
    assert_string_equal(in_time, wanted);
}

/* ---- whom it reaches ---- */

static int open_terminal(char line[static 32]) {
    int fd = open_terminal_master(O_NONBLOCK);

    (void)snprintf(line, 32, "%s", ptsname(fd) + strlen("/dev/"));
    return fd;
}

static void log_in(short type, const char *line) {
    struct utmpx u = {.ut_type = type, .ut_pid = getpid()};

    memcpy(u.ut_line, line, MIN(strlen(line), sizeof u.ut_line));
    (void)snprintf(u.ut_id, sizeof u.ut_id, "%s", line + MAX(strlen(line), 3U) - 3);
    assert_non_null(pututxline(&u));
}

static size_t heard(int fd, char *text, size_t size) {
    ssize_t n = read(fd, text, size - 1);

    text[n < 0 ? 0 : n] = '\0';
    return n < 0 ? 0 : (size_t)n;
}

/* A terminal hands it on in pieces. */
static bool comes_to_hear(int fd, char *text, size_t size, const char *wanted) {
    size_t n = 0;

    for (int i = 0; i < 6000; i++) {
        n += heard(fd, text + n, size - n);
        if (strstr(text, wanted))
            return true;
        (void)usleep(10000);
    }
    return false;
}

static void everybody_at_a_terminal_hears_it_and_nobody_else(void **state) {
    (void)state;
    char directory[] = "/tmp/davit-wall-XXXXXX", line[32], gone[32], text[1024], first[16] = "";

    assert_non_null(mkdtemp(directory));
    _cleanup_free_ char *utmp = path_join(directory, "utmp"), *file = path_join(directory, "file"),
                        *escape = strf("../..%s", file);
    assert_int_equal(file_write_atomic(AT_FDCWD, utmp, "", 0, 0644, false), 0);
    assert_int_equal(file_write_atomic(AT_FDCWD, file, "", 0, 0644, false), 0);
    int logged_in = open_terminal(line), logged_out = open_terminal(gone);
    int slave = open(ptsname(logged_in), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    utmpxname(utmp);
    setutxent();
    log_in(USER_PROCESS, "pts/99999"); /* its terminal is gone */
    log_in(USER_PROCESS, "null");      /* no terminal */
    log_in(USER_PROCESS, escape);
    log_in(DEAD_PROCESS, gone);
    log_in(USER_PROCESS, line);
    endutxent();

    wall("tea is ready");
    assert_true(comes_to_hear(logged_in, text, sizeof text, "tea is ready"));
    assert_non_null(strstr(text, "Broadcast message from root on "));
    assert_int_equal(heard(logged_out, text, sizeof text), 0);
    _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, first, sizeof first), 0); /* nothing was written there */
    (void)close(slave);
    (void)close(logged_in);
    (void)close(logged_out);
    assert_int_equal(remove_tree(AT_FDCWD, directory), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warnings_come_more_often_as_the_end_comes_nearer),
        cmocka_unit_test(the_text_says_what_and_when),
        cmocka_unit_test(everybody_at_a_terminal_hears_it_and_nobody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
