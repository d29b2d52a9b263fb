/* link: init-harness.c */
/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real davit-init with parts that do as they are told (init-harness.h). */
#include "init-harness.h"

#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/fs.h"

/* ---- tests ---- */

/* What is in the feed is reaped only then. */
static bool comes_to_be_reaped(pid_t pid) {
    for (int i = 0; i < WAIT_MSEC / 5; i++) {
        if (kill(pid, 0) < 0)
            return true;
        (void)usleep(5000);
    }
    return false;
}

/* All that it was told before is done. */
static void settle(const struct part_seen *p) {
    assert_string_equal(ask(p, "getenv TEST_NOBODY"), "0");
}

static void test_parts_start_and_stop_in_order(void **state _unused_) {
    struct stat st;
    char path[128];

    start_init();
    meet_all();
    assert_string_equal(ask(&rig.manager, "names"), "feed:launch0:launch1:logd");
    assert_string_equal(ask(&rig.manager, "fds"), "4");
    assert_string_equal(ask(&rig.logd, "fds"), "2");
    assert_string_equal(ask(&rig.launchers[1], "fds"), "1");
    assert_string_equal(ask(&rig.launchers[0], "getenv NOTIFY_SOCKET"), "(unset)");
    assert_string_equal(ask(&rig.manager, "getenv WATCHDOG_USEC"), "(unset)");
    (void)snprintf(path, sizeof path, "%s/run/davit", rig.directory);
    assert_string_equal(ask(&rig.logd, "getenv DAVIT_RUNTIME_DIR"), path);
    (void)snprintf(path, sizeof path, "%s/run/davit/keeper.notify", rig.directory);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    stop_by(SIGTERM, 0);
    assert_int_equal(stat(path, &st), -1);
    assert_int_equal(kill(rig.logd.pid, 0), -1);
}

static void test_only_one_for_a_directory(void **state _unused_) {
    start_init();
    meet_all();
    pid_t first = rig.pid;
    start_init();
    int status = wait_end();
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 125);
    assert_true(logged("another davit-init"));
    rig.pid = first;
}

static void test_directory_of_somebody_else(void **state _unused_) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/run", rig.directory);
    assert_int_equal(mkdir(path, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/run/davit", rig.directory);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(chmod(path, 0777), 0);
    start_init();
    assert_int_equal(WEXITSTATUS(wait_end()), 125);
}

static void test_feed_tells_of_every_end(void **state _unused_) {
    struct feed_record records[64];
    unsigned ends[256] = {0};
    start_init();
    meet_all();
    assert_string_equal(ask(&rig.launchers[0], "spawn 20"), "done");
    assert_string_equal(ask(&rig.launchers[1], "orphan"), "done");
    size_t n = wait_feed(records, ARRAY_SIZE(records), 21);
    assert_int_equal(n, 21);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(records[i].sequence, i + 1);
        assert_int_equal(records[i].code, CLD_EXITED);
        ends[records[i].status]++;
        assert_int_equal(records[i].uid, getuid());
        assert_true(comes_to_be_reaped(records[i].pid));
    }
    for (size_t status = 0; status < ARRAY_SIZE(ends); status++)
        assert_int_equal(ends[status], status < 20 || status == 77 ? 1 : 0);
    /* davitd is gone for a while: what happens then is in the feed of the next one. */
    (void)kill(rig.manager.pid, SIGKILL);
    assert_string_equal(ask(&rig.launchers[0], "spawn 5"), "done");
    meet(&rig.manager);
    n = wait_feed(records, ARRAY_SIZE(records), 5);
    assert_int_equal(n, 5);
    assert_int_equal(records[0].sequence, 22);
}

