/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * struct container_spec: the border between deciding and acting.
 *
 * Everything that davit runs is one of these: a container, a command inside a running container, a host
 * process (a service, a hook, a worker), or a small chore of the launcher's own (remove a tree). A spec is
 * complete: no defaults left to fill in, no names left to look up except users and groups, which are looked
 * up inside the container. Who filled it in (a unit file, `davit run`, later an OCI config.json) cannot be
 * told from it.
 *
 * A spec travels to the launcher as one flat message (spec_encode/spec_decode) of at most SPEC_MAX_SIZE
 * bytes, with descriptors beside it; fields named *_fd are positions in that descriptor array (-1 = none).
 */
#pragma once

#include <sys/resource.h>

#include "base/error.h"
#include "base/str.h"

#define SPEC_MAX_SIZE (448u * 1024)
#define SPEC_MAX_FDS 16

enum spec_kind {
    SPEC_CONTAINER, /* clone with new namespaces, build the root file system, exec */
    SPEC_EXEC,      /* join the namespaces of the process behind join_pidfd, exec */
    SPEC_PROCESS,   /* a host process: cgroup, identity, stdio, exec */
    SPEC_TASK,      /* a chore in a clone of the launcher, no exec: see task */
    SPEC_FILL,      /* of the container that the rest describes: only MOUNT_COPY_UP of its bind mounts */
    _SPEC_KIND_COUNT,
};

enum spec_task {
    TASK_NONE,
    TASK_REMOVE_TREE, /* argv[0]: directory path on the host, argv[1]: name in it; removed with all below */
    TASK_COPY_TREE, /* argv[0] -> argv[1], both host directories: fill an empty volume from an image layer */
    _SPEC_TASK_COUNT,
};

/* Namespaces to make new. What is not here is shared with the host (or with join_pidfd). */
enum spec_namespace {
    NS_MOUNT = 1 << 0,
    NS_UTS = 1 << 1,
    NS_IPC = 1 << 2,
    NS_PID = 1 << 3,
    NS_NETWORK = 1 << 4, /* with loopback up */
    NS_CGROUP = 1 << 5,
    NS_USER = 1 << 6,
};

enum spec_mount_kind {
    MOUNT_BIND,   /* source: host path, directory or file */
    MOUNT_TMPFS,  /* options: "size=..,mode=..,uid=.." as tmpfs(5) */
    MOUNT_DEVPTS, /* a second devpts */
    MOUNT_MQUEUE,
    MOUNT_PROC,
    MOUNT_SYSFS,
    MOUNT_CGROUP,
    MOUNT_DEVICE, /* source: host path of a block device or an image file; options: "TYPE[,OPTION...]" */
    _SPEC_MOUNT_KIND_COUNT,
};
enum spec_mount_flags {
    MOUNT_READ_ONLY = 1 << 0,
    MOUNT_NOSUID = 1 << 1,
    MOUNT_NODEV = 1 << 2,
    MOUNT_NOEXEC = 1 << 3,
    MOUNT_NOATIME = 1 << 4,
    MOUNT_RECURSIVE = 1 << 5,     /* rbind */
    MOUNT_IDMAP = 1 << 6,         /* the source's owners are seen through the container's id map */
    MOUNT_CREATE_SOURCE = 1 << 7, /* make a missing source directory (0755, owned by owner_uid:owner_gid) */
    MOUNT_OPTIONAL = 1 << 8,      /* a missing source is skipped */
    MOUNT_CHOWN = 1 << 9,         /* podman's U: give the source's root directory to owner_uid:owner_gid */
    MOUNT_COPY_UP = 1 << 10,      /* fill an empty source from what the image has at target */
    MOUNT_SHARED = 1 << 11,       /* propagation; none of the three = private */
    MOUNT_SLAVE = 1 << 12,
    MOUNT_UNBINDABLE = 1 << 13,
};
/* Added to the path of a directory that is being filled, the name of a file that is there until it is done.
 */
#define VOLUME_FILLING ".filling"
struct spec_mount {
    enum spec_mount_kind kind;
    uint32_t flags;
    char *source, *target, *options; /* target: absolute path inside the container */
    uint32_t owner_uid, owner_gid;   /* ids inside the container */
};
struct spec_device {
    char *source, *target; /* host node, path inside the container */
    uint32_t mode;         /* 0 = as on the host */
    bool optional;
};
struct spec_file { /* part of the init layer: appears at path, is never part of a commit */
    char *path, *content;
    uint32_t mode;
};
struct spec_id_range {
    uint32_t inside, outside, count;
};
struct spec_rlimit {
    uint32_t resource;   /* RLIMIT_* */
    uint64_t soft, hard; /* RLIM_INFINITY = UINT64_MAX */
};
struct spec_sysctl {
    char *key, *value; /* "net.ipv4.ip_forward" */
};

