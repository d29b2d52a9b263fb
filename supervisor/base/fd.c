/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/un.h>

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04 /* Linux 6.5 */
#endif

/* Room for what SO_PASSSEC adds. */
#define SECURITY_LABEL_MAX 256

/* Besides the descriptors there is room for what socket options make the kernel add to each message. Without
 * it, SO_PASSCRED alone would make messages look cut off. */
union control {
    struct cmsghdr align;
    char buffer[CMSG_SPACE(SOCKET_MAX_FDS * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred)) +
                CMSG_SPACE(sizeof(int)) + CMSG_SPACE(SECURITY_LABEL_MAX)];
};

static int change_flag(int fd, int get, int set, int flag, bool on) {
    int flags = fcntl(fd, get);
    if (flags < 0)
        return negative_errno();
    int wanted = on ? flags | flag : flags & ~flag;
    if (wanted != flags && fcntl(fd, set, wanted) < 0)
        return negative_errno();
    return 0;
}

int fd_set_nonblock(int fd, bool on) {
    return change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int fd_set_cloexec(int fd, bool on) {
    return change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

bool fd_is_readable(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

ssize_t socket_send_fds(int fd, const void *data, size_t n, const int *fds, size_t n_fds, int flags) {
    struct iovec iov = {.iov_base = (void *)data, .iov_len = n};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    union control control = {};

    if (n_fds > SOCKET_MAX_FDS)
        return -EINVAL;
    if (n_fds > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }

    ssize_t sent;
    do
        sent = sendmsg(fd, &message, flags | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? negative_errno() : sent;
}

static void close_all(const int *fds, size_t n) {
    for (size_t i = 0; i < n; i++)
        (void)close(fds[i]);
}

/* Gathers the descriptors that came with a message into received, and closes those that nobody asked for. */
static size_t take_descriptors(struct msghdr *message, int received[static SOCKET_MAX_FDS]) {
    size_t n_received = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || (c->cmsg_type != SCM_RIGHTS && c->cmsg_type != SCM_PIDFD))
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int received_fd;
            memcpy(&received_fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (c->cmsg_type == SCM_RIGHTS && n_received < SOCKET_MAX_FDS)
                received[n_received++] = received_fd;
            else if (received_fd >= 0)
                (void)close(received_fd);
        }
    }
    return n_received;
}

ssize_t socket_recv_fds(int fd, void *data, size_t n, int *fds, size_t *n_fds, int flags) {
    struct iovec iov = {.iov_base = data, .iov_len = n};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    union control control;
    int received[SOCKET_MAX_FDS];
    size_t room = n_fds ? *n_fds : 0;
    ssize_t got;

    /* With no room at all there is no control buffer either, and the kernel itself drops what a peer sends
     * along. */
    if (room > 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
    }

    do
        got = recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return negative_errno();

    size_t n_received = room > 0 ? take_descriptors(&message, received) : 0;
    int r = 0;
    if (message.msg_flags & MSG_TRUNC)
        r = -EMSGSIZE;
    else if (n_received > room || (room > 0 && (message.msg_flags & MSG_CTRUNC)))
        r = -EXFULL;
    if (r < 0) {
        close_all(received, n_received);
        return r;
    }

    if (n_received > 0)
        memcpy(fds, received, n_received * sizeof(int));
    if (n_fds)
        *n_fds = n_received;
    return got;
}

int socket_address(const char *path, struct sockaddr_un *ret, socklen_t *ret_length) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t n = strlen(path);

    if (n == 0)
        return -EINVAL;
    if (n >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, n);
    *ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (path[0] == '@')
        address.sun_path[0] =
            '\0'; /* the name of an abstract one ends where the length says, without a NUL */
    else
        *ret_length += 1;
    *ret = address;
    return 0;
}
