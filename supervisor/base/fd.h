/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors and Unix sockets that pass them. All descriptors made or received here are close-on-exec. */
#pragma once

#include <sys/socket.h>

#include "base/macro.h"

#define SOCKET_MAX_FDS 64

int fd_set_nonblock(int fd, bool on);
int fd_set_cloexec(int fd, bool on);
/* Whether there is something to be read from it now. */
bool fd_is_readable(int fd);
/* Sends one message with n_fds descriptors. flags as for sendmsg; MSG_NOSIGNAL is added. Returns bytes or
 * -errno. */
ssize_t socket_send_fds(int fd, const void *data, size_t n, const int *fds, size_t n_fds, int flags);
/* Receives one message. *n_fds is the room in fds on entry and the number received on return; unexpected
 * descriptors are closed. With n_fds NULL or *n_fds 0 what a peer sends along is dropped; otherwise more than
 * *n_fds is an error, since part of them is no use. flags as for recvmsg; MSG_CMSG_CLOEXEC is added. Returns
 * bytes, or -errno; -EMSGSIZE if the message was longer than n (MSG_TRUNC) and -EXFULL if there were more
 * descriptors than *n_fds or some were cut off (both consume it unless MSG_PEEK). */
ssize_t socket_recv_fds(int fd, void *data, size_t n, int *fds, size_t *n_fds, int flags);
/* Fills a sockaddr_un and its length from a path, or from "@NAME" for an abstract one; -ENAMETOOLONG if it
 * does not fit. For longer paths bind or connect through /proc/self/fd/N/name. */
struct sockaddr_un;
int socket_address(const char *path, struct sockaddr_un *ret, socklen_t *ret_length);