static void test_full_feed_loses_nothing(void **state _unused_) {
    const size_t count = 70000, turns = 14;
    struct feed_record *records = calloc(EXITS_MAX, sizeof *records);
    struct ended *seen = calloc(EXITS_MAX, sizeof *seen), *made;
    size_t n = 0, size;
    char path[128], *data;

    start_init();
    meet_all();
    /* 40000 with nobody reading: more than the pipe holds, so some thousands wait as zombies (pid_max may be
     * 32768: not all of 70000 could). */
    for (size_t i = 0; i < turns; i++) {
        assert_string_equal(ask(&rig.launchers[i % 2], "spawn 5000"), "done");
        if (i == 7) {
            assert_true(comes_to_be_logged("exit feed is full", 1));
            /* The death of a part is noticed although it stands behind thousands of others. */
            (void)kill(rig.manager.pid, SIGKILL);
            meet(&rig.manager);
        }
        if (i >= 7)
            n += read_feed(records + n, EXITS_MAX - n);
    }
    n += wait_feed(records + n, EXITS_MAX - n, count - n);
    assert_int_equal(n, count);
    (void)snprintf(path, sizeof path, "%s/spawned", rig.directory);
    assert_int_equal(file_read(AT_FDCWD, path, 1 << 24, &data, &size), 0);
    assert_int_equal(size, count * sizeof *made);
    made = (struct ended *)(void *)data;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(records[i].sequence, i + 1);
        seen[i] = (struct ended){records[i].pid, records[i].status};
    }
    qsort(seen, count, sizeof *seen, by_pid);
    qsort(made, count, sizeof *made, by_pid);
    assert_memory_equal(seen, made, count * sizeof *seen);
    free(data);
    free(records);
    free(seen);
}

static void test_stored_descriptors_outlive_davitd(void **state _unused_) {
    char name[32], text[64];
    start_init();
    meet_all();
    for (int i = 0; i < 300; i++) {
        (void)snprintf(text, sizeof text, "store fd-%d", i);
        tell(&rig.manager, text);
    }
    tell(&rig.manager, "notify FDSTOREREMOVE=1\nFDNAME=fd-7");
    tell(&rig.manager, "notify FDSTORE=1\nFDNAME=no descriptor");
    /* And at once, before davit-init may have looked: what a dead davitd has sent still counts. */
    tell(&rig.manager, "abort");
    meet(&rig.manager);
    const char *names = ask(&rig.manager, "names");
    assert_non_null(startswith(names, "feed:launch0:launch1:logd:fd-0:fd-1:"));
    assert_null(strstr(names, "fd-7:"));
    assert_string_equal(ask(&rig.manager, "fds"), "303");
    for (int i = 0; i < 300; i += 13) {
        (void)snprintf(name, sizeof name, "fd-%d", i);
        (void)snprintf(text, sizeof text, "content fd-%d", i);
        assert_string_equal(ask(&rig.manager, text), name);
    }
}

static void test_strangers_are_not_listened_to(void **state _unused_) {
    char path[128];
    start_init();
    meet_all();
    (void)snprintf(path, sizeof path, "%s/run/davit/keeper.notify", rig.directory);
    (void)setenv("NOTIFY_SOCKET", path, 1);
    notify("FDSTORE=1\nFDNAME=evil\nEXIT_STATUS=9\nX_DAVIT_KILL_LAUNCHER=0", 0);
    (void)unsetenv("NOTIFY_SOCKET");
    (void)usleep(100000);
    (void)kill(rig.manager.pid, SIGKILL);
    meet(&rig.manager);
    assert_null(strstr(ask(&rig.manager, "names"), "evil"));
    assert_int_equal(kill(rig.launchers[0].pid, 0), 0);
    stop_by(SIGTERM, 0);
}

static void test_dead_parts_come_back_with_growing_delay(void **state _unused_) {
    static const struct {
        usec_t least; /* a slow machine makes it more */
        const char *said;
    } delays[] = {
        {0, ": starting it again\n"},
        {100 * USEC_PER_MSEC, ": starting it again in 100ms\n"},
        {200 * USEC_PER_MSEC, ": starting it again in 200ms\n"},
        {400 * USEC_PER_MSEC, ": starting it again in 400ms\n"},
        {800 * USEC_PER_MSEC, ": starting it again in 800ms\n"},
        {1600 * USEC_PER_MSEC, ": starting it again in 1.6s\n"},
    };
    start_init();
    meet_all();
    for (size_t i = 0; i < ARRAY_SIZE(delays); i++) {
        _cleanup_free_ char *said = strf("davit-launch 1 exited with status 3%s", delays[i].said);
        usec_t before = now_monotonic();
        tell(&rig.launchers[1], "exit 3");
        meet(&rig.launchers[1]);
        assert_true(now_monotonic() - before >= delays[i].least);
        assert_int_equal(count_logged(said), 1);
    }
    assert_true(logged("davit-launch 1 keeps dying"));
    /* The others were not touched. */
    assert_int_equal(kill(rig.launchers[0].pid, 0), 0);
    assert_int_equal(kill(rig.manager.pid, 0), 0);
}

