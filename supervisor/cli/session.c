/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/session.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/str.h"
#include "cli/output.h"
#include "cli/resume.h"
#include "cli/terminal.h"

enum {
    INPUT_BUFFER = 16 * 1024,
    /* A program may have its reasons to ignore an interrupt. Who insists this often gets SIGKILL. */
    INSISTENT = 3,
    /* What launchers, or davitd, die of so often is our request. Below a davitd that is killed again and again it
     * takes many before one lives long enough. */
    LAUNCHES_LOST_MAX = 100,
};

/* One direction of copying: what a container writes, to our own output. */
struct output {
    int from, to;
};

struct session {
    struct cli *c;
    const char *method;
    const char *unit, *key; /* of the request; unit is davitd's to complete */
    char *id;               /* known with the first reply */
    json_t *parameters;     /* to be sent again with what is passed; NULL once the pid is known */
    int64_t pid;            /* known with the first reply, 0 = not yet */
    unsigned launches_lost;
    int passed[4];
    size_t n_passed;
    struct output outputs[2];
    size_t n_outputs;
    int input_from, input_to; /* to: a pipe's end or the pty's master; -1 = closed or not ours to copy */
    int master;               /* -1 = no terminal */
    char buffer[INPUT_BUFFER];
    size_t buffered;
    int signals;
    unsigned insisted;
    bool
        lost; /* davitd died and nobody tells us: the program goes on, and so do we, but its status will not come */
};

/* ---- preparing ---- */

static int pass(struct session *s, json_t *parameters, const char *name, int fd) {
    (void)json_object_set_new(parameters, name, json_integer((json_int_t)s->n_passed));
    s->passed[s->n_passed++] = fd;
    return 0;
}

/* So that the program may open it again as /dev/stdout, whatever user it runs as. Only a pipe without a name,
 * which nobody can reach who has not got it already. */
static void let_open_again(int fd) {
    struct statfs fs;
    if (fstatfs(fd, &fs) >= 0 && fs.f_type == PIPEFS_MAGIC)
        (void)fchmod(fd, 0666);
}

static int make_pipe(int ret[static 2]) {
    if (pipe2(ret, O_CLOEXEC) < 0)
        return negative_errno();
    let_open_again(ret[0]);
    return 0;
}

/* Our own, which is neither a terminal nor closed. Closed: the program gets /dev/null. */
static int pass_copy(struct session *s, json_t *parameters, const char *name, int fd) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return 0;
    let_open_again(copy);
    return pass(s, parameters, name, copy);
}

/* Standard output or error: our own one where that is a file or pipe; a pipe that we copy from where it is a
 * terminal. */
static int pass_output(struct session *s, json_t *parameters, const char *name, int fd) {
    int ends[2];
    if (!isatty(fd))
        return pass_copy(s, parameters, name, fd);
    int r = make_pipe(ends);
    if (r < 0)
        return r;
    (void)fd_set_nonblock(ends[0], true);
    s->outputs[s->n_outputs++] = (struct output){.from = ends[0], .to = fd};
    return pass(s, parameters, name, ends[1]);
}

static int pass_input(struct session *s, json_t *parameters) {
    int ends[2];
    if (!isatty(STDIN_FILENO))
        return pass_copy(s, parameters, "stdin", STDIN_FILENO);
    int r = make_pipe(ends);
    if (r < 0)
        return r;
    (void)fd_set_nonblock(ends[1], true);
    s->input_from = STDIN_FILENO;
    s->input_to = ends[1];
    return pass(s, parameters, "stdin", ends[0]);
}

static int pass_terminal(struct session *s, json_t *parameters) {
    int slave, r = terminal_new(&s->master, &slave);
    if (r < 0)
        return r;
    (void)fd_set_nonblock(s->master, true);
    s->outputs[s->n_outputs++] = (struct output){.from = s->master, .to = STDOUT_FILENO};
    if (s->c->options.interactive) {
        s->input_from = STDIN_FILENO;
        s->input_to = s->master;
    }
    return pass(s, parameters, "terminal", slave);
}

