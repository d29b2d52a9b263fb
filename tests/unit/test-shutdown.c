/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* davit-shutdown's own rules, and what may hang in a child of it. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/str.h"
#include "clock-of-test.h"
#include "shutdown/mounts.h"
#include "shutdown/shutdown.h"
#include "terminal-of-test.h"

static void test_mounts_come_last_first(void **state _unused_) {
    char text[] = "22 1 259:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
                  "23 22 0:21 / /proc rw,nosuid - proc proc rw\n"
                  "24 22 0:5 / /dev rw master:2 propagate_from:3 - devtmpfs devtmpfs rw\n"
                  "25 24 0:22 / /dev/pts rw - devpts devpts rw\n"
                  "26 22 0:23 / /run rw - tmpfs tmpfs rw\n"
                  "40 22 8:1 / /data rw shared:9 - ext4 /dev/sda1 rw\n"
                  "41 40 8:2 / /data/a\\040b\\134c ro - ext4 /dev/sda2 ro,noatime\n"
                  "42 22 0:44 / /net rw - nfs4 server:/x rw,hard\n"
                  "43 26 0:45 / /run/initramfs/x rw - tmpfs tmpfs rw\n"
                  "44 26 0:46 / /run/data rw - fuse.sshfs x rw\n";
    static const struct {
        const char *path;
        bool keep, network, read_only;
    } wanted[] = {
        {"/run/data", false, true, false},
        {"/run/initramfs/x", true, false, false},
        {"/net", false, true, false},
        {"/data/a b\\c", false, false, true},
        {"/data", false, false, false},
        {"/run", true, false, false},
        {"/dev/pts", true, false, false},
        {"/dev", true, false, false},
        {"/proc", true, false, false},
        {"/", true, false, false},
    };
    _cleanup_(mount_list_done) struct mount_list l = {};

    assert_int_equal(mount_list_parse(text, &l), 0);
    assert_int_equal(l.n, ARRAY_SIZE(wanted));
    for (size_t i = 0; i < l.n; i++) {
        assert_string_equal(l.points[i].path, wanted[i].path);
        assert_int_equal(l.points[i].keep, wanted[i].keep);
        assert_int_equal(l.points[i].network, wanted[i].network);
        assert_int_equal(l.points[i].read_only, wanted[i].read_only);
    }
    assert_int_equal(l.points[4].major, 8);
    assert_int_equal(l.points[4].minor, 1);
}

static void test_mountinfo_that_makes_no_sense(void **state _unused_) {
    char text[] = "\n\nx\n1 2 3\n1 2 a:b / /x rw - ext4 d rw\n1 2 3:4 / /x rw ext4 d rw\n1 2 3:4 / /x rw -\n"
                  "1 2 3:4 / /dataset rw - ext4 d rw\n1 2 3:4 / /devices rw - ext4 d rw";
    _cleanup_(mount_list_done) struct mount_list l = {};

    assert_int_equal(mount_list_parse(text, &l), 0);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.points[0].path, "/devices"); /* not below /dev */
    assert_false(l.points[0].keep);

    char nothing[] = "";
    _cleanup_(mount_list_done) struct mount_list none = {};
    assert_int_equal(mount_list_parse(nothing, &none), 0);
    assert_int_equal(none.n, 0);
}

static void test_five_thousand_mounts(void **state _unused_) {
    struct strbuf b = {};
    _cleanup_(mount_list_done) struct mount_list l = {};

    for (unsigned i = 0; i < 5000; i++)
        strbuf_printf(&b, "%u 1 0:%u / /m/%u rw - tmpfs t rw\n", i + 2, i, i);
    _cleanup_free_ char *text = strbuf_take(&b);
    assert_int_equal(mount_list_parse(text, &l), 0);
    assert_int_equal(l.n, 5000);
    assert_string_equal(l.points[0].path, "/m/4999");
    assert_string_equal(l.points[4999].path, "/m/0");
}

