/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Saved state across versions of davitd, with the real names of states. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/fs.h"
#include "manager/rooms.h"

/* The file is of davitd 0.1 and stays as it is: whatever becomes of the format, this must be read. */
static void state_of_an_earlier_version_is_read(void **state _unused_) {
    _cleanup_free_ char *path = strf("%s/tests/data/state-1/web.container", getenv("DAVIT_SOURCE") ?: ".");
    _cleanup_free_ char *text = NULL;
    struct managed_unit *u = calloc(1, sizeof *u);

    u->name = strdup("web.container");

    assert_int_equal(file_read(AT_FDCWD, path, 65536, &text, NULL), 0);
    assert_int_equal(saved_parse(u, text), 0);
    assert_int_equal(u->state, STATE_RUNNING);
    assert_int_equal(u->step, STEP_NONE);
    assert_int_equal(u->result, RESULT_SUCCESS);
    assert_string_equal(u->status_text, "two\nlines");
    assert_int_equal(u->active_since, 8123456789);
    assert_string_equal(u->invocation, "3f2a9b0c4d5e6f708192a3b4c5d6e7f8");
    assert_int_equal(u->restarts, 3);
    assert_true(u->ready_received);
    assert_int_equal(u->main_status, 9);
    assert_int_equal(u->recovered_main.request, 8123400000);
    assert_int_equal(u->recovered_main.pid, 4711);
    assert_int_equal(u->recovered_main.stage, PROCESS_STARTED);
    assert_false(u->recovered_main.foreign);
    assert_int_equal(u->recovered_control.request, 0);
    assert_true(u->resources.cgroup);
    assert_int_equal(u->resources.id_base, 524288);
    assert_int_equal(strv_length(u->resources.anonymous_volumes), 1);
    strv_free(u->resources.anonymous_volumes);
    free(u->resources.upper_dir);
    free(u->status_text);
    free(u->name);
    free(u);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_of_an_earlier_version_is_read),
    };
    return cmocka_run_group_tests_name("saved state of other versions", tests, NULL, NULL);
}
