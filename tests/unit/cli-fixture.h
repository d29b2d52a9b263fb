/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line in a child process, against a server on real sockets in this one, with fake-api.c behind
 * it. */
#pragma once

#include "control-harness.h"

#include <linux/sockios.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <utmp.h>

#include "base/clock.h"
#include "base/fs.h"
#include "cli/cli.h"

enum { CLIENT_SECONDS = 120 }; /* only a failure takes so long */

struct fixture {
    struct harness harness;
    char *directory, *units, *log;
    bool finish_jobs; /* whatever job comes is done at once */
    enum job_result result;
    const char *message;
    int status;
    char *out, *err;
};

static inline int setup(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    char directory[] = "/tmp/davit-test-XXXXXX";
    struct error e = {};
    if (!f || !mkdtemp(directory))
        return -1;
    f->directory = strdup(directory);
    f->units = strf("%s/units", directory);
    f->log = strf("%s/log", directory);
    f->harness = harness_new();
    f->harness.client = -1;
    f->harness.manager.paths.runtime = f->directory;
    f->harness.manager.paths.log = f->log;
    f->harness.manager.settings.max_clients_per_uid = 64;
    f->finish_jobs = true;
    *state = f;
    (void)alarm(300); /* a test that waits for what never comes */
    if (mkdir(f->units, 0755) < 0 || mkdir(f->log, 0755) < 0 ||
        setenv("DAVIT_RUNTIME_DIR", f->directory, 1) < 0 || setenv("DAVIT_UNIT_PATH", f->units, 1) < 0 ||
        setenv("DAVIT_LOG_DIR", f->log, 1) < 0)
        return -1;
    int r = control_new(&f->harness.manager, &e);
    f->harness.control = f->harness.manager.control;
    return r;
}

static inline int teardown(void **state) {
    struct fixture *f = *state;
    harness_end(&f->harness);
    int r = remove_tree(AT_FDCWD, f->directory);
    free(f->directory);
    free(f->units);
    free(f->log);
    free(f->out);
    free(f->err);
    free(f);
    return r;
}

static inline char *slurp(int fd) {
    char *text = NULL;
    assert_true(lseek(fd, 0, SEEK_SET) == 0);
    assert_int_equal(fd_read_all(fd, 16 * 1024 * 1024, &text, NULL), 0);
    return text;
}

static inline int temporary(struct fixture *f) {
    int fd = open(f->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

/* Runs `davit ARGUMENTS...` in a child while the server's loop runs here. */
static inline int run(struct fixture *f, const char *const *argv) {
    int argc = 0, status;
    while (argv[argc])
        argc++;
    _cleanup_close_ int out = temporary(f), err = temporary(f);
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
            _exit(254);
        (void)alarm(CLIENT_SECONDS);
        exit(cli_main(argc, (char **)(uintptr_t)argv));
    }
    assert_true(pid > 0);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        (void)sd_event_run(f->harness.manager.event, 5000);
        if (f->finish_jobs)
            fake_finish_jobs(f->result, f->message);
    }
    free(f->out);
    free(f->err);
    f->out = slurp(out);
    f->err = slurp(err);
    f->status = WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
    return f->status;
}
#define DAVIT(f, ...) run(f, (const char *[]){"davit", __VA_ARGS__, NULL})
/* With what it said, when the status is another one. */
static inline void expect_status(const struct fixture *f, int status) {
    if (f->status != status)
        fail_msg("exit status %d, not %d:\n%s\n%s", f->status, status, f->out, f->err);
}
#define EXPECT(status, f, ...) \
    do { \
        (void)DAVIT(f, __VA_ARGS__); \
        expect_status(f, status); \
    } while (0)

static inline void expect_in(const char *text, const char *part) {
    if (!strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part, text);
}
