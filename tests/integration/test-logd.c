/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real davit-logd between FIFOs and files or a journal: nothing lost, nothing doubled, whatever kills it.
 */
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/wire.h"
#include "log/journal.h"
#include "log/lines.h"
#include "log/protocol.h"

#define STREAMS_MAX 8
#define ANSWER_MSEC 60000 /* only a failure waits so long */

/* What davit-init and davitd hold for davit-logd. */
static struct rig {
    char directory[64], program[512];
    const char *sink;
    uint64_t max_size;
    uint32_t max_files;
    unsigned files_max; /* descriptors; 0: as many as we */
    int ends[2], state, logs;
    pid_t pid;
    int fifos[STREAMS_MAX]; /* index = stream number; -1 unused */
    char problem[512];
} rig;

static _noreturn_ void exec_logd(void) {
    /* High copies first, so that no number is overwritten before it is used. */
    int socket = fcntl(rig.ends[1], F_DUPFD, 100),
        state = rig.state < 0 ? -1 : fcntl(rig.state, F_DUPFD, 100);

    if (rig.files_max > 0)
        (void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){rig.files_max, rig.files_max});
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(socket, LOGD_FD_SOCKET);
    if (state >= 0)
        (void)dup2(state, LOGD_FD_STATE);
    (void)close_range(state >= 0 ? 5 : 4, ~0U, 0);
    (void)execl(rig.program, "davit-logd", NULL);
    _exit(127);
}

static void send_config(void) {
    struct wire_writer w = {};
    wire_put_u32(&w, LOGD_CONFIG);
    wire_put_string(&w, rig.sink);
    wire_put_string(&w, rig.directory);
    wire_put_u64(&w, rig.max_size);
    wire_put_u32(&w, rig.max_files);
    assert_true(socket_send_fds(rig.ends[0], w.out.data, w.out.length, &rig.logs, 1, 0) > 0);
    wire_writer_free(&w);
}

static void send_add_as(unsigned stream, const char *unit, const char *invocation, int fifo) {
    struct wire_writer w = {};
    wire_put_u32(&w, LOGD_ADD);
    wire_put_u64(&w, stream);
    wire_put_string(&w, unit);
    wire_put_string(&w, "box");
    wire_put_string(&w, invocation);
    wire_put_string(&w, "ident");
    wire_put_u32(&w, 6);
    assert_true(socket_send_fds(rig.ends[0], w.out.data, w.out.length, &fifo, 1, 0) > 0);
    wire_writer_free(&w);
}

static void send_add(unsigned stream) {
    char unit[32];
    (void)snprintf(unit, sizeof unit, "unit%u.container", stream);
    send_add_as(stream, unit, "0123", rig.fifos[stream]);
}

static void send_remove(unsigned stream) {
    struct wire_writer w = {};
    wire_put_u32(&w, LOGD_REMOVE);
    wire_put_u64(&w, stream);
    assert_true(socket_send_fds(rig.ends[0], w.out.data, w.out.length, NULL, 0, 0) > 0);
    wire_writer_free(&w);
}

/* The type of the next message, 0 when none comes in time. A HELLO is answered as davitd does. */
static uint32_t next_answer(int msec, uint64_t *ret_stream) {
    struct pollfd p = {.fd = rig.ends[0], .events = POLLIN};
    uint8_t data[LOGD_MESSAGE_MAX];

    if (poll(&p, 1, msec) <= 0)
        return 0;
    ssize_t n = recv(rig.ends[0], data, sizeof data, 0);
    assert_true(n > 0);
    struct wire_reader r = {.data = data, .length = (size_t)n};
    uint32_t type = wire_get_u32(&r);
    if (type == LOGD_HELLO) {
        send_config();
        for (unsigned i = 0; i < STREAMS_MAX; i++)
            if (rig.fifos[i] >= 0)
                send_add(i);
    } else if (type == LOGD_REMOVED) {
        *ret_stream = wire_get_u64(&r);
    } else if (type == LOGD_PROBLEM) {
        char *text = wire_get_string(&r);
        (void)snprintf(rig.problem, sizeof rig.problem, "%s", text);
        free(text);
    }
    return type;
}

static void start_logd(void) {
    rig.pid = fork();
    assert_true(rig.pid >= 0);
    if (rig.pid == 0)
        exec_logd();
}

static int end_logd(int signal) {
    int status = 0;
    if (rig.pid <= 0)
        return 0;
    (void)kill(rig.pid, signal);
    assert_int_equal(waitpid(rig.pid, &status, 0), rig.pid);
    rig.pid = 0;
    return status;
}

static void wait_hello(void) {
    uint64_t stream;
    uint32_t type;
    while ((type = next_answer(ANSWER_MSEC, &stream)) != LOGD_HELLO)
        assert_int_not_equal(type, 0);
}

