/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: cgroup-fake.c */
/* Finding hierarchies, choosing and making the subtree, groups in several hierarchies at once: on a machine
 * of files. */
#include "cgroup-fake.h"

#include <sys/xattr.h>

static void put_cpuset(struct fake *f, const char *directory, const char *cpus, const char *mems) {
    _cleanup_free_ char *c = path_join(directory, "cpuset.cpus"), *m = path_join(directory, "cpuset.mems");

    fake_put(f, c, cpus);
    fake_put(f, m, mems);
}

/* cpu and cpuacct together, memory and pids, cpuset, blkio, freezer, devices each alone. */
static void mount_v1(struct fake *f) {
    fake_mount(f, "cgroup", "/cpu,cpuacct", "/", "rw,cpu,cpuacct");
    fake_mount(f, "cgroup", "/memory", "/", "rw,memory");
    fake_mount(f, "cgroup", "/pids", "/", "rw,pids");
    fake_mount(f, "cgroup", "/cpuset", "/", "rw,cpuset");
    fake_mount(f, "cgroup", "/blkio", "/", "rw,blkio");
    fake_mount(f, "cgroup", "/freezer", "/", "rw,freezer");
    fake_mount(f, "cgroup", "/devices", "/", "rw,devices");
    fake_mount(f, "cgroup", "/systemd", "/", "rw,xattr,name=systemd");
    put_cpuset(f, "/cpuset", "0-3\n", "0\n");
    put_cpuset(f, "/cpuset/davit", "", "");
}

/* A unified hierarchy without any controller, as beside v1. */
static void mount_hybrid(struct fake *f) {
    mount_v1(f);
    fake_mount(f, "cgroup2", "/unified", "/", "rw");
    fake_put(f, "/unified/cgroup.controllers", "hugetlb\n");
    fake_put(f, "/unified/cgroup.subtree_control", "\n");
    fake_put(f, "/unified/davit/cgroup.controllers", "\n");
    fake_put(f, "/unified/davit/cgroup.subtree_control", "\n");
}

static void expect_home(struct fake *f, enum cgroup_controller c, const char *point) {
    struct cgroup_hierarchy *h = cgroup_home(f->tree, c);
    _cleanup_free_ char *path = path_join(f->directory, point);

    if (!h || !streq(h->mount, path))
        fail_msg("%s is in %s, expected %s", cgroup_controller_name(c), h ? h->mount : "none", path);
}

static void unified(void **state) {
    struct fake *f = *state;

    fake_unified(f, "davit");
    fake_open_ok(f, NULL);
    assert_string_equal(cgroup_tree_mode(f->tree), "unified");
    for (int c = 0; c < _CONTROLLER_COUNT; c++)
        assert_true(cgroup_tree_has(f->tree, c));
    expect_home(f, CONTROLLER_MEMORY, "/unified");
    assert_string_equal(f->tree->track->name, "unified");
}

static void hybrid(void **state) {
    struct fake *f = *state;

    mount_hybrid(f);
    fake_open_ok(f, NULL);
    assert_string_equal(cgroup_tree_mode(f->tree), "hybrid");
    expect_home(f, CONTROLLER_CPU, "/cpu,cpuacct");
    expect_home(f, CONTROLLER_CPUACCT, "/cpu,cpuacct");
    expect_home(f, CONTROLLER_IO, "/blkio");
    assert_string_equal(f->tree->track->name, "unified");
    fake_expect(f, "/unified/cgroup.subtree_control", "\n"); /* nothing to enable, nothing written */
}

static void legacy(void **state) {
    struct fake *f = *state;

    mount_v1(f);
    fake_open_ok(f, NULL);
    assert_string_equal(cgroup_tree_mode(f->tree), "legacy");
    assert_string_equal(f->tree->track->name, "v1");
    assert_string_equal(f->tree->tracking->group, "/davit");
    assert_int_equal(cgroup_events_open(f->tree, "web"), -EOPNOTSUPP);
    assert_int_equal(cgroup_delegate(f->tree, "web", 1, 1), -EOPNOTSUPP);
}

