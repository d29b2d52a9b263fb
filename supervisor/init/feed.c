/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/feed.h"

#include <fcntl.h>

#include "base/clock.h"
#include "base/macro.h"

#define FEED_PIPE_BYTES (1024 * 1024)

int feed_open(struct feed *f) {
    int ends[2];

    /* Both ends are non-blocking: ours because davit-init never waits, the other because davitd does not
     * either. */
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return negative_errno();
    /* Refused above fs.pipe-max-size without CAP_SYS_RESOURCE; a smaller feed only fills up earlier. */
    for (int bytes = FEED_PIPE_BYTES; bytes > 65536; bytes /= 2)
        if (fcntl(ends[1], F_SETPIPE_SZ, bytes) >= 0)
            break;
    f->read_fd = ends[0];
    f->write_fd = ends[1];
    return 0;
}

int feed_append(struct feed *f, const siginfo_t *info) {
    struct feed_record record = {
        .sequence = f->sequence + 1,
        .usec = now_monotonic(),
        .pid = info->si_pid,
        .code = info->si_code,
        .status = info->si_status,
        .uid = info->si_uid,
    };

    /* pipe(7): a write of at most PIPE_BUF bytes is whole or not at all. */
    ssize_t n = write(f->write_fd, &record, sizeof record);
    if (n < 0)
        return negative_errno();
    f->sequence++;
    return 0;
}
