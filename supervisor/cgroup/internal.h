/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of cgroup/ share and nobody else sees: the tree with its hierarchies, the way from
 * (hierarchy, group, file) to a system call, and the two backends.
 *
 * Every access to a group goes through the descriptor of our subtree in its hierarchy ("NAME/FILE" with
 * openat), so no path is walked from the root again, and a mount that someone puts over /sys/fs/cgroup later
 * changes nothing.
 *
 * Two backends, chosen separately for each thing, because on a hybrid machine both are in use at once:
 *   - tracking (kill, freeze, emptiness, pids): struct cgroup_tracking, unified where there is one, else v1;
 *   - limits, statistics, out-of-memory events: tables with a v1 and a v2 column; which column counts is
 * decided by the hierarchy that has the controller.
 */
#pragma once

#include <limits.h>

#include "base/fs.h"
#include "cgroup/cgroup.h"

#define CONTROLLER_BIT(c) (1U << (c))
/* Leaf into which our own processes move when they are in the way of enabling controllers. Not a group. */
#define CGROUP_OWN_LEAF ".davit"
#define CGROUP_DEFAULT_BASE "davit"
/* cgroup.procs of a group with every pid of a large machine (4 Mi pids of up to 8 bytes) must fit. */
#define CGROUP_FILE_MAX (32U * 1024 * 1024)
#define CGROUP_NO_HIERARCHY (-1)

struct cgroup_hierarchy {
    bool unified;
    bool always;          /* every group has a directory here; elsewhere one is made when a limit needs it */
    bool used;            /* not always, but some group has one: by us, or before us */
    bool own;             /* our subtree is the group that we were started in: it is not ours to remove */
    uint32_t controllers; /* CONTROLLER_BIT()s that can be used here */
    char *device;         /* "0:38": tells two mounts of one hierarchy from two hierarchies */
    char *mount;          /* mount point */
    char *mount_root;     /* the group that the mount point shows, as /proc/PID/cgroup names it */
    char *self;  /* the group we are in, as a path below mount ("/" = mount itself); NULL = not visible */
    char *group; /* our subtree, as /proc/PID/cgroup names it: "/davit" */
    char *path;  /* our subtree, as a path in the file system */
    size_t kept; /* so much of path was there before us */
    int fd;      /* our subtree, O_PATH */
};

#define DEVICE_PROGRAM_CACHE 16
struct bpf_insn;
struct device_program {
    struct bpf_insn *insns;
    size_t n_insns;
    int fd;
    uint32_t id;
    uint64_t used; /* for choosing which one to drop */
};

struct cgroup_tracking;
struct cgroup_tree {
    struct cgroup_hierarchy hierarchies[CGROUP_MAX_HIERARCHIES];
    size_t n_hierarchies;
    struct cgroup_hierarchy *unified;  /* NULL on legacy machines */
    struct cgroup_hierarchy *tracking; /* where kill, emptiness and pids are looked up */
    const struct cgroup_tracking *track;
    int home[_CONTROLLER_COUNT];             /* index into hierarchies or CGROUP_NO_HIERARCHY */
    struct error missing[_CONTROLLER_COUNT]; /* why there is none */
    char *proc;                              /* "/proc" */
    struct device_program programs[DEVICE_PROGRAM_CACHE];
    uint64_t program_clock;
};

/* Where the facts about this machine come from. Tests put a directory tree of their own here. */
struct cgroup_environment {
    const char *mountinfo, *self_cgroup, *cgroups; /* texts of the /proc files */
    const char *prefix;                            /* put before each mount point; "" */
    const char *proc;                              /* directory in which PID/cgroup is looked up; "/proc" */
};
int cgroup_tree_open_at(
    const struct cgroup_environment *env, const char *base, struct cgroup_tree **ret, struct error *e);

DEFINE_CLEANUP(struct cgroup_tree *, cgroup_tree_free)
#define _cleanup_tree_ _cleanup_(cgroup_tree_freep)

/* ---- discover.c: text of /proc files to hierarchies; no system call ---- */
int cgroup_discover(const struct cgroup_environment *env, struct cgroup_tree *t);
void cgroup_hierarchy_done(struct cgroup_hierarchy *h);
/* Name of a controller in its version; NULL where that version has none. */
const char *controller_name_in(enum cgroup_controller c, bool unified);
/* The bit of a controller's name, 0 if we do not use it. */
uint32_t controller_bit(const char *name, size_t n, bool unified);
/* Finds the line of hierarchy h in the text of a /proc/PID/cgroup: start and length of the group's path. */
const char *cgroup_line_path(const struct cgroup_hierarchy *h, const char *text, size_t *ret_length);
/* Why a controller that no hierarchy has is missing, from /proc/cgroups. */
void cgroup_explain_missing(const char *cgroups, enum cgroup_controller c, struct error *e);

