/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `davit run`: a container of its own made from unit text, and the client that waits for it.
 *
 * A client chooses a key, which is saved with the unit until the client has been told all: of one in the
 * foreground how it ended, of a detached one that it runs. So a client whose davitd has died finds its
 * container with the next one, and gets its exit status; a key that no unit has was never launched. What
 * nobody saves are the client's descriptors: where the program has not been launched yet, it brings them again.
 *
 * Should what was saved be lost, the unit's text still says whether it had been (TEXT_BEGUN): a program is not
 * run a second time because nothing is known of the first. It outlives the unit for as long as a client may come.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/log.h"
#include "manager/core.h"
#include "manager/load.h"
#include "manager/rooms.h"
#include "unit/load.h"

/* Whoever lost davitd is back within half a minute, or never. */
#define KEPT_USEC (60 * USEC_PER_SEC)

/* The modes of a text: nothing of it can have been launched, or it may have been, for its state was saved. */
#define TEXT_NEW 0400
#define TEXT_BEGUN 0600

struct run_session {
    exec_started_t started;
    exec_exited_t exited;
    void *userdata;
    bool told; /* that it runs */
};

/* ---- the client ---- */

bool run_has_key(const struct managed_unit *u, const char *key) {
    return u->run_key && !isempty(key) && streq(u->run_key, key);
}

bool run_is_for(const struct managed_unit *u, const void *userdata) {
    return u->run && u->run->userdata == userdata;
}

void run_forget_key(struct managed_unit *u) {
    if (!u->run_key)
        return;
    free(TAKE_PTR(u->run_key));
    unit_mark_dirty(u);
    unit_follow_up(u, FOLLOW_COLLECT);
}

bool run_waits_for_client(struct managed_unit *u) {
    if (!u->run_key)
        return false;
    if (!unit_timer_is_set(u, TIMER_STATE))
        unit_timer_set(u, TIMER_STATE, usec_add(core_now(), KEPT_USEC)); /* then run_forget_key() */
    return true;
}

void run_session_free(struct managed_unit *u) {
    free(TAKE_PTR(u->run));
    if (!u->stdio)
        return;
    close_and_reset(&u->stdio->stdin_fd);
    close_and_reset(&u->stdio->stdout_fd);
    close_and_reset(&u->stdio->stderr_fd);
    close_and_reset(&u->stdio->terminal_fd);
    free(TAKE_PTR(u->stdio));
}

/* Its client knows all that there is to know. */
static void session_over(struct managed_unit *u) {
    run_session_free(u);
    run_forget_key(u);
}

void run_session_started(struct managed_unit *u) {
    struct run_session *s = u->run;

    if (!s || s->told)
        return;
    s->told = true;
    s->started(s->userdata, u->main ? u->main->pid : 0, NULL);
    if (!u->run_attached)
        session_over(u);
}

/* It will never run: the answer to the question is the error. */
void run_session_failed(struct managed_unit *u) {
    struct run_session *s = u->run;
    struct error e = *unit_error(u);

    if (!s || s->told)
        return;
    if (e.number == 0)
        error_set(&e, ECANCELED, "%s ended before its program ran: %s", u->name,
            unit_result_name(u->pending_result));
    s->started(s->userdata, 0, &e);
    session_over(u);
}

/* The client hears of the end before the clean-up is done; its terminal is free again at once. */
void run_session_exited(struct managed_unit *u, const struct process_exit *x) {
    struct run_session *s = u->run;

    if (!s)
        return;
    if (u->exec_failed && !s->told) {
        run_session_failed(u);
        return;
    }
    run_session_started(u);
    if (!u->run)
        return; /* detached: that it ran was all */
    s->exited(s->userdata, x->code, x->status);
    session_over(u);
}

/* The client has gone: a container in the foreground has nobody to talk to, and is stopped. */
void run_forget_client(struct managed_unit *u, void *userdata) {
    struct job *j;

    if (!run_is_for(u, userdata))
        return;
    session_over(u);
    if (u->run_attached)
        (void)transaction_run(u->manager, u, JOB_STOP, JOB_MODE_REPLACE, TRANSACTION_BY_PERSON, &j, NULL);
}

static int session_new(struct managed_unit *u, exec_started_t started, exec_exited_t exited, void *userdata) {
    u->run = calloc(1, sizeof(*u->run));
    if (!u->run)
        return -ENOMEM;
    *u->run = (struct run_session){.started = started, .exited = exited, .userdata = userdata};
    return 0;
}

static int duplicate(int fd, int *ret) {
    if (fd < 0)
        return 0;
    *ret = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return *ret < 0 ? negative_errno() : 0;
}

