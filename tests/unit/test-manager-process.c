/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-core.c */
/* wrap: getppid */
/*
 * Requests, answers and exits, against a launcher and a davit-init made of this test: what is called when,
 * and what becomes of a request when its launcher, or the davitd before us, died at any point of the way.
 */
#include "fake-core.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/fs.h"
#include "init/keeper.h"
#include "launch/protocol.h"
#include "manager/process_internal.h"

/* ---- the other side ---- */

static int launcher_end[2], feed_write, feed_kept;
static uint64_t sequence;
static char calls[256];
static struct error last_error;
static struct process_exit last_exit;

static void note(const char *what) {
    (void)snprintf(calls + strlen(calls), sizeof(calls) - strlen(calls), "%s%s", *calls ? " " : "", what);
}
static void on_begun(struct process *p) {
    (void)p;
    note("begun");
}
static void on_started(struct process *p) {
    (void)p;
    note("started");
}
static void on_failed(struct process *p, const struct error *e) {
    last_error = *e;
    note("failed");
    if (p->pid == 0)
        process_free(p);
}
static void on_exited(struct process *p, const struct process_exit *x) {
    last_exit = *x;
    note("exited");
    process_free(p);
}
static const struct process_callbacks callbacks = {on_begun, on_started, on_failed, on_exited};

static void expect_calls(const char *expected) {
    fake_turn();
    assert_string_equal(calls, expected);
    calls[0] = '\0';
}

/* What davit-init passes on to a davitd: always the same ends. */
static void pass_fds(const int *davitd_end, int feed) {
    char text[16];

    assert_int_equal(dup2(feed, 3), 3);
    assert_int_equal(dup2(davitd_end[0], 4), 4);
    assert_int_equal(dup2(davitd_end[1], 5), 5);
    (void)snprintf(text, sizeof(text), "%d", (int)getpid());
    (void)setenv("LISTEN_PID", text, 1);
    (void)setenv("LISTEN_FDS", "3", 1);
    (void)setenv("LISTEN_FDNAMES", "feed:launch0:launch1", 1);
}

static int davitd_end[2];

static void start_davitd(void) {
    struct error e = {};

    keeper_free(&fake->m);
    pass_fds(davitd_end, feed_kept);
    assert_int_equal(keeper_new(&fake->m, &e), 0);
    if (processes_new(&fake->m, &e) < 0)
        fail_msg("%s", e.text);
}

static void go(void) {
    struct error e = {};
    if (processes_go(&fake->m, &e) < 0)
        fail_msg("%s", e.text);
}

/* Its memory is gone, its descriptors as well; the sockets and the feed live on. */
static void crash_davitd(void) {
    processes_free(&fake->m);
}

static pid_t keeper; /* who is taken for davit-init; 0: our parent */
pid_t __real_getppid(void);
pid_t __wrap_getppid(void);
pid_t __wrap_getppid(void) {
    return keeper != 0 ? keeper : __real_getppid();
}

static int setup(void **state) {
    int pair[2], feed[2];

    (void)state;
    keeper = 0;
    /* Out of the way of 3, 4 and 5. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        davitd_end[i] = fcntl(pair[0], F_DUPFD_CLOEXEC, 100);
        launcher_end[i] = fcntl(pair[1], F_DUPFD_CLOEXEC, 100);
        (void)close(pair[0]);
        (void)close(pair[1]);
    }
    assert_int_equal(pipe2(feed, O_CLOEXEC), 0);
    feed_kept = fcntl(feed[0], F_DUPFD_CLOEXEC, 100);
    feed_write = fcntl(feed[1], F_DUPFD_CLOEXEC, 100);
    (void)close(feed[0]);
    (void)close(feed[1]);
    sequence = 0;
    calls[0] = '\0';
    for (int fd = 3; fd <= 5; fd++) /* nothing else may come to be there */
        assert_int_equal(dup2(feed_kept, fd), fd);
    fake_core_new();
    start_davitd();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fake_core_done();
    for (int i = 0; i < 2; i++) {
        (void)close(launcher_end[i]);
        (void)close(davitd_end[i]);
    }
    (void)close(feed_write);
    (void)close(feed_kept);
    return 0;
}

/* ---- the launcher ---- */

/* The request that waits first at launcher n: its number, 0 if there is none. */
static uint64_t peek_request(int n) {
    static char buffer[SPEC_MAX_SIZE];
    struct container_spec s;
    struct error e = {};
    int fds[SPEC_MAX_FDS];
    size_t n_fds = SPEC_MAX_FDS;

    ssize_t size =
        socket_recv_fds(launcher_end[n], buffer, sizeof(buffer), fds, &n_fds, MSG_PEEK | MSG_DONTWAIT);
    if (size < 0)
        return 0;
    for (size_t i = 0; i < n_fds; i++)
        (void)close(fds[i]);
    if (spec_decode(buffer, (size_t)size, n_fds, &s, &e) < 0)
        fail_msg("%s", e.text);
    uint64_t request = s.request;
    spec_done(&s);
    return request;
}

