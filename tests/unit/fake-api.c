/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-api.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/str.h"

struct fake fake;

struct managed_unit_name {
    const char *name;
};
static struct managed_unit_name units[] = {{"db.container"}, {"web.container"}};
static const char *const job_types[] = {"start", "stop", "restart", "try-restart", "reload"};
static const char *const job_results[] = {"done", "canceled", "timeout", "failed", "dependency", "skipped"};

const char *job_type_name(enum job_type t) {
    return job_types[t];
}

const char *job_result_name(enum job_result r) {
    return job_results[r];
}

void fake_reset(void) {
    for (size_t i = 0; i < fake.n_execs; i++) {
        free(fake.execs[i].text);
        for (size_t k = 0; k < 4; k++)
            if (fake.execs[i].fds[k] >= 0)
                (void)close(fake.execs[i].fds[k]);
    }
    fake = (struct fake){};
}

int api_find_unit(
    struct manager *m _unused_, const char *written, struct managed_unit **ret, struct error *e) {
    if (strchr(written, '/'))
        return error_set(e, EINVAL, "\"%s\" is no unit name", written);
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        size_t n = strcspn(units[i].name, ".");
        if (streq(written, units[i].name) ||
            (strlen(written) == n && strncmp(written, units[i].name, n) == 0)) {
            *ret = (struct managed_unit *)&units[i];
            return 0;
        }
    }
    return error_set(e, ENOENT, "There is no unit %s", written);
}

const char *api_unit_name(const struct managed_unit *u) {
    return ((const struct managed_unit_name *)(const void *)u)->name;
}

int api_queue_job(struct manager *m _unused_, struct managed_unit *u, enum job_type type, enum job_mode mode,
    job_done_t done, void *userdata, struct error *e) {
    if (type == JOB_RELOAD)
        return error_set(e, EDEADLK, "a.container -> b.container -> a.container");
    if (fake.n_jobs == FAKE_CALLBACKS)
        return error_set(e, EAGAIN, "full");
    struct fake_job *j = &fake.jobs[fake.n_jobs++];
    *j = (struct fake_job){.type = type, .mode = mode, .done = done, .userdata = userdata};
    (void)snprintf(j->unit, sizeof(j->unit), "%s", api_unit_name(u));
    if (fake.immediate)
        fake_finish_jobs(JOB_DONE, NULL);
    return 0;
}

void fake_finish_jobs(enum job_result result, const char *message) {
    size_t n = fake.n_jobs;
    fake.n_jobs = 0;
    for (size_t i = 0; i < n; i++) {
        struct fake_job j = fake.jobs[i];
        if (j.done)
            j.done(j.userdata, j.unit, result, message);
    }
}

void api_forget_client(struct manager *m _unused_, void *userdata) {
    fake.forgotten++;
    for (size_t i = 0; i < fake.n_jobs; i++)
        if (fake.jobs[i].userdata == userdata)
            fake.jobs[i].done = NULL;
    for (size_t i = 0; i < fake.n_execs; i++)
        if (fake.execs[i].userdata == userdata) {
            fake.execs[i].started = NULL;
            fake.execs[i].exited = NULL;
        }
}

int api_kill(struct manager *m _unused_, struct managed_unit *u _unused_, enum kill_whom whom, int signal,
    struct error *e _unused_) {
    fake.last_whom = whom;
    fake.last_signal = signal;
    return 0;
}

int api_freeze(struct manager *m _unused_, struct managed_unit *u _unused_, bool freeze, struct error *e) {
    if (fake.frozen == freeze)
        return error_set(e, EALREADY, "nothing to do");
    fake.frozen = freeze;
    return 0;
}

int api_reset_failed(struct manager *m _unused_, struct managed_unit *u _unused_) {
    fake.resets++;
    return 0;
}

int api_reload(struct manager *m _unused_, reload_done_t done, void *userdata, struct error *e _unused_) {
    done(userdata, ARRAY_SIZE(units), 1, NULL);
    return 0;
}

int api_reexecute(struct manager *m _unused_, struct error *e) {
    fake.reexecutions++;
    return error_set(e, ENOSPC, "state cannot be saved");
}