static void nothing_mounted(void **state) {
    struct fake *f = *state;
    struct error e = {0};

    fake_mount(f, "cgroup", "/systemd", "/", "rw,name=systemd");
    assert_int_equal(fake_open(f, NULL, &e), -ENOENT);
    assert_non_null(strstr(e.text, "no control group hierarchy is mounted"));
    assert_null(f->tree);
}

static void controllers_are_enabled_top_down(void **state) {
    struct fake *f = *state;

    fake_mount(f, "cgroup2", "/unified", "/", "rw");
    fake_put(f, "/unified/cgroup.controllers", "memory hugetlb\n");
    fake_put(f, "/unified/cgroup.subtree_control", "");
    fake_put(f, "/unified/top/cgroup.controllers", "memory pids\n");
    fake_put(f, "/unified/top/cgroup.subtree_control", "memory\n"); /* so that only +pids is missing */
    fake_put(f, "/unified/top/fleet/cgroup.controllers", "memory pids\n");
    fake_put(f, "/unified/top/fleet/cgroup.subtree_control", "memory pids\n");
    fake_open_ok(f, "top/fleet");
    fake_expect(f, "/unified/cgroup.subtree_control", "+memory");
    fake_expect(f, "/unified/top/cgroup.subtree_control", "+pidsy\n");
    assert_true(cgroup_tree_has(f->tree, CONTROLLER_PIDS));
    assert_false(cgroup_tree_has(f->tree, CONTROLLER_CPU));
    assert_string_equal(f->tree->tracking->group, "/top/fleet");
}

static void missing_controllers_are_explained(void **state) {
    struct fake *f = *state;

    fake_unified(f, "davit");
    fake_put(f, "/unified/davit/cgroup.subtree_control", "cpu pids\n");
    fake_put(f, "/unified/davit/cgroup.controllers", "cpu pids\n");
    free(f->cgroups);
    f->cgroups = strdup("#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t0\nblkio\t0\t1\t1\n");
    fake_open_ok(f, NULL);
    assert_false(cgroup_tree_has(f->tree, CONTROLLER_MEMORY));
    assert_non_null(strstr(f->tree->missing[CONTROLLER_MEMORY].text, "switched off"));
    assert_non_null(
        strstr(f->tree->missing[CONTROLLER_IO].text, "no control group hierarchy here has a io controller"));
}

/* A read-only or vanished hierarchy costs its controllers, not the whole. */
static void unusable_hierarchy_is_dropped(void **state) {
    struct fake *f = *state;
    _cleanup_free_ char *memory = NULL;

    mount_hybrid(f);
    memory = path_join(f->directory, "/memory");
    assert_int_equal(rmdir(memory), 0);
    fake_open_ok(f, NULL);
    assert_false(cgroup_tree_has(f->tree, CONTROLLER_MEMORY));
    assert_non_null(strstr(f->tree->missing[CONTROLLER_MEMORY].text, "/memory/davit cannot be made ready"));
    assert_true(cgroup_tree_has(f->tree, CONTROLLER_PIDS));
}

static void all_unusable_is_an_error(void **state) {
    struct fake *f = *state;
    struct error e = {0};
    _cleanup_free_ char *memory = NULL;

    fake_mount(f, "cgroup", "/memory", "/", "rw,memory");
    memory = path_join(f->directory, "/memory");
    assert_int_equal(rmdir(memory), 0);
    assert_int_equal(fake_open(f, NULL, &e), -ENOENT);
    assert_non_null(strstr(e.text, "/memory/davit"));
}

static void bad_bases(void **state) {
    static const char *const bases[] = {"", "/", "a/../b", "..", "//"};
    struct fake *f = *state;

    fake_unified(f, "davit");
    for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
        struct error e = {0};

        assert_int_equal(fake_open(f, bases[i], &e), -EINVAL);
        assert_non_null(strstr(e.text, "DAVIT_CGROUP"));
    }
}

