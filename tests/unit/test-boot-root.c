/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* boot/root.h: the root file system as the kernel's command line names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/root.h"

static char *line_of(const char *command_line) {
    _cleanup_(root_options_done) struct root_options o = {};

    assert_int_equal(root_options_parse(command_line, &o), 0);
    return root_fstab_line(&o);
}

static void words_become_a_line_of_fstab(void **state) {
    (void)state;
    static const struct {
        const char *command_line, *line;
    } table[] = {
        {"root=/dev/vda1", "/dev/vda1 /sysroot auto ro"},
        {"quiet root=UUID=1-2 rw console=ttyS0\n", "UUID=1-2 /sysroot auto rw"},
        {"root=LABEL=a rootfstype=erofs rootflags=noacl,dax ro", "LABEL=a /sysroot erofs ro,noacl,dax"},
        {"root=/dev/a ro root=/dev/b rw", "/dev/b /sysroot auto rw"},
        {"xroot=/dev/a root=/dev/b rootflags=", "/dev/b /sysroot auto ro"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        _cleanup_free_ char *line = line_of(table[i].command_line);
        assert_string_equal(line, table[i].line);
    }
}

static void init_is_taken_and_nothing_else(void **state) {
    (void)state;
    _cleanup_(root_options_done) struct root_options o = {};

    assert_int_equal(root_options_parse("init=/sbin/other rdinit=/x", &o), 0);
    assert_string_equal(o.init, "/sbin/other");
    assert_null(o.root);
    assert_false(o.writable);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_become_a_line_of_fstab),
        cmocka_unit_test(init_is_taken_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
