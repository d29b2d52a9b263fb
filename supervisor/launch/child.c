/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A child from its first instruction to its program. The table below is the order of everything; each step is
 * a function with a name that users see when it fails.
 *
 * On failure the child writes one struct error to the status pipe, waits for its launcher's byte like any
 * other child (whoever can show up in the exit feed must be known before), and exits with 125, 126 or 127.
 */
#include <grp.h>

#include "base/fs.h"
#include "launch/coverage.h"
#include "launch/internal.h"

/* ---- the first steps, the same for all ---- */

/* v1 hierarchies: "0" means the writer, which spares the RCU wait of moving another process. */
static int step_cgroup(struct child *c, struct error *e) {
    for (size_t i = 0; i < c->p->n_tasks_fds; i++)
        if (write(c->p->tasks_fds[i], "0", 1) < 0)
            return error_set_errno(e, errno, "write to %s", c->spec->cgroup_v1_tasks[i]);
    return 0;
}

static int step_session(struct child *c, struct error *e) {
    (void)c;
    umask(0); /* modes below are meant as written */
    if (setsid() < 0)
        return error_set_errno(e, errno, "setsid");
    int r = sys_join_session_keyring();
    /* EPERM: the system call filter that we are under ourselves (systemd-nspawn's and docker's have it) keeps
     * the container from all keyrings. */
    return r < 0 && r != -ENOSYS && r != -EPERM ? error_set_errno(e, r, "join a session keyring") : 0;
}

/* In a user namespace we are nobody until the maps are there, then its root. */
static int step_id_maps(struct child *c, struct error *e) {
    if (!(c->spec->namespaces & NS_USER))
        return 0;
    int r = child_wait(c, 'm', e);
    if (r < 0)
        return r;
    if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return error_set_errno(e, errno, "become root of the user namespace");
    return 0;
}

static int step_cgroup_namespace(struct child *c, struct error *e) {
    if ((c->spec->namespaces & NS_CGROUP) && unshare(CLONE_NEWCGROUP) < 0)
        return error_set_errno(e, errno, "unshare cgroup namespace");
    return 0;
}

/* ---- the order ---- */

#define CONTAINER (1u << SPEC_CONTAINER)
#define EXEC (1u << SPEC_EXEC)
#define PROCESS (1u << SPEC_PROCESS)
#define TASK (1u << SPEC_TASK)
#define FILL (1u << SPEC_FILL)

static const struct {
    const char *name;
    step_function function;
    unsigned kinds;
} steps[] = {
    {"cgroup", step_cgroup, CONTAINER | EXEC | PROCESS | TASK},
    {"session", step_session, CONTAINER | EXEC | PROCESS | TASK | FILL},
    /* rlimits that only rise outside of a user namespace */
    {"rlimits", step_raise_limits, EXEC},
    {"join", step_join, EXEC},
    {"host", step_host_root, PROCESS | TASK},
    {"id-maps", step_id_maps, CONTAINER},
    {"cgroup-namespace", step_cgroup_namespace, CONTAINER},
    {"propagation", step_propagation, CONTAINER},
    {"rootfs", step_rootfs, CONTAINER},
    {"proc", step_proc, CONTAINER},
    {"sys", step_sys, CONTAINER},
    {"dev", step_dev, CONTAINER},
    /* after /dev and /sys, so that a volume can be in them */
    {"mounts", step_mounts, CONTAINER},
    {"devices", step_devices, CONTAINER},
    {"host-interface", step_host_interface, CONTAINER},
    {"hostname", step_hostname, CONTAINER},
    {"network", step_network, CONTAINER},
    {"working-directory", step_make_working_directory, CONTAINER},
    /* before /proc/sys turns read-only */
    {"sysctls", step_sysctls, CONTAINER},
    {"masks", step_masks, CONTAINER},
    {"read-only", step_read_only, CONTAINER},
    {"pivot_root", step_pivot_root, CONTAINER},
    {"stdio", step_stdio, CONTAINER | EXEC | PROCESS},
    {"working-directory", step_working_directory, CONTAINER | EXEC | PROCESS},
    {"rlimits", step_rlimits, CONTAINER | EXEC | PROCESS},
    {"seccomp", step_seccomp_privileged, CONTAINER | EXEC | PROCESS},
    {"user", step_user, CONTAINER | EXEC | PROCESS},
    {"capabilities", step_capabilities, CONTAINER | EXEC | PROCESS},
    {"seccomp", step_seccomp, CONTAINER | EXEC | PROCESS},
};

