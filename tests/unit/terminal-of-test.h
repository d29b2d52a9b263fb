/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A pseudo terminal that only the test has. Skips the test where there is no /dev/pts. */
#pragma once

#include <fcntl.h>
#include <stdlib.h>

/* The master's end; flags as for open(2), in addition. */
static inline int open_terminal_master(int flags) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | flags);

    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        skip();
    return master;
}

static inline int open_terminal_slave(int master, int flags) {
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC | flags);

    assert_true(slave >= 0);
    return slave;
}
