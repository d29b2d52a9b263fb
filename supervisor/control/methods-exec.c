/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Exec and Run: programs that work for a client, on its descriptors. The call stays open while they run, is
 * their handle for Signal, and its last reply is their exit.
 */
#include <sys/wait.h>

#include "base/str.h"
#include "control/methods.h"
#include "manager/api.h"
#include "manager/manager.h"

static json_t *session_json(const struct call *c) {
    json_t *p = json_pack("{ss}", "session", c->session);
    if (p && c->unit)
        (void)json_object_set_new(p, "unit", json_string(c->unit));
    return p;
}

static void on_started(void *userdata, pid_t pid, const struct error *e) {
    struct call *c = userdata;
    if (e && e->number) {
        call_fail(c, -e->number, e);
        return;
    }
    json_t *p = session_json(c);
    if (p)
        (void)json_object_set_new(p, "pid", json_integer(pid));
    if (!c->attached) /* a detached Run: that it runs is all there is to say */
        call_reply(c, p);
    else
        call_reply_more(c, p);
}

static void on_exited(void *userdata, int code, int status) {
    struct call *c = userdata;
    json_t *p = session_json(c);
    if (p) {
        (void)json_object_set_new(p, "code", json_string(exit_code_word(code)));
        (void)json_object_set_new(p, "status", json_integer(status));
    }
    call_reply(c, p);
}

/* Positions to descriptors. False (and answered) if one names a descriptor that did not come. */
static bool stdio_of(struct call *c, int stdio[static 3], int *terminal) {
    static const char *const names[] = {"stdin", "stdout", "stderr", "terminal"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        int position = i < 3 ? c->arguments.stdio[i] : c->arguments.terminal;
        int *field = i < 3 ? &stdio[i] : terminal;
        if (position >= (int)c->message.n_fds) {
            call_error(c, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", names[i]));
            return false;
        }
        *field = position < 0 ? -1 : c->message.fds[position];
    }
    return true;
}

int method_exec(struct call *c, struct managed_unit *u, struct error *e) {
    const struct arguments *a = &c->arguments;
    int stdio[3], terminal;

    if (strv_length(a->argv) == 0) {
        call_error(c, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", "argv"));
        return 0;
    }
    if (!stdio_of(c, stdio, &terminal))
        return 0;
    const struct exec_request request = {
        .argv = a->argv,
        .environment = a->environment,
        .user = a->user,
        .working_dir = a->working_dir,
        .key = a->key,
        .again = a->again,
        .privileged = a->privileged,
        .stdin_fd = stdio[0],
        .stdout_fd = stdio[1],
        .stderr_fd = stdio[2],
        .terminal_fd = terminal,
    };
    id128_random(c->session);
    c->attached = true;
    int r = api_exec(u, &request, on_started, on_exited, c, e);
    if (r < 0)
        c->attached = false;
    else
        varlink_message_done(&c->message); /* the program has its own; ours would keep pipes from ending */
    return r;
}

int method_attach(struct call *c, struct managed_unit *u, struct error *e) {
    const struct arguments *a = &c->arguments;

    if (!a->key == (a->pid == 0)) {
        call_error(c, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", "key"));
        return 0;
    }
    id128_random(c->session);
    c->attached = true;
    int r = api_attach(u, a->key, a->pid, on_started, on_exited, c, e);
    if (r < 0)
        c->attached = false;
    if (r == -ESRCH) {
        call_error(c, "io.davit.Unit.NoSuchSession", json_pack("{ss}", "session", c->session));
        return 0;
    }
    return r;
}

int method_run(struct call *c, struct managed_unit *u _unused_, struct error *e) {
    const struct arguments *a = &c->arguments;
    struct manager *m = c->connection->control->manager;
    int stdio[3], terminal;

    if (!stdio_of(c, stdio, &terminal))
        return 0;
    if (!isempty(a->key) && isempty(a->name)) {
        call_error(c, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", "name"));
        return 0;
    }
    bool detached = stdio[0] < 0 && stdio[1] < 0 && stdio[2] < 0 && terminal < 0;
    const struct run_request request = {
        .name = a->name,
        .unit_text = a->unit_text,
        .key = a->key,
        .again = a->again,
        .stdin_fd = stdio[0],
        .stdout_fd = stdio[1],
        .stderr_fd = stdio[2],
        .terminal_fd = terminal,
    };
    id128_random(c->session);
    c->attached = !detached;
    int r = api_run(m, &request, on_started, on_exited, c, &c->unit, e);
    if (r < 0) {
        c->attached = false;
        return r;
    }
    varlink_message_done(&c->message);
    return 0;
}

int method_signal(struct call *c, struct managed_unit *u _unused_, struct error *e) {
    struct control *control = c->connection->control;
    struct call *target = control_find_session(control, c->arguments.session);

    if (!target) {
        call_error(c, "io.davit.Unit.NoSuchSession", json_pack("{ss}", "session", c->arguments.session));
        return 0;
    }
    int r = api_exec_kill(control->manager, target, c->arguments.signal);
    if (r < 0)
        return error_set_errno(e, r, "Cannot signal the program");
    call_reply(c, NULL);
    return 0;
}
