/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What process 1 does where fork(2) fails: no memory, no pid, the limit of a control group. fork(2) here fails when a
 * test wants it to; all else is the kernel's. */
#include "private-root.h"

#include <dlfcn.h>
#include <poll.h>
#include <signal.h>

#include "base/log.h"
#include "boot/shell.h"
#include "init/run.h"
#include "shutdown/shutdown.h"

static struct {
    unsigned failures; /* so many more */
    pid_t taken;       /* and as long as this pid is taken, even by a zombie */
} no_process;
static pid_t synced_by; /* last */

pid_t fork(void) {
    pid_t (*real)(void) = (pid_t(*)(void))(uintptr_t)dlsym(RTLD_NEXT, "fork");

    if (no_process.failures == 0 && (no_process.taken == 0 || kill(no_process.taken, 0) < 0))
        return real();
    if (no_process.failures > 0)
        no_process.failures--;
    errno = EAGAIN;
    return -1;
}

void sync(void) {
    synced_by = getpid();
}

static char said[4096];

static void keep_words(_unused_ int priority, const char *text, _unused_ char *const *fields) {
    size_t n = strlen(said);

    (void)snprintf(said + n, sizeof said - n, "%s\n", text);
}

static unsigned times_said(const char *text) {
    unsigned n = 0;

    for (const char *p = said; (p = strstr(p, text)); p++)
        n++;
    return n;
}

static struct keeper k;
static char directory[] = "/tmp/davit-test-no-process-XXXXXX";

static int setup(void **state _unused_) {
    no_process = (typeof(no_process)){};
    said[0] = '\0';
    synced_by = 0;
    memset(&k, 0, sizeof k);
    keeper_init(&k, directory, directory);
    boot_init(&k.boot);
    log_set_sink(keep_words);
    return 0;
}

static int teardown(void **state _unused_) {
    log_set_sink(NULL);
    return 0;
}

/* Of a program that is not there. */
static void assert_ends(pid_t pid) {
    int status;

    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 127);
}

/* Asked for since then, and due a second later. */
static void assert_soon(usec_t since, usec_t when) {
    assert_true(when > since && when <= now_monotonic() + USEC_PER_SEC);
}

static void every_part_is_tried_again_until_it_can_be_started(void **state _unused_) {
    no_process.failures = 3 * PART_COUNT;
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < PART_COUNT; i++) {
            usec_t before = now_monotonic();
            keeper_start_part(&k, &k.parts[i]);
            assert_int_equal(k.parts[i].pid, 0);
            assert_soon(before, k.parts[i].start_at);
        }
    assert_int_equal(times_said("cannot fork for"), 1); /* and not once a second for hours */
    for (int i = 0; i < PART_COUNT; i++) {
        keeper_start_part(&k, &k.parts[i]);
        assert_ends(k.parts[i].pid);
    }
    assert_int_equal(times_said("there are processes to be had again"), 1);
}

/* It has never died, so nothing else begins to count: davit.manager_lost= would never come. */
static void a_davitd_that_was_never_started_is_missed_as_well(void **state _unused_) {
    k.boot.machine = true;
    k.boot.options.manager_lost = 60 * USEC_PER_SEC;
    assert_true(lost_deadline(&k) == USEC_INFINITY);
    no_process.failures = 1;
    keeper_start_part(&k, &k.parts[PART_MANAGER]);
    assert_true(lost_deadline(&k) <= usec_add(now_monotonic(), 60 * USEC_PER_SEC));
}

/* Who asked for the end would wait for ever: nobody can stop the units. */
static void an_end_does_not_wait_for_a_davitd_that_cannot_be_started(void **state _unused_) {
    no_process.failures = UINT32_MAX;
    keeper_request_ending(&k, (struct ending){.kind = ENDING_REBOOT}, "test");
    assert_int_equal(k.phase, KEEPER_STOPPING);
    for (int i = 0; i < 5; i++) {
        keeper_start_part(&k, &k.parts[PART_MANAGER]);
        assert_int_equal(k.phase, KEEPER_STOPPING);
    }
    keeper_start_part(&k, &k.parts[PART_MANAGER]);
    assert_int_equal(k.phase, KEEPER_CLOSING);
    assert_int_equal(k.ending.kind, ENDING_REBOOT);
    assert_true(k.parts[PART_MANAGER].start_at == USEC_INFINITY);
}

/* Units would find none of their file systems. */
static void parts_wait_for_a_davit_boot_that_cannot_be_started_yet(void **state _unused_) {
    k.boot.machine = true;
    no_process.failures = 2;
    for (int i = 0; i < 2; i++) {
        usec_t before = now_monotonic();
        keeper_begin_boot(&k);
        assert_int_equal(k.boot.worker, 0);
        assert_soon(before, k.boot.worker_deadline);
        assert_true(k.parts[PART_MANAGER].start_at == USEC_INFINITY);
    }
    keeper_begin_boot(&k);
    assert_ends(k.boot.worker);
    assert_int_equal(times_said("cannot fork for davit-boot"), 1);

    /* An end that was asked for meanwhile is not held up by it. */
    k.boot.worker = 0;
    no_process.failures = 1;
    keeper_begin_boot(&k);
    keeper_request_ending(&k, (struct ending){.kind = ENDING_POWEROFF}, "test");
    usec_t due = k.parts[PART_MANAGER].start_at;
    keeper_begin_boot(&k);
    assert_true(k.boot.worker_deadline == USEC_INFINITY);
    assert_true(k.parts[PART_MANAGER].start_at == due && due <= now_monotonic());
}

