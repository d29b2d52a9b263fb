/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-api.c; without: manager cli */
/* Framing and limits: what arrives in any pieces is understood, and what is wrong costs its sender the
 * connection at most. */
#include "control-harness.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fd.h"

#define STATUS_REQUEST "{\"method\":\"io.davit.Manager.GetStatus\"}"
#define DESCRIBE_REQUEST "{\"method\":\"io.davit.Unit.Describe\",\"parameters\":{\"unit\":\"web\"}}"

static void a_request_is_answered(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    harness_say(h.client, STATUS_REQUEST);
    json_t *r = harness_hear(&h, h.client);
    assert_non_null(r);
    assert_null(reply_error(r));
    assert_string_equal(reply_string(r, "version"), "0.1");
    json_decref(r);
    harness_end(&h);
}

static void random_splits_change_nothing(void **state _unused_) {
    static const char text[] = STATUS_REQUEST "\0" DESCRIBE_REQUEST "\0" STATUS_REQUEST "\0" DESCRIBE_REQUEST;
    struct harness h = harness_new();
    harness_start(&h);
    srandom(4);
    for (int round = 0; round < 200; round++) {
        for (size_t at = 0; at < sizeof(text);) {
            size_t wish = 1 + (size_t)random() % 40, n = MIN(wish, sizeof(text) - at);
            harness_write(h.client, text + at, n);
            if (random() % 2)
                harness_run(&h);
            at += n;
        }
        for (int i = 0; i < 4; i++) {
            json_t *r = harness_hear(&h, h.client);
            assert_non_null(r);
            assert_non_null(reply_get(r, i % 2 ? "unit" : "version"));
            json_decref(r);
        }
    }
    harness_end(&h);
}

static void many_pipelined_requests_keep_their_order(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    for (int i = 0; i < 100; i++)
        harness_say(h.client, i % 2 ? DESCRIBE_REQUEST : STATUS_REQUEST);
    for (int i = 0; i < 100; i++) {
        json_t *r = harness_hear(&h, h.client);
        assert_non_null(r);
        assert_non_null(reply_get(r, i % 2 ? "unit" : "version"));
        json_decref(r);
    }
    harness_end(&h);
}

static void garbage_closes_the_connection_and_no_other(void **state _unused_) {
    static const char *const garbage[] = {
        "",
        "x",
        "{",
        "[]",
        "null",
        "\"\"",
        "{}",
        "{\"method\":1}",
        "{\"method\":\"io.davit.Manager.GetStatus\",\"method\":\"a.b\"}",
        "{\"method\":\"io.davit.Manager.GetStatus\"} x",
        "{\"method\":\"\xff\"}",
        "{\"method\":\"io.davit.Manager.GetStatus\",\"x\":1e999}",
        "GET / HTTP/1.1\r\n\r\n",
    };
    struct harness h = harness_new();
    harness_start(&h);
    for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
        int fd = harness_connect(&h, false);
        assert_true(fd >= 0);
        harness_say(fd, garbage[i]);
        assert_true(harness_is_closed(&h, fd));
        (void)close(fd);
    }
    harness_say(h.client, STATUS_REQUEST);
    json_t *r = harness_hear(&h, h.client);
    assert_non_null(r);
    json_decref(r);
    harness_end(&h);
}

static void random_bytes_are_survived(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    srandom(7);
    for (int i = 0; i < 300; i++) {
        char data[512];
        int fd = harness_connect(&h, i % 2);
        assert_true(fd >= 0);
        for (size_t k = 0; k < sizeof(data); k++)
            data[k] = (char)random();
        (void)send(fd, data, (size_t)random() % sizeof(data), MSG_NOSIGNAL);
        harness_run(&h);
        (void)close(fd);
        harness_run(&h);
    }
    assert_int_equal(h.control->n_connections, 1);
    harness_end(&h);
}

static void nesting_is_bounded(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    struct strbuf b = {};
    strbuf_puts(&b, "{\"method\":\"io.davit.Manager.GetStatus\",\"parameters\":");
    for (int i = 0; i < 1000; i++)
        strbuf_puts(&b, "{\"a\":");
    _cleanup_free_ char *text = strbuf_take(&b);
    harness_say(h.client, text);
    assert_true(harness_is_closed(&h, h.client));
    harness_end(&h);
}

/* Writes n bytes of one string value; stops early when the server no longer takes them. */
static void send_long(struct harness *h, int fd, size_t n, bool end) {
    char chunk[4096];
    memset(chunk, 'x', sizeof(chunk));
    harness_write(fd, "{\"method\":\"", 11);
    for (size_t sent = 0; sent < n;) {
        ssize_t k = send(fd, chunk, MIN(sizeof(chunk), n - sent), MSG_NOSIGNAL);
        if (k < 0 && errno != EAGAIN)
            return;
        sent += k > 0 ? (size_t)k : 0;
        harness_run(h);
    }
    if (end)
        (void)send(fd, "\"}", 3, MSG_NOSIGNAL);
    harness_run(h);
}