static void remove_stream(unsigned stream) {
    uint64_t removed = UINT64_MAX;
    send_remove(stream);
    rig.fifos[stream] =
        -1; /* what HELLO is answered with no longer names it; the caller has the descriptor */
    for (;;) {
        uint32_t type = next_answer(ANSWER_MSEC, &removed);
        assert_int_not_equal(type, 0);
        if (type == LOGD_HELLO)
            send_remove(stream);
        if (type == LOGD_REMOVED && removed == stream)
            return;
    }
}

static int make_fifo(unsigned stream) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/fifo%u", rig.directory, stream);
    (void)unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    rig.fifos[stream] = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    assert_true(rig.fifos[stream] >= 0);
    return rig.fifos[stream];
}

/* A descriptor on the same FIFO that blocks when it is full, as a container's. */
static int writer_of(unsigned stream) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/fifo%u", rig.directory, stream);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int setup(void **state _unused_) {
    const char *build = getenv("DAVIT_BUILD");

    rig = (struct rig){.sink = "file", .max_size = 0, .max_files = 0, .logs = -1};
    (void)snprintf(rig.program, sizeof rig.program, "%s/davit-logd", build ? build : "build");
    (void)strcpy(rig.directory, "/tmp/davit-test-logd-XXXXXX");
    assert_non_null(mkdtemp(rig.directory));
    for (unsigned i = 0; i < STREAMS_MAX; i++)
        rig.fifos[i] = -1;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, rig.ends), 0);
    rig.state = memfd_create("state", MFD_CLOEXEC);
    char logs[128];
    (void)snprintf(logs, sizeof logs, "%s/logs", rig.directory);
    assert_int_equal(mkdir(logs, 0700), 0);
    rig.logs = open(logs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(rig.logs >= 0);
    return 0;
}

static int teardown(void **state _unused_) {
    if (rig.pid > 0) {
        (void)kill(rig.pid, SIGKILL);
        (void)waitpid(rig.pid, NULL, 0);
    }
    for (unsigned i = 0; i < STREAMS_MAX; i++)
        if (rig.fifos[i] >= 0)
            (void)close(rig.fifos[i]);
    (void)close(rig.ends[0]);
    (void)close(rig.ends[1]);
    if (rig.state >= 0)
        (void)close(rig.state);
    (void)close(rig.logs);
    (void)remove_tree(AT_FDCWD, rig.directory);
    return 0;
}

/* ---- reading what was written ---- */

/* All text of a unit, oldest file first, with P records joined to their F and the heads checked and cut off.
 */
static char *read_output(unsigned stream, size_t *ret_length) {
    struct strbuf all = {};

    for (int number = 1000; number >= 0; number--) {
        char name[64], *data = NULL;
        size_t size;
        if (number > 0)
            (void)snprintf(name, sizeof name, "unit%u.container.log.%d", stream, number);
        else
            (void)snprintf(name, sizeof name, "unit%u.container.log", stream);
        if (file_read(rig.logs, name, 1 << 30, &data, &size) < 0)
            continue;
        for (char *line = data; line < data + size;) {
            char *end = memchr(line, '\n', (size_t)(data + size - line));
            assert_non_null(end);
            /* 2026-11-21T05:46:11.123456000Z stdout F text */
            assert_true(end - line >= 40);
            assert_true(line[10] == 'T' && line[29] == 'Z' && line[30] == ' ');
            assert_memory_equal(line + 31, "stdout ", 7);
            assert_true(line[38] == 'F' || line[38] == 'P');
            strbuf_append(&all, line + 40, (size_t)(end - line - 40));
            if (line[38] == 'F')
                strbuf_putc(&all, '\n');
            line = end + 1;
        }
        free(data);
    }
    *ret_length = all.length;
    char *text = strbuf_take(&all);
    assert_non_null(text);
    return text;
}

static void assert_output(unsigned stream, const char *expected) {
    size_t n;
    char *text = read_output(stream, &n);
    assert_string_equal(text, expected);
    free(text);
}

/* Lines "<number> <padding>" from 0 to count - 1, each once and in order. */
static void assert_numbered(unsigned stream, unsigned long count) {
    size_t n;
    char *text = read_output(stream, &n), *p = text;

    for (unsigned long i = 0; i < count; i++) {
        char *end;
        unsigned long number = strtoul(p, &end, 10);
        if (end == p || number != i)
            fail_msg("stream %u: line %lu reads \"%.40s\"", stream, i, p);
        p = strchr(p, '\n');
        assert_non_null(p);
        p++;
    }
    assert_int_equal(*p, 0);
    free(text);
}

