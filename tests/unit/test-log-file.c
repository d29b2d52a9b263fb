/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/fs.h"

static char directory[64];
static struct file_sink sink;
static struct log_file file;

static int setup(void **state _unused_) {
    (void)strcpy(directory, "/tmp/davit-test-file-XXXXXX");
    assert_non_null(mkdtemp(directory));
    sink = (struct file_sink){.max_size = 1000, .max_files = 4};
    sink.directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    list_init(&sink.open);
    assert_int_equal(log_file_init(&file, "web.container"), 0);
    return 0;
}

static int teardown(void **state _unused_) {
    log_file_done(&file);
    (void)close(sink.directory);
    return remove_tree(AT_FDCWD, directory);
}

static uint64_t append(const char *text, size_t n) {
    uint64_t inode, offset;
    assert_int_equal(log_file_prepare(&sink, &file, n, &inode, &offset), 0);
    assert_int_equal(log_file_append(&file, offset, text, n), 0);
    return offset;
}

static void assert_content(const char *name, const char *wanted) {
    char *text;
    if (!wanted) {
        assert_int_equal(faccessat(sink.directory, name, F_OK, 0), -1);
        return;
    }
    assert_int_equal(file_read(sink.directory, name, 100000, &text, NULL), 0);
    assert_string_equal(text, wanted);
    free(text);
}

static void put_file(const char *name, const char *text) {
    int fd = openat(sink.directory, name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
}

static void test_names_that_leave_the_directory(void **state _unused_) {
    struct log_file f;
    char long_name[300];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    const char *const bad[] = {"", ".", "..", "../x", "a/b", ".hidden", long_name};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(log_file_init(&f, bad[i]), -EINVAL);
}

static void test_rotation_by_size(void **state _unused_) {
    char text[601];
    sink.max_files = 3;
    for (char c = 'a'; c <= 'e'; c++) {
        memset(text, c, 600);
        text[600] = '\0';
        append(text, 600);
    }
    assert_content("web.container.log", text);
    memset(text, 'd', 600);
    assert_content("web.container.log.1", text);
    memset(text, 'c', 600);
    assert_content("web.container.log.2", text);
    assert_content("web.container.log.3", NULL);
}

static void test_one_file_only_starts_afresh(void **state _unused_) {
    sink.max_files = 1;
    sink.max_size = 4;
    put_file("web.container.log.1", "when it was more than one");
    append("aaaa", 4);
    append("bbb", 3);
    assert_content("web.container.log", "bbb");
    assert_content("web.container.log.1", NULL);
}

/* Killed after .1 became .2 and before the current file became .1: the next rotation fills the gap and keeps
 * .2. */
static void test_rotation_cut_off_goes_on_at_the_gap(void **state _unused_) {
    sink.max_size = 4;
    put_file("web.container.log", "cccc");
    put_file("web.container.log.2", "bbbb");
    put_file("web.container.log.3", "aaaa");
    append("dddd", 4);
    assert_content("web.container.log", "dddd");
    assert_content("web.container.log.1", "cccc");
    assert_content("web.container.log.2", "bbbb");
    assert_content("web.container.log.3", "aaaa");
    append("eeee", 4);
    assert_content("web.container.log.1", "dddd");
    assert_content("web.container.log.3", "bbbb");
    assert_content("web.container.log.4", NULL);
}

/* log_max_files= was 6, and a rotation was cut off. */
static void test_what_is_more_than_is_kept_now_goes(void **state _unused_) {
    static const char *const before[] = {"", ".1", ".2", ".4", ".5"};
    char name[64];

    sink.max_size = 4;
    for (sink.max_files = 3; sink.max_files > 1; sink.max_files--) {
        for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
            (void)snprintf(name, sizeof name, "web.container.log%s", before[i]);
            put_file(name, "old");
        }
        append("new!", 4);
        assert_content("web.container.log", "new!");
        assert_content("web.container.log.1", "old");
        assert_content("web.container.log.2", sink.max_files > 2 ? "old" : NULL);
        assert_content("web.container.log.4", NULL);
        assert_content("web.container.log.5", NULL);
        log_file_close(&file);
    }
}

static void test_file_moved_or_emptied_by_others(void **state _unused_) {
    append("one\n", 4);
    assert_int_equal(renameat(sink.directory, "web.container.log", sink.directory, "moved"), 0);
    append("two\n", 4);
    assert_content("moved", "one\n");
    assert_content("web.container.log", "two\n");
    assert_int_equal(truncate("/proc/self/fd/0", 0), -1);
    int fd = openat(sink.directory, "web.container.log", O_RDWR | O_TRUNC | O_CLOEXEC);
    (void)close(fd);
    assert_int_equal(append("three\n", 6), 0);
    assert_content("web.container.log", "three\n");
}

static void test_link_and_directory_in_its_place(void **state _unused_) {
    uint64_t inode, offset;
    assert_int_equal(symlinkat("/etc/passwd", sink.directory, "web.container.log"), 0);
    assert_int_equal(log_file_prepare(&sink, &file, 4, &inode, &offset), -ELOOP);
    assert_int_equal(unlinkat(sink.directory, "web.container.log", 0), 0);
    assert_int_equal(mkdirat(sink.directory, "web.container.log", 0700), 0);
    assert_true(log_file_prepare(&sink, &file, 4, &inode, &offset) < 0);
}

static void test_half_written_batch_is_cut_off(void **state _unused_) {
    uint64_t inode, offset;
    append("before\n", 7);
    assert_int_equal(log_file_prepare(&sink, &file, 10, &inode, &offset), 0);
    assert_int_equal(offset, 7);
    assert_int_equal(log_file_written(&sink, &file, inode, offset, 10), 0);
    assert_int_equal(write(file.fd, "abcd", 4), 4);
    assert_int_equal(log_file_written(&sink, &file, inode, offset, 10), 0);
    assert_content("web.container.log", "before\n");
    assert_int_equal(write(file.fd, "abcdefghij", 10), 10);
    assert_int_equal(log_file_written(&sink, &file, inode, offset, 10), 1);
    /* Also when it was rotated in between; and a stranger of the same name is left alone. */
    assert_int_equal(renameat(sink.directory, "web.container.log", sink.directory, "web.container.log.1"), 0);
    put_file("web.container.log", "another file, longer than that");
    assert_int_equal(log_file_written(&sink, &file, inode, offset, 10), 1);
    assert_int_equal(log_file_written(&sink, &file, 1, 2, 3), 0);
    assert_content("web.container.log", "another file, longer than that");
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_names_that_leave_the_directory),
        T(test_rotation_by_size),
        T(test_one_file_only_starts_afresh),
        T(test_rotation_cut_off_goes_on_at_the_gap),
        T(test_what_is_more_than_is_kept_now_goes),
        T(test_file_moved_or_emptied_by_others),
        T(test_link_and_directory_in_its_place),
        T(test_half_written_batch_is_cut_off),
    };
    return cmocka_run_group_tests_name("log/file", tests, NULL, NULL);
}
