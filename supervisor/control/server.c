/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "control/server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/str.h"
#include "control/call.h"
#include "manager/manager.h"

enum {
    /* Requests that one connection gets in one turn of the loop. */
    REQUESTS_PER_TURN = 16,
    /* A client with this much unread is asked for nothing more until it has read. Streams go on up to
       VARLINK_OUTPUT_MAX. */
    OUTPUT_HIGH_WATER = 256 * 1024,
    LISTEN_BACKLOG = 128,
};

/* New connections: a loop that does nothing but connect gets no more of the manager's time than this. */
#define ACCEPT_INTERVAL_USEC (100 * USEC_PER_MSEC)
#define ACCEPT_BURST 200U

static const struct {
    const char *name;
    mode_t mode;
    bool read_only;
} sockets[] = {
    {"control", 0600, false},
    {"status", 0666, true},
};

/* ---- one connection ---- */

static void connection_free(struct connection *n) {
    if (n->call)
        call_abandon(n->call);
    n->source = sd_event_source_disable_unref(n->source); /* before its fd goes, or sd-event aborts */
    varlink_stream_done(&n->stream);
    list_remove(&n->runnable);
    list_remove(&n->link);
    n->control->n_connections--;
    free(n);
}

/* Anybody may use the status socket, so nobody can fill the log with it. */
static int connection_log_level(const struct connection *n) {
    return n->read_only ? LOG_DEBUG : LOG_NOTICE;
}

/* Asks for a turn of the run source. */
static void connection_schedule(struct connection *n) {
    if (list_empty(&n->runnable))
        list_append(&n->control->runnable, &n->runnable);
    (void)sd_event_source_set_enabled(n->control->run, SD_EVENT_ON);
}

static void connection_drop(struct connection *n) {
    n->dropped = true;
    connection_schedule(n);
}

static bool connection_may_read(const struct connection *n) {
    return !n->dropped && !n->call && !n->stream.eof && n->stream.output_bytes < OUTPUT_HIGH_WATER &&
           list_empty(&n->runnable);
}

/* Watches for what the connection can use now. Hang-up is always reported. */
static void connection_update(struct connection *n) {
    uint32_t events = 0;
    if (connection_may_read(n))
        events |= EPOLLIN;
    if (!list_empty(&n->stream.output))
        events |= EPOLLOUT;
    if (sd_event_source_set_io_events(n->source, events) < 0)
        connection_drop(n);
}

void connection_send(struct connection *n, json_t *object, const int *fds, size_t n_fds) {
    if (n->dropped)
        return;
    bool idle = list_empty(&n->stream.output);
    int r = varlink_queue(&n->stream, object, fds, n_fds);
    if (r >= 0 && idle)
        r = varlink_flush(&n->stream);
    if (r < 0) {
        if (r == -ENOBUFS)
            log_write(connection_log_level(n),
                "Dropped a client of the control socket (pid %d, uid %u) that left %zu bytes unread",
                (int)n->peer.pid, n->peer.uid, n->stream.output_bytes);
        connection_drop(n);
    } else
        connection_update(n);
}

void connection_call_done(struct connection *n) {
    if (n->dropped)
        return;
    connection_schedule(n);
}

/* Takes requests from the buffer, as many as are due. False if the connection is to go. */
static bool connection_process(struct connection *n) {
    for (unsigned i = 0; i < REQUESTS_PER_TURN; i++) {
        struct varlink_message message;
        if (n->dropped)
            return false;
        if (n->call || n->stream.output_bytes >= OUTPUT_HIGH_WATER)
            return true;
        if (varlink_next(&n->stream, &message) == 0)
            break;
        int r = call_dispatch(n, &message);
        varlink_message_done(&message);
        if (r < 0)
            return false;
    }
    if (!n->call && varlink_has_message(&n->stream))
        connection_schedule(n);
    else if (n->stream.eof && !n->call && list_empty(&n->stream.output))
        return false;
    return !n->dropped;
}

static void connection_turn(struct connection *n) {
    if (connection_process(n))
        connection_update(n);
    else
        connection_free(n);
}

