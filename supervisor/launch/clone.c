/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a prepared launch to a child at the barrier: one clone3(), and what only a process outside the new
 * user namespace can do for the child (id maps, raised limits).
 *
 * Two pipes join launcher and child. The barrier goes to the child: 'm' when the id maps are written, 'g'
 * when it may execute, 'e' and a struct error when something failed out here; its end without 'g' means that
 * the launcher is gone and nobody knows of the child. The status pipe goes to whoever asked for the launch.
 */
#include "launch/internal.h"

static const struct {
    uint32_t spec;
    uint64_t clone;
} namespace_flags[] = {
    {NS_MOUNT, CLONE_NEWNS}, {NS_UTS, CLONE_NEWUTS}, {NS_IPC, CLONE_NEWIPC}, {NS_PID, CLONE_NEWPID},
    {NS_NETWORK, CLONE_NEWNET}, {NS_USER, CLONE_NEWUSER},
    /* Not CLONE_NEWCGROUP: its root would be our group. The child unshares it once it is in its own. */
};

struct pipes {
    int status[2], barrier[2]; /* reading end, writing end */
};

static void pipes_close(struct pipes *p) {
    for (size_t i = 0; i < 2; i++) {
        closep(&p->status[i]);
        closep(&p->barrier[i]);
    }
}

static uint64_t clone_flags(const struct container_spec *s, enum launch_flags flags) {
    /* A host process goes to the host's mount namespace by setns(2), and cannot take a user namespace there.
     */
    uint32_t wanted =
        s->kind == SPEC_CONTAINER ? s->namespaces : s->namespaces & ~(uint32_t)(NS_MOUNT | NS_USER);
    uint64_t r = CLONE_PIDFD | (flags & LAUNCH_CLONE_PARENT ? CLONE_PARENT : 0);

    if (s->kind == SPEC_EXEC || s->kind == SPEC_TASK || s->kind == SPEC_FILL)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(namespace_flags); i++)
        if (wanted & namespace_flags[i].spec)
            r |= namespace_flags[i].clone;
    return r;
}

/* In the child: forgets the launcher's ends of the pipes, or it would never see them close. */
static void _noreturn_ start_child(struct prepared *p, struct pipes *pipes) {
    struct child c = {
        .p = p,
        .spec = p->spec,
        .root_fd = -1,
        .proc_fd = -1,
        .dev_fd = -1,
        .status_fd = pipes->status[1],
        .barrier_fd = pipes->barrier[0],
    };

    close(pipes->status[0]);
    close(pipes->barrier[1]);
    if (p->spec->kind != SPEC_CONTAINER)
        prepared_release_layers(p);
    child_run(&c);
}

static pid_t clone_child(
    struct prepared *p, struct pipes *pipes, enum launch_flags flags, int *ret_pidfd, struct error *e) {
    int pidfd = -1;
    struct clone_request request = {
        .flags = clone_flags(p->spec, flags),
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        /* With CLONE_PARENT the signal is our own exit signal. */
        .exit_signal = flags & LAUNCH_CLONE_PARENT ? 0 : SIGCHLD,
    };

    if (p->cgroup_fd >= 0) {
        request.flags |= CLONE_INTO_CGROUP;
        request.cgroup = (uint64_t)p->cgroup_fd;
    }
    pid_t pid = sys_clone3(&request);
    if (pid == 0)
        start_child(p, pipes);
    if (pid < 0) {
        error_set_errno(e, pid, "clone3 with flags 0x%jx%s%s", (uintmax_t)request.flags,
            p->cgroup_fd >= 0 ? " into " : "", p->cgroup_fd >= 0 ? p->spec->cgroup_unified : "");
        error_set_step(e, "clone");
        return pid;
    }
    *ret_pidfd = pidfd;
    return pid;
}

static void barrier_write(int fd, const void *data, size_t n) {
    /* The child may be dead; who waits for it learns that otherwise. */
    (void)!write(fd, data, n);
}

/* What the child cannot do for itself. A failure is handed to it, to report as its own: it exists, so it has
 * to end in the way every child does. */
static void serve_child(pid_t pid, const struct container_spec *s, int barrier_fd) {
    struct error error = {};
    int r = settings_from_outside(pid, s, &error);

    if (r >= 0 && s->kind == SPEC_CONTAINER && (s->namespaces & NS_USER)) {
        r = idmap_write(pid, s, &error);
        if (r >= 0)
            barrier_write(barrier_fd, "m", 1);
        else
            error_set_step(&error, "id-maps");
    }
    if (r < 0) {
        barrier_write(barrier_fd, "e", 1);
        barrier_write(barrier_fd, &error, sizeof(error));
    }
}

static int launch_prepared(
    struct prepared *p, enum launch_flags flags, struct launched *ret, struct error *e) {
    _cleanup_(pipes_close) struct pipes pipes = {{-1, -1}, {-1, -1}};
    const struct container_spec *s = p->spec;

    if (pipe2(pipes.status, O_CLOEXEC) < 0 || pipe2(pipes.barrier, O_CLOEXEC) < 0)
        return error_set_errno(e, errno, "pipe");
    if (s->kind == SPEC_EXEC) {
        int r = join_pid_namespace(p->fds[s->join_pidfd], e);
        if (r < 0)
            return r;
    }
    int pidfd = -1;
    pid_t pid = clone_child(p, &pipes, flags, &pidfd, e);
    if (s->kind == SPEC_EXEC)
        leave_pid_namespace(p->launcher);
    volumes_unlock(p);
    if (pid < 0)
        return pid;
    serve_child(pid, s, pipes.barrier[1]);
    *ret = (struct launched){.pid = pid, .pidfd = pidfd};
    ret->status_fd = TAKE_FD(pipes.status[0]);
    ret->go_fd = TAKE_FD(pipes.barrier[1]);
    return 0;
}

int launch_begin(struct launcher *l, const struct container_spec *s, const int *fds, enum launch_flags flags,
    struct launched *ret, struct error *e) {
    struct prepared *p = malloc(sizeof(*p));

    if (!p)
        return error_set(e, ENOMEM, "out of memory");
    int r = prepare(l, s, fds, p, e);
    if (r < 0) {
        free(p);
        return r;
    }
    r = launch_prepared(p, flags, ret, e);
    if (r < 0) {
        prepared_done(p);
        free(p);
        return r;
    }
    ret->prepared = p;
    return 0;
}

void launch_go(struct launched *d) {
    barrier_write(d->go_fd, "g", 1);
}

void launch_release(struct launched *d) {
    launch_go(d);
    close_and_reset(&d->go_fd);
}

void launched_done(struct launched *d) {
    close_and_reset(&d->go_fd);
    close_and_reset(&d->status_fd);
    close_and_reset(&d->pidfd);
    if (d->prepared)
        prepared_done(d->prepared);
    free(TAKE_PTR(d->prepared));
}
