/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/str.h"
#include "init/children.h"
#include "init/notify.h"
#include "init/run.h"
#include "init/signals.h"
#include "init/watchdog.h"

static void test_delays_grow_to_the_limit(void **state _unused_) {
    static const usec_t wanted[] = {0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000};
    unsigned count = 0;

    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        count = part_restart_count(count, 0, false);
        assert_int_equal(part_restart_delay(count, RESTART_DELAY_FIRST), wanted[i] * USEC_PER_MSEC);
    }
    assert_int_equal(part_restart_delay(UINT32_MAX, RESTART_DELAY_FIRST), RESTART_DELAY_MAX);
}

static void test_running_is_forgiving(void **state _unused_) {
    assert_int_equal(part_restart_count(8, 60 * USEC_PER_SEC, false), 1);
    assert_int_equal(part_restart_count(8, 59 * USEC_PER_SEC, false), 1);
    assert_int_equal(part_restart_count(8, 10 * USEC_PER_SEC, false), 7);
    assert_int_equal(part_restart_count(8, 4 * USEC_PER_SEC, false), 9);
    assert_int_equal(part_restart_count(200, 60 * USEC_PER_SEC, false), 1);
}

static void test_kills_from_outside_are_no_fault(void **state _unused_) {
    unsigned count = 0;
    for (int i = 0; i < 200; i++)
        count = part_restart_count(count, 0, true);
    assert_int_equal(part_restart_delay(count, RESTART_DELAY_FIRST), 200 * USEC_PER_MSEC);
    assert_int_equal(part_restart_count(9, 0, true), 9); /* earlier crashes are not forgotten either */
}

static void test_watchdog(void **state _unused_) {
    struct watchdog w;

    watchdog_init(&w, 10);
    assert_int_equal(watchdog_tick(&w, 1000), 0);
    watchdog_start(&w, 1000);
    assert_int_equal(watchdog_tick(&w, 1029), 0); /* three periods to start */
    watchdog_ping(&w, 1029);
    assert_int_equal(watchdog_tick(&w, 1038), 0);
    assert_int_equal(watchdog_tick(&w, 1039), SIGABRT);
    watchdog_ping(&w, 1040); /* too late: it is being taken down */
    assert_int_equal(watchdog_tick(&w, 1041), 0);
    assert_int_equal(watchdog_tick(&w, 1039 + WATCHDOG_KILL_USEC), SIGKILL);
    watchdog_stop(&w);
    assert_int_equal(watchdog_tick(&w, USEC_INFINITY - 1), 0);

    watchdog_start(&w, 0);
    watchdog_extend(&w, 5, 100);
    assert_int_equal(watchdog_tick(&w, 104), 0);
    watchdog_extend(&w, 50, 1); /* never shortens */
    assert_int_equal(watchdog_tick(&w, 104), 0);
    watchdog_trigger(&w, 60);
    assert_int_equal(watchdog_tick(&w, 60), SIGABRT);

    watchdog_init(&w, 0);
    watchdog_start(&w, 1);
    watchdog_ping(&w, 2);
    watchdog_extend(&w, 3, 1);
    assert_int_equal(watchdog_tick(&w, USEC_INFINITY - 1), 0);
}

static void test_signals_have_one_rule_each(void **state _unused_) {
    for (int s = 1; s <= SIGRTMAX; s++) {
        size_t rules = 0;
        for (size_t i = 0; i < n_signal_rules; i++)
            rules +=
                s == (signal_rules[i].realtime ? SIGRTMIN + signal_rules[i].number : signal_rules[i].number);
        assert_true(rules <= 1);
        assert_int_equal(signal_rule_find(s) != NULL, rules);
    }
    assert_null(signal_rule_find(SIGQUIT));
}

static void assert_meaning(int number, enum init_role role, enum signal_action action,
    enum ending_kind ending, const char *manager) {
    const struct signal_rule *rule = signal_rule_find(number);

    assert_non_null(rule);
    assert_int_equal(rule->by_role[role].action, action);
    assert_int_equal(signal_rule_ending(rule, role, manager), ending);
}