static void mount_points_are_unescaped_and_taken_once(void **state) {
    struct fake *f = *state;

    fake_mount(f, "cgroup", "/with\\040blank", "/", "rw,memory");
    fake_directory(f, "/with blank");
    strbuf_puts(&f->mountinfo, "99 1 0:1 / /elsewhere rw - cgroup cgroup rw,memory\nnonsense\n99 1\n");
    fake_open_ok(f, "a//b/");
    expect_home(f, CONTROLLER_MEMORY, "/with blank");
    assert_int_equal(f->tree->n_hierarchies, 1);
    assert_true(fake_exists(f, "/with blank/a/b"));
}

/* systemd-nspawn shows the host's v1 hierarchies read-only: what cannot be written is not there. */
static void read_only_hierarchies_are_passed_over(void **state) {
    struct fake *f = *state;

    fake_mount(f, "cgroup", "/memory", "/", "rw,memory");
    strbuf_puts(&f->mountinfo, "98 1 0:77 / /sys/fs/cgroup/blkio ro,nosuid - cgroup cgroup rw,blkio\n");
    fake_open_ok(f, NULL);
    assert_int_equal(f->tree->n_hierarchies, 1);
    assert_false(cgroup_tree_has(f->tree, CONTROLLER_IO));
    expect_home(f, CONTROLLER_MEMORY, "/memory");
}

/* In a container the mount shows only a part of the hierarchy; names in /proc are those of the whole. */
static void mount_of_a_part(void **state) {
    struct fake *f = *state;

    fake_mount(f, "cgroup", "/pids", "/docker/123", "rw,pids");
    fake_put(f, "/proc/42/cgroup", "5:pids:/docker/123/davit/web.container/inner\n");
    fake_put(f, "/proc/43/cgroup", "5:pids:/docker/123/davit/web.container2\n");
    fake_open_ok(f, NULL);
    assert_string_equal(f->tree->tracking->group, "/docker/123/davit");
    assert_int_equal(cgroup_has_pid(f->tree, "web.container", 42), 1);
    assert_int_equal(cgroup_has_pid(f->tree, "web.container", 43), 0);
    assert_int_equal(cgroup_has_pid(f->tree, "web.container2", 43), 1);
    assert_int_equal(cgroup_has_pid(f->tree, "web.container", 44), -ESRCH);
    assert_int_equal(cgroup_has_pid(f->tree, "web.container", 0), -EINVAL);
}

static void delegated_group_is_the_base(void **state) {
    struct fake *f = *state;
    _cleanup_free_ char *own = path_join(f->directory, "/unified/system.slice/davit.service");

    fake_unified(f, "system.slice");
    fake_unified(
        f, "system.slice/davit.service"); /* the second mount is another hierarchy at the same place: fine */
    mount_v1(f);
    free(f->self);
    /* After a restart we are in the leaf; cpuset was not handed to us. */
    f->self =
        strdup("5:pids:/system.slice/davit.service\n4:cpuset:/\n0::/system.slice/davit.service/.davit\n");
    if (setxattr(own, "user.delegate", "1", 1, 0) < 0)
        skip();
    fake_open_ok(f, NULL);
    assert_string_equal(f->tree->unified->group, "/system.slice/davit.service");
    assert_string_equal(cgroup_home(f->tree, CONTROLLER_PIDS)->group, "/system.slice/davit.service");
    assert_string_equal(cgroup_home(f->tree, CONTROLLER_CPUSET)->group, "/davit");
    assert_true(f->tree->unified->own);
    assert_int_equal(cgroup_subtree_remove(f->tree->unified), 0);
    assert_true(fake_exists(f, "/unified/system.slice/davit.service"));
}

