/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* davitd's messages, and the answers: log/protocol.h. */
#include <fcntl.h>
#include <sys/ioctl.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "base/wire.h"
#include "log/logd.h"
#include "log/protocol.h"

#define UPDATE_TURNS 64 /* batches of an old invocation, before the new one gets its name */

/* ---- to davitd ---- */

static void send_message(struct logd *l, struct wire_writer *w) {
    if (strbuf_failed(&w->out))
        return;
    ssize_t n = socket_send_fds(l->socket, w->out.data, w->out.length, NULL, 0, MSG_DONTWAIT);
    /* The buffer holds thousands of messages; only a davitd that asks and never reads can fill it. */
    if (n < 0)
        (void)log_errno(LOG_ERR, (int)n, "message to davitd is lost");
}

void server_hello(struct logd *l) {
    _cleanup_(wire_writer_free) struct wire_writer w = {};

    wire_put_u32(&w, LOGD_HELLO);
    wire_put_u32(&w, (uint32_t)getpid());
    send_message(l, &w);
}

void server_removed(struct logd *l, uint64_t stream) {
    _cleanup_(wire_writer_free) struct wire_writer w = {};

    wire_put_u32(&w, LOGD_REMOVED);
    wire_put_u64(&w, stream);
    send_message(l, &w);
}

void server_problem(struct logd *l, const char *text) {
    _cleanup_(wire_writer_free) struct wire_writer w = {};

    wire_put_u32(&w, LOGD_PROBLEM);
    wire_put_string(&w, text);
    send_message(l, &w);
}

void server_stats(struct logd *l) {
    _cleanup_(wire_writer_free) struct wire_writer w = {};

    wire_put_u32(&w, LOGD_STATS);
    wire_put_u64(&w, l->lines);
    wire_put_u64(&w, 0); /* dropped: nothing ever is, writers wait */
    send_message(l, &w);
}

/* ---- from davitd ---- */

static struct stream *find_by_id(struct logd *l, uint64_t id) {
    LIST_FOREACH (s, &l->streams, struct stream, link)
        if (s->id == id)
            return s;
    return NULL;
}

static struct stream *find_by_fifo(struct logd *l, struct fifo_id id) {
    LIST_FOREACH (s, &l->streams, struct stream, link)
        if (s->fifo_id.inode == id.inode && s->fifo_id.device == id.device)
            return s;
    return NULL;
}

static enum sink choose_sink(const char *name) {
    if (streq_ptr(name, "journal"))
        return SINK_JOURNAL;
    if (streq_ptr(name, "file"))
        return SINK_FILE;
    return access(JOURNAL_SOCKET, F_OK) == 0 ? SINK_JOURNAL : SINK_FILE;
}

static void close_files(struct logd *l) {
    while (!list_empty(&l->files.open))
        log_file_close(LIST_ENTRY(l->files.open.next, struct log_file, open_link));
}

static int on_config(struct logd *l, struct wire_reader *r, int *fd) {
    _cleanup_free_ char *sink = wire_get_string(r), *directory = wire_get_string(r);
    uint64_t max_size = wire_get_u64(r);
    uint32_t max_files = wire_get_u32(r);
    int x = wire_reader_finish(r);

    if (x < 0)
        return x;
    close_files(l);
    if (*fd >= 0) {
        close_and_reset(&l->files.directory);
        l->files.directory = TAKE_FD(*fd);
        free(l->directory);
        l->directory = TAKE_PTR(directory);
    }
    l->files.max_size = max_size == 0 ? FILE_SIZE_DEFAULT : MAX(max_size, (uint64_t)FILE_SIZE_MIN);
    l->files.max_files = max_files == 0 ? FILE_COUNT_DEFAULT : MIN(max_files, (uint32_t)FILE_COUNT_MAX);
    if (!l->privileges_dropped) {
        /* Nothing that a container has written is looked at before this. */
        x = privileges_drop(l->files.directory);
        if (x < 0) {
            (void)log_errno(LOG_CRIT, x, "cannot give up privileges");
            _exit(EXIT_FAILURE);
        }
        l->privileges_dropped = true;
    }
    l->sink = choose_sink(sink);
    l->journal_retry_at = USEC_INFINITY;
    LIST_FOREACH (s, &l->streams, struct stream, link) {
        s->retry_at = USEC_INFINITY;
        logd_ready(l, s);
    }
    return 0;
}

/* The same FIFO again: a davitd or davit-logd that was restarted, or a new invocation that writes where the
 * last one did. What the last one left is written under its own name first, as far as the sink takes it. */
static int update(struct logd *l, struct stream *s, uint64_t id, const struct stream_facts *facts) {
    int r = 1;

    if (!streq(s->invocation, facts->invocation ? facts->invocation : "") && s->recovered &&
        !logd_sink_blocked(l)) {
        for (size_t turn = 0; r > 0 && turn < UPDATE_TURNS; turn++)
            r = batch_serve(l, s);
        if (r == 0)
            (void)batch_flush(l, s, false);
    }
    r = stream_set_facts(s, facts);
    if (r < 0)
        return r;
    s->id = id;
    s->removing = false;
    logd_ready(l, s);
    return 0;
}

