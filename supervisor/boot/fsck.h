/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checking a file system before it is mounted: fsck(8)'s program for its type, where fstab asks for it with a
 * sixth field that is not 0, and where that program is there. What it prints goes to the kernel's log.
 * `fsck.mode=` and `fsck.repair=` on the kernel's command line are systemd's (systemd-fsck@.service(8)).
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"

/* The check of a large disk takes its time; what comes on top is davit.boot_timeout=. */
#define FSCK_TIMEOUT (4 * 60 * USEC_PER_SEC)

/* What an exit status of fsck(8) means: 0 (it is clean now), FSCK_REBOOT (it is, but the kernel has seen
 * another state: of the root, which is mounted meanwhile), or an error with its reason. Pure. */
#define FSCK_REBOOT 1
int fsck_result(int status, struct error *e);
/* Checks, and waits for it; at most FSCK_TIMEOUT. As fsck_result(); 0 also where there is nothing to check
 * with. */
int fsck_run(const char *source, const char *type, struct error *e);
