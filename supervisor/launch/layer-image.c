/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A layer that is a file with a file system in it: erofs or squashfs, told apart by what is in the file. It
 * is mounted detached and read-only; where the kernel mounts erofs from a file (6.12) it does, otherwise a
 * loop device is taken, which goes with the mount.
 */
#include "launch/internal.h"
#include "launch/loop.h"
#include "launch/mount.h"

#define EROFS_OFFSET 1024

/* "erofs", "squashfs", or NULL. */
static const char *type_of(int fd) {
    static const unsigned char erofs[] = {0xe2, 0xe1, 0xf5, 0xe0};
    unsigned char magic[4];

    if (pread(fd, magic, sizeof(magic), 0) == sizeof(magic) && memcmp(magic, "hsqs", 4) == 0)
        return "squashfs";
    if (pread(fd, magic, sizeof(magic), EROFS_OFFSET) == sizeof(magic) && memcmp(magic, erofs, 4) == 0)
        return "erofs";
    return NULL;
}

static int mount_source(const char *type, const char *source, struct error *e) {
    _cleanup_close_ int fs = filesystem_open(type, e);

    if (fs < 0)
        return fs;
    int r = filesystem_set(fs, "source", source, e);
    if (r >= 0)
        r = filesystem_set(fs, "ro", NULL, e);
    return r < 0 ? r : filesystem_mount(fs, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, e);
}

int layer_image_mount(const char *path, struct error *e) {
    char name[LOOP_PATH_MAX];

    _cleanup_close_ int file = open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC);
    if (file < 0)
        return error_set_errno(e, errno, "open layer %s", path);
    const char *type = type_of(file);
    if (!type)
        return error_set(e, EINVAL, "layer %s is neither a directory nor an erofs or squashfs file", path);
    if (streq(type, "erofs")) {
        int fd = mount_source(type, path, NULL);
        if (fd >= 0)
            return fd;
    }
    _cleanup_close_ int loop = loop_new(file, true, name, e);
    if (loop < 0)
        return error_prefix(e, loop, "layer %s", path);
    int fd = mount_source(type, name, e);
    return fd < 0 ? error_prefix(e, fd, "layer %s", path) : fd;
}