static void undelegated_group_is_left_alone(void **state) {
    struct fake *f = *state;

    fake_unified(f, "davit");
    free(f->self);
    f->self = strdup("0::/system.slice/davit.service\n");
    fake_directory(f, "/unified/system.slice/davit.service");
    fake_open_ok(f, NULL);
    assert_string_equal(f->tree->unified->group, "/davit");
    assert_false(f->tree->unified->own);
}

static void cpuset_subtree_is_filled_from_its_parent(void **state) {
    struct fake *f = *state;

    mount_v1(f);
    fake_open_ok(f, NULL);
    fake_expect(f, "/cpuset/davit/cpuset.cpus", "0-3");
    fake_expect(f, "/cpuset/davit/cpuset.mems", "0");
}

static void create_uses_only_what_every_group_needs(void **state) {
    struct fake *f = *state;
    _cleanup_free_ char *unified_path = NULL, *expected = NULL;
    _cleanup_strv_free_ char **tasks = NULL;

    mount_hybrid(f);
    fake_open_ok(f, NULL);
    assert_int_equal(cgroup_create(f->tree, "web.container", NULL), 0);
    assert_int_equal(cgroup_create(f->tree, "web.container", NULL), 0); /* existing is fine */
    assert_true(fake_exists(f, "/unified/davit/web.container"));
    assert_true(fake_exists(f, "/memory/davit/web.container"));
    assert_true(fake_exists(f, "/pids/davit/web.container"));
    assert_true(fake_exists(f, "/cpu,cpuacct/davit/web.container"));
    assert_false(fake_exists(f, "/cpuset/davit/web.container"));
    assert_false(fake_exists(f, "/blkio/davit/web.container"));
    assert_false(fake_exists(f, "/devices/davit/web.container"));
    assert_false(fake_exists(f, "/freezer/davit/web.container"));

    /* as a limit would have it made */
    assert_int_equal(cgroup_group_make(cgroup_home(f->tree, CONTROLLER_IO), "web.container"), 1);
    assert_int_equal(cgroup_paths(f->tree, "web.container", &unified_path, &tasks), 0);
    expected = path_join(f->directory, "/unified/davit/web.container");
    assert_string_equal(unified_path, expected);
    assert_int_equal(strv_length(tasks), 4);
    STRV_FOREACH (path, tasks) {
        assert_non_null(startswith(*path, f->directory));
        assert_non_null(endswith(*path, "/davit/web.container/tasks"));
    }
    assert_int_equal(cgroup_remove(f->tree, "web.container"), 0);
    assert_false(fake_exists(f, "/blkio/davit/web.container"));
    assert_false(fake_exists(f, "/unified/davit/web.container"));
    assert_int_equal(cgroup_remove(f->tree, "web.container"), 0);
}

/* Hierarchies in which no group was ever made are not asked; one in which an earlier davitd made some is. */
static void groups_of_an_earlier_davitd_are_found(void **state) {
    struct fake *f = *state;
    _cleanup_free_ char *unified_path = NULL;
    _cleanup_strv_free_ char **tasks = NULL;

    mount_hybrid(f);
    fake_directory(f, "/blkio/davit/web.container");
    fake_open_ok(f, NULL);
    assert_int_equal(cgroup_create(f->tree, "web.container", NULL), 0);
    assert_int_equal(cgroup_paths(f->tree, "web.container", &unified_path, &tasks), 0);
    assert_int_equal(strv_length(tasks), 4);
    assert_int_equal(cgroup_remove(f->tree, "web.container"), 0);
    assert_false(fake_exists(f, "/blkio/davit/web.container"));
}

static void legacy_groups_have_a_freezer(void **state) {
    struct fake *f = *state;
    _cleanup_free_ char *unified_path = NULL;
    _cleanup_strv_free_ char **tasks = NULL;

    mount_v1(f);
    fake_open_ok(f, NULL);
    assert_int_equal(cgroup_create(f->tree, "web", NULL), 0);
    assert_true(fake_exists(f, "/freezer/davit/web"));
    assert_int_equal(cgroup_paths(f->tree, "web", &unified_path, &tasks), 0);
    assert_null(unified_path);
    assert_int_equal(strv_length(tasks), 4);
}

