/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System calls that the C library has no function for, and flags newer than its headers. Every wrapper
 * returns the call's value or a negative errno, so that no caller looks at errno.
 */
#pragma once

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/macro.h"

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

/* struct clone_args of linux/sched.h, whose other names clash with sched.h. */
struct clone_request {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    uint64_t set_tid, set_tid_size, cgroup;
} __attribute__((aligned(8)));

static inline int result_or_errno(long r) {
    return r < 0 ? negative_errno() : (int)r;
}

static inline int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
    return result_or_errno(syscall(SYS_openat2, dirfd, path, &how, sizeof(how)));
}

static inline int sys_ioprio_set(pid_t pid, uint32_t priority) {
    return result_or_errno(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, priority));
}

static inline int sys_clone3(struct clone_request *r) {
    return result_or_errno(syscall(SYS_clone3, r, sizeof(*r)));
}

static inline int sys_pivot_root(const char *new_root, const char *put_old) {
    return result_or_errno(syscall(SYS_pivot_root, new_root, put_old));
}

/* signal(number, SIG_DFL) also for 32 and 33, which libc keeps for its threads and refuses to touch. The
 * struct is the kernel's, not libc's. */
static inline int sys_signal_default(int number) {
    const struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
    } action = {.handler = SIG_DFL};
    return result_or_errno(syscall(SYS_rt_sigaction, number, &action, NULL, sizeof(action.mask)));
}

/* An anonymous session keyring, so that the container has none of ours. */
static inline int sys_join_session_keyring(void) {
    return result_or_errno(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));
}

static inline int sys_capset(struct __user_cap_header_struct *header, struct __user_cap_data_struct *data) {
    return result_or_errno(syscall(SYS_capset, header, data));
}

static inline int sys_capget(struct __user_cap_header_struct *header, struct __user_cap_data_struct *data) {
    return result_or_errno(syscall(SYS_capget, header, data));
}

static inline int sys_pidfd_send_signal(int pidfd, int signal) {
    return result_or_errno(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}

/* getcwd(3) hides an unreachable directory behind a walk of its own: ask the kernel. */
static inline int sys_getcwd(char *buffer, size_t size) {
    return result_or_errno(syscall(SYS_getcwd, buffer, size));
}