static size_t numbered_line(char *buffer, unsigned long i, unsigned seed) {
    unsigned padding = (unsigned)((i * 2654435761UL + seed) % 120);
    int n = sprintf(buffer, "%lu ", i);
    memset(buffer + n, 'x', padding);
    buffer[(unsigned)n + padding] = '\n';
    return (size_t)n + padding + 1;
}

/* A process that writes numbered lines: each by itself (chunk 0), or cut into chunks that ignore line ends.
 */
static pid_t start_writer(unsigned stream, unsigned long count, size_t chunk, unsigned pause_usec) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)close_range(3, ~0U, 0); /* a socket that is to die must not live on here */
    int fd = writer_of(stream);
    static char buffer[1 << 20];
    size_t used = 0;
    for (unsigned long i = 0; i < count; i++) {
        used += numbered_line(buffer + used, i, stream);
        while (used > 0 && (chunk == 0 || used >= chunk || i + 1 == count)) {
            size_t n = chunk == 0 ? used : MIN(used, chunk);
            if (write_all(fd, buffer, n) < 0)
                _exit(1);
            memmove(buffer, buffer + n, used - n);
            used -= n;
        }
        if (pause_usec && i % 16 == 0)
            (void)usleep(pause_usec);
    }
    _exit(0);
}

