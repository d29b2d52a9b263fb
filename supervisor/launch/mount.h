/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The new mount API in the four moves that launching needs: make a file system, clone a piece of the mount
 * tree, set attributes while it is still detached, attach it by descriptor. Nothing here takes a path that a
 * container controls (rule R2 of docs/design.md: build detached, attach by fd).
 *
 * A mount made or cloned here is an O_PATH descriptor of its root, close-on-exec, owned by the caller. While
 * it is not attached, closing the descriptor destroys it.
 */
#pragma once

#include "base/error.h"
#include "launch/kernel.h"

/* A file system under construction: fsopen(2). */
int filesystem_open(const char *type, struct error *e);
/* One option. value NULL = a flag. The error holds what the kernel wrote to the context's log. */
int filesystem_set(int fs_fd, const char *key, const char *value, struct error *e);
/* "size=64k,mode=755,noswap"; NULL = none. */
int filesystem_set_options(int fs_fd, const char *options, struct error *e);
/* Creates the superblock and a detached mount of it. attributes: MOUNT_ATTR_*. */
int filesystem_mount(int fs_fd, unsigned attributes, struct error *e);

/* All of the above at once. */
int mount_new(const char *type, const char *options, unsigned attributes, struct error *e);
/* A detached clone of the mount at path ("" = dirfd itself). Follows a symbolic link at the end of path. */
int mount_clone(int dirfd, const char *path, bool recursive);
/* Attributes of a mount, or with recursive of all mounts of its tree. set, clear: MOUNT_ATTR_*; propagation:
 * 0 or MS_*; userns_fd: the user namespace through which owners are seen, -1 = no id map. */
int mount_set(int fd, bool recursive, uint64_t set, uint64_t clear, uint64_t propagation, int userns_fd);
/* Attaches a detached mount at name below target_fd ("" = at target_fd itself). A symbolic link is not
 * followed. */
int mount_attach(int fd, int target_fd, const char *name);
/* An overlay of directories by their descriptors, topmost first, for kernels whose fsconfig(2) takes 255 bytes of
 * lowerdir=: mount(2) takes a page, and where the caller stands in /proc/self/fd names have a few digits. more:
 * options after that, with a comma in front, or "". where: absolute, or a descriptor in digits. The caller's working
 * directory is / afterwards. */
int mount_overlay_numbers(
    const int *layers, size_t n, const char *more, const char *where, unsigned long flags, struct error *e);
