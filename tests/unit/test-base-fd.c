/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/fd.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static int pair[2] = {-1, -1};

static int open_pair(void **state) {
    (void)state;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int close_pair(void **state) {
    (void)state;
    close_and_reset(&pair[0]);
    close_and_reset(&pair[1]);
    return 0;
}

static unsigned count_fds(void) {
    unsigned n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void send_with_fds(size_t n_fds) {
    int fds[SOCKET_MAX_FDS];
    for (size_t i = 0; i < n_fds; i++)
        fds[i] = pair[0];
    assert_int_equal(socket_send_fds(pair[0], "abc", 3, fds, n_fds, 0), 3);
}

static void flags_change(void **state) {
    (void)state;

    assert_int_equal(fd_set_nonblock(pair[0], true), 0);
    assert_true(fcntl(pair[0], F_GETFL) & O_NONBLOCK);
    assert_int_equal(fd_set_nonblock(pair[0], false), 0);
    assert_false(fcntl(pair[0], F_GETFL) & O_NONBLOCK);
    assert_int_equal(fd_set_cloexec(pair[0], false), 0);
    assert_int_equal(fcntl(pair[0], F_GETFD), 0);
    assert_int_equal(fd_set_cloexec(pair[0], true), 0);
    assert_int_equal(fcntl(pair[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(fd_set_nonblock(-1, true), -EBADF);
}

static void what_can_be_read_is_seen(void **state) {
    (void)state;

    assert_false(fd_is_readable(pair[0]));
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_true(fd_is_readable(pair[0]));
    assert_false(fd_is_readable(-1));
}

static void descriptors_arrive(void **state) {
    (void)state;
    int fds[SOCKET_MAX_FDS];
    size_t n = ARRAY_SIZE(fds);
    char data[8];
    unsigned before = count_fds();

    send_with_fds(SOCKET_MAX_FDS);
    assert_int_equal(socket_recv_fds(pair[1], data, sizeof(data), fds, &n, 0), 3);
    assert_memory_equal(data, "abc", 3);
    assert_int_equal(n, SOCKET_MAX_FDS);
    assert_int_equal(count_fds(), before + n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
        close(fds[i]);
    }
}

static void messages_without_descriptors(void **state) {
    (void)state;
    int fds[2];
    size_t n = ARRAY_SIZE(fds);
    char data[8];

    send_with_fds(0);
    assert_int_equal(socket_recv_fds(pair[1], data, sizeof(data), fds, &n, 0), 3);
    assert_int_equal(n, 0);
    close_and_reset(&pair[0]);
    n = ARRAY_SIZE(fds);
    assert_int_equal(socket_recv_fds(pair[1], data, sizeof(data), fds, &n, 0), 0);
}

/* A peer cannot fill our table with what we did not ask for. */
static void unexpected_descriptors_are_closed(void **state) {
    (void)state;
    char data[8];
    size_t none = 0;
    unsigned before = count_fds();

    send_with_fds(3);
    assert_int_equal(socket_recv_fds(pair[1], data, sizeof(data), NULL, NULL, 0), 3);
    send_with_fds(3);
    assert_int_equal(socket_recv_fds(pair[1], data, sizeof(data), NULL, &none, 0), 3);
    assert_int_equal(none, 0);
    assert_int_equal(count_fds(), before);
}

static void too_many_descriptors_are_an_error(void **state) {
    (void)state;
    char data[8];
    int fds[SOCKET_MAX_FDS] = {-7, -7};
    unsigned before = count_fds();

    for (size_t room = 1; room < 4; room++) {
        size_t n = room;
        send_with_fds(room + 1);
        assert_int_equal(socket_recv_fds(pair[1], data, sizeof(data), fds, &n, 0), -EXFULL);
        assert_int_equal(n, room);
        assert_int_equal(fds[0], -7);
        assert_int_equal(count_fds(), before);
    }

    /* The message was taken: the next one comes. */
    size_t n = 1;
    send_with_fds(1);
    assert_int_equal(socket_recv_fds(pair[1], data, sizeof(data), fds, &n, 0), 3);
    close(fds[0]);
}

/* More than our buffer holds, so that the kernel itself cuts (MSG_CTRUNC). */
static void descriptors_cut_by_the_kernel_are_an_error(void **state) {
    (void)state;
    enum { MANY = 200 };
    union {
        struct cmsghdr align;
        char buffer[CMSG_SPACE(MANY * sizeof(int))];
    } control = {};
    struct iovec iov = {.iov_base = (char[]){'x'}, .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(MANY * sizeof(int));
    for (int i = 0; i < MANY; i++)
        memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &pair[0], sizeof(int));
    assert_int_equal(sendmsg(pair[0], &message, 0), 1);

    int fds[SOCKET_MAX_FDS];
    size_t n = ARRAY_SIZE(fds);
    char data[8];
    unsigned before = count_fds();
    assert_int_equal(socket_recv_fds(pair[1], data, sizeof(data), fds, &n, 0), -EXFULL);
    assert_int_equal(count_fds(), before);
    assert_int_equal(socket_send_fds(pair[0], "x", 1, fds, SOCKET_MAX_FDS + 1, 0), -EINVAL);
}

static void long_message_is_an_error(void **state) {
    (void)state;
    char data[2];
    int fds[4];
    size_t n = ARRAY_SIZE(fds);
    unsigned before = count_fds();

    send_with_fds(2);
    assert_int_equal(socket_recv_fds(pair[1], data, sizeof(data), fds, &n, 0), -EMSGSIZE);
    assert_int_equal(count_fds(), before);
    assert_int_equal(socket_recv_fds(pair[1], data, sizeof(data), fds, &n, MSG_DONTWAIT), -EAGAIN);
}

/* SO_PASSCRED makes the kernel add to each message; that must not crowd out the descriptors. */
static void credentials_leave_room(void **state) {
    (void)state;
    int fds[SOCKET_MAX_FDS], on = 1;
    size_t n = ARRAY_SIZE(fds);
    char data[8];

    assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
    send_with_fds(SOCKET_MAX_FDS);
    assert_int_equal(socket_recv_fds(pair[1], data, sizeof(data), fds, &n, 0), 3);
    assert_int_equal(n, SOCKET_MAX_FDS);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
}

/* The kernel adds a descriptor that is not among those sent (Linux 6.5). */
static void pidfd_from_the_kernel_is_closed(void **state) {
    (void)state;
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
    int fds[4], on = 1;
    size_t n = ARRAY_SIZE(fds);
    char data[8];
    unsigned before = count_fds();

    if (setsockopt(pair[1], SOL_SOCKET, SO_PASSPIDFD, &on, sizeof(on)) < 0) {
        print_message("no SO_PASSPIDFD in this kernel\n");
        skip();
    }
    send_with_fds(1);
    assert_int_equal(socket_recv_fds(pair[1], data, sizeof(data), fds, &n, 0), 3);
    assert_int_equal(n, 1);
    close(fds[0]);
    assert_int_equal(count_fds(), before);
}

static void closed_peer_is_an_error_not_a_signal(void **state) {
    (void)state;

    close_and_reset(&pair[1]);
    assert_int_equal(socket_send_fds(pair[0], "x", 1, NULL, 0, 0), -EPIPE);
}

static void addresses(void **state) {
    (void)state;
    struct sockaddr_un address;
    socklen_t length = 0;
    char path[200];

    assert_int_equal(socket_address("/run/x", &address, &length), 0);
    assert_int_equal(length, offsetof(struct sockaddr_un, sun_path) + 7);
    assert_string_equal(address.sun_path, "/run/x");
    assert_int_equal(socket_address("@name", &address, &length), 0);
    assert_int_equal(length, offsetof(struct sockaddr_un, sun_path) + 5);
    assert_memory_equal(address.sun_path, "\0name", 5);

    memset(path, 'x', sizeof(path));
    path[107] = '\0';
    assert_int_equal(socket_address(path, &address, &length), 0);
    assert_int_equal(length, sizeof(address));
    path[107] = 'x';
    path[108] = '\0';
    assert_int_equal(socket_address(path, &address, &length), -ENAMETOOLONG);
    assert_int_equal(socket_address("", &address, &length), -EINVAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(flags_change),
        TEST(what_can_be_read_is_seen),
        TEST(descriptors_arrive),
        TEST(messages_without_descriptors),
        TEST(unexpected_descriptors_are_closed),
        TEST(too_many_descriptors_are_an_error),
        TEST(descriptors_cut_by_the_kernel_are_an_error),
        TEST(long_message_is_an_error),
        TEST(credentials_leave_room),
        TEST(pidfd_from_the_kernel_is_closed),
        TEST(closed_peer_is_an_error_not_a_signal),
        cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