static void test_who_is_spared(void **state _unused_) {
    static const struct {
        struct process_facts facts;
        bool exempt;
    } table[] = {
        {{.pid = 1}, true}, /* ourselves */
        {{.pid = 2, .kernel_thread = true}, true},
        {{.pid = 300, .marked = true, .uid = 0}, true},     /* holds the root file system */
        {{.pid = 300, .marked = true, .uid = 1000}, false}, /* says so, and nobody believes it */
        {{.pid = 300, .marked = true, .uid = (uid_t)-1}, false},
        {{.pid = 300}, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        assert_int_equal(kill_is_exempt(&table[i].facts, 1), table[i].exempt);
}

static void test_dirty_pages(void **state _unused_) {
    assert_int_equal(
        sync_dirty_of("MemTotal:  100 kB\nDirty:   42 kB\nWriteback:      8 kB\nWritebackTmp: 99 kB\n"), 50);
    assert_int_equal(sync_dirty_of("Dirty: x\n"), 0);
    assert_int_equal(sync_dirty_of(""), 0);
}

/* What item i does is what the table says. */
enum { ITEM_FINE, ITEM_FAILS, ITEM_HANGS, ITEM_DIES };

static _Atomic usec_t *hung; /* shared with the children: it passes only while one of them hangs */

static usec_t time_hung(void) {
    return *hung;
}

static int do_item(void *context, size_t i) {
    const int *items = context;

    switch (items[i]) {
    case ITEM_FAILS:
        return -EBUSY;
    case ITEM_HANGS:
        for (;; (void)usleep(1000))
            *hung += USEC_PER_SEC;
    case ITEM_DIES:
        (void)raise(SIGKILL);
        return 0;
    default:
        return 0;
    }
}

static void test_what_hangs_is_left_behind(void **state _unused_) {
    int items[] = {ITEM_FINE, ITEM_HANGS, ITEM_FAILS, ITEM_DIES, ITEM_HANGS, ITEM_FINE};
    static const int wanted[] = {0, -ETIMEDOUT, -EBUSY, -ECHILD, -ETIMEDOUT, 0};
    int results[ARRAY_SIZE(items)];

    hung = mmap(NULL, sizeof *hung, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(hung, MAP_FAILED);
    clock_of_test = (typeof(clock_of_test)){CLOCK_MONOTONIC, time_hung};
    bounded_run(ARRAY_SIZE(items), do_item, items, 2 * USEC_PER_SEC, results);
    for (size_t i = 0; i < ARRAY_SIZE(items); i++)
        assert_int_equal(results[i], wanted[i]);
    assert_true(*hung >= 4 * USEC_PER_SEC); /* two have had their time */
    assert_int_equal(bounded_call(do_item, &items[2], USEC_PER_SEC), -EBUSY);
    bounded_run(0, do_item, items, USEC_PER_SEC, results);
    clock_of_test.read = NULL;
    (void)munmap(hung, sizeof *hung);
}

static void write_hook(const char *directory, const char *name, const char *text, mode_t mode) {
    _cleanup_free_ char *path = strf("%s/%s", directory, name);
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static const char *awaited; /* a file: with something in it an hour passes at each look at the clock */

static usec_t time_of_awaited(void) {
    static usec_t now;
    struct stat st;

    if (stat(awaited, &st) == 0 && st.st_size > 0)
        now += 3600 * USEC_PER_SEC;
    return now;
}

static void test_hooks_run_at_once_and_not_for_ever(void **state _unused_) {
    char directory[] = "/tmp/davit-test-hooks-XXXXXX", text[64] = "";
    assert_non_null(mkdtemp(directory));
    _cleanup_free_ char *out = strf("%s/a.out", directory), *a = strf("#!/bin/sh\necho $1 > %s\n", out);
    write_hook(directory, "a", a, 0755);
    write_hook(directory, "hangs", "#!/bin/sh\nsleep 1000\n", 0755);
    write_hook(directory, "fails", "#!/bin/sh\nexit 3\n", 0755);
    write_hook(directory, "no-program", a, 0644);

    awaited = out;
    clock_of_test = (typeof(clock_of_test)){CLOCK_MONOTONIC, time_of_awaited};
    (void)alarm(120);
    assert_int_equal(hooks_run(directory, "kexec", 3 * USEC_PER_SEC), 3);
    (void)alarm(0);
    clock_of_test.read = NULL;
    FILE *f = fopen(out, "re");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    (void)fclose(f);
    assert_string_equal(text, "kexec\n");
    assert_int_equal(hooks_run("/nowhere/at/all", "halt", USEC_PER_SEC), 0);

    static const char *const names[] = {"a", "hangs", "fails", "no-program", "a.out"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        _cleanup_free_ char *path = strf("%s/%s", directory, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(directory), 0);
}

/* With all signals blocked, as davit-shutdown has them, a time-out in a hook would never come; and a hook must not
 * have the hardware watchdog in its hands. */
static void test_hooks_are_programs_like_all_others(void **state _unused_) {
    static const char script[] =
        "#!/bin/sh\ncd ${0%/*} && grep SigBlk /proc/self/status >mask && ls /proc/self/fd >fds\n";
    char directory[] = "/tmp/davit-test-hooks-XXXXXX";
    _cleanup_free_ char *mask = NULL, *fds = NULL;
    sigset_t all, before;

    assert_non_null(mkdtemp(directory));
    write_hook(directory, "hook", script, 0755);
    sigfillset(&all);
    assert_int_equal(sigprocmask(SIG_SETMASK, &all, &before), 0);
    int watchdog = fcntl(STDIN_FILENO, F_DUPFD, 77);
    assert_int_equal(hooks_run(directory, "halt", 60 * USEC_PER_SEC), 1);
    (void)close(watchdog);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_return_code(file_read(fd, "mask", 4096, &mask, NULL), 0);
    assert_string_equal(mask, "SigBlk:\t0000000000000000\n");
    assert_return_code(file_read(fd, "fds", 4096, &fds, NULL), 0);
    assert_null(strstr(fds, "77"));
    assert_int_equal(remove_tree(AT_FDCWD, directory), 0);
}

/* The console of davit-shutdown never waits; theirs does, or what they write to it would get lost. */
static void test_hooks_write_to_a_console_that_waits(void **state _unused_) {
    static const char script[] = "#!/bin/sh\ncd ${0%/*} && grep flags /proc/self/fdinfo/2 >flags\n";
    char directory[] = "/tmp/davit-test-hooks-XXXXXX";
    _cleanup_free_ char *flags = NULL;
    _cleanup_close_ int master = open_terminal_master(0), slave = open_terminal_slave(master, O_NONBLOCK);

    assert_non_null(mkdtemp(directory));
    write_hook(directory, "hook", script, 0755);
    int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3), err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    (void)dup2(slave, STDERR_FILENO);
    size_t ran = hooks_run(directory, "halt", 60 * USEC_PER_SEC);
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(err, STDERR_FILENO);
    (void)close(out);
    (void)close(err);

    assert_int_equal(ran, 1);
    _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_return_code(file_read(fd, "flags", 4096, &flags, NULL), 0);
    assert_int_equal(strtoul(flags + strlen("flags:"), NULL, 8) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(slave, F_GETFL) & O_NONBLOCK, O_NONBLOCK); /* ours is as it was */
    assert_int_equal(remove_tree(AT_FDCWD, directory), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mounts_come_last_first),
        cmocka_unit_test(test_mountinfo_that_makes_no_sense),
        cmocka_unit_test(test_five_thousand_mounts),
        cmocka_unit_test(test_who_is_spared),
        cmocka_unit_test(test_dirty_pages),
        cmocka_unit_test(test_what_hangs_is_left_behind),
        cmocka_unit_test(test_hooks_run_at_once_and_not_for_ever),
        cmocka_unit_test(test_hooks_are_programs_like_all_others),
        cmocka_unit_test(test_hooks_write_to_a_console_that_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
