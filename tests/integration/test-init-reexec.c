/* link: init-harness.c */
/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* davit-init replaced in place (init/reexec.h): by itself, by a file that does not work, again and again. */
#include "init-harness.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/fs.h"

#define GOES_ON "replaced in place"

/* What davitd does before it ends with MANAGER_EXIT_REEXEC, but it stays. */
static void reexec(void) {
    unsigned before = count_logged(GOES_ON);

    tell(&rig.manager, "notify X_DAVIT_REEXEC=1");
    assert_true(comes_to_be_logged(GOES_ON, before + 1));
}

/* All parts but davitd are new ones: another request before would end them in the middle of their hello. */
static void meet_new_parts(void) {
    pid_t logd = rig.logd.pid, launcher0 = rig.launchers[0].pid, launcher1 = rig.launchers[1].pid;
    struct part_seen *p;

    while (rig.logd.pid == logd || rig.launchers[0].pid == launcher0 || rig.launchers[1].pid == launcher1)
        assert_true(meet_for(WAIT_MSEC, &p));
}

/* davit-init as a file of the test's own, which it may break. */
static void start_own_copy(void) {
    char *data;
    size_t size;

    assert_int_equal(file_read(AT_FDCWD, rig.program, 1 << 26, &data, &size), 0);
    (void)snprintf(rig.program, sizeof rig.program, "%s/davit-init", rig.directory);
    int fd = open(rig.program, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    assert_int_equal(write_all(fd, data, size), 0);
    (void)close(fd);
    free(data);
    start_init();
    meet_all();
}

static void replace_program(const char *text, mode_t mode) {
    char path[128];

    (void)snprintf(path, sizeof path, "%s/new", rig.directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
    assert_int_equal(rename(path, rig.program), 0);
}

static size_t open_descriptors(void) {
    char path[64], target[64];
    size_t n = 0;

    for (int fd = 0; fd < 1000; fd++) {
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", rig.pid, fd);
        n += readlink(path, target, sizeof target) > 0;
    }
    return n;
}

/* davit-init has taken, or closed, what it was sent. */
static bool comes_to_have_open(size_t descriptors) {
    for (int i = 0; i < WAIT_MSEC / 5; i++) {
        if (open_descriptors() == descriptors)
            return true;
        (void)usleep(5000);
    }
    return false;
}

/* ---- what is kept ---- */

static void test_everything_is_kept(void **state _unused_) {
    struct feed_record records[64];

    start_init();
    meet_all();
    pid_t manager = rig.manager.pid, launcher = rig.launchers[0].pid;
    size_t descriptors = open_descriptors() + 2;
    tell(&rig.manager, "store kept");
    tell(&rig.manager, "store also");
    assert_string_equal(ask(&rig.launchers[0], "spawn 20"), "done");
    assert_string_equal(ask(&rig.manager, "fds"), "4");
    assert_true(comes_to_have_open(descriptors));

    reexec();
    meet(&rig.launchers[0]);
    assert_int_not_equal(rig.launchers[0].pid, launcher);
    assert_true(comes_to_have_open(descriptors));
    /* davitd is the same process, and is still listened to. */
    assert_string_equal(ask(&rig.manager, "spawn 5"), "done");
    tell(&rig.manager, "store later");
    assert_int_equal(wait_feed(records, ARRAY_SIZE(records), 25), 25);
    for (size_t i = 0; i < 25; i++)
        assert_int_equal(records[i].sequence, i + 1);

    tell(&rig.manager, "exit 64");
    meet(&rig.manager);
    assert_int_not_equal(rig.manager.pid, manager);
    assert_string_equal(ask(&rig.manager, "names"), "feed:launch0:launch1:logd:kept:also:later");
    assert_string_equal(ask(&rig.manager, "content kept"), "kept");
    assert_string_equal(ask(&rig.manager, "content later"), "later");
    stop_by(SIGTERM, 0);
}

static void test_messages_to_the_log_daemon_wait(void **state _unused_) {
    start_init();
    meet_all();
    tell(&rig.logd, "hang"); /* it ends by SIGTERM, and has read nothing */
    tell(&rig.manager, "write logd");
    reexec();
    meet(&rig.logd);
    assert_string_equal(ask(&rig.logd, "receive 3"), "x");
}

static void test_parts_are_replaced_without_a_word_of_crash(void **state _unused_) {
    start_init();
    meet_all();
    for (int i = 0; i < 8; i++) {
        tell(&rig.manager, "notify X_DAVIT_REEXEC=1");
        meet_new_parts();
        assert_true(comes_to_be_logged(GOES_ON, (unsigned)i + 1));
    }
    assert_false(logged("starting it again")); /* which may be after a delay that grows */
    assert_false(logged("keeps dying"));
}

static void test_a_stop_under_way_goes_on(void **state _unused_) {
    start_init();
    meet_all();
    tell(&rig.manager, "notify EXIT_STATUS=7");
    (void)kill(rig.pid, SIGTERM);
    assert_string_equal(hear(&rig.manager), "TERM");
    reexec();
    tell(&rig.manager, "exit 0");
    int status = wait_end();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void test_reports_go_up_as_before(void **state _unused_) {
    struct sockaddr_un address;
    socklen_t length;
    char path[128], text[5000];

    (void)snprintf(path, sizeof path, "%s/up", rig.directory);
    assert_int_equal(socket_address(path, &address, &length), 0);
    rig.up = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(rig.up, (struct sockaddr *)&address, length), 0);
    (void)setenv("NOTIFY_SOCKET", path, 1);
    start_init();
    (void)unsetenv("NOTIFY_SOCKET");
    meet_all();
    reexec();
    while (recv(rig.up, text, sizeof text, 0) > 0)
        ;
    tell(&rig.manager, "notify RELOADING=1\nMONOTONIC_USEC=5");
    struct pollfd p = {.fd = rig.up, .events = POLLIN};
    assert_int_equal(poll(&p, 1, WAIT_MSEC), 1);
    text[recv(rig.up, text, sizeof text - 1, 0)] = '\0';
    assert_string_equal(text, "RELOADING=1\nMONOTONIC_USEC=5");
}

static void test_signal_without_a_davitd(void **state _unused_) {
    start_init();
    meet_all();
    (void)kill(rig.manager.pid, SIGSTOP); /* it could not even be told */
    (void)kill(rig.manager.pid, SIGKILL);
    (void)kill(rig.pid, SIGRTMIN + 25);
    meet(&rig.manager);
    assert_true(logged("davitd was killed by SIGKILL"));
}

/* ---- a program file that does not work ---- */

static void test_bad_program_files_change_nothing(void **state _unused_) {
    static const struct {
        const char *text;
        mode_t mode;
        const char *why;
    } cases[] = {
        {"#!/bin/sh\nexit 3\n", 0755, "it cannot go on from here (status 3)"},
        {"#!/bin/sh\nkill -SEGV $$\n", 0755, "it cannot go on from here (signal 11)"},
        {"\177ELF and nothing more", 0755, "it cannot go on from here (status 127)"},
        {"", 0644, "it cannot go on from here (status 127)"},
    };
    struct feed_record records[16];

    start_own_copy();
    tell(&rig.manager, "store kept");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        replace_program(cases[i].text, cases[i].mode);
        tell(&rig.manager, "notify X_DAVIT_REEXEC=1");
        assert_true(comes_to_be_logged("davit-init stays as it is", (unsigned)i + 1));
        assert_true(logged(cases[i].why));
        meet_new_parts();
    }
    assert_int_equal(unlink(rig.program), 0);
    tell(&rig.manager, "notify X_DAVIT_REEXEC=1");
    assert_true(comes_to_be_logged("davit-init stays as it is", ARRAY_SIZE(cases) + 1));

    assert_string_equal(ask(&rig.manager, "spawn 3"), "done");
    assert_int_equal(wait_feed(records, ARRAY_SIZE(records), 3), 3);
    assert_int_equal(count_logged(GOES_ON), 0);
    stop_by(SIGTERM, 0);
}

/* The check is passed, and then execve fails: the checker takes its own file away. */
static void test_file_that_vanishes_after_the_check(void **state _unused_) {
    struct feed_record records[16];
    char script[1024];

    start_own_copy();
    (void)snprintf(script, sizeof script, "#!/bin/sh\nrm %s\n", rig.program);
    replace_program(script, 0755);
    tell(&rig.manager, "notify X_DAVIT_REEXEC=1");
    assert_true(comes_to_be_logged("davit-init stays as it is", 1));
    assert_true(logged("No such file or directory"));
    assert_string_equal(ask(&rig.manager, "spawn 3"), "done");
    assert_int_equal(wait_feed(records, ARRAY_SIZE(records), 3), 3);
    /* Nothing that was opened for the execve stays open for the parts. */
    tell(&rig.manager, "exit 64");
    meet(&rig.manager);
    assert_string_equal(ask(&rig.manager, "fds"), "4");
    stop_by(SIGTERM, 0);
}

static size_t count_ends(const struct feed_record *records, size_t n, pid_t pid) {
    size_t ends = 0;

    for (size_t i = 0; i < n; i++)
        ends += records[i].pid == pid;
    return ends;
}

/* The check is passed, and then the state cannot be read: everything begins anew, in the same process. */
static void test_state_that_cannot_be_read_after_all(void **state _unused_) {
    char real[PATH_MAX], runtime[128], script[PATH_MAX + 256];
    struct feed_record records[64] = {};

    assert_non_null(realpath(rig.program, real));
    start_own_copy();
    (void)snprintf(runtime, sizeof runtime, "%s/run/davit", rig.directory);
    pid_t old = rig.manager.pid; /* all others are replaced before */
    size_t descriptors = open_descriptors();
    tell(&rig.manager, "store lost");
    assert_string_equal(ask(&rig.manager, "fds"), "4");
    (void)snprintf(script, sizeof script,
        "#!/bin/sh\ncase $1 in --check-state=*) exit 0 ;; esac\nexec %s --resume=3\n", real);
    replace_program(script, 0755);
    /* Nor can what is to be made anew be made at first. */
    assert_int_equal(chmod(runtime, 0777), 0);
    tell(&rig.manager, "notify X_DAVIT_REEXEC=1");
    assert_true(comes_to_be_logged("others may write to it", 2));
    assert_int_equal(count_logged("starting anew"), 1);
    assert_int_equal(chmod(runtime, 0711), 0);

    /* The parts before are ended by the ends of their channels; these have new ones. */
    meet_all();
    assert_string_equal(ask(&rig.manager, "names"), "feed:launch0:launch1:logd");
    assert_true(comes_to_have_open(descriptors));
    /* Their ends are told like those of all others: there are no parts of that number any more. */
    assert_string_equal(ask(&rig.launchers[1], "spawn 3"), "done");
    size_t n = wait_feed(records, ARRAY_SIZE(records), 4);
    while (count_ends(records, n, old) == 0) {
        assert_true(n < ARRAY_SIZE(records));
        n += wait_feed(records + n, ARRAY_SIZE(records) - n, 1);
    }
    assert_int_equal(count_ends(records, n, old), 1);
    /* No davitd takes them for what it has seen already. */
    assert_true(records[0].sequence > 1000 * 1000);
    assert_int_equal(records[n - 1].sequence, records[0].sequence + n - 1);
    stop_by(SIGTERM, 0);
}

/* ---- again and again ---- */

/* Each end of a child is in the feed once, whatever instruction of davit-init it came at. */
static void churn(void) {
    struct feed_record *records = calloc(EXITS_MAX, sizeof *records);
    struct ended *seen = calloc(EXITS_MAX, sizeof *seen), *made;
    size_t size;
    char path[128], *data;

    assert_string_equal(ask(&rig.manager, "churn 4000"), "done");
    assert_true(comes_to_be_logged(GOES_ON, 1));
    size_t n = wait_feed(records, EXITS_MAX, 4000);
    assert_int_equal(n, 4000);
    (void)snprintf(path, sizeof path, "%s/spawned", rig.directory);
    assert_int_equal(file_read(AT_FDCWD, path, 1 << 26, &data, &size), 0);
    made = (struct ended *)(void *)data;
    assert_int_equal(size, n * sizeof *made);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(records[i].sequence, i + 1);
        seen[i] = (struct ended){.pid = records[i].pid, .status = records[i].status};
    }
    qsort(seen, n, sizeof *seen, by_pid);
    qsort(made, n, sizeof *made, by_pid);
    assert_memory_equal(seen, made, size);
    print_message("%u times replaced\n", count_logged(GOES_ON));
    free(data);
    free(seen);
    free(records);
}

