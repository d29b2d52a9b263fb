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

static int send_one(struct journal *j, struct mmsghdr *message, unsigned n _unused_) {
    if (sendmsg(j->fd, &message->msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 1;
    if (errno == EMSGSIZE || errno == ENOBUFS) {
        int r = send_memfd(j, message->msg_hdr.msg_iov, message->msg_hdr.msg_iovlen);
        return r < 0 ? r : 1;
    }
    return negative_errno();
}

static int send_many(struct journal *j, struct mmsghdr *messages, unsigned n) {
    int r = sendmmsg(j->fd, messages, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    return r < 0 ? negative_errno() : r;
}

static bool is_gone(int r) {
    return r == -ECONNREFUSED || r == -ENOTCONN || r == -ECONNRESET || r == -EPIPE;
}

typedef int (*send_t)(struct journal *j, struct mmsghdr *messages, unsigned n);

/* Once more on a new connection when the old one is dead: a restarted journald has a new socket at the same
 * path. */
static int send_connected(struct journal *j, send_t send, struct mmsghdr *messages, unsigned n) {
    int r = j->fd >= 0 ? send(j, messages, n) : -ENOTCONN;

    if (is_gone(r)) {
        r = journal_open(j);
        if (r >= 0)
            r = send(j, messages, n);
    }
    if (r < 0) {
        if (is_gone(r))
            journal_close(j);
        j->failed++;
    }
    return r;
}

int journal_send_many(struct journal *j, struct mmsghdr *messages, unsigned n) {
    return send_connected(j, send_many, messages, n);
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
    struct mmsghdr message = {.msg_hdr = {.msg_iov = parts, .msg_iovlen = used}};
    int r = send_connected(j, send_one, &message, 1);
    return r < 0 ? r : 0;
}
