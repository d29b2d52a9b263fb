/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of launch/ share and nobody else sees: the launcher's standing equipment, what prepare.c
 * makes for one launch, and what a child carries through its steps.
 *
 * Two mount namespaces matter. *Ours* has a tiny tmpfs as its root with
 *     /proc /sys     fully visible, which the kernel wants to see before a user namespace may mount its own
 *     /dev           a read-only tmpfs with the standard nodes and an empty directory for masks
 *     /root          where a child attaches its root file system before pivot_root
 *     /scratch       where kernels before 6.15 need layers to be attached
 *     /nodes         device nodes on their way into a container with a user namespace
 * and the *host's* is entered for a moment (host_enter/host_leave) to open what a spec names by path.
 */
#pragma once

#include <sys/resource.h>

#include "base/copy_tree.h"
#include "launch/kernel.h"
#include "launch/launch.h"

/* ---- the launcher ---- */

/* How an overlay is told its layers; probed once. DAVIT_LAUNCH_OVERLAY=detached|append|mount forces one, for
 * tests. */
enum overlay_method {
    OVERLAY_DETACHED, /* "lowerdir+" by path, one by one, of clones that are attached nowhere (6.15) */
    OVERLAY_APPEND,   /* the same, but the clones have to be attached: at /scratch (6.7) */
    OVERLAY_MOUNT,    /* mount(2) with all layers in one string of short relative names (5.12) */
};

/* A namespace in the cache costs the kernel 2 KiB, making one 0.3 ms. */
#define IDMAP_CACHE 128

struct idmap { /* a user namespace that nobody lives in, for idmapped mounts */
    struct spec_id_range *uid_map, *gid_map;
    uint32_t n_uid_map, n_gid_map;
    int userns_fd;
    uint64_t used; /* counter, for replacing the least recently used */
};

#define INIT_LAYER_CACHE 32

struct init_layer { /* layer-plan.c: what was made from a plan */
    void *plan;
    size_t plan_size;
    int fd;
    uint64_t used; /* as above */
};

struct launcher {
    int host_mount_ns, own_mount_ns, own_pid_ns;
    enum overlay_method overlay;
    bool device_nodes; /* mknod works: nodes can be made, not only bound */
    unsigned last_capability;
    struct rlimit nofile; /* as inherited; ours is raised */
    sigset_t ignored;     /* signals that a program must not inherit as ignored */
    struct idmap idmaps[IDMAP_CACHE];
    uint64_t idmap_counter;
    struct init_layer init_layers[INIT_LAYER_CACHE];
    uint64_t init_layer_counter;
};

/* minimal.c: our own mount namespace, and the device nodes in its /dev that every container has too */
struct standard_node {
    const char *name;
    unsigned major, minor;
};
#define STANDARD_NODES 6
extern const struct standard_node standard_nodes[STANDARD_NODES];
int minimal_enter(struct launcher *l, struct error *e);
int host_enter(const struct launcher *l, struct error *e);
void host_leave(const struct launcher *l);

/* idmap.c. The descriptor stays the cache's; valid until 128 other maps were asked for. */
int idmap_userns(struct launcher *l, const struct container_spec *s, struct error *e);
void idmap_cache_free(struct launcher *l);
int idmap_write(pid_t pid, const struct container_spec *s, struct error *e);
/* Id outside for an id inside; SPEC_ID_UNSET if it is not mapped. Without a map: the id itself. */
uint32_t idmap_outside(const struct spec_id_range *map, uint32_t n, uint32_t inside);
uint32_t idmap_inside(const struct spec_id_range *map, uint32_t n, uint32_t outside);

/* ---- one launch ---- */

struct prepared {
    struct launcher *launcher;
    const struct container_spec *spec;
    const int *fds; /* that came with the spec */

    int cgroup_fd;  /* group in the unified hierarchy, -1 */
    int *tasks_fds; /* v1, one for each of spec->cgroup_v1_tasks */
    size_t n_tasks_fds;
    int standard[3]; /* what becomes 0, 1, 2; borrowed, reopened[] or null_fd; -1 = the container's own
                        /dev/null */
    int reopened[3];
    int null_fd;
    int terminal_fd; /* borrowed */
    int pass_fd;     /* borrowed */