static void test_socket_pairs_keep_what_was_sent(void **state _unused_) {
    char byte[8];
    start_init();
    meet_all();
    tell(&rig.manager, "write logd");
    settle(&rig.manager);
    (void)kill(rig.logd.pid, SIGKILL);
    meet(&rig.logd);
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/fd/3", rig.logd.pid);
    assert_int_equal(readlink(path, byte, sizeof byte), 8); /* a socket, again as 3 */
    assert_string_equal(ask(&rig.logd, "receive 3"), "x");
    tell(&rig.logd, "write 3");
    settle(&rig.logd);
    (void)kill(rig.manager.pid, SIGKILL);
    meet(&rig.manager);
    assert_string_equal(ask(&rig.manager, "names"), "feed:launch0:launch1:logd");
    assert_string_equal(ask(&rig.manager, "receive 6"), "x");
}

static void test_hanging_davitd_is_killed(void **state _unused_) {
    /* Long enough for a machine that stands still for two seconds. */
    (void)setenv("DAVIT_WATCHDOG_USEC", "2500000", 1);
    start_init();
    meet_all();
    assert_string_equal(ask(&rig.manager, "getenv WATCHDOG_USEC"), "2500000");
    pid_t first = rig.manager.pid;
    tell(&rig.manager, "notify READY=1");
    for (int i = 0; i < 30; i++) {
        tell(&rig.manager, "notify WATCHDOG=1");
        (void)usleep(100000);
    }
    assert_int_equal(kill(first, 0), 0);
    tell(&rig.manager, "notify EXTEND_TIMEOUT_USEC=6000000");
    (void)usleep(3200000);
    assert_int_equal(kill(first, 0), 0);
    tell(&rig.manager, "hang");
    meet(&rig.manager);
    assert_int_not_equal(first, rig.manager.pid);
    assert_true(logged("does not answer: sending SIGABRT"));
    /* One that is stopped does not even die of SIGABRT. */
    first = rig.manager.pid;
    tell(&rig.manager, "notify READY=1");
    (void)kill(first, SIGSTOP);
    meet(&rig.manager);
    assert_true(logged("sending SIGKILL"));
}

static void test_launcher_is_killed_on_request(void **state _unused_) {
    start_init();
    meet_all();
    pid_t first = rig.launchers[1].pid;
    tell(&rig.launchers[1], "hang");
    tell(&rig.manager, "notify X_DAVIT_KILL_LAUNCHER=1");
    meet(&rig.launchers[1]);
    assert_int_not_equal(first, rig.launchers[1].pid);
    tell(&rig.manager, "notify X_DAVIT_KILL_LAUNCHER=2");
    tell(&rig.manager, "notify X_DAVIT_KILL_LAUNCHER=-1");
    assert_string_equal(ask(&rig.manager, "fds"), "4");
}

static void test_logd_is_killed_on_request(void **state _unused_) {
    start_init();
    meet_all();
    pid_t first = rig.logd.pid;
    tell(&rig.logd, "hang");
    tell(&rig.manager, "notify X_DAVIT_KILL_LOGD=2");
    tell(&rig.manager, "notify X_DAVIT_KILL_LOGD=1");
    meet(&rig.logd);
    assert_int_not_equal(first, rig.logd.pid);
}

static void test_reexec_is_no_crash(void **state _unused_) {
    start_init();
    meet_all();
    tell(&rig.manager, "store kept");
    usec_t before = now_monotonic();
    for (int i = 0; i < 10; i++) {
        tell(&rig.manager, "exit 64");
        meet(&rig.manager);
    }
    /* With the delays of crashes it would be 51 seconds. */
    assert_true(now_monotonic() - before < 40 * USEC_PER_SEC);
    assert_false(logged("davitd exited"));
    assert_string_equal(ask(&rig.manager, "content kept"), "kept");
}

static void test_exit_status_is_davitds(void **state _unused_) {
    start_init();
    meet_all();
    tell(&rig.manager, "notify EXIT_STATUS=42");
    stop_by(SIGTERM, 42);
}

