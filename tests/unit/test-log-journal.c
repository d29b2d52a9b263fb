/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/journal.h"

#include <endian.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/str.h"

static char directory[] = "/tmp/davit-test-journal-XXXXXX", path[64];
static int server = -1;

static void start_server(void) {
    struct sockaddr_un address;
    socklen_t length;
    assert_int_equal(socket_address(path, &address, &length), 0);
    (void)unlink(path);
    server = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&address, length), 0);
}

static void stop_server(void) {
    close_and_reset(&server);
    (void)unlink(path);
}

static int setup(void **state _unused_) {
    (void)strcpy(directory, "/tmp/davit-test-journal-XXXXXX");
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof path, "%s/socket", directory);
    return 0;
}

static int teardown(void **state _unused_) {
    stop_server();
    (void)rmdir(directory);
    return 0;
}

static struct iovec field(const char *text) {
    return (struct iovec){(char *)text, strlen(text)};
}

static void test_fields_are_serialised_by_the_protocol(void **state _unused_) {
    char data[1000];
    struct journal j = {.fd = -1, .path = path};
    const struct iovec fields[] = {
        field("MESSAGE=two\nlines"), field("PRIORITY=3"), field("EMPTY="), field("A=b=c")};

    start_server();
    assert_int_equal(journal_send(&j, fields, ARRAY_SIZE(fields)), 0);
    ssize_t n = recv(server, data, sizeof data, 0);
    uint64_t length = htole64(9);
    char wanted[100];
    size_t w = 0;
    memcpy(wanted, "MESSAGE\n", 8), w = 8;
    memcpy(wanted + w, &length, 8), w += 8;
    memcpy(wanted + w, "two\nlines\nPRIORITY=3\nEMPTY=\nA=b=c\n", 34), w += 34;
    assert_int_equal(n, w);
    assert_memory_equal(data, wanted, w);
    journal_close(&j);
}

static void test_bad_fields_are_refused(void **state _unused_) {
    struct journal j = {.fd = -1, .path = path};
    static const char *const bad[] = {"NOVALUE", "=x", "NA\nME=x\ny", ""};
    struct iovec many[JOURNAL_FIELDS_MAX + 1];

    start_server();
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct iovec f = field(bad[i]);
        assert_int_equal(journal_send(&j, &f, 1), -EINVAL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = field("A=b");
    assert_int_equal(journal_send(&j, many, ARRAY_SIZE(many)), -E2BIG);
    assert_int_equal(journal_send(&j, many, JOURNAL_FIELDS_MAX), 0);
    journal_close(&j);
}

static void test_without_journal_it_fails_at_once(void **state _unused_) {
    struct journal j = {.fd = -1, .path = path};
    struct iovec f = field("MESSAGE=x");

    assert_int_equal(journal_open(&j), -ENOENT);
    assert_int_equal(journal_send(&j, &f, 1), -ENOENT);
    assert_int_equal(j.failed, 1);
    start_server();
    assert_int_equal(journal_send(&j, &f, 1), 0);
    stop_server();
    assert_true(journal_send(&j, &f, 1) < 0);
    start_server(); /* restarted: another socket, same path */
    assert_int_equal(journal_send(&j, &f, 1), 0);
    assert_int_equal(j.failed, 2);
    journal_close(&j);
}

static void test_hung_journal_never_blocks(void **state _unused_) {
    struct journal j = {.fd = -1, .path = path};
    struct iovec f = field("MESSAGE=x");
    char data[100];
    int r = 0;

    start_server();
    for (int i = 0; i < 100000 && r == 0; i++)
        r = journal_send(&j, &f, 1);
    assert_int_equal(r, -EAGAIN);
    assert_true(j.fd >= 0);
    struct pollfd p = {.fd = j.fd, .events = POLLOUT};
    assert_int_equal(poll(&p, 1, 0), 0);
    while (recv(server, data, sizeof data, 0) > 0)
        ;
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_int_equal(journal_send(&j, &f, 1), 0);
    journal_close(&j);
}

static void test_large_entry_goes_as_sealed_memfd(void **state _unused_) {
    const size_t length = 12 * 1024 * 1024;
    _cleanup_free_ char *big = malloc(length);
    struct journal j = {.fd = -1, .path = path};
    char data[100], begin[8];
    size_t n_fds = 1;
    int fd = -1;

    memset(big, 'b', length);
    memcpy(big, "MESSAGE=", 8);
    struct iovec f = {big, length};
    start_server();
    assert_int_equal(journal_send(&j, &f, 1), 0);
    assert_int_equal(socket_recv_fds(server, data, sizeof data, &fd, &n_fds, 0), 0);
    assert_int_equal(n_fds, 1);
    assert_int_equal(lseek(fd, 0, SEEK_END), length + 1);
    assert_int_equal(pread(fd, begin, 8, 0), 8);
    assert_memory_equal(begin, "MESSAGE=", 8);
    assert_true(pwrite(fd, "x", 1, 0) < 0);
    (void)close(fd);
    journal_close(&j);
}

static void test_many_at_once_tell_how_many_went(void **state _unused_) {
    struct journal j = {.fd = -1, .path = path};
    struct mmsghdr messages[64] = {};
    struct iovec f = field("MESSAGE=x\n");
    char data[100];
    int sent = 0, received = 0, r;

    for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &f, .msg_iovlen = 1};
    start_server();
    for (int turn = 0; turn < 2000; turn++) {
        for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
            messages[i].msg_len = 0;
        r = journal_send_many(&j, messages, ARRAY_SIZE(messages));
        int noted = 0;
        while (noted < 64 && messages[noted].msg_len > 0)
            noted++;
        assert_int_equal(noted, MAX(r, 0));
        if (r < 0)
            break;
        sent += r;
    }
    assert_int_equal(r, -EAGAIN);
    while (recv(server, data, sizeof data, 0) > 0)
        received++;
    assert_int_equal(received, sent);
    journal_close(&j);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_fields_are_serialised_by_the_protocol),
        T(test_bad_fields_are_refused),
        T(test_without_journal_it_fails_at_once),
        T(test_hung_journal_never_blocks),
        T(test_large_entry_goes_as_sealed_memfd),
        T(test_many_at_once_tell_how_many_went),
    };
    return cmocka_run_group_tests_name("log/journal", tests, NULL, NULL);
}
