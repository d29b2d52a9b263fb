/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager/image_worker.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/spawn.h"
#include "manager/spec_internal.h"

#define LINE_MAX_BYTES (64 * 1024)

struct image_worker {
    struct process *process; /* NULL once it is gone */
    int pipe;
    sd_event_source *source;
    struct strbuf line;
    struct error error;
    const struct image_worker_calls *calls;
    void *userdata;
};

static void worker_free(struct image_worker *w) {
    if (w->process)
        process_abandon(w->process);
    (void)sd_event_source_unref(w->source);
    closep(&w->pipe);
    strbuf_free(&w->line);
    free(w);
}

void image_worker_cancel(struct image_worker *w) {
    if (w->process)
        (void)process_kill(w->process, SIGTERM);
    worker_free(w);
}

static void finish(struct image_worker *w) {
    w->calls->ended(w->userdata, w->error.number != 0 ? &w->error : NULL);
    worker_free(w);
}

/* ---- what it says ---- */

static void take_error(struct image_worker *w, json_t *event) {
    const char *text = json_string_value(json_object_get(event, "text"));
    json_int_t number = json_integer_value(json_object_get(event, "number"));

    (void)error_set(&w->error, number > 0 && number < 4096 ? (int)number : EIO, "%s", text ? text : "?");
}

static void take_line(struct image_worker *w, const char *line) {
    json_t *event = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    const char *kind = json_string_value(json_object_get(event, "event"));

    if (kind && streq(kind, "error"))
        take_error(w, event);
    else if (kind)
        w->calls->event(w->userdata, kind, event);
    json_decref(event);
}

static void take_lines(struct image_worker *w, char *data, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (data[i] != '\n') {
            if (w->line.length < LINE_MAX_BYTES)
                strbuf_putc(&w->line, data[i]);
            continue;
        }
        _cleanup_free_ char *line = strbuf_take(&w->line);
        if (line)
            take_line(w, line);
    }
}

static int on_pipe(_unused_ sd_event_source *s, int fd, _unused_ uint32_t events, void *userdata) {
    struct image_worker *w = userdata;
    char buffer[4096];

    ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n > 0)
        take_lines(w, buffer, (size_t)n);
    else
        finish(w);
    return 0;
}

static void on_failed(struct process *process, const struct error *e) {
    struct image_worker *w = process->userdata;

    w->error = *e;
    w->error.step[0] = '\0';
    if (process->pid == 0) {
        w->process = NULL;
        process_free(process);
        finish(w);
    }
}

/* What it wrote is in the pipe; the pipe's end tells when that is all. */
static void on_exited(struct process *process, _unused_ const struct process_exit *x) {
    struct image_worker *w = process->userdata;

    w->process = NULL;
    process_free(process);
}

static const struct process_callbacks process_calls = {.failed = on_failed, .exited = on_exited};

/* ---- its command line ---- */

static int make_argv(struct manager *m, char *const *argv, char ***ret) {
    _cleanup_strv_free_ char **l = NULL;
    int r = strv_consume(&l, path_join(m->paths.libexec, "davit-image"));

    if (r >= 0)
        r = strv_append(&l, argv[0]);
    if (r >= 0)
        r = strv_consume(&l, strf("--store=%s/images", m->paths.state));
    if (r >= 0)
        r = strv_append(&l, "--progress-fd=3");
    if (r >= 0)
        r = strv_consume(&l, strf("--conf=%s", m->paths.config));
    if (r >= 0)
        r = strv_extend(&l, argv + 1);
    if (r >= 0)
        *ret = TAKE_PTR(l);
    return r;
}

/* ---- beside the loop ---- */

static int start(
    struct manager *m, struct image_worker *w, char **argv, char **environment, struct error *e) {
    struct container_spec spec;
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_set_errno(e, errno, "pipe");
    w->pipe = fds[0];
    _cleanup_close_ int write_fd = fds[1];
    (void)fd_set_nonblock(w->pipe, true);
    spec_init(&spec);
    spec.kind = SPEC_PROCESS;
    spec.argv = argv;
    spec.environment = environment;
    spec.capabilities = spec_own_capabilities();
    spec.pass_fd = 0;
    int r = process_start(m, NULL, PROCESS_WORKER, &spec, &write_fd, 1, &process_calls, w, &w->process, e);
    if (r < 0)
        return r;
    r = sd_event_add_io(m->event, &w->source, w->pipe, EPOLLIN, on_pipe, w);
    return r < 0 ? error_set_errno(e, r, "watching the worker") : 0;
}

int image_worker_start(struct manager *m, char *const *argv, char **environment,
    const struct image_worker_calls *calls, void *userdata, struct image_worker **ret, struct error *e) {
    _cleanup_strv_free_ char **whole = NULL;
    struct image_worker *w = calloc(1, sizeof(*w));

    if (!w || make_argv(m, argv, &whole) < 0) {
        free(w);
        return error_set(e, ENOMEM, "out of memory");
    }
    *w = (struct image_worker){.pipe = -1, .calls = calls, .userdata = userdata};
    int r = start(m, w, whole, environment ? environment : environ, e);
    if (r < 0) {
        image_worker_cancel(w);
        return r;
    }
    *ret = w;
    return 0;
}

/* ---- without a loop ---- */

#define PROGRESS_FD 3

static int await_end(struct image_worker *w, pid_t pid, struct error *e) {
    char buffer[4096];
    ssize_t n;
    int status;

    while ((n = read(w->pipe, buffer, sizeof(buffer))) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            take_lines(w, buffer, (size_t)n);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return error_set_errno(e, errno, "waiting for davit-image");
    if (w->error.number != 0)
        return error_set(e, w->error.number, "%s", w->error.text);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0
               ? 0
               : error_set(e, EIO, "davit-image ended before it was done");
}

int image_worker_wait(struct manager *m, char *const *argv, char **environment,
    const struct image_worker_calls *calls, void *userdata, struct error *e) {
    struct image_worker w = {.pipe = -1, .calls = calls, .userdata = userdata};
    _cleanup_strv_free_ char **whole = NULL;
    int fds[2];
    pid_t pid;

    if (make_argv(m, argv, &whole) < 0)
        return error_set(e, ENOMEM, "out of memory");
    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_set_errno(e, errno, "pipe");
    w.pipe = fds[0];
    int r = spawn_with_fd(whole[0], whole, environment, fds[1], PROGRESS_FD, &pid);
    if (r < 0)
        (void)error_set_errno(e, r, "%s", whole[0]);
    (void)close(fds[1]);
    if (r >= 0)
        r = await_end(&w, pid, e);
    strbuf_free(&w.line);
    closep(&w.pipe);
    return r;
}
