/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The steps that put the root file system together, up to pivot_root. All of it goes by descriptors: the
 * overlay's root is one, and every path of the container is resolved below it.
 */
#include <limits.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "base/fs.h"
#include "launch/internal.h"
#include "launch/mount.h"
#include "launch/resolve.h"

static bool has(const struct child *c, enum spec_namespace ns) {
    return c->spec->namespaces & ns;
}

/* Nothing mounted here shall reach anybody else. The launcher's own namespace is private already; a program
 * that launches without one (another door) may not be. */
int step_propagation(struct child *c, struct error *e) {
    (void)c;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return error_set_errno(e, errno, "make all mounts private");
    return 0;
}

/* The mounts that the overlay was made of are done with. To close one that is attached nowhere waits for an RCU
 * grace period, and so does the next; the tree that we came from is detached anyway (step_pivot_root()), and
 * takes with it what is attached there. Where that fails, closing does it. */
static void layers_go_with_old_root(struct prepared *p) {
    const int single[] = {p->layers_clone, p->replaced_layer};

    if (p->launcher->overlay == OVERLAY_DETACHED) {
        for (size_t i = 0; i < ARRAY_SIZE(single); i++)
            if (single[i] >= 0)
                (void)mount_attach(single[i], AT_FDCWD, "/scratch");
        for (size_t i = 0; i < p->n_extra_clones; i++)
            (void)mount_attach(p->extra_clones[i], AT_FDCWD, "/scratch");
    }
    prepared_release_layers(p);
}

int step_rootfs(struct child *c, struct error *e) {
    int r = mount_attach(c->p->root_fd, AT_FDCWD, "/root");
    if (r < 0)
        return error_set_errno(e, r, "attach the root file system");
    c->root_fd = c->p->root_fd;
    layers_go_with_old_root(c->p);
    return 0;
}

/* A directory right below the root that must be one, not a link to one. */
static int open_top_level(struct child *c, const char *path, struct error *e) {
    int fd = root_open_strict(c->root_fd, path, O_PATH | O_DIRECTORY);
    return fd < 0 ? error_set_errno(e, fd, "%s must be a directory", path) : fd;
}

int step_proc(struct child *c, struct error *e) {
    unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV;

    _cleanup_close_ int target = open_top_level(c, "/proc", e);
    if (target < 0)
        return target;
    c->proc_fd = c->p->proc_fd >= 0 ? c->p->proc_fd : mount_new("proc", NULL, attributes, e);
    if (c->proc_fd < 0)
        return c->proc_fd;
    int r = mount_attach(c->proc_fd, target, "");
    return r < 0 ? error_set_errno(e, r, "attach /proc") : 0;
}

/* The unified hierarchy as the cgroup namespace shows it, read-only (rule R10). Without a namespace it would
 * show the host's groups, so there is an empty directory instead. */
static int attach_cgroup(struct child *c, int sys_fd, struct error *e) {
    unsigned attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV;
    struct error ignored;
    _cleanup_close_ int fd = -1;

    if (has(c, NS_CGROUP))
        fd = mount_new("cgroup2", NULL, attributes, &ignored);
    if (fd < 0)
        fd = mount_clone(AT_FDCWD, "/dev/empty", false);
    int r = fd < 0 ? fd : mount_attach(fd, sys_fd, "fs/cgroup");
    if (r == -ENOENT)
        return 0; /* a kernel without control groups */
    return r < 0 ? error_set_errno(e, r, "attach /sys/fs/cgroup") : 0;
}

int step_sys(struct child *c, struct error *e) {
    unsigned attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV;

    _cleanup_close_ int target = open_top_level(c, "/sys", e);
    if (target < 0)
        return target;
    _cleanup_close_ int fd =
        c->p->sys_fd >= 0 ? fcntl(c->p->sys_fd, F_DUPFD_CLOEXEC, 3) : mount_new("sysfs", NULL, attributes, e);
    if (fd < 0)
        return fd;
    int r = mount_attach(fd, target, "");
    if (r < 0)
        return error_set_errno(e, r, "attach /sys");
    return attach_cgroup(c, fd, e);
}

/* ---- what the spec asks for ---- */

