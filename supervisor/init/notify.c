/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/notify.h"

#include <sys/stat.h>

#include "base/fd.h"
#include "base/str.h"

#define NOTIFY_RECEIVE_BYTES (8 * 1024 * 1024)

int notify_listen(const char *runtime_directory) {
    struct sockaddr_un address;
    socklen_t length;
    char path[sizeof address.sun_path];
    const int on = 1, bytes = NOTIFY_RECEIVE_BYTES;

    int n = snprintf(path, sizeof path, "%s/" NOTIFY_SOCKET_NAME, runtime_directory);
    if (n < 0 || (size_t)n >= sizeof path)
        return -ENAMETOOLONG;
    int r = socket_address(path, &address, &length);
    if (r < 0)
        return r;

    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return negative_errno();
    /* The mode of the socket's file is that of the descriptor at bind time, less the umask; nobody else may
     * ever connect, not even between bind and chmod. */
    if (fchmod(fd, 0600) < 0)
        return negative_errno();
    (void)unlink(path);
    if (bind(fd, (struct sockaddr *)&address, length) < 0)
        return negative_errno();
    if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
        return negative_errno();
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    return TAKE_FD(fd);
}

/* Sorts the control messages into *m. False if some were cut off: then nothing of the message can be trusted.
 */
static bool take_control(struct msghdr *header, struct notify_message *m) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET)
            continue;
        if (c->cmsg_type == SCM_RIGHTS) {
            size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (size_t i = 0; i < n; i++) {
                int fd;
                memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
                if (m->n_fds < NOTIFY_FDS_MAX)
                    m->fds[m->n_fds++] = fd;
                else
                    (void)close(fd);
            }
        } else if (c->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(c), sizeof who);
            m->pid = who.pid;
            m->uid = who.uid;
        }
    }
    return !(header->msg_flags & MSG_CTRUNC);
}

int notify_receive(int fd, struct notify_message *ret) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * NOTIFY_FDS_MAX) + CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec iov = {ret->text, NOTIFY_TEXT_MAX};
    struct msghdr header = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

    ssize_t n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EAGAIN ? 0 : negative_errno();

    ret->pid = 0;
    ret->uid = (uid_t)-1;
    ret->n_fds = 0;
    bool whole = take_control(&header, ret) && !(header.msg_flags & MSG_TRUNC);
    ret->text[n] = '\0';
    /* A NUL inside would let the text that is checked differ from the text that is passed on. */
    if (!whole || memchr(ret->text, '\0', (size_t)n)) {
        notify_message_done(ret);
        return -EBADMSG;
    }
    return 1;
}

void notify_message_done(struct notify_message *m) {
    for (size_t i = 0; i < m->n_fds; i++)
        close_and_reset(&m->fds[i]);
    m->n_fds = 0;
}

char *notify_next_line(char **text) {
    char *line = *text;

    while (*line == '\n')
        line++;
    if (!*line)
        return NULL;
    char *end = strchrnul(line, '\n');
    *text = *end ? end + 1 : end;
    *end = '\0';
    return line;
}

int notify_target_open(struct notify_target *t, const char *value) {
    *t = (struct notify_target){.fd = -1};
    if (isempty(value))
        return 0;
    size_t n = strlen(value);
    if ((value[0] != '/' && value[0] != '@') || n < 2)
        return -EINVAL;
    if (n >= sizeof t->address.sun_path)
        return -ENAMETOOLONG;

    t->address.sun_family = AF_UNIX;
    memcpy(t->address.sun_path, value, n + 1);
    t->address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    if (value[0] == '@') { /* an abstract name starts with NUL and has no end mark */
        t->address.sun_path[0] = '\0';
        t->address_length--;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return negative_errno();
    t->fd = fd;
    return 0;
}

int notify_target_send_fd(struct notify_target *t, const char *text, int fd) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof fd)];
    } control = {.header = {CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec iov = {(void *)text, strlen(text)};
    struct msghdr message = {
        .msg_name = &t->address, .msg_namelen = t->address_length, .msg_iov = &iov, .msg_iovlen = 1};

    if (t->fd < 0)
        return 0;
    if (fd >= 0) {
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
    }
    if (sendmsg(t->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        t->dropped++;
        return negative_errno();
    }
    return 0;
}

int notify_target_send(struct notify_target *t, const char *text) {
    return notify_target_send_fd(t, text, -1);
}
