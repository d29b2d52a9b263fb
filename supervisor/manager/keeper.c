/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manager's side of "somebody keeps my descriptors": davit-init or systemd, it cannot tell and need not.
 *
 * Everything that goes up is one datagram, sent without waiting. sd_notify(3) would block when the keeper's
 * queue (ten datagrams) is full, so what does not fit waits here and goes out, in order, when the socket is
 * writable again.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "base/fd.h"
#include "base/log.h"
#include "init/keeper.h"
#include "manager/manager.h"
#include "manager/rooms.h"

/* Words that only inform are dropped when this many messages wait; descriptors never are. */
#define QUEUE_MAX_NOTICES 32
#define STATUS_DELAY (USEC_PER_SEC / 4)

struct inherited {
    int fd;
    char name[];
};

struct outgoing {
    struct list link;
    int fd; /* -1 = none; owned */
    char text[];
};

struct keeper {
    int socket; /* -1: nobody listens */
    struct hashmap *inherited;
    struct list queue;
    size_t queued;
    sd_event_source *writable, *watchdog, *status;
    usec_t watchdog_interval;
    bool status_armed;
    char *last_status;
};

/* ---- inherited descriptors ---- */

/* A name that came twice was stored twice, by a davitd that died between storing and saving: both are the
 * same thing. */
static int remember_fd(struct keeper *k, const char *name, int fd) {
    struct inherited *i = malloc(sizeof(*i) + strlen(name) + 1);
    if (!i) {
        (void)close(fd);
        return -ENOMEM;
    }
    i->fd = fd;
    memcpy(i->name, name, strlen(name) + 1);
    int r = hashmap_put(k->inherited, i->name, i);
    if (r < 0) {
        (void)close(fd);
        free(i);
    }
    return r == -EEXIST ? 0 : r;
}

static int read_inherited(struct keeper *k, struct error *e) {
    char **names = NULL;
    int n = sd_listen_fds_with_names(true, &names);
    if (n < 0)
        return error_set_errno(e, n, "LISTEN_FDS");

    int r = 0;
    for (int i = 0; i < n; i++) {
        int one = remember_fd(k, names ? names[i] : "unknown", SD_LISTEN_FDS_START + i);
        if (one < 0)
            r = one;
    }
    strv_free(names);
    return r < 0 ? error_set_errno(e, r, "inherited descriptors") : 0;
}

int keeper_take(struct manager *m, const char *name) {
    struct inherited *i = hashmap_remove(m->keeper->inherited, name);
    if (!i)
        return -ENOENT;
    int fd = i->fd;
    free(i);
    return fd;
}

void keeper_drop_leftovers(struct manager *m, void (*dropped)(struct manager *m, const char *name)) {
    struct inherited *i;
    HASHMAP_FOREACH (i, m->keeper->inherited) {
        (void)hashmap_remove(m->keeper->inherited, i->name);
        (void)close(i->fd);
        keeper_unstore(m, i->name);
        if (dropped)
            dropped(m, i->name);
        free(i);
    }
}

/* ---- sending ---- */

static void outgoing_free(struct keeper *k, struct outgoing *o) {
    list_remove(&o->link);
    k->queued--;
    closep(&o->fd);
    free(o);
}

/* 0, -EAGAIN, or another error, after which the message is not worth keeping. */
static int send_one(struct keeper *k, const char *text, int fd) {
    ssize_t n = socket_send_fds(k->socket, text, strlen(text), &fd, fd >= 0, MSG_DONTWAIT);
    return n < 0 ? (int)n : 0;
}

static int on_writable(
    _unused_ sd_event_source *s, _unused_ int fd, _unused_ uint32_t events, void *userdata) {
    struct keeper *k = userdata;

    LIST_FOREACH (o, &k->queue, struct outgoing, link) {
        if (send_one(k, o->text, o->fd) == -EAGAIN)
            return 0;
        outgoing_free(k, o);
    }
    (void)sd_event_source_set_enabled(k->writable, SD_EVENT_OFF);
    return 0;
}

static void enqueue(struct keeper *k, const char *text, int fd) {
    if (fd < 0 && k->queued >= QUEUE_MAX_NOTICES && !startswith(text, "FDSTORE") &&
        !startswith(text, "X_DAVIT"))
        return;
    struct outgoing *o = malloc(sizeof(*o) + strlen(text) + 1);
    int copy = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
    if (!o || (fd >= 0 && copy < 0)) {
        log_warning("Message to the keeper is lost: out of %s", o ? "descriptors" : "memory");
        closep(&copy);
        free(o);
        return;
    }
    o->fd = copy;
    memcpy(o->text, text, strlen(text) + 1);
    list_append(&k->queue, &o->link);
    k->queued++;
    (void)sd_event_source_set_enabled(k->writable, SD_EVENT_ON);
}

/* Order is kept: nothing overtakes what waits. */
static void send_or_enqueue(struct keeper *k, const char *text, int fd) {
    if (k->socket < 0)
        return;
    if (list_empty(&k->queue) && send_one(k, text, fd) != -EAGAIN)
        return;
    enqueue(k, text, fd);
}

int keeper_store(struct manager *m, const char *name, int fd) {
    char text[64 + KEEPER_NAME_MAX];

    if (strlen(name) >= KEEPER_NAME_MAX)
        return -ENAMETOOLONG;
    (void)snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
    send_or_enqueue(m->keeper, text, fd);
    return 0;
}