static void test_signals_by_role(void **state _unused_) {
    assert_meaning(SIGTERM, ROLE_MACHINE, SIGNAL_REEXEC, ENDING_NONE, "");
    assert_meaning(SIGTERM, ROLE_CONTAINER, SIGNAL_STOP, ENDING_EXIT, "docker");
    assert_meaning(SIGTERM, ROLE_PROCESS, SIGNAL_STOP, ENDING_EXIT, "");
    assert_meaning(SIGINT, ROLE_MACHINE, SIGNAL_STOP, ENDING_REBOOT, "");
    assert_meaning(SIGINT, ROLE_CONTAINER, SIGNAL_STOP, ENDING_EXIT, "podman");
    assert_meaning(SIGINT, ROLE_CONTAINER, SIGNAL_STOP, ENDING_REBOOT, "lxc");
    assert_meaning(SIGINT, ROLE_CONTAINER, SIGNAL_STOP, ENDING_REBOOT, "lxc-libvirt");
    assert_meaning(SIGPWR, ROLE_CONTAINER, SIGNAL_STOP, ENDING_POWEROFF, "lxc");
    assert_meaning(SIGWINCH, ROLE_MACHINE, SIGNAL_FORWARD, ENDING_NONE, "");
    assert_meaning(SIGWINCH, ROLE_CONTAINER, SIGNAL_IGNORE, ENDING_NONE, "docker");
    static const enum ending_kind endings[] = {
        ENDING_HALT, ENDING_POWEROFF, ENDING_REBOOT, ENDING_KEXEC, ENDING_SOFT_REBOOT};
    for (enum init_role role = ROLE_MACHINE; role <= ROLE_PROCESS; role++)
        for (int i = 0; i < (int)ARRAY_SIZE(endings); i++) {
            assert_meaning(SIGRTMIN + 3 + i, role, SIGNAL_STOP, endings[i], "");
            assert_meaning(SIGRTMIN + 13 + i, role, SIGNAL_FORCE, endings[i], "");
        }
    assert_true(manager_takes_reboot("lxc"));
    assert_true(manager_takes_reboot("systemd-nspawn"));
    assert_false(manager_takes_reboot("docker"));
    assert_false(manager_takes_reboot(""));
}

