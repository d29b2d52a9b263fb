/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes that enter namespaces which exist: a command in a running container, and everything that belongs
 * on the host.
 *
 * A joining process is at its weakest between setns(2) and execve(2): it is in reach of what runs inside
 * while it still has our memory and descriptors. Therefore the launcher is not dumpable (nobody inside may
 * ptrace it or open its /proc/PID/fd), the PID namespace is joined at birth, and nothing of the container's
 * /proc is used.
 */
#include <grp.h>
#include <inttypes.h>

#include "base/fs.h"
#include "launch/internal.h"

static int join_failed(int number, struct error *e) {
    if (number == ESRCH)
        return error_set(e, ESRCH, "the container is not running any more");
    return error_set_errno(e, number, "setns");
}

int join_pid_namespace(int pidfd, struct error *e) {
    if (setns(pidfd, CLONE_NEWPID) >= 0)
        return 0;
    int r = join_failed(errno, e);
    error_set_step(e, "join");
    return r;
}

/* Fails only if the kernel takes our privileges away; then every later child would be born in a container. */
void leave_pid_namespace(const struct launcher *l) {
    if (setns(l->own_pid_ns, CLONE_NEWPID) < 0)
        abort();
}

/* Pid behind a pidfd, as /proc knows it. -ESRCH if it is gone. */
static int pidfd_pid(int pidfd, pid_t *ret) {
    _cleanup_free_ char *text = NULL;
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
    int r = file_read(AT_FDCWD, path, 4096, &text, NULL);
    if (r < 0)
        return r;
    const char *field = strstr(text, "\nPid:");
    long pid = field ? strtol(field + 5, NULL, 10) : 0;
    if (pid <= 0)
        return -ESRCH;
    *ret = (pid_t)pid;
    return 0;
}

/* Joining the user namespace that one is in already is an error, so whether it is another one must be known.
 */
static int has_other_userns(int pidfd, bool *ret) {
    char path[64];
    struct stat theirs, ours;
    pid_t pid;

    int r = pidfd_pid(pidfd, &pid);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
    if (stat(path, &theirs) < 0 || stat("/proc/self/ns/user", &ours) < 0)
        return negative_errno();
    /* Still alive, so the number was its own all the time. */
    r = sys_pidfd_send_signal(pidfd, 0);
    if (r < 0)
        return r;
    *ret = theirs.st_ino != ours.st_ino || theirs.st_dev != ours.st_dev;
    return 0;
}

static int open_root(struct child *c, struct error *e) {
    c->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return c->root_fd < 0 ? error_set_errno(e, errno, "open /") : 0;
}

int step_join(struct child *c, struct error *e) {
    int pidfd = c->p->fds[c->spec->join_pidfd];
    struct stat before;
    bool userns = false;

    int r = has_other_userns(pidfd, &userns);
    if (r < 0)
        return r == -ESRCH ? join_failed(ESRCH, e)
                           : error_set_errno(e, r, "look at the container's user namespace");
    if (stat("/", &before) < 0)
        return error_set_errno(e, errno, "stat /");
    int flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP;
    if (setns(pidfd, flags | (userns ? CLONE_NEWUSER : 0)) < 0)
        return join_failed(errno, e);
    /* Before its pivot_root a container stands in the launcher's own tree. */
    struct stat now;
    if (stat("/", &now) < 0 || now.st_dev == before.st_dev)
        return error_set(e, EAGAIN, "the container is still being made");
    if (userns && (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
        return error_set_errno(e, errno, "become root of the user namespace");
    return open_root(c, e);
}

int step_host_root(struct child *c, struct error *e) {
    int r = host_enter(c->p->launcher, e);
    return r < 0 ? r : open_root(c, e);
}