static void wait_child(pid_t pid) {
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void put(int fd, const char *text) {
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void wait_read(int fd) {
    int waiting = 1;

    for (unsigned i = 0; waiting > 0 && i < ANSWER_MSEC; i++) {
        (void)usleep(1000);
        assert_int_equal(ioctl(fd, FIONREAD, &waiting), 0);
    }
    assert_int_equal(waiting, 0);
}

/* ---- tests ---- */

static void test_lines_reach_the_file(void **state _unused_) {
    int fd = make_fifo(0);
    put(fd, "first\n<3>second\n\nlast without end");
    start_logd();
    wait_hello();
    remove_stream(0);
    assert_output(0, "first\nsecond\n\nlast without end\n");
    (void)close(fd);
    assert_int_equal(end_logd(SIGTERM), 0);
}

static void test_two_units_do_not_mix(void **state _unused_) {
    make_fifo(0);
    make_fifo(1);
    start_logd();
    wait_hello();
    pid_t a = start_writer(0, 20000, 0, 0), b = start_writer(1, 20000, 1000, 0);
    wait_child(a);
    wait_child(b);
    remove_stream(0);
    remove_stream(1);
    assert_numbered(0, 20000);
    assert_numbered(1, 20000);
}

/* A partial line left in a FIFO would let this writer sleep for ever: the kernel wakes an edge-triggered
 * reader in the middle of a write only if the pipe was empty. */
static void test_long_line_after_a_partial_one(void **state _unused_) {
    size_t n, length = 1000000;
    make_fifo(0);
    start_logd();
    wait_hello();
    int fd = writer_of(0);
    put(fd, "abc");
    wait_read(fd);
    pid_t pid = fork();
    if (pid == 0) {
        char *big = malloc(length);
        memset(big, 'y', length);
        big[length - 1] = '\n';
        (void)alarm(120);
        _exit(write_all(fd, big, length) < 0);
    }
    wait_child(pid);
    remove_stream(0);
    char *text = read_output(0, &n);
    assert_int_equal(n, 3 + length);
    assert_memory_equal(text, "abcyyy", 6);
    assert_int_equal(text[n - 1], '\n');
    free(text);
    (void)close(fd);
}

static void test_new_invocation_ends_the_old_line(void **state _unused_) {
    int fd = make_fifo(0);
    start_logd();
    wait_hello();
    put(fd, "cut off");
    wait_read(fd);
    send_add_as(0, "unit0.container", "4567", fd);
    remove_stream(5); /* unknown, but answered in its turn */
    put(fd, "new\n");
    remove_stream(0);
    assert_output(0, "cut off\nnew\n");
    (void)close(fd);
}

static void test_known_fifo_under_another_number(void **state _unused_) {
    int fd = make_fifo(0);
    start_logd();
    wait_hello();
    put(fd, "half ");
    wait_read(fd);
    send_add_as(7, "unit0.container", "0123", fd);
    put(fd, "line\n");
    rig.fifos[0] = -1;
    remove_stream(7);
    assert_output(0, "half line\n");
    (void)close(fd);
}

/* davitd and davit-init hold the open file that was sent, so it outlives the stream. */
static void test_a_fifo_that_was_removed_comes_again(void **state _unused_) {
    int fd = make_fifo(0);
    start_logd();
    wait_hello();
    put(fd, "before\n");
    remove_stream(0);
    put(fd, "between\n");
    send_add_as(0, "unit0.container", "0123", fd);
    put(fd, "after\n");
    remove_stream(0);
    assert_output(0, "before\nbetween\nafter\n");
    assert_string_equal(rig.problem, "");
    (void)close(fd);
}

#define FLOODS 3

/* A container can pass its end on to another one. */
static void test_who_goes_on_writing_does_not_hold_up_a_removal(void **state _unused_) {
    static char lines[32 * 1024];
    pid_t pids[FLOODS];

    memset(lines, '\n', sizeof lines);
    int fd = make_fifo(0), writer = writer_of(0);
    (void)fcntl(fd, F_SETPIPE_SZ, 1024 * 1024); /* never empty */
    put(fd, "its last words\n");
    for (unsigned i = 0; i < FLOODS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            while (write(writer, lines, sizeof lines) > 0)
                ;
            _exit(EXIT_FAILURE);
        }
    }
    start_logd();
    wait_hello();
    remove_stream(0);
    for (unsigned i = 0; i < FLOODS; i++) {
        assert_int_equal(waitpid(pids[i], NULL, WNOHANG), 0); /* is still at it */
        (void)kill(pids[i], SIGKILL);
        (void)waitpid(pids[i], NULL, 0);
    }
    (void)close(writer);
    (void)close(fd);
}

/* Ten are its own, and each unit takes one for its FIFO and one for its file. */
static void test_a_unit_more_than_descriptors_is_read_too(void **state _unused_) {
    rig.files_max = 20;
    start_logd();
    wait_hello();
    for (unsigned stream = 0; stream < STREAMS_MAX; stream++) {
        int fd = make_fifo(stream);
        send_add(stream);
        put(fd, "all of them\n");
        wait_read(fd);
        assert_output(stream, "all of them\n");
    }
    put(rig.fifos[0], "the first as well\n");
    wait_read(rig.fifos[0]);
    assert_output(0, "all of them\nthe first as well\n");
}

static void test_unknown_stream_is_answered(void **state _unused_) {
    start_logd();
    wait_hello();
    remove_stream(5);
}

static void test_broken_messages_change_nothing(void **state _unused_) {
    uint8_t junk[200];
    int fd = make_fifo(0);
    start_logd();
    wait_hello();
    for (unsigned i = 0; i < 300; i++) {
        for (size_t j = 0; j < sizeof junk; j++)
            junk[j] = (uint8_t)rand();
        memcpy(junk, &(uint32_t){i % 6}, 4);
        if (i % 6 == LOGD_REMOVE) /* could be right by chance */
            memset(junk + 4, 0xff, 8);
        assert_true(send(rig.ends[0], junk, 1 + (size_t)rand() % sizeof junk, 0) > 0);
    }
    put(fd, "still here\n");
    remove_stream(0);
    assert_output(0, "still here\n");
    (void)close(fd);
}

static void test_rotation_keeps_every_line(void **state _unused_) {
    struct stat st;
    rig.max_size = 256 * 1024;
    rig.max_files = 200;
    make_fifo(0);
    start_logd();
    wait_hello();
    wait_child(start_writer(0, 100000, 0, 0));
    remove_stream(0);
    assert_numbered(0, 100000);
    assert_int_equal(fstatat(rig.logs, "unit0.container.log.10", &st, 0), 0);
    assert_true(st.st_size <= 256 * 1024 && st.st_size > 100 * 1024);
}

static void test_rotation_keeps_no_more_files_than_asked(void **state _unused_) {
    struct stat st;
    rig.max_size = 256 * 1024;
    rig.max_files = 3;
    make_fifo(0);
    start_logd();
    wait_hello();
    wait_child(start_writer(0, 50000, 0, 0));
    remove_stream(0);
    assert_int_equal(fstatat(rig.logs, "unit0.container.log.2", &st, 0), 0);
    assert_int_equal(fstatat(rig.logs, "unit0.container.log.3", &st, 0), -1);
}

static void test_term_drains_and_leaves_half_lines_for_the_next(void **state _unused_) {
    int fd = make_fifo(0);
    start_logd();
    wait_hello();
    put(fd, "one\ntwo\nthr");
    (void)usleep(20000);
    assert_int_equal(end_logd(SIGTERM), 0);
    put(fd, "ee\nfour\n");
    start_logd();
    wait_hello();
    remove_stream(0);
    assert_output(0, "one\ntwo\nthree\nfour\n");
    (void)close(fd);
}

/* Kills at random moments, with writers of every habit and rotation going on. */
static void kill_often(unsigned kills) {
    const unsigned long count = 60000;
    const size_t chunks[] = {0, 1, 4096, 70000};
    const unsigned long counts[] = {count, 2000, count, count};
    pid_t writers[ARRAY_SIZE(chunks)];

    rig.max_size = 512 * 1024;
    rig.max_files = 500;
    for (unsigned i = 0; i < ARRAY_SIZE(chunks); i++) {
        make_fifo(i);
        writers[i] = start_writer(i, counts[i], chunks[i], 100);
    }
    srand((unsigned)getpid());
    for (unsigned i = 0; i < kills; i++) {
        start_logd();
        if (rand() % 10 > 0)
            wait_hello();
        (void)usleep((unsigned)rand() % 8000);
        (void)end_logd(SIGKILL);
    }
    start_logd();
    wait_hello();
    for (unsigned i = 0; i < ARRAY_SIZE(chunks); i++)
        wait_child(writers[i]);
    for (unsigned i = 0; i < ARRAY_SIZE(chunks); i++)
        remove_stream(i);
    for (unsigned i = 0; i < ARRAY_SIZE(chunks); i++)
        assert_numbered(i, counts[i]);
}

static void test_200_kills(void **state _unused_) {
    kill_often(200);
}

/* Kills at each system call's entry and exit in turn: every point at which the kernel has done something and
 * davit-logd has not yet noted it. Returns false when it ended without reaching that many. */
static bool run_to_stop(unsigned stops) {
    int status;
    uint64_t stream;

    rig.pid = fork();
    assert_true(rig.pid >= 0);
    if (rig.pid == 0) {
        (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        (void)raise(SIGSTOP);
        exec_logd();
    }
    assert_int_equal(waitpid(rig.pid, &status, 0), rig.pid);
    (void)ptrace(
        PTRACE_SETOPTIONS, rig.pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC);
    int pass = 0;
    for (unsigned seen = 0, execed = 0; seen < stops;) {
        (void)ptrace(PTRACE_SYSCALL, rig.pid, NULL, (long)pass);
        pass = 0;
        assert_int_equal(waitpid(rig.pid, &status, 0), rig.pid);
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            rig.pid = 0;
            return false;
        }
        if (status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXEC << 8)))
            execed = 1;
        else if (WSTOPSIG(status) != (SIGTRAP | 0x80))
            pass = WSTOPSIG(status);
        else if (execed)
            seen++;
        (void)next_answer(0, &stream);
    }
    (void)end_logd(SIGKILL);
    return true;
}

