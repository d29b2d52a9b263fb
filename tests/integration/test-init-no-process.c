/* link: init-harness.c */
/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* davit-init in a control group that has no room for another process. Each place that forks: tests/unit/test-no-process.c. */
#include "init-harness.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"

static char group[128]; /* "" = none can be made */
static const char *why_not;

static bool write_group(const char *name, const char *value) {
    _cleanup_free_ char *path = path_join(group, name);

    return path && file_write(AT_FDCWD, path, value) >= 0;
}

static int group_setup(void **state) {
    static const char *const roots[] = {"/sys/fs/cgroup/pids", "/sys/fs/cgroup"};

    for (size_t i = 0; i < ARRAY_SIZE(roots) && !*group; i++) {
        (void)snprintf(group, sizeof group, "%s/davit-test-%d", roots[i], getpid());
        if (mkdir(group, 0755) == 0 && write_group("pids.max", "max"))
            continue;
        why_not = geteuid() == 0 ? "no controller \"pids\" here" : "only root makes control groups";
        (void)rmdir(group);
        group[0] = '\0';
    }
    return setup(state);
}

static int group_teardown(void **state) {
    int r = teardown(state);

    /* davit-init was killed, and its parts go with it. */
    for (int i = 0; *group && rmdir(group) < 0 && errno == EBUSY && i < WAIT_MSEC / 10; i++)
        (void)usleep(10000);
    group[0] = '\0';
    return r;
}

static void test_parts_wait_for_room(void **state _unused_) {
    if (!*group) {
        print_message("%s\n", why_not);
        skip();
    }
    rig.pid = fork();
    assert_true(rig.pid >= 0);
    if (rig.pid == 0) {
        if (!write_group("cgroup.procs", "0") || !write_group("pids.max", "1"))
            _exit(126);
        exec_init();
    }
    assert_true(comes_to_be_logged("cannot fork for ", 1));
    assert_true(write_group("pids.max", "max"));
    meet_all();
    assert_true(comes_to_be_logged("there are processes to be had again", 1));

    /* Those that run go on while another one cannot come back. */
    assert_true(write_group("pids.max", "1"));
    (void)kill(rig.manager.pid, SIGKILL);
    assert_true(comes_to_be_logged("cannot fork for davitd", 1));
    assert_string_equal(ask(&rig.launchers[0], "getenv TEST_NOBODY"), "0");
    assert_true(write_group("pids.max", "max"));
    meet(&rig.manager);
    stop_by(SIGTERM, 0);
}

int main(int argc _unused_, char **argv) {
    be_part_if_called_so(argv);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_parts_wait_for_room, group_setup, group_teardown),
    };
    return cmocka_run_group_tests_name("davit-init without a process", tests, NULL, NULL);
}
