/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `davit exec`: commands in running containers, and the clients that wait for them.
 *
 * A command is saved with its unit from before it is launched until its end has been told. So a client whose
 * davitd has died finds it with the next one: by the key that it had chosen, or by the pid. A key that no
 * state has was never launched: what is saved first is sent to a launcher afterwards.
 */
#include <inttypes.h>
#include <signal.h>

#include "base/parse.h"
#include "base/words.h"
#include "manager/core.h"
#include "manager/rooms.h"

/* Ends that nobody has asked for: whoever lost davitd is back within half a minute, or never. */
#define KEPT_ENDS_MAX 32
#define KEPT_END_USEC (60 * USEC_PER_SEC)

struct exec_session {
    struct list link;        /* managed_unit.sessions */
    struct process *process; /* NULL: it has ended */
    exec_started_t started;
    exec_exited_t exited;
    void *userdata;       /* NULL: nobody waits, or not yet again */
    bool told;            /* ... but has been told how it went */
    char key[ID128_TEXT]; /* "": it has none */
    pid_t pid;            /* 0 until BEGUN */
    struct process_exit end;
};

static struct exec_session *session_new(struct managed_unit *u, const char *key) {
    struct exec_session *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    (void)snprintf(s->key, sizeof(s->key), "%s", key ?: "");
    list_append(&u->sessions, &s->link);
    return s;
}

static void session_free(struct managed_unit *u, struct exec_session *s) {
    list_remove(&s->link);
    free(s);
    unit_mark_dirty(u);
}

static void session_set_client(
    struct exec_session *s, exec_started_t started, exec_exited_t exited, void *userdata) {
    s->started = started;
    s->exited = exited;
    s->userdata = userdata;
}

/* The oldest are first in the list. */
static void drop_old_ends(struct managed_unit *u) {
    usec_t now = core_now(), oldest = now - MIN(now, KEPT_END_USEC);
    unsigned n = 0;

    LIST_FOREACH (s, &u->sessions, struct exec_session, link)
        n += !s->process;
    LIST_FOREACH (s, &u->sessions, struct exec_session, link)
        if (!s->process && (n > KEPT_ENDS_MAX || s->end.when < oldest)) {
            n--;
            session_free(u, s);
        }
}

static void session_begun(struct process *p) {
    struct exec_session *s = p->userdata;

    s->pid = p->pid;
    unit_mark_dirty(p->unit);
}

static void session_started(struct process *p) {
    struct exec_session *s = p->userdata;

    if (s->userdata)
        s->started(s->userdata, p->pid, NULL);
}

/* Nothing of it has run, so it is as if that key had never come. */
static void forget_lost_launch(struct exec_session *s, struct error *e) {
    s->key[0] = '\0';
    e->number = ECONNRESET;
}

static void session_failed(struct process *p, const struct error *why) {
    struct exec_session *s = p->userdata;
    struct managed_unit *u = p->unit;
    struct error e = *why;
    bool last = p->pid == 0;

    if (process_is_lost_launch(p, why))
        forget_lost_launch(s, &e);
    s->told = s->userdata;
    if (s->told)
        s->started(s->userdata, 0, &e);
    s->userdata = NULL; /* exited() is not called after that */
    unit_mark_dirty(u);
    if (!last)
        return;
    session_free(u, s);
    process_free(p);
}

static void session_exited(struct process *p, const struct process_exit *x) {
    struct exec_session *s = p->userdata;
    struct managed_unit *u = p->unit;
    bool told = s->told || s->userdata;

    if (s->userdata)
        s->exited(s->userdata, x->code, x->status);
    s->userdata = NULL;
    s->process = NULL;
    s->end = *x;
    s->end.when = core_now();
    process_free(p);
    if (told)
        session_free(u, s);
    else
        unit_mark_dirty(u);
    drop_old_ends(u);
    unit_follow_up(u, FOLLOW_COLLECT);
}

static const struct process_callbacks session_callbacks = {
    .begun = session_begun,
    .started = session_started,
    .failed = session_failed,
    .exited = session_exited,
};