/* ---- barrier, failure, execution ---- */

static ssize_t read_whole(int fd, void *data, size_t n) {
    ssize_t r;
    do
        r = read(fd, data, n);
    while (r < 0 && errno == EINTR);
    return r;
}

int child_wait(struct child *c, char expected, struct error *e) {
    char byte;

    if (read_whole(c->barrier_fd, &byte, 1) != 1) {
        error_set(e, ECANCELED, "the launcher died");
        return -ECANCELED;
    }
    if (byte == expected)
        return 0;
    if (byte == 'e' && read_whole(c->barrier_fd, e, sizeof(*e)) == sizeof(*e) && e->number > 0)
        return -e->number;
    return error_set(e, EPROTO, "unexpected byte %d from the launcher", byte);
}

static int exit_status(const struct error *e) {
    if (strcmp(e->step, "execve") != 0)
        return LAUNCH_EXIT_SETUP;
    return e->number == ENOENT ? LAUNCH_EXIT_NOT_FOUND : LAUNCH_EXIT_CANNOT_EXEC;
}

/* Until 'g' or the launcher's end; what else it sent is of no interest any more. */
static void wait_until_known(int barrier_fd) {
    struct error ignored;
    char byte;

    while (read_whole(barrier_fd, &byte, 1) == 1 && byte != 'g')
        if (byte == 'e')
            (void)read_whole(barrier_fd, &ignored, sizeof(ignored));
}

void child_fail(struct child *c, const struct error *e) {
    coverage_save();
    (void)!write(c->status_fd, e, sizeof(*e));
    close(c->status_fd);
    if (c->barrier_fd >= 0)
        wait_until_known(c->barrier_fd);
    _exit(exit_status(e));
}

static void _noreturn_ run_chore(struct child *c) {
    struct error error = {};

    close(c->status_fd);
    int r = task_run(c->spec, &error);
    if (r < 0 && c->p->standard[2] >= 0) {
        char text[ERROR_TEXT_MAX + ERROR_STEP_MAX + 4];
        dprintf(c->p->standard[2], "%s\n", error_format(&error, text, sizeof(text)));
    }
    coverage_save();
    _exit(r < 0 ? 1 : 0);
}

/* The status pipe stays open until it is done: its end is the good news. */
static void _noreturn_ run_fill(struct child *c) {
    struct error error = {};

    if (volumes_fill(c->p, &error) < 0) {
        error_set_step(&error, "volumes");
        child_fail(c, &error);
    }
    coverage_save();
    _exit(0);
}

void child_run(struct child *c) {
    struct error error = {};
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(steps) && r >= 0; i++) {
        if (!(steps[i].kinds & (1u << c->spec->kind)))
            continue;
        r = steps[i].function(c, &error);
        if (r < 0)
            error_set_step(&error, steps[i].name);
    }
    if (r < 0)
        child_fail(c, &error);

    r = child_wait(c, 'g', &error);
    if (r < 0) {
        error_set_step(&error, "launcher");
        child_fail(c, &error);
    }
    /* The barrier stays open until execve closes it: child_fail() waits at it for a caller that wants to have
     * told of the failure before the end is seen (launch_go()). */
    if (c->spec->kind == SPEC_TASK)
        run_chore(c);
    if (c->spec->kind == SPEC_FILL)
        run_fill(c);
    if (c->spec->run_init)
        init1_run(c);
    (void)child_execute(c, &error);
    child_fail(c, &error);
}
