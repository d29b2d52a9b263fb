/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything of a launch that may block or needs the host's privileges, done by the launcher before the child
 * exists: what the spec names by path becomes a descriptor, and the root file system becomes a detached
 * mount. A failure here costs no process.
 */
#include <linux/magic.h>
#include <sys/vfs.h>

#include "base/fs.h"
#include "launch/internal.h"
#include "launch/mount.h"

int fds_new(size_t n, int **ret) {
    int *fds = malloc(MAX(n, (size_t)1) * sizeof(int));
    if (!fds)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        fds[i] = -1;
    *ret = fds;
    return 0;
}

void fds_free(int *fds, size_t n) {
    for (size_t i = 0; fds && i < n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(fds);
}

static void prepared_init(
    struct prepared *p, struct launcher *l, const struct container_spec *s, const int *fds) {
    *p = (struct prepared){
        .launcher = l,
        .spec = s,
        .fds = fds,
        .cgroup_fd = -1,
        .standard = {-1, -1, -1},
        .reopened = {-1, -1, -1},
        .null_fd = -1,
        .terminal_fd = -1,
        .pass_fd = -1,
        .userns_fd = -1,
        .layers_clone = -1,
        .init_layer = -1,
        .replaced_layer = -1,
        .upper_fd = -1,
        .work_fd = -1,
        .upper_clone = -1,
        .root_fd = -1,
        .notify_fd = -1,
        .console_fd = -1,
        .proc_fd = -1,
        .sys_fd = -1,
    };
}

void prepared_release_layers(struct prepared *p) {
    int *single[] = {
        &p->layers_clone, &p->init_layer, &p->replaced_layer, &p->upper_fd, &p->work_fd, &p->upper_clone};

    if (p->init_layer_is_kept)
        p->init_layer = -1;
    fds_free(TAKE_PTR(p->layer_fds), p->n_layer_fds);
    fds_free(TAKE_PTR(p->extra_clones), p->n_extra_clones);
    for (size_t i = 0; i < ARRAY_SIZE(single); i++)
        close_and_reset(single[i]);
}

void prepared_done(struct prepared *p) {
    int *single[] = {
        &p->cgroup_fd, &p->null_fd, &p->root_fd, &p->notify_fd, &p->console_fd, &p->proc_fd, &p->sys_fd};

    volumes_unlock(p);
    prepared_release_layers(p);
    fds_free(TAKE_PTR(p->tasks_fds), p->n_tasks_fds);
    fds_free(TAKE_PTR(p->mount_fds), p->spec->n_mounts);
    fds_free(TAKE_PTR(p->device_fds), p->spec->n_devices);
    free(TAKE_PTR(p->device_stats));
    for (size_t i = 0; i < ARRAY_SIZE(p->reopened); i++)
        close_and_reset(&p->reopened[i]);
    for (size_t i = 0; i < ARRAY_SIZE(single); i++)
        close_and_reset(single[i]);
}

/* ---- parts ---- */

static int open_cgroups(struct prepared *p, struct error *e) {
    const struct container_spec *s = p->spec;

    if (s->cgroup_unified) {
        p->cgroup_fd = open(s->cgroup_unified, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (p->cgroup_fd < 0)
            return error_set_errno(e, errno, "open %s", s->cgroup_unified);
    }
    p->n_tasks_fds = strv_length(s->cgroup_v1_tasks);
    if (fds_new(p->n_tasks_fds, &p->tasks_fds) < 0)
        return error_set(e, ENOMEM, "out of memory");
    for (size_t i = 0; i < p->n_tasks_fds; i++) {
        p->tasks_fds[i] = open(s->cgroup_v1_tasks[i], O_WRONLY | O_CLOEXEC);
        if (p->tasks_fds[i] < 0)
            return error_set_errno(e, errno, "open %s", s->cgroup_v1_tasks[i]);
    }
    return 0;
}

/* A FIFO gets an open file of our own: O_NONBLOCK is a property of the open file, and the other holders want
 * it while the program does not. Output is opened for reading as well, so that a reader that dies and comes
 * back costs the program neither a line nor a SIGPIPE. An anonymous pipe is somebody's pipeline and stays
 * what it is. */
static int reopen_fifo(struct prepared *p, size_t i, int fd, struct error *e) {
    char path[32];
    struct stat st;
    struct statfs fs;

    p->standard[i] = fd;
    if (fstat(fd, &st) < 0)
        return error_set_errno(e, errno, "stat of standard stream %zu", i);
    if (!S_ISFIFO(st.st_mode) || (fstatfs(fd, &fs) >= 0 && fs.f_type == PIPEFS_MAGIC))
        return 0;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int flags = i == 0 ? O_RDONLY | O_NONBLOCK : O_RDWR;
    p->reopened[i] = open(path, flags | O_NOCTTY | O_CLOEXEC);
    if (p->reopened[i] < 0)
        return error_set_errno(e, errno, "open the FIFO of standard stream %zu again", i);
    /* Opening to read does not wait for a writer, but reading shall. */
    if (i == 0 && fcntl(p->reopened[i], F_SETFL, 0) < 0)
        return error_set_errno(e, errno, "fcntl");
    p->standard[i] = p->reopened[i];
    return 0;
}

static int open_stdio(struct prepared *p, struct error *e) {
    const int32_t positions[] = {p->spec->stdin_fd, p->spec->stdout_fd, p->spec->stderr_fd};

    p->terminal_fd = p->spec->terminal_fd >= 0 ? p->fds[p->spec->terminal_fd] : -1;
    p->pass_fd = p->spec->pass_fd >= 0 ? p->fds[p->spec->pass_fd] : -1;
    for (size_t i = 0; i < ARRAY_SIZE(positions); i++) {
        /* One log for both: one open file. */
        if (i == 2 && positions[2] >= 0 && positions[2] == positions[1]) {
            p->standard[2] = p->standard[1];
            break;
        }
        int r = positions[i] < 0 ? 0 : reopen_fifo(p, i, p->fds[positions[i]], e);
        if (r < 0)
            return r;
        if (positions[i] < 0)
            p->standard[i] = p->terminal_fd;
    }
    p->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    return p->null_fd < 0 ? error_set_errno(e, errno, "open /dev/null") : 0;
}

static int open_userns(struct prepared *p, struct error *e) {
    const struct container_spec *s = p->spec;

    p->root_uid = idmap_outside(s->uid_map, s->n_uid_map, 0);
    p->root_gid = idmap_outside(s->gid_map, s->n_gid_map, 0);
    p->made_uid = p->root_uid;
    p->made_gid = p->root_gid;
    if (!(s->namespaces & NS_USER))
        return 0;
    int fd = idmap_userns(p->launcher, s, e);
    if (fd < 0)
        return fd;
    p->userns_fd = fd;
    return 0;
}

/* A user namespace can mount proc and sysfs only if it owns the PID or network namespace they show. Without
 * that the container gets clones of ours. */
static int open_kernel_views(struct prepared *p, struct error *e) {
    uint32_t ns = p->spec->namespaces;

    if (!(ns & NS_USER))
        return 0;
    if (!(ns & NS_PID)) {
        p->proc_fd = mount_clone(AT_FDCWD, "/proc", false);
        if (p->proc_fd < 0)
            return error_set_errno(e, p->proc_fd, "open_tree /proc");
    }
    if (!(ns & NS_NETWORK)) {
        p->sys_fd = mount_clone(AT_FDCWD, "/sys", false);
        int r = p->sys_fd < 0 ? p->sys_fd : mount_set(p->sys_fd, false, MOUNT_ATTR_RDONLY, 0, 0, -1);
        if (r < 0)
            return error_set_errno(e, r, "open_tree /sys");
    }
    return 0;
}

/* The terminal's node, for /dev/console. The container's root owns it from now on. */
static int open_console(struct prepared *p, struct error *e) {
    if (p->terminal_fd < 0)
        return 0;
    p->console_fd = mount_clone(p->terminal_fd, "", false);
    if (p->console_fd < 0)
        return error_set_errno(e, p->console_fd, "open_tree of the terminal");
    int r = mount_set(p->console_fd, false, 0, 0, MS_PRIVATE, -1);
    if (r < 0)
        return error_set_errno(e, r, "mount_setattr of the terminal");
    if (fchown(p->terminal_fd, p->root_uid, (gid_t)-1) < 0)
        return error_set_errno(e, errno, "chown of the terminal");
    return 0;
}

static int open_layers(struct prepared *p, struct error *e) {
    return p->spec->tree ? tree_open(p, e) : layers_open(p, e);
}

static int make_overlay_in_host(struct prepared *p, struct error *e) {
    return !p->spec->tree && p->launcher->overlay == OVERLAY_DETACHED ? overlay_make(p, e) : 0;
}

static int make_overlay_in_own(struct prepared *p, struct error *e) {
    return !p->spec->tree && p->launcher->overlay != OVERLAY_DETACHED ? overlay_make(p, e) : 0;
}

/* ---- the sequence ---- */

enum where { OWN, HOST };
#define KIND(k) (1u << (k))
#define EVERY_KIND (KIND(_SPEC_KIND_COUNT) - 1)
#define WITH_ROOT (KIND(SPEC_CONTAINER) | KIND(SPEC_FILL)) /* for the latter read-only */

static const struct {
    const char *name; /* the step, as users see it */
    int (*function)(struct prepared *p, struct error *e);
    enum where where;
    unsigned kinds;
} parts[] = {
    {"stdio", open_stdio, OWN, EVERY_KIND},
    {"id-maps", open_userns, OWN, WITH_ROOT},
    {"proc", open_kernel_views, OWN, KIND(SPEC_CONTAINER)},
    {"cgroup", open_cgroups, HOST, EVERY_KIND},
    {"layers", open_layers, HOST, WITH_ROOT},
    {"upper-directory", upper_make, HOST, KIND(SPEC_CONTAINER)},
    {"volumes", volumes_open, HOST, KIND(SPEC_CONTAINER)},
    {"devices", devices_open, HOST, KIND(SPEC_CONTAINER)},
    {"console", open_console, HOST, KIND(SPEC_CONTAINER)},
    {"init-layer", init_layer_make, HOST, WITH_ROOT},
    {"overlay", make_overlay_in_host, HOST, WITH_ROOT},
    {"overlay", make_overlay_in_own, OWN, WITH_ROOT},
    {"devices", devices_make_nodes, OWN, KIND(SPEC_CONTAINER)},
    {"volumes", volumes_fill, OWN, KIND(SPEC_CONTAINER)},
    {"volumes", volumes_lock, OWN, KIND(SPEC_CONTAINER)},
};

static int walk(struct prepared *p, struct error *e) {
    enum where where = OWN;
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(parts) && r >= 0; i++) {
        if (!(parts[i].kinds & KIND(p->spec->kind)))
            continue;
        if (parts[i].where == HOST && where == OWN)
            r = host_enter(p->launcher, e);
        if (r < 0)
            break;
        if (parts[i].where == OWN && where == HOST)
            host_leave(p->launcher);
        where = parts[i].where;
        r = parts[i].function(p, e);
        if (r < 0)
            error_set_step(e, parts[i].name);
    }
    if (where == HOST)
        host_leave(p->launcher);
    return r;
}

/* "/a//b/./c/" is the same place as "/a/b/c": the code below compares and cuts paths as text. */
static void simplify_paths(const struct container_spec *s) {
    for (uint32_t i = 0; i < s->n_mounts; i++)
        path_simplify(s->mounts[i].target);
    for (uint32_t i = 0; i < s->n_devices; i++)
        path_simplify(s->devices[i].target);
    for (uint32_t i = 0; i < s->n_files; i++)
        path_simplify(s->files[i].path);
    STRV_FOREACH (layer, s->layers)
        path_simplify(*layer);
}

int prepare(struct launcher *l, const struct container_spec *s, const int *fds, struct prepared *ret,
    struct error *e) {
    _cleanup_(prepared_done) struct prepared p;

    prepared_init(&p, l, s, fds);
    simplify_paths(s);
    int r = walk(&p, e);
    if (r < 0)
        return r;
    *ret = p;
    prepared_init(&p, l, s, fds); /* owns nothing any more */
    return 0;
}
