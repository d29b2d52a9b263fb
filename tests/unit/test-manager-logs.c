/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-core.c */
/* wrap: sd_event_add_time_relative cgroup_remove keeper_notify */
/* davitd's end of davit-logd, which is this test. */
#include "fake-core.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/wire.h"
#include "log/protocol.h"
#include "timer-of-test.h"

#define MORE_THAN_CAN_WAIT 9000

static int logd;
static unsigned replaced;

void __wrap_keeper_notify(struct manager *m, const char *fmt, ...);
void __wrap_keeper_notify(struct manager *m, const char *fmt, ...) {
    (void)m;
    replaced += streq(fmt, "X_DAVIT_KILL_LOGD=1");
}

static int setup(void **state) {
    (void)state;
    replaced = 0;
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
    *ret_id = type == LOGD_CONFIG || type == LOGD_ASK ? 0 : wire_get_u64(&r);
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

static void say(enum logd_message type, uint64_t id, const char *text) {
    _cleanup_(wire_writer_free) struct wire_writer w = {};

    wire_put_u32(&w, type);
    if (text)
        wire_put_string(&w, text);
    else
        wire_put_u64(&w, id);
    assert_int_equal(send(logd, w.out.data, w.out.length, 0), w.out.length);
    while (sd_event_run(fake->m.event, 0) > 0)
        ;
}

static void davit_logd_that_cannot_write_is_not_replaced_until_it_begins_anew(void **state) {
    (void)state;
    uint64_t id;

    say(LOGD_PROBLEM, 0, "the disk is full");
    assert_false(logs_replace_logd(&fake->m, USEC_PER_SEC));
    for (unsigned i = 0; i < MORE_THAN_CAN_WAIT; i++) /* all is told again afterwards */
        logs_remove_stream(&fake->m, i);
    while (hear(&id) != 0)
        ;
    assert_false(logs_replace_logd(&fake->m, USEC_PER_SEC));
    say(LOGD_HELLO, 0, NULL);
    assert_true(logs_replace_logd(&fake->m, USEC_PER_SEC));
}

/* A unit that runs and has written so much; davit-logd has been told of it. */
static void unit_with_output(const char *text) {
    struct managed_unit *u = fake_unit("talks.container", "[Container]\nImage=/\nExec=x\n");
    struct error e = {};
    uint64_t id;

    if (logs_create(u, &e) < 0)
        fail_msg("%s", e.text);
    while (hear(&id) != 0)
        ;
    assert_int_equal(write(u->resources.log_fd, text, strlen(text)), strlen(text));
}

static void davit_logd_is_not_woken_where_no_output_waits(void **state) {
    (void)state;
    uint64_t id;

    unit_with_output("");
    for (int i = 0; i < 3; i++)
        logs_check_logd(&fake->m);
    assert_int_equal(hear(&id), 0);
    assert_int_equal(replaced, 0);
}

static void davit_logd_that_reads_nothing_and_says_nothing_is_replaced(void **state) {
    (void)state;
    uint64_t id;

    unit_with_output("a line\n");
    logs_check_logd(&fake->m);
    assert_int_equal(hear(&id), LOGD_ASK);
    assert_int_equal(replaced, 0); /* it has until the next time */
    logs_check_logd(&fake->m);
    assert_int_equal(replaced, 1);
    say(LOGD_HELLO, 0, NULL);
    while (hear(&id) != 0)
        ;
    logs_check_logd(&fake->m);
    assert_int_equal(hear(&id), LOGD_ASK); /* the next one has as much time */
    assert_int_equal(replaced, 1);
}

static void davit_logd_that_reads_nothing_and_answers_is_not_replaced(void **state) {
    (void)state;
    uint64_t id;

    unit_with_output("a line that the journal does not take\n");
    for (int i = 0; i < 3; i++) {
        logs_check_logd(&fake->m);
        assert_int_equal(hear(&id), LOGD_ASK);
        say(LOGD_STATS, 0, NULL);
    }
    assert_int_equal(replaced, 0);
}

static void davit_logd_is_not_replaced_when_davitd_has_not_read_its_answer_yet(void **state) {
    (void)state;
    const uint32_t answer = LOGD_STATS;

    unit_with_output("a line\n");
    logs_check_logd(&fake->m);
    assert_int_equal(send(logd, &answer, sizeof(answer), 0), sizeof(answer));
    logs_check_logd(&fake->m);
    assert_int_equal(replaced, 0);
}

static sd_event_source *log_timeout;

static void timer_made(uint64_t usec, sd_event_source *timer) {
    if (usec >= USEC_PER_SEC)
        log_timeout = sd_event_source_ref(timer);
}

int __wrap_cgroup_remove(struct cgroup_tree *tree, const char *name);
int __wrap_cgroup_remove(struct cgroup_tree *tree, const char *name) {
    (void)tree;
    (void)name;
    return -EBUSY;
}

static void davit_logd_is_not_waited_for_when_it_has_answered_and_the_group_stays(void **state) {
    (void)state;
    struct managed_unit *u = fake_unit("busy.container", "[Container]\nImage=/\nExec=x\n");
    struct error e = {};
    int enabled;

    if (logs_create(u, &e) < 0)
        fail_msg("%s", e.text);
    u->resources.cgroup = true;
    prepare_cleanup(u, false);
    assert_non_null(log_timeout);
    assert_int_equal(sd_event_source_get_enabled(log_timeout, &enabled), 1);
    say(LOGD_REMOVED, u->resources.id, NULL);
    assert_int_equal(fake->events[EVENT_CLEANED], 0); /* the group is busy */
    assert_int_equal(sd_event_source_get_enabled(log_timeout, &enabled), 0);
    log_timeout = sd_event_source_unref(log_timeout);
    cleanup_cancel(u);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_unit_that_starts_while_davit_logd_stands_still_is_read_afterwards, setup, teardown),
        cmocka_unit_test_setup_teardown(
            davit_logd_that_cannot_write_is_not_replaced_until_it_begins_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(davit_logd_is_not_woken_where_no_output_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(
            davit_logd_that_reads_nothing_and_says_nothing_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(
            davit_logd_that_reads_nothing_and_answers_is_not_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(
            davit_logd_is_not_replaced_when_davitd_has_not_read_its_answer_yet, setup, teardown),
        cmocka_unit_test_setup_teardown(
            davit_logd_is_not_waited_for_when_it_has_answered_and_the_group_stays, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