/* Data that takes all paths: a rest from the time before, lines, a long rest, a line in pieces. */
static void preload(int fd) {
    char big[60000];
    memset(big, 'z', sizeof big);
    memcpy(big, "0 a\n1 b\n2 c\n3 ", 14);
    assert_int_equal(write(fd, big, sizeof big), sizeof big);
}

static void finish(int fd, unsigned stops) {
    char expected[64];
    size_t n;

    put(fd, "!\n4 d\n5 e");
    start_logd();
    wait_hello();
    remove_stream(0);
    char *text = read_output(0, &n);
    (void)snprintf(expected, sizeof expected, "0 a\n1 b\n2 c\n3 zzz");
    if (n != 60000 + 9 + 1 || memcmp(text, expected, strlen(expected)) != 0 ||
        !streq(text + n - 11, "z!\n4 d\n5 e\n"))
        fail_msg(
            "killed at stop %u: %zu bytes, \"%.20s...%s\"", stops, n, text, text + (n > 20 ? n - 20 : 0));
    free(text);
    assert_int_equal(end_logd(SIGTERM), 0);
    assert_int_equal(unlinkat(rig.logs, "unit0.container.log", 0), 0);
    (void)close(fd);
}

static void drain_answers(void) {
    uint8_t data[LOGD_MESSAGE_MAX];
    for (int i = 0; i < 2; i++)
        while (recv(rig.ends[i], data, sizeof data, MSG_DONTWAIT) > 0)
            ;
}

/* One message at a time: the tracer would wait for ever for room in a queue that davit-logd, stopped by it, does not
 * read. */
static _noreturn_ void wake_logd(void) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int unread = 1;; (void)usleep(3000))
        if (ioctl(rig.ends[0], SIOCOUTQ, &unread) == 0 && unread == 0)
            send_remove(6);
}

static void test_killed_at_every_system_call(void **state _unused_) {
    unsigned stops;

    /* After some 200 stops it has written everything and sleeps in epoll_wait: SIGALRM-free end by the limit.
     */
    for (stops = 1; stops < 400; stops++) {
        int fd = make_fifo(0);
        preload(fd);
        drain_answers();
        /* At the entry of the epoll_wait that finds nothing the tracer would wait for ever: something always
         * comes. */
        pid_t waker = fork();
        if (waker == 0)
            wake_logd();
        bool reached = run_to_stop(stops);
        (void)kill(waker, SIGKILL);
        (void)waitpid(waker, NULL, 0);
        drain_answers();
        if (!reached)
            fail_msg("davit-logd ended by itself");
        finish(fd, stops);
    }
}