static int pass_stdio(struct session *s, json_t *parameters) {
    const struct cli_options *o = &s->c->options;
    if (o->terminal)
        return pass_terminal(s, parameters);
    int r = o->interactive ? pass_input(s, parameters) : 0;
    if (r >= 0)
        r = pass_output(s, parameters, "stdout", STDOUT_FILENO);
    return r < 0 ? r : pass_output(s, parameters, "stderr", STDERR_FILENO);
}

static int catch_signals(struct session *s) {
    static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
        (void)sigaddset(&set, caught[i]);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return negative_errno();
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals < 0 ? negative_errno() : 0;
}

/* ---- copying ---- */

/* Copies what there is now, and from one who never stops writing no more than any pipe holds by itself. The
 * output is closed
 * (-1) at its end. */
static void copy_output(struct output *o) {
    char data[16 * 1024];
    for (int i = 0; i < 8; i++) {
        ssize_t n = read(o->from, data, sizeof(data));
        if (n > 0 && o->to >= 0 && write_all(o->to, data, (size_t)n) < 0)
            o->to = -1; /* nobody reads us: the program shall not notice */
        if (n > 0)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        close_and_reset(&o->from); /* end of file; EIO: the last one has left the terminal */
        return;
    }
}

/* The program's input ends: close the pipe, or type the end-of-file character. */
static void end_input(struct session *s) {
    if (s->master >= 0 && s->input_to == s->master) {
        char eof = terminal_eof(s->master);
        (void)!write(s->master, &eof, 1);
        s->input_to = -1;
    } else
        close_and_reset(&s->input_to);
    s->input_from = -1;
}

static void read_input(struct session *s) {
    ssize_t n = read(s->input_from, s->buffer + s->buffered, sizeof(s->buffer) - s->buffered);
    if (n > 0)
        s->buffered += (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        s->input_from = -1;
}

static void write_input(struct session *s) {
    ssize_t n = s->buffered > 0 ? write(s->input_to, s->buffer, s->buffered) : 0;
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        s->buffered = 0; /* the program does not read any more */
        s->input_from = -1;
        if (s->input_to == s->master)
            s->input_to = -1;
        else
            close_and_reset(&s->input_to);
        return;
    }
    if (n > 0) {
        s->buffered -= (size_t)n;
        memmove(s->buffer, s->buffer + n, s->buffered);
    }
    if (s->buffered == 0 && s->input_from < 0 && s->input_to >= 0)
        end_input(s);
}

/* ---- signals ---- */

/* By a connection of its own: ours waits for the program's end. */
static void forward_signal(struct session *s, int number) {
    _cleanup_(client_freep) struct client *client = NULL;
    struct client_reply reply;
    if (!s->id || client_open(s->c->paths.runtime, false, &client, NULL) < 0)
        return;
    json_t *p = json_pack("{sssi}", "session", s->id, "signal", number);
    if (client_call(client, "io.davit.Unit.Signal", p, 5 * USEC_PER_SEC, &reply, NULL) >= 0)
        client_reply_done(&reply);
}

/* 0, or the status to leave with. */
static int handle_signals(struct session *s) {
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
        int number = (int)info.ssi_signo;
        if (number == SIGWINCH || number == SIGCONT) {
            if (s->master >= 0)
                terminal_resize(s->master);
            continue;
        }
        if (number == SIGHUP || (!s->id && s->pid == 0))
            return EXIT_SIGNALLED + number; /* davitd sees us go, and ends what it started for us */
        if (!s->id)
            continue; /* the next davitd is about to answer; who means it will insist */
        if (number == SIGINT || number == SIGTERM)
            s->insisted++;
        forward_signal(s, s->insisted >= INSISTENT ? SIGKILL : number);
    }
    return 0;
}

/* ---- the end ---- */

