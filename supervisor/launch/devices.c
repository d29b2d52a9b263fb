/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /dev: always a tmpfs of our own (CVE-2025-31133, CVE-2026-41579), attached to a directory that is no
 * symbolic link. Nodes are made where the kernel lets us, else they are bind mounts of nodes that were
 * checked before: inside a user namespace mknod is forbidden.
 */
#include <limits.h>
#include <sys/sysmacros.h>

#include "base/fs.h"
#include "launch/internal.h"
#include "launch/mount.h"
#include "launch/resolve.h"

static const struct {
    const char *name, *target;
} links[] = {
    {"fd", "/proc/self/fd"},
    {"stdin", "/proc/self/fd/0"},
    {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"},
    {"core", "/proc/kcore"},
    {"ptmx", "pts/ptmx"},
};

/* ---- in the launcher ---- */

int devices_open(struct prepared *p, struct error *e) {
    const struct container_spec *s = p->spec;

    if (fds_new(s->n_devices, &p->device_fds) < 0)
        return error_set(e, ENOMEM, "out of memory");
    p->device_stats = calloc(MAX(s->n_devices, 1u), sizeof(struct stat));
    if (!p->device_stats)
        return error_set(e, ENOMEM, "out of memory");

    for (uint32_t i = 0; i < s->n_devices; i++) {
        const struct spec_device *d = &s->devices[i];
        struct stat st;

        _cleanup_close_ int fd = mount_clone(AT_FDCWD, d->source, false);
        if (fd == -ENOENT && d->optional)
            continue;
        if (fd < 0)
            return error_set_errno(e, fd, "open_tree %s", d->source);
        if (fstat(fd, &st) < 0)
            return error_set_errno(e, errno, "stat %s", d->source);
        if ((!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)) || st.st_rdev == 0)
            return error_set(e, ENODEV, "%s is not a device node", d->source);
        int r = mount_set(fd, false, 0, 0, MS_PRIVATE, -1);
        if (r < 0)
            return error_set_errno(e, r, "mount_setattr %s", d->source);
        p->device_stats[i] = st;
        p->device_fds[i] = TAKE_FD(fd);
    }
    return 0;
}

/* With a user namespace a host node belongs to nobody inside, so one of mode 0600 would be there but closed.
 * A node of our own, made in the directory nodes, belongs to the container's root. */
static int make_owned_node(struct prepared *p, size_t i, int nodes_fd, struct error *e) {
    const struct stat *st = &p->device_stats[i];
    const struct spec_device *d = &p->spec->devices[i];
    mode_t mode = d->mode != 0 ? d->mode : st->st_mode & 07777;
    uint32_t gid = idmap_outside(p->spec->gid_map, p->spec->n_gid_map, st->st_gid);
    char name[16];

    snprintf(name, sizeof(name), "%zu", i);
    if (mknodat(nodes_fd, name, (st->st_mode & S_IFMT) | mode, st->st_rdev) < 0)
        return error_set_errno(e, errno, "mknod for %s", d->target);
    if (fchownat(nodes_fd, name, p->root_uid, gid == SPEC_ID_UNSET ? p->root_gid : gid, 0) < 0)
        return error_set_errno(e, errno, "chown the node for %s", d->target);
    int fd = mount_clone(nodes_fd, name, false);
    if (fd < 0)
        return error_set_errno(e, fd, "open_tree of the node for %s", d->target);
    close(p->device_fds[i]);
    p->device_fds[i] = fd;
    return 0;
}

int devices_make_nodes(struct prepared *p, struct error *e) {
    if (p->userns_fd < 0 || !p->launcher->device_nodes || p->spec->n_devices == 0)
        return 0;
    _cleanup_close_ int nodes_fd =
        mount_new("tmpfs", "mode=755,size=64k", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, e);
    if (nodes_fd < 0)
        return nodes_fd;
    /* Before 6.15 only what is attached can be cloned. */
    int r = mount_attach(nodes_fd, AT_FDCWD, "/nodes");
    if (r < 0)
        return error_set_errno(e, r, "attach /nodes");
    for (uint32_t i = 0; i < p->spec->n_devices && r >= 0; i++)
        r = p->device_fds[i] >= 0 ? make_owned_node(p, i, nodes_fd, e) : 0;
    (void)umount2("/nodes", MNT_DETACH);
    return r;
}

/* ---- in the child ---- */

static bool has_user_namespace(const struct child *c) {
    return c->spec->namespaces & NS_USER;
}

/* An empty file for something to be attached on. */
static int touch_at(int dir, const char *name) {
    return mknodat(dir, name, S_IFREG | 0644, 0) < 0 ? negative_errno() : 0;
}

static int attach_at(int fd, int dir, const char *name, struct error *e) {
    int r = touch_at(dir, name);
    if (r >= 0)
        r = mount_attach(fd, dir, name);
    return r < 0 ? error_set_errno(e, r, "attach /dev/%s", name) : 0;
}

