/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A control server on a socket pair, in the test's own process, with fake-api.c behind it. */
#pragma once

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/str.h"
#include "control/server.h"
#include "fake-api.h"

struct harness {
    struct manager manager;
    struct control *control;
    int client; /* our end of the first connection, non-blocking */
};

static inline int harness_connect(struct harness *h, bool read_only) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    int r = control_add_client(h->control, pair[1], read_only);
    if (r < 0) {
        (void)close(pair[0]);
        return r;
    }
    return pair[0];
}

static inline struct harness harness_new(void) {
    struct harness h = {};
    fake_reset();
    assert_true(sd_event_new(&h.manager.event) >= 0);
    h.manager.settings.max_clients_per_uid = 8;
    return h;
}

/* The manager must not move once there is a control: two steps. */
static inline void harness_start(struct harness *h) {
    assert_int_equal(control_new_detached(&h->manager, &h->control), 0);
    h->client = harness_connect(h, false);
    assert_true(h->client >= 0);
}

/* Runs the loop until nothing is left to do. */
static inline void harness_run(struct harness *h) {
    while (sd_event_run(h->manager.event, 0) > 0)
        ;
}

static inline void harness_end(struct harness *h) {
    if (h->client >= 0)
        (void)close(h->client);
    control_free(h->control);
    sd_event_unref(h->manager.event);
    fake_reset();
}

static inline void harness_write(int fd, const void *data, size_t n) {
    assert_int_equal(send(fd, data, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* A request with its NUL. */
static inline void harness_say(int fd, const char *text) {
    harness_write(fd, text, strlen(text) + 1);
}

/* The next reply, NULL if there is none. Reads byte by byte: what follows stays in the socket. */
static inline json_t *harness_hear(struct harness *h, int fd) {
    struct strbuf b = {};
    char c = 1;
    harness_run(h);
    while (recv(fd, &c, 1, 0) == 1 && c)
        strbuf_putc(&b, c);
    _cleanup_free_ char *text = strbuf_take(&b);
    return *text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

static inline const char *reply_error(json_t *reply) {
    return json_string_value(json_object_get(reply, "error"));
}

static inline json_t *reply_get(json_t *reply, const char *name) {
    return json_object_get(json_object_get(reply, "parameters"), name);
}

static inline const char *reply_string(json_t *reply, const char *name) {
    return json_string_value(reply_get(reply, name)) ?: "";
}

/* True if the server has closed the connection, whatever it said before. */
static inline bool harness_is_closed(struct harness *h, int fd) {
    char buffer[4096];
    ssize_t n;
    harness_run(h);
    while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0)
        ;
    return n == 0 || errno == ECONNRESET;
}
