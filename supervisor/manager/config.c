/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* davit.conf through a worker: `davitd --read-config FILE` writes the checked settings to a pipe. */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "manager/rooms.h"

#define TEXT_MAX (1024 * 1024)
#define ANSWER_MAX (256 * 1024)
#define WORKER_TIMEOUT (10 * USEC_PER_SEC)

struct config_reader {
    struct manager *manager;
    struct process *worker; /* NULL once it is gone */
    int pipe;
    sd_event_source *source, *timeout;
    struct strbuf answer;
    void (*done)(struct manager *m, const struct error *e, void *userdata);
    void *userdata;
};

static void reader_free(struct config_reader *c) {
    if (c->worker)
        process_abandon(c->worker);
    (void)sd_event_source_unref(c->source);
    (void)sd_event_source_unref(c->timeout);
    closep(&c->pipe);
    strbuf_free(&c->answer);
    free(c);
}

static void apply(struct manager *m, struct settings *s) {
    settings_done(&m->settings);
    m->settings = *s;
    log_set_level(m->boot.log_level >= 0 ? m->boot.log_level : s->log_level);
    logs_settings_changed(m);
    keeper_notify(m, "X_DAVIT_WATCHDOG=%llu,%llu,%llu", (unsigned long long)s->watchdog_timeout,
        (unsigned long long)s->watchdog_reboot_timeout, (unsigned long long)s->watchdog_kexec_timeout);
    int r = saved_write_settings(m);
    if (r < 0)
        (void)log_errno(LOG_WARNING, r, "Saving the settings in %s/state", m->paths.runtime);
}

/* No line has anything but blanks and a comment to its end. */
static bool has_comments_only(char *text) {
    for (char *line; (line = strsep(&text, "\n"));) {
        line = strstrip(line);
        if (*line && *line != '#' && !startswith(line, "//"))
            return false;
    }
    return true;
}

bool config_says_nothing(struct manager *m) {
    _cleanup_free_ char *text = NULL;
    struct settings s;
    size_t n = 0;

    int r = file_read(AT_FDCWD, m->paths.config, TEXT_MAX, &text, &n);
    if (r != -ENOENT && (r < 0 || strlen(text) != n || !has_comments_only(text)))
        return false;
    settings_init(&s);
    apply(m, &s);
    return true;
}

static void finish(struct config_reader *c, const struct error *e) {
    struct manager *m = c->manager;
    void (*done)(struct manager *, const struct error *, void *) = c->done;
    void *userdata = c->userdata;
    struct error copy = e ? *e : (struct error){};

    reader_free(c);
    done(m, copy.number != 0 ? &copy : NULL, userdata);
}

static void on_answer(struct config_reader *c) {
    struct settings s;
    struct error e = {};

    if (strbuf_failed(&c->answer))
        (void)error_set(&e, ENOMEM, "%s: out of memory", c->manager->paths.config);
    else if (c->answer.length == 0)
        (void)error_set(&e, EIO, "%s: its reader ended without an answer", c->manager->paths.config);
    else if (settings_decode(c->answer.data, c->answer.length, &s, &e) >= 0)
        apply(c->manager, &s);
    finish(c, &e);
}

static int on_pipe(_unused_ sd_event_source *s, int fd, _unused_ uint32_t events, void *userdata) {
    struct config_reader *c = userdata;
    char buffer[4096];

    ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n > 0 && c->answer.length + (size_t)n <= ANSWER_MAX) {
        strbuf_append(&c->answer, buffer, (size_t)n);
        return 0;
    }
    on_answer(c);
    return 0;
}

static int on_timeout(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
    struct config_reader *c = userdata;
    struct error e = {};

    if (c->worker)
        (void)process_kill(c->worker, SIGKILL);
    (void)error_set(&e, ETIMEDOUT, "%s: its reader does not end", c->manager->paths.config);
    finish(c, &e);
    return 0;
}

static void on_failed(struct process *p, const struct error *e) {
    struct config_reader *c = p->userdata;
    struct error copy = *e;

    if (p->pid == 0) {
        c->worker = NULL;
        process_free(p);
    }
    finish(c, &copy);
}

/* What it wrote is in the pipe; the pipe's end tells when that is all. */
static void on_exited(struct process *p, _unused_ const struct process_exit *x) {
    struct config_reader *c = p->userdata;

    c->worker = NULL;
    process_free(p);
}

static const struct process_callbacks calls = {.failed = on_failed, .exited = on_exited};

static int start_worker(struct config_reader *c, int write_fd, struct error *e) {
    struct manager *m = c->manager;
    _cleanup_free_ char *program = path_join(m->paths.libexec, "davitd");
    char word[] = "--read-config";
    char *argv[] = {program, word, m->paths.config, NULL};
    struct container_spec spec;

    if (!program)
        return error_set(e, ENOMEM, "out of memory");
    spec_init(&spec);
    spec.kind = SPEC_PROCESS;
    spec.argv = argv;
    spec.pass_fd = 0;
    return process_start(m, NULL, PROCESS_WORKER, &spec, &write_fd, 1, &calls, c, &c->worker, e);
}

int config_read(struct manager *m, void (*done)(struct manager *m, const struct error *e, void *userdata),
    void *userdata, struct error *e) {
    int fds[2];

    struct config_reader *c = calloc(1, sizeof(*c));
    if (!c)
        return error_set(e, ENOMEM, "out of memory");
    *c = (struct config_reader){.manager = m, .pipe = -1, .done = done, .userdata = userdata};
    if (pipe2(fds, O_CLOEXEC) < 0) {
        free(c);
        return error_set_errno(e, errno, "pipe");
    }
    c->pipe = fds[0];
    _cleanup_close_ int write_fd = fds[1];
    (void)fd_set_nonblock(c->pipe, true);

    int r = start_worker(c, write_fd, e);
    if (r >= 0) {
        r = sd_event_add_io(m->event, &c->source, c->pipe, EPOLLIN, on_pipe, c);
        if (r >= 0)
            r = sd_event_add_time_relative(
                m->event, &c->timeout, CLOCK_MONOTONIC, WORKER_TIMEOUT, USEC_PER_SEC, on_timeout, c);
        if (r < 0)
            (void)error_set_errno(e, r, "watching the configuration reader");
    }
    if (r < 0)
        reader_free(c);
    return r;
}