static int take_stdio(struct managed_unit *u, const struct run_request *r) {
    struct unit_stdio *s;
    int error;

    if (r->stdin_fd < 0 && r->stdout_fd < 0 && r->stderr_fd < 0 && r->terminal_fd < 0)
        return 0;
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    *s = (struct unit_stdio){-1, -1, -1, -1};
    u->stdio = s; /* run_session_free() closes what there is */
    error = duplicate(r->stdin_fd, &s->stdin_fd);
    if (error >= 0)
        error = duplicate(r->stdout_fd, &s->stdout_fd);
    if (error >= 0)
        error = duplicate(r->stderr_fd, &s->stderr_fd);
    if (error >= 0)
        error = duplicate(r->terminal_fd, &s->terminal_fd);
    return error;
}

/* Where its program is not on its way yet, it can still be given what its client has brought again. */
static int take_stdio_again(struct managed_unit *u, const struct run_request *r) {
    return run_waits_for_stdio(u) && !u->main && u->main_code == 0 ? take_stdio(u, r) : 0;
}

int run_attach(
    struct managed_unit *u, exec_started_t started, exec_exited_t exited, void *userdata, struct error *e) {
    if (u->run)
        return error_set(e, EBUSY, "somebody else waits for %s", u->name);
    int r = session_new(u, started, exited, userdata);
    if (r < 0)
        return error_set_errno(e, r, "%s", u->name);
    if (u->main && u->main->stage == PROCESS_STARTED)
        run_session_started(u);
    else if (!u->main && u->main_code != 0 && !u->start_again)
        run_session_exited(u, &(struct process_exit){.code = u->main_code, .status = u->main_status});
    else if (unit_is_idle(u) && !u->job)
        run_session_failed(u);
    return 0;
}

/* ---- the unit ---- */

static char *choose_name(struct manager *m) {
    for (int i = 0; i < 100; i++) {
        char id[ID128_TEXT];
        _cleanup_free_ char *name = NULL;

        id128_random(id);
        name = strf("run-%.8s.container", id);
        if (!name || !manager_find(m, name))
            return TAKE_PTR(name);
    }
    return NULL;
}

static int run_name(struct manager *m, const char *written, char **ret, struct error *e) {
    _cleanup_free_ char *name = NULL;

    if (isempty(written))
        name = choose_name(m);
    else
        name = endswith(written, ".container") ? strdup(written) : strf("%s.container", written);
    if (!name)
        return error_set_errno(e, ENOMEM, "run");
    if (!unit_name_is_valid(name))
        return error_set(e, EINVAL, "%s is not a name of a unit", name);
    *ret = TAKE_PTR(name);
    return 0;
}

char *run_text_path(const struct manager *m, const char *name) {
    return strf("%s/" RUN_TEXTS "/%s", m->paths.runtime, name);
}

/* The text is kept while the container exists, for a davitd that comes back. */
static int write_text(struct manager *m, const char *name, const char *text, struct error *e) {
    _cleanup_free_ char *path = run_text_path(m, name);
    int r;

    if (!path)
        return error_set_errno(e, ENOMEM, "run");
    r = mkdir_parents(m->runtime_fd, RUN_TEXTS, 0700);
    if (r >= 0)
        r = file_write_atomic(AT_FDCWD, path, text, strlen(text), TEXT_NEW, false);
    return r < 0 ? error_set_errno(e, r, "%s", path) : 0;
}

static void remove_text(struct manager *m, const char *name) {
    _cleanup_free_ char *path = run_text_path(m, name);

    if (path)
        (void)unlink(path);
}

struct kept_text {
    struct manager *manager;
    char name[];
};

static int on_kept_long_enough(sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
    struct kept_text *k = userdata;

    if (!manager_find(k->manager, k->name)) /* else it is that one's */
        remove_text(k->manager, k->name);
    (void)sd_event_source_set_floating(source, false); /* was the last reference */
    return 0;
}

void run_keep_text(struct manager *m, const char *name) {
    struct kept_text *k = malloc(sizeof(*k) + strlen(name) + 1);
    _cleanup_(sd_event_source_unrefp) sd_event_source *source = NULL;

    if (!k)
        return; /* it stays until its name is used again */
    k->manager = m;
    memcpy(k->name, name, strlen(name) + 1);
    if (sd_event_add_time_relative(
            m->event, &source, CLOCK_MONOTONIC, KEPT_USEC, USEC_PER_SEC, on_kept_long_enough, k) < 0) {
        free(k);
        return;
    }
    (void)sd_event_source_set_destroy_callback(source, free);
    (void)sd_event_source_set_floating(source, true);
}

void run_unload(struct managed_unit *u) {
    if (u->state_lost)
        run_keep_text(u->manager, u->name);
    else
        remove_text(u->manager, u->name);
}

/* Its state comes first: a davitd that dies between the two has left state to be found. One that cannot be saved now
 * makes no difference, as the container is launched all the same. */
static void note_begun(struct manager *m, const char *name) {
    _cleanup_free_ char *path = run_text_path(m, name);

    saved_flush(m);
    if (!path || chmod(path, TEXT_BEGUN) < 0)
        (void)log_errno(LOG_WARNING, errno, "%s: noting that it may have been launched", name);
}