static int status_of_failure(const struct session *s, const struct client_reply *r) {
    const char *step = json_text(r->parameters, "step");
    int64_t number = json_number(r->parameters, "number", 0);
    terminal_restore();
    (void)cli_reply_failed(s->c->verb->name, r);
    if (!startswith(step, "exec"))
        return EXIT_DAVIT_FAILED;
    return number == ENOENT || number == ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
}

/* What is sent once and no more: ours would keep the program's pipes from ending. */
static void close_passed(struct session *s) {
    for (size_t i = 0; i < s->n_passed; i++)
        close_and_reset(&s->passed[i]);
    s->n_passed = 0;
    s->parameters = NULL;
}

static int send_request(struct session *s, struct error *e) {
    return client_send(
        s->c->client, s->method, json_incref(s->parameters), CLIENT_MORE, s->passed, s->n_passed, e);
}

/* To the next davitd, which knows by the key whether the command runs, has run, or has to be launched. */
static int send_again(struct session *s, struct error *e) {
    int r = resume_connect(s->c, e);
    if (r >= 0)
        r = json_object_set_new(s->parameters, "again", json_true()) < 0 ? error_set_errno(e, ENOMEM, "exec")
                                                                         : send_request(s, e);
    if (r < 0)
        close_passed(s);
    return r;
}

/* davitd had our request when it died, but no launcher; or the launcher died on it. */
static bool was_not_launched(struct session *s, const struct client_reply *r) {
    return r->error && s->parameters && json_number(r->parameters, "number", 0) == ECONNRESET &&
           s->launches_lost++ < LAUNCHES_LOST_MAX;
}

/* A reply has come. 0 to go on, or the status to leave with plus one. */
static int handle_reply(struct session *s, const struct client_reply *r) {
    const char *code = json_text(r->parameters, "code");
    int status = (int)json_number(r->parameters, "status", 0);
    if (r->error && !s->parameters) {
        cli_error("%s; the exit status of the program is not known", client_reply_message(r));
        return EXIT_DAVIT_FAILED + 1;
    }
    if (r->error)
        return status_of_failure(s, r) + 1;
    close_passed(s);
    if (!s->id)
        s->id = strdup(json_text(r->parameters, "session"));
    s->pid = json_number(r->parameters, "pid", s->pid);
    if (r->continues)
        return 0;
    if (streq(code, "unknown")) {
        cli_error("the command has ended; its exit status is not known");
        return EXIT_DAVIT_FAILED + 1;
    }
    return (streq(code, "exited") ? status : EXIT_SIGNALLED + status) + 1;
}

/* The connection ended, with davitd. */
static int handle_loss(struct session *s, const struct error *why) {
    struct error e = *why;
    free(TAKE_PTR(s->id)); /* the next one has its own */
    int r = s->parameters ? send_again(s, &e) : resume_attach(s->c, s->unit, s->key, &e);
    s->lost = r < 0;
    if (s->lost)
        cli_error("%s; %s", e.text,
            s->pid > 0 ? "the program goes on, but its exit status cannot be told"
                       : "whether the program was started cannot be told");
    return 0;
}

/* All replies that have come: a program that ends at once has both in one read, and what is in the stream's buffer
 * wakes no poll(2). */
static int handle_client(struct session *s) {
    struct client_reply reply;
    struct error e = {};
    int r, result = 0;
    while (result == 0 && (r = client_poll(s->c->client, &reply, &e)) >= 0) {
        if (was_not_launched(s, &reply)) {
            client_reply_done(&reply);
            return handle_loss(s, &e);
        }
        result = handle_reply(s, &reply);
        client_reply_done(&reply);
    }
    return result == 0 && r != -EAGAIN ? handle_loss(s, &e) : result;
}

static bool has_output(const struct session *s) {
    for (size_t i = 0; i < s->n_outputs; i++)
        if (s->outputs[i].from >= 0)
            return true;
    return false;
}

/* ---- the loop ---- */

enum { POLL_CLIENT, POLL_SIGNALS, POLL_INPUT_FROM, POLL_INPUT_TO, POLL_OUTPUT, POLL_COUNT = POLL_OUTPUT + 2 };

