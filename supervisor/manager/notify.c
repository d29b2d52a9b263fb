/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The notify socket of a unit, one each: path names cross network namespaces, a full queue stalls only its
 * own unit, and the socket says whose message it is (libraries.md 3.6).
 *
 * Messages are peeked at, acted on, saved, and then consumed. Descriptors that come with them (FDSTORE=1,
 * BARRIER=1) are never received: consuming without room for them closes them, which is just what BARRIER=1
 * waits for.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "init/keeper.h"
#include "manager/rooms.h"

#define MESSAGE_MAX 4096
#define MESSAGES_AT_ONCE 8
#define LAST_MESSAGES 32 /* of a program that has ended */
#define FLOOD_INTERVAL (100 * USEC_PER_MSEC)
#define FLOOD_BURST 20
/* sun_path holds 108 bytes; programs on the host connect to the whole path. */
#define LONG_NAME 64

int notify_path(const struct managed_unit *u, char **ret) {
    const char *runtime = u->manager->paths.runtime;

    if (u->manager->without_davitd) {
        *ret = strdup(u->manager->notify_socket);
        return *ret ? 0 : -ENOMEM;
    }
    char *path = strlen(u->name) <= LONG_NAME ? strf("%s/notify/%s", runtime, u->name)
                                              : strf("%s/notify/%016" PRIx64, runtime, u->resources.id);
    if (!path)
        return -ENOMEM;
    *ret = path;
    return 0;
}

static void store_name(const struct managed_unit *u, char ret[static KEEPER_NAME_MAX]) {
    (void)snprintf(ret, KEEPER_NAME_MAX, "n-%" PRIx64, u->resources.id);
}

/* ---- making ---- */

static int bind_socket(const char *path, int fd, struct error *e) {
    struct sockaddr_un address;
    socklen_t length;

    int r = socket_address(path, &address, &length);
    if (r < 0)
        return error_set_errno(e, r, "notify socket %s", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return error_set_errno(e, errno, "removing the old notify socket %s", path);
    if (bind(fd, (struct sockaddr *)&address, length) < 0)
        return error_set_errno(e, errno, "binding notify socket %s", path);
    /* Whatever user the program becomes; whose message it is says SCM_CREDENTIALS. */
    if (chmod(path, 0666) < 0)
        return error_set_errno(e, errno, "notify socket %s", path);
    return 0;
}

int notify_create(struct managed_unit *u, struct error *e) {
    _cleanup_free_ char *path = NULL;
    char name[KEEPER_NAME_MAX];
    int one = 1;

    if (u->resources.notify_fd >= 0)
        return 0;
    int r = notify_path(u, &path);
    if (r < 0)
        return error_set_errno(e, r, "notify socket");
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set_errno(e, errno, "notify socket");
    if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0)
        return error_set_errno(e, errno, "SO_PASSCRED on the notify socket");
    r = bind_socket(path, fd, e);
    if (r < 0)
        return r;

    u->resources.notify_fd = TAKE_FD(fd);
    store_name(u, name);
    (void)keeper_store(u->manager, name, u->resources.notify_fd);
    return notify_watch(u);
}

void notify_close(struct managed_unit *u) {
    _cleanup_free_ char *path = NULL;
    char name[KEEPER_NAME_MAX];

    u->notify_source = sd_event_source_unref(u->notify_source);
    if (u->resources.notify_fd < 0)
        return;
    close_and_reset(&u->resources.notify_fd);
    store_name(u, name);
    keeper_unstore(u->manager, name);
    if (notify_path(u, &path) >= 0)
        (void)unlink(path);
}

/* ---- who may say something ---- */

static enum notify_access effective_access(const struct managed_unit *u) {
    const struct unit *config = u->config;

    /* With RunInit=yes the main process is davit's small init, and the program its child. */
    if (config->container && config->container->run_init && config->service.notify_access != NOTIFY_NONE)
        return NOTIFY_ALL;
    return config->service.notify_access;
}

