/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/fs.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <cmocka.h>

static int scratch = -1;
static char scratch_path[] = "/tmp/davit-test-tree-XXXXXX";
static bool own_mounts; /* in a mount namespace of our own */

static int make_scratch(void **state) {
    (void)state;
    if (!mkdtemp(scratch_path))
        return -1;
    own_mounts = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    scratch = open(scratch_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return scratch < 0 ? -1 : 0;
}

static int remove_scratch(void **state) {
    (void)state;
    close_and_reset(&scratch);
    return rmdir(scratch_path); /* every test removes what it made */
}

static bool exists(const char *name) {
    return faccessat(scratch, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void make_file(const char *name) {
    int fd = openat(scratch, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void make_directory(const char *name) {
    assert_int_equal(mkdirat(scratch, name, 0700), 0);
}

/* A chain of depth directories called name, with a file in each. */
static void make_chain(const char *top, const char *name, unsigned depth) {
    make_directory(top);
    int fd = openat(scratch, top, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < depth; i++) {
        assert_int_equal(mkdirat(fd, name, 0700), 0);
        int file = openat(fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        int next = openat(fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(file >= 0 && next >= 0);
        close(file);
        close(fd);
        fd = next;
    }
    close(fd);
}

static unsigned count_fds(void) {
    unsigned n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void missing_is_fine(void **state) {
    (void)state;

    assert_int_equal(remove_tree(scratch, "none"), 0);
    assert_int_equal(remove_tree(scratch, "none/below"), 0);
    assert_int_equal(remove_tree(AT_FDCWD, "/tmp/davit-no-such-thing"), 0);
}

/* Whatever the caller computed, these must not empty the directory that things are in. */
static void names_of_no_entry_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {"", ".", "..", "/", "x/", "x/..", "./."};

    make_directory("x");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_equal(remove_tree(scratch, names[i]), -EINVAL);
    assert_true(exists("x"));
    assert_int_equal(remove_tree(scratch, "x"), 0);
}

static void all_kinds_of_files(void **state) {
    (void)state;

    make_directory("t");
    make_directory("t/empty");
    make_directory("t/sub");
    make_file("t/file");
    make_file("t/sub/.hidden");
    assert_int_equal(mkfifoat(scratch, "t/fifo", 0600), 0);
    assert_int_equal(symlinkat("/nowhere", scratch, "t/dangling"), 0);
    assert_int_equal(fchmodat(scratch, "t/empty", 0, 0), 0);
    assert_int_equal(remove_tree(scratch, "t"), 0);
    assert_false(exists("t"));

    make_file("f");
    assert_int_equal(remove_tree(scratch, "f"), 0);
    assert_false(exists("f"));
}

static void path_to_the_tree(void **state) {
    (void)state;

    make_directory("a");
    make_directory("a/b");
    make_file("a/b/c");
    assert_int_equal(remove_tree(scratch, "a/b"), 0);
    assert_true(exists("a"));
    _cleanup_free_ char *path = path_join(scratch_path, "a");
    assert_int_equal(remove_tree(AT_FDCWD, path), 0);
    assert_false(exists("a"));
}

static void links_are_removed_not_followed(void **state) {
    (void)state;

    make_directory("safe");
    make_file("safe/file");
    make_directory("t");
    assert_int_equal(symlinkat("../safe", scratch, "t/link"), 0);
    assert_int_equal(symlinkat("safe", scratch, "top"), 0);
    assert_int_equal(remove_tree(scratch, "t"), 0);
    assert_int_equal(remove_tree(scratch, "top"), 0);
    assert_false(exists("top"));
    assert_true(exists("safe/file"));
    assert_int_equal(remove_tree(scratch, "safe"), 0);
}

/* A path of 250,000 bytes, with fewer descriptors to spend than it has levels. */
static void deep_trees_need_no_more_descriptors(void **state) {
    (void)state;
    struct rlimit old, small = {.rlim_cur = 64};
    char name[NAME_MAX + 1];
    memset(name, 'd', NAME_MAX);
    name[NAME_MAX] = '\0';

    make_chain("deep", name, 1000);
    unsigned fds = count_fds();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    small.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_NOFILE, &small);
    int r = remove_tree(scratch, "deep");
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(r, 0);
    assert_false(exists("deep"));
    assert_int_equal(count_fds(), fds);
}

static void wide_directories(void **state) {
    (void)state;
    char name[64];

    make_directory("wide");
    for (unsigned i = 0; i < 3000; i++) {
        (void)snprintf(name, sizeof(name), "wide/file-with-a-longer-name-%u", i);
        make_file(name);
        (void)snprintf(name, sizeof(name), "wide/directory-%u", i);
        make_directory(name);
        if (i % 10 == 0) {
            (void)snprintf(name, sizeof(name), "wide/directory-%u/file", i);
            make_file(name);
        }
    }
    assert_int_equal(remove_tree(scratch, "wide"), 0);
    assert_false(exists("wide"));
}

/* Wide where parents are closed and read again: each of their entries must still be seen. */
static void wide_directories_far_down(void **state) {
    (void)state;
    char path[4096] = "t";

    make_directory(path);
    for (unsigned depth = 0; depth < 40; depth++) {
        size_t n = strlen(path);
        for (unsigned i = 0; i < 20; i++) {
            (void)snprintf(path + n, sizeof(path) - n, "/x%u", i);
            make_directory(path);
            (void)snprintf(path + n, sizeof(path) - n, "/x%u/y", i);
            make_directory(path);
        }
        (void)snprintf(path + n, sizeof(path) - n, "/x7");
    }
    assert_int_equal(remove_tree(scratch, "t"), 0);
    assert_false(exists("t"));
}

/* Somebody who has no time takes what is small, and learns of what is not. */
static void small_trees_only(void **state) {
    (void)state;
    make_chain("t", "d", 4); /* 8 entries */
    assert_int_equal(remove_small_tree(scratch, "t", 7), -EFBIG);
    assert_true(exists("t"));
    assert_int_equal(remove_tree(scratch, "t"), 0);

    make_chain("t", "d", 4);
    assert_int_equal(remove_small_tree(scratch, "t", 8), 0);
    assert_false(exists("t"));

    make_directory("t");
    make_file("t/big");
    _cleanup_close_ int fd = openat(scratch, "t/big", O_WRONLY | O_CLOEXEC);
    assert_int_equal(fallocate(fd, 0, 0, 2 << 20), 0);
    assert_int_equal(remove_small_tree(scratch, "t", 8), -EFBIG);
    assert_true(exists("t/big"));
    assert_int_equal(remove_tree(scratch, "t"), 0);
}

static void other_mounts_are_left_alone(void **state) {
    (void)state;
    if (!own_mounts) {
        print_message("no mount namespace: not privileged\n");
        skip();
    }
    _cleanup_free_ char *inside = path_join(scratch_path, "t/mounted"), *top = path_join(scratch_path, "top");

    make_directory("t");
    make_directory("t/mounted");
    make_directory("t/other");
    make_file("t/file");
    assert_int_equal(mount("tmpfs", inside, "tmpfs", 0, "size=64k"), 0);
    make_file("t/mounted/precious");
    assert_int_equal(remove_tree(scratch, "t"), -EBUSY);
    assert_true(exists("t/mounted/precious"));
    /* What could go is gone. */
    assert_false(exists("t/file"));
    assert_false(exists("t/other"));

    /* A bind mount of the same file system has the same st_dev, and is another mount all the same. */
    assert_int_equal(umount(inside), 0);
    make_directory("precious");
    make_file("precious/file");
    _cleanup_free_ char *precious = path_join(scratch_path, "precious");
    assert_int_equal(mount(precious, inside, NULL, MS_BIND, NULL), 0);
    assert_int_equal(remove_tree(scratch, "t"), -EBUSY);
    assert_true(exists("precious/file"));
    assert_int_equal(umount(inside), 0);

    make_directory("top");
    assert_int_equal(mount(precious, top, NULL, MS_BIND, NULL), 0);
    assert_int_equal(remove_tree(scratch, "top"), -EBUSY);
    assert_true(exists("precious/file"));
    assert_int_equal(umount(top), 0);

    assert_int_equal(remove_tree(scratch, "t"), 0);
    assert_int_equal(remove_tree(scratch, "top"), 0);
    assert_int_equal(remove_tree(scratch, "precious"), 0);
}

/* Sets or clears the immutable flag; false where the file system has none. */
static bool set_immutable(int fd, bool on) {
    int flags = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return false;
    flags = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
    return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

static void check_immutable_file(const char *parent, const char *sibling) {
    _cleanup_free_ char *path = path_join(parent, "stays"), *gone = path_join(parent, sibling);

    make_file(path);
    make_directory(gone);
    _cleanup_close_ int fd = openat(scratch, path, O_RDONLY | O_CLOEXEC);
    if (!set_immutable(fd, true)) {
        remove_tree(scratch, "t");
        print_message("no immutable flag on this file system\n");
        skip();
    }
    int r = remove_tree(scratch, "t");
    bool stays = exists(path), rest_gone = !exists(gone);
    set_immutable(fd, false);
    assert_int_equal(r, -EPERM);
    assert_true(stays);
    assert_true(rest_gone);
    assert_int_equal(remove_tree(scratch, "t"), 0);
    assert_false(exists("t"));
}

static void immutable_file_is_reported(void **state) {
    (void)state;
    make_directory("t");
    check_immutable_file("t", "gone");
}

/* There the directory is read again after its child, shows the file again, and must not be read for ever. */
static void immutable_file_far_down_is_reported(void **state) {
    (void)state;
    char path[512] = "t";

    for (unsigned i = 0; i < 50; i++) {
        make_directory(path);
        strcat(path, "/d");
    }
    make_directory(path);
    check_immutable_file(path, "d");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_is_fine),
        cmocka_unit_test(names_of_no_entry_are_refused),
        cmocka_unit_test(all_kinds_of_files),
        cmocka_unit_test(path_to_the_tree),
        cmocka_unit_test(links_are_removed_not_followed),
        cmocka_unit_test(deep_trees_need_no_more_descriptors),
        cmocka_unit_test(wide_directories),
        cmocka_unit_test(wide_directories_far_down),
        cmocka_unit_test(small_trees_only),
        cmocka_unit_test(other_mounts_are_left_alone),
        cmocka_unit_test(immutable_file_is_reported),
        cmocka_unit_test(immutable_file_far_down_is_reported),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
