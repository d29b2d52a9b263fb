/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is on a block device, from its superblock: the file systems that a machine boots with (ext2 to 4, xfs,
 * btrfs, vfat, squashfs, erofs) and swap. Enough for UUID= and LABEL= in fstab on a machine without udev.
 */
#pragma once

#include "base/macro.h"

struct superblock {
    const char *type; /* static: "ext4", "swap", ... */
    char uuid[40];    /* as blkid(8) prints it, "" = has none */
    char label[68];
};
/* From the first SUPERBLOCK_BYTES of a device (fewer is fine). 0 or -ENOENT (nothing known). Pure. */
#define SUPERBLOCK_BYTES (68 * 1024)
int superblock_parse(const uint8_t *data, size_t n, struct superblock *ret);
/* Reads and parses. Also what open(2) and read(2) say. */
int superblock_read(const char *device, struct superblock *ret);

/* Path of the device that a tag of fstab names (UUID=, LABEL=, PARTUUID=, PARTLABEL=): udev's link where
 * there is one, else found by looking at all block devices. New string; -ENOENT while there is none. */
int superblock_find(const char *tag, char **ret);
