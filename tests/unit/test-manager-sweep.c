/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-core.c */
/* wrap: notify_path */
/* What a davitd that comes up takes away, and that it does not take long. */
#include "fake-core.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "cgroup/internal.h"

#define UNITS 300

static struct cgroup_tree no_groups;
static unsigned paths_made;

int __real_notify_path(const struct managed_unit *u, char **ret);
int __wrap_notify_path(const struct managed_unit *u, char **ret);

int __wrap_notify_path(const struct managed_unit *u, char **ret) {
    paths_made++;
    return __real_notify_path(u, ret);
}

static int setup(void **state) {
    (void)state;
    fake_core_new();
    fake->m.cgroups = &no_groups;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    struct managed_unit *u;

    HASHMAP_FOREACH (u, fake->m.units)
        notify_close(u);
    fake_core_done();
    return 0;
}

static struct managed_unit *unit_with_socket(const char *name) {
    struct managed_unit *u = fake_unit(name, "[Container]\nImage=/\nExec=x\nNotify=yes\n");
    struct error e = {};

    if (notify_create(u, &e) < 0)
        fail_msg("%s", e.text);
    return u;
}

static bool has_socket(const struct managed_unit *u) {
    _cleanup_free_ char *path = NULL;

    assert_int_equal(__real_notify_path(u, &path), 0);
    return access(path, F_OK) == 0;
}

/* A thousand sockets and as many units took a third of a second when all were compared with all. */
static void what_a_sweep_costs_grows_with_the_fleet_and_no_faster(void **state) {
    (void)state;
    char name[128];
    struct managed_unit *u;

    for (unsigned i = 0; i < UNITS; i++) {
        (void)snprintf(name, sizeof(name), "unit%u.container", i);
        (void)unit_with_socket(name);
    }
    memset(name, 'x', sizeof(name));
    (void)strcpy(name + 90, ".container");
    (void)unit_with_socket(name); /* too long for a socket's */
    _cleanup_free_ char *stray = strf("%s/notify/old.container", fake->m.paths.runtime);
    assert_int_equal(file_write_atomic(AT_FDCWD, stray, "", 0, 0600, false), 0);

    paths_made = 0;
    cleanup_sweep(&fake->m);
    HASHMAP_FOREACH (u, fake->m.units)
        assert_true(has_socket(u));
    assert_int_equal(access(stray, F_OK), -1);
    assert_true(paths_made <= 2 * (UNITS + 1)); /* for the long name, and for what is nobody's */
}

static void text_below(const char *name) {
    _cleanup_free_ char *path = strf("%s/" RUN_TEXTS "/%s", fake->m.paths.runtime, name);

    assert_int_equal(mkdir_parents(fake->m.runtime_fd, RUN_TEXTS, 0700), 0);
    assert_int_equal(file_write_atomic(AT_FDCWD, path, "", 0, 0600, false), 0);
}

static void texts_of_one_off_containers_that_are_gone_do_not_stay_for_ever(void **state) {
    (void)state;

    (void)fake_unit("here.container", "[Container]\nImage=/\nExec=x\n");
    text_below("here.container");
    cleanup_sweep(&fake->m);
    assert_string_equal(fake->kept_text, "");
    text_below("gone.container");
    cleanup_sweep(&fake->m);
    assert_string_equal(fake->kept_text, "gone.container");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            what_a_sweep_costs_grows_with_the_fleet_and_no_faster, setup, teardown),
        cmocka_unit_test_setup_teardown(
            texts_of_one_off_containers_that_are_gone_do_not_stay_for_ever, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
