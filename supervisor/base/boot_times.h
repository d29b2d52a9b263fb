/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When what was reached on the way up, CLOCK_MONOTONIC in microseconds, which on a machine counts from the
 * start of the kernel; 0 = not reached. davit-init takes the times and davitd learns them from its
 * environment, also one that is started much later.
 */
#pragma once

#include "base/clock.h"

struct boot_times {
    usec_t userspace; /* davit-init begins */
    usec_t mounts;    /* its own mounts are made */
    usec_t boot;      /* davit-boot has ended */
    usec_t manager;   /* the first davitd is started */
    usec_t ready;     /* it says READY=1 */
    usec_t finish;    /* all that belongs to the default target is started */
    usec_t init_work; /* not a point in time: processor time that davit-init has used up to `manager` */
};

#define BOOT_TIMES_VARIABLE "DAVIT_BOOT_TIMES"
#define BOOT_TIMES_TEXT_MAX 256
/* "userspace=12 mounts=34 ..." */
void boot_times_format(const struct boot_times *t, char buffer[static BOOT_TIMES_TEXT_MAX]);
/* The inverse; names that are not known are passed over. 0 or -EINVAL. */
int boot_times_parse(const char *text, struct boot_times *ret);
