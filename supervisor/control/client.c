/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "control/client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/str.h"

/* How long a davitd that is being restarted is waited for, and how often we look. */
#define RESTART_PATIENCE_USEC (3 * USEC_PER_SEC)
#define RESTART_INTERVAL_USEC (50 * USEC_PER_MSEC)
/* A request that the server does not take within this time means that it hangs. */
#define SEND_TIMEOUT_USEC (30 * USEC_PER_SEC)

/* How many davitds may die over one question. */
#define ASKED_AGAIN_MAX 20

struct client {
    struct varlink_stream stream;
    bool read_only;
    char runtime_dir[];
};

void client_reply_done(struct client_reply *r) {
    json_decref(r->parameters);
    free(r->error);
    *r = (struct client_reply){};
}

bool client_reply_is(const struct client_reply *r, const char *error) {
    const char *dot = r->error ? strrchr(r->error, '.') : NULL;
    return dot && streq(dot + 1, error);
}

const char *client_reply_message(const struct client_reply *r) {
    const char *message = json_string_value(json_object_get(r->parameters, "message"));
    if (message)
        return message;
    if (client_reply_is(r, "PermissionDenied"))
        return "Permission denied";
    if (client_reply_is(r, "InvalidParameter")) {
        static char text[160];
        const char *parameter = json_string_value(json_object_get(r->parameters, "parameter"));
        (void)snprintf(text, sizeof(text),
            "davitd does not take the parameter \"%s\" as it is (is it of another version? See `davit "
            "version`)",
            parameter ?: "?");
        return text;
    }
    return r->error ?: "";
}

/* ---- connecting ---- */

/* By way of the directory's descriptor: socket addresses end at 108 bytes, paths do not. */
static int connect_once(const char *runtime_dir, const char *name, int *ret) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = 5};
    _cleanup_close_ int directory = open(runtime_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return negative_errno();
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return negative_errno();
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", directory, name);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return negative_errno();
    *ret = TAKE_FD(fd);
    return 0;
}

static int connect_patiently(const char *runtime_dir, const char *name, int *ret) {
    usec_t end = usec_add(now_monotonic(), RESTART_PATIENCE_USEC);
    int r;
    while ((r = connect_once(runtime_dir, name, ret)) == -ECONNREFUSED && now_monotonic() < end)
        (void)usleep(RESTART_INTERVAL_USEC);
    return r;
}

static int connect_to_davitd(const char *runtime_dir, bool read_only, int *ret, struct error *e) {
    const char *name = "control";
    int r = connect_patiently(runtime_dir, name, ret);

    if (r == -EACCES && read_only) {
        name = "status";
        r = connect_patiently(runtime_dir, name, ret);
    }
    if (r == -EACCES)
        return error_set(e, EACCES, "Not allowed to use %s/%s; this needs root", runtime_dir, name);
    if (r == -EAGAIN)
        return error_set(e, ETIMEDOUT, "davitd does not answer on %s/%s", runtime_dir, name);
    if (r < 0)
        return error_set(e, r, "Cannot reach davitd; is davit-init running? (tried %s/%s: %s)", runtime_dir,
            name, errno_text(r));
    return 0;
}

int client_open(const char *runtime_dir, bool read_only, struct client **ret, struct error *e) {
    int fd = -1, r = connect_to_davitd(runtime_dir, read_only, &fd, e);

    if (r < 0)
        return r;
    struct client *c = calloc(1, sizeof(*c) + strlen(runtime_dir) + 1);
    if (!c) {
        (void)close(fd);
        return error_set(e, ENOMEM, "Out of memory");
    }
    varlink_stream_init(&c->stream, fd, VARLINK_REPLY_MAX, VARLINK_OUTPUT_MAX);
    c->read_only = read_only;
    memcpy(c->runtime_dir, runtime_dir, strlen(runtime_dir) + 1);
    *ret = c;
    return 0;
}

static int reconnect(struct client *c, struct error *e) {
    int fd = -1, r = connect_to_davitd(c->runtime_dir, c->read_only, &fd, e);

    if (r < 0)
        return r;
    varlink_stream_done(&c->stream);
    varlink_stream_init(&c->stream, fd, VARLINK_REPLY_MAX, VARLINK_OUTPUT_MAX);
    return 0;
}

void client_free(struct client *c) {
    varlink_stream_done(&c->stream);
    free(c);
}

int client_fd(const struct client *c) {
    return c->stream.fd;
}

/* ---- talking ---- */

