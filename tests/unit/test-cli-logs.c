/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading container logs: records, pieces of lines, rotation under the reader, the last lines, many units in
 * order. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/fs.h"
#include "cli/logs.h"

struct place {
    char path[32];
    int fd;
};

static int setup(void **state) {
    struct place *p = calloc(1, sizeof(*p));
    (void)snprintf(p->path, sizeof(p->path), "/tmp/davit-test-XXXXXX");
    if (!mkdtemp(p->path))
        return -1;
    p->fd = open(p->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    *state = p;
    return 0;
}

static int teardown(void **state) {
    struct place *p = *state;
    (void)close(p->fd);
    int r = remove_tree(AT_FDCWD, p->path);
    free(p);
    return r;
}

static void append(struct place *p, const char *name, const char *text) {
    int fd = openat(p->fd, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
    (void)close(fd);
}

/* A record of second n with tag. */
static void record(struct place *p, const char *name, unsigned n, const char *tag, const char *text) {
    char line[256];
    (void)snprintf(
        line, sizeof(line), "2026-11-21T05:%02u:%02u.000001000Z stdout %s %s\n", n / 60, n % 60, tag, text);
    append(p, name, line);
}

static void expect_next(struct cri_reader *r, const char *text) {
    struct log_entry e;
    assert_int_equal(cri_reader_next(r, &e), 1);
    _cleanup_free_ char *got = strndup(e.text, e.length);
    assert_string_equal(got, text);
}

static void expect_end(struct cri_reader *r) {
    struct log_entry e;
    assert_int_equal(cri_reader_next(r, &e), 0);
}

static void a_record_is_taken_apart(void **state _unused_) {
    static const struct {
        const char *line, *text, *stream;
        bool partial, has_time;
    } cases[] = {
        {"2026-11-21T05:46:11.123456000Z stdout F hello  world ", "hello  world ", "stdout", false, true},
        {"2026-11-21T05:46:11.123456000Z stderr P x", "x", "stderr", true, true},
        {"2026-11-21T05:46:11.123456000Z stdout F ", "", "stdout", false, true},
        {"2026-11-21T05:46:11.123456000Z stdout F", "", "stdout", false, true},
        {"2026-11-21T05:46:11.123456000Z stdout F:x y", "y", "stdout", false, true},
        {"no record at all", "no record at all", NULL, false, false},
        {"2026-11-21T05:46:11.123456000Z stdout X y", "2026-11-21T05:46:11.123456000Z stdout X y", NULL,
            false, false},
        {"", "", NULL, false, false},
        {" ", " ", NULL, false, false},
        {"a b c", "a b c", NULL, false, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct log_entry e;
        bool partial;
        cri_parse(cases[i].line, strlen(cases[i].line), &e, &partial);
        _cleanup_free_ char *got = strndup(e.text, e.length);
        assert_string_equal(got, cases[i].text);
        assert_int_equal(partial, cases[i].partial);
        assert_int_equal(e.time > 0, cases[i].has_time);
        if (cases[i].stream)
            assert_string_equal(e.stream, cases[i].stream);
    }
}

static void pieces_become_one_line(void **state) {
    struct place *p = *state;
    struct cri_reader r;
    struct log_entry e;
    record(p, "a.container.log", 1, "P", "one ");
    record(p, "a.container.log", 2, "P", "line ");
    record(p, "a.container.log", 3, "F", "only");
    record(p, "a.container.log", 4, "P", "");
    record(p, "a.container.log", 5, "F", "");
    record(p, "a.container.log", 6, "P", "unfinished");
    assert_int_equal(cri_reader_init(&r, p->fd, "a.container"), 0);
    assert_int_equal(cri_reader_next(&r, &e), 1);
    assert_int_equal(e.length, strlen("one line only"));
    assert_int_equal(e.time / USEC_PER_SEC % 60, 1); /* when it began */
    expect_next(&r, "");
    expect_end(&r);
    assert_int_equal(cri_reader_rest(&r, &e), 1);
    assert_memory_equal(e.text, "unfinished", e.length);
    assert_int_equal(cri_reader_rest(&r, &e), 0);
    cri_reader_done(&r);
}

/* For one reader from the beginning to the end, and for readers that each begin anew. */
enum { ROTATIONS = 200, ROTATIONS_ANEW = 120 };

/* As davit-logd does it: the oldest name first. A line a file. *written: how many there are, for others to see. */
static _Noreturn void write_and_rotate(struct place *p, unsigned rotations, atomic_uint *written) {
    char text[16], from[32], to[32];

    for (unsigned n = 1; n <= rotations; n++) {
        for (unsigned k = n - 1; k > 0; k--) {
            (void)snprintf(from, sizeof(from), k > 1 ? "a.container.log.%u" : "a.container.log", k - 1);
            (void)snprintf(to, sizeof(to), "a.container.log.%u", k);
            if (renameat(p->fd, from, p->fd, to) < 0)
                _exit(1);
        }
        (void)snprintf(text, sizeof(text), "%u", n);
        record(p, "a.container.log", n, "F", text);
        *written = n;
    }
    _exit(0);
}

static pid_t start_writer(struct place *p, unsigned rotations, atomic_uint **ret_written) {
    atomic_uint *written =
        mmap(NULL, sizeof(*written), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(written != MAP_FAILED);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        write_and_rotate(p, rotations, written);
    *ret_written = written;
    return pid;
}

/* Between the reader's look at the names and its opening one of them they move on. */
static void no_file_is_passed_over_while_names_move_on(void **state) {
    struct place *p = *state;
    struct cri_reader r;
    struct log_entry e;
    unsigned next = 1;
    atomic_uint *written;
    bool ended = false;
    int status = 0;

    pid_t pid = start_writer(p, ROTATIONS, &written);
    assert_int_equal(cri_reader_init(&r, p->fd, "a.container"), 0);
    while (next <= ROTATIONS) {
        int k = cri_reader_next(&r, &e);
        assert_true(k >= 0);
        if (k > 0) {
            _cleanup_free_ char *got = strndup(e.text, e.length);
            assert_int_equal(atoi(got), next);
            next++;
            continue;
        }
        assert_false(ended); /* nobody writes any more, and there is nothing left */
        ended = waitpid(pid, &status, WNOHANG) == pid;
    }
    if (!ended)
        assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    cri_reader_done(&r);
    (void)munmap(written, sizeof(*written));
}

/* The number of the last line that there is from here on, where there are that many. */
static unsigned read_to_the_end(struct cri_reader *r, unsigned first) {
    struct log_entry e;
    unsigned n = 0;
    int k;

    while ((k = cri_reader_next(r, &e)) > 0) {
        _cleanup_free_ char *got = strndup(e.text, e.length);
        assert_true(n == 0 ? (unsigned)atoi(got) >= first : (unsigned)atoi(got) == n + 1);
        n = (unsigned)atoi(got);
    }
    assert_int_equal(k, 0);
    return n;
}

/* `davit logs` does not come again, as `davit logs -f` does. */
static void who_looks_once_has_all_while_names_move_on(void **state) {
    struct place *p = *state;
    struct cri_reader r;
    atomic_uint *written;
    int status = 0;

    pid_t pid = start_writer(p, ROTATIONS_ANEW, &written);
    for (bool ended = false; !ended;) {
        ended = waitpid(pid, &status, WNOHANG) == pid;
        unsigned there = *written;
        assert_int_equal(cri_reader_init(&r, p->fd, "a.container"), 0);
        assert_true(read_to_the_end(&r, 1) >= there);
        cri_reader_done(&r);

        there = *written;
        assert_int_equal(cri_reader_init(&r, p->fd, "a.container"), 0);
        assert_int_equal(cri_reader_seek_tail(&r, 1), 0);
        assert_true(read_to_the_end(&r, there) >= there);
        cri_reader_done(&r);
    }
    assert_int_equal(status, 0);
    (void)munmap(written, sizeof(*written));
}

static void rotated_files_come_first_and_in_order(void **state) {
    struct place *p = *state;
    struct cri_reader r;
    record(p, "a.container.log.10", 1, "F", "1"); /* not 10 files: those between were removed */
    record(p, "a.container.log.2", 2, "F", "2");
    record(p, "a.container.log.1", 3, "P", "3");
    record(p, "a.container.log", 4, "F", "4");
    record(p, "a.container.log", 5, "F", "5");
    assert_int_equal(cri_reader_init(&r, p->fd, "a.container"), 0);
    expect_next(&r, "2");
    expect_next(&r, "34"); /* a line may lie across the border */
    expect_next(&r, "5");
    expect_end(&r);
    cri_reader_done(&r);
}

static void rotate(struct place *p) {
    for (int i = 200; i >= 0; i--) {
        char from[40], to[40];
        (void)snprintf(from, sizeof(from), i ? "a.container.log.%d" : "a.container.log", i);
        (void)snprintf(to, sizeof(to), "a.container.log.%d", i + 1);
        (void)renameat(p->fd, from, p->fd, to);
    }
}

static void nothing_is_lost_when_files_rotate_under_the_reader(void **state) {
    struct place *p = *state;
    struct cri_reader r;
    char text[16];
    unsigned written = 0, seen = 0;

    assert_int_equal(cri_reader_init(&r, p->fd, "a.container"), 0);
    expect_end(&r); /* nothing yet */
    srandom(3);
    for (int round = 0; round < 400; round++) {
        /* Several rotations between two looks, and lines on both sides of each. */
        for (long k = random() % 8; k > 0; k--) {
            (void)snprintf(text, sizeof(text), "%u", written);
            record(p, "a.container.log", written++ % 3600, "F", text);
            if (random() % 5 == 0)
                rotate(p);
        }
        struct log_entry e;
        long stop = random() % 10; /* not always to the end */
        while (stop-- > 0 && cri_reader_next(&r, &e) > 0) {
            (void)snprintf(text, sizeof(text), "%u", seen++);
            assert_int_equal(e.length, strlen(text));
            assert_memory_equal(e.text, text, e.length);
        }
    }
    struct log_entry e;
    while (cri_reader_next(&r, &e) > 0)
        seen++;
    assert_int_equal(seen, written);
    cri_reader_done(&r);
}

static void a_record_in_the_making_is_waited_for(void **state) {
    struct place *p = *state;
    struct cri_reader r;
    append(p, "a.container.log", "2026-11-21T05:46:11.000000000Z stdout F ha");
    assert_int_equal(cri_reader_init(&r, p->fd, "a.container"), 0);
    expect_end(&r);
    append(p, "a.container.log", "lf\n");
    expect_next(&r, "half");
    cri_reader_done(&r);
}

static void long_lines_are_whole(void **state) {
    struct place *p = *state;
    struct cri_reader r;
    struct log_entry e;
    char piece[200];
    memset(piece, 'x', sizeof(piece) - 1);
    piece[sizeof(piece) - 1] = 0;
    for (int i = 0; i < 6000; i++)
        record(p, "a.container.log", 1, i < 5999 ? "P" : "F", piece);
    record(p, "a.container.log", 2, "F", "next");
    assert_int_equal(cri_reader_init(&r, p->fd, "a.container"), 0);
    assert_int_equal(cri_reader_next(&r, &e), 1);
    assert_int_equal(e.length, 6000 * 199);
    expect_next(&r, "next");
    cri_reader_done(&r);
}

static void the_last_lines_are_found(void **state) {
    struct place *p = *state;
    char text[128];
    /* Enough for several windows, in three files, every fifth line in two pieces. */
    for (unsigned i = 0; i < 3000; i++) {
        const char *file = i < 1000   ? "a.container.log.2"
                           : i < 2000 ? "a.container.log.1"
                                      : "a.container.log";
        (void)snprintf(text, sizeof(text), "%u %080u", i, i);
        if (i % 5 == 0)
            record(p, file, i % 3600, "P", "+");
        record(p, file, i % 3600, "F", text);
    }
    static const unsigned wanted[] = {0, 1, 2, 7, 999, 1000, 1001, 2000, 2500, 3000, 5000};
    for (size_t k = 0; k < ARRAY_SIZE(wanted); k++) {
        struct cri_reader r;
        struct log_entry e;
        unsigned n = 0, first = 3000 - MIN(wanted[k], 3000U);
        assert_int_equal(cri_reader_init(&r, p->fd, "a.container"), 0);
        assert_int_equal(cri_reader_seek_tail(&r, wanted[k]), 0);
        while (cri_reader_next(&r, &e) > 0) {
            (void)snprintf(text, sizeof(text), "%s%u ", (first + n) % 5 ? "" : "+", first + n);
            assert_memory_equal(e.text, text, strlen(text));
            n++;
        }
        assert_int_equal(n, MIN(wanted[k], 3000U));
        cri_reader_done(&r);
    }
}

/* ---- many units ---- */

struct gathered {
    struct strbuf text;
    size_t stop_after, n;
    int tell; /* a byte for each, if not 0 */
};

static int gather(void *userdata, const struct log_entry *e) {
    struct gathered *g = userdata;
    strbuf_printf(&g->text, "%s:%.*s ", e->unit, (int)e->length, e->text ?: "");
    if (g->tell)
        assert_int_equal(write(g->tell, "x", 1), 1);
    return ++g->n == g->stop_after;
}

static void expect_logs(struct place *p, struct log_query query, const char *text) {
    struct gathered g = {};
    struct error e = {};
    if (query.until == 0)
        query.until = USEC_INFINITY;
    assert_int_equal(logs_read_files(p->path, &query, gather, &g, &e), 0);
    _cleanup_free_ char *got = strbuf_take(&g.text);
    assert_string_equal(got, text);
}

static usec_t second(unsigned n) {
    usec_t t;
    char text[64];
    (void)snprintf(text, sizeof(text), "2026-11-21T05:%02u:%02u.000000000Z", n / 60, n % 60);
    assert_int_equal(timestamp_parse(text, 0, &t), 0);
    return t;
}

static void units_are_merged_by_time(void **state) {
    struct place *p = *state;
    char *one[] = {(char[]){"b"}, NULL}, *both[] = {(char[]){"b"}, (char[]){"a"}, (char[]){"b"}, NULL};
    record(p, "a.log.1", 1, "F", "1");
    record(p, "a.log", 4, "F", "4");
    record(p, "a.log", 6, "F", "6");
    record(p, "b.log", 2, "F", "2");
    record(p, "b.log", 3, "F", "3");
    record(p, "b.log", 5, "P", "5");
    record(p, "c.log", 7, "F", "7");
    append(p, "unrelated", "x\n");
    expect_logs(p, (struct log_query){.lines = SIZE_MAX}, "a:1 b:2 b:3 a:4 b:5 a:6 c:7 ");
    expect_logs(p, (struct log_query){.lines = SIZE_MAX, .units = one}, "b:2 b:3 b:5 ");
    expect_logs(p, (struct log_query){.lines = SIZE_MAX, .units = both}, "a:1 b:2 b:3 a:4 b:5 a:6 ");
    expect_logs(p, (struct log_query){.lines = 3}, "b:5 a:6 c:7 ");
    expect_logs(p, (struct log_query){.lines = 0}, "");
    expect_logs(p, (struct log_query){.lines = 100}, "a:1 b:2 b:3 a:4 b:5 a:6 c:7 ");
    expect_logs(p, (struct log_query){.lines = SIZE_MAX, .since = second(3), .until = second(5) + 999999},
        "b:3 a:4 b:5 ");
    expect_logs(p, (struct log_query){.lines = 2, .until = second(5)}, "b:3 a:4 ");
    expect_logs(p, (struct log_query){.lines = SIZE_MAX, .units = (char *[]){(char[]){"none"}, NULL}}, "");
}

static void a_missing_directory_is_said(void **state _unused_) {
    struct log_query query = {.lines = SIZE_MAX, .until = USEC_INFINITY};
    struct error e = {};
    assert_int_equal(logs_read_files("/nonexistent", &query, gather, NULL, &e), -ENOENT);
    assert_non_null(strstr(e.text, "/nonexistent"));
}

static void following_sees_new_lines_rotation_and_new_units(void **state) {
    struct place *p = *state;
    struct log_query query = {.lines = 1, .until = USEC_INFINITY, .follow = true};
    struct gathered g = {.stop_after = 5};
    struct error e = {};
    char byte;
    int seen[2], status;

    record(p, "a.container.log", 1, "F", "old");
    record(p, "a.container.log", 2, "F", "last");
    assert_int_equal(pipe2(seen, O_CLOEXEC), 0);
    g.tell = seen[1];
    pid_t writer = fork();
    if (writer == 0) {
        (void)close(seen[1]);
        (void)!read(seen[0], &byte, 1); /* "last" */
        record(p, "a.container.log", 3, "F", "new");
        rotate(p);
        record(p, "a.container.log", 4, "F", "rotated");
        (void)!read(seen[0], &byte, 1);
        (void)!read(seen[0], &byte, 1);
        record(p, "n.container.log", 5, "F", "unit");
        (void)!read(seen[0], &byte, 1);
        record(p, "a.container.log", 6, "F", "end");
        _exit(0);
    }
    assert_true(writer > 0);
    (void)alarm(60);
    assert_int_equal(logs_read_files(p->path, &query, gather, &g, &e), 0);
    (void)alarm(0);
    assert_int_equal(waitpid(writer, &status, 0), writer);
    assert_int_equal(status, 0);
    (void)close(seen[0]);
    (void)close(seen[1]);
    _cleanup_free_ char *got = strbuf_take(&g.text);
    assert_string_equal(
        got, "a.container:last a.container:new a.container:rotated n.container:unit a.container:end ");
}

/* ---- the kernel's log ---- */

static void expect_record(const char *record, const char *unit, int priority, usec_t time, const char *text) {
    _cleanup_free_ char *copy = strdup(record);
    struct log_entry e = {};

    assert_true(kernel_record_parse(copy, strlen(copy), 1000, &e));
    assert_string_equal(e.unit, unit);
    assert_int_equal(e.priority, priority);
    assert_int_equal(e.time, 1000 + time);
    assert_int_equal(e.length, strlen(text));
    assert_memory_equal(e.text, text, e.length);
}

static void records_of_the_kernel_are_read(void **state _unused_) {
    expect_record("6,339,5140900,-;NET: Registered protocol\n SUBSYSTEM=net\n", "kernel", LOG_INFO, 5140900,
        "NET: Registered protocol");
    expect_record("28,1,7,-,caller=T1;davit-init: cannot mount a: b\n", "davit-init", LOG_WARNING, 7,
        "cannot mount a: b");
    expect_record("30,1,7,-;davitd: gr\\xc3\\xbc\\x5cx\\xzz\n", "davitd", LOG_INFO, 7, "gr\xc3\xbc\\x\\xzz");
    expect_record("14,1,7,-;two words: text\n", "-", LOG_INFO, 7, "two words: text");
    expect_record("14,1,7,-;no newline \\x4", "-", LOG_INFO, 7, "no newline \\x4");
    expect_record("14,1,7,-;\n", "-", LOG_INFO, 7, "");
    static const char *const broken[] = {"", "6,1,2,-", "6,1;text", "x,1,2,-;text", "6,1,x,-;text", ";"};
    for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
        _cleanup_free_ char *copy = strdup(broken[i]);
        struct log_entry e;
        assert_false(kernel_record_parse(copy, strlen(copy), 0, &e));
    }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_record_is_taken_apart),
        TEST(pieces_become_one_line),
        TEST(no_file_is_passed_over_while_names_move_on),
        TEST(who_looks_once_has_all_while_names_move_on),
        TEST(rotated_files_come_first_and_in_order),
        TEST(nothing_is_lost_when_files_rotate_under_the_reader),
        TEST(a_record_in_the_making_is_waited_for),
        TEST(long_lines_are_whole),
        TEST(the_last_lines_are_found),
        TEST(units_are_merged_by_time),
        TEST(a_missing_directory_is_said),
        cmocka_unit_test(records_of_the_kernel_are_read),
        TEST(following_sees_new_lines_rotation_and_new_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
