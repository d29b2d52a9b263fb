/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-api.c fake-standalone.c; without: manager */
/* exec and run: output, terminals, signals, exit statuses, and the death of davitd in between. */
#include "cli-fixture.h"

static void exec_gives_output_and_status(void **state) {
    struct fixture *f = *state;
    fake.immediate = true; /* both replies come at once, and both must be seen */
    fake.exec_status = 7;
    fake.exec_output = "from the container\n";
    EXPECT(7, f, "exec", "-e", "A=1", "-u", "www", "-w", "/", "web", "ls", "-l");
    assert_string_equal(f->out, "from the container\n");
    assert_string_equal(fake.execs[0].text, "ls -l");
    EXPECT(7, f, "exec", "-t", "web", "sh");
    assert_string_equal(f->out, "from the container\r\n"); /* by way of a terminal */
    EXPECT(EXIT_DAVIT_FAILED, f, "exec", "none", "sh");
    expect_in(f->err, "There is no unit none");
}

static void a_program_that_cannot_run_is_126_or_127(void **state) {
    struct fixture *f = *state;
    fake.exec_fails = true;
    EXPECT(EXIT_NOT_FOUND, f, "exec", "web", "/bin/nonesuch");
    expect_in(f->err, "execve: /bin/nonesuch: not found");
}

static void run_sends_unit_text_and_name(void **state) {
    struct fixture *f = *state;
    fake.immediate = true;
    fake.exec_status = 3;
    EXPECT(3, f, "run", "-m", "100M", "--name", "dreamland", "-v", "data1:/data1", "busybox", "/bin/sh", "-c",
        "exit 3");
    expect_in(fake.execs[0].text, "\nMemory=100M\n");
    expect_in(fake.execs[0].text, "\nVolume=data1:/data1\n");
    expect_in(fake.execs[0].text, "\nExec=/bin/sh -c \"exit 3\"\n");
    EXPECT(0, f, "run", "-d", "--name", "bg", "busybox");
    assert_string_equal(f->out, "bg.container\n");
    EXPECT(EXIT_DAVIT_FAILED, f, "run", "-d", "-t", "busybox");
    EXPECT(EXIT_DAVIT_FAILED, f, "run", "--cpus=x", "busybox");
    EXPECT(3, f, "run", "-t", "busybox");
    expect_in(fake.execs[2].text, "\nEnvironment=TERM=");
}

static pid_t start_client(const char *const *argv) {
    int argc = 0;
    while (argv[argc])
        argc++;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        (void)alarm(CLIENT_SECONDS);
        if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
            _exit(254);
        exit(cli_main(argc, (char **)(uintptr_t)argv));
    }
    assert_true(pid > 0);
    return pid;
}

static int wait_client(struct fixture *f, pid_t pid) {
    int status;
    while (waitpid(pid, &status, WNOHANG) == 0)
        (void)sd_event_run(f->harness.manager.event, 5000);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
}

/* As when davitd is killed and davit-init makes a new one. */
static void replace_davitd(struct fixture *f) {
    struct error e = {};
    control_free(f->harness.control);
    fake_reset();
    assert_int_equal(control_new(&f->harness.manager, &e), 0);
    f->harness.control = f->harness.manager.control;
}

/* The client has taken everything that was sent to it. */
static void wait_until_read(struct fixture *f) {
    LIST_FOREACH (n, &f->harness.control->connections, struct connection, link)
        for (int unread = 1; unread > 0; (void)usleep(1000))
            assert_int_equal(ioctl(n->stream.fd, SIOCOUTQ, &unread), 0);
}

static void wait_for_request(struct fixture *f) {
    while (fake.n_execs == 0)
        (void)sd_event_run(f->harness.manager.event, 5000);
}

static pid_t start_run(struct fixture *f) {
    pid_t pid = start_client((const char *[]){"davit", "run", "--name=web", "busybox", NULL});
    wait_for_request(f);
    fake_exec_started(0, 4711, NULL);
    harness_run(&f->harness);
    wait_until_read(f);
    return pid;
}

static void run_hears_the_exit_status_from_the_next_davitd(void **state) {
    struct fixture *f = *state;
    pid_t pid = start_run(f);
    for (int i = 0; i < 2; i++) {
        replace_davitd(f);
        wait_for_request(f);
        assert_non_null(startswith(fake.execs[0].text, "attach "));
        fake_exec_started(0, 4711, NULL);
        harness_run(&f->harness);
        wait_until_read(f);
    }
    assert_int_equal(kill(pid, SIGUSR1), 0);
    while (fake.last_exec_signal != SIGUSR1)
        (void)sd_event_run(f->harness.manager.event, 5000);
    fake_exec_exited(0, CLD_EXITED, 6);
    assert_int_equal(wait_client(f, pid), 6);
}

static void a_program_that_the_next_davitd_does_not_know_has_no_status(void **state) {
    struct fixture *f = *state;
    pid_t pid = start_run(f);
    replace_davitd(f);
    fake.exec_fails = true;
    assert_int_equal(wait_client(f, pid), EXIT_DAVIT_FAILED);
}

static void run_is_asked_again_of_the_next_davitd(void **state) {
    struct fixture *f = *state;
    static const struct error lost = {.number = ECONNRESET};
    pid_t pid = start_client((const char *[]){"davit", "run", "busybox", NULL});
    wait_for_request(f);
    assert_false(fake.last_again);
    replace_davitd(f);
    wait_for_request(f);
    assert_true(fake.last_again);
    assert_non_null(strstr(fake.execs[0].text, "Image=busybox"));
    assert_true(fake.execs[0].fds[1] >= 0);
    fake_exec_started(0, 0, &lost); /* nothing was run, for whatever reason */
    while (fake.n_execs == 1)
        (void)sd_event_run(f->harness.manager.event, 5000);
    fake_exec_started(1, 4711, NULL);
    fake_exec_exited(1, CLD_EXITED, 5);
    assert_int_equal(wait_client(f, pid), 5);
}