static void the_shell_comes_at_the_next_death_of_davitd(void **state _unused_) {
    k.boot.machine = true;
    no_process.failures = 1;
    boot_start_shell(&k.boot, directory);
    assert_int_equal(k.boot.shell, 0);
    assert_int_equal(times_said("cannot fork for a shell"), 1);
    boot_start_shell(&k.boot, directory);
    assert_ends(k.boot.shell);
}

/* ---- the shell itself ---- */

static void shell_steps(void) {
    static const char *const sulogins[] = {"/sbin/sulogin", "/usr/sbin/sulogin"};
    static const char commands[] = "echo $$ $PPID >/run/out; exit 7\n";
    char wanted[32], greeting[4096] = "";
    int status = 0, terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (terminal < 0 || unlockpt(terminal) < 0 ||
        mount(ptsname(terminal), "/dev/console", NULL, MS_BIND, NULL) < 0)
        leave(PRIVATE_SKIP);
    for (size_t i = 0; i < ARRAY_SIZE(sulogins); i++) /* none that would ask for a password */
        CHECK(access(sulogins[i], F_OK) < 0 || mount("/dev/null", sulogins[i], NULL, MS_BIND, NULL) == 0);
    int console = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(console >= 0); /* as long as nobody has it open nothing can be read */

    pid_t pid = fork(); /* davit-boot, a child of process 1 */
    if (pid == 0) {
        no_process.failures = UINT32_MAX;
        leave(shell_run("emergency"));
    }
    /* What is typed before the terminal is the shell's own is thrown away. */
    for (size_t n = 0; !strstr(greeting, "emergency shell");) {
        struct pollfd p = {.fd = terminal, .events = POLLIN};
        CHECK(poll(&p, 1, 60 * 1000) == 1);
        ssize_t got = read(terminal, greeting + n, sizeof greeting - 1 - n);
        CHECK(got > 0);
        n += (size_t)got;
    }
    CHECK(write(terminal, commands, strlen(commands)) > 0);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    (void)snprintf(wanted, sizeof wanted, "%d 1\n", pid);
    CHECK(WEXITSTATUS(status) == 7 && has_text("/run/out", wanted));
}

/* With it somebody can end what is in the way: kill is a part of every shell. */
static void without_a_second_process_the_shell_takes_the_place_of_davit_boot(void **state _unused_) {
    PRIVATELY(shell_steps);
}

static void a_replacement_that_cannot_be_checked_is_told_and_changes_nothing(void **state _unused_) {
    reexec_note_program(NULL);
    no_process.failures = 1;
    keeper_request_reexec(&k);
    assert_int_equal(times_said("davit-init stays as it is"), 1);
    assert_int_equal(k.reexec.checker, 0);
    keeper_reexec(&k);
    assert_true(k.reexec.deadline == USEC_INFINITY);
}

/* ---- the end of the machine ---- */

static pid_t zombie(void) {
    siginfo_t info;
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    assert_true(pid > 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    return pid;
}

static void davit_init_syncs_without_davit_shutdown(void **state _unused_) {
    /* By a child, once those who were killed have made room for it. */
    no_process.taken = zombie();
    keeper_sync(60 * USEC_PER_SEC);
    assert_int_equal(synced_by, 0);
    assert_true(kill(no_process.taken, 0) < 0);
    /* There never is any: by itself. */
    no_process.failures = UINT32_MAX;
    keeper_sync(50 * USEC_PER_MSEC);
    assert_int_equal(synced_by, getpid());
}

static int result_of(void *context, size_t i) {
    const pid_t *here = context;

    return getpid() == *here ? -(int)i : 100 + (int)i;
}

static void what_davit_shutdown_has_to_do_is_done_without_a_child(void **state _unused_) {
    pid_t self = getpid();
    int results[3] = {1, 1, 1};

    /* For a moment: it is waited for. */
    no_process.failures = 5;
    bounded_run(ARRAY_SIZE(results), result_of, &self, 60 * USEC_PER_SEC, results);
    for (int i = 0; i < 3; i++)
        assert_int_equal(results[i], 100 + i);
    no_process.failures = UINT32_MAX;
    bounded_run(ARRAY_SIZE(results), result_of, &self, 60 * USEC_PER_SEC, results);
    for (int i = 0; i < 3; i++)
        assert_int_equal(results[i], -i);
    assert_int_equal(times_said("cannot fork"), 1);

    assert_int_equal(sync_bounded(), 0);
    assert_int_equal(synced_by, self);
}

static void hooks_that_cannot_be_started_are_told_and_not_waited_for(void **state _unused_) {
    _cleanup_free_ char *path = path_join(directory, "hook");

    assert_return_code(file_write_atomic(AT_FDCWD, path, "#!/bin/sh\n", 10, 0755, false), 0);
    no_process.failures = 1;
    assert_int_equal(hooks_run(directory, "halt", 3600 * USEC_PER_SEC), 1);
    assert_int_equal(times_said("cannot fork for"), 1);
}

static int make_directory(void **state _unused_) {
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state _unused_) {
    return remove_tree(AT_FDCWD, directory);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(every_part_is_tried_again_until_it_can_be_started),
        T(a_davitd_that_was_never_started_is_missed_as_well),
        T(an_end_does_not_wait_for_a_davitd_that_cannot_be_started),
        T(parts_wait_for_a_davit_boot_that_cannot_be_started_yet),
        T(the_shell_comes_at_the_next_death_of_davitd),
        T(without_a_second_process_the_shell_takes_the_place_of_davit_boot),
        T(a_replacement_that_cannot_be_checked_is_told_and_changes_nothing),
        T(davit_init_syncs_without_davit_shutdown),
        T(what_davit_shutdown_has_to_do_is_done_without_a_child),
        T(hooks_that_cannot_be_started_are_told_and_not_waited_for),
    };
    return cmocka_run_group_tests_name("without a process", tests, make_directory, remove_directory);
}
