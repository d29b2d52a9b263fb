/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-core.c */
/* wrap: process_start process_kill process_free */
/* The process that fills volumes: it is this test that says when it ends. */
#include "fake-core.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "manager/spec_internal.h"

static struct process process;
static unsigned started, killed;

int __wrap_process_start(struct manager *m, struct managed_unit *unit, enum process_role role,
    struct container_spec *spec, const int *fds, size_t n_fds, const struct process_callbacks *callbacks,
    void *userdata, struct process **ret, struct error *e);
int __wrap_process_kill(struct process *p, int signal);
void __wrap_process_free(struct process *p);

int __wrap_process_start(struct manager *m _unused_, struct managed_unit *unit _unused_,
    enum process_role role _unused_, struct container_spec *spec, const int *fds _unused_,
    size_t n_fds _unused_, const struct process_callbacks *callbacks, void *userdata, struct process **ret,
    struct error *e _unused_) {
    assert_int_equal(spec->kind, SPEC_FILL);
    process = (struct process){.pid = 4711, .callbacks = callbacks, .userdata = userdata};
    *ret = &process;
    started++;
    return 0;
}

int __wrap_process_kill(struct process *p, int signal) {
    assert_ptr_equal(p, &process);
    assert_int_equal(signal, SIGKILL);
    killed++;
    return 0;
}

void __wrap_process_free(struct process *p) {
    (void)p;
}

static void ends(int code, int status) {
    process.callbacks->exited(&process, &(struct process_exit){.code = code, .status = status});
}

static int setup(void **state) {
    (void)state;
    fake_core_new();
    started = killed = 0;
    static const char *const directories[] = {"images/plain/data", "volumes/data/_data"};
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
        assert_int_equal(mkdir_parents(fake->m.state_fd, directories[i], 0755), 0);
    return 0;
}

/* As after prepare_start() has found the image. */
static int fill(struct managed_unit *u) {
    const struct image *image;
    struct error e = {};

    u->fill_tried = false;
    if (spec_image(u, &image, &e) < 0)
        fail_msg("%s", e.text);
    int r = fill_start(u, &e);
    if (r < 0 && r != -EBUSY)
        fail_msg("%s", e.text);
    return r;
}

/* Its end cleans up the unit as it is then: it would be a container that was started meanwhile. */
static void a_fill_that_is_not_over_is_waited_for_also_when_a_reload_took_the_volumes_away(void **state) {
    (void)state;
    struct managed_unit *u =
                            fake_unit("a.container", "[Container]\nImage=plain\nExec=x\nVolume=data:/data\n"),
                        *without = fake_unit("b.container", "[Container]\nImage=plain\nExec=x\n");

    assert_int_equal(fill(u), 0);
    assert_int_equal(started, 1);
    fill_cancel(u);
    assert_int_equal(killed, 1); /* and it stays: in the kernel, on a disk that does not answer */
    assert_int_equal(fill(u), -EBUSY);
    struct unit *with = u->config;
    u->config = without->config;
    without->config = with;
    assert_int_equal(fill(u), -EBUSY);
    ends(CLD_KILLED, SIGKILL);
    assert_null(u->fill);
    assert_int_equal(fill(u), 0);
    assert_int_equal(started, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_fill_that_is_not_over_is_waited_for_also_when_a_reload_took_the_volumes_away, setup,
            fake_core_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
