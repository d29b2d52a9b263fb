/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file systems and device nodes that every program expects and that no fstab names: /proc, /sys, /dev,
 * /run, control groups. What is mounted already, by an initramfs or by whoever runs the machine, stays.
 *
 * These mounts never wait for a device, so davit-init makes them itself. What can wait, /etc/fstab, is
 * davit-boot's.
 */
#pragma once

#include "base/error.h"
#include "init/cmdline.h"

enum mount_need {
    MOUNT_OPTIONAL, /* a kernel without it is fine, and nothing is said */
    MOUNT_WANTED,   /* told when it fails */
    MOUNT_FATAL,    /* nothing can run without it */
};

struct boot_mount {
    const char *target, *type;
    unsigned long flags;
    const char *options;       /* NULL = none */
    const char *older_options; /* tried when the kernel does not know one of options; NULL = no second try */
    enum mount_need need;
};

extern const struct boot_mount boot_mounts[];
extern const size_t n_boot_mounts;

/* Something is mounted on exactly this path. A path that is not there is no mount point. */
bool is_mount_point(const char *path);

/* The whole table in its order, then links and, where there is no devtmpfs, nodes in /dev; "/" becomes a
 * shared mount, as on every other machine. An initramfs that stays the root is put on top of itself, since
 * pivot_root(2) refuses the kernel's first mount. 0, or -errno of a fatal one. What else goes wrong is
 * logged. */
int mounts_make(struct error *e);
/* As PID 1 of a container only one may be missing: LXC leaves it to the container to mount the control groups
 * of its namespace, as systemd does. Where nobody may do that, davitd will say that there are none. */
void mounts_make_in_container(void);

/* davit-init's own group, so that the root of the hierarchy holds no process; v1 hierarchies where they are
 * asked for. The unified one is mounted. */
int cgroups_make(enum cgroup_layout layout, struct error *e);
