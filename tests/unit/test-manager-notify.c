/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-core.c */
/* The notify socket of a unit: which words mean what, who may say them, and what a program may not do with
 * it. */
#include "fake-core.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

#include "base/fd.h"

static struct managed_unit *u;
static struct process main_process;
static int client = -1;

static int setup(void **state) {
    (void)state;
    struct error e = {};
    struct sockaddr_un address;
    socklen_t length;

    fake_core_new();
    u = fake_unit("web.container", "[Container]\nImage=/\nExec=x\nNotify=yes\n");
    main_process = (struct process){.pid = getpid(), .pidfd = -1};
    u->main = &main_process;
    if (notify_create(u, &e) < 0)
        fail_msg("%s", e.text);
    _cleanup_free_ char *path = NULL;
    assert_int_equal(notify_path(u, &path), 0);
    client = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(socket_address(path, &address, &length), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, length), 0);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    (void)close(client);
    u->main = NULL;
    fake_core_done();
    return 0;
}

static void say(const char *text) {
    assert_int_equal(send(client, text, strlen(text), 0), strlen(text));
    fake_turn();
}

static unsigned heard(enum unit_event event) {
    unsigned n = fake->events[event];
    fake->events[event] = 0;
    return n;
}

static void every_word_has_its_meaning(void **state) {
    (void)state;
    say("READY=1");
    assert_int_equal(heard(EVENT_READY), 1);
    say("RELOADING=1\nMONOTONIC_USEC=5");
    assert_int_equal(heard(EVENT_RELOADING), 1);
    say("STOPPING=1");
    assert_int_equal(heard(EVENT_STOPPING), 1);
    say("STATUS=serving 5 clients");
    assert_string_equal(u->status_text, "serving 5 clients");
    say("WATCHDOG=1");
    assert_int_equal(fake->watchdog_pings, 1);
    say("WATCHDOG=trigger");
    assert_int_equal(heard(EVENT_WATCHDOG), 1);
    say("WATCHDOG_USEC=3000000");
    assert_int_equal(fake->watchdog_set, 3000000);
    say("EXTEND_TIMEOUT_USEC=7000000");
    assert_int_equal(fake->extended, 7000000);
    say("STATUS=up\nREADY=1\nX_MINE=1\n");
    assert_int_equal(heard(EVENT_READY), 1);
    assert_string_equal(u->status_text, "up");
}

static void nonsense_is_passed_over(void **state) {
    (void)state;
    say("READY=0");
    say("READY");
    say("READY=1x");
    say("XREADY=1");
    say(" READY=1");
    say("WATCHDOG_USEC=-1");
    say("WATCHDOG_USEC=99999999999999999999");
    say("EXTEND_TIMEOUT_USEC=soon");
    say("MAINPID=1");
    say("\n\n\n");
    say("STATUS=\xff\xfe");
    for (int i = 0; i < _EVENT_COUNT; i++)
        assert_int_equal(fake->events[i], 0);
    assert_int_equal(fake->watchdog_set, 0);
    assert_int_equal(fake->extended, 0);
    assert_null(u->status_text);
    assert_int_equal(main_process.pid, getpid());
}

static void too_long_or_with_a_nul_byte_is_dropped(void **state) {
    (void)state;
    char text[6000] = "READY=1\n";

    memset(text + 8, 'x', sizeof(text) - 8);
    assert_int_equal(send(client, text, sizeof(text), 0), sizeof(text));
    fake_turn();
    assert_int_equal(heard(EVENT_READY), 0);
    assert_int_equal(send(client, "READY=1\0x", 9, 0), 9);
    fake_turn();
    assert_int_equal(heard(EVENT_READY), 0);
    assert_int_equal(send(client, text, 4096, 0), 4096);
    fake_turn();
    assert_int_equal(heard(EVENT_READY), 1);
}

static void descriptors_are_closed_and_a_barrier_is_answered(void **state) {
    (void)state;
    int pipefd[2];
    char byte;

    assert_int_equal(pipe2(pipefd, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(socket_send_fds(client, "BARRIER=1", 9, &pipefd[1], 1, 0), 9);
    (void)close(pipefd[1]);
    assert_int_equal(read(pipefd[0], &byte, 1), -1);
    fake_turn();
    assert_int_equal(read(pipefd[0], &byte, 1), 0);
    (void)close(pipefd[0]);

    int many[60];
    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = client;
    int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)close(before);
    assert_true(socket_send_fds(client, "FDSTORE=1\nREADY=1", 17, many, ARRAY_SIZE(many), 0) > 0);
    fake_turn();
    int after = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)close(after);
    assert_int_equal(before, after);
    assert_int_equal(heard(EVENT_READY), 1);
}

