/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Subvolumes of btrfs: directories that are made, copied and removed as a whole. Elsewhere -EOPNOTSUPP. */
#pragma once

#include <sys/stat.h>

#include "base/macro.h"

/* Whether the directory is on btrfs; and whether it, with these attributes, is the root of a subvolume. */
bool on_btrfs(int fd);
bool is_subvolume(int fd, const struct stat *st);
/* An empty one. name has no slash. */
int subvolume_create(int dirfd, const char *name);
/* A writable copy of the subvolume source, which shares everything with it. Waits for the disk. -EXDEV:
 * another file system. */
int subvolume_snapshot(int source, int dirfd, const char *name);
/* Gone at once, its space a little later. -ENOTEMPTY: there are subvolumes in it. */
int subvolume_remove(int dirfd, const char *name);
