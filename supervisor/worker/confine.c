/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/confine.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

/* ---- descriptors, resources ---- */

int confine_close_others(int keep) {
    unsigned first = STDERR_FILENO + 1;

    if (keep >= (int)first) {
        if (keep > (int)first && close_range(first, (unsigned)keep - 1, 0) < 0)
            return negative_errno();
        first = (unsigned)keep + 1;
    }
    return close_range(first, ~0U, 0) < 0 ? negative_errno() : 0;
}

static int limit_resources(const struct worker *w, usec_t timeout, struct error *e) {
    const struct {
        __rlimit_resource_t resource;
        const char *name;
        rlim_t value;
    } table[] = {
        {RLIMIT_AS, "address space", CONFINE_ADDRESSES + w->memory},
        {RLIMIT_DATA, "memory", w->memory > 0 ? w->memory : RLIM_INFINITY},
        {RLIMIT_NOFILE, "descriptors", CONFINE_FILES},
        {RLIMIT_CPU, "CPU time", CONFINE_TIME / USEC_PER_SEC},
        {RLIMIT_CORE, "core dumps", 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct rlimit old, limit = {table[i].value, table[i].value};
        /* Never above what we were started with. */
        if (getrlimit(table[i].resource, &old) == 0)
            limit.rlim_cur = limit.rlim_max = MIN(old.rlim_max, table[i].value);
        if (setrlimit(table[i].resource, &limit) < 0)
            return error_set_errno(e, errno, "limiting %s", table[i].name);
    }
    /* Its signal ends the process wherever it is. */
    usec_t seconds = MAX(timeout / USEC_PER_SEC, (usec_t)1);
    struct itimerval timer = {.it_value.tv_sec = (time_t)seconds};
    return setitimer(ITIMER_REAL, &timer, NULL) < 0 ? error_set_errno(e, errno, "limiting time") : 0;
}

/* ---- capabilities ---- */

static int drop_capabilities(struct error *e) {
    static const unsigned kept[] = {
        CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP, CAP_SYS_ADMIN};
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2];

    if (syscall(SYS_capget, &header, d) < 0)
        return error_set_errno(e, errno, "capget");
    for (unsigned i = 0; i <= CAP_LAST_CAP; i++)
        (void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    uint64_t wanted = 0;
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        wanted |= UINT64_C(1) << kept[i];
    for (unsigned i = 0; i < 2; i++) {
        d[i].permitted &= (uint32_t)(wanted >> (32 * i));
        d[i].effective = d[i].permitted;
        d[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, d) < 0 ? error_set_errno(e, errno, "dropping capabilities") : 0;
}

/* ---- Landlock ---- */

#define LANDLOCK_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define LANDLOCK_ALL \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_READ | \
        LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | \
        LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | \
        LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
/* Not in the headers of Debian 12. */
#define LANDLOCK_REFER (UINT64_C(1) << 13)    /* kernel 5.19: links and renames to other directories */
#define LANDLOCK_TRUNCATE (UINT64_C(1) << 14) /* kernel 6.2 */

static int allow(int ruleset, int fd, uint64_t access, struct error *e) {
    struct landlock_path_beneath_attr rule = {.parent_fd = fd, .allowed_access = access};

    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return error_set_errno(e, errno, "landlock_add_rule");
    return 0;
}

static int allow_reading(int ruleset, int fd, struct error *e) {
    struct stat st;

    if (fstat(fd, &st) < 0)
        return error_set_errno(e, errno, "stat");
    /* The right to list is for directories alone. */
    if (S_ISDIR(st.st_mode))
        return allow(ruleset, fd, LANDLOCK_READ, e);
    return S_ISREG(st.st_mode) ? allow(ruleset, fd, LANDLOCK_ACCESS_FS_READ_FILE, e) : 0;
}

static int restrict_files(const struct worker *w, struct error *e) {
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    /* Version 1 cannot allow the renames by which the store works. */
    if (version < 2)
        return 0;
    uint64_t all = LANDLOCK_ALL | LANDLOCK_REFER | (version >= 3 ? LANDLOCK_TRUNCATE : 0);
    struct landlock_ruleset_attr attributes = {.handled_access_fs = all};
    _cleanup_close_ int ruleset =
        (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
    if (ruleset < 0)
        return error_set_errno(e, errno, "landlock_create_ruleset");
    int r = w->store.fd >= 0 ? allow(ruleset, w->store.fd, all & ~LANDLOCK_ACCESS_FS_EXECUTE, e) : 0;
    if (r >= 0 && w->output >= 0)
        r = allow(ruleset, w->output, all & ~LANDLOCK_ACCESS_FS_EXECUTE, e);
    for (size_t i = 0; i < w->n_inputs && r >= 0; i++)
        r = allow_reading(ruleset, w->inputs[i], e);
    for (const char *const *p = w->command->readable; p && *p && r >= 0; p++) {
        _cleanup_close_ int fd = open(*p, O_PATH | O_CLOEXEC);
        if (fd >= 0)
            r = allow_reading(ruleset, fd, e);
    }
#ifdef DAVIT_COVERAGE
    /* Where the counters of `make coverage` go at the end. No other build has this. */
    _cleanup_close_ int counters = open(DAVIT_COVERAGE, O_PATH | O_CLOEXEC);
    if (r >= 0 && counters >= 0)
        r = allow(ruleset, counters, all & ~LANDLOCK_ACCESS_FS_EXECUTE, e);
#endif
    if (r >= 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        r = error_set_errno(e, errno, "landlock_restrict_self");
    return r;
}

/* ---- system calls ---- */

static const char *const calls_unpack[] = {"access", "arch_prctl", "brk", "chdir", "clock_gettime",
    "clock_nanosleep", "close", "close_range", "dup", "dup2", "dup3", "exit", "exit_group", "faccessat",
    "faccessat2", "fadvise64", "fallocate", "fchdir", "fchmod", "fchmodat", "fchown", "fchownat", "fcntl",
    "fdatasync", "fgetxattr", "flistxattr", "flock", "fremovexattr", "fsetxattr", "fstat", "fstatfs", "fsync",
    "ftruncate", "futex", "getcwd", "getdents64", "getegid", "geteuid", "getgid", "getpid", "getrandom",
    "getrlimit", "gettid", "gettimeofday", "getuid", "lgetxattr", "linkat", "listxattr", "llistxattr",
    "lseek", "lsetxattr", "lstat", "madvise", "membarrier", "mkdirat", "mknodat", "mmap", "mprotect",
    "mremap", "munmap", "nanosleep", "newfstatat", "openat", "openat2", "pipe2", "poll", "ppoll", "pread64",
    "prlimit64", "pwrite64", "read", "readlinkat", "readv", "renameat", "renameat2", "restart_syscall",
    "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sched_getaffinity", "sched_yield",
    "set_robust_list", "sigaltstack", "stat", "statfs", "statx", "symlinkat", "syncfs", "sysinfo", "tgkill",
    "uname", "unlinkat", "utimensat", "write", "writev", NULL};

static const char *const calls_fetch[] = {"accept4", "bind", "connect", "epoll_create1", "epoll_ctl",
    "epoll_pwait", "epoll_wait", "eventfd2", "getpeername", "getsockname", "getsockopt", "open", "pselect6",
    "readlink", "recvfrom", "recvmmsg", "recvmsg", "select", "sendmmsg", "sendmsg", "sendto", "setsockopt",
    "shutdown", "socketpair", NULL};

static const char *const calls_tree[] = {"copy_file_range", "sendfile", NULL};

static int add_calls(scmp_filter_ctx filter, const char *const *names) {
    int r = 0;

    for (; *names && r >= 0; names++) {
        int number = seccomp_syscall_resolve_name(*names);
        /* Names of other architectures resolve to negative numbers that the library leaves out itself. */
        if (number != __NR_SCMP_ERROR)
            r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    }
    return r;
}

/* Threads, not processes or namespaces; glibc tries clone3 first, whose flags a filter cannot see. */
static int add_threads(scmp_filter_ctx filter) {
    int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
        SCMP_A0(
            SCMP_CMP_MASKED_EQ, 0x7E020000UL | 0x00010000UL, 0x00010000UL)); /* CLONE_THREAD, no CLONE_NEW* */
    /* A thread's own working directory (tar-pipe.c). */
    if (r >= 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(unshare), 1, SCMP_A0(SCMP_CMP_EQ, CLONE_FS));
    return r < 0 ? r : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int add_ioctls(scmp_filter_ctx filter, const unsigned long *requests, size_t n) {
    int r = 0;

    for (size_t i = 0; i < n && r >= 0; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, requests[i]));
    return r;
}

/* TCP and UDP, and the list of addresses that glibc's resolver asks the kernel for. Above all no Unix sockets:
 * Landlock does not look at them, and root's word on davitd's or systemd's is more than all that is kept from a
 * worker here. */
static int add_network(scmp_filter_ctx filter) {
    static const unsigned long requests[] = {FIONBIO, FIONREAD};
    static const int families[] = {AF_INET, AF_INET6};
    int r = add_calls(filter, calls_fetch);

    for (size_t i = 0; i < ARRAY_SIZE(families) && r >= 0; i++)
        r = seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
    if (r >= 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
            SCMP_A2(SCMP_CMP_EQ, NETLINK_ROUTE));
    return r < 0 ? r : add_ioctls(filter, requests, ARRAY_SIZE(requests));
}

/* Nothing else that a device or file system may offer by ioctl(2). */
static int add_tree_requests(scmp_filter_ctx filter) {
    static const unsigned long requests[] = {
        FICLONE, BTRFS_IOC_SUBVOL_CREATE, BTRFS_IOC_SNAP_CREATE_V2, BTRFS_IOC_SNAP_DESTROY};
    int r = add_calls(filter, calls_tree);

    return r < 0 ? r : add_ioctls(filter, requests, ARRAY_SIZE(requests));
}

static int restrict_calls(const struct worker *w, struct error *e) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));

    if (!filter)
        return error_set(e, ENOMEM, "out of memory");
    int r = add_calls(filter, calls_unpack);
    if (r >= 0)
        r = add_threads(filter);
    if (r >= 0 && w->command->confinement == CONFINE_FETCH)
        r = add_network(filter);
    if (r >= 0 && w->command->confinement == CONFINE_TREE)
        r = add_tree_requests(filter);
    if (r >= 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r < 0 ? error_set_errno(e, r, "loading the filter of system calls") : 0;
}

int confine(const struct worker *w, usec_t timeout, struct error *e) {
    error_set_step(e, "confine");
    int r = limit_resources(w, timeout, e);
    if (r >= 0)
        r = drop_capabilities(e);
    if (r >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = error_set_errno(e, errno, "no_new_privs");
    if (r >= 0)
        r = restrict_files(w, e);
    if (r >= 0)
        r = restrict_calls(w, e);
    if (r >= 0 && e)
        *e = (struct error){};
    return r;
}