static bool is_allowed(struct managed_unit *u, pid_t sender) {
    switch (effective_access(u)) {
    case NOTIFY_NONE:
        return false;
    case NOTIFY_MAIN:
        return u->main && sender > 0 && u->main->pid == sender;
    case NOTIFY_EXEC:
        return sender > 0 &&
               ((u->main && u->main->pid == sender) || (u->control && u->control->pid == sender));
    case NOTIFY_ALL:
        break;
    }
    /* A container's socket is in no other place than the container, and a sender that is gone already is in
     * no group any more: what came through the socket came from inside. */
    if (u->config->type == UNIT_CONTAINER || sender == 0)
        return true;
    return cgroup_has_pid(u->manager->cgroups, u->name, sender) > 0 || (u->main && u->main->pid == sender);
}

/* ---- what is said ---- */

static void set_main_pid(struct managed_unit *u, const char *value) {
    int64_t pid;

    if (u->config->type != UNIT_SERVICE || !u->main || parse_int(value, 2, INT32_MAX, &pid) < 0)
        return;
    int r = process_move(u->main, (pid_t)pid);
    if (r == -ESRCH)
        log_warning("%s: MAINPID=%s is not one of its processes, or has ended", u->name, value);
    else if (r < 0)
        (void)log_errno(LOG_WARNING, r, "%s: MAINPID=%s", u->name, value);
}

static void set_status(struct managed_unit *u, const char *value) {
    if (utf8_is_valid(value, strlen(value)))
        unit_set_status_text(u, value);
}

static void set_watchdog(struct managed_unit *u, const char *value) {
    if (streq(value, "1"))
        unit_watchdog_ping(u);
    else if (streq(value, "trigger"))
        unit_event(u, EVENT_WATCHDOG);
}

static void set_watchdog_usec(struct managed_unit *u, const char *value) {
    uint64_t usec;

    if (parse_uint(value, 1, USEC_INFINITY - 1, &usec) >= 0)
        unit_watchdog_set(u, usec);
}

static void extend_timeout(struct managed_unit *u, const char *value) {
    uint64_t usec;

    if (parse_uint(value, 1, USEC_INFINITY - 1, &usec) >= 0)
        unit_extend_timeout(u, usec);
}

static void set_ready(struct managed_unit *u, const char *value) {
    if (streq(value, "1"))
        unit_event(u, EVENT_READY);
}
static void set_reloading(struct managed_unit *u, const char *value) {
    if (streq(value, "1"))
        unit_event(u, EVENT_RELOADING);
}
static void set_stopping(struct managed_unit *u, const char *value) {
    if (streq(value, "1"))
        unit_event(u, EVENT_STOPPING);
}

static void set_errno(struct managed_unit *u, const char *value) {
    int64_t number;

    if (parse_int(value, 1, 4095, &number) >= 0)
        log_notice("%s says: ERRNO=%" PRIi64 " (%s)", u->name, number, errno_text((int)number));
}

/* In the order in which they are acted on when one message has several, as systemd does: MAINPID= first,
 * since the rest is about that process; READY=1 after RELOADING=1, which it ends. */
static const struct word {
    const char *name;
    void (*act)(struct managed_unit *u, const char *value);
} words[] = {
    {"MAINPID", set_main_pid},
    {"WATCHDOG_USEC", set_watchdog_usec},
    {"EXTEND_TIMEOUT_USEC", extend_timeout},
    {"STATUS", set_status},
    {"ERRNO", set_errno},
    {"RELOADING", set_reloading},
    {"READY", set_ready},
    {"STOPPING", set_stopping},
    {"WATCHDOG", set_watchdog},
};

/* The value of name in a message of NAME=value lines, or NULL. Copied: the caller's act() may go anywhere. */
static char *find_word(const char *message, const char *name) {
    size_t n = strlen(name);

    for (const char *line = message; *line;) {
        size_t length = strcspn(line, "\n");
        if (length > n && line[n] == '=' && strncmp(line, name, n) == 0)
            return strndup(line + n + 1, length - n - 1);
        line += length + (line[length] == '\n');
    }
    return NULL;
}