static void consume_request(int n) {
    char byte;
    assert_true(recv(launcher_end[n], &byte, 1, MSG_DONTWAIT) >= 0);
}

static void answer(
    int n, enum launch_answer_type type, uint64_t request, pid_t pid, const int *fds, size_t n_fds) {
    struct launch_answer a = {.type = type, .request = request, .pid = pid};

    if (type == LAUNCH_FAILED) {
        (void)error_set(&a.error, ENOENT, "no such thing");
        error_set_step(&a.error, "image");
    } else if (type == LAUNCH_UNREADABLE) {
        (void)error_set(&a.error, EPROTONOSUPPORT, "of another version");
    }
    assert_int_equal(socket_send_fds(launcher_end[n], &a, sizeof(a), fds, n_fds, MSG_DONTWAIT), sizeof(a));
}

/* A child as the launcher makes them: sleeping, with a status pipe. */
struct child {
    pid_t pid;
    int pidfd, status_read, status_write;
};

static struct child make_child(void) {
    struct child c;
    int pipefd[2];

    c.pid = fork();
    if (c.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            (void)pause();
    }
    /* Only now, so that this is the only one to hold it: a child that has been through execve has not got it. */
    assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
    c.pidfd = (int)syscall(SYS_pidfd_open, c.pid, 0);
    c.status_read = pipefd[0];
    c.status_write = pipefd[1];
    return c;
}

static void begin(int n, uint64_t request, struct child *c) {
    const int fds[] = {c->pidfd, c->status_read};

    answer(n, LAUNCH_BEGUN, request, c->pid, fds, 2);
    (void)close(c->pidfd);
    (void)close(c->status_read);
}

static void exec_done(struct child *c) {
    (void)close(c->status_write);
    c->status_write = -1;
}

static void append_record(pid_t pid, int code, int status) {
    struct feed_record r = {
        .sequence = ++sequence, .usec = now_monotonic(), .pid = pid, .code = code, .status = status};
    assert_int_equal(write(feed_write, &r, sizeof(r)), sizeof(r));
}

static void end_child(struct child *c, int code, int status) {
    if (c->status_write >= 0)
        (void)close(c->status_write);
    (void)kill(c->pid, SIGKILL);
    assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
    append_record(c->pid, code, status);
}

static struct process *ask(enum process_role role) {
    char program[] = "/bin/true";
    char *argv[] = {program, NULL};
    struct container_spec spec;
    struct error e = {};
    struct process *p;

    spec_init(&spec);
    spec.kind = SPEC_PROCESS;
    spec.argv = argv;
    if (process_start(&fake->m, NULL, role, &spec, NULL, 0, &callbacks, NULL, &p, &e) < 0)
        fail_msg("%s", e.text);
    assert_string_equal(calls, "");
    fake_turn();
    return p;
}

/* ---- tests ---- */

static void a_whole_life(void **state) {
    (void)state;
    go();
    struct process *p = ask(PROCESS_MAIN);
    assert_int_equal(peek_request(0), p->request);
    consume_request(0);
    expect_calls("");
    struct child c = make_child();
    begin(0, p->request, &c);
    expect_calls("begun");
    assert_int_equal(p->pid, c.pid);
    assert_null(p->message);
    exec_done(&c);
    expect_calls("started");
    end_child(&c, CLD_EXITED, 7);
    expect_calls("exited");
    assert_int_equal(last_exit.code, CLD_EXITED);
    assert_int_equal(last_exit.status, 7);
    assert_int_equal(saved_feed_sequence(&fake->m), 1);
}

static void a_refused_launch(void **state) {
    (void)state;
    go();
    struct process *p = ask(PROCESS_MAIN);
    consume_request(0);
    answer(0, LAUNCH_FAILED, p->request, 0, NULL, 0);
    expect_calls("failed");
    assert_int_equal(last_error.number, ENOENT);
    assert_string_equal(last_error.step, "image");
}

/* By the launcher itself: there is no child, and no record in the feed. */
static void a_chore_that_needed_no_process(void **state) {
    (void)state;
    go();
    struct process *p = ask(PROCESS_CHORE);
    consume_request(0);
    answer(0, LAUNCH_DONE, p->request, 0, NULL, 0);
    expect_calls("exited");
    assert_int_equal(last_exit.code, CLD_EXITED);
    assert_int_equal(last_exit.status, 0);
    assert_int_equal(fake->m.processes->launchers[0].n_in_flight, 0);
}