static void test_endings_have_systemds_words(void **state _unused_) {
    static const char *const bad[] = {
        "", "kexec-immediate", "exit-immediate", "soft-reboot-immediate", "Reboot", "reboot ", "none-force"};
    struct ending e;

    for (size_t i = 0; ending_words[i]; i++) {
        assert_int_equal(ending_parse(ending_words[i], &e), 0);
        assert_string_equal(ending_format(e), ending_words[i]);
        assert_int_equal(ending_of_word(i).kind, e.kind);
        assert_int_equal(ending_of_word(i).urgency, e.urgency);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(ending_parse(bad[i], &e), -EINVAL);
    assert_int_equal(ending_reboot(ENDING_EXIT, NULL), -EINVAL);
    assert_int_equal(ending_reboot(ENDING_SOFT_REBOOT, NULL), -EINVAL);
}

static void test_each_role_has_the_parts_signals(void **state _unused_) {
    /* What davitd waits for at least is passed on in every role. */
    static const int passed[] = {SIGHUP, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
        for (enum init_role role = ROLE_MACHINE; role <= ROLE_PROCESS; role++)
            assert_meaning(passed[i], role, SIGNAL_FORWARD, ENDING_NONE, "");
}

static struct store store;

static void test_store_keeps_order_and_limits(void **state _unused_) {
    char name[40];

    assert_int_equal(store_add(&store, dup(0), "a"), 0);
    assert_int_equal(store_add(&store, dup(0), "b"), 0);
    assert_int_equal(store_add(&store, dup(0), "a"), 0);
    assert_int_equal(store_add(&store, dup(0), "c"), 0);
    int gone = store.entries[2].fd;
    assert_int_equal(store_remove(&store, "a"), 2);
    assert_int_equal(fcntl(gone, F_GETFD), -1);
    assert_int_equal(store.count, 2);
    assert_string_equal(store.entries[0].name, "b");
    assert_string_equal(store.entries[1].name, "c");
    assert_int_equal(store_remove(&store, "nobody"), 0);

    memset(name, 'x', sizeof name);
    const char *const bad[] = {"", "a:b", "a b", "\x7f", "\xc3\xa4", name};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(store_add(&store, dup(0), bad[i]), -EINVAL);
    assert_int_equal(store.count, 2);
    (void)store_remove(&store, "b");
    (void)store_remove(&store, "c");
    assert_int_equal(store.name_bytes, 0);

    /* -1 stands for a descriptor: the table is what is filled. Long names run out of room before it does. */
    memset(name, 'x', KEEPER_NAME_MAX - 1);
    name[KEEPER_NAME_MAX - 1] = '\0';
    int r = 0;
    for (size_t i = 0; i < KEEPER_MAX_FDS && r == 0; i++)
        r = store_add(&store, -1, name);
    assert_int_equal(r, -ENOSPC);
    assert_true(store.name_bytes <= STORE_NAMES_MAX);
    (void)store_remove(&store, name);
    for (size_t i = 0; i < KEEPER_MAX_FDS; i++)
        assert_int_equal(store_add(&store, -1, "pidfd-123456789012"), 0);
    assert_int_equal(store_add(&store, -1, "x"), -ENOSPC);
    assert_int_equal(store_remove(&store, "pidfd-123456789012"), KEEPER_MAX_FDS);
}

static void test_lines_of_a_notify_message(void **state _unused_) {
    char text[] = "\nREADY=1\n\n\nSTATUS=a b\nLAST=x";
    char *rest = text;
    assert_string_equal(notify_next_line(&rest), "READY=1");
    assert_string_equal(notify_next_line(&rest), "STATUS=a b");
    assert_string_equal(notify_next_line(&rest), "LAST=x");
    assert_null(notify_next_line(&rest));
}

static void test_targets_that_cannot_be(void **state _unused_) {
    struct notify_target t;
    char long_path[200];
    memset(long_path, '/', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(notify_target_open(&t, NULL), 0);
    assert_int_equal(t.fd, -1);
    assert_int_equal(notify_target_send(&t, "READY=1"), 0);
    assert_int_equal(notify_target_open(&t, "relative"), -EINVAL);
    assert_int_equal(notify_target_open(&t, "@"), -EINVAL);
    assert_int_equal(notify_target_open(&t, long_path), -ENAMETOOLONG);
    assert_int_equal(notify_target_open(&t, "/nowhere/socket"), 0);
    assert_int_equal(notify_target_send(&t, "READY=1"), -ENOENT);
    assert_int_equal(t.dropped, 1);
    (void)close(t.fd);
}

static void test_feed_says_when_it_is_full(void **state _unused_) {
    struct feed f = {};
    struct feed_record record;
    siginfo_t info = {};
    uint64_t n = 0;
    int r;

    info.si_pid = 42;
    info.si_code = CLD_EXITED;
    info.si_status = 7;
    assert_int_equal(feed_open(&f), 0);
    while ((r = feed_append(&f, &info)) == 0)
        n++;
    assert_int_equal(r, -EAGAIN);
    assert_int_equal(f.sequence, n);
    assert_true(n >= 2048);
    for (uint64_t i = 1; i <= n; i++) {
        assert_int_equal(read(f.read_fd, &record, sizeof record), sizeof record);
        assert_int_equal(record.sequence, i);
        assert_int_equal(record.pid, 42);
        assert_int_equal(record.status, 7);
    }
    assert_int_equal(feed_append(&f, &info), 0);
    (void)close(f.read_fd);
    (void)close(f.write_fd);
}

static pid_t dead_child(int status) {
    siginfo_t info;
    pid_t pid = fork();

    if (pid == 0)
        _exit(status);
    assert_true(pid > 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    return pid;
}

/* davitd reads the feed, and is not started before davit-boot has ended: behind a zombie that the feed has no
 * room for, that end would never be seen. */
static void test_end_of_davit_boot_is_seen_when_the_feed_is_full(void **state _unused_) {
    static struct keeper k;
    siginfo_t info = {.si_code = CLD_EXITED};

    keeper_init(&k, "/nowhere", "/nowhere");
    boot_init(&k.boot);
    k.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    assert_int_equal(feed_open(&k.feed), 0);
    while (feed_append(&k.feed, &info) == 0)
        ;
    pid_t orphan = dead_child(7);
    k.boot.worker = dead_child(0);
    k.parts[PART_MANAGER].start_at = USEC_INFINITY;
    keeper_reap(&k);
    assert_int_equal(k.boot.worker, 0);
    assert_true(k.parts[PART_MANAGER].start_at <= now_monotonic());
    assert_true(k.feed_full);
    assert_int_equal(kill(orphan, 0), 0); /* its end is the kernel's to keep */

    while (read(k.feed.read_fd, &info, sizeof info) > 0)
        ;
    keeper_feed_writable(&k);
    assert_true(kill(orphan, 0) < 0);
    struct feed_record record;
    assert_int_equal(read(k.feed.read_fd, &record, sizeof record), sizeof record);
    assert_int_equal(record.pid, orphan);
    assert_int_equal(record.status, 7);
    (void)close(k.feed.read_fd);
    (void)close(k.feed.write_fd);
    (void)close(k.epoll_fd);
}

static void test_machine_without_a_davitd_for_too_long_reboots(void **state _unused_) {
    static struct keeper k;

    keeper_init(&k, "/nowhere", "/nowhere");
    boot_init(&k.boot);
    k.boot.options.manager_lost = 60 * USEC_PER_SEC;
    lost_begin(&k);
    assert_true(lost_deadline(&k) == USEC_INFINITY); /* no machine of ours */
    k.boot.machine = true;
    usec_t due = lost_deadline(&k);
    assert_true(due <= usec_add(now_monotonic(), 60 * USEC_PER_SEC));
    lost_begin(&k); /* its next death is not a new beginning */
    assert_true(lost_deadline(&k) == due);
    lost_end(&k);
    assert_true(lost_deadline(&k) == USEC_INFINITY);
    lost_begin(&k);
    lost_overdue(&k);
    assert_string_equal(ending_format(k.ending), "reboot-force");
    assert_int_equal(k.phase, KEEPER_CLOSING);
    assert_true(lost_deadline(&k) == USEC_INFINITY);
}

/* A part in uninterruptible sleep outlives SIGKILL: the end does not wait for it. */
static void test_part_that_cannot_be_killed_is_left_behind(void **state _unused_) {
    static struct keeper k;
    sigset_t term;
    int status;

    keeper_init(&k, "/nowhere", "/nowhere");
    boot_init(&k.boot);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &term, NULL);
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            (void)pause();
    (void)sigprocmask(SIG_UNBLOCK, &term, NULL);
    k.parts[PART_LOGD].pid = pid;
    keeper_close(&k);
    assert_false(keeper_closed(&k));
    keeper_close_overdue(&k);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_false(keeper_closed(&k)); /* nobody has told of its end, as if it were still there */
    keeper_close_overdue(&k);
    assert_true(keeper_closed(&k));
    assert_true(k.close_deadline == USEC_INFINITY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delays_grow_to_the_limit),
        cmocka_unit_test(test_running_is_forgiving),
        cmocka_unit_test(test_kills_from_outside_are_no_fault),
        cmocka_unit_test(test_watchdog),
        cmocka_unit_test(test_signals_have_one_rule_each),
        cmocka_unit_test(test_signals_by_role),
        cmocka_unit_test(test_endings_have_systemds_words),
        cmocka_unit_test(test_each_role_has_the_parts_signals),
        cmocka_unit_test(test_store_keeps_order_and_limits),
        cmocka_unit_test(test_lines_of_a_notify_message),
        cmocka_unit_test(test_targets_that_cannot_be),
        cmocka_unit_test(test_feed_says_when_it_is_full),
        cmocka_unit_test(test_end_of_davit_boot_is_seen_when_the_feed_is_full),
        cmocka_unit_test(test_machine_without_a_davitd_for_too_long_reboots),
        cmocka_unit_test(test_part_that_cannot_be_killed_is_left_behind),
    };
    return cmocka_run_group_tests_name("init", tests, NULL, NULL);
}