int api_exit(struct manager *m _unused_, int status, bool keep) {
    fake.exit_status = status;
    fake.exit_keep = keep;
    return 0;
}

/* As for those who are connected when davitd is killed. */
static void hang_up(void) {
    struct sockaddr_un peer;

    for (int fd = STDERR_FILENO + 1; fd < 256; fd++)
        if (getpeername(fd, (struct sockaddr *)&peer, &(socklen_t){sizeof(peer)}) == 0)
            (void)shutdown(fd, SHUT_RDWR);
}

int api_end(struct manager *m _unused_, const struct end_request *r, usec_t when, struct error *e) {
    if (r->message && strchr(r->message, '\n'))
        return error_set(e, EINVAL, "one line");
    if (fake.end_is_deadly)
        hang_up();
    fake.ending = r->ending;
    fake.exit_status = r->status;
    fake.end_when = when;
    fake.end_no_wall = r->no_wall;
    (void)snprintf(fake.end_argument, sizeof(fake.end_argument), "%s", r->argument ? r->argument : "");
    (void)snprintf(fake.end_message, sizeof(fake.end_message), "%s", r->message ? r->message : "");
    return 0;
}

bool api_end_cancel(struct manager *m _unused_, bool no_wall) {
    fake.end_no_wall = no_wall;
    bool was = fake.end_when > 0;
    fake.end_when = 0;
    return was;
}

json_t *api_end_scheduled(struct manager *m _unused_) {
    if (fake.end_when == 0)
        return json_object();
    return json_pack("{ss sI ss}", "action", ending_format(fake.ending), "when", (json_int_t)fake.end_when,
        "message", fake.end_message);
}

/* Of a detached run nothing more is told after that. */
void fake_exec_started(size_t i, pid_t pid, const struct error *e) {
    struct fake_exec *x = &fake.execs[i];
    exec_started_t started = x->started;

    if (!x->exited)
        x->started = NULL;
    if (started)
        started(x->userdata, pid, e);
}