static void test_davitd_may_end_by_itself(void **state _unused_) {
    start_init();
    meet_all();
    tell(&rig.manager, "exit 0");
    int status = wait_end();
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_signals(void **state _unused_) {
    start_init();
    meet_all();
    /* Those without meaning do nothing. */
    (void)kill(rig.pid, SIGQUIT);
    (void)kill(rig.pid, SIGWINCH);
    (void)kill(rig.pid, SIGALRM);
    (void)kill(rig.pid, SIGRTMIN + 9);
    stop_by(SIGRTMIN + 5, 133);
}

static void test_stop_survives_a_crash_of_davitd(void **state _unused_) {
    start_init();
    meet_all();
    (void)kill(rig.pid, SIGINT);
    assert_string_equal(hear(&rig.manager), "TERM");
    tell(&rig.manager, "abort");
    meet(&rig.manager);
    assert_string_equal(hear(&rig.manager), "TERM"); /* told again, even before it was ready */
    tell(&rig.manager, "exit 0");
    assert_int_equal(wait_end(), 0);
}

static void test_seven_requests_do_not_wait(void **state _unused_) {
    start_init();
    meet_all();
    assert_string_equal(ask(&rig.launchers[0], "orphan"), "done");
    tell(&rig.manager, "hang");
    /* Two that come before davit-init looks are one to it. */
    int sent = 0;
    for (; sent < WAIT_MSEC / 50 && !logged("asked to stop 7 times: not waiting any longer"); sent++) {
        (void)kill(rig.pid, SIGTERM);
        (void)usleep(50000);
    }
    assert_true(sent >= 7);
    int status = wait_end();
    assert_true(WIFEXITED(status));
    assert_true(logged("not waiting any longer"));
}

static bool has_gone(const struct part_seen *p) {
    struct pollfd poll_fd = {.fd = p->fd, .events = POLLIN};
    char byte;
    return poll(&poll_fd, 1, WAIT_MSEC) == 1 && recv(p->fd, &byte, 1, 0) <= 0;
}

/* A successor must not find the parts of the one before it at work. */
static void test_parts_go_when_davit_init_is_killed(void **state _unused_) {
    start_init();
    meet_all();
    (void)kill(rig.pid, SIGKILL);
    assert_true(
        has_gone(&rig.manager)); /* though it would have taken SIGTERM for a request to stop all units */
    assert_true(has_gone(&rig.logd));
    assert_true(has_gone(&rig.launchers[0]));
    assert_true(has_gone(&rig.launchers[1]));
    (void)wait_end();
    start_init();
    meet_all();
    stop_by(SIGTERM, 0);
}

static void test_missing_davitd_is_told_and_tried_again(void **state _unused_) {
    char path[128], hidden[128];
    struct part_seen *p;
    (void)snprintf(path, sizeof path, "%s/davitd", rig.directory);
    (void)snprintf(hidden, sizeof hidden, "%s/hidden", rig.directory);
    assert_int_equal(rename(path, hidden), 0);
    start_init();
    assert_true(comes_to_be_logged("davitd exited", 1));
    assert_true(logged("cannot start"));
    assert_true(logged("No such file or directory"));
    assert_int_equal(rename(hidden, path), 0);
    while (rig.manager.fd < 0)
        assert_true(meet_for(WAIT_MSEC, &p));
}

static void test_stop_without_davitd(void **state _unused_) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/davitd", rig.directory);
    assert_int_equal(unlink(path), 0);
    start_init();
    assert_true(comes_to_be_logged("cannot start", 1));
    (void)kill(rig.pid, SIGTERM);
    int status = wait_end();
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(logged("cannot stop the units"));
}

static char up_heard[5000]; /* last */

static bool up_hears(const char *wanted, int msec) {
    struct pollfd p = {.fd = rig.up, .events = POLLIN};
    char *text = up_heard;
    while (poll(&p, 1, msec) == 1) {
        ssize_t n = recv(rig.up, text, sizeof up_heard - 1, 0);
        text[n] = '\0';
        assert_null(strstr(text, "MAINPID"));
        assert_null(strstr(text, "FDSTORE"));
        if (strstr(text, wanted))
            return true;
    }
    return false;
}