static void test_full_disk_loses_nothing(void **state _unused_) {
    char path[128], junk[4096] = {};
    struct stat st;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        print_message("no mount namespace to be had\n");
        skip();
    }
    (void)snprintf(path, sizeof path, "%s/logs", rig.directory);
    assert_int_equal(mount("tmpfs", path, "tmpfs", 0, "size=1M,mode=0700"), 0);
    (void)close(rig.logs);
    rig.logs = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int ballast = openat(rig.logs, "ballast", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    for (int i = 0; i < 200; i++)
        (void)!write(ballast, junk, sizeof junk);

    make_fifo(0);
    start_logd();
    wait_hello();
    pid_t writer = start_writer(0, 8000, 0, 0); /* 560 kB */
    uint64_t stream;
    while (rig.problem[0] == '\0')
        assert_int_not_equal(next_answer(ANSWER_MSEC, &stream), 0);
    assert_non_null(strstr(rig.problem, "No space left"));
    assert_int_equal(waitpid(writer, NULL, WNOHANG), 0); /* it waits */
    (void)end_logd(SIGKILL);
    start_logd();
    wait_hello();
    assert_int_equal(ftruncate(ballast, 0), 0);
    wait_child(writer);
    remove_stream(0);
    assert_numbered(0, 8000);
    assert_int_equal(fstatat(rig.logs, "unit0.container.log", &st, 0), 0);
    (void)close(ballast);
    (void)close(rig.logs);
    rig.logs = -1;
    (void)umount2(path, MNT_DETACH);
}

/* ---- the journal ---- */

/* A mount namespace in which /run/systemd/journal is ours. */
static void private_journal(void) {
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, "mode=0755") < 0) {
        print_message("no mount namespace to be had\n");
        skip();
    }
    assert_int_equal(mkdir_parents(AT_FDCWD, "/run/systemd/journal", 0755), 0);
    rig.sink = "auto";
}

static int bind_journal(void) {
    struct sockaddr_un address;
    socklen_t length;
    assert_int_equal(socket_address(JOURNAL_SOCKET, &address, &length), 0);
    (void)unlink(JOURNAL_SOCKET);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(chmod(JOURNAL_SOCKET, 0666), 0);
    return fd;
}

/* The number a received entry's MESSAGE starts with; -1 when none came. */
static long receive_entry(int fd, int msec, char *ret_entry) {
    static char data[300000];
    struct pollfd p = {.fd = fd, .events = POLLIN};

    if (poll(&p, 1, msec) <= 0)
        return -1;
    ssize_t n = recv(fd, data, sizeof data - 1, 0);
    assert_true(n > 0);
    data[n] = '\0';
    assert_memory_equal(data, "MESSAGE=", 8);
    if (ret_entry)
        (void)snprintf(ret_entry, 512, "%.511s", data);
    return strtol(data + 8, NULL, 10);
}

static void test_journal_fields(void **state _unused_) {
    char entry[512];
    private_journal();
    int journal = bind_journal();
    int fd = make_fifo(0);
    put(fd, "<4>7 lines\n8\n");
    start_logd();
    wait_hello();
    assert_int_equal(receive_entry(journal, ANSWER_MSEC, entry), 7);
    assert_string_equal(entry, "MESSAGE=7 lines\nPRIORITY=4\nSYSLOG_IDENTIFIER=ident\nUNIT=unit0.container\n"
                               "CONTAINER_NAME=box\nINVOCATION_ID=0123\n");
    assert_int_equal(receive_entry(journal, ANSWER_MSEC, entry), 8);
    assert_non_null(strstr(entry, "\nPRIORITY=6\n"));
    (void)close(journal);
}

/* davit-logd with one stream, and its journal: this test, which reads or does not. */
static int start_with_journal(void) {
    private_journal();
    int journal = bind_journal();
    make_fifo(0);
    start_logd();
    wait_hello();
    return journal;
}

/* journald that reads slowly, stops reading, dies and comes back: lines wait in the FIFO meanwhile. */
static void test_slow_and_restarted_journal(void **state _unused_) {
    const long count = 3000;
    long expected = 0;
    int status;

    int journal = start_with_journal();
    pid_t writer = start_writer(0, (unsigned long)count, 0, 0);
    (void)usleep(200000); /* its queue is full now */
    while (expected < count) {
        long number = receive_entry(journal, ANSWER_MSEC, NULL);
        assert_int_equal(number, expected);
        expected++;
        if (expected % 1000 == 0) {
            /* What stands in the queue of a dying journald is its own loss: empty it first, without room for
             * more. */
            (void)kill(rig.pid, SIGSTOP);
            assert_int_equal(
                waitpid(rig.pid, &status, WUNTRACED), rig.pid); /* it may be in the middle of a send */
            assert_true(WIFSTOPPED(status));
            while ((number = receive_entry(journal, 0, NULL)) >= 0)
                assert_int_equal(number, expected++);
            (void)close(journal);
            (void)unlink(JOURNAL_SOCKET);
            (void)kill(rig.pid, SIGCONT);
            (void)usleep(100000);
            journal = bind_journal();
        }
    }
    wait_child(writer);
    (void)close(journal);
}