/* Its unit has ended. What comes from now on is of strangers that got hold of the FIFO, and need not have an end. */
static void begin_removal(struct logd *l, struct stream *s) {
    int left = 0;

    (void)ioctl(s->fifo, FIONREAD, &left);
    s->left = (size_t)left;
    s->removing = true;
    logd_ready(l, s);
}

/* Another FIFO under a known number: its predecessor is drained like a removed one, without an answer being
 * due. */
static void replace(struct logd *l, uint64_t id) {
    struct stream *old = find_by_id(l, id);

    if (!old)
        return;
    old->id = STREAM_REPLACED;
    begin_removal(l, old);
}

static int add(struct logd *l, uint64_t id, int fd, const struct stream_facts *facts) {
    _cleanup_close_ int fifo = fd;
    struct fifo_id fifo_id;
    struct stream *s;

    int r = fifo_identify(fifo, &fifo_id);
    if (r < 0)
        return r;
    s = find_by_fifo(l, fifo_id);
    if (s)
        return update(l, s, id, facts);
    replace(l, id);
    r = stream_new(id, TAKE_FD(fifo), facts, &s);
    if (r < 0)
        return r;
    r = logd_add(l, s);
    if (r < 0)
        stream_free(s);
    return r;
}

static int on_add(struct logd *l, struct wire_reader *r, int *fd) {
    uint64_t id = wire_get_u64(r);
    _cleanup_free_ char *unit = wire_get_string(r), *container = wire_get_string(r);
    _cleanup_free_ char *invocation = wire_get_string(r), *identifier = wire_get_string(r);
    uint32_t priority = wire_get_u32(r);

    int x = wire_reader_finish(r);
    if (x < 0)
        return x;
    if (isempty(unit) || *fd < 0 || id == STREAM_REPLACED)
        return -EINVAL;
    const struct stream_facts facts = {
        .unit = unit,
        .container = container,
        .invocation = invocation,
        .identifier = identifier,
        .priority = priority <= LOG_DEBUG ? (uint8_t)priority : LOG_INFO,
    };
    x = add(l, id, TAKE_FD(*fd), &facts);
    if (x < 0)
        logd_problem(l, "cannot read the output of %s: %s", unit, errno_text(x));
    return 0;
}

static int on_remove(struct logd *l, struct wire_reader *r, int *fd _unused_) {
    uint64_t id = wire_get_u64(r);
    int x = wire_reader_finish(r);

    if (x < 0)
        return x;
    struct stream *s = find_by_id(l, id);
    if (!s) {
        server_removed(l, id);
        return 0;
    }
    begin_removal(l, s);
    return 0;
}

static int on_reopen(struct logd *l, struct wire_reader *r, int *fd _unused_) {
    close_files(l);
    return wire_reader_finish(r);
}

static int on_ask(struct logd *l, struct wire_reader *r, int *fd _unused_) {
    server_stats(l);
    return wire_reader_finish(r);
}

static const struct {
    uint32_t type;
    int (*answer)(struct logd *l, struct wire_reader *r, int *fd);
} messages[] = {
    {LOGD_CONFIG, on_config},
    {LOGD_ADD, on_add},
    {LOGD_REMOVE, on_remove},
    {LOGD_REOPEN, on_reopen},
    {LOGD_ASK, on_ask},
};

/* The number may be a log file's, which is opened again when needed; a message without room for its FIFO is
 * lost. */
static void take_spare(struct logd *l) {
    while ((l->spare_fd = fcntl(l->socket, F_DUPFD_CLOEXEC, 0)) < 0 && !list_empty(&l->files.open))
        log_file_close(LIST_ENTRY(l->files.open.next, struct log_file, open_link));
}

bool server_receive(struct logd *l) {
    uint8_t data[LOGD_MESSAGE_MAX];
    _cleanup_close_ int fd = -1;
    size_t n_fds = 1;

    close_and_reset(&l->spare_fd);
    ssize_t n = socket_recv_fds(l->socket, data, sizeof data, &fd, &n_fds, MSG_DONTWAIT);
    take_spare(l);
    if (n == 0) { /* nobody holds the other end: not even davit-init lives */
        l->ending = true;
        return false;
    }
    if (n_fds == 0)
        fd = -1;
    if (n == -EXFULL)
        logd_problem(l, "more units than open files: the output of one is not read (RLIMIT_NOFILE)");
    if (n < 0)
        return n == -EMSGSIZE || n == -EXFULL;

    struct wire_reader r = {.data = data, .length = (size_t)n};
    uint32_t type = wire_get_u32(&r);
    int x = -EBADMSG;
    for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
        if (messages[i].type == type)
            x = messages[i].answer(l, &r, &fd);
    if (x < 0)
        (void)log_errno(LOG_ERR, x, "message %u of davitd is not understood", type);
    return true;
}
