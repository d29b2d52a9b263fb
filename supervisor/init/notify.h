/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * systemd's notify protocol, both ways: the socket on which davitd reports to davit-init, and the reports
 * that davit-init makes to whatever started it ($NOTIFY_SOCKET). Datagrams of lines "NAME=value",
 * sd_notify(3).
 *
 * This room receives, checks who sent, and takes the text apart. What a word means is decided in keeper.c.
 */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "base/macro.h"

#define NOTIFY_TEXT_MAX 4096 /* as systemd: longer datagrams are dropped */
#define NOTIFY_FDS_MAX 253   /* SCM_MAX_FD: no message can carry more */
#define NOTIFY_SOCKET_NAME "keeper.notify"

struct notify_message {
    pid_t pid;
    uid_t uid;
    size_t n_fds;
    int fds[NOTIFY_FDS_MAX]; /* the handler takes what it wants and leaves -1 there; the rest is closed */
    char text[NOTIFY_TEXT_MAX + 1];
};

/* Binds RUNTIME/keeper.notify anew, mode 0600. Returns the descriptor (non-blocking) or -errno; -ENAMETOOLONG
 * if the path does not fit into a socket address. The caller holds the lock on the directory. */
int notify_listen(const char *runtime_directory);
/* Receives one message into *ret, whose fds are then the caller's. 1, 0 when there is nothing more, -EBADMSG
 * for one that was too long or cut off (consumed, its descriptors closed), -errno. */
int notify_receive(int fd, struct notify_message *ret);
/* Closes the descriptors that are still in the message. */
void notify_message_done(struct notify_message *m);
/* The next line of *text, cut off in place; NULL at the end. Empty lines are skipped. */
char *notify_next_line(char **text);

/* Where reports go: an address taken from $NOTIFY_SOCKET at start. */
struct notify_target {
    int fd; /* -1: nobody wants to know */
    struct sockaddr_un address;
    socklen_t address_length;
    uint64_t dropped;
};
/* From the value of $NOTIFY_SOCKET (a path, or @abstract; NULL = none). 0 or -errno, then the target is none.
 */
int notify_target_open(struct notify_target *t, const char *value);
/* Sends without ever waiting: systemd may be busy, and davit-init has children to reap. 0, or -errno when
 * dropped. */
int notify_target_send(struct notify_target *t, const char *text);
/* The same with a descriptor, which stays the caller's; -1 = none. */
int notify_target_send_fd(struct notify_target *t, const char *text, int fd);