static void poll_prepare(const struct session *s, struct pollfd fds[static POLL_COUNT]) {
    for (size_t i = 0; i < POLL_COUNT; i++)
        fds[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    if (!s->lost)
        fds[POLL_CLIENT].fd = client_fd(s->c->client);
    fds[POLL_SIGNALS].fd = s->signals;
    if (s->input_to >= 0 && s->buffered < sizeof(s->buffer))
        fds[POLL_INPUT_FROM].fd = s->input_from;
    if (s->buffered > 0 && s->input_to >= 0)
        fds[POLL_INPUT_TO] = (struct pollfd){.fd = s->input_to, .events = POLLOUT};
    for (size_t i = 0; i < s->n_outputs; i++)
        fds[POLL_OUTPUT + i].fd = s->outputs[i].from;
}

/* Until the program ends. Returns its status. */
static int session_loop(struct session *s) {
    struct pollfd fds[POLL_COUNT];
    for (;;) {
        if (s->lost && !has_output(s))
            return EXIT_DAVIT_FAILED;
        poll_prepare(s, fds);
        if (poll(fds, POLL_COUNT, -1) < 0 && errno != EINTR)
            return EXIT_DAVIT_FAILED;
        if (fds[POLL_SIGNALS].revents) {
            int status = handle_signals(s);
            if (status > 0)
                return status;
        }
        if (fds[POLL_INPUT_FROM].revents)
            read_input(s);
        if (s->input_to >= 0 && (fds[POLL_INPUT_FROM].revents || fds[POLL_INPUT_TO].revents))
            write_input(s);
        for (size_t i = 0; i < s->n_outputs; i++)
            if (s->outputs[i].from >= 0 && fds[POLL_OUTPUT + i].revents)
                copy_output(&s->outputs[i]);
        int result = fds[POLL_CLIENT].revents ? handle_client(s) : 0;
        if (result > 0) {
            /* What it wrote before it ended is in the pipes. What it left running may write on: not for us.
             */
            for (size_t i = 0; i < s->n_outputs; i++)
                if (s->outputs[i].from >= 0)
                    copy_output(&s->outputs[i]);
            return result - 1;
        }
    }
}

static int session_start(struct session *s, json_t *parameters, struct error *e) {
    int r = pass_stdio(s, parameters);
    if (r < 0)
        error_set_errno(e, r, "Cannot prepare standard input and output");
    else if ((r = catch_signals(s)) < 0)
        error_set_errno(e, r, "Cannot catch signals");
    if (r >= 0 && s->c->options.terminal && s->c->options.interactive)
        (void)terminal_raw(STDIN_FILENO);
    s->parameters = parameters;
    if (r >= 0)
        r = send_request(s, e);
    if (r < 0)
        close_passed(s);
    return r;
}

int session_run(struct cli *c, const char *method, const char *unit, json_t *parameters) {
    struct session s = {.c = c,
        .method = method,
        .unit = unit,
        .key = json_string_value(json_object_get(parameters, "key")),
        .input_from = -1,
        .input_to = -1,
        .master = -1,
        .signals = -1};
    struct error e = {};
    int status = EXIT_DAVIT_FAILED;

    if (parameters && cli_connect(c, false) >= 0) {
        if (session_start(&s, parameters, &e) < 0)
            cli_error("%s", e.text);
        else
            status = session_loop(&s);
    }
    terminal_restore();
    close_passed(&s);
    json_decref(parameters);
    for (size_t i = 0; i < s.n_outputs; i++)
        if (s.outputs[i].from != s.master)
            close_and_reset(&s.outputs[i].from);
    if (s.input_to != s.master)
        close_and_reset(&s.input_to);
    close_and_reset(&s.signals);
    free(s.id);
    return status;
}

char *session_term(const struct cli_options *o) {
    const char *term = getenv("TERM");
    return o->terminal ? strf("TERM=%s", isempty(term) ? "xterm" : term) : NULL;
}