static int make_nodes(struct child *c, struct error *e) {
    char path[32];

    for (size_t i = 0; i < STANDARD_NODES; i++) {
        if (!has_user_namespace(c) && c->p->launcher->device_nodes) {
            if (mknodat(c->dev_fd, standard_nodes[i].name, S_IFCHR | 0666,
                    makedev(standard_nodes[i].major, standard_nodes[i].minor)) < 0)
                return error_set_errno(e, errno, "mknod /dev/%s", standard_nodes[i].name);
            continue;
        }
        /* The launcher's own /dev, which no container reaches. */
        snprintf(path, sizeof(path), "/dev/%s", standard_nodes[i].name);
        _cleanup_close_ int fd = mount_clone(AT_FDCWD, path, false);
        if (fd < 0)
            return error_set_errno(e, fd, "open_tree %s", path);
        int r = attach_at(fd, c->dev_fd, standard_nodes[i].name, e);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < ARRAY_SIZE(links); i++)
        if (symlinkat(links[i].target, c->dev_fd, links[i].name) < 0)
            return error_set_errno(e, errno, "symlink /dev/%s", links[i].name);
    return 0;
}

static int mount_at_dev(
    struct child *c, const char *type, const char *options, const char *name, struct error *e) {
    if (mkdirat(c->dev_fd, name, 0755) < 0)
        return error_set_errno(e, errno, "mkdir /dev/%s", name);
    if (!type)
        return 0;
    _cleanup_close_ int fd =
        mount_new(type, options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e);
    if (fd < 0)
        return fd;
    int r = mount_attach(fd, c->dev_fd, name);
    return r < 0 ? error_set_errno(e, r, "attach /dev/%s", name) : 0;
}

static int make_sub_mounts(struct child *c, struct error *e) {
    const struct container_spec *s = c->spec;
    char shm[64] = "mode=1777", pts[64];

    /* Group 5 is tty by convention, where the container has one. */
    bool has_tty = idmap_outside(s->gid_map, s->n_gid_map, 5) != SPEC_ID_UNSET;
    snprintf(pts, sizeof(pts), "newinstance,ptmxmode=0666,mode=0620%s", has_tty ? ",gid=5" : "");
    if (s->shm_size > 0)
        snprintf(shm, sizeof(shm), "mode=1777,size=%ju", (uintmax_t)s->shm_size);
    int r = mount_at_dev(c, "devpts", pts, "pts", e);
    if (r >= 0)
        r = mount_at_dev(c, "tmpfs", shm, "shm", e);
    if (r < 0)
        return r;
    /* The message queues of an IPC namespace can only be mounted from the user namespace that owns it. */
    bool queues = (s->namespaces & NS_IPC) || !has_user_namespace(c);
    return mount_at_dev(c, queues ? "mqueue" : NULL, NULL, "mqueue", e);
}

int step_dev(struct child *c, struct error *e) {
    _cleanup_close_ int target = root_open_strict(c->root_fd, "/dev", O_PATH | O_DIRECTORY);
    if (target < 0)
        return error_set_errno(e, target, "/dev must be a directory");
    c->dev_fd = mount_new("tmpfs", "mode=755,size=64m", MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME, e);
    if (c->dev_fd < 0)
        return c->dev_fd;
    int r = mount_attach(c->dev_fd, target, "");
    if (r < 0)
        return error_set_errno(e, r, "attach /dev");
    r = make_nodes(c, e);
    if (r >= 0)
        r = make_sub_mounts(c, e);
    if (r >= 0 && c->p->console_fd >= 0)
        r = attach_at(c->p->console_fd, c->dev_fd, "console", e);
    return r;
}

/* A node on our own tmpfs where that is possible: it can have a mode of its own. */
static int make_node(struct child *c, size_t i, struct error *e) {
    const struct spec_device *d = &c->spec->devices[i];
    const struct stat *st = &c->p->device_stats[i];
    char parent_path[PATH_MAX];
    const char *name = path_basename(d->target);
    size_t n = (size_t)(name - d->target);

    if (n >= sizeof(parent_path))
        return error_set(e, ENAMETOOLONG, "%s", d->target);
    memcpy(parent_path, d->target, n);
    parent_path[n] = '\0';
    _cleanup_close_ int parent = root_make_directory(c->root_fd, parent_path, 0755);
    if (parent < 0)
        return error_set_errno(e, parent, "make %s", parent_path);
    (void)unlinkat(parent, name, 0);
    mode_t mode = d->mode != 0 ? d->mode : st->st_mode & 07777;
    if (mknodat(parent, name, (st->st_mode & S_IFMT) | mode, st->st_rdev) < 0)
        return error_set_errno(e, errno, "mknod %s", d->target);
    if (fchownat(parent, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_set_errno(e, errno, "chown %s", d->target);
    return 0;
}

int step_devices(struct child *c, struct error *e) {
    for (uint32_t i = 0; i < c->spec->n_devices; i++) {
        const char *target = c->spec->devices[i].target;
        int r;

        if (c->p->device_fds[i] < 0)
            continue;
        if (!has_user_namespace(c) && c->p->launcher->device_nodes && startswith(target, "/dev/")) {
            r = make_node(c, i, e);
            if (r < 0)
                return r;
            continue;
        }
        _cleanup_close_ int fd = root_make_target(c->root_fd, target, false);
        r = fd < 0 ? fd : mount_attach(c->p->device_fds[i], fd, "");
        if (r < 0)
            return error_set_errno(e, r, "attach %s", target);
    }
    return 0;
}
