/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A clock that the test sets, so that a machine which stands still for seconds is neither too late nor a time-out. It
 * holds for all that is linked into the test; the kernel's timers, and shared libraries, keep to the real one.
 */
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

static struct {
    clockid_t clock;
    usec_t (*read)(void); /* NULL = it is the real one */
} clock_of_test;

int clock_gettime(clockid_t clock, struct timespec *t) {
    if (!clock_of_test.read || clock != clock_of_test.clock)
        return (int)syscall(SYS_clock_gettime, clock, t);
    usec_t now = clock_of_test.read();
    *t = (struct timespec){
        .tv_sec = (time_t)(now / USEC_PER_SEC), .tv_nsec = (long)(now % USEC_PER_SEC * NSEC_PER_USEC)};
    return 0;
}
