/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For `make coverage` only: nothing here ends by exit(3), so counters are written by hand. The root file
 * system, to which they go, may be read-only by then: it is opened once more, and clean again when it is
 * left; but not where this is a test on somebody's machine. In every other build this is nothing.
 */
#pragma once

#ifdef DAVIT_COVERAGE
#include <stdbool.h>
#include <sys/mount.h>
#include <unistd.h>

void __gcov_dump(void);
void __gcov_reset(void);

static inline void coverage_save(void) {
    bool ours = getpid() == 1 || getppid() == 1;

    if (ours)
        (void)mount(NULL, "/", NULL, MS_REMOUNT, NULL);
    __gcov_dump();
    __gcov_reset();
    if (ours)
        (void)mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
}
#else
static inline void coverage_save(void) {}
#endif
