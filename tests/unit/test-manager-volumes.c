/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-core.c */
/* Named volumes on a disk that fails in the middle. */
#include "fake-core.h"

#include <fcntl.h>
#include <sys/stat.h>

static int chown_error;
static uid_t owner;

/* Instead of libc's: the disk's answer is ours. */
int fchown(int fd, uid_t uid, gid_t gid) {
    (void)fd;
    (void)gid;
    errno = chown_error;
    if (chown_error == 0)
        owner = uid;
    return chown_error == 0 ? 0 : -1;
}

static int setup(void **state) {
    (void)state;
    chown_error = 0;
    owner = 0;
    fake_core_new();
    return 0;
}

static bool exists(const char *path) {
    struct stat st;
    return fstatat(fake->m.state_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void a_volume_is_not_there_before_it_has_its_owner(void **state) {
    (void)state;
    struct managed_unit *u = fake_unit("data.volume", "[Volume]\nVolumeName=data\nUID=33\nGID=34\n");
    struct error e = {};

    chown_error = EDQUOT;
    assert_int_equal(volume_prepare(u, &e), -EDQUOT);
    assert_non_null(strstr(e.text, "33:34"));
    assert_false(exists("volumes/data/_data"));

    chown_error = 0;
    assert_int_equal(volume_prepare(u, &e), 0);
    assert_int_equal(owner, 33);
    assert_true(exists("volumes/data/_data"));
    assert_false(exists("volumes/data/_data.davit-new"));

    owner = 0;
    assert_int_equal(volume_prepare(u, &e), 0);
    assert_int_equal(owner, 0); /* from now on it is the data's own affair */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_volume_is_not_there_before_it_has_its_owner, setup, fake_core_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