/* 0, -ETIMEDOUT. */
static int wait_for(int fd, short events, usec_t deadline) {
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        usec_t now = now_monotonic();
        int timeout = deadline == USEC_INFINITY ? -1
                      : deadline <= now         ? 0
                                                : (int)MIN((deadline - now + 999) / USEC_PER_MSEC, 60000U);
        int n = poll(&p, 1, timeout);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return negative_errno();
        if (n == 0 && timeout == 0)
            return -ETIMEDOUT;
    }
}

int client_send(struct client *c, const char *method, json_t *parameters, enum client_flags flags,
    const int *fds, size_t n_fds, struct error *e) {
    json_t *request = parameters ? json_pack("{sssO}", "method", method, "parameters", parameters)
                                 : json_pack("{ss}", "method", method);
    json_decref(parameters);
    if (request && (flags & CLIENT_MORE))
        (void)json_object_set_new(request, "more", json_true());
    if (request && (flags & CLIENT_ONEWAY))
        (void)json_object_set_new(request, "oneway", json_true());
    int r = request ? varlink_queue(&c->stream, request, fds, n_fds) : -ENOMEM;
    json_decref(request);
    usec_t deadline = usec_add(now_monotonic(), SEND_TIMEOUT_USEC);
    while (r >= 0 && (r = varlink_flush(&c->stream)) == 0)
        r = wait_for(c->stream.fd, POLLOUT, deadline);
    /* A server that refuses us says why and closes: read that rather than report the broken pipe. */
    if (r == -EPIPE || r == -ECONNRESET)
        return 0;
    return r < 0 ? error_set_errno(e, r, "Cannot send %s to davitd", method) : 0;
}

static int reply_parse(const struct varlink_message *m, struct client_reply *ret, struct error *e) {
    json_t *reply = NULL;
    int r = varlink_parse(m->text, m->length, &reply, e);
    if (r < 0)
        return error_prefix(e, r, "Answer of davitd");
    json_t *parameters = json_object_get(reply, "parameters"), *error = json_object_get(reply, "error");
    struct client_reply result = {
        .parameters = json_is_object(parameters) ? json_incref(parameters) : json_object(),
        .error = json_is_string(error) ? strdup(json_string_value(error)) : NULL,
        .continues = json_is_true(json_object_get(reply, "continues")),
    };
    r = !result.parameters || (json_is_string(error) && !result.error) ? -ENOMEM : 0;
    json_decref(reply);
    if (r < 0) {
        client_reply_done(&result);
        return error_set(e, ENOMEM, "Out of memory");
    }
    *ret = result;
    return 0;
}

int client_poll(struct client *c, struct client_reply *ret, struct error *e) {
    for (;;) {
        struct varlink_message m;
        if (varlink_next(&c->stream, &m) > 0) {
            int r = reply_parse(&m, ret, e);
            varlink_message_done(&m);
            return r;
        }
        int r = varlink_read(&c->stream);
        if (r == -EAGAIN)
            return r;
        if (r == 0 || r == -ECONNRESET)
            return error_set(e, ECONNRESET, "davitd closed the connection");
        if (r < 0)
            return error_set_errno(e, r, "Cannot read the answer of davitd");
    }
}

int client_receive(struct client *c, usec_t timeout, struct client_reply *ret, struct error *e) {
    usec_t deadline = usec_add(now_monotonic(), timeout);
    for (;;) {
        int r = client_poll(c, ret, e);
        if (r != -EAGAIN)
            return r;
        r = wait_for(c->stream.fd, POLLIN, deadline);
        if (r < 0)
            return error_set_errno(e, r, "No answer from davitd");
    }
}

/* What changes nothing, or the same if it is done twice. */
static bool is_question(const char *method) {
    static const char *const questions[] = {
        "io.davit.Manager.GetBoot",
        "io.davit.Manager.GetScheduledEnd",
        "io.davit.Manager.GetStatus",
        "io.davit.Manager.ListJobs",
        "io.davit.Manager.ListUnits",
        "io.davit.Manager.Reload",
        "io.davit.Unit.Describe",
    };

    for (size_t i = 0; i < ARRAY_SIZE(questions); i++)
        if (streq(method, questions[i]))
            return true;
    return false;
}

int client_call(struct client *c, const char *method, json_t *parameters, usec_t timeout,
    struct client_reply *ret, struct error *e) {
    int r, left = is_question(method) ? ASKED_AGAIN_MAX : 0;

    for (;;) {
        r = client_send(c, method, json_incref(parameters), 0, NULL, 0, e);
        if (r >= 0)
            r = client_receive(c, timeout, ret, e);
        if (r != -ECONNRESET || left-- == 0)
            break;
        r = reconnect(c, e);
        if (r < 0)
            break;
    }
    json_decref(parameters);
    return r;
}
