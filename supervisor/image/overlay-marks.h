/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What overlay writes into a layer to hide what is below (the kernel's
 * Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories"). Layers are unpacked with
 * these marks, written out and compared by them.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define OVERLAY_XATTRS "trusted.overlay."
#define OVERLAY_OPAQUE OVERLAY_XATTRS "opaque"

/* A removed name: a character device 0:0. */
static inline bool overlay_is_whiteout(const struct stat *st) {
    return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

/* A directory that has nothing in common with one of the same name below. */
static inline bool overlay_is_opaque(int fd) {
    char value;
    return fgetxattr(fd, OVERLAY_OPAQUE, &value, 1) == 1 && value == 'y';
}

/* A directory that was renamed, or a file with its data elsewhere, in a way that only overlay understands. */
static inline bool overlay_is_redirected(int fd) {
    return fgetxattr(fd, OVERLAY_XATTRS "redirect", NULL, 0) >= 0 ||
           fgetxattr(fd, OVERLAY_XATTRS "metacopy", NULL, 0) >= 0;
}
