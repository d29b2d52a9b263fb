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

/* The same in two parts, for who has several under way. pidfd polls readable when it is over. */
struct fstab_child {
    pid_t pid;
    int pidfd, pipe_fd;
    usec_t end; /* of its time-outs, CLOCK_MONOTONIC */
};
#define FSTAB_CHILD_NONE ((struct fstab_child){.pidfd = -1, .pipe_fd = -1})

int fstab_mount_begin(const struct fstab_entry *f, usec_t begin, struct fstab_child *ret, struct error *e);
/* The reverse, likewise in a child. 0 also where nothing is mounted. */
int fstab_unmount_begin(
    const struct fstab_entry *f, usec_t timeout, struct fstab_child *ret, struct error *e);
/* Waits until it is over or its time is: 0 or -errno with the reason in *e. After -ETIMEDOUT with an open pidfd it was
 * killed, and may stand in the kernel for as long as that likes; this takes it in when pidfd is readable. */
int fstab_child_end(struct fstab_child *c, struct error *e);
/* Nobody waits for it any more. */
void fstab_child_leave(struct fstab_child *c);
