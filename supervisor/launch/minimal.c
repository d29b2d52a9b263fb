/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The launcher's own mount namespace. A clone copies the mount table of its parent (1.4 µs a mount), and
 * whatever is in that table is what a container could get at if anything went wrong: so the launcher lives in
 * a namespace with four mounts, and looks at the host's only through a descriptor of that.
 */
#include <sys/sysmacros.h>

#include "base/fs.h"
#include "launch/internal.h"
#include "launch/mount.h"

const struct standard_node standard_nodes[STANDARD_NODES] = {
    {"null", 1, 3},
    {"zero", 1, 5},
    {"full", 1, 7},
    {"random", 1, 8},
    {"urandom", 1, 9},
    {"tty", 5, 0},
};

/* A node of our own, or where the kernel forbids that (we are in a container ourselves) the host's. */
static int make_standard_node(int dev_fd, const struct standard_node *n, bool *ret_made, struct error *e) {
    char path[32];
    struct stat st;

    if (mknodat(dev_fd, n->name, S_IFCHR | 0666, makedev(n->major, n->minor)) >= 0)
        return 0;
    if (errno != EPERM)
        return error_set_errno(e, errno, "mknod %s", n->name);
    *ret_made = false;

    snprintf(path, sizeof(path), "/dev/%s", n->name);
    if (mknodat(dev_fd, n->name, S_IFREG | 0600, 0) < 0)
        return error_set_errno(e, errno, "create %s", n->name);
    _cleanup_close_ int fd = mount_clone(AT_FDCWD, path, false);
    if (fd < 0)
        return error_set_errno(e, fd, "open_tree %s", path);
    if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(n->major, n->minor))
        return error_set(e, ENODEV, "%s is not the device it should be", path);
    int r = mount_attach(fd, dev_fd, n->name);
    return r < 0 ? error_set_errno(e, r, "move_mount %s", path) : 0;
}

/* The nodes and an empty directory, all on a superblock that is read-only afterwards: a container sees them
 * bound into its own tree and must not be able to change mode or owner of what others see too. Called with
 * the root of the new namespace as working directory, while /dev of the host is still in reach. */
static int make_dev(struct launcher *l, struct error *e) {
    _cleanup_close_ int fs = filesystem_open("tmpfs", e);
    if (fs < 0)
        return fs;
    int r = filesystem_set_options(fs, "mode=755,size=64k", e);
    if (r < 0)
        return r;
    _cleanup_close_ int dev = filesystem_mount(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, e);
    if (dev < 0)
        return dev;
    r = mount_attach(dev, AT_FDCWD, "dev");
    if (r < 0)
        return error_set_errno(e, r, "attach /dev");

    l->device_nodes = true;
    for (size_t i = 0; i < ARRAY_SIZE(standard_nodes); i++) {
        r = make_standard_node(dev, &standard_nodes[i], &l->device_nodes, e);
        if (r < 0)
            return r;
    }
    if (mkdirat(dev, "empty", 0755) < 0)
        return error_set_errno(e, errno, "mkdir /dev/empty");
    r = filesystem_set(fs, "ro", NULL, e);
    if (r >= 0 && fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
        r = error_set_errno(e, errno, "make /dev read-only");
    return r;
}

/* In a container of somebody else's we may be allowed no new one: then a clone of the one that is there, with
 * whatever covers parts of it. */
static int attach_new(const char *type, const char *name, unsigned attributes, struct error *e) {
    char path[16];

    _cleanup_close_ int fd = mount_new(type, NULL, attributes, e);
    if (fd == -EPERM) {
        snprintf(path, sizeof(path), "/%s", name);
        fd = mount_clone(AT_FDCWD, path, true);
    }
    if (fd < 0)
        return fd;
    int r = mount_attach(fd, AT_FDCWD, name);
    return r < 0 ? error_set_errno(e, r, "attach /%s", name) : 0;
}

static int populate(struct launcher *l, struct error *e) {
    static const char *const directories[] = {"proc", "sys", "dev", "root", "scratch", "nodes"};
    unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV;

    for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
        if (mkdir(directories[i], 0755) < 0)
            return error_set_errno(e, errno, "mkdir /%s", directories[i]);
    int r = attach_new("proc", "proc", attributes, e);
    if (r >= 0)
        r = attach_new("sysfs", "sys", attributes, e);
    if (r >= 0)
        r = make_dev(l, e);
    return r;
}

static int open_namespace(const char *name, int *ret, struct error *e) {
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(e, errno, "open %s", path);
    *ret = fd;
    return 0;
}

int minimal_enter(struct launcher *l, struct error *e) {
    int r = open_namespace("mnt", &l->host_mount_ns, e);
    if (r >= 0)
        r = open_namespace("pid", &l->own_pid_ns, e);
    if (r < 0)
        return r;
    if (unshare(CLONE_NEWNS) < 0)
        return error_set_errno(e, errno, "unshare mount namespace");
    /* Or pulling down the old tree would pull down the host's. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return error_set_errno(e, errno, "make / private");

    _cleanup_close_ int root = mount_new("tmpfs", "mode=755,size=1m", MOUNT_ATTR_NOSUID, e);
    if (root < 0)
        return root;
    /* Anywhere will do: it is over in a moment, and nobody else is in this namespace. */
    r = mount_attach(root, AT_FDCWD, "/");
    if (r < 0)
        return error_set_errno(e, r, "attach the launcher's root");
    if (fchdir(root) < 0)
        return error_set_errno(e, errno, "enter the launcher's root");
    r = populate(l, e);
    if (r < 0)
        return r;
    r = sys_pivot_root(".", ".");
    if (r < 0)
        return error_set_errno(e, r, "pivot_root");
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return error_set_errno(e, errno, "detach the old root");
    return open_namespace("mnt", &l->own_mount_ns, e);
}

int host_enter(const struct launcher *l, struct error *e) {
    if (setns(l->host_mount_ns, CLONE_NEWNS) < 0)
        return error_set_errno(e, errno, "enter the host's mount namespace");
    return 0;
}

/* Fails only if the kernel takes our privileges away; then every later launch would look at the wrong tree.
 */
void host_leave(const struct launcher *l) {
    if (setns(l->own_mount_ns, CLONE_NEWNS) < 0)
        abort();
}