    /* SPEC_CONTAINER only */
    int userns_fd;               /* for id maps; the idmap cache's */
    uint32_t root_uid, root_gid; /* of the container's root, outside */
    uint32_t made_uid,
        made_gid;   /* the same, for what davit makes in the image's place: in a tree, as on disk */
    int *layer_fds; /* layer directories, lowest first; idmapped if there is a user namespace. A
                       tree: that one, as on disk */
    size_t n_layer_fds;
    int layers_clone;  /* the detached mount that layer_fds are on, if idmapped; -1 */
    int *extra_clones; /* of layers that are elsewhere */
    size_t n_extra_clones;
    int init_layer;          /* detached tmpfs */
    bool init_layer_is_kept; /* the cache's, not ours to close */
    int replaced_layer;      /* what lost its place in the cache to it, detached; -1 */
    int upper_fd, work_fd, upper_clone;
    int root_fd;               /* the overlay or the tree, detached */
    int *mount_fds;            /* one for each spec->mounts; -1: made in the child, or skipped */
    int *device_fds;           /* one for each spec->devices: a detached clone or -1 */
    struct stat *device_stats; /* st_rdev 0 = skipped */
    int notify_fd, console_fd, proc_fd, sys_fd; /* detached clones or -1 */
    bool volumes_locked;                        /* some are attached below /nodes */
    bool run_is_covered;                        /* a mount of the spec hides /run/host of the init layer */
};

/* prepare.c: everything that may block. On failure nothing is left behind but directories in upper_dir. */
int prepare(struct launcher *l, const struct container_spec *s, const int *fds, struct prepared *ret,
    struct error *e);
void prepared_done(struct prepared *p);
/* The layers' own mounts are of no more use once the overlay has cloned them. Whoever is the last to close one
 * that is attached nowhere waits for an RCU grace period: the launcher does so when the child is on its way,
 * and the child has attached them by then, or will (layers_go_with_old_root()). */
void prepared_release_layers(struct prepared *p);
int fds_new(size_t n, int **ret);
void fds_free(int *fds, size_t n);

/* The parts of it, one file each. "h": called in the host's mount namespace. */
/* Mounts a file system image, detached and read-only (layer-image.c). */
int layer_image_mount(const char *path, struct error *e);
int layers_open(struct prepared *p, struct error *e);     /* h: overlay.c */
int upper_make(struct prepared *p, struct error *e);      /* h: overlay.c */
int init_layer_make(struct prepared *p, struct error *e); /* init-layer.c */
int overlay_make(struct prepared *p, struct error *e);    /* h with OVERLAY_DETACHED, else ours: overlay.c */
int tree_open(struct prepared *p, struct error *e);       /* h: tree.c, instead of layers and overlay */
/* A clone of the directory that shows owners through the id map of userns_fd (-1: as they are); overlay.c. */
int clone_idmapped(const char *path, int userns_fd, struct error *e);
int volumes_open(struct prepared *p, struct error *e); /* h: volumes.c */
int volumes_fill(struct prepared *p, struct error *e); /* volumes.c */
int volumes_lock(struct prepared *p, struct error *e); /* volumes.c: before the clone */
void volumes_unlock(struct prepared *p);               /* after it, in the launcher */
/* volume-device.c, h: a detached mount, with all flags in force: the spec's and those of its options. */
int volume_mount_device(const struct spec_mount *m, uint32_t *ret_flags, struct error *e);
/* Its source was opened by the launcher; else the child makes a file system. */
static inline bool mount_has_source(const struct spec_mount *m) {
    return m->kind == MOUNT_BIND || m->kind == MOUNT_DEVICE;
}
#define LOCKED_PATH_MAX 24
/* In the child: where its copy of mount i is locked; NULL = it is not, the mount's descriptor is to be used.
 */