bool run_may_have_begun(struct manager *m, const char *name) {
    _cleanup_free_ char *path = run_text_path(m, name);
    struct stat st;

    return !path || (lstat(path, &st) >= 0 && (st.st_mode & S_IWUSR));
}

static int read_text(
    struct manager *m, const char *name, const char *text, struct unit **ret, struct error *e) {
    _cleanup_(loader_done) struct loader l = {};
    struct unit *c;
    int r = loader_init(&l, m);

    if (r >= 0)
        r = unit_parse_text(&l.env, name, name, text, strlen(text), &c, e);
    if (r < 0)
        return e && e->number ? r : error_set_errno(e, r, "%s", name);
    for (const struct problem *p = c->problems; p && c->has_errors; p = p->next)
        if (p->level == PROBLEM_ERROR) {
            _cleanup_free_ char *line = problem_format(p);

            error_set(e, EINVAL, "%s", line ? line : p->text);
            unit_free(c);
            return -EINVAL;
        }
    *ret = c;
    return 0;
}

/* Everything that can fail before there is a job. On failure u goes again. */
static int set_up_run(struct manager *m, struct managed_unit *u, const struct run_request *r,
    exec_started_t started, exec_exited_t exited, void *userdata, struct error *e) {
    struct job *j = NULL;
    int error = take_stdio(u, r);

    if (error < 0)
        return error_set_errno(e, error, "%s: its input and output", u->name);
    u->run_attached = u->stdio;
    if (!isempty(r->key) && free_and_strdup(&u->run_key, r->key) < 0)
        return error_set_errno(e, ENOMEM, "%s", u->name);
    error = session_new(u, started, exited, userdata);
    if (error >= 0)
        error = graph_build(m);
    if (error < 0)
        return error_set_errno(e, error, "%s", u->name);
    return transaction_run(m, u, JOB_START, JOB_MODE_REPLACE, TRANSACTION_BY_PERSON, &j, e);
}

static int check_run(struct manager *m, const char *name, const struct run_request *r, struct error *e) {
    const struct managed_unit *u = manager_find(m, name);

    if (!isempty(r->key) && !id128_is_valid(r->key))
        return error_set(e, EINVAL, "a key has 32 hexadecimal digits");
    if (r->again && (u ? u->state_lost : run_may_have_begun(m, name)))
        return error_set(e, ENOTRECOVERABLE,
            "what davitd has saved of %s is lost: it is not known whether its program ran", name);
    if (u)
        return error_set(e, EEXIST, "%s exists already", name);
    if (m->settings.max_units > 0 && hashmap_size(m->units) >= m->settings.max_units)
        return error_set(
            e, EDQUOT, "there are %u units already (max_units in davit.conf)", m->settings.max_units);
    return 0;
}

/* The one that this client has asked an earlier davitd for. */
static int run_again(struct managed_unit *u, const struct run_request *r, exec_started_t started,
    exec_exited_t exited, void *userdata, char **ret_unit, struct error *e) {
    int error = take_stdio_again(u, r);

    if (error < 0) {
        run_session_free(u); /* of half of it nothing is used */
        return error_set_errno(e, error, "%s: its input and output", u->name);
    }
    *ret_unit = strdup(u->name);
    error = *ret_unit ? run_attach(u, started, exited, userdata, e) : error_set_errno(e, ENOMEM, "run");
    if (error < 0)
        free(TAKE_PTR(*ret_unit));
    return error;
}

int api_run(struct manager *m, const struct run_request *request, exec_started_t started,
    exec_exited_t exited, void *userdata, char **ret_unit, struct error *e) {
    _cleanup_free_ char *name = NULL;
    struct unit *config = NULL;
    struct managed_unit *u;
    int r;

    if (m->phase >= PHASE_STOPPING)
        return error_set(e, ESHUTDOWN, "davit is shutting down");
    r = run_name(m, request->name, &name, e);
    if (r < 0)
        return r;
    u = manager_find(m, name);
    if (u && run_has_key(u, request->key))
        return run_again(u, request, started, exited, userdata, ret_unit, e);
    r = check_run(m, name, request, e);
    if (r >= 0)
        r = read_text(m, name, request->unit_text, &config, e);
    if (r < 0)
        return r;
    r = write_text(m, name, request->unit_text, e);
    u = r >= 0 ? managed_unit_new(m, name) : NULL;
    if (!u) {
        unit_free(config);
        remove_text(m, name);
        return r < 0 ? r : error_set_errno(e, ENOMEM, "%s", name);
    }
    u->config = config;
    u->transient = true;
    r = set_up_run(m, u, request, started, exited, userdata, e);
    if (r < 0) {
        remove_text(m, name);
        managed_unit_free(u);
        return r;
    }
    note_begun(m, name);
    *ret_unit = TAKE_PTR(name);
    return 0;
}