static int on_connection(sd_event_source *s _unused_, int fd _unused_, uint32_t revents, void *userdata) {
    struct connection *n = userdata;

    /* A client that left while its call was open: nobody is there to be answered. One that only has no more
     * to ask (it shut down its sending side) shows as EPOLLIN with an end of file. */
    if ((revents & (EPOLLHUP | EPOLLERR)) && n->call) {
        connection_free(n);
        return 0;
    }
    if ((revents & EPOLLOUT) && varlink_flush(&n->stream) < 0) {
        connection_free(n);
        return 0;
    }
    if ((revents & (EPOLLIN | EPOLLHUP | EPOLLERR)) && connection_may_read(n)) {
        int r = varlink_read(&n->stream);
        if (r == -EMSGSIZE || r == -EXFULL)
            log_write(connection_log_level(n),
                "Dropped a client of the control socket (pid %d, uid %u): its request is too large",
                (int)n->peer.pid, n->peer.uid);
        if (r < 0 && r != -EAGAIN) {
            connection_free(n);
            return 0;
        }
    }
    connection_turn(n);
    return 0;
}

/* Gives each runnable connection one turn. A turn may schedule its connection again: those wait for the next
 * round. */
static int on_run(sd_event_source *s, void *userdata) {
    struct control *c = userdata;
    struct list round;

    list_init(&round);
    LIST_FOREACH (n, &c->runnable, struct connection, runnable) {
        list_remove(&n->runnable);
        list_append(&round, &n->runnable);
    }
    (void)sd_event_source_set_enabled(s, SD_EVENT_OFF);
    while (!list_empty(&round)) {
        struct connection *n = LIST_ENTRY(round.next, struct connection, runnable);
        list_remove(&n->runnable);
        connection_turn(n);
    }
    return 0;
}

/* ---- new connections ---- */

/* True if this user may have one more. Each socket is counted by itself: with the user ids of a few user
 * namespaces anybody could otherwise keep the machine's owner from the manager. */
static bool client_is_welcome(struct control *c, uid_t uid, bool read_only) {
    unsigned all = 0, same = 0;
    LIST_FOREACH (n, &c->connections, struct connection, link) {
        if (n->read_only != read_only)
            continue;
        all++;
        same += n->peer.uid == uid;
    }
    return all < CONTROL_CONNECTIONS_MAX && same < c->manager->settings.max_clients_per_uid;
}

/* A last word to a client that gets no connection; whether it arrives does not matter. */
static void client_refuse(int fd, const char *error, const char *message) {
    _cleanup_free_ char *text = NULL;
    json_t *reply = message ? json_pack("{sss{ss}}", "error", error, "parameters", "message", message)
                            : json_pack("{sss{}}", "error", error, "parameters");
    if (reply)
        text = json_dumps(reply, JSON_COMPACT);
    if (text)
        (void)send(fd, text, strlen(text) + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    json_decref(reply);
}

int control_add_client(struct control *c, int fd, bool read_only) {
    _cleanup_close_ int owned = fd;
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return negative_errno();
    /* The mode of the socket says the same; this holds also when someone loosens it, or passes a connection
     * on. */
    if (!read_only && peer.uid != 0 && peer.uid != geteuid()) {
        client_refuse(fd, "org.varlink.service.PermissionDenied", NULL);
        return -EPERM;
    }
    if (!client_is_welcome(c, peer.uid, read_only)) {
        client_refuse(fd, "io.davit.Manager.TooManyClients", "too many connections");
        return -EUSERS;
    }

    struct connection *n = calloc(1, sizeof(*n));
    if (!n)
        return -ENOMEM;
    *n = (struct connection){.control = c, .peer = peer, .read_only = read_only};
    list_init(&n->runnable);
    list_init(&n->link);
    list_append(&c->connections, &n->link);
    c->n_connections++;
    varlink_stream_init(&n->stream, TAKE_FD(owned),
        read_only ? CONTROL_REQUEST_MAX_READ_ONLY : VARLINK_REQUEST_MAX, VARLINK_OUTPUT_MAX);
    n->stream.refuse_fds = read_only;
    int r = sd_event_add_io(c->manager->event, &n->source, n->stream.fd, EPOLLIN, on_connection, n);
    if (r >= 0)
        r = sd_event_source_set_priority(n->source, PRIORITY_CONTROL);
    if (r < 0)
        connection_free(n);
    return MIN(r, 0);
}

/* Without descriptors accept() fails and the socket stays readable for ever. So one is kept for this moment:
 * it lets the waiting client in and out again. */
static void refuse_without_fds(struct control *c, int listener) {
    close_and_reset(&c->reserve_fd);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        client_refuse(fd, "io.davit.Manager.TooManyClients", "no file descriptors left");
        (void)close(fd);
    }
    c->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int on_listener(sd_event_source *s, int fd, uint32_t revents _unused_, void *userdata) {
    struct control *c = userdata;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client >= 0)
        (void)control_add_client(c, client, s == c->listeners[1]);
    else if (errno == EMFILE || errno == ENFILE)
        refuse_without_fds(c, fd);
    return 0;
}