static void test_reports_go_up(void **state _unused_) {
    char path[128];
    struct sockaddr_un address;
    socklen_t length;
    (void)snprintf(path, sizeof path, "%s/up", rig.directory);
    assert_int_equal(socket_address(path, &address, &length), 0);
    rig.up = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(rig.up, (struct sockaddr *)&address, length), 0);
    (void)setenv("NOTIFY_SOCKET", path, 1);
    (void)setenv("WATCHDOG_USEC", "2000000", 1);
    start_init();
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    meet_all();
    assert_string_equal(ask(&rig.manager, "getenv WATCHDOG_USEC"), "2000000");
    tell(&rig.manager, "notify EXTEND_TIMEOUT_USEC=60000000");
    assert_true(up_hears("EXTEND_TIMEOUT_USEC=60000000", WAIT_MSEC));
    assert_true(up_hears("WATCHDOG=1", WAIT_MSEC)); /* davit-init's own, until davitd is ready */
    tell(&rig.manager, "notify MAINPID=1\nREADY=1\nSTATUS=3 of 4 run\nFDSTORE=1");
    assert_true(up_hears("READY=1\nSTATUS=3 of 4 run", WAIT_MSEC));
    while (up_hears("", 0))
        ;
    assert_false(up_hears("WATCHDOG=1", 1300)); /* and no longer */
    /* With it two seconds are all the time there is: more than that is for the rest of this test. */
    tell(&rig.manager, "notify WATCHDOG=1\nEXTEND_TIMEOUT_USEC=60000000");
    assert_true(up_hears("WATCHDOG=1", WAIT_MSEC));
    tell(&rig.manager, "notify RELOADING=1\nMONOTONIC_USEC=123");
    assert_true(up_hears("RELOADING=1\nMONOTONIC_USEC=123", WAIT_MSEC));
    tell(&rig.manager, "notify STOPPING=1\nERRNO=5");
    assert_true(up_hears("STOPPING=1\nERRNO=5", WAIT_MSEC));
    /* Of a longer message before nothing is taken for a line of this one. */
    tell(&rig.manager, "notify STATUS=12345\nSTATUS=stale\nSTATUS=stale");
    assert_true(up_hears("STATUS=stale", WAIT_MSEC));
    tell(&rig.manager, "notify STATUS=54321");
    assert_true(up_hears("STATUS=54321", WAIT_MSEC));
    assert_string_equal(up_heard, "STATUS=54321");
    (void)kill(rig.manager.pid, SIGKILL);
    meet(&rig.manager);
    assert_true(up_hears("WATCHDOG=1", WAIT_MSEC));
}

static void test_as_pid_1(void **state _unused_) {
    struct feed_record records[16];
    if (geteuid() != 0) {
        print_message("a pid namespace needs root\n");
        skip();
    }
    start_init_with(CLONE_NEWPID);
    meet_all();
    assert_string_equal(ask(&rig.launchers[0], "spawn 3"), "done");
    assert_string_equal(ask(&rig.launchers[1], "orphan"), "done");
    assert_int_equal(wait_feed(records, ARRAY_SIZE(records), 4), 4);
    unsigned orphans = 0;
    for (size_t i = 0; i < 4; i++)
        orphans += records[i].status == 77;
    assert_int_equal(orphans, 1);
    (void)kill(rig.pid, SIGRTMIN + 5);
    assert_string_equal(hear(&rig.manager), "TERM");
    tell(&rig.manager, "exit 0");
    int status = wait_end();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 133);
}

static unsigned long number_after(const char *text, const char *word) {
    const char *p = strstr(text, word);
    assert_non_null(p);
    return strtoul(p + strlen(word), NULL, 10);
}

static unsigned long switches(pid_t pid) {
    char path[64], *text;
    (void)snprintf(path, sizeof path, "/proc/%d/status", pid);
    assert_int_equal(file_read(AT_FDCWD, path, 65536, &text, NULL), 0);
    unsigned long sum =
        number_after(text, "\nvoluntary_ctxt_switches:") + number_after(text, "nonvoluntary_ctxt_switches:");
    free(text);
    return sum;
}

