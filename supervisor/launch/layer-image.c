/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A layer that is a file with a file system in it: erofs or squashfs, told apart by what is in the file. It
 * is mounted detached and read-only; where the kernel mounts erofs from a file (6.12) it does, otherwise a
 * loop device is taken, which goes with the mount.
 */
#include <linux/loop.h>
#include <sys/ioctl.h>

#include "launch/internal.h"
#include "launch/mount.h"

#define LOOP_TRIES 16 /* others take free devices too */
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

/* The kernel lets go of the device when nothing has it open or mounted any more. */
static int loop_attach(int file, char name[static 32], struct error *e) {
    _cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    struct loop_config config = {
        .fd = (uint32_t)file,
        .info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR,
    };

    if (control < 0)
        return error_set_errno(e, errno, "open /dev/loop-control, for a layer that is a file");
    for (unsigned i = 0; i < LOOP_TRIES; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0)
            return error_set_errno(e, errno, "getting a loop device");
        (void)snprintf(name, 32, "/dev/loop%d", number);
        _cleanup_close_ int fd = open(name, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return error_set_errno(e, errno, "open %s", name);
        if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
            return TAKE_FD(fd);
        if (errno != EBUSY)
            return error_set_errno(e, errno, "setting up %s", name);
    }
    return error_set(e, EBUSY, "no loop device stayed free for a layer that is a file");
}

int layer_image_mount(const char *path, struct error *e) {
    char name[32];

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
    _cleanup_close_ int loop = loop_attach(file, name, e);
    if (loop < 0)
        return loop;
    int fd = mount_source(type, name, e);
    return fd < 0 ? error_prefix(e, fd, "layer %s", path) : fd;
}
