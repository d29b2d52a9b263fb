/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/fifo.h"

#include <fcntl.h>
#include <sys/uio.h>

#define PAGE_BYTES 4096

int fifo_peeker_open(struct fifo_peeker *p) {
    return pipe2(p->ends, O_CLOEXEC | O_NONBLOCK) < 0 ? negative_errno() : 0;
}

ssize_t fifo_peek(struct fifo_peeker *p, int fifo, char *buffer, size_t n) {
    size_t done = 0;

    /* tee(2) copies references to pages, not the bytes. */
    ssize_t copied = tee(fifo, p->ends[1], n, SPLICE_F_NONBLOCK);
    if (copied < 0)
        return errno == EAGAIN ? 0 : negative_errno();
    while (done < (size_t)copied) {
        ssize_t r = read(p->ends[0], buffer + done, (size_t)copied - done);
        if (r <= 0)
            return r < 0 ? negative_errno() : -EIO;
        done += (size_t)r;
    }
    return copied;
}

int fifo_consume(int fifo, size_t n, uint8_t *last) {
    static char discarded[PAGE_BYTES]; /* every page of the data goes to the same place */
    struct iovec parts[FIFO_PEEK_MAX / PAGE_BYTES + 2];
    int used = 0;

    for (size_t left = n - 1; left > 0;) {
        size_t part = MIN(left, (size_t)PAGE_BYTES);
        parts[used++] = (struct iovec){discarded, part};
        left -= part;
    }
    parts[used++] = (struct iovec){last, 1};
    /* One call, which the kernel does not break off half-way: a signal is looked at when it would have to
     * wait. */
    ssize_t r = readv(fifo, parts, used);
    if (r < 0)
        return negative_errno();
    return (size_t)r == n ? 0 : -EIO;
}