static void say_from_a_child(const char *text) {
    pid_t pid = fork();
    if (pid == 0) {
        (void)!send(client, text, strlen(text), 0);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    fake_turn();
}

static void access_is_checked(void **state) {
    (void)state;
    u->config->service.notify_access = NOTIFY_ALL;
    say_from_a_child("READY=1");
    assert_int_equal(heard(EVENT_READY), 1);

    u->config->service.notify_access = NOTIFY_MAIN;
    say_from_a_child("READY=1");
    assert_int_equal(heard(EVENT_READY), 0);
    say("READY=1");
    assert_int_equal(heard(EVENT_READY), 1);

    u->config->service.notify_access = NOTIFY_EXEC;
    main_process.pid = 1;
    struct process control = {.pid = getpid(), .pidfd = -1};
    u->control = &control;
    say("READY=1");
    assert_int_equal(heard(EVENT_READY), 1);
    u->control = NULL;
    say("READY=1");
    assert_int_equal(heard(EVENT_READY), 0);

    /* With RunInit=yes the program is the main process's child. */
    u->config->service.notify_access = NOTIFY_MAIN;
    u->config->container->run_init = true;
    say_from_a_child("READY=1");
    assert_int_equal(heard(EVENT_READY), 1);
    u->config->container->run_init = false;

    u->config->service.notify_access = NOTIFY_NONE;
    say("READY=1");
    assert_int_equal(heard(EVENT_READY), 0);
}

static void a_sender_that_is_gone_was_heard(void **state) {
    (void)state;
    assert_int_equal(send(client, "READY=1", 7, 0), 7);
    /* No turn of the loop: as when its exit is read from the feed first. */
    notify_drain(u);
    assert_int_equal(heard(EVENT_READY), 1);
}

static void a_flood_lets_others_have_their_turn(void **state) {
    (void)state;
    (void)fd_set_nonblock(client, true);
    for (int i = 0; i < 1000; i++) {
        if (send(client, "WATCHDOG=1", 10, 0) < 0)
            (void)sd_event_run(fake->m.event, 0);
    }
    fake_turn();
    assert_true(fake->watchdog_pings > 10);
    /* From now on behind everybody else. */
    int64_t priority = PRIORITY_NOTIFY;
    for (int i = 0; i < 100 && priority != PRIORITY_CONTROL; i++) {
        (void)sd_event_run(fake->m.event, 100 * USEC_PER_MSEC);
        assert_true(sd_event_source_get_priority(u->notify_source, &priority) >= 0);
    }
    assert_int_equal(priority, PRIORITY_CONTROL);
    notify_drain(u);
    assert_int_equal(send(client, "READY=1", 7, 0), 7);
    /* How soon depends on whether the rate or the batches in a row told first that it is one. */
    for (int i = 0; i < 100 && fake->events[EVENT_READY] == 0; i++)
        fake_turn();
    assert_int_equal(heard(EVENT_READY), 1);
}

/* However long that takes. */
static void a_socket_that_is_never_empty_is_a_flood(void **state) {
    (void)state;
    (void)fd_set_nonblock(client, true);
    assert_true(sd_event_source_set_ratelimit(u->notify_source, 0, 0) >= 0);
    int64_t priority = PRIORITY_NOTIFY;
    for (int i = 0; i < 200 && priority != PRIORITY_CONTROL; i++) {
        while (send(client, "WATCHDOG=1", 10, 0) >= 0)
            ;
        (void)sd_event_run(fake->m.event, 0);
        assert_true(sd_event_source_get_priority(u->notify_source, &priority) >= 0);
    }
    assert_int_equal(priority, PRIORITY_CONTROL);
    notify_drain(u);
}

static void the_socket_goes_with_the_unit(void **state) {
    (void)state;
    _cleanup_free_ char *path = NULL;
    struct stat st;

    assert_int_equal(notify_path(u, &path), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    notify_close(u);
    assert_int_equal(stat(path, &st), -1);
    assert_null(u->notify_source);
}

/* sun_path holds 108 bytes; unit names may be longer. */
static void a_long_name_has_a_socket_too(void **state) {
    (void)state;
    char name[220];
    struct error e = {};

    memset(name, 'n', 200);
    memcpy(name + 200, ".container", sizeof(".container"));
    struct managed_unit *long_unit = fake_unit(name, "[Container]\nImage=/\nExec=x\nNotify=yes\n");
    if (notify_create(long_unit, &e) < 0)
        fail_msg("%s", e.text);
    assert_true(long_unit->resources.notify_fd >= 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_word_has_its_meaning),
        TEST(nonsense_is_passed_over),
        TEST(too_long_or_with_a_nul_byte_is_dropped),
        TEST(descriptors_are_closed_and_a_barrier_is_answered),
        TEST(access_is_checked),
        TEST(a_sender_that_is_gone_was_heard),
        TEST(a_flood_lets_others_have_their_turn),
        TEST(a_socket_that_is_never_empty_is_a_flood),
        TEST(the_socket_goes_with_the_unit),
        TEST(a_long_name_has_a_socket_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
