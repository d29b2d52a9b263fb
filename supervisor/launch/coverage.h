/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For `make coverage` only: a child that ends by execve or _exit has to write its counters itself, and from
 * inside a container there is no way to their files. So such a build keeps a descriptor of the host's root
 * and goes there for a moment. What has no CAP_SYS_CHROOT any more is not counted. In every other build this
 * is nothing.
 */
#pragma once

#ifdef DAVIT_COVERAGE
#include <fcntl.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

/* gcc's own execve() would write the counters into the container. */
#define execve(path, argv, env) (coverage_save(), syscall(SYS_execve, path, argv, env))

extern int coverage_host_root; /* launcher.c */
void __gcov_dump(void);
void __gcov_reset(void);

static inline void coverage_save(void) {
    int root = open("/", O_PATH | O_CLOEXEC), here = open(".", O_PATH | O_CLOEXEC);

    /* Complaints about files that are not for us must not become the container's output. */
    int error = fcntl(2, F_DUPFD_CLOEXEC, 3);
    (void)dup2(coverage_host_root, 2);
    if (fchdir(coverage_host_root) == 0 && chroot(".") == 0)
        __gcov_dump();
    __gcov_reset();
    bool back = fchdir(root) == 0 && chroot(".") == 0;
    back = fchdir(here) == 0 && back;
    (void)back;
    if (error >= 0)
        (void)dup2(error, 2);
    close(error);
    close(root);
    close(here);
}
#else
static inline void coverage_save(void) {}
#endif