const char *volume_locked_path(const struct prepared *p, uint32_t i, char buffer[static LOCKED_PATH_MAX]);
uint64_t mount_attributes(uint32_t flags);                   /* enum spec_mount_flags to MOUNT_ATTR_* */
int devices_open(struct prepared *p, struct error *e);       /* h: devices.c */
int devices_make_nodes(struct prepared *p, struct error *e); /* devices.c */

/* ---- the child ---- */

struct identity {
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    size_t n_groups;
    char name[64]; /* "" if not known */
    char home[256];
};

struct child {
    struct prepared *p;
    const struct container_spec *spec;
    int root_fd;    /* the root file system that the program will see */
    int proc_fd;    /* root of our own proc mount */
    int dev_fd;     /* root of our own /dev */
    int status_fd;  /* errors go here */
    int barrier_fd; /* 'm': the id maps are written, 'g': go, 'e' + struct error: leave */
    struct identity identity;
};

/* Walks the steps and executes; never returns. */
void child_run(struct child *c) _noreturn_;
/* Waits for the launcher's byte. 0, -ECANCELED if the launcher is gone, or the error it sent. */
int child_wait(struct child *c, char expected, struct error *e);
/* Finds argv[0] along $PATH and executes it. Returns only on failure. */
int child_execute(struct child *c, struct error *e);
void child_fail(struct child *c, const struct error *e) _noreturn_;

typedef int (*step_function)(struct child *c, struct error *e);
int step_propagation(struct child *c, struct error *e); /* child-rootfs.c */
int step_rootfs(struct child *c, struct error *e);
int step_proc(struct child *c, struct error *e);
int step_sys(struct child *c, struct error *e);
int step_mounts(struct child *c, struct error *e);
int step_host_interface(struct child *c, struct error *e);
int step_masks(struct child *c, struct error *e);
int step_read_only(struct child *c, struct error *e);
int step_pivot_root(struct child *c, struct error *e);
int step_dev(struct child *c, struct error *e); /* devices.c */
int step_devices(struct child *c, struct error *e);
int step_hostname(struct child *c, struct error *e); /* child-settings.c */
int step_network(struct child *c, struct error *e);
int step_sysctls(struct child *c, struct error *e);
int step_rlimits(struct child *c, struct error *e);
int step_raise_limits(struct child *c, struct error *e);
int step_make_working_directory(struct child *c, struct error *e); /* child-process.c */
int step_working_directory(struct child *c, struct error *e);
int step_stdio(struct child *c, struct error *e);
int step_user(struct child *c, struct error *e);
int step_capabilities(struct child *c, struct error *e);
int step_seccomp_privileged(struct child *c, struct error *e);
int step_seccomp(struct child *c, struct error *e);
int step_join(struct child *c, struct error *e); /* join.c */
int step_host_root(struct child *c, struct error *e);

/* child-settings.c: what a user namespace cannot do any more; called in the launcher on the new child. */
int settings_from_outside(pid_t pid, const struct container_spec *s, struct error *e);

/* users.c: users and groups by name from <root>/etc/passwd and /etc/group, without NSS. */
int identity_lookup(int root_fd, const struct container_spec *s, struct identity *ret, struct error *e);
void identity_done(struct identity *i);

/* caps.c */
unsigned capability_last(void);
int capabilities_apply(uint64_t wanted, uint64_t ambient, bool root, unsigned last, struct error *e);

/* join.c: the process to be cloned next is born in the PID namespace of pidfd. */
int join_pid_namespace(int pidfd, struct error *e);
void leave_pid_namespace(const struct launcher *l);

/* task.c: a chore; 0 or what went wrong. */
int task_run(const struct container_spec *s, struct error *e);
/* True if s was a chore so small that it is done already. False: it needs a clone, for its time or its
 * error. */
bool task_try(const struct launcher *l, const struct container_spec *s);

/* init1.c: pid 1 of a container with RunInit=yes. Starts the program as its child, forwards signals, reaps.
 */
void init1_run(struct child *c) _noreturn_;