static int fake_exec_add(exec_started_t started, exec_exited_t exited, void *userdata,
    const int fds[static 4], char *text, struct error *e) {
    if (fake.exec_fails || fake.n_execs == FAKE_CALLBACKS) {
        free(text);
        error_set(e, ENOENT, "/bin/nonesuch: not found");
        error_set_step(e, "execve");
        return -ENOENT;
    }
    struct fake_exec *x = &fake.execs[fake.n_execs++];
    *x = (struct fake_exec){.started = started, .exited = exited, .userdata = userdata, .text = text};
    for (size_t i = 0; i < 4; i++)
        x->fds[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
    if (fake.immediate) {
        int out = x->fds[3] >= 0 ? x->fds[3] : x->fds[1];
        if (fake.exec_output && out >= 0)
            (void)!write(out, fake.exec_output, strlen(fake.exec_output));
        for (size_t i = 0; i < 4 && fake.exec_output; i++)
            close_and_reset(&x->fds[i]);
        fake_exec_started(fake.n_execs - 1, 4711, NULL);
        if (x->exited)
            x->exited(userdata, CLD_EXITED, fake.exec_status);
    }
    return 0;
}

int api_exec(struct managed_unit *u _unused_, const struct exec_request *r, exec_started_t started,
    exec_exited_t exited, void *userdata, struct error *e) {
    const int fds[] = {r->stdin_fd, r->stdout_fd, r->stderr_fd, r->terminal_fd};
    fake.last_again = r->again;
    return fake_exec_add(started, exited, userdata, fds, strv_join(r->argv, " "), e);
}

int api_attach(struct managed_unit *u _unused_, const char *key, pid_t pid, exec_started_t started,
    exec_exited_t exited, void *userdata, struct error *e) {
    static const int none[] = {-1, -1, -1, -1};

    if (key && !fake.exec_fails)
        return fake_exec_add(started, exited, userdata, none, strf("attach %s", key), e);
    if (pid != 4242)
        return error_set(e, ESRCH, "process %d", pid);
    started(userdata, pid, NULL);
    exited(userdata, CLD_EXITED, 3);
    return 0;
}

int api_run(struct manager *m _unused_, const struct run_request *r, exec_started_t started,
    exec_exited_t exited, void *userdata, char **ret_unit, struct error *e) {
    const int fds[] = {r->stdin_fd, r->stdout_fd, r->stderr_fd, r->terminal_fd};
    bool detached = fds[0] < 0 && fds[1] < 0 && fds[2] < 0 && fds[3] < 0;
    fake.last_again = r->again;
    *ret_unit = strf("%s.container", r->name ?: "run-1"); /* known before the first callback */
    /* that it runs is all that is told of a detached one */
    int k = fake_exec_add(started, detached ? NULL : exited, userdata, fds, strdup(r->unit_text), e);
    if (k < 0)
        free(TAKE_PTR(*ret_unit));
    return k;
}

void fake_exec_exited(size_t i, int code, int status) {
    if (fake.execs[i].exited)
        fake.execs[i].exited(fake.execs[i].userdata, code, status);
}

int api_exec_kill(struct manager *m _unused_, void *userdata _unused_, int signal) {
    fake.last_exec_signal = signal;
    return 0;
}

json_t *api_manager_json(struct manager *m) {
    json_t *o = json_pack("{sssIsssIs{sI}sIs[s]sssssss[]}", "version", "0.1", "pid", (json_int_t)getpid(),
        "phase", "running", "since", (json_int_t)1, "units", "running", (json_int_t)2, "jobs", (json_int_t)0,
        "unit_path", "/etc/davit/units", "runtime_dir", "/run/davit", "state_dir", "/var/lib/davit",
        "log_dir", m->paths.log ?: "/var/log/davit", "problems");
    if (fake.status_padding > 0) {
        char *padding = malloc(fake.status_padding);
        memset(padding, 'x', fake.status_padding);
        (void)json_object_set_new(o, "padding", json_stringn(padding, fake.status_padding));
        free(padding);
    }
    return o;
}

json_t *api_unit_json(struct manager *m _unused_, struct managed_unit *u, bool full) {
    if (full && fake.details)
        return json_loads(fake.details, 0, NULL);
    json_t *o = json_pack("{ssssssssssssssss}", "name", api_unit_name(u), "type", "container", "description",
        "A test", "load", "loaded", "active", "active", "state", "running", "sub", "running", "result",
        "success");
    (void)json_object_set_new(o, "since", json_integer(1700000000000000));
    (void)json_object_set_new(o, "pid", json_integer(4711));
    (void)json_object_set_new(o, "restarts", json_integer(0));
    (void)json_object_set_new(o, "frozen", json_boolean(fake.frozen));
    (void)json_object_set_new(o, "problems", full ? json_array() : json_integer(0));
    return o;
}

json_t *api_units_json(struct manager *m) {
    json_t *l = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(units); i++)
        (void)json_array_append_new(l, api_unit_json(m, (struct managed_unit *)&units[i], false));
    return l;
}

json_t *api_boot_json(struct manager *m _unused_) {
    return json_pack("{ss s{sI sI} s[{ss sI sI s[s]}]}", "target", "default.target", "times", "userspace",
        (json_int_t)1000000, "finish", (json_int_t)1500000, "units", "name", "web.container", "begin",
        (json_int_t)1200000, "end", (json_int_t)1300000, "after", "basic.target");
}

json_t *api_jobs_json(struct manager *m _unused_) {
    return json_array();
}

int api_subscribe(struct manager *m _unused_, event_listener_t listener, void *userdata) {
    if (fake.n_listeners == FAKE_CALLBACKS)
        return -EUSERS;
    fake.listeners[fake.n_listeners].listener = listener;
    fake.listeners[fake.n_listeners++].userdata = userdata;
    return 0;
}

void api_unsubscribe(struct manager *m _unused_, void *userdata) {
    for (size_t i = 0; i < fake.n_listeners; i++)
        if (fake.listeners[i].userdata == userdata)
            fake.listeners[i--] = fake.listeners[--fake.n_listeners];
}

void fake_event(json_t *event) {
    for (size_t i = 0; i < fake.n_listeners; i++)
        fake.listeners[i].listener(fake.listeners[i].userdata, event);
    json_decref(event);
}
