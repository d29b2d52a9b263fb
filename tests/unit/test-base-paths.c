/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/paths.h"

#include <setjmp.h>

#include <cmocka.h>

static int clear_environment(void **state) {
    (void)state;
    static const char *const names[] = {"DAVIT_CONFIG", "DAVIT_RUNTIME_DIR", "DAVIT_STATE_DIR",
        "DAVIT_LOG_DIR", "DAVIT_UNIT_PATH", "DAVIT_LIBEXEC_DIR", "DAVIT_CGROUP"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        unsetenv(names[i]);
    return 0;
}

static void defaults(void **state) {
    (void)state;
    _cleanup_(paths_done) struct paths p = {};

    assert_int_equal(paths_load(&p), 0);
    assert_string_equal(p.runtime, "/run/davit");
    assert_string_equal(p.state, "/var/lib/davit");
    assert_string_equal(p.log, "/var/log/davit");
    assert_null(p.cgroup);
    assert_int_equal(strv_length(p.unit_path), 3);
    /* Highest precedence first, as Quadlet has it. */
    assert_string_equal(p.unit_path[0], "/run/davit/units");
}

static void everything_can_be_moved(void **state) {
    (void)state;
    _cleanup_(paths_done) struct paths p = {};

    setenv("DAVIT_CONFIG", "/x//davit.conf", 1);
    setenv("DAVIT_RUNTIME_DIR", "/x/run/", 1);
    setenv("DAVIT_STATE_DIR", "/x/state", 1);
    setenv("DAVIT_LOG_DIR", "/x/log", 1);
    setenv("DAVIT_LIBEXEC_DIR", "/x/bin", 1);
    setenv("DAVIT_CGROUP", "fleet-2", 1);
    assert_int_equal(paths_load(&p), 0);
    assert_string_equal(p.config, "/x/davit.conf");
    assert_string_equal(p.runtime, "/x/run");
    assert_string_equal(p.state, "/x/state");
    assert_string_equal(p.log, "/x/log");
    assert_string_equal(p.libexec, "/x/bin");
    assert_string_equal(p.cgroup, "fleet-2");
    assert_string_equal(p.unit_path[0], "/x/run/units");
}

static void unit_path_is_a_list(void **state) {
    (void)state;
    _cleanup_(paths_done) struct paths p = {};

    setenv("DAVIT_UNIT_PATH", "/b/:/a::/c/./d", 1);
    assert_int_equal(paths_load(&p), 0);
    _cleanup_free_ char *joined = strv_join(p.unit_path, "|");
    assert_string_equal(joined, "/b|/a|/c/d");
}

static void relative_paths_are_refused(void **state) {
    (void)state;
    struct paths p = {.config = (char *)"untouched"};

    setenv("DAVIT_STATE_DIR", "state", 1);
    assert_int_equal(paths_load(&p), -EINVAL);
    unsetenv("DAVIT_STATE_DIR");
    setenv("DAVIT_UNIT_PATH", "/a:b", 1);
    assert_int_equal(paths_load(&p), -EINVAL);
    assert_string_equal(p.config, "untouched");
}

static void empty_variable_counts_as_unset(void **state) {
    (void)state;
    _cleanup_(paths_done) struct paths p = {};

    setenv("DAVIT_STATE_DIR", "", 1);
    setenv("DAVIT_CGROUP", "", 1);
    setenv("DAVIT_UNIT_PATH", "", 1);
    assert_int_equal(paths_load(&p), 0);
    assert_string_equal(p.state, "/var/lib/davit");
    assert_null(p.cgroup);
    assert_int_equal(strv_length(p.unit_path), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults, clear_environment),
        cmocka_unit_test_setup(everything_can_be_moved, clear_environment),
        cmocka_unit_test_setup(unit_path_is_a_list, clear_environment),
        cmocka_unit_test_setup(relative_paths_are_refused, clear_environment),
        cmocka_unit_test_setup(empty_variable_counts_as_unset, clear_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
