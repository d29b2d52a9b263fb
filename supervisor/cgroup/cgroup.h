/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Control groups: one interface over v2, v1 and the hybrid of both.
 *
 * A struct cgroup_tree knows which hierarchies this machine mounts, which controller lives in which of them,
 * and where davit's own subtree is. A group is a name below that subtree ("web.container"); it exists as one
 * directory in the unified hierarchy (for tracking: CLONE_INTO_CGROUP, cgroup.events,
 * cgroup.freeze and BPF device programs need no controller there) and one in each v1 hierarchy that has a
 * controller we use.
 *
 * Where there is no unified hierarchy at all (legacy machines) tracking falls back to v1: kill by freezing
 * and signalling, emptiness by reading cgroup.procs.
 *
 * This folder never logs, never forks and never waits: cgroup_remove() answers -EBUSY while a process is
 * left, and the manager tries again.
 *
 * Where the subtree is: DAVIT_CGROUP when set (a name below the root of every hierarchy); else, under systemd
 * with Delegate=yes, our own group; else "/davit". In the unified hierarchy, when the chosen root holds our
 * own processes, cgroup_tree_open() moves them to a leaf ".davit" before it enables controllers
 * (no-internal-processes rule).
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"

enum cgroup_controller {
    CONTROLLER_CPU,
    CONTROLLER_CPUACCT, /* v1 only; part of cpu on v2 */
    CONTROLLER_CPUSET,
    CONTROLLER_MEMORY,
    CONTROLLER_PIDS,
    CONTROLLER_IO,      /* blkio on v1 */
    CONTROLLER_DEVICES, /* v1 controller; a BPF program on v2 */
    CONTROLLER_FREEZER, /* v1 controller; core feature on v2 */
    _CONTROLLER_COUNT,
};
const char *cgroup_controller_name(enum cgroup_controller c);

#define CGROUP_MAX_HIERARCHIES 16

/* One resource limit that was asked for: what was wanted and whether the kernel has it. For `status`. */
struct cgroup_problem {
    const char *key; /* the unit key, "MemoryMax"; static */
    struct error error;
    bool unsupported; /* true: no controller for it here; false: the kernel refused the value */
    bool essential;   /* true: security or other units depend on it (MemoryMax, TasksMax, DevicePolicy) */
};
#define CGROUP_MAX_PROBLEMS 24

#define CGROUP_UNSET UINT64_MAX          /* not asked for */
#define CGROUP_INFINITY (UINT64_MAX - 1) /* asked for: no limit */

struct cgroup_io_limit {
    char *path;                                          /* block device node or a file or directory on it */
    uint64_t read_bps, write_bps, read_iops, write_iops; /* CGROUP_UNSET where not set */
};
enum device_policy { DEVICE_POLICY_AUTO, DEVICE_POLICY_CLOSED, DEVICE_POLICY_STRICT };
struct cgroup_device_rule {
    char type;            /* 'c', 'b', 'a' (both) */
    int64_t major, minor; /* -1 = any */
    uint8_t access;       /* bits below */
};
enum { DEVICE_READ = 1, DEVICE_WRITE = 2, DEVICE_MKNOD = 4 };

/* What a unit asks for. Filled from unit keys by manager/; freed by its owner. */
struct cgroup_limits {
    uint64_t memory_max, memory_high, memory_low, memory_min, memory_swap_max; /* bytes */
    uint64_t cpu_quota_permyriad;                                              /* of one CPU */
    usec_t cpu_quota_period;
    uint64_t cpu_weight; /* 1..10000; 0 = idle */
    uint64_t tasks_max;
    uint64_t io_weight;                              /* 1..10000 */
    const char *allowed_cpus, *allowed_memory_nodes; /* kernel list syntax or NULL */
    const struct cgroup_io_limit *io;
    size_t n_io;
    bool oom_group;     /* OOMPolicy=kill: memory.oom.group */
    bool device_filter; /* true: deny all but the rules */
    const struct cgroup_device_rule *devices;
    size_t n_devices;
};
/* Everything CGROUP_UNSET. */
void cgroup_limits_init(struct cgroup_limits *l);

struct cgroup_stats { /* CGROUP_UNSET where this machine cannot tell */
    uint64_t memory_current, memory_peak, memory_swap_current;
    uint64_t cpu_usage_usec;
    uint64_t tasks_current;
    uint64_t io_read_bytes, io_write_bytes;
    uint64_t oom_kills;
};

struct cgroup_tree;

/* Finds the hierarchies (from /proc/self/mountinfo and /proc/self/cgroup), makes the subtree and enables what
 * there is. base: DAVIT_CGROUP or NULL. *ret is freed with cgroup_tree_free(); the subtree itself stays until
 * cgroup_tree_remove(). -EROFS, -EACCES, -ENOENT (no usable hierarchy) with an explanation. */