static void a_detached_run_is_asked_again_of_the_next_davitd(void **state) {
    struct fixture *f = *state;
    pid_t pid = start_client((const char *[]){"davit", "run", "--detach", "busybox", NULL});
    wait_for_request(f);
    replace_davitd(f);
    wait_for_request(f);
    assert_true(fake.last_again);
    fake_exec_started(0, 4711, NULL);
    assert_int_equal(wait_client(f, pid), EXIT_SUCCESS);
}

static void run_without_a_next_davitd_says_so(void **state) {
    struct fixture *f = *state;
    struct error e = {};
    pid_t pid = start_run(f);
    control_free(f->harness.control);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), EXIT_DAVIT_FAILED);
    assert_int_equal(control_new(&f->harness.manager, &e), 0);
    f->harness.control = f->harness.manager.control;
}

/* What arrives at fd, until it ends with `end`. The server's loop runs meanwhile. */
static void expect_from(struct fixture *f, int fd, const char *end) {
    char text[512];
    size_t n = 0;
    for (usec_t limit = now_monotonic() + CLIENT_SECONDS * USEC_PER_SEC;
         now_monotonic() < limit && n < sizeof(text) - 1;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        (void)sd_event_run(f->harness.manager.event, 1000);
        if (poll(&p, 1, 10) > 0 && read(fd, text + n, 1) == 1)
            n++;
        text[n] = '\0';
        if (endswith(text, end))
            return;
    }
    fail_msg("\"%s\" does not end with \"%s\"", text, end);
}

static void a_terminal_is_passed_through_and_restored(void **state) {
    struct fixture *f = *state;
    struct winsize size = {.ws_row = 11, .ws_col = 22}, seen;
    struct termios before, during, after;
    int master, slave;

    assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
    assert_int_equal(tcgetattr(slave, &before), 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = {
            (char[]){"davit"}, (char[]){"exec"}, (char[]){"-it"}, (char[]){"web"}, (char[]){"sh"}, NULL};
        (void)alarm(CLIENT_SECONDS);
        if (login_tty(slave) < 0)
            _exit(254);
        exit(cli_main(5, argv));
    }
    while (fake.n_execs == 0)
        (void)sd_event_run(f->harness.manager.event, 5000);
    int inner = fake.execs[0].fds[3]; /* what the program would have */
    assert_true(inner >= 0 && isatty(inner));
    fake_exec_started(0, 4711, NULL);
    assert_int_equal(ioctl(inner, TIOCGWINSZ, &seen), 0);
    assert_int_equal(seen.ws_row, 11);
    assert_int_equal(seen.ws_col, 22);
    assert_int_equal(tcgetattr(slave, &during), 0);
    assert_int_equal(during.c_lflag & (ICANON | ECHO | ISIG), 0);

    assert_int_equal(write(inner, "to the person", 13), 13);
    expect_from(f, master, "to the person");
    assert_int_equal(write(master, "to the program\r", 15), 15);
    expect_from(f, inner, "to the program\n");
    size.ws_col = 33;
    assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0); /* the kernel tells davit by SIGWINCH */
    for (int i = 0; i < CLIENT_SECONDS * 100 && seen.ws_col != 33; i++) {
        (void)usleep(10000);
        assert_int_equal(ioctl(inner, TIOCGWINSZ, &seen), 0);
    }
    assert_int_equal(seen.ws_col, 33);

    fake_exec_exited(0, CLD_KILLED, SIGTERM);
    assert_int_equal(wait_client(f, pid), EXIT_SIGNALLED + SIGTERM);
    assert_int_equal(tcgetattr(slave, &after), 0);
    assert_int_equal(after.c_lflag, before.c_lflag);
    (void)close(master);
    (void)close(slave);
}

static void a_terminal_is_restored_when_davit_is_hung_up(void **state) {
    struct fixture *f = *state;
    struct termios before, after;
    int master, slave;
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    assert_int_equal(tcgetattr(slave, &before), 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = {
            (char[]){"davit"}, (char[]){"exec"}, (char[]){"-it"}, (char[]){"web"}, (char[]){"sh"}, NULL};
        (void)alarm(CLIENT_SECONDS);
        if (login_tty(slave) < 0)
            _exit(254);
        exit(cli_main(5, argv));
    }
    while (fake.n_execs == 0)
        (void)sd_event_run(f->harness.manager.event, 5000);
    fake_exec_started(0, 4711, NULL);
    harness_run(&f->harness);
    assert_int_equal(kill(pid, SIGHUP), 0);
    assert_int_equal(wait_client(f, pid), EXIT_SIGNALLED + SIGHUP);
    harness_run(&f->harness);
    assert_int_equal(fake.forgotten, 1);
    assert_int_equal(tcgetattr(slave, &after), 0);
    assert_int_equal(after.c_lflag, before.c_lflag);
    (void)close(master);
    (void)close(slave);
}

int main(void) {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(exec_gives_output_and_status),
        TEST(a_program_that_cannot_run_is_126_or_127),
        TEST(run_sends_unit_text_and_name),
        TEST(run_hears_the_exit_status_from_the_next_davitd),
        TEST(a_program_that_the_next_davitd_does_not_know_has_no_status),
        TEST(run_is_asked_again_of_the_next_davitd),
        TEST(a_detached_run_is_asked_again_of_the_next_davitd),
        TEST(run_without_a_next_davitd_says_so),
        TEST(a_terminal_is_passed_through_and_restored),
        TEST(a_terminal_is_restored_when_davit_is_hung_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