static const struct {
    enum spec_mount_kind kind;
    const char *type, *options;
} file_systems[] = {
    {MOUNT_TMPFS, "tmpfs", NULL},
    {MOUNT_DEVPTS, "devpts", "newinstance,ptmxmode=0666,mode=0620"},
    {MOUNT_MQUEUE, "mqueue", NULL},
    {MOUNT_PROC, "proc", NULL},
    {MOUNT_SYSFS, "sysfs", NULL},
    {MOUNT_CGROUP, "cgroup2", NULL},
};

static int make_file_system(const struct spec_mount *m, struct error *e) {
    for (size_t i = 0; i < ARRAY_SIZE(file_systems); i++) {
        if (file_systems[i].kind != m->kind)
            continue;
        const char *options = isempty(m->options) ? file_systems[i].options : m->options;
        /* A read-only tmpfs must be filled first. */
        uint32_t flags = m->flags & MOUNT_COPY_UP ? m->flags & ~(uint32_t)MOUNT_READ_ONLY : m->flags;
        int fd = mount_new(file_systems[i].type, options, (unsigned)mount_attributes(flags), e);
        return fd < 0 ? error_prefix(e, fd, "%s", m->target) : fd;
    }
    return error_set(e, EINVAL, "%s: unknown kind of mount", m->target);
}

/* A file of /proc must never be something else (CVE-2019-16884, CVE-2025-52881): programs, and davit's own
 * steps, trust what they read and write there. */
static int refuse_proc(int target, const struct spec_mount *m, struct error *e) {
    struct statfs fs;

    if (m->kind == MOUNT_PROC)
        return 0;
    if (fstatfs(target, &fs) < 0)
        return error_set_errno(e, errno, "statfs %s", m->target);
    if (fs.f_type == PROC_SUPER_MAGIC)
        return error_set(e, EPERM, "%s: nothing may be mounted in /proc", m->target);
    return 0;
}

/* Fills a new tmpfs with what the image has in its place. */
static int copy_up(int fd, int target, const struct spec_mount *m, struct error *e) {
    _cleanup_close_ int from = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int to = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (from < 0 || to < 0)
        return error_set_errno(e, errno, "open %s", m->target);
    int r = copy_tree(from, to, NULL, e);
    if (r >= 0 && (m->flags & MOUNT_READ_ONLY))
        r = mount_set(fd, false, MOUNT_ATTR_RDONLY, 0, 0, -1);
    return r;
}

/* What to attach: the source's clone, or a copy of it whose flags are locked, or a new file system. */
static int open_mount(struct child *c, uint32_t i, struct error *e) {
    const struct spec_mount *m = &c->spec->mounts[i];
    char buffer[LOCKED_PATH_MAX];

    if (!mount_has_source(m))
        return make_file_system(m, e);
    const char *locked = volume_locked_path(c->p, i, buffer);
    int fd = locked ? mount_clone(AT_FDCWD, locked, m->flags & MOUNT_RECURSIVE)
                    : fcntl(c->p->mount_fds[i], F_DUPFD_CLOEXEC, 3);
    return fd < 0 ? error_set_errno(e, locked ? fd : errno, "open_tree %s", m->source) : fd;
}

static int attach_mount(struct child *c, uint32_t i, struct error *e) {
    const struct spec_mount *m = &c->spec->mounts[i];
    struct stat st = {.st_mode = S_IFDIR};

    if (mount_has_source(m) && c->p->mount_fds[i] < 0)
        return 0; /* optional, and not there */
    if (mount_has_source(m) && fstat(c->p->mount_fds[i], &st) < 0)
        return error_set_errno(e, errno, "stat %s", m->source);

    _cleanup_close_ int target = root_make_target(c->root_fd, m->target, S_ISDIR(st.st_mode));
    if (target < 0)
        return error_set_errno(e, target, "make mount point %s", m->target);
    int r = refuse_proc(target, m, e);
    if (r < 0)
        return r;

    _cleanup_close_ int made = open_mount(c, i, e);
    if (made < 0)
        return made;
    if (m->kind == MOUNT_TMPFS && (m->flags & MOUNT_COPY_UP))
        r = copy_up(made, target, m, e);
    if (r < 0)
        return r;
    r = mount_attach(made, target, "");
    return r < 0 ? error_set_errno(
                       e, r, "attach %s at %s", m->source ? m->source : "a new file system", m->target)
                 : 0;
}