bool exec_runs(const struct managed_unit *u) {
    LIST_FOREACH (s, &u->sessions, struct exec_session, link)
        if (s->process)
            return true;
    return false;
}

void exec_free_all(struct managed_unit *u) {
    LIST_FOREACH (s, &u->sessions, struct exec_session, link) {
        if (s->process)
            process_abandon(s->process);
        list_remove(&s->link);
        free(s);
    }
    strv_free(TAKE_PTR(u->recovered_sessions));
}

/* ---- saved with the unit: REQUEST PID KEY [foreign | WHEN CODE STATUS], the end where it has ended ---- */

#define NO_KEY "-"
#define FOREIGN "foreign" /* no child of davit-init */

void exec_format(const struct managed_unit *u, const char *key, struct strbuf *b) {
    LIST_FOREACH (s, &u->sessions, struct exec_session, link) {
        strbuf_printf(b, "%s=%" PRIu64 " %d %s", key, s->process ? s->process->request : 0, (int)s->pid,
            *s->key ? s->key : NO_KEY);
        if (!s->process)
            strbuf_printf(b, " %" PRIu64 " %d %d", s->end.when, s->end.code, s->end.status);
        else if (s->process->foreign)
            strbuf_puts(b, " " FOREIGN);
        strbuf_putc(b, '\n');
    }
}

static int parse_end(char *const *words, struct process_exit *ret) {
    int64_t code, status;

    if (parse_uint(words[0], 0, UINT64_MAX, &ret->when) < 0 ||
        parse_int(words[1], INT32_MIN, INT32_MAX, &code) < 0 ||
        parse_int(words[2], INT32_MIN, INT32_MAX, &status) < 0)
        return -EBADMSG;
    ret->code = (int)code;
    ret->status = (int)status;
    return 0;
}

static int recover_one(struct managed_unit *u, const char *line) {
    _cleanup_strv_free_ char **words = NULL;
    uint64_t request, pid;
    struct process_exit end = {.when = core_now(), .code = EXIT_UNKNOWN};

    int r = words_split(line, WORDS_KEEP_BACKSLASH, &words);
    if (r < 0)
        return r;
    size_t n = strv_length(words);
    if (n < 3 || parse_uint(words[0], 0, UINT64_MAX, &request) < 0 ||
        parse_uint(words[1], 0, INT32_MAX, &pid) < 0 || (n >= 6 && parse_end(words + 3, &end) < 0))
        return -EBADMSG;
    struct exec_session *s = session_new(u, id128_is_valid(words[2]) ? words[2] : NULL);
    if (!s)
        return -ENOMEM;
    s->pid = (pid_t)pid;
    s->end = end;
    /* With another davit-init the launchers' answers are lost: whether it was launched will never be known. */
    if (n >= 6 || (pid == 0 && u->manager->keeper_changed))
        return 0;
    r = process_adopt(
        u->manager, u, PROCESS_EXEC, request, s->pid, PROCESS_BEGUN, &session_callbacks, s, &s->process);
    if (r >= 0 && (u->manager->keeper_changed || (n > 3 && streq(words[3], FOREIGN))))
        process_set_foreign(s->process);
    return r == -ESRCH ? 0 : r;
}

void exec_recover(struct managed_unit *u) {
    STRV_FOREACH (line, u->recovered_sessions) {
        int r = recover_one(u, *line);
        if (r < 0)
            (void)log_errno(LOG_WARNING, r, "%s: a command of davit exec cannot be taken over", u->name);
    }
    strv_free(TAKE_PTR(u->recovered_sessions));
}

/* ---- its client ---- */

/* Everything that is known already is told at once. */
static int session_attach(struct managed_unit *u, struct exec_session *s, exec_started_t started,
    exec_exited_t exited, void *userdata, struct error *e) {
    if (s->userdata)
        return error_set(e, EBUSY, "somebody else waits for that command");
    if (!s->process && s->pid == 0)
        return error_set(
            e, ENOTRECOVERABLE, "davit-init has died meanwhile: it is not known whether the command ran");
    session_set_client(s, started, exited, userdata);
    if (!s->process || s->process->stage == PROCESS_STARTED)
        started(userdata, s->pid, NULL);
    if (s->process)
        return 0;
    exited(userdata, s->end.code, s->end.status);
    session_free(u, s);
    return 0;
}

