/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/subvolume.h"

#include <linux/btrfs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include "base/str.h"

/* BTRFS_FIRST_FREE_OBJECTID: the inode of every subvolume's root, and of nothing else. */
#define SUBVOLUME_INODE 256

bool on_btrfs(int fd) {
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && (unsigned long)fs.f_type == BTRFS_SUPER_MAGIC;
}

bool is_subvolume(int fd, const struct stat *st) {
    return st->st_ino == SUBVOLUME_INODE && S_ISDIR(st->st_mode) && on_btrfs(fd);
}

static int set_name(char *to, size_t size, const char *name) {
    size_t n = strlen(name) + 1;

    if (n > size)
        return -ENAMETOOLONG;
    memcpy(to, name, n);
    return 0;
}

/* Another file system would take the request for one of its own. */
static int request(int dirfd, unsigned long code, void *arguments) {
    if (!on_btrfs(dirfd))
        return -EOPNOTSUPP;
    return ioctl(dirfd, code, arguments) < 0 ? negative_errno() : 0;
}

int subvolume_create(int dirfd, const char *name) {
    struct btrfs_ioctl_vol_args a = {};
    int r = set_name(a.name, sizeof(a.name), name);

    return r < 0 ? r : request(dirfd, BTRFS_IOC_SUBVOL_CREATE, &a);
}

int subvolume_snapshot(int source, int dirfd, const char *name) {
    struct btrfs_ioctl_vol_args_v2 a = {.fd = source};
    int r = set_name(a.name, sizeof(a.name), name);

    return r < 0 ? r : request(dirfd, BTRFS_IOC_SNAP_CREATE_V2, &a);
}

int subvolume_remove(int dirfd, const char *name) {
    struct btrfs_ioctl_vol_args a = {};
    int r = set_name(a.name, sizeof(a.name), name);

    return r < 0 ? r : request(dirfd, BTRFS_IOC_SNAP_DESTROY, &a);
}
