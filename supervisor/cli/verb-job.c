/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * start, stop, restart, try-restart, reload, reload-or-restart. A connection answers in order, so several units get one
 * connection each: all jobs are queued before the first is waited for, and dependencies between the units are
 * seen as a whole.
 */
#include "base/str.h"
#include "cli/cli.h"
#include "cli/output.h"

enum {
    AT_ONCE = 24,     /* connections; fewer than a user may have (max_clients_per_uid) */
    RECONNECTIONS = 5 /* davitd died while we waited: ask the next one again */
};

static const struct {
    const char *verb, *method;
} job_methods[] = {
    {"start", "io.davit.Unit.Start"},
    {"stop", "io.davit.Unit.Stop"},
    {"restart", "io.davit.Unit.Restart"},
    {"try-restart", "io.davit.Unit.TryRestart"},
    {"reload", "io.davit.Unit.Reload"},
};

struct waiting {
    struct client *client;
    const char *unit;
    int64_t asked_at; /* realtime, as davitd tells times */
};

static const char *method_of(const char *verb) {
    for (size_t i = 0; i < ARRAY_SIZE(job_methods); i++)
        if (streq(job_methods[i].verb, verb))
            return job_methods[i].method;
    return NULL;
}

static int job_send(struct cli *c, const char *verb, struct waiting *w, struct error *e) {
    if (w->asked_at == 0)
        w->asked_at = (int64_t)now_realtime();
    json_t *p = unit_parameters(w->unit, "wait", json_boolean(!c->options.no_block));
    if (p && c->options.mode)
        (void)json_object_set_new(p, "mode", json_string(c->options.mode));
    if (!w->client) {
        int r = client_open(c->paths.runtime, false, &w->client, e);
        if (r < 0) {
            json_decref(p);
            return r;
        }
    }
    return client_send(w->client, method_of(verb), p, 0, NULL, 0, e);
}

/* Why a job was no success, in words for the operator. */
static int job_failed(const char *verb, const char *unit, const char *result, const char *message) {
    static const struct {
        const char *result, *text;
    } texts[] = {
        {"canceled", "another job took its place"},
        {"timeout", "it took too long"},
        {"dependency", "a unit that it needs could not be started"},
        {"failed", "it failed"},
    };
    const char *text = result;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (streq(texts[i].result, result))
            text = texts[i].text;
    cli_error("cannot %s %s: %s", verb, unit, *message ? message : text);
    if (!streq(result, "canceled"))
        (void)fprintf(stderr, "'davit status %s' tells more.\n", unit);
    return EXIT_FAILURE;
}

static int job_answered(
    struct cli *c, const char *verb, const struct waiting *w, const struct client_reply *reply) {
    if (reply->error) {
        _cleanup_free_ char *what = strf("%s %s", verb, w->unit);
        return cli_reply_failed(what ?: verb, reply);
    }
    if (c->options.json)
        json_print(reply->parameters);
    const char *result = json_text(reply->parameters, "result"),
               *message = json_text(reply->parameters, "message");
    if (streq(result, "skipped") && *message)
        cli_remark(c, "%s was not started: %s", json_text(reply->parameters, "unit"), message);
    if (!*result || streq(result, "done") || streq(result, "skipped"))
        return EXIT_SUCCESS;
    return job_failed(verb, json_text(reply->parameters, "unit"), result, message);
}

/* What to ask the next davitd for. Asking again does no harm where the job is done already; but a restart
 * would be made once more. If there are signs that it has begun, a start waits for its end and changes
 * nothing. */
static const char *verb_to_repeat(struct cli *c, const char *verb, const struct waiting *w) {
    _cleanup_(client_freep) struct client *client = NULL;
    struct client_reply reply = {};
    bool begun = false;

    if (!streq(verb, "restart") || client_open(c->paths.runtime, true, &client, NULL) < 0)
        return verb;
    if (client_call(client, "io.davit.Unit.Describe", unit_parameter(w->unit), USEC_INFINITY, &reply, NULL) >=
            0 &&
        !reply.error) {
        json_t *u = json_object_get(reply.parameters, "unit");
        begun = *json_text(u, "job") || json_number(u, "since", 0) >= w->asked_at;
    }
    client_reply_done(&reply);
    return begun ? "start" : verb;
}

static int job_wait(struct cli *c, const char *verb, struct waiting *w) {
    struct client_reply reply;
    struct error e = {};
    int r = client_receive(w->client, USEC_INFINITY, &reply, &e);

    /* A new davitd has the unit's state but not our question. */
    for (int i = 0; r == -ECONNRESET && i < RECONNECTIONS; i++) {
        client_free(TAKE_PTR(w->client));
        r = job_send(c, verb_to_repeat(c, verb, w), w, &e);
        if (r >= 0)
            r = client_receive(w->client, USEC_INFINITY, &reply, &e);
    }
    if (r < 0) {
        cli_error("cannot %s %s: %s", verb, w->unit, e.text);
        return EXIT_FAILURE;
    }
    int status = job_answered(c, verb, w, &reply);
    client_reply_done(&reply);
    return status;
}

int cli_run_jobs(struct cli *c, const char *verb, char *const *units, size_t n) {
    int status = EXIT_SUCCESS;

    for (size_t at = 0; at < n;) {
        struct waiting batch[AT_ONCE] = {};
        size_t sent = 0;
        for (; sent < AT_ONCE && at + sent < n; sent++) {
            struct error e = {};
            batch[sent].unit = units[at + sent];
            if (job_send(c, verb, &batch[sent], &e) < 0) {
                cli_error("cannot %s %s: %s", verb, batch[sent].unit, e.text);
                status = EXIT_FAILURE;
                n = at + sent; /* the others would only fail in the same way */
                break;
            }
        }
        for (size_t i = 0; i < sent; i++) {
            int one = job_wait(c, verb, &batch[i]);
            if (one != EXIT_SUCCESS)
                status = one;
        }
        for (size_t i = 0; i < AT_ONCE; i++)
            if (batch[i].client)
                client_free(batch[i].client);
        at += AT_ONCE;
    }
    return status;
}

/* ---- reload-or-restart ---- */

/* True if the unit runs and has a way to reload. What cannot be asked for is found out by the job. */
static bool can_reload(struct client *client, const char *unit) {
    struct client_reply reply = {};
    bool can = false;
    if (client_call(client, "io.davit.Unit.Describe", unit_parameter(unit), USEC_INFINITY, &reply, NULL) >=
        0) {
        json_t *u = json_object_get(reply.parameters, "unit");
        const char *active = json_text(u, "active");
        can = json_flag(u, "can_reload") && (streq(active, "active") || streq(active, "reloading"));
    }
    client_reply_done(&reply);
    return can;
}

int verb_reload_or_restart(struct cli *c, char **arguments, size_t n) {
    _cleanup_(client_freep) struct client *client = NULL;
    _cleanup_strv_free_ char **reload = NULL, **restart = NULL;
    struct error e = {};

    if (client_open(c->paths.runtime, true, &client, &e) < 0) {
        cli_error("%s", e.text);
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < n; i++)
        if (strv_append(can_reload(client, arguments[i]) ? &reload : &restart, arguments[i]) < 0)
            return EXIT_FAILURE;
    int status = cli_run_jobs(c, "reload", reload, strv_length(reload));
    int other = cli_run_jobs(c, streq(c->verb->name, "reload-or-restart") ? "restart" : "try-restart",
        restart, strv_length(restart));
    return other != EXIT_SUCCESS ? other : status;
}

int verb_job(struct cli *c, char **arguments, size_t n) {
    return cli_run_jobs(c, c->verb->name, arguments, n);
}