static void a_step_that_fails_in_the_child(void **state) {
    (void)state;
    go();
    struct process *p = ask(PROCESS_MAIN);
    consume_request(0);
    struct child c = make_child();
    begin(0, p->request, &c);
    expect_calls("begun");
    struct error e = {};
    (void)error_set(&e, EACCES, "execve /x");
    assert_int_equal(write(c.status_write, &e, sizeof(e)), sizeof(e));
    end_child(&c, CLD_EXITED, LAUNCH_EXIT_CANNOT_EXEC);
    expect_calls("failed exited");
    assert_int_equal(last_error.number, EACCES);
}

/* All is there at once: still in the one right order. */
static void an_exit_that_is_seen_with_its_beginning(void **state) {
    (void)state;
    go();
    struct process *p = ask(PROCESS_MAIN);
    consume_request(0);
    struct child c = make_child();
    begin(0, p->request, &c);
    exec_done(&c);
    end_child(&c, CLD_KILLED, 9);
    expect_calls("begun started exited");
}

static void pids_of_others_are_passed_over(void **state) {
    (void)state;
    go();
    for (int i = 0; i < 200; i++)
        append_record(100000 + i, CLD_EXITED, 0);
    expect_calls("");
    assert_int_equal(saved_feed_sequence(&fake->m), 200);
    struct feed_record r;
    (void)fd_set_nonblock(feed_kept, true);
    assert_int_equal(read(feed_kept, &r, sizeof(r)), -1);
}

/* ---- programs that were replaced on disk ---- */

/* Asked for by us: davit-init is to replace launcher n, which has to say so, and gets the request then. */
static void replace_launcher(int n, uint64_t request) {
    assert_int_equal(peek_request(n), request);
    consume_request(n);
    answer(n, LAUNCH_UNREADABLE, request, 0, NULL, 0);
    expect_calls("");
    assert_true(fake->m.processes->launchers[n].leaving);
}

static void a_launcher_that_cannot_read_what_davitd_writes_is_replaced(void **state) {
    (void)state;
    go();
    struct process *p = ask(PROCESS_MAIN);
    replace_launcher(0, p->request);
    replace_launcher(1, p->request);
    assert_int_equal(peek_request(0), 0);
    assert_int_equal(peek_request(1), 0);
    answer(1, LAUNCH_HELLO, 0, 0, NULL, 0);
    expect_calls("");
    assert_int_equal(peek_request(1), p->request);
    consume_request(1);
    struct child c = make_child();
    begin(1, p->request, &c);
    expect_calls("begun");
    exec_done(&c);
    end_child(&c, CLD_EXITED, 0);
    expect_calls("started exited");
}

/* The launchers are of what is installed now, and still there is no common version. */
static uint64_t ask_new_launchers_in_vain(void) {
    go();
    struct process *p = ask(PROCESS_MAIN);
    uint64_t request = p->request;
    for (int n = 0; n < 2; n++)
        replace_launcher(n, request);
    answer(0, LAUNCH_HELLO, 0, 0, NULL, 0);
    expect_calls("");
    assert_int_equal(peek_request(0), request);
    consume_request(0);
    answer(0, LAUNCH_UNREADABLE, request, 0, NULL, 0);
    return request;
}

