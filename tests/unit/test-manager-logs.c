/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-core.c */
/* davitd's end of davit-logd, which is this test. */
#include "fake-core.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/wire.h"
#include "log/protocol.h"

#define MORE_THAN_CAN_WAIT 9000

static int logd;

static int setup(void **state) {
    (void)state;
    struct error e = {};
    char text[16];
    int pair[2];

    fake_core_new();
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    logd = fcntl(pair[1], F_DUPFD_CLOEXEC, 100);
    assert_int_equal(dup2(pair[0], 3), 3); /* as davit-init passes it on */
    (void)snprintf(text, sizeof(text), "%d", (int)getpid());
    (void)setenv("LISTEN_PID", text, 1);
    (void)setenv("LISTEN_FDS", "1", 1);
    (void)setenv("LISTEN_FDNAMES", "logd", 1);
    keeper_free(&fake->m);
    assert_int_equal(keeper_new(&fake->m, &e), 0);
    assert_int_equal(logs_new(&fake->m, &e), 0);
    for (int i = 0; i < 2; i++)
        if (pair[i] != 3)
            (void)close(pair[i]);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    logs_free(&fake->m);
    fake_core_done();
    (void)close(logd);
    return 0;
}

/* Takes the next message. Its type, and of which stream it is; 0 if there is none. */
static uint32_t hear(uint64_t *ret_id) {
    uint8_t data[LOGD_MESSAGE_MAX];
    int fd = -1;
    size_t n_fds = 1;

    (void)sd_event_run(fake->m.event, 0);
    ssize_t n = socket_recv_fds(logd, data, sizeof(data), &fd, &n_fds, MSG_DONTWAIT);
    if (n <= 0)
        return 0;
    if (n_fds > 0)
        (void)close(fd);
    struct wire_reader r = {.data = data, .length = (size_t)n};
    uint32_t type = wire_get_u32(&r);
    *ret_id = type == LOGD_CONFIG ? 0 : wire_get_u64(&r);
    return type;
}

static void a_unit_that_starts_while_davit_logd_stands_still_is_read_afterwards(void **state) {
    (void)state;
    struct managed_unit *u = fake_unit("late.container", "[Container]\nImage=/\nExec=x\n");
    struct error e = {};
    bool told = false;
    uint32_t type;
    uint64_t id;

    for (unsigned i = 0; i < MORE_THAN_CAN_WAIT; i++)
        logs_remove_stream(&fake->m, i);
    if (logs_create(u, &e) < 0)
        fail_msg("%s", e.text);
    while ((type = hear(&id)) != 0)
        told |= type == LOGD_ADD && id == u->resources.id;
    assert_true(told);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_unit_that_starts_while_davit_logd_stands_still_is_read_afterwards, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