static void wait_problem(const char *text) {
    uint64_t stream;

    while (!strstr(rig.problem, text) || (*text == '\0' && rig.problem[0] != '\0'))
        assert_int_not_equal(next_answer(ANSWER_MSEC, &stream), 0);
}

static void test_a_journal_that_takes_nothing_is_told_and_davitd_is_answered(void **state _unused_) {
    const uint32_t question = LOGD_ASK;
    const long count = 3000;
    uint64_t stream;

    int journal = start_with_journal();
    pid_t writer = start_writer(0, (unsigned long)count, 0, 0);
    wait_problem("journald takes nothing");
    assert_int_equal(send(rig.ends[0], &question, sizeof question, 0), sizeof question);
    assert_int_equal(next_answer(ANSWER_MSEC, &stream), LOGD_STATS);
    for (long expected = 0; expected < count; expected++)
        assert_int_equal(receive_entry(journal, ANSWER_MSEC, NULL), expected);
    wait_problem("");
    wait_child(writer);
    (void)close(journal);
}

static bool journal_has_room(void) {
    struct sockaddr_un address;
    socklen_t length;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_int_equal(socket_address(JOURNAL_SOCKET, &address, &length), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, length), 0);
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) == 1;
}

/* The next stop of davit-logd, which is seized. */
static int wait_stop(void) {
    int status;

    assert_int_equal(waitpid(rig.pid, &status, __WALL), rig.pid);
    assert_true(WIFSTOPPED(status));
    return WSTOPSIG(status);
}

/* From a stop up to where it is about to read what davitd has sent: something has to be there for it to read. */
static void run_to_message(void) {
    struct __ptrace_syscall_info call = {};

    while (call.op != PTRACE_SYSCALL_INFO_ENTRY || call.entry.nr != SYS_recvmsg) {
        assert_return_code(ptrace(PTRACE_SYSCALL, rig.pid, NULL, 0L), errno);
        call.op = PTRACE_SYSCALL_INFO_NONE;
        if (wait_stop() == (SIGTRAP | 0x80))
            assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, rig.pid, sizeof call, &call) > 0);
    }
}

/* While the journal is full, a message of davitd's that would have output written finds the journal gone, and a new
 * one there. A new connection then would have no event that ends the wait. */
static void test_a_new_invocation_while_the_journal_is_full(void **state _unused_) {
    const long count = 3000;
    long expected = 0, number;

    private_journal();
    int journal = bind_journal();
    make_fifo(0);
    start_logd();
    if (ptrace(PTRACE_SEIZE, rig.pid, NULL, (long)PTRACE_O_TRACESYSGOOD) < 0) {
        print_message("no ptrace to be had\n");
        skip();
    }
    wait_hello();
    pid_t writer = start_writer(0, (unsigned long)count, 0, 0);
    while (journal_has_room())
        (void)usleep(1000);
    assert_return_code(ptrace(PTRACE_INTERRUPT, rig.pid, NULL, 0L), errno);
    (void)wait_stop();
    send_add_as(0, "unit0.container", "4567", rig.fifos[0]);
    run_to_message();
    while ((number = receive_entry(journal, 0, NULL)) >= 0)
        assert_int_equal(number, expected++);
    (void)close(journal);
    journal = bind_journal();
    assert_return_code(ptrace(PTRACE_DETACH, rig.pid, NULL, 0L), errno);
    for (; expected < count; expected++)
        assert_int_equal(receive_entry(journal, ANSWER_MSEC, NULL), expected);
    wait_child(writer);
    (void)close(journal);
}

static void test_journal_kills(void **state _unused_) {
    const long count = 30000;
    const unsigned kills = 100;

    private_journal();
    int journal = bind_journal();
    make_fifo(0);
    pid_t writer = start_writer(0, (unsigned long)count, 4096, 0);
    pid_t reader = fork();
    if (reader == 0) {
        for (long expected = 0; expected < count; expected++)
            if (receive_entry(journal, ANSWER_MSEC, NULL) != expected)
                _exit(1);
        _exit(receive_entry(journal, 200, NULL) >= 0);
    }
    for (unsigned i = 0; i < kills; i++) {
        start_logd();
        wait_hello();
        (void)usleep((unsigned)rand() % 5000);
        (void)end_logd(SIGKILL);
    }
    start_logd();
    wait_hello();
    wait_child(writer);
    wait_child(reader);
    (void)close(journal);
}

