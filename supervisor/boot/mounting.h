/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "boot/fstab.h"

/* Mounts one file system as a line of fstab would, in a child, and waits for it no longer than its time-outs
 * from begin. 0 or -errno with the reason in *e. */
int fstab_mount(const struct fstab_entry *f, usec_t begin, struct error *e);