static void act_on(struct managed_unit *u, const char *message) {
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        _cleanup_free_ char *value = find_word(message, words[i].name);
        if (value)
            words[i].act(u, value);
    }
}

/* ---- receiving ---- */

/* Peeks at the next message. Its length, -EAGAIN at the end, -EMSGSIZE when it is too long. */
static ssize_t peek(int fd, char *buffer, size_t size, pid_t *ret_sender) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec data = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };

    ssize_t n = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return negative_errno();
    *ret_sender = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
            struct ucred credentials;
            memcpy(&credentials, CMSG_DATA(c), sizeof(credentials));
            *ret_sender = credentials.pid;
        }
    }
    return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
}

static bool handle_message(struct managed_unit *u) {
    char buffer[MESSAGE_MAX + 1];
    pid_t sender = 0;

    ssize_t n = peek(u->resources.notify_fd, buffer, MESSAGE_MAX, &sender);
    if (n < 0 && n != -EMSGSIZE)
        return false;
    if (n == -EMSGSIZE) {
        log_warning("%s: notify message of more than %d bytes dropped", u->name, MESSAGE_MAX);
    } else if (memchr(buffer, '\0', (size_t)n)) {
        log_warning("%s: notify message with a NUL byte dropped", u->name);
    } else if (is_allowed(u, sender)) {
        buffer[n] = '\0';
        act_on(u, buffer);
        saved_flush(u->manager);
    } else {
        log_debug("%s: notify message from pid %d is not allowed by NotifyAccess=", u->name, (int)sender);
    }
    /* Acting on it may have closed the socket. */
    if (u->resources.notify_fd < 0)
        return false;
    (void)recv(u->resources.notify_fd, buffer, 0, MSG_DONTWAIT);
    return true;
}

/* True if there may be more. */
static bool drain(struct managed_unit *u, int most) {
    for (int i = 0; i < most && u->resources.notify_fd >= 0; i++) {
        if (!handle_message(u))
            return false;
    }
    return true;
}

void notify_drain(struct managed_unit *u) {
    (void)drain(u, LAST_MESSAGES);
}

/* This high up in priority a few programs that never stop talking would have the manager for themselves: from
 * now on these take turns with the clients, behind all else. */
static int on_flood(sd_event_source *s, void *userdata) {
    const struct managed_unit *u = userdata;

    log_debug("%s: sends notify messages in a flood, they are handled last", u->name);
    (void)sd_event_source_set_priority(s, PRIORITY_CONTROL);
    return 0;
}

/* On a slow processor a flood is not many messages a second: there it shows as a socket that is never empty. */
static int on_message(sd_event_source *s, _unused_ int fd, _unused_ uint32_t events, void *userdata) {
    struct managed_unit *u = userdata;

    if (!drain(u, MESSAGES_AT_ONCE))
        u->notify_batches = 0;
    else if (++u->notify_batches == FLOOD_BURST)
        (void)on_flood(s, u);
    return 0;
}

int notify_watch(struct managed_unit *u) {
    sd_event_source *s = NULL;

    if (u->resources.notify_fd < 0 || u->notify_source)
        return 0;
    int r = sd_event_add_io(u->manager->event, &s, u->resources.notify_fd, EPOLLIN, on_message, u);
    if (r < 0)
        return log_errno(LOG_ERR, r, "%s: watching the notify socket", u->name);
    (void)sd_event_source_set_priority(s, PRIORITY_NOTIFY);
    (void)sd_event_source_set_ratelimit(s, FLOOD_INTERVAL, FLOOD_BURST);
    (void)sd_event_source_set_ratelimit_expire_callback(s, on_flood);
    u->notify_source = s;
    return 0;
}