#define SPEC_ID_UNSET UINT32_MAX

struct container_spec {
    /* ---- what and whose ---- */
    enum spec_kind kind;
    enum spec_task task;
    uint64_t request; /* chosen by davitd, repeated in every answer */
    char *unit;       /* "web.container", for messages */
    char *invocation; /* 32 hex digits or NULL */

    /* ---- namespaces and control groups ---- */
    uint32_t namespaces; /* enum spec_namespace */
    int32_t
        join_pidfd; /* SPEC_EXEC: whose namespaces, all of them; what namespaces says does not matter then */
    struct spec_id_range *uid_map, *gid_map;
    uint32_t n_uid_map, n_gid_map;
    char *cgroup_unified;   /* directory, for CLONE_INTO_CGROUP; NULL = none */
    char **cgroup_v1_tasks; /* `tasks` files into which the child writes "0" */

    /* ---- root file system (SPEC_CONTAINER) ---- */
    char **layers; /* host directories, lowest first */
    char *tree; /* instead of layers and upper_dir: the host directory that is the root, and belongs to this
                   start alone */
    char *upper_dir; /* host directory for this start; "upper" and "work" are made in it. NULL = read-only
                        overlay */
    bool read_only;  /* the root is mounted read-only (the upper may exist for the init layer's sake) */
    bool volatile_upper;
    struct spec_file *files; /* the init layer: hosts, hostname, resolv.conf, ... */
    uint32_t n_files;
    struct spec_mount *mounts; /* sorted by the maker: parents before children */
    uint32_t n_mounts;
    struct spec_device *devices; /* besides the standard ones */
    uint32_t n_devices;
    char **masked_paths, **read_only_paths;
    struct spec_sysctl *sysctls;
    uint32_t n_sysctls;
    uint64_t shm_size; /* bytes; 0 = unlimited */
    char *hostname;
    char *notify_socket; /* host path, appears as /run/host/notify; NULL = none. Writable for all (0666): with
                            a user namespace its owner is nobody inside */

    /* ---- the process ---- */
    char **argv, **environment;
    char *program;     /* what is executed, where argv[0] is only a name for it to see; NULL = argv[0] */
    char *working_dir; /* NULL = "/" */
    char *user,
        *group;    /* "0", "www-data", NULL = 0 and the user's group; looked up in the container's files */
    char **groups; /* supplementary, names or numbers */
    uint64_t capabilities; /* effective, permitted and bounding of the first process; inheritable and ambient
                              stay empty unless user is not 0 and ambient_capabilities asks */
    uint64_t ambient_capabilities;
    bool no_new_privileges;
    bool run_init; /* a small init of davit's own is pid 1 and reaps; the program is pid 2 */
    bool ignore_sigpipe;
    struct spec_rlimit *rlimits;
    uint32_t n_rlimits;
    int32_t oom_score_adjust; /* INT32_MIN = leave */
    int32_t nice;             /* -20 to 19; INT32_MIN = leave */
    uint32_t cpu_policy;      /* SCHED_BATCH and so on; 0 (SCHED_OTHER) = leave */
    uint32_t cpu_priority;    /* 1 to 99 with SCHED_FIFO and SCHED_RR, else 0 */
    uint32_t io_priority;     /* as ioprio_set(2) has it; 0 = leave */
    uint32_t umask;           /* UINT32_MAX = 0022 */
    uint8_t *seccomp;         /* array of struct sock_filter; NULL = none */
    uint32_t seccomp_size;
    int32_t stdin_fd, stdout_fd,
        stderr_fd;       /* -1 = /dev/null; FIFOs are re-opened, so that O_NONBLOCK stays ours */
    int32_t terminal_fd; /* a pty slave that becomes the controlling terminal and /dev/console; -1 = none */
    int32_t pass_fd;     /* a descriptor that arrives as fd 3 (workers: result pipe); -1 = none */
};

void spec_init(struct container_spec *s); /* zero, with the -1/UNSET fields set */
void spec_done(struct container_spec *s);
/* Encodes to one message; -E2BIG over SPEC_MAX_SIZE. */
int spec_encode(const struct container_spec *s, void **ret, size_t *ret_size, struct error *e);
/* Decodes and checks a message (enum ranges, counts, positions against n_fds, absolute paths). -EBADMSG;
 * -EPROTONOSUPPORT for one of another version. */
int spec_decode(const void *data, size_t size, size_t n_fds, struct container_spec *ret, struct error *e);
/* The checks alone, for a spec that did not travel. -EBADMSG. */
int spec_check(const struct container_spec *s, size_t n_fds, struct error *e);
/* Request id of a message of any version, from its first SPEC_HEADER_SIZE bytes; -EBADMSG if it is no spec at all. */
#define SPEC_HEADER_SIZE 12
int spec_request(const void *data, size_t size, uint64_t *ret);