static void failed_create_leaves_nothing(void **state) {
    struct fake *f = *state;
    _cleanup_free_ char *pids = NULL;
    struct error e = {0};

    mount_hybrid(f);
    fake_open_ok(f, NULL);
    fake_directory(f, "/memory/davit/web"); /* was there before: stays */
    pids = path_join(f->directory, "/pids/davit");
    assert_int_equal(rmdir(pids), 0);
    assert_int_equal(cgroup_create(f->tree, "web", &e), -ENOENT);
    assert_non_null(strstr(e.text, "/pids/davit/web cannot be made"));
    assert_false(fake_exists(f, "/cpu,cpuacct/davit/web"));
    assert_true(fake_exists(f, "/memory/davit/web"));
    assert_false(fake_exists(f, "/unified/davit/web"));
}

static void names(void **state) {
    static const char *const bad[] = {"", ".", "..", "a/b", "/", ".davit", "a\nb"};
    struct fake *f = *state;
    char name[NAME_MAX + 2];

    fake_unified(f, "davit");
    fake_open_ok(f, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char *unified_path, **tasks;

        assert_int_equal(cgroup_create(f->tree, bad[i], NULL), -EINVAL);
        assert_int_equal(cgroup_remove(f->tree, bad[i]), -EINVAL);
        assert_int_equal(cgroup_paths(f->tree, bad[i], &unified_path, &tasks), -EINVAL);
        assert_int_equal(cgroup_is_populated(f->tree, bad[i]), -EINVAL);
    }
    memset(name, 'x', sizeof(name));
    name[NAME_MAX + 1] = '\0';
    assert_int_equal(cgroup_create(f->tree, name, NULL), -EINVAL);
    name[NAME_MAX] = '\0';
    assert_int_equal(cgroup_create(f->tree, name, NULL), 0);
}

static void list_is_the_union_of_all_hierarchies(void **state) {
    struct fake *f = *state;
    _cleanup_strv_free_ char **list = NULL;

    mount_hybrid(f);
    fake_directory(f, "/unified/davit/web.container");
    fake_directory(f, "/unified/davit/.davit");
    fake_directory(f, "/memory/davit/web.container");
    fake_directory(f, "/blkio/davit/left.container");
    fake_open_ok(f, NULL);
    assert_int_equal(cgroup_tree_list(f->tree, &list), 0);
    assert_int_equal(strv_length(list), 2);
    assert_string_equal(list[0], "left.container");
    assert_string_equal(list[1], "web.container");
}

static void tree_remove_takes_what_was_made(void **state) {
    struct fake *f = *state;

    fake_mount(f, "cgroup", "/pids", "/", "rw,pids");
    fake_directory(f, "/pids/was");
    fake_open_ok(f, "was/made/deep");
    assert_true(fake_exists(f, "/pids/was/made/deep"));
    assert_int_equal(cgroup_tree_remove(f->tree), 0);
    assert_false(fake_exists(f, "/pids/was/made"));
    assert_true(fake_exists(f, "/pids/was"));
}

static void tree_with_groups_stays(void **state) {
    struct fake *f = *state;

    fake_mount(f, "cgroup", "/pids", "/", "rw,pids");
    fake_open_ok(f, NULL);
    assert_int_equal(cgroup_create(f->tree, "web", NULL), 0);
    assert_true(cgroup_tree_remove(f->tree) < 0);
    assert_true(fake_exists(f, "/pids/davit/web"));
}

