/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is mounted, in the order in which it can be taken apart, and taking it apart.
 *
 * Stays mounted: what the kernel has no file system behind (/proc, /sys, /dev and all below them), /run, from
 * which a way back into the initramfs may lead, and of the root what is running from it: that is made
 * read-only.
 */
#pragma once

#include "base/clock.h"

struct mount_point {
    char *path, *type;
    unsigned major, minor;
    bool network;   /* its server may be gone: it is detached rather than waited for */
    bool read_only; /* nothing to lose: neither a sync nor a remount is needed */
    bool keep;      /* never unmounted */
    bool done, given_up;
};
struct mount_list {
    struct mount_point *points;
    size_t n;
};

/* "8:1", as the kernel writes device numbers. */
bool device_number_parse(const char *s, unsigned *ret_major, unsigned *ret_minor);
/* A /proc/PID/mountinfo (text is cut up). Last mounted comes first. Lines that make no sense are left out. 0,
 * -ENOMEM. Pure. */
int mount_list_parse(char *text, struct mount_list *ret);
void mount_list_done(struct mount_list *l);
/* Of this process. */
int mount_list_read(struct mount_list *ret);

/* One round over all mounts that are not kept. Returns how many went; *ret_left: how many are still mounted
 * and writable, 1 where that is not known. report: names those, with their holders. */
size_t mounts_take_apart(bool report, size_t *ret_left);