static void a_request_of_a_mebibyte_is_taken_and_no_longer_one(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    send_long(
        &h, h.client, VARLINK_REQUEST_MAX - 13, true); /* with its 13 bytes around it exactly the limit */
    json_t *r = harness_hear(&h, h.client);
    assert_non_null(r);
    assert_string_equal(reply_error(r), "org.varlink.service.InvalidParameter");
    json_decref(r);
    send_long(&h, h.client, VARLINK_REQUEST_MAX - 12, true);
    assert_true(harness_is_closed(&h, h.client));
    assert_int_equal(h.control->n_connections, 0);

    int fd = harness_connect(&h, false);
    send_long(&h, fd, VARLINK_REQUEST_MAX * 2UL, false); /* without an end */
    assert_true(harness_is_closed(&h, fd));
    (void)close(fd);

    fd = harness_connect(&h, true);
    send_long(&h, fd, CONTROL_REQUEST_MAX_READ_ONLY * 2UL, false);
    assert_true(harness_is_closed(&h, fd));
    (void)close(fd);
    harness_end(&h);
}

static void who_does_not_read_is_not_asked_for_more(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    fake.status_padding = 100000;
    for (int i = 0; i < 100; i++)
        harness_say(h.client, STATUS_REQUEST);
    harness_run(&h);
    LIST_FOREACH (n, &h.control->connections, struct connection, link) {
        assert_true(n->stream.output_bytes < 1024 * 1024); /* 10 MB were asked for */
        assert_false(n->dropped);
    }
    /* And when it reads, it gets all of it. */
    for (int i = 0; i < 100; i++) {
        struct strbuf b = {};
        char c = 1;
        while (c) {
            ssize_t k = recv(h.client, &c, 1, MSG_DONTWAIT);
            if (k == 1)
                strbuf_putc(&b, c);
            else
                harness_run(&h);
        }
        assert_true(b.length > 100000);
        strbuf_free(&b);
    }
    harness_end(&h);
}

static void a_stream_that_is_not_read_is_dropped(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    harness_say(h.client, "{\"method\":\"io.davit.Events.Subscribe\",\"more\":true}");
    harness_run(&h);
    assert_int_equal(fake.n_listeners, 1);
    char text[1001] = {};
    memset(text, 'e', sizeof(text) - 1);
    for (int i = 0; i < 10000 && fake.n_listeners > 0; i++) {
        fake_event(json_pack("{ssss}", "event", "state", "unit", text));
        if (i % 100 == 0)
            harness_run(&h);
    }
    harness_run(&h);
    assert_int_equal(fake.n_listeners, 0);
    assert_int_equal(h.control->n_connections, 0);
    harness_end(&h);
}

static void users_have_a_limit_of_connections(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    int fds[8];
    for (size_t i = 0; i < 7; i++)
        assert_true((fds[i] = harness_connect(&h, false)) >= 0);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(control_add_client(h.control, pair[1], false), -EUSERS);
    json_t *r = harness_hear(&h, pair[0]);
    assert_string_equal(reply_error(r), "io.davit.Manager.TooManyClients");
    json_decref(r);
    (void)close(pair[0]);
    for (size_t i = 0; i < 7; i++)
        (void)close(fds[i]);
    harness_run(&h);
    assert_int_equal(h.control->n_connections, 1);
    int again = harness_connect(&h, false);
    assert_true(again >= 0);
    (void)close(again);
    harness_end(&h);
}

/* ---- descriptors ---- */

static void say_with_fds(int fd, const char *text, const int *fds, size_t n) {
    assert_int_equal(socket_send_fds(fd, text, strlen(text) + 1, fds, n, 0), (ssize_t)strlen(text) + 1);
}

#define EXEC_REQUEST(more, argument) \
    "{\"method\":\"io.davit.Unit.Exec\",\"more\":" more \
    ",\"parameters\":{\"unit\":\"web\",\"argv\":[\"" argument "\"],\"stdin\":0,\"stdout\":1}}"

