/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "launch/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "base/macro.h"

#define CONTROL "/dev/loop-control"
/* Between asking for a free one and taking it somebody else may be quicker: EBUSY, and the next. */
#define TRIES 64

int loop_new(int file, bool read_only, char path[static LOOP_PATH_MAX], struct error *e) {
    _cleanup_close_ int control = open(CONTROL, O_RDWR | O_CLOEXEC);
    struct loop_config config = {
        .fd = (uint32_t)file,
        .info = {.lo_flags = LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0u)},
    };

    if (control < 0)
        return error_set_errno(e, errno, "open " CONTROL);
    for (int i = 0; i < TRIES; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0)
            return error_set_errno(e, errno, "find a free loop device");
        (void)snprintf(path, LOOP_PATH_MAX, "/dev/loop%d", number);
        _cleanup_close_ int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
        if (fd < 0)
            return error_set_errno(e, errno, "open %s", path);
        if (ioctl(fd, LOOP_CONFIGURE, &config) >= 0)
            return TAKE_FD(fd);
        if (errno != EBUSY)
            return error_set_errno(e, errno, "set up %s", path);
    }
    return error_set(e, EBUSY, "no loop device stays free for long enough");
}