static void tracking_files(void **state) {
    struct fake *f = *state;

    fake_unified(f, "davit");
    fake_open_ok(f, NULL);
    fake_put(f, "/unified/davit/web/cgroup.kill", "");
    fake_put(f, "/unified/davit/web/cgroup.procs", "");
    fake_put(f, "/unified/davit/web/cgroup.freeze", "");
    fake_put(f, "/unified/davit/web/cgroup.events", "populated 1\nfrozen 0\n");
    fake_put(f, "/unified/davit/idle/cgroup.events", "populated 0\nfrozen 0\n");
    assert_int_equal(cgroup_kill(f->tree, "web", 9), 0);
    fake_expect(f, "/unified/davit/web/cgroup.kill", "");
    fake_expect(f, "/unified/davit/web/cgroup.freeze", "0");
    assert_int_equal(cgroup_freeze(f->tree, "web", true), 0);
    fake_expect(f, "/unified/davit/web/cgroup.freeze", "1");
    assert_int_equal(cgroup_freeze(f->tree, "web", false), 0);
    fake_expect(f, "/unified/davit/web/cgroup.freeze", "0");
    assert_int_equal(cgroup_is_populated(f->tree, "web"), 1);
    assert_int_equal(cgroup_is_populated(f->tree, "idle"), 0);
    assert_int_equal(cgroup_is_populated(f->tree, "none"), -ENOENT);
    assert_int_equal(cgroup_kill(f->tree, "none", 9), -ENOENT);
    assert_int_equal(cgroup_freeze(f->tree, "none", true), -ENOENT);
}

static void tracking_files_v1(void **state) {
    struct fake *f = *state;
    pid_t pids[4];

    mount_v1(f);
    fake_open_ok(f, NULL);
    fake_put(f, "/freezer/davit/web/freezer.state", "");
    fake_put(f, "/freezer/davit/web/cgroup.procs", "11\n");
    fake_put(f, "/freezer/davit/web/nested/cgroup.procs", "12\n0\n");
    fake_put(f, "/freezer/davit/idle/cgroup.procs", "");
    assert_int_equal(cgroup_freeze(f->tree, "web", true), 0);
    fake_expect(f, "/freezer/davit/web/freezer.state", "FROZEN");
    assert_int_equal(cgroup_is_populated(f->tree, "web"), 1);
    assert_int_equal(cgroup_is_populated(f->tree, "idle"), 0);
    assert_int_equal(cgroup_is_populated(f->tree, "none"), -ENOENT);
    assert_int_equal(cgroup_pids(f->tree, "web", pids, 4), 2);
    assert_int_equal(pids[0], 11);
    assert_int_equal(pids[1], 12);
    assert_int_equal(cgroup_pids(f->tree, "web", pids, 1), 1);
    assert_int_equal(cgroup_pids(f->tree, "none", pids, 1), -ENOENT);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
    const struct CMUnitTest tests[] = {
        TEST(unified),
        TEST(hybrid),
        TEST(legacy),
        TEST(nothing_mounted),
        TEST(controllers_are_enabled_top_down),
        TEST(missing_controllers_are_explained),
        TEST(unusable_hierarchy_is_dropped),
        TEST(all_unusable_is_an_error),
        TEST(bad_bases),
        TEST(mount_points_are_unescaped_and_taken_once),
        TEST(read_only_hierarchies_are_passed_over),
        TEST(mount_of_a_part),
        TEST(delegated_group_is_the_base),
        TEST(undelegated_group_is_left_alone),
        TEST(cpuset_subtree_is_filled_from_its_parent),
        TEST(create_uses_only_what_every_group_needs),
        TEST(groups_of_an_earlier_davitd_are_found),
        TEST(legacy_groups_have_a_freezer),
        TEST(failed_create_leaves_nothing),
        TEST(names),
        TEST(list_is_the_union_of_all_hierarchies),
        TEST(tree_remove_takes_what_was_made),
        TEST(tree_with_groups_stays),
        TEST(tracking_files),
        TEST(tracking_files_v1),
    };

    return cmocka_run_group_tests_name("cgroup tree", tests, NULL, NULL);
}