/* ---- sockets ---- */

/* Binds under a temporary name and renames, so that what an earlier davitd left is replaced at once and the
 * final name never leads to a socket that nobody listens on or whose mode is not set yet. The directory is
 * named by descriptor: socket addresses end at 108 bytes, paths do not. */
static int socket_make(int directory, const char *name, mode_t mode, int *ret) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char temporary[32];

    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return negative_errno();
    (void)snprintf(temporary, sizeof(temporary), ".%s.new", name);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", directory, temporary);
    if (unlinkat(directory, temporary, 0) < 0 && errno != ENOENT)
        return negative_errno();
    /* bind(2) makes the file with the socket's own mode less the umask: never wider than it will be. */
    if (fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return negative_errno();
    if (fchmodat(directory, temporary, mode, 0) < 0 || listen(fd, LISTEN_BACKLOG) < 0 ||
        renameat(directory, temporary, directory, name) < 0) {
        int r = negative_errno();
        (void)unlinkat(directory, temporary, 0);
        return r;
    }
    *ret = TAKE_FD(fd);
    return 0;
}

static int listener_add(struct control *c, int fd, sd_event_source **ret) {
    int r = sd_event_add_io(c->manager->event, ret, fd, EPOLLIN, on_listener, c);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    r = sd_event_source_set_io_fd_own(*ret, true);
    if (r >= 0)
        r = sd_event_source_set_priority(*ret, PRIORITY_CONTROL);
    if (r >= 0)
        r = sd_event_source_set_ratelimit(*ret, ACCEPT_INTERVAL_USEC, ACCEPT_BURST);
    if (r < 0)
        *ret = sd_event_source_disable_unref(*ret);
    return MIN(r, 0);
}

int control_new_detached(struct manager *m, struct control **ret) {
    struct control *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    *c = (struct control){.manager = m, .reserve_fd = -1};
    list_init(&c->connections);
    list_init(&c->runnable);
    int r = sd_event_add_defer(m->event, &c->run, on_run, c);
    if (r >= 0)
        r = sd_event_source_set_priority(c->run, PRIORITY_CONTROL);
    if (r >= 0)
        r = sd_event_source_set_enabled(c->run, SD_EVENT_OFF);
    if (r < 0) {
        sd_event_source_unref(c->run);
        free(c);
        return r;
    }
    *ret = c;
    return 0;
}

int control_listen(struct control *c, struct error *e) {
    const char *runtime = c->manager->paths.runtime;

    _cleanup_close_ int directory = open(runtime, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return error_set_errno(e, errno, "Cannot open %s", runtime);
    for (size_t i = 0; i < ARRAY_SIZE(sockets); i++) {
        sd_event_source *listener = NULL;
        int fd = -1;

        int r = socket_make(directory, sockets[i].name, sockets[i].mode, &fd);
        if (r >= 0)
            r = listener_add(c, fd, &listener);
        if (r < 0)
            return error_set_errno(e, r, "Cannot make %s/%s", runtime, sockets[i].name);
        sd_event_source_disable_unref(c->listeners[i]);
        c->listeners[i] = listener;
    }
    return 0;
}

int control_new(struct manager *m, struct error *e) {
    struct control *c;
    int r = control_new_detached(m, &c);
    if (r < 0)
        return error_set_errno(e, r, "Cannot set up the control socket");
    c->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    m->control = c;
    r = control_listen(c, e);
    if (r < 0)
        control_free(c);
    return r;
}

void control_free(struct control *c) {
    if (!c)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(sockets); i++) {
        if (!c->listeners[i])
            continue;
        _cleanup_free_ char *path = strf("%s/%s", c->manager->paths.runtime, sockets[i].name);
        if (path)
            (void)unlink(path);
        sd_event_source_disable_unref(c->listeners[i]);
    }
    LIST_FOREACH (n, &c->connections, struct connection, link)
        connection_free(n);
    sd_event_source_disable_unref(c->run);
    close_and_reset(&c->reserve_fd);
    if (c->manager->control == c)
        c->manager->control = NULL;
    free(c);
}