static bool output_of_command(const char *command, const char *wanted) {
    char data[4096];
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(data, 1, sizeof data - 1, f);
    (void)pclose(f);
    data[n] = '\0';
    return strstr(data, wanted) != NULL;
}

/* The real one, by hand, in a mount namespace. */
static void test_real_journald(void **state _unused_) {
    const char *journald = "/lib/systemd/systemd-journald";
    struct stat st;

    if (access(journald, X_OK) < 0 || access("/usr/bin/journalctl", X_OK) < 0) {
        print_message("no systemd-journald here\n");
        skip();
    }
    private_journal();
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_RDWR);
        (void)dup2(null, 1);
        (void)dup2(null, 2);
        (void)execl(journald, journald, NULL);
        _exit(127);
    }
    bool runs = true;
    for (int i = 0; runs && i < ANSWER_MSEC / 10 && stat(JOURNAL_SOCKET, &st) < 0; i++) {
        (void)usleep(10000);
        runs = waitpid(pid, NULL, WNOHANG) == 0;
    }
    if (stat(JOURNAL_SOCKET, &st) < 0) {
        if (runs) {
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, NULL, 0);
        }
        print_message("systemd-journald does not start here\n");
        skip();
    }
    int fd = make_fifo(0);
    put(fd, "<3>what the container said\n");
    start_logd();
    wait_hello();
    bool found = false;
    for (int i = 0; i < ANSWER_MSEC / 50 && !found; i++) {
        (void)usleep(50000);
        found = output_of_command("journalctl --directory=/run/log/journal -o export UNIT=unit0.container "
                                  "PRIORITY=3 CONTAINER_NAME=box "
                                  "INVOCATION_ID=0123 SYSLOG_IDENTIFIER=ident 2>&1",
            "MESSAGE=what the container said\n");
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    assert_true(found);
}

/* ---- what it costs to have it ---- */

static unsigned long switches_of(pid_t pid) {
    char path[64], *text, *p;
    unsigned long sum = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", pid);
    assert_int_equal(file_read(AT_FDCWD, path, 65536, &text, NULL), 0);
    for (p = text; (p = strstr(p, "ctxt_switches:")); p++)
        sum += strtoul(p + 14, NULL, 10);
    free(text);
    return sum;
}

static void test_unprivileged_and_idle(void **state _unused_) {
    char path[64], *text;
    int fd = make_fifo(0);
    start_logd();
    wait_hello();
    put(fd, "x\n");
    wait_read(fd);
    (void)snprintf(path, sizeof path, "/proc/%d/status", rig.pid);
    assert_int_equal(file_read(AT_FDCWD, path, 65536, &text, NULL), 0);
    if (geteuid() == 0) {
        assert_null(strstr(text, "Uid:\t0"));
        assert_null(strstr(text, "Gid:\t0"));
    }
    assert_non_null(strstr(text, "CapEff:\t0000000000000000"));
    assert_non_null(strstr(text, "CapPrm:\t0000000000000000"));
    assert_non_null(strstr(text, "CapBnd:\t0000000000000000"));
    assert_non_null(strstr(text, "NoNewPrivs:\t1"));
    free(text);
    /* A second later it gives memory back. */
    unsigned long before = 0;
    for (int i = 0; i < 20 && before != switches_of(rig.pid); i++) {
        before = switches_of(rig.pid);
        (void)usleep(1500000);
    }
    (void)sleep(3);
    assert_int_equal(switches_of(rig.pid), before);
    (void)close(fd);
    rig.fifos[0] = -1;
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_lines_reach_the_file),
        T(test_two_units_do_not_mix),
        T(test_long_line_after_a_partial_one),
        T(test_new_invocation_ends_the_old_line),
        T(test_known_fifo_under_another_number),
        T(test_a_fifo_that_was_removed_comes_again),
        T(test_who_goes_on_writing_does_not_hold_up_a_removal),
        T(test_a_unit_more_than_descriptors_is_read_too),
        T(test_unknown_stream_is_answered),
        T(test_broken_messages_change_nothing),
        T(test_rotation_keeps_every_line),
        T(test_rotation_keeps_no_more_files_than_asked),
        T(test_term_drains_and_leaves_half_lines_for_the_next),
        T(test_unprivileged_and_idle),
        T(test_killed_at_every_system_call),
        T(test_200_kills),
        /* From here on in a mount namespace of their own. */
        T(test_full_disk_loses_nothing),
        T(test_journal_fields),
        T(test_slow_and_restarted_journal),
        T(test_a_journal_that_takes_nothing_is_told_and_davitd_is_answered),
        T(test_a_new_invocation_while_the_journal_is_full),
        T(test_journal_kills),
        T(test_real_journald),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    srand(1);
    return cmocka_run_group_tests_name("davit-logd", tests, NULL, NULL);
}