static void test_idle_costs_nothing(void **state _unused_) {
    char path[64], *text;
    start_init();
    meet_all();
    tell(&rig.manager, "notify READY=1");
    /* What it needed to start goes back a moment later. */
    unsigned long before = 0;
    for (int i = 0; i < 20 && before != switches(rig.pid); i++) {
        before = switches(rig.pid);
        (void)sleep(2);
    }
    (void)sleep(10);
    assert_int_equal(switches(rig.pid), before);
    (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", rig.pid);
    assert_int_equal(file_read(AT_FDCWD, path, 65536, &text, NULL), 0);
    unsigned long anonymous = number_after(text, "Anonymous:"), pss = number_after(text, "Pss:");
    print_message("davit-init: %lu KiB anonymous, %lu KiB PSS\n", anonymous, pss);
#if !defined(__SANITIZE_ADDRESS__) && !defined(DAVIT_COVERAGE)
    assert_true(anonymous < 100);
#endif
    free(text);
}

/* Heap and anonymous mappings, in KiB: what malloc() would make grow. */
static unsigned long data_size(pid_t pid) {
    char path[64], *text;
    (void)snprintf(path, sizeof path, "/proc/%d/status", pid);
    assert_int_equal(file_read(AT_FDCWD, path, 65536, &text, NULL), 0);
    unsigned long size = number_after(text, "VmData:");
    free(text);
    return size;
}

static void test_nothing_is_allocated_after_the_start(void **state _unused_) {
    struct feed_record records[512];
    start_init();
    meet_all();
    tell(&rig.manager, "notify READY=1");
    assert_string_equal(ask(&rig.manager, "fds"), "4");
    unsigned long before = data_size(rig.pid);
    for (int i = 0; i < 8; i++) {
        char command[32];
        (void)snprintf(command, sizeof command, "store number-%d", i);
        tell(&rig.manager, command);
        assert_string_equal(ask(&rig.launchers[0], "spawn 50"), "done");
        tell(&rig.manager, "exit 64");
        meet(&rig.manager);
    }
    assert_int_equal(wait_feed(records, ARRAY_SIZE(records), 400), 400);
    assert_int_equal(data_size(rig.pid), before);
}

static void test_program_is_small_and_static(void **state _unused_) {
#if defined(__SANITIZE_ADDRESS__) || defined(DAVIT_COVERAGE)
    skip();
#else
    char *data;
    size_t size, loaded = 0;
    assert_int_equal(file_read(AT_FDCWD, rig.program, 1 << 26, &data, &size), 0);
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)(void *)data;
    const Elf64_Phdr *p = (const Elf64_Phdr *)(void *)(data + header->e_phoff);
    for (size_t i = 0; i < header->e_phnum; i++) {
        assert_int_not_equal(p[i].p_type, PT_INTERP);
        if (p[i].p_type == PT_LOAD)
            loaded += p[i].p_filesz;
    }
    print_message("davit-init: %zu bytes are loaded\n", loaded);
    assert_true(loaded < 1024 * 1024);
    free(data);
#endif
}

int main(int argc _unused_, char **argv) {
    be_part_if_called_so(argv);

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_parts_start_and_stop_in_order), T(test_only_one_for_a_directory),
        T(test_directory_of_somebody_else), T(test_feed_tells_of_every_end), T(test_full_feed_loses_nothing),
        T(test_stored_descriptors_outlive_davitd), T(test_strangers_are_not_listened_to),
        T(test_dead_parts_come_back_with_growing_delay), T(test_socket_pairs_keep_what_was_sent),
        T(test_hanging_davitd_is_killed), T(test_launcher_is_killed_on_request),
        T(test_logd_is_killed_on_request), T(test_reexec_is_no_crash), T(test_exit_status_is_davitds),
        T(test_davitd_may_end_by_itself), T(test_signals), T(test_stop_survives_a_crash_of_davitd),
        T(test_seven_requests_do_not_wait), T(test_parts_go_when_davit_init_is_killed),
        T(test_missing_davitd_is_told_and_tried_again), T(test_stop_without_davitd), T(test_reports_go_up),
        T(test_idle_costs_nothing), T(test_nothing_is_allocated_after_the_start),
        T(test_program_is_small_and_static),
        T(test_as_pid_1), /* last: this process can have no other children afterwards */
    };
    return cmocka_run_group_tests_name("davit-init", tests, NULL, NULL);
}