/* ---- subtree.c: our subtree in one hierarchy ---- */
int cgroup_subtree_make(struct cgroup_hierarchy *h, const char *relative, struct error *e);
int cgroup_subtree_remove(struct cgroup_hierarchy *h);
/* A new v1 cpuset group is empty, and no process can enter an empty one (ENOSPC): fill it like its parent. */
int cgroup_cpuset_inherit(int parent_fd, int fd);

/* ---- group.c: one group in one hierarchy ---- */
bool cgroup_name_is_valid(const char *name);
struct cgroup_hierarchy *cgroup_home(struct cgroup_tree *t, enum cgroup_controller c);
/* 1 made, 0 it was there. */
int cgroup_group_make(struct cgroup_hierarchy *h, const char *name);
int cgroup_group_remove(const struct cgroup_hierarchy *h, const char *name);
/* Opens NAME/FILE; file "" is the group's directory itself. A descriptor or -errno. */
int cgroup_group_open(const struct cgroup_hierarchy *h, const char *name, const char *file, int flags);
int cgroup_group_write(
    const struct cgroup_hierarchy *h, const char *name, const char *file, const char *text);
int cgroup_group_read(const struct cgroup_hierarchy *h, const char *name, const char *file, char **ret);
/* First number of a file; "max" gives CGROUP_INFINITY. */
int cgroup_group_read_number(
    const struct cgroup_hierarchy *h, const char *name, const char *file, uint64_t *ret);
/* Number behind KEY in a file of "KEY NUMBER" lines. -ENODATA when the key is missing. */
int cgroup_group_read_key(
    const struct cgroup_hierarchy *h, const char *name, const char *file, const char *key, uint64_t *ret);

/* ---- procs.c ---- */
struct cgroup_pids {
    pid_t *pids;
    size_t n, size;
};
void cgroup_pids_done(struct cgroup_pids *p);
#define _cleanup_pids_ _cleanup_(cgroup_pids_done)
/* Appends the pids of group NAME and of all groups below it. -ENOENT if there is no such group. */
int cgroup_procs_collect(const struct cgroup_hierarchy *h, const char *name, struct cgroup_pids *p);
/* Moves every process of the group in `from` to the same group in `to`: for a hierarchy that a running group
 * needs only now. */
int cgroup_procs_follow(
    const struct cgroup_hierarchy *from, const struct cgroup_hierarchy *to, const char *name);

/* ---- track.c: the tracking backends ---- */
struct cgroup_tracking {
    const char *name;
    int (*kill_all)(struct cgroup_tree *t, const char *name); /* SIGKILL */
    int (*freeze)(struct cgroup_tree *t, const char *name, bool freeze);
    int (*is_populated)(struct cgroup_tree *t, const char *name);
};
extern const struct cgroup_tracking cgroup_tracking_unified, cgroup_tracking_v1;

/* ---- limits-*.c: one unit key each. What a row of the table's functions gets to see. ---- */
struct limit;
struct limit_call {
    struct cgroup_tree *tree;
    struct cgroup_hierarchy *home;
    const char *name;
    const struct cgroup_limits *limits;
    const struct limit *row;
    struct error *error;
};
typedef int (*limit_function)(const struct limit_call *call);
struct limit_backend {
    limit_function apply; /* NULL = this version has nothing like it */
    const char *file;     /* for apply functions that write one file */
    const char *infinity; /* how the file spells "no limit" */
};
struct limit {
    const char *key;
    enum cgroup_controller controller;
    bool essential;
    enum { LIMIT_NUMBER, LIMIT_STRING, LIMIT_FLAG, LIMIT_IO } kind;
    size_t offset; /* in struct cgroup_limits; for LIMIT_IO in struct cgroup_io_limit */
    uint64_t
        no_effect; /* asking for this where there is no controller is no problem: it is what happens anyway */
    struct limit_backend v2, v1;
};
uint64_t limit_number(const struct limit_call *call);
const char *limit_string(const struct limit_call *call);
/* Writes text to the file; on failure names file and text. */
int limit_write(const struct limit_call *call, const char *file, const char *text);
int limit_apply_number(const struct limit_call *call);
int limit_apply_memory_max_v1(const struct limit_call *call);
int limit_apply_memory_swap_v1(const struct limit_call *call);
int limit_apply_io_weight_v2(const struct limit_call *call);
int limit_apply_io_weight_v1(const struct limit_call *call);
int limit_apply_io_max_v2(const struct limit_call *call);
int limit_apply_io_max_v1(const struct limit_call *call);
/* Device number of the whole disk behind a path, as io limits want it. */
int block_device_of(const char *path, dev_t *ret, struct error *e);

/* ---- devices.c ---- */
/* Applies or takes away the device filter. *ret_unsupported: this machine has no way to filter. */
int cgroup_apply_devices(struct cgroup_tree *t, const char *name, const struct cgroup_limits *l,
    bool *ret_unsupported, struct error *e);
/* The program for a rule list. *ret is malloc'ed. */
int device_program_build(
    const struct cgroup_device_rule *rules, size_t n, struct bpf_insn **ret, size_t *ret_n);
void device_programs_done(struct cgroup_tree *t);
