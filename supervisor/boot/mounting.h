/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "boot/fstab.h"

#define FSTAB_FILE "/etc/fstab"
#define FSTAB_MAX_BYTES (1024 * 1024)

/* The file itself: fstab_parse(). Also what reading it says. */
int fstab_load(
    void (*bad)(void *userdata, unsigned line, const char *why), void *userdata, struct fstab_list *ret);
/* Mounts one file system as a line of fstab would, in a child, and waits for it no longer than its time-outs
 * from begin. 0 or -errno with the reason in *e. */
int fstab_mount(const struct fstab_entry *f, usec_t begin, struct error *e);
/* The reverse, likewise in a child. 0 also where nothing is mounted. */
int fstab_unmount(const struct fstab_entry *f, usec_t timeout, struct error *e);
