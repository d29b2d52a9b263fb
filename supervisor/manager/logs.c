/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manager's end of davit-logd (log/protocol.h), and the FIFOs that containers write to.
 *
 * davit-logd remembers nothing over its own death: on its HELLO it is told everything again. So what waits
 * here to be sent can be thrown away then, and nothing in here has to be saved.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/wire.h"
#include "init/keeper.h"
#include "log/protocol.h"
#include "manager/rooms.h"

#define QUEUE_MAX 8192

struct message {
    struct list link;
    int fd; /* owned; -1 = none */
    size_t size;
    char data[];
};

struct removal {
    struct list link;
    uint64_t id;
    struct managed_unit *unit;
    void (*done)(struct managed_unit *u);
};

struct logs {
    int socket;
    sd_event_source *source;
    struct list queue, removals;
    size_t queued;
    bool untold; /* a message found no room: all is said again when davit-logd takes them */
    uint64_t lines, dropped;
    bool problem;    /* davit-logd has said why it cannot write, and not yet that it can again */
    usec_t replaced; /* when davit-init was asked for another davit-logd; 0 = never */
    bool asked;      /* LOGD_ASK was sent, and davit-logd has said nothing since */
};

/* ---- sending ---- */

static void message_free(struct logs *l, struct message *msg) {
    list_remove(&msg->link);
    l->queued--;
    closep(&msg->fd);
    free(msg);
}

static void forget_queue(struct logs *l) {
    LIST_FOREACH (msg, &l->queue, struct message, link)
        message_free(l, msg);
}