void keeper_unstore(struct manager *m, const char *name) {
    char text[64 + KEEPER_NAME_MAX];

    (void)snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
    send_or_enqueue(m->keeper, text, -1);
}

void keeper_notify(struct manager *m, const char *fmt, ...) {
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (m->keeper)
        send_or_enqueue(m->keeper, text, -1);
}

/* ---- STATUS=, when something changed and at most four times a second ---- */

static int on_status(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
    struct manager *m = userdata;
    _cleanup_free_ char *text = NULL;

    m->keeper->status_armed = false;
    if (manager_status_text(m, &text) < 0 || streq_ptr(text, m->keeper->last_status))
        return 0;
    keeper_notify(m, "STATUS=%s", text);
    free(m->keeper->last_status);
    m->keeper->last_status = TAKE_PTR(text);
    return 0;
}

void keeper_status_changed(struct manager *m) {
    struct keeper *k = m->keeper;

    if (!k || k->socket < 0 || k->status_armed)
        return;
    int r;
    if (k->status) {
        r = sd_event_source_set_time(k->status, usec_add(now_monotonic(), STATUS_DELAY));
        if (r >= 0)
            r = sd_event_source_set_enabled(k->status, SD_EVENT_ONESHOT);
    } else {
        r = sd_event_add_time_relative(
            m->event, &k->status, CLOCK_MONOTONIC, STATUS_DELAY, STATUS_DELAY, on_status, m);
    }
    k->status_armed = r >= 0;
}

/* ---- the watchdog: from the loop, so a loop that hangs is found out; no wake-ups where nobody asks ---- */

static int on_watchdog(sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
    struct manager *m = userdata;

    keeper_notify(m, "WATCHDOG=1");
    logs_check_logd(m);
    trim_ignore_this_turn();
    (void)sd_event_source_set_time(s, usec_add(now_monotonic(), m->keeper->watchdog_interval));
    (void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
    return 0;
}

static int start_watchdog(struct manager *m) {
    uint64_t usec = 0;

    if (sd_watchdog_enabled(true, &usec) <= 0)
        return 0;
    m->keeper->watchdog_interval = usec / 2;
    keeper_notify(m, "WATCHDOG=1");
    return sd_event_add_time_relative(m->event, &m->keeper->watchdog, CLOCK_MONOTONIC,
        m->keeper->watchdog_interval, m->keeper->watchdog_interval / 8, on_watchdog, m);
}

/* ---- making ---- */

/* An abstract name ("@...") is what systemd may hand out. */
static int connect_notify_socket(const char *path, struct error *e) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length;

    if (path[0] == '@' && strlen(path) < sizeof(address.sun_path)) {
        memcpy(address.sun_path + 1, path + 1, strlen(path) - 1);
        length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    } else {
        int r = socket_address(path, &address, &length);
        if (r < 0)
            return error_set_errno(e, r, "NOTIFY_SOCKET=%s", path);
    }
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, length) < 0)
        return error_set_errno(e, errno, "NOTIFY_SOCKET=%s", path);
    return TAKE_FD(fd);
}

static int open_socket(struct manager *m, struct error *e) {
    struct keeper *k = m->keeper;
    const char *path = getenv("NOTIFY_SOCKET");

    if (isempty(path))
        return 0;
    int fd = connect_notify_socket(path, e);
    if (fd < 0)
        return fd;
    k->socket = fd;
    int r = sd_event_add_io(m->event, &k->writable, fd, EPOLLOUT, on_writable, k);
    if (r < 0)
        return error_set_errno(e, r, "watching the notify socket");
    (void)sd_event_source_set_enabled(k->writable, SD_EVENT_OFF);
    (void)unsetenv("NOTIFY_SOCKET");
    return 0;
}

int keeper_new(struct manager *m, struct error *e) {
    struct keeper *k = calloc(1, sizeof(*k));
    if (!k)
        return error_set(e, ENOMEM, "out of memory");
    k->socket = -1;
    list_init(&k->queue);
    m->keeper = k;
    k->inherited = hashmap_new();
    if (!k->inherited)
        return error_set(e, ENOMEM, "out of memory");

    int r = open_socket(m, e);
    if (r < 0)
        return r;
    r = read_inherited(k, e);
    if (r < 0)
        return r;
    r = start_watchdog(m);
    return r < 0 ? error_set_errno(e, r, "watchdog timer") : 0;
}

void keeper_flush(struct manager *m) {
    struct keeper *k = m->keeper;

    if (!k || k->socket < 0)
        return;
    (void)fd_set_nonblock(k->socket, false);
    LIST_FOREACH (o, &k->queue, struct outgoing, link) {
        (void)socket_send_fds(k->socket, o->text, strlen(o->text), &o->fd, o->fd >= 0, 0);
        outgoing_free(k, o);
    }
    (void)fd_set_nonblock(k->socket, true);
}

void keeper_free(struct manager *m) {
    struct keeper *k = m->keeper;
    struct inherited *i;

    if (!k)
        return;
    LIST_FOREACH (o, &k->queue, struct outgoing, link)
        outgoing_free(k, o);
    HASHMAP_FOREACH (i, k->inherited) {
        (void)hashmap_remove(k->inherited, i->name);
        (void)close(i->fd);
        free(i);
    }
    hashmap_free(k->inherited);
    (void)sd_event_source_unref(k->writable);
    (void)sd_event_source_unref(k->watchdog);
    (void)sd_event_source_unref(k->status);
    closep(&k->socket);
    free(k->last_status);
    free(k);
    m->keeper = NULL;
}
