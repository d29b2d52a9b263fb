/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: cgroup-real.c */
/* Freezing, killing, events, removal and delegation, on this machine's own control groups. */
#include "cgroup-real.h"

#include <sys/xattr.h>

static int count(void) {
    while (__atomic_add_fetch(&shared[1], 1, __ATOMIC_RELAXED) < 1000000)
        sleep_ms(1);
    return 0;
}

static unsigned counted(void) {
    return __atomic_load_n(&shared[1], __ATOMIC_RELAXED);
}

/* ---- freezing and killing ---- */

static bool frozen(const char *name) {
    uint64_t value;

    return cgroup_group_read_key(tree->unified, name, "cgroup.events", "frozen", &value) >= 0 && value == 1;
}

static void frozen_group_stands_still_and_can_be_killed(void **state) {
    unsigned before;
    pid_t pid;
    int status;

    (void)state;
    REQUIRE_TREE();
    REQUIRE(tree->unified, "no unified hierarchy");
    pid = spawn(GROUP, count);
    WAIT_UNTIL(counted() > 0);
    assert_int_equal(cgroup_freeze(tree, GROUP, true), 0);
    WAIT_UNTIL(frozen(GROUP));
    before = counted();
    sleep_ms(50);
    assert_int_equal(counted(), before);
    assert_int_equal(cgroup_freeze(tree, GROUP, false), 0);
    WAIT_UNTIL(counted() > before);
    assert_int_equal(cgroup_freeze(tree, GROUP, true), 0);
    assert_int_equal(cgroup_kill(tree, GROUP, SIGKILL), 0);
    status = end_of(pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    wait_until_empty(GROUP);
}

static int end_with_seven(void) {
    sleep_ms(20);
    return 7;
}

/* What cgroup.kill would have done on kernels since 2025: everything started later died of it too. */
static void killed_group_can_be_started_in_again(void **state) {
    (void)state;
    REQUIRE_TREE();
    for (int i = 0; i < 2; i++) {
        int status = end_of(spawn(GROUP, end_with_seven));
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
        assert_int_equal(cgroup_kill(tree, GROUP, SIGKILL), 0);
    }
}

/* Three processes in all. */
static int fork_two_and_wait(void) {
    for (int i = 0; i < 2; i++)
        if (fork() == 0)
            break;
    __atomic_add_fetch(&shared[2], 1, __ATOMIC_SEQ_CST);
    while (pause() < 0)
        ;
    return 0;
}

static void signals_reach_all_or_all_but_one(void **state) {
    pid_t pid, pids[8];
    int status;

    (void)state;
    REQUIRE_TREE();
    pid = spawn(GROUP, fork_two_and_wait);
    WAIT_UNTIL(__atomic_load_n(&shared[2], __ATOMIC_SEQ_CST) == 3);
    assert_int_equal(cgroup_pids(tree, GROUP, pids, ARRAY_SIZE(pids)), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cgroup_has_pid(tree, GROUP, pids[i]), 1);
    assert_int_equal(cgroup_has_pid(tree, GROUP, getpid()), 0);
    assert_int_equal(cgroup_kill_except(tree, GROUP, SIGTERM, pid), 0);
    sleep_ms(100);
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    assert_int_equal(kill(pid, 0), 0);
    assert_int_equal(cgroup_kill(tree, GROUP, SIGTERM), 0);
    status = end_of(pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    wait_until_empty(GROUP);
}

static void events_tell_of_the_last_process(void **state) {
    _cleanup_close_ int fd = -1;
    struct pollfd wait;
    char text[128];
    pid_t pid;

    (void)state;
    REQUIRE_TREE();
    REQUIRE(tree->unified, "no unified hierarchy");
    pid = spawn(GROUP, wait_for_ever);
    wait_until_started();
    fd = cgroup_events_open(tree, GROUP);
    assert_true(fd >= 0);
    assert_true(pread(fd, text, sizeof(text), 0) > 0);
    wait = (struct pollfd){.fd = fd, .events = POLLPRI};
    assert_int_equal(poll(&wait, 1, 0), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    (void)end_of(pid);
    assert_int_equal(poll(&wait, 1, PATIENCE / USEC_PER_MSEC), 1);
    assert_int_equal(cgroup_is_populated(tree, GROUP), 0);
}

/* ---- removing ---- */

static void busy_group_is_not_removed(void **state) {
    _cleanup_strv_free_ char **names = NULL;
    pid_t pid;

    (void)state;
    REQUIRE_TREE();
    pid = spawn(GROUP, wait_for_ever);
    wait_until_started();
    assert_int_equal(cgroup_remove(tree, GROUP), -EBUSY);
    assert_int_equal(cgroup_is_populated(tree, GROUP), 1);
    assert_int_equal(cgroup_kill(tree, GROUP, SIGKILL), 0);
    (void)end_of(pid);
    wait_until_empty(GROUP);
    assert_int_equal(cgroup_remove(tree, GROUP), 0);
    assert_int_equal(cgroup_is_populated(tree, GROUP), -ENOENT);
    assert_int_equal(cgroup_tree_list(tree, &names), 0);
    assert_int_equal(strv_length(names), 0);
    assert_int_equal(cgroup_remove(tree, GROUP), 0);
}

static void make_below(const char *relative) {
    _cleanup_free_ char *path = strf("%s/" GROUP "/%s", tree->tracking->path, relative);

    assert_int_equal(mkdir_parents(AT_FDCWD, path, 0755), 0);
}

static void nested_groups_are_removed_too(void **state) {
    _cleanup_strbuf_ struct strbuf deep = {0};
    _cleanup_free_ char *name = NULL;

    (void)state;
    REQUIRE_TREE();
    for (int i = 0; i < 40; i++)
        strbuf_printf(&deep, "level-%d/", i);
    strbuf_puts(&deep, "end");
    name = strbuf_take(&deep);
    make_below("a/b/c");
    make_below("a/b/d/e");
    make_below("a/f");
    make_below("g");
    make_below(name);
    assert_int_equal(cgroup_remove(tree, GROUP), 0);
    assert_int_equal(cgroup_is_populated(tree, GROUP), -ENOENT);
}

static int enter_nested(void) {
    _cleanup_free_ char *procs = strf("%s/" GROUP "/inner/deeper/cgroup.procs", tree->tracking->path);

    if (file_write(AT_FDCWD, procs, "0") < 0)
        return 94;
    return wait_for_ever();
}

static void processes_in_nested_groups_count(void **state) {
    pid_t pid, found = 0;

    (void)state;
    REQUIRE_TREE();
    make_below("inner/deeper");
    make_below("inner/empty");
    pid = spawn(GROUP, enter_nested);
    wait_until_started();
    assert_int_equal(cgroup_has_pid(tree, GROUP, pid), 1);
    assert_int_equal(cgroup_pids(tree, GROUP, &found, 1), 1);
    assert_int_equal(found, pid);
    assert_int_equal(cgroup_remove(tree, GROUP), -EBUSY);
    assert_int_equal(cgroup_kill(tree, GROUP, SIGKILL), 0);
    (void)end_of(pid);
    wait_until_empty(GROUP);
    assert_int_equal(cgroup_remove(tree, GROUP), 0);
}

static void delegated_to_the_containers_root(void **state) {
    struct stat directory, procs, freeze;
    _cleanup_close_ int fd = -1;

    (void)state;
    REQUIRE_TREE();
    REQUIRE(tree->unified, "no unified hierarchy");
    assert_int_equal(cgroup_delegate(tree, GROUP, 100000, 100001), 0);
    fd = cgroup_group_open(tree->unified, GROUP, "", O_RDONLY | O_DIRECTORY);
    assert_int_equal(fstat(fd, &directory), 0);
    assert_int_equal(fstatat(fd, "cgroup.procs", &procs, 0), 0);
    assert_int_equal(fstatat(fd, "cgroup.freeze", &freeze, 0), 0);
    assert_int_equal(directory.st_uid, 100000);
    assert_int_equal(procs.st_gid, 100001);
    assert_int_equal(freeze.st_uid, 0);
}

/* ---- our own group ---- */

/* In a child that is alone in a group of its own, with a base below that group: the child is in the way of
 * the controllers, so it must be moved aside. Then once more, as after a restart. */
static int open_below_own_group(void) {
    _cleanup_free_ char *base = strf("davit-test-own-%d/fleet", (int)getppid());
    _cleanup_free_ char *expected = strf("0::/davit-test-own-%d/.davit\n", (int)getppid());
    _cleanup_free_ char *text = NULL;

    for (int round = 0; round < 2; round++) {
        _cleanup_tree_ struct cgroup_tree *t = NULL;
        struct cgroup_limits l;

        if (cgroup_tree_open(base, &t, NULL) < 0)
            return 10;
        if (!cgroup_tree_has(t, CONTROLLER_MEMORY) || !cgroup_home(t, CONTROLLER_MEMORY)->unified)
            return 11;
        cgroup_limits_init(&l);
        l.memory_max = 100 * MIB;
        if (cgroup_create(t, GROUP, NULL) < 0 || cgroup_apply(t, GROUP, &l, NULL, NULL) < 0 ||
            cgroup_remove(t, GROUP) < 0)
            return 12;
        if (round == 1 && cgroup_tree_remove(t) < 0)
            return 13;
    }
    if (file_read(AT_FDCWD, "/proc/self/cgroup", 65536, &text, NULL) < 0 || !strstr(text, expected))
        return 14;
    return 0;
}

/* The same with systemd's mark on the group and no base given: the group itself is the base. */
static int open_delegated(void) {
    _cleanup_free_ char *own = strf("/davit-test-own-%d", (int)getppid());
    _cleanup_strv_free_ char **names = NULL;
    _cleanup_tree_ struct cgroup_tree *t = NULL;

    if (cgroup_tree_open(NULL, &t, NULL) < 0)
        return 20;
    if (!streq(t->unified->group, own) || !t->unified->own)
        return 21;
    if (cgroup_create(t, GROUP, NULL) < 0 || cgroup_tree_list(t, &names) < 0)
        return 22;
    if (strv_length(names) != 1 || !streq(names[0], GROUP)) /* and not the leaf */
        return 23;
    return cgroup_remove(t, GROUP) < 0 || cgroup_tree_remove(t) < 0 ? 24 : 0;
}

static int in_own_group(int (*run)(void), bool delegate) {
    _cleanup_free_ char *own = strf("%s/davit-test-own-%d", tree->unified->mount, (int)getpid());
    _cleanup_free_ char *procs = path_join(own, "cgroup.procs"), *leaf = path_join(own, CGROUP_OWN_LEAF);
    _cleanup_free_ char *fleet = path_join(own, "fleet");
    int status;
    pid_t pid;

    assert_int_equal(mkdir(own, 0755), 0);
    if (delegate && setxattr(own, "trusted.delegate", "1", 1, 0) < 0) {
        (void)rmdir(own);
        return -1;
    }
    pid = fork();
    if (pid == 0)
        _exit(file_write(AT_FDCWD, procs, "0") < 0 ? 9 : run());
    status = end_of(pid);
    (void)rmdir(fleet);
    (void)rmdir(leaf);
    (void)rmdir(own);
    assert_true(WIFEXITED(status));
    assert_int_equal(access(own, F_OK), -1);
    return WEXITSTATUS(status);
}

static void own_processes_make_way_for_controllers(void **state) {
    (void)state;
    REQUIRE_TREE();
    REQUIRE(cgroup_home(tree, CONTROLLER_MEMORY) && cgroup_home(tree, CONTROLLER_MEMORY)->unified,
        "memory is not in a unified hierarchy");
    assert_int_equal(in_own_group(open_below_own_group, false), 0);
}

static void delegated_group_is_used_as_it_is(void **state) {
    (void)state;
    REQUIRE_TREE();
    REQUIRE(tree->unified && cgroup_tree_mode(tree)[0] == 'u',
        "v1 hierarchies here: the test would leave /davit behind in them");
    assert_int_equal(in_own_group(open_delegated, true), 0);
}

/* ---- a legacy machine: this one, with its unified hierarchy not looked at ---- */

static struct cgroup_tree *saved;

static int legacy_setup(void **state) {
    _cleanup_free_ char *mountinfo = NULL, *self = NULL, *base = strf("davit-test-%d-legacy", (int)getpid());
    _cleanup_strbuf_ struct strbuf v1 = {0};
    char *rest, *line;

    (void)state;
    memset(shared, 0, 4096);
    saved = tree;
    if (!tree)
        return 0;
    tree = NULL;
    if (file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &mountinfo, NULL) < 0 ||
        file_read(AT_FDCWD, "/proc/self/cgroup", 1 << 20, &self, NULL) < 0)
        return -1;
    for (rest = mountinfo; (line = strsep(&rest, "\n"));)
        if (!strstr(line, " - cgroup2 "))
            strbuf_printf(&v1, "%s\n", line);
    (void)snprintf(why_not, sizeof(why_not), "no v1 hierarchies here");
    if (cgroup_tree_open_at(
            &(struct cgroup_environment){
                .mountinfo = v1.data, .self_cgroup = self, .cgroups = "", .prefix = "", .proc = "/proc"},
            base, &tree, NULL) < 0)
        return 0;
    return cgroup_create(tree, GROUP, NULL);
}

static int legacy_teardown(void **state) {
    int r = 0;

    (void)state;
    remove_all();
    if (tree)
        r = cgroup_tree_remove(tree);
    cgroup_tree_free(tree);
    tree = saved;
    return r;
}

/* FREEZING until the last process stands still. */
static bool legacy_frozen(const char *name) {
    _cleanup_free_ char *is = NULL;

    return cgroup_group_read(cgroup_home(tree, CONTROLLER_FREEZER), name, "freezer.state", &is) >= 0 &&
           streq(is, "FROZEN\n");
}

static void legacy_freeze_and_kill(void **state) {
    unsigned before;
    pid_t pid;
    int status;

    (void)state;
    REQUIRE_TREE();
    REQUIRE_CONTROLLER(CONTROLLER_FREEZER);
    assert_string_equal(cgroup_tree_mode(tree), "legacy");
    pid = spawn(GROUP, count);
    WAIT_UNTIL(counted() > 0);
    assert_int_equal(cgroup_has_pid(tree, GROUP, pid), 1);
    assert_int_equal(cgroup_is_populated(tree, GROUP), 1);
    assert_int_equal(cgroup_remove(tree, GROUP), -EBUSY);
    assert_int_equal(cgroup_freeze(tree, GROUP, true), 0);
    WAIT_UNTIL(legacy_frozen(GROUP));
    before = counted();
    sleep_ms(50);
    assert_int_equal(counted(), before);
    assert_int_equal(cgroup_kill(tree, GROUP, SIGKILL), 0);
    status = end_of(pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    wait_until_empty(GROUP);
    assert_int_equal(cgroup_remove(tree, GROUP), 0);
}

static void legacy_kills_whole_groups(void **state) {
    struct cgroup_stats s;
    pid_t pid;

    (void)state;
    REQUIRE_TREE();
    pid = spawn(GROUP, fork_two_and_wait);
    WAIT_UNTIL(__atomic_load_n(&shared[2], __ATOMIC_SEQ_CST) == 3);
    cgroup_stats(tree, GROUP, &s);
    assert_true(s.tasks_current == 3 || s.tasks_current == CGROUP_UNSET);
    assert_true(s.cpu_usage_usec > 0);
    assert_int_equal(cgroup_kill_except(tree, GROUP, SIGKILL, pid), 0);
    WAIT_UNTIL(cgroup_pids(tree, GROUP, (pid_t[8]){0}, 8) == 1);
    assert_int_equal(cgroup_kill(tree, GROUP, SIGKILL), 0);
    (void)end_of(pid);
    wait_until_empty(GROUP);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, real_setup, real_teardown)
    const struct CMUnitTest tests[] = {
        TEST(frozen_group_stands_still_and_can_be_killed),
        TEST(killed_group_can_be_started_in_again),
        TEST(signals_reach_all_or_all_but_one),
        TEST(events_tell_of_the_last_process),
        TEST(busy_group_is_not_removed),
        TEST(nested_groups_are_removed_too),
        TEST(processes_in_nested_groups_count),
        TEST(delegated_to_the_containers_root),
        TEST(own_processes_make_way_for_controllers),
        TEST(delegated_group_is_used_as_it_is),
        cmocka_unit_test_setup_teardown(legacy_freeze_and_kill, legacy_setup, legacy_teardown),
        cmocka_unit_test_setup_teardown(legacy_kills_whole_groups, legacy_setup, legacy_teardown),
    };

    return cmocka_run_group_tests_name(
        "cgroup tracking, really", tests, real_group_setup, real_group_teardown);
}
