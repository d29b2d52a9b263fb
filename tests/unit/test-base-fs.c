/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>

#include <cmocka.h>

#include "terminal-of-test.h"

static int scratch = -1; /* an empty directory of its own for each test */
static char scratch_path[] = "/tmp/davit-test-fs-XXXXXX";

static int make_scratch(void **state) {
    (void)state;
    strcpy(scratch_path + strlen(scratch_path) - 6, "XXXXXX");
    if (!mkdtemp(scratch_path))
        return -1;
    scratch = open(scratch_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return scratch < 0 ? -1 : 0;
}

static int remove_scratch(void **state) {
    (void)state;
    close_and_reset(&scratch);
    return remove_tree(AT_FDCWD, scratch_path);
}

static void put(const char *name, const void *data, size_t n) {
    int fd = openat(scratch, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, data, n), 0);
    close(fd);
}

static size_t count_entries(void) {
    int fd = openat(scratch, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fdopendir(fd);
    size_t n = 0;
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

/* ---- reading ---- */

static void reads_a_file_whole(void **state) {
    (void)state;
    _cleanup_free_ char *data = NULL, *empty = NULL;
    size_t n = 0;

    put("f", "a\0b\n", 4);
    assert_int_equal(file_read(scratch, "f", 100, &data, &n), 0);
    assert_int_equal(n, 4);
    assert_memory_equal(data, "a\0b\n", 5);
    put("empty", "", 0);
    assert_int_equal(file_read(scratch, "empty", 0, &empty, NULL), 0);
    assert_string_equal(empty, "");
}

static void reads_at_most_max(void **state) {
    (void)state;
    char data[10000];
    memset(data, 'x', sizeof(data));
    put("f", data, sizeof(data));
    char *text = NULL;
    size_t n = 42;

    assert_int_equal(file_read(scratch, "f", sizeof(data) - 1, &text, &n), -EFBIG);
    assert_int_equal(file_read(scratch, "f", 0, &text, &n), -EFBIG);
    assert_null(text);
    assert_int_equal(n, 42);
    assert_int_equal(file_read(scratch, "f", sizeof(data), &text, &n), 0);
    assert_int_equal(n, sizeof(data));
    free(text);
    assert_int_equal(file_read(scratch, "f", SIZE_MAX, &text, &n), 0);
    free(text);
}

/* They say that their size is 0. */
static void reads_files_in_proc(void **state) {
    (void)state;
    _cleanup_free_ char *status = NULL, *mounts = NULL;

    assert_int_equal(file_read(AT_FDCWD, "/proc/self/status", 1 << 20, &status, NULL), 0);
    assert_non_null(strstr(status, "Pid:"));
    assert_int_equal(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 24, &mounts, NULL), 0);
    assert_true(strlen(mounts) > 0);
}

static void reads_a_pipe_to_its_end(void **state) {
    (void)state;
    int fds[2];
    _cleanup_free_ char *data = NULL;
    size_t n;
    char chunk[5000];
    memset(chunk, 'y', sizeof(chunk));

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(write_all(fds[1], chunk, sizeof(chunk)), 0);
    assert_int_equal(write_all(fds[1], chunk, sizeof(chunk)), 0);
    close(fds[1]);
    assert_int_equal(fd_read_all(fds[0], 1 << 20, &data, &n), 0);
    assert_int_equal(n, 2 * sizeof(chunk));
    close(fds[0]);
}

/* A FIFO in the place of a file would stop the caller for ever. */
static void reads_nothing_but_regular_files(void **state) {
    (void)state;
    char *data = NULL;

    assert_int_equal(mkfifoat(scratch, "fifo", 0600), 0);
    assert_int_equal(mkdirat(scratch, "dir", 0700), 0);
    assert_int_equal(file_read(scratch, "fifo", 100, &data, NULL), -EINVAL);
    assert_int_equal(file_read(scratch, "dir", 100, &data, NULL), -EISDIR);
    assert_int_equal(file_read(scratch, "none", 100, &data, NULL), -ENOENT);
    assert_int_equal(file_read_line(scratch, "fifo", &data), -EINVAL);
    assert_null(data);
}

static void reads_the_first_line(void **state) {
    (void)state;
    _cleanup_free_ char *long_line = malloc(70000), *a = NULL, *b = NULL, *c = NULL, *d = NULL;
    memset(long_line, 'z', 70000);

    put("two", "first\nsecond\n", 13);
    put("open", "only", 4);
    put("empty", "", 0);
    assert_int_equal(file_read_line(scratch, "two", &a), 0);
    assert_string_equal(a, "first");
    assert_int_equal(file_read_line(scratch, "open", &b), 0);
    assert_string_equal(b, "only");
    assert_int_equal(file_read_line(scratch, "empty", &c), 0);
    assert_string_equal(c, "");

    put("long", long_line, 60000);
    assert_int_equal(file_read_line(scratch, "long", &d), 0);
    assert_int_equal(strlen(d), 60000);
    put("longer", long_line, 70000);
    char *untouched = NULL;
    assert_int_equal(file_read_line(scratch, "longer", &untouched), -EFBIG);
    assert_null(untouched);
}

/* ---- writing ---- */

static void file_write_never_creates(void **state) {
    (void)state;
    _cleanup_free_ char *line = NULL;

    assert_int_equal(file_write(scratch, "none", "x"), -ENOENT);
    put("f", "old text", 8);
    assert_int_equal(file_write(scratch, "f", "new"), 0);
    assert_int_equal(file_read_line(scratch, "f", &line), 0);
    assert_string_equal(line, "new text");
}

static void atomic_write_replaces(void **state) {
    (void)state;
    _cleanup_free_ char *line = NULL;
    struct stat st;
    mode_t old_umask = umask(077);

    assert_int_equal(mkdirat(scratch, "sub", 0755), 0);
    assert_int_equal(file_write_atomic(scratch, "sub/f", "one", 3, 0644, false), 0);
    assert_int_equal(file_write_atomic(scratch, "sub/f", "two", 3, 0664, true), 0);
    umask(old_umask);
    assert_int_equal(file_read_line(scratch, "sub/f", &line), 0);
    assert_string_equal(line, "two");
    assert_int_equal(fstatat(scratch, "sub/f", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0664);
    assert_int_equal(file_write_atomic(scratch, "empty", NULL, 0, 0600, false), 0);
    assert_int_equal(count_entries(), 2);
}

static void atomic_write_does_not_follow_a_link(void **state) {
    (void)state;
    _cleanup_free_ char *line = NULL;

    put("target", "safe", 4);
    assert_int_equal(symlinkat("target", scratch, "link"), 0);
    assert_int_equal(file_write_atomic(scratch, "link", "new", 3, 0600, false), 0);
    assert_int_equal(file_read_line(scratch, "target", &line), 0);
    assert_string_equal(line, "safe");
}

static void atomic_write_takes_the_longest_name(void **state) {
    (void)state;
    char name[NAME_MAX + 2];
    memset(name, 'n', sizeof(name));

    name[NAME_MAX] = '\0';
    assert_int_equal(file_write_atomic(scratch, name, "x", 1, 0600, false), 0);
    assert_int_equal(faccessat(scratch, name, F_OK, 0), 0);
    name[NAME_MAX] = 'n';
    name[NAME_MAX + 1] = '\0';
    assert_int_equal(file_write_atomic(scratch, name, "x", 1, 0600, false), -ENAMETOOLONG);
    assert_int_equal(count_entries(), 1);
}

static void failed_atomic_write_leaves_nothing(void **state) {
    (void)state;
    _cleanup_free_ char *line = NULL;
    char data[8192] = "";
    struct rlimit old, small = {.rlim_cur = 4096};

    /* The rename fails. */
    assert_int_equal(mkdirat(scratch, "dir", 0700), 0);
    assert_int_equal(file_write_atomic(scratch, "dir", "x", 1, 0600, false), -EISDIR);
    assert_int_equal(count_entries(), 1);

    /* Half of the data fits, as on a full disk. */
    put("f", "old", 3);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int r = file_write_atomic(scratch, "f", data, sizeof(data), 0600, false);
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, handler);
    assert_int_equal(r, -EFBIG);
    assert_int_equal(file_read_line(scratch, "f", &line), 0);
    assert_string_equal(line, "old");
    assert_int_equal(count_entries(), 2);

    assert_int_equal(file_write_atomic(scratch, "none/f", "x", 1, 0600, false), -ENOENT);
    assert_int_equal(file_write_atomic(scratch, "", "x", 1, 0600, false), -EINVAL);
    assert_int_equal(file_write_atomic(scratch, "dir/..", "x", 1, 0600, false), -EINVAL);
}

static void makes_parents(void **state) {
    (void)state;
    struct stat st;
    mode_t old_umask = umask(0);
    _cleanup_free_ char *absolute = path_join(scratch_path, "p//q/");

    assert_int_equal(mkdir_parents(scratch, "a/b/c", 0750), 0);
    assert_int_equal(mkdir_parents(scratch, "a/b/c", 0700), 0);
    assert_int_equal(mkdir_parents(AT_FDCWD, absolute, 0700), 0);
    assert_int_equal(mkdir_parents(AT_FDCWD, "/", 0700), 0);
    umask(old_umask);
    assert_int_equal(fstatat(scratch, "a/b", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
    assert_int_equal(fstatat(scratch, "p/q", &st, 0), 0);

    put("file", "", 0);
    assert_int_equal(mkdir_parents(scratch, "file", 0700), -ENOTDIR);
    assert_int_equal(mkdir_parents(scratch, "file/x", 0700), -ENOTDIR);
    assert_int_equal(symlinkat("a", scratch, "link"), 0);
    assert_int_equal(mkdir_parents(scratch, "link/d", 0700), 0);
    assert_int_equal(symlinkat("nowhere", scratch, "dangling"), 0);
    assert_true(mkdir_parents(scratch, "dangling/d", 0700) < 0);
    assert_int_equal(mkdir_parents(scratch, "", 0700), -ENOENT);
}

static void an_owned_directory_is_made_of_nobody_elses(void **state) {
    (void)state;
    struct stat st;

    assert_int_equal(mkdirat(scratch, "data.new", 0700), 0);
    assert_int_equal(mkdir_owned(scratch, "data", 0755, getuid(), getgid()), 0);
    assert_int_equal(fstatat(scratch, "data.new", &st, 0), 0);
    assert_int_equal(fstatat(scratch, "data", &st, 0), 0);
    assert_int_equal(count_entries(), 2);
}

#define ROUNDS 300

static void two_that_make_an_owned_directory_at_once_both_find_it(void **state) {
    (void)state;
    int status, failed = 0;

    pid_t other = fork();
    assert_true(other >= 0);
    for (int i = 0; i < ROUNDS; i++) {
        char path[32];
        (void)snprintf(path, sizeof(path), "%d", i);
        failed += mkdir_owned(scratch, path, 0755, getuid(), getgid()) < 0;
    }
    if (other == 0)
        _exit(failed > 0);
    assert_int_equal(waitpid(other, &status, 0), other);
    assert_int_equal(status, 0);
    assert_int_equal(failed, 0);
    assert_int_equal(count_entries(), ROUNDS);
}

/* ---- paths as text ---- */

static void simplified_paths(void **state) {
    (void)state;
    static const char *const cases[][2] = {{"/a//b/./c/", "/a/b/c"}, {"/", "/"}, {"//", "/"}, {"/.", "/"},
        {"/./", "/"}, {"", ""}, {".", "."}, {"./", "."}, {"./a", "a"}, {"a/.", "a"}, {"a", "a"},
        {"a/../b", "a/../b"}, {"/..", "/.."}, {"/.a/..b", "/.a/..b"}, {"///a", "/a"}, {"a//", "a"}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *path = strdup(cases[i][0]);
        assert_string_equal(path_simplify(path), cases[i][1]);
    }
}

static void normalized_paths(void **state) {
    (void)state;
    char path[PATH_MAX + 1];

    assert_true(path_is_normalized("/"));
    assert_true(path_is_normalized("/a/..b/c.."));
    assert_true(path_is_normalized("/a/..."));
    assert_false(path_is_normalized(""));
    assert_false(path_is_normalized("a/b"));
    assert_false(path_is_normalized("/.."));
    assert_false(path_is_normalized("/a/../b"));
    assert_false(path_is_normalized("/a/.."));

    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[PATH_MAX] = '\0';
    assert_false(path_is_normalized(path));
    path[PATH_MAX - 1] = '\0';
    assert_true(path_is_normalized(path));
}

static void joined_paths(void **state) {
    (void)state;
    static const char *const cases[][3] = {{"/a", "b", "/a/b"}, {"/a/", "/b", "/a/b"}, {"/", "b", "/b"},
        {"//", "//b", "/b"}, {"", "b", "b"}, {"a", "", "a"}, {"a//", "b/", "a/b/"}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *path = path_join(cases[i][0], cases[i][1]);
        assert_string_equal(path, cases[i][2]);
    }
    assert_string_equal(path_basename("/a/b"), "b");
    assert_string_equal(path_basename("b"), "b");
    assert_string_equal(path_basename("/"), "");
    assert_true(path_is_absolute("/"));
    assert_false(path_is_absolute(""));
}

/* ---- a terminal that does not take everything ---- */

#define MUCH (1 << 20) /* more than a terminal keeps */

struct terminal {
    int master, slave; /* slave: O_NONBLOCK */
};

static struct terminal open_terminal(void) {
    struct terminal t = {.master = open_terminal_master(0)};
    struct termios raw;

    t.slave = open_terminal_slave(t.master, O_NONBLOCK);
    assert_int_equal(tcgetattr(t.slave, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(t.slave, TCSANOW, &raw), 0);
    return t;
}

/* A process that writes MUCH and so holds the terminal; returns when it waits for a reader. */
static pid_t hold(const struct terminal *t) {
    static char much[MUCH];
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open(ptsname(t->master), O_WRONLY | O_NOCTTY);
        memset(much, '.', sizeof much);
        _exit(write_all(fd, much, sizeof much) == 0 ? 0 : 1);
    }
    while (write(t->slave, "", 0) == 0 || errno != EAGAIN)
        (void)poll(NULL, 0, 1);
    return pid;
}

/* A process that reads so many bytes, and says with its status whether the text was the last of them. */
static pid_t read_until(const struct terminal *t, size_t n, const char *text) {
    size_t length = strlen(text);
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    char *all = malloc(n);
    size_t got = 0;
    for (ssize_t r; all && got < n && (r = read(t->master, all + got, n - got)) > 0;)
        got += (size_t)r;
    _exit(all && got == n && memcmp(all + n - length, text, length) == 0 ? 0 : 1);
}

static void assert_ends_well(pid_t pid) {
    int status = -1;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void a_terminal_in_use_is_waited_for(void **state) {
    (void)state;
    static const char line[] = "whole, after what another one had begun";
    struct terminal t = open_terminal();
    pid_t writer = hold(&t);

    assert_int_equal(write(t.slave, line, strlen(line)), -1);
    assert_int_equal(errno, EAGAIN);
    pid_t reader = read_until(&t, MUCH + strlen(line), line);
    assert_int_equal(write_within(t.slave, line, strlen(line), 10 * USEC_PER_MINUTE), 0);
    assert_ends_well(writer);
    assert_ends_well(reader);
    (void)close(t.slave);
    (void)close(t.master);
}

static void a_terminal_that_nobody_reads_is_not_waited_for_longer(void **state) {
    (void)state;
    static char much[MUCH];
    struct terminal t = open_terminal();
    usec_t begin = now_monotonic();

    assert_int_equal(write_within(t.slave, much, sizeof much, 20 * USEC_PER_MSEC), -EAGAIN);
    assert_true(now_monotonic() - begin >= 20 * USEC_PER_MSEC);
    assert_int_equal(write_within(t.slave, "x", 1, 0), -EAGAIN);
    (void)close(t.master);
    assert_int_equal(write_within(t.slave, "x", 1, 10 * USEC_PER_MINUTE), -EIO);
    (void)close(t.slave);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_scratch, remove_scratch)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(reads_a_file_whole),
        TEST(reads_at_most_max),
        TEST(reads_files_in_proc),
        TEST(reads_a_pipe_to_its_end),
        TEST(reads_nothing_but_regular_files),
        TEST(reads_the_first_line),
        TEST(file_write_never_creates),
        TEST(atomic_write_replaces),
        TEST(atomic_write_does_not_follow_a_link),
        TEST(atomic_write_takes_the_longest_name),
        TEST(failed_atomic_write_leaves_nothing),
        TEST(makes_parents),
        TEST(an_owned_directory_is_made_of_nobody_elses),
        TEST(two_that_make_an_owned_directory_at_once_both_find_it),
        cmocka_unit_test(a_terminal_in_use_is_waited_for),
        cmocka_unit_test(a_terminal_that_nobody_reads_is_not_waited_for_longer),
        cmocka_unit_test(simplified_paths),
        cmocka_unit_test(normalized_paths),
        cmocka_unit_test(joined_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
