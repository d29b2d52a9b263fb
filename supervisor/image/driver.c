/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/driver.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/copy_tree.h"
#include "base/fs.h"
#include "base/subvolume.h"

/* ---- btrfs ---- */

static int btrfs_check(int fd, const char *path, struct error *e) {
    return on_btrfs(fd)
               ? 0
               : error_set(e, EOPNOTSUPP,
                     "storage_driver = \"btrfs\" needs %s to be on btrfs, which it is not: \"overlay\" "
                     "works on every file system, \"vfs\" copies",
                     path);
}

static int btrfs_create(int dirfd, const char *name, struct error *e) {
    int r = subvolume_create(dirfd, name);
    return r < 0 ? error_set_errno(e, r, "making a subvolume") : 0;
}

static int btrfs_copy(int chain, int dirfd, const char *name, struct error *e) {
    int r = subvolume_snapshot(chain, dirfd, name);
    return r < 0 ? error_set_errno(e, r, "making a snapshot") : 0;
}

/* ---- vfs ---- */

static int vfs_check(int fd _unused_, const char *path _unused_, struct error *e _unused_) {
    return 0;
}

static int vfs_create(int dirfd, const char *name, struct error *e) {
    return mkdirat(dirfd, name, 0755) < 0 ? error_set_errno(e, errno, "making a directory") : 0;
}

static int vfs_copy(int chain, int dirfd, const char *name, struct error *e) {
    int r = vfs_create(dirfd, name, e);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? error_set_errno(e, errno, "opening the new tree") : copy_tree(chain, fd, NULL, e);
}

/* ---- the table ---- */

static const struct storage_driver drivers[] = {
    {.name = STORAGE_DRIVER_DEFAULT},
    {"btrfs", true, btrfs_check, btrfs_create, btrfs_copy},
    {"vfs", true, vfs_check, vfs_create, vfs_copy},
};

/* What other engines have, so that a line taken over from one of their files is answered with what to do. */
static const struct {
    const char *name, *instead;
} others[] = {
    {"overlay2", "it is called \"overlay\""},
    {"zfs", "put /var/lib/davit on a file system that can hold overlay's upper directories, ext4 or xfs on a "
            "zvol"},
    {"devicemapper", "put /var/lib/davit on a file system of a logical volume"},
    {"aufs", "the kernel has overlay instead"},
};

int storage_driver_find(const char *name, const struct storage_driver **ret, struct error *e) {
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
        if (streq(name, drivers[i].name)) {
            *ret = &drivers[i];
            return 0;
        }
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (streq(name, others[i].name))
            return error_set(e, EOPNOTSUPP, "\"%s\" is not supported: %s", name, others[i].instead);
    return error_set(e, EINVAL, "\"overlay\", \"btrfs\" or \"vfs\" is expected, not \"%s\"", name);
}

/* ---- images ---- */

/* ROOT/layers/HEX/tree */
static bool layer_digest(const char *root, const char *path, char ret[static DIGEST_TEXT]) {
    _cleanup_free_ char *start = strf("%s/layers/", root);
    const char *hex = start ? startswith(path, start) : NULL;
    char digits[DIGEST_HEX + 1];

    if (!hex || strnlen(hex, DIGEST_HEX) < DIGEST_HEX || !streq(hex + DIGEST_HEX, "/tree"))
        return false;
    memcpy(digits, hex, DIGEST_HEX);
    digits[DIGEST_HEX] = '\0';
    return digest_from_hex(digits, ret);
}

int storage_layer_digests(const char *root, char *const *layers, char ***ret) {
    _cleanup_strv_free_ char **digests = NULL;
    char digest[DIGEST_TEXT];

    *ret = NULL;
    STRV_FOREACH (layer, layers) {
        if (!layer_digest(root, *layer, digest))
            return 0;
        if (strv_append(&digests, digest) < 0)
            return -ENOMEM;
    }
    *ret = TAKE_PTR(digests);
    return 0;
}

int storage_driver_layers(const struct storage_driver *d, const struct image *image, char ***ret) {
    *ret = NULL;
    return d->trees && image->root ? storage_layer_digests(image->root, image->layers, ret) : 0;
}

/* ---- what the file system can do ---- */

bool storage_shares_data(int fd) {
    static const char block[4096] = "x";
    _cleanup_close_ int a = openat(fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    _cleanup_close_ int b = openat(fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

    return a >= 0 && b >= 0 && write_all(a, block, sizeof(block)) >= 0 && ioctl(b, FICLONE, a) == 0;
}