static void test_no_end_is_lost_or_doubled(void **state _unused_) {
    start_init();
    meet_all();
    churn();
}

static void test_as_pid_1(void **state _unused_) {
    if (geteuid() != 0) {
        print_message("a pid namespace needs root\n");
        skip();
    }
    (void)setenv("TEST_WORD", "davit.target=words.target", 1);
    start_init_with(CLONE_NEWPID);
    (void)unsetenv("TEST_WORD");
    meet_all();
    churn();
    tell(&rig.manager, "exit 64");
    meet(&rig.manager);
    assert_string_equal(ask(&rig.manager, "getenv DAVIT_TARGET"), "words.target");
    (void)kill(rig.pid, SIGRTMIN + 5);
    assert_string_equal(hear(&rig.manager), "TERM");
    tell(&rig.manager, "exit 0");
    int status = wait_end();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 133);
}

int main(int argc _unused_, char **argv) {
    be_part_if_called_so(argv);

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_everything_is_kept), T(test_messages_to_the_log_daemon_wait),
        T(test_parts_are_replaced_without_a_word_of_crash), T(test_a_stop_under_way_goes_on),
        T(test_reports_go_up_as_before), T(test_signal_without_a_davitd),
        T(test_bad_program_files_change_nothing), T(test_file_that_vanishes_after_the_check),
        T(test_state_that_cannot_be_read_after_all), T(test_no_end_is_lost_or_doubled),
        T(test_as_pid_1), /* last: this process can have no other children afterwards */
    };
    return cmocka_run_group_tests_name("davit-init replaced", tests, NULL, NULL);
}