static void a_davitd_that_new_launchers_cannot_read_has_itself_replaced(void **state) {
    (void)state;
    _cleanup_free_ char *installed = path_join(fake->m.paths.libexec, "davitd");
    assert_true(mkdir(fake->m.paths.libexec, 0755) >= 0 || errno == EEXIST);
    _cleanup_close_ int fd = open(installed, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    assert_true(fd >= 0);
    (void)ask_new_launchers_in_vain();
    expect_calls("");
    assert_true(fake->m.reexecute);
}

static void programs_that_do_not_fit_together_are_an_error(void **state) {
    (void)state;
    (void)ask_new_launchers_in_vain();
    expect_calls("failed");
    assert_int_equal(last_error.number, EPROTONOSUPPORT);
    assert_false(fake->m.reexecute);
}

/* ---- launchers that die ---- */

/* What the next launcher is asked to see whether anything was lost. */
static void answer_probe(int n) {
    uint64_t probe = peek_request(n);

    assert_int_not_equal(probe, 0);
    consume_request(n);
    answer(n, LAUNCH_DONE, probe, 0, NULL, 0);
}

static void a_request_that_was_taken_and_lost_is_sent_again(void **state) {
    (void)state;
    go();
    struct process *p = ask(PROCESS_MAIN);
    uint64_t request = p->request;

    for (int i = 0; i < 3; i++) {
        int n = peek_request(0) ? 0 : 1;
        assert_int_equal(peek_request(n), request);
        consume_request(n);
        answer(n, LAUNCH_HELLO, 0, 4711, NULL, 0);
        expect_calls("");
        answer_probe(n);
        expect_calls(i < 2 ? "" : "failed");
    }
    assert_int_equal(last_error.number, EIO);
    assert_int_equal(peek_request(0) + peek_request(1), 0);
}

static void a_request_that_still_waits_is_not_sent_twice(void **state) {
    (void)state;
    go();
    struct process *p = ask(PROCESS_MAIN);
    /* Died before it consumed: the next one finds it in its queue. */
    answer(0, LAUNCH_HELLO, 0, 4711, NULL, 0);
    expect_calls("");
    assert_int_equal(peek_request(0), p->request);
    assert_int_equal(peek_request(1), 0);
    consume_request(0);
    struct child c = make_child();
    begin(0, p->request, &c);
    answer_probe(0);
    expect_calls("begun");
    assert_int_equal(peek_request(0) + peek_request(1), 0);
    end_child(&c, CLD_EXITED, 0);
    expect_calls("started exited");
}

static void a_launch_that_was_begun_survives_its_launcher(void **state) {
    (void)state;
    go();
    struct process *p = ask(PROCESS_MAIN);
    consume_request(0);
    struct child c = make_child();
    begin(0, p->request, &c);
    answer(0, LAUNCH_HELLO, 0, 4711, NULL, 0);
    expect_calls("begun");
    end_child(&c, CLD_EXITED, 0);
    expect_calls("started exited");
}

static void many_requests_wait_here_and_not_in_the_sockets(void **state) {
    (void)state;
    enum { COUNT = 30 };
    struct process *p[COUNT];
    unsigned answered = 0;

    go();
    for (int i = 0; i < COUNT; i++)
        p[i] = ask(PROCESS_WORKER);
    assert_int_equal(fake->m.processes->launchers[0].n_in_flight, LAUNCHER_WINDOW);
    assert_int_equal(fake->m.processes->launchers[1].n_in_flight, LAUNCHER_WINDOW);
    while (answered < COUNT) {
        for (int n = 0; n < 2; n++) {
            uint64_t request = peek_request(n);
            if (request == 0)
                continue;
            consume_request(n);
            answer(n, LAUNCH_FAILED, request, 0, NULL, 0);
            answered++;
        }
        fake_turn();
        assert_true(answered <= COUNT);
        calls[0] = '\0';
    }
    (void)p;
    assert_true(list_empty(&fake->m.processes->queue));
}

/* ---- killing ---- */

/* What it says is still there for a davitd that comes after one that died before it had saved it. */
static void a_report_stays_in_its_pipe(void **state) {
    (void)state;
    struct error report = {}, again = {};

    go();
    struct process *p = ask(PROCESS_MAIN);
    consume_request(0);
    struct child c = make_child();
    _cleanup_close_ int stored = fcntl(c.status_read, F_DUPFD_CLOEXEC, 3);
    begin(0, p->request, &c);
    expect_calls("begun");
    (void)error_set(&report, ENOENT, "no such program");
    error_set_step(&report, "execve");
    assert_int_equal(write(c.status_write, &report, sizeof(report)), sizeof(report));
    expect_calls("failed");
    assert_int_equal(last_error.number, ENOENT);
    assert_string_equal(last_error.text, "no such program");
    assert_int_equal(read(stored, &again, sizeof(again)), sizeof(again));
    assert_memory_equal(&again, &report, sizeof(again));
    end_child(&c, CLD_EXITED, 127);
    expect_calls("exited");
}

static void a_request_can_be_withdrawn(void **state) {
    (void)state;
    struct process *p[2 * LAUNCHER_WINDOW + 1];

    go();
    for (size_t i = 0; i < ARRAY_SIZE(p); i++)
        p[i] = ask(PROCESS_WORKER);
    assert_int_equal(process_kill(p[2 * LAUNCHER_WINDOW], SIGKILL), 0);
    assert_string_equal(calls, ""); /* never from inside */
    expect_calls("failed");
    assert_int_equal(last_error.number, ECANCELED);
}

static void a_kill_before_begun_kills_the_child(void **state) {
    (void)state;
    go();
    struct process *p = ask(PROCESS_MAIN);
    consume_request(0);
    fake_turn();
    assert_int_equal(process_kill(p, SIGTERM), 0);
    struct child c = make_child();
    begin(0, p->request, &c);
    expect_calls("begun");
    int status;
    assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    (void)close(c.status_write);
    append_record(c.pid, CLD_KILLED, SIGKILL);
    expect_calls("started exited");
}

static void a_killed_request_is_not_sent_again(void **state) {
    (void)state;
    go();
    struct process *p = ask(PROCESS_MAIN);
    consume_request(0);
    fake_turn();
    assert_int_equal(process_kill(p, SIGKILL), 0);
    answer(0, LAUNCH_HELLO, 0, 4711, NULL, 0);
    fake_turn();
    answer_probe(0);
    expect_calls("failed");
    assert_int_equal(last_error.number, ECANCELED);
    assert_int_equal(peek_request(0) + peek_request(1), 0);
}

static void an_abandoned_process_ends_in_silence(void **state) {
    (void)state;
    go();
    struct process *p = ask(PROCESS_WORKER);
    uint64_t request = p->request;
    consume_request(0);
    process_abandon(p);
    struct child c = make_child();
    begin(0, request, &c);
    end_child(&c, CLD_EXITED, 0);
    expect_calls("");
}

/* ---- a davitd that dies ---- */

static void what_the_last_davitd_did_not_consume_is_there_for_the_next(void **state) {
    (void)state;
    go();
    struct process *p = ask(PROCESS_MAIN);
    uint64_t request = p->request;
    consume_request(0);
    struct child c = make_child();
    begin(0, request, &c);
    exec_done(&c);
    end_child(&c, CLD_EXITED, 5);
    crash_davitd(); /* before it looked */

    start_davitd();
    assert_int_equal(
        process_adopt(&fake->m, NULL, PROCESS_MAIN, request, 0, PROCESS_REQUESTED, &callbacks, NULL, &p), 0);
    go();
    expect_calls("begun started exited");
    assert_int_equal(last_exit.status, 5);
}

static void a_record_that_was_handled_is_not_handled_again(void **state) {
    (void)state;
    struct process *p;

    go();
    /* Handled and saved, but davitd died before it consumed: then the same pid came again. */
    struct child c = make_child();
    append_record(c.pid, CLD_EXITED, 1);
    assert_int_equal(saved_write_feed_sequence(&fake->m, 1), 0);
    crash_davitd();
    start_davitd();
    assert_int_equal(
        process_adopt(&fake->m, NULL, PROCESS_MAIN, 99, c.pid, PROCESS_STARTED, &callbacks, NULL, &p), 0);
    /* As the store would have given it. */
    p->pidfd = c.pidfd;
    (void)close(c.status_read);
    go();
    expect_calls("");
    end_child(&c, CLD_EXITED, 2);
    expect_calls("exited");
    assert_int_equal(last_exit.status, 2);
}

/* Or its number could be taken for that of another process that has it by now. */
static void an_end_that_waits_in_the_feed_is_seen_before_it_is_handled(void **state) {
    (void)state;
    enum { COUNT = 1500 };

    for (int i = 0; i < COUNT; i++)
        append_record(100000 + i, CLD_EXITED, 0);
    assert_true(feed_has_end(&fake->m, 100000));
    assert_true(feed_has_end(&fake->m, 100000 + COUNT - 1));
    assert_false(feed_has_end(&fake->m, 99999));
    go();
    assert_int_equal(saved_feed_sequence(&fake->m), COUNT);
    assert_false(feed_has_end(&fake->m, 100000));
}

/* ---- a feed that is damaged ---- */

static struct child start_child(void) {
    struct process *p = ask(PROCESS_MAIN);
    int n = peek_request(0) == p->request ? 0 : 1;
    consume_request(n);
    struct child c = make_child();
    begin(n, p->request, &c);
    exec_done(&c);
    expect_calls("begun started");
    return c;
}

/* As a davitd would leave it that had consumed less than a record, or more. */
static void damage_front(size_t size) {
    char lost[2 * sizeof(struct feed_record)];

    assert_int_equal(read(feed_kept, lost, size), size);
}

static void the_feed_works(void) {
    struct child c = start_child();

    end_child(&c, CLD_EXITED, 3);
    expect_calls("exited");
    assert_int_equal(last_exit.status, 3);
}

static void after_a_record_that_is_cut_the_feed_is_read_on(void **state) {
    (void)state;
    go();
    struct child lost = start_child(), next = start_child(), runs = start_child();
    end_child(&lost, CLD_EXITED, 1);
    damage_front(10);
    end_child(&next, CLD_EXITED, 2);
    expect_calls("exited exited"); /* the lost one first: what it was is not known */
    assert_int_equal(last_exit.code, CLD_EXITED);
    assert_int_equal(last_exit.status, 2);
    end_child(&runs, CLD_KILLED, SIGKILL);
    expect_calls("exited");
    assert_int_equal(last_exit.code, CLD_KILLED);
    the_feed_works();
}

/* So many that a batch of bytes is as long as one of records. */
static void a_cut_record_in_front_of_many_is_noticed(void **state) {
    (void)state;
    go();
    struct child lost = start_child();
    end_child(&lost, CLD_EXITED, 1);
    damage_front(10);
    for (int i = 0; i < 3 * FEED_BATCH; i++)
        append_record(100000 + i, CLD_EXITED, 0);
    expect_calls("exited");
    assert_int_equal(last_exit.code, EXIT_UNKNOWN);
    assert_int_equal(saved_feed_sequence(&fake->m), sequence); /* and all that were whole are handled */
    the_feed_works();
}

static void records_that_have_no_order_are_not_believed(void **state) {
    (void)state;
    go();
    struct child c = start_child();
    struct feed_record wrong[] = {
        {.sequence = 1ULL << 60, .pid = c.pid, .code = CLD_EXITED}, {.sequence = 7, .pid = c.pid}};
    assert_int_equal(write(feed_write, wrong, sizeof(wrong)), sizeof(wrong));
    expect_calls(""); /* it lives */
    end_child(&c, CLD_EXITED, 4);
    expect_calls("exited");
    assert_int_equal(last_exit.status, 4);
    the_feed_works();
}

/* Not deaf for ever: the next davitd has descriptors of its own. */
static void davitd_ends_when_it_cannot_read_the_feed(void **state) {
    (void)state;
    int status;

    pid_t child = fork();
    if (child == 0) {
        close_and_reset(&fake->m.processes->feed.fd);
        go();
        _exit(EXIT_SUCCESS);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_FAILURE);
}

/* ---- MAINPID= ---- */

/* In a davitd whose davit-init we are. What process_move() says to c. */
static int moved_to(struct process *p, const struct child *c) {
    int status;

    pid_t davitd = fork();
    if (davitd == 0) {
        int r = process_move(p, c->pid);
        _exit(r == 0 && p->pid != c->pid ? 255 : -r);
    }
    assert_int_equal(waitpid(davitd, &status, 0), davitd);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

static void a_main_process_may_name_another_that_lives(void **state) {
    (void)state;
    go();
    struct child c = start_child(), other = make_child();
    struct process *p = process_by_pid(fake->m.processes, c.pid);
    assert_int_equal(moved_to(p, &other), 0);
    /* A zombie's record may have been passed over before, and would never come again. */
    assert_return_code(kill(other.pid, SIGKILL), 0);
    siginfo_t info;
    assert_return_code(waitid(P_PID, (id_t)other.pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(moved_to(p, &other), -ESRCH);
    end_child(&other, CLD_KILLED, SIGKILL);
    assert_int_equal(moved_to(p, &other), -ESRCH);
    (void)close(other.pidfd);
    (void)close(other.status_read);
    end_child(&c, CLD_EXITED, 0);
    expect_calls("exited");
}

/* A process and its parent, which is not davit-init. */
struct family {
    pid_t parent, child;
    int to_parent; /* a byte: kill the child, and reap it */
};

static struct family make_family(void) {
    int down[2], up[2];
    struct family f;
    char byte;

    assert_return_code(pipe2(down, O_CLOEXEC), 0);
    assert_return_code(pipe2(up, O_CLOEXEC), 0);
    f.parent = fork();
    if (f.parent == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        pid_t child = fork();
        if (child == 0)
            for (;;)
                (void)pause();
        bool told = write(up[1], &child, sizeof(child)) == sizeof(child);
        if (told && read(down[0], &byte, 1) == 1) {
            (void)kill(child, SIGKILL);
            (void)waitpid(child, NULL, 0);
        }
        for (;;)
            (void)pause();
    }
    assert_int_equal(read(up[0], &f.child, sizeof(f.child)), sizeof(f.child));
    f.to_parent = down[1];
    (void)close(down[0]);
    (void)close(up[0]);
    (void)close(up[1]);
    return f;
}

static void end_family(const struct family *f) {
    (void)kill(f->parent, SIGKILL);
    (void)waitpid(f->parent, NULL, 0);
    (void)close(f->to_parent);
}

static void wait_for_call(void) {
    for (usec_t end = usec_add(now_monotonic(), 60 * USEC_PER_SEC); !*calls && now_monotonic() < end;)
        fake_turn();
}

static void a_main_process_may_name_one_whose_parent_runs(void **state) {
    (void)state;
    keeper = getpid();
    go();
    struct child c = start_child();
    struct family f = make_family();
    struct process *p = process_by_pid(fake->m.processes, c.pid);
    uint64_t request = p->request;
    assert_int_equal(process_move(p, f.child), 0);
    assert_ptr_equal(process_by_pid(fake->m.processes, f.child), p);
    assert_true(p->foreign);
    assert_true(p->request > request); /* what is in the store belongs to one state */
    end_child(&c, CLD_EXITED, 1);
    expect_calls(""); /* it is the main process no more */
    assert_int_equal(write(f.to_parent, "", 1), 1);
    wait_for_call();
    expect_calls("exited");
    if (last_exit.code != EXIT_UNKNOWN) { /* before Linux 6.15 nobody knows */
        assert_int_equal(last_exit.code, CLD_KILLED);
        assert_int_equal(last_exit.status, SIGKILL);
    }
    end_family(&f);
}

static void a_main_process_whose_parent_has_ended_before_it_is_in_the_feed(void **state) {
    (void)state;
    siginfo_t info;
    keeper = getpid();
    go();
    assert_return_code(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    struct child c = start_child();
    struct family f = make_family();
    struct process *p = process_by_pid(fake->m.processes, c.pid);
    assert_int_equal(process_move(p, f.child), 0);
    end_family(&f);
    assert_return_code(kill(f.child, SIGKILL), 0);
    assert_return_code(waitid(P_PID, (id_t)f.child, &info, WEXITED | WNOWAIT), 0);
    expect_calls("");
    assert_false(p->foreign);
    append_record(f.child, CLD_EXITED, 42);
    assert_int_equal(waitpid(f.child, NULL, 0), f.child);
    expect_calls("exited");
    assert_int_equal(last_exit.status, 42);
    end_child(&c, CLD_EXITED, 0);
    expect_calls("");
    assert_return_code(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

/* Back, and to another one: nothing of those in between is listened to. */
static void a_main_process_may_move_on(void **state) {
    (void)state;
    keeper = getpid();
    go();
    struct child c = start_child();
    struct family f = make_family(), other = make_family();
    struct process *p = process_by_pid(fake->m.processes, c.pid);
    assert_int_equal(process_move(p, f.child), 0);
    assert_int_equal(process_move(p, other.child), 0);
    assert_int_equal(write(f.to_parent, "", 1), 1);
    assert_int_equal(process_move(p, c.pid), 0);
    assert_false(p->foreign);
    assert_int_equal(write(other.to_parent, "", 1), 1);
    end_family(&f);
    end_family(&other);
    expect_calls("");
    end_child(&c, CLD_EXITED, 3);
    expect_calls("exited");
    assert_int_equal(last_exit.status, 3);
}

static void a_process_that_nobody_can_find_has_ended(void **state) {
    (void)state;
    struct process *p;

    crash_davitd();
    start_davitd();
    assert_int_equal(
        process_adopt(&fake->m, NULL, PROCESS_MAIN, 99, 0x3ffffff, PROCESS_STARTED, &callbacks, NULL, &p), 0);
    go();
    expect_calls("exited");
    assert_int_equal(last_exit.code, EXIT_UNKNOWN);
}

/* Saved as asked for, but never sent: both launchers answer the probe, so it is nowhere. */
static void a_request_that_was_never_sent_is_found_out(void **state) {
    (void)state;
    struct process *p;

    crash_davitd();
    start_davitd();
    uint64_t request = fake->m.processes->next_request + 1000;
    assert_int_equal(
        process_adopt(&fake->m, NULL, PROCESS_CONTROL, request, 0, PROCESS_REQUESTED, &callbacks, NULL, &p),
        0);
    go();
    expect_calls("");
    for (int n = 0; n < 2; n++) {
        uint64_t probe = peek_request(n);
        assert_true(probe > request);
        consume_request(n);
        expect_calls("");
        answer(
            n, n == 0 ? LAUNCH_FAILED : LAUNCH_DONE, probe, 0, NULL, 0); /* one of them needed no process */
    }
    expect_calls("failed");
    assert_int_equal(last_error.number, ECONNRESET);
}

/* It waits in the socket while davitd is replaced, and then a launcher has it. */
static uint64_t take_request_of_the_last_davitd(void) {
    go();
    struct process *p = ask(PROCESS_CONTROL);
    uint64_t request = p->request;
    crash_davitd();

    start_davitd();
    assert_int_equal(
        process_adopt(&fake->m, NULL, PROCESS_CONTROL, request, 0, PROCESS_REQUESTED, &callbacks, NULL, &p),
        0);
    go();
    fake_turn();
    assert_int_equal(peek_request(0), request);
    consume_request(0);
    return request;
}

/* It was written by a davitd of another version, and is asked for anew in our own words. */
static void a_request_that_the_next_launcher_cannot_read_is_lost(void **state) {
    (void)state;
    answer(0, LAUNCH_UNREADABLE, take_request_of_the_last_davitd(), 0, NULL, 0);
    expect_calls("failed"); /* with a unit: sent again, see lost_spec() */
    assert_int_equal(last_error.number, ECONNRESET);
}

static void a_request_that_waits_in_a_socket_is_awaited(void **state) {
    (void)state;
    uint64_t request = take_request_of_the_last_davitd();
    struct child c = make_child();
    begin(0, request, &c);
    expect_calls("begun");
    for (int n = 0; n < 2; n++) { /* the probes come after it */
        answer(n, LAUNCH_FAILED, peek_request(n), 0, NULL, 0);
        consume_request(n);
    }
    expect_calls("");
    end_child(&c, CLD_EXITED, 0);
    expect_calls("started exited");
}

/* Nothing of this davitd is what it hangs at, but without it one launcher less would work from now on. */
static void a_launcher_that_hangs_at_what_an_earlier_davitd_sent_is_found(void **state) {
    (void)state;
    (void)take_request_of_the_last_davitd();
    struct process *old = LIST_ENTRY(fake->m.processes->unassigned.next, struct process, by_launcher);
    assert_int_equal(launchers_at(old), 3);
    answer_probe(1);
    expect_calls("");
    assert_int_equal(launchers_at(old), 1);
    struct process *next = ask(PROCESS_MAIN); /* the idle one has it */
    assert_int_equal(launchers_at(next), 2);
    consume_request(1);
    answer(1, LAUNCH_FAILED, next->request, 0, NULL, 0);
    expect_calls("failed");
}

/* As after some davitds that died while a launcher hung: it cannot even be asked. */
static void a_request_that_waits_in_a_full_socket_is_not_taken_for_lost(void **state) {
    (void)state;
    struct process *p;
    int waiting = 0;

    go();
    p = ask(PROCESS_CONTROL);
    uint64_t request = p->request;
    crash_davitd();
    while (send(davitd_end[0], "", 1, MSG_DONTWAIT) == 1)
        waiting++;

    start_davitd();
    assert_int_equal(
        process_adopt(&fake->m, NULL, PROCESS_CONTROL, request, 0, PROCESS_REQUESTED, &callbacks, NULL, &p),
        0);
    go();
    answer_probe(1);
    expect_calls("");
    assert_int_equal(peek_request(0), request);
    for (; waiting >= 0; waiting--)
        consume_request(0);
    struct child c = make_child();
    begin(0, request, &c);
    expect_calls("begun");
    answer_probe(0);
    expect_calls("");
    end_child(&c, CLD_EXITED, 0);
    expect_calls("started exited");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_whole_life),
        TEST(a_refused_launch),
        TEST(a_chore_that_needed_no_process),
        TEST(a_step_that_fails_in_the_child),
        TEST(an_exit_that_is_seen_with_its_beginning),
        TEST(pids_of_others_are_passed_over),
        TEST(a_request_that_was_taken_and_lost_is_sent_again),
        TEST(a_request_that_still_waits_is_not_sent_twice),
        TEST(a_launch_that_was_begun_survives_its_launcher),
        TEST(many_requests_wait_here_and_not_in_the_sockets),
        TEST(a_report_stays_in_its_pipe),
        TEST(a_request_can_be_withdrawn),
        TEST(a_kill_before_begun_kills_the_child),
        TEST(a_killed_request_is_not_sent_again),
        TEST(an_abandoned_process_ends_in_silence),
        TEST(what_the_last_davitd_did_not_consume_is_there_for_the_next),
        TEST(a_record_that_was_handled_is_not_handled_again),
        TEST(an_end_that_waits_in_the_feed_is_seen_before_it_is_handled),
        TEST(after_a_record_that_is_cut_the_feed_is_read_on),
        TEST(a_cut_record_in_front_of_many_is_noticed),
        TEST(records_that_have_no_order_are_not_believed),
        TEST(davitd_ends_when_it_cannot_read_the_feed),
        TEST(a_main_process_may_name_another_that_lives),
        TEST(a_main_process_may_name_one_whose_parent_runs),
        TEST(a_main_process_whose_parent_has_ended_before_it_is_in_the_feed),
        TEST(a_main_process_may_move_on),
        TEST(a_process_that_nobody_can_find_has_ended),
        TEST(a_launcher_that_cannot_read_what_davitd_writes_is_replaced),
        TEST(a_davitd_that_new_launchers_cannot_read_has_itself_replaced),
        TEST(programs_that_do_not_fit_together_are_an_error),
        TEST(a_request_that_was_never_sent_is_found_out),
        TEST(a_request_that_the_next_launcher_cannot_read_is_lost),
        TEST(a_request_that_waits_in_a_socket_is_awaited),
        TEST(a_launcher_that_hangs_at_what_an_earlier_davitd_sent_is_found),
        TEST(a_request_that_waits_in_a_full_socket_is_not_taken_for_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