static bool same_file(int a, int b) {
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

/* Whatever user ids its clients have. */
static void a_crowd_at_the_status_socket_keeps_nobody_from_the_control_socket(void **state _unused_) {
    struct harness h = harness_new();
    int crowd[CONTROL_CONNECTIONS_MAX + 1], n = 0;
    struct rlimit files;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < 3 * CONTROL_CONNECTIONS_MAX) {
        print_message("a process may not have so many descriptors here\n");
        skip();
    }
    harness_start(&h);
    while (n < (int)ARRAY_SIZE(crowd) && (crowd[n] = harness_connect(&h, true)) >= 0) /* of one user */
        n++;
    assert_int_equal(n, h.manager.settings.max_clients_per_uid);
    h.manager.settings.max_clients_per_uid = UINT32_MAX; /* as if each had another one */
    while (n < (int)ARRAY_SIZE(crowd) && (crowd[n] = harness_connect(&h, true)) >= 0)
        n++;
    assert_int_equal(n, CONTROL_CONNECTIONS_MAX);
    int client = harness_connect(&h, false);
    assert_true(client >= 0);
    (void)close(client);
    while (n-- > 0)
        (void)close(crowd[n]);
    harness_end(&h);
}

static void descriptors_go_with_their_own_message(void **state _unused_) {
    struct harness h = harness_new();
    int a[2], b[2];
    harness_start(&h);
    fake.immediate = true;
    assert_int_equal(pipe2(a, O_CLOEXEC), 0);
    assert_int_equal(pipe2(b, O_CLOEXEC), 0);
    /* All in the socket before the server reads any of it; the kernel glues what it may. */
    harness_say(h.client, STATUS_REQUEST);
    say_with_fds(h.client, EXEC_REQUEST("false", "one"), a, 2);
    harness_say(h.client, DESCRIBE_REQUEST);
    say_with_fds(h.client, EXEC_REQUEST("false", "two"), b, 2);
    harness_say(h.client, STATUS_REQUEST);
    for (int i = 0; i < 5; i++) {
        json_t *r = harness_hear(&h, h.client);
        assert_non_null(r);
        assert_null(reply_error(r));
        json_decref(r);
    }
    assert_int_equal(fake.n_execs, 2);
    assert_string_equal(fake.execs[0].text, "one");
    assert_true(same_file(fake.execs[0].fds[0], a[0]) && same_file(fake.execs[0].fds[1], a[1]));
    assert_string_equal(fake.execs[1].text, "two");
    assert_true(same_file(fake.execs[1].fds[0], b[0]) && same_file(fake.execs[1].fds[1], b[1]));
    for (int i = 0; i < 2; i++) {
        (void)close(a[i]);
        (void)close(b[i]);
    }
    harness_end(&h);
}

static size_t open_fds(void) {
    size_t n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void descriptors_that_nobody_wants_are_closed(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    int fds[VARLINK_FDS_MAX] = {0, 1, 2, 0};
    size_t before = open_fds();
    for (int i = 0; i < 50; i++)
        say_with_fds(h.client, STATUS_REQUEST, fds, VARLINK_FDS_MAX);
    for (int i = 0; i < 50; i++) {
        json_t *r = harness_hear(&h, h.client);
        assert_non_null(r);
        json_decref(r);
    }
    assert_int_equal(open_fds(), before);
    say_with_fds(h.client, EXEC_REQUEST("false", "bad") + 0, fds, 1); /* asks for position 1 as well */
    json_t *r = harness_hear(&h, h.client);
    assert_string_equal(reply_error(r), "org.varlink.service.InvalidParameter");
    assert_string_equal(reply_string(r, "parameter"), "stdout");
    json_decref(r);
    assert_int_equal(open_fds(), before);

    /* In the middle of a message that never ends, and too many of them: gone with the connection. */
    assert_int_equal(socket_send_fds(h.client, "{", 1, fds, 2, 0), 1);
    harness_run(&h);
    assert_int_equal(open_fds(), before + 2);
    (void)close(h.client);
    h.client = -1;
    harness_run(&h);
    assert_int_equal(open_fds(), before - 2); /* both ends of the connection */

    int many[16] = {};
    int fd = harness_connect(&h, false);
    assert_int_equal(socket_send_fds(fd, "x", 1, many, 16, 0), 1);
    assert_true(harness_is_closed(&h, fd));
    (void)close(fd);
    assert_int_equal(open_fds(), before - 2);
    harness_end(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered),
        cmocka_unit_test(random_splits_change_nothing),
        cmocka_unit_test(many_pipelined_requests_keep_their_order),
        cmocka_unit_test(garbage_closes_the_connection_and_no_other),
        cmocka_unit_test(random_bytes_are_survived),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(a_request_of_a_mebibyte_is_taken_and_no_longer_one),
        cmocka_unit_test(who_does_not_read_is_not_asked_for_more),
        cmocka_unit_test(a_stream_that_is_not_read_is_dropped),
        cmocka_unit_test(users_have_a_limit_of_connections),
        cmocka_unit_test(a_crowd_at_the_status_socket_keeps_nobody_from_the_control_socket),
        cmocka_unit_test(descriptors_go_with_their_own_message),
        cmocka_unit_test(descriptors_that_nobody_wants_are_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
