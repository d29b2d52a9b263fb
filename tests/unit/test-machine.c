/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* init/machine.h: machine, container or process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "init/machine.h"

static void only_pid_1_can_be_more_than_a_process(void **state) {
    (void)state;
    const struct role_facts facts[] = {{.pid = 2}, {.pid = 2, .container = "docker"},
        {.pid = 400, .marked = true, .foreign_namespace = true}};
    for (size_t i = 0; i < ARRAY_SIZE(facts); i++)
        assert_int_equal(init_role_decide(&facts[i]), ROLE_PROCESS);
}

static void any_sign_of_a_container_is_enough(void **state) {
    (void)state;
    const struct role_facts facts[] = {{.pid = 1, .container = "lxc"}, {.pid = 1, .marked = true},
        {.pid = 1, .foreign_namespace = true}, {.pid = 1, .container = "", .foreign_namespace = true}};
    for (size_t i = 0; i < ARRAY_SIZE(facts); i++)
        assert_int_equal(init_role_decide(&facts[i]), ROLE_CONTAINER);
}

static void pid_1_without_any_sign_is_a_machine(void **state) {
    (void)state;
    assert_int_equal(init_role_decide(&(struct role_facts){.pid = 1}), ROLE_MACHINE);
    assert_int_equal(init_role_decide(&(struct role_facts){.pid = 1, .container = ""}), ROLE_MACHINE);
}

static void a_test_is_a_process(void **state) {
    (void)state;
    if (getpid() == 1)
        skip();
    assert_int_equal(init_role(), ROLE_PROCESS);
    assert_string_equal(init_role_name(init_role()), "process");
    assert_string_equal(init_container_manager(), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_pid_1_can_be_more_than_a_process),
        cmocka_unit_test(any_sign_of_a_container_is_enough),
        cmocka_unit_test(pid_1_without_any_sign_is_a_machine),
        cmocka_unit_test(a_test_is_a_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
