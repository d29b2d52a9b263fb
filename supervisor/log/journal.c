/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/journal.h"

#include <endian.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/str.h"

#define JOURNAL_SEND_BYTES (8 * 1024 * 1024)

int journal_open(struct journal *j) {
    struct sockaddr_un address;
    socklen_t length;
    const int bytes = JOURNAL_SEND_BYTES;

    journal_close(j);
    int r = socket_address(j->path, &address, &length);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return negative_errno();
    /* Room for one large entry; how many may wait is up to the receiver (net.unix.max_dgram_qlen). */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    /* Connected, so that epoll can tell when journald has room again, and that a dead one is noticed. */
    if (connect(fd, (struct sockaddr *)&address, length) < 0)
        return negative_errno();
    j->fd = TAKE_FD(fd);
    return 0;
}

void journal_close(struct journal *j) {
    close_and_reset(&j->fd);
}

int journal_field(const struct iovec *field, uint64_t *header, struct iovec out[static 5]) {
    static char newline[] = "\n";
    char *text = field->iov_base;
    char *equals = memchr(text, '=', field->iov_len);

    if (!equals || equals == text)
        return -EINVAL;
    if (!memchr(text, '\n', field->iov_len)) {
        out[0] = *field;
        out[1] = (struct iovec){newline, 1};
        return 2;
    }

    size_t name = (size_t)(equals - text);
    if (memchr(text, '\n', name))
        return -EINVAL;
    *header = htole64(field->iov_len - name - 1);
    out[0] = (struct iovec){text, name};
    out[1] = (struct iovec){newline, 1};
    out[2] = (struct iovec){header, sizeof *header};
    out[3] = (struct iovec){equals + 1, field->iov_len - name - 1};
    out[4] = (struct iovec){newline, 1};
    return 5;
}

/* An entry beyond what a datagram can hold goes as a sealed memfd, which journald reads in its own time. */
static int send_memfd(struct journal *j, const struct iovec *parts, size_t n) {
    _cleanup_close_ int fd = memfd_create("davit-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return negative_errno();
    for (size_t i = 0; i < n; i++) {
        const char *data = parts[i].iov_base;
        for (size_t done = 0; done < parts[i].iov_len;) {
            ssize_t w = write(fd, data + done, parts[i].iov_len - done);
            if (w < 0)
                return negative_errno();
            done += (size_t)w;
        }
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return negative_errno();
    ssize_t s = socket_send_fds(j->fd, NULL, 0, &fd, 1, MSG_DONTWAIT);
    return s < 0 ? (int)s : 0;
}

static int try_send(struct journal *j, const struct iovec *parts, size_t n) {
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = n};

    if (j->fd < 0) {
        int r = journal_open(j);
        if (r < 0)
            return r;
    }
    if (sendmsg(j->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 0;
    if (errno == EMSGSIZE || errno == ENOBUFS)
        return send_memfd(j, parts, n);
    return negative_errno();
}

int journal_send_raw(struct journal *j, const struct iovec *parts, size_t n) {
    bool fresh = j->fd < 0;
    int r = try_send(j, parts, n);

    /* A restarted journald has a new socket at the same path. */
    if ((r == -ECONNREFUSED || r == -ENOTCONN || r == -ECONNRESET || r == -EPIPE) && !fresh) {
        journal_close(j);
        r = try_send(j, parts, n);
    }
    if (r < 0) {
        if (r != -EAGAIN)
            journal_close(j);
        j->failed++;
    }
    return r;
}

int journal_send(struct journal *j, const struct iovec *fields, size_t n) {
    struct iovec parts[JOURNAL_FIELDS_MAX * 5];
    uint64_t headers[JOURNAL_FIELDS_MAX];
    size_t used = 0;

    if (n > JOURNAL_FIELDS_MAX)
        return -E2BIG;
    for (size_t i = 0; i < n; i++) {
        int r = journal_field(&fields[i], &headers[i], parts + used);
        if (r < 0)
            return r;
        used += (size_t)r;
    }
    return journal_send_raw(j, parts, used);
}