static void watch_writable(struct logs *l, bool on) {
    (void)sd_event_source_set_io_events(l->source, on ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void enqueue(struct logs *l, const void *data, size_t n, int fd) {
    struct message *msg = l->queued < QUEUE_MAX ? malloc(sizeof(*msg) + n) : NULL;
    int copy = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;

    if (!msg || (fd >= 0 && copy < 0)) {
        if (!l->untold)
            log_error("davit-logd takes no messages (%zu wait): output of units that start now is read later",
                l->queued);
        l->untold = true;
        watch_writable(l, true);
        closep(&copy);
        free(msg);
        return;
    }
    msg->fd = copy;
    msg->size = n;
    memcpy(msg->data, data, n);
    list_append(&l->queue, &msg->link);
    l->queued++;
    watch_writable(l, true);
}

static void send_writer(struct logs *l, struct wire_writer *w, int fd) {
    if (l->socket >= 0 && !strbuf_failed(&w->out)) {
        ssize_t n = -EAGAIN;
        if (list_empty(&l->queue))
            n = socket_send_fds(l->socket, w->out.data, w->out.length, &fd, fd >= 0, MSG_DONTWAIT);
        if (n == -EAGAIN)
            enqueue(l, w->out.data, w->out.length, fd);
        else if (n < 0)
            (void)log_errno(LOG_ERR, (int)n, "Message to davit-logd");
    }
    wire_writer_free(w);
}

static void send_queue(struct logs *l) {
    LIST_FOREACH (msg, &l->queue, struct message, link) {
        ssize_t n = socket_send_fds(l->socket, msg->data, msg->size, &msg->fd, msg->fd >= 0, MSG_DONTWAIT);
        if (n == -EAGAIN)
            return;
        message_free(l, msg);
    }
    watch_writable(l, false);
}

static void send_config(struct manager *m) {
    struct wire_writer w = {};

    (void)mkdir_parents(AT_FDCWD, m->paths.log, 0755);
    _cleanup_close_ int directory = open(m->paths.log, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    wire_put_u32(&w, LOGD_CONFIG);
    wire_put_string(&w, m->settings.log_sink);
    wire_put_string(&w, m->paths.log);
    wire_put_u64(&w, m->settings.log_max_size);
    wire_put_u32(&w, m->settings.log_max_files);
    send_writer(m->logs, &w, directory);
}

static void send_stream(struct manager *m, enum logd_message type, uint64_t id) {
    struct wire_writer w = {};

    wire_put_u32(&w, type);
    wire_put_u64(&w, id);
    send_writer(m->logs, &w, -1);
}

static const char *container_name(const struct managed_unit *u) {
    return u->config && u->config->container && u->config->container->container_name
               ? u->config->container->container_name
               : "";
}

int logs_add(struct managed_unit *u) {
    struct wire_writer w = {};

    if (u->resources.log_fd < 0)
        return -EBADF;
    const char *dot = strrchr(u->name, '.');
    _cleanup_free_ char *identifier = strndup(u->name, dot ? (size_t)(dot - u->name) : strlen(u->name));
    if (!identifier)
        return -ENOMEM;
    wire_put_u32(&w, LOGD_ADD);
    wire_put_u64(&w, u->resources.id);
    wire_put_string(&w, u->name);
    wire_put_string(&w, container_name(u));
    wire_put_string(&w, u->invocation);
    wire_put_string(&w, identifier);
    wire_put_u32(&w, LOG_INFO);
    send_writer(u->manager->logs, &w, u->resources.log_fd);
    return 0;
}

/* ---- the FIFO ---- */

int logs_path(const struct managed_unit *u, char **ret) {
    char *path = strf("%s/log/%s", u->manager->paths.runtime, u->name);
    if (!path)
        return -ENOMEM;
    *ret = path;
    return 0;
}

static void store_name(const struct managed_unit *u, char ret[static KEEPER_NAME_MAX]) {
    (void)snprintf(ret, KEEPER_NAME_MAX, "l-%" PRIx64, u->resources.id);
}

/* Writable for everybody: a program that is not root (any more) opens /dev/stdout anew, which opens this
 * inode. Readable for nobody but root. O_RDWR, so that neither a missing reader nor a missing writer ends it.
 */
static int make_fifo(const char *path, struct error *e) {
    if (mkfifo(path, 0600) < 0 && errno != EEXIST)
        return error_set_errno(e, errno, "making the log FIFO %s", path);
    _cleanup_close_ int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set_errno(e, errno, "opening the log FIFO %s", path);
    if (!S_ISFIFO(st.st_mode))
        return error_set(e, EEXIST, "%s is in the way of the log FIFO", path);
    if (fchmod(fd, 0622) < 0)
        return error_set_errno(e, errno, "log FIFO %s", path);
    return TAKE_FD(fd);
}

void logs_store(struct managed_unit *u) {
    char name[KEEPER_NAME_MAX];

    store_name(u, name);
    (void)keeper_store(u->manager, name, u->resources.log_fd);
}

int logs_create(struct managed_unit *u, struct error *e) {
    _cleanup_free_ char *path = NULL;

    if (u->resources.log_fd < 0) {
        int r = logs_path(u, &path);
        if (r < 0)
            return error_set_errno(e, r, "log FIFO");
        int fd = make_fifo(path, e);
        if (fd < 0)
            return fd;
        u->resources.log_fd = fd;
        logs_store(u);
    }
    return logs_add(u);
}

static void close_fifo(struct managed_unit *u) {
    _cleanup_free_ char *path = NULL;
    char name[KEEPER_NAME_MAX];

    if (u->resources.log_fd < 0)
        return;
    close_and_reset(&u->resources.log_fd);
    store_name(u, name);
    keeper_unstore(u->manager, name);
    if (logs_path(u, &path) >= 0)
        (void)unlink(path);
}

/* ---- removing ---- */

static void removal_finish(struct removal *r) {
    struct managed_unit *u = r->unit;
    void (*done)(struct managed_unit *) = r->done;

    list_remove(&r->link);
    free(r);
    if (!u)
        return;
    close_fifo(u);
    done(u);
}

void logs_remove(struct managed_unit *u, void (*done)(struct managed_unit *u)) {
    struct logs *l = u->manager->logs;
    struct removal *r = u->resources.log_fd >= 0 && l && l->socket >= 0 ? malloc(sizeof(*r)) : NULL;

    if (!r) {
        close_fifo(u);
        done(u);
        return;
    }
    *r = (struct removal){.id = u->resources.id, .unit = u, .done = done};
    list_append(&l->removals, &r->link);
    send_stream(u->manager, LOGD_REMOVE, u->resources.id);
}

void logs_keep(struct managed_unit *u) {
    struct logs *l = u->manager->logs;

    if (!l)
        return;
    LIST_FOREACH (r, &l->removals, struct removal, link) {
        if (r->unit != u)
            continue;
        list_remove(&r->link);
        free(r);
    }
}

void logs_forget(struct managed_unit *u) {
    logs_keep(u);
    close_fifo(u);
}

void logs_remove_stream(struct manager *m, uint64_t id) {
    if (m->logs && m->logs->socket >= 0)
        send_stream(m, LOGD_REMOVE, id);
}

/* ---- a davit-logd that hangs ---- */

static void have_logd_replaced(struct manager *m) {
    m->logs->replaced = now_monotonic();
    m->logs->asked = false;
    log_warning("davit-logd does not answer, having it replaced");
    keeper_notify(m, "X_DAVIT_KILL_LOGD=1");
}

bool logs_replace_logd(struct manager *m, usec_t patience) {
    if (m->logs->problem)
        return false;
    if (m->logs->replaced == 0 || now_monotonic() >= usec_add(m->logs->replaced, patience))
        have_logd_replaced(m);
    return true; /* it may have been for another unit */
}

/* davit-logd reads each FIFO to its end, unless its sink takes nothing. Not FIONREAD: it waits for the FIFO's lock,
 * which a writer holds while its memory is being read, and that may be on a file system that hangs. */
static bool output_waits(struct manager *m) {
    struct managed_unit *u;

    HASHMAP_FOREACH (u, m->units) {
        if (u->resources.log_fd >= 0 && fd_is_readable(u->resources.log_fd))
            return true;
    }
    return false;
}

void logs_check_logd(struct manager *m) {
    struct logs *l = m->logs;
    struct wire_writer w = {};

    if (!l || l->socket < 0)
        return;
    /* It may have answered while davitd was held up. */
    if (l->asked && !fd_is_readable(l->socket)) {
        have_logd_replaced(m);
        return;
    }
    l->asked = output_waits(m);
    if (l->asked) {
        wire_put_u32(&w, LOGD_ASK);
        send_writer(l, &w, -1);
    }
}

/* ---- receiving ---- */

static void tell_all(struct manager *m) {
    struct managed_unit *u;

    forget_queue(m->logs);
    m->logs->untold = false;
    send_config(m);
    HASHMAP_FOREACH (u, m->units) {
        if (u->resources.log_fd >= 0)
            (void)logs_add(u);
    }
    LIST_FOREACH (r, &m->logs->removals, struct removal, link)
        send_stream(m, LOGD_REMOVE, r->id);
}

static void on_removed(struct manager *m, uint64_t id) {
    LIST_FOREACH (r, &m->logs->removals, struct removal, link) {
        if (r->id == id) {
            removal_finish(r);
            return;
        }
    }
}

static void handle(struct manager *m, const void *data, size_t n) {
    struct wire_reader r = {.data = data, .length = n};

    m->logs->asked = false;
    uint32_t type = wire_get_u32(&r);
    switch (type) {
    case LOGD_HELLO:
        m->logs->problem = false;
        tell_all(m);
        break;
    case LOGD_REMOVED: {
        uint64_t id = wire_get_u64(&r);
        if (wire_reader_finish(&r) == 0)
            on_removed(m, id);
        break;
    }
    case LOGD_STATS:
        m->logs->lines = wire_get_u64(&r);
        m->logs->dropped = wire_get_u64(&r);
        break;
    case LOGD_PROBLEM: {
        _cleanup_free_ char *text = wire_get_string(&r);
        if (!text)
            break;
        m->logs->problem = !isempty(text);
        if (m->logs->problem)
            log_warning("davit-logd: %s", text);
        else
            log_notice("davit-logd can write again");
        break;
    }
    default:
        log_warning("davit-logd sent a message of unknown type %" PRIu32, type);
    }
}

static int on_logd(sd_event_source *s, int fd, uint32_t events, void *userdata) {
    struct manager *m = userdata;
    char buffer[LOGD_MESSAGE_MAX];

    if (events & EPOLLOUT)
        send_queue(m->logs);
    if (m->logs->untold && list_empty(&m->logs->queue))
        tell_all(m);
    for (;;) {
        ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (n > 0) {
            handle(m, buffer, (size_t)n);
            continue;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            log_error("Socket of davit-logd: %s", n == 0 ? "closed" : errno_text(errno));
            (void)sd_event_source_set_enabled(s, SD_EVENT_OFF);
        }
        return 0;
    }
}

void logs_settings_changed(struct manager *m) {
    if (m->logs && m->logs->socket >= 0)
        send_config(m);
}

int logs_new(struct manager *m, struct error *e) {
    struct logs *l = calloc(1, sizeof(*l));

    if (!l)
        return error_set(e, ENOMEM, "out of memory");
    list_init(&l->queue);
    list_init(&l->removals);
    m->logs = l;
    l->socket = keeper_take(m, "logd");
    if (l->socket < 0) {
        l->socket = -1;
        log_warning("No socket of davit-logd was passed in: output of units is not read");
        return 0;
    }
    int r = sd_event_add_io(m->event, &l->source, l->socket, EPOLLIN, on_logd, m);
    if (r < 0)
        return error_set_errno(e, r, "watching davit-logd");
    (void)sd_event_source_set_priority(l->source, PRIORITY_CONTROL);
    /* davit-logd may have been running for long. Streams are said again as units are recovered: what the
     * davitd before this one sent may not have got through. */
    send_config(m);
    return 0;
}

void logs_free(struct manager *m) {
    struct logs *l = m->logs;

    if (!l)
        return;
    forget_queue(l);
    LIST_FOREACH (r, &l->removals, struct removal, link) {
        list_remove(&r->link);
        free(r);
    }
    l->source = sd_event_source_unref(l->source);
    closep(&l->socket);
    free(l);
    m->logs = NULL;
}