static struct exec_session *session_of_key(struct managed_unit *u, const char *key) {
    LIST_FOREACH (s, &u->sessions, struct exec_session, link)
        if (!isempty(key) && streq(s->key, key))
            return s;
    return NULL;
}

static int check_exec(struct managed_unit *u, const struct exec_request *request, struct error *e) {
    if (u->config->type != UNIT_CONTAINER)
        return error_set(e, EINVAL, "%s is not a container", u->name);
    if (!isempty(request->key) && !id128_is_valid(request->key))
        return error_set(e, EINVAL, "a key has 32 hexadecimal digits");
    if (!u->main || u->main->stage != PROCESS_STARTED || u->state == STATE_STOPPING)
        return error_set(e, ESRCH, "%s is not running", u->name);
    if (request->again && (u->state_lost || saved_write(u) < 0))
        return error_set(e, ENOTRECOVERABLE,
            "what davitd has saved of %s is lost: it is not known whether the command ran", u->name);
    return 0;
}

static int session_launch(
    struct managed_unit *u, struct exec_session *s, const struct exec_request *request, struct error *e) {
    int fds[SPEC_MAX_FDS];
    struct container_spec spec;
    size_t n_fds = 0;

    spec_init(&spec);
    int r = prepare_exec_spec(u, request, &spec, fds, &n_fds, e);
    if (r >= 0)
        r = process_start(
            u->manager, u, PROCESS_EXEC, &spec, fds, n_fds, &session_callbacks, s, &s->process, e);
    for (size_t i = 0; i < n_fds; i++)
        close_and_reset(&fds[i]);
    spec_done(&spec);
    return r;
}

int api_exec(struct managed_unit *u, const struct exec_request *request, exec_started_t started,
    exec_exited_t exited, void *userdata, struct error *e) {
    struct exec_session *s = session_of_key(u, request->key);

    if (s)
        return session_attach(u, s, started, exited, userdata, e);
    int r = check_exec(u, request, e);
    if (r < 0)
        return r;
    s = session_new(u, request->key);
    if (!s)
        return error_set_errno(e, ENOMEM, "exec");
    session_set_client(s, started, exited, userdata);
    r = session_launch(u, s, request, e);
    if (r < 0)
        session_free(u, s);
    unit_mark_dirty(u); /* written before the request is sent */
    return r;
}

int api_attach(struct managed_unit *u, const char *key, pid_t pid, exec_started_t started,
    exec_exited_t exited, void *userdata, struct error *e) {
    struct exec_session *found = session_of_key(u, key);

    if (run_has_key(u, key) && u->run_attached)
        return run_attach(u, started, exited, userdata, e);
    LIST_FOREACH (s, &u->sessions, struct exec_session, link)
        if (isempty(key) && s->pid == pid)
            found = s; /* the last one: the number may have been used before */
    if (!found)
        return error_set(e, ESRCH, "%s: nothing is known of that program", u->name);
    return session_attach(u, found, started, exited, userdata, e);
}

int api_exec_kill(struct manager *m, void *userdata, int signal) {
    struct managed_unit *u;

    HASHMAP_FOREACH (u, m->units) {
        if (run_is_for(u, userdata))
            return u->main ? process_kill(u->main, signal) : -ESRCH;
        LIST_FOREACH (s, &u->sessions, struct exec_session, link)
            if (s->userdata == userdata && s->process)
                return process_kill(s->process, signal);
    }
    return -ESRCH;
}

/* What it ran has nobody to talk to: it is hung up. */
void exec_forget_client(struct managed_unit *u, void *userdata) {
    LIST_FOREACH (s, &u->sessions, struct exec_session, link)
        if (s->userdata == userdata) {
            s->userdata = NULL;
            (void)process_kill(s->process, SIGHUP);
        }
}