int cgroup_tree_open(const char *base, struct cgroup_tree **ret, struct error *e);
void cgroup_tree_free(struct cgroup_tree *t);
/* Removes the subtree where it is empty. */
int cgroup_tree_remove(struct cgroup_tree *t);
bool cgroup_tree_has(const struct cgroup_tree *t, enum cgroup_controller c);
/* "unified", "hybrid", "legacy" */
const char *cgroup_tree_mode(const struct cgroup_tree *t);
/* Names of the groups that exist below the subtree: for recovery and for clearing up leftovers. */
int cgroup_tree_list(struct cgroup_tree *t, char ***ret_names);

/* Makes the group where every group is needed: in the unified hierarchy, and on v1 for memory, pids and cpu
 * (without a unified hierarchy also freezer and cpuacct). Existing is fine. On failure what was made is
 * removed again. name: no '/', not
 * "." or "..", not ".davit". Kernels with CONFIG_RT_GROUP_SCHED give a new v1 cpu group no real-time share:
 * SCHED_FIFO and SCHED_RR inside are EPERM. */
int cgroup_create(struct cgroup_tree *t, const char *name, struct error *e);
/* Applies what is asked for. Problems of single limits go to problems (*n_problems: room on entry, count on
 * return); the rest is still applied. Also usable on a running group; there CGROUP_UNSET leaves a number as
 * it is, and CGROUP_INFINITY takes the limit away. v1 groups for cpuset, blkio and devices are made here,
 * when a limit needs them, and take in the group's processes. oom_group has no equal on v1: there the caller,
 * told by cgroup_oom_open(), kills the group. 0, or the first essential problem's -errno. */
int cgroup_apply(struct cgroup_tree *t, const char *name, const struct cgroup_limits *l,
    struct cgroup_problem *problems, size_t *n_problems);
/* To be called after cgroup_apply(). Absolute paths for the launcher: the group's directory in the unified
 * hierarchy (NULL on legacy machines), and the `tasks` file of each v1 hierarchy, into which the child writes
 * "0" (a write by another process, or to cgroup.procs, may wait 10 ms for an RCU grace period). Both owned by
 * the caller. */
int cgroup_paths(struct cgroup_tree *t, const char *name, char **ret_unified, char ***ret_v1_tasks);
/* SIGKILL (or signal) to every process of the group and of groups below it; -ENOENT if there is none. SIGKILL
 * also reaches frozen ones, and the group can be used again (track.c: why not cgroup.kill). */
int cgroup_kill(struct cgroup_tree *t, const char *name, int signal);
/* The same for all but one pid (KillMode=mixed). */
int cgroup_kill_except(struct cgroup_tree *t, const char *name, int signal, pid_t except);
int cgroup_freeze(struct cgroup_tree *t, const char *name, bool freeze);
/* 1 populated, 0 empty, -ENOENT. */
int cgroup_is_populated(struct cgroup_tree *t, const char *name);
/* Pids in the group (at most max); count or -errno. */
ssize_t cgroup_pids(struct cgroup_tree *t, const char *name, pid_t *pids, size_t max);
/* 1 if pid is in the group or below it. */
int cgroup_has_pid(struct cgroup_tree *t, const char *name, pid_t pid);
/* A descriptor that becomes readable/POLLPRI on change of cgroup.events (populated, frozen). Events:
 * EPOLLPRI. -EOPNOTSUPP on legacy machines. */
int cgroup_events_open(struct cgroup_tree *t, const char *name);
/* A descriptor for out-of-memory events: v2 memory.events (EPOLLPRI), v1 an eventfd (EPOLLIN).
 * *ret_epoll_events says which. -EOPNOTSUPP without a memory controller. A v1 event comes before the kernel
 * has chosen its victim, and when the group is removed: it is a reason to read cgroup_oom_kills(), then and
 * again when a process has ended. To be woken by memory.events or cgroup.events again, the descriptor must be
 * read from its start (pread). */
int cgroup_oom_open(struct cgroup_tree *t, const char *name, uint32_t *ret_epoll_events);
/* Number of OOM kills in the group so far; CGROUP_UNSET if unknown. */
uint64_t cgroup_oom_kills(struct cgroup_tree *t, const char *name);
void cgroup_stats(struct cgroup_tree *t, const char *name, struct cgroup_stats *ret);
/* Removes the group and what containers made below it, in all hierarchies. 0 (also if it was not there),
 * -EBUSY while processes are left. */
int cgroup_remove(struct cgroup_tree *t, const char *name);
/* Gives the container's root (uid, gid) the directory and the files listed in /sys/kernel/cgroup/delegate of
 * the unified group. */
int cgroup_delegate(struct cgroup_tree *t, const char *name, uid_t uid, gid_t gid);