int step_mounts(struct child *c, struct error *e) {
    for (uint32_t i = 0; i < c->spec->n_mounts; i++) {
        int r = attach_mount(c, i, e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* /run/host: in the init layer already, unless something is mounted above it. */
int step_host_interface(struct child *c, struct error *e) {
    if (c->p->run_is_covered) {
        _cleanup_close_ int directory = root_make_directory(c->root_fd, "/run/host", 0755);
        if (directory < 0)
            return error_set_errno(e, directory, "make /run/host");
        _cleanup_close_ int fd = openat(
            directory, "container-manager", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
        if (fd >= 0 && write_all(fd, "davit\n", 6) < 0)
            return error_set_errno(e, errno, "write /run/host/container-manager");
    }
    if (c->p->notify_fd < 0)
        return 0;
    _cleanup_close_ int target = root_make_target(c->root_fd, "/run/host/notify", false);
    int r = target < 0 ? target : mount_attach(c->p->notify_fd, target, "");
    return r < 0 ? error_set_errno(e, r, "attach /run/host/notify") : 0;
}

/* ---- masks ---- */

/* A file is hidden behind the launcher's /dev/null, a directory behind its empty one (rule R4: never behind
 * what the container has in its /dev). What is not there needs no mask. */
static int mask(struct child *c, const char *path, struct error *e) {
    struct stat st;

    _cleanup_close_ int target = root_open(c->root_fd, path, O_PATH);
    if (target == -ENOENT || target == -ENOTDIR)
        return 0;
    if (target < 0 || fstat(target, &st) < 0)
        return error_set_errno(e, errno, "open %s", path);
    _cleanup_close_ int fd = mount_clone(AT_FDCWD, S_ISDIR(st.st_mode) ? "/dev/empty" : "/dev/null", false);
    int r = fd < 0 ? fd : mount_attach(fd, target, "");
    return r < 0 ? error_set_errno(e, r, "mask %s", path) : 0;
}

int step_masks(struct child *c, struct error *e) {
    STRV_FOREACH (path, c->spec->masked_paths) {
        int r = mask(c, *path, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int make_read_only(struct child *c, const char *path, struct error *e) {
    _cleanup_close_ int target = root_open(c->root_fd, path, O_PATH);
    if (target == -ENOENT || target == -ENOTDIR)
        return 0;
    if (target < 0)
        return error_set_errno(e, target, "open %s", path);
    _cleanup_close_ int fd = mount_clone(target, "", true);
    int r = fd < 0 ? fd : mount_set(fd, true, MOUNT_ATTR_RDONLY, 0, 0, -1);
    if (r >= 0)
        r = mount_attach(fd, target, "");
    return r < 0 ? error_set_errno(e, r, "make %s read-only", path) : 0;
}

int step_read_only(struct child *c, struct error *e) {
    STRV_FOREACH (path, c->spec->read_only_paths) {
        int r = make_read_only(c, *path, e);
        if (r < 0)
            return r;
    }
    if (!c->spec->read_only)
        return 0;
    int r = mount_set(c->root_fd, false, MOUNT_ATTR_RDONLY, 0, 0, -1);
    return r < 0 ? error_set_errno(e, r, "make the root file system read-only") : 0;
}

/* ---- the door closes ---- */

/* Standing in the new root, both names are ".": the old root ends up on top of the new one and is detached
 * from there. */
int step_pivot_root(struct child *c, struct error *e) {
    if (fchdir(c->root_fd) < 0)
        return error_set_errno(e, errno, "enter the root file system");
    int r = sys_pivot_root(".", ".");
    if (r < 0)
        return error_set_errno(e, r, "pivot_root");
    if (umount2(".", MNT_DETACH) < 0)
        return error_set_errno(e, errno, "detach the old root");
    if (chdir("/") < 0)
        return error_set_errno(e, errno, "chdir /");
    return 0;
}
