/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* wait: until the programs of units have ended. is-system-running, get-default: one word about all of them. */
#include "base/str.h"
#include "cli/cli.h"
#include "cli/output.h"

/* Two connections: one that tells of changes, one to ask. */
struct watch {
    struct cli *c;
    struct client *events, *questions;
};

static void watch_close(struct watch *w) {
    if (w->events)
        client_free(TAKE_PTR(w->events));
    if (w->questions)
        client_free(TAKE_PTR(w->questions));
}

/* Whatever happens after this is told: the first event is davitd's word that it is so. */
static int subscribe(struct watch *w, struct error *e) {
    struct client_reply reply = {};

    int r = client_open(w->c->paths.runtime, true, &w->events, e);
    if (r >= 0)
        r = client_send(w->events, "io.davit.Events.Subscribe", NULL, CLIENT_MORE, NULL, 0, e);
    if (r >= 0)
        r = client_receive(w->events, USEC_INFINITY, &reply, e);
    if (r >= 0 && reply.error)
        r = error_set(e, EIO, "%s", client_reply_message(&reply));
    client_reply_done(&reply);
    return r;
}

/* Until anything changes. */
static int watch_next(struct watch *w, struct error *e) {
    struct client_reply reply = {};
    int r = client_receive(w->events, USEC_INFINITY, &reply, e);
    client_reply_done(&reply);
    return r;
}

/* Between two runs counts as ended: with Restart=always there would be no other end. */
static bool has_ended(json_t *unit) {
    static const char *const states[] = {"inactive", "failed", "backoff"};
    for (size_t i = 0; i < ARRAY_SIZE(states); i++)
        if (streq(states[i], json_text(unit, "state")))
            return true;
    return false;
}

/* As a shell counts: the program's status, 128 + N after signal N, -1 where it is not known. */
static void print_end(const struct cli *c, json_t *unit, json_t *all) {
    json_t *end = json_object_get(unit, "exit");
    const char *code = json_text(end, "code");
    int64_t status = json_number(end, "status", -1);

    if (streq(code, "killed") || streq(code, "dumped"))
        status += EXIT_SIGNALLED;
    else if (!streq(code, "exited"))
        status = -1;
    if (c->options.json)
        (void)json_array_append_new(all, json_pack("{ss sI ss}", "unit", json_text(unit, "name"), "status",
                                             (json_int_t)status, "result", json_text(unit, "result")));
    else if (!c->options.quiet)
        (void)printf("%lld\n", (long long)status);
    (void)fflush(stdout);
}

/* 1: it has ended, and that has been printed. 0: not yet. -ESRCH (no such unit), or the connection's error. */
static int ask(struct watch *w, const char *unit, json_t *all, struct error *e) {
    struct client_reply reply = {};
    int r =
        client_call(w->questions, "io.davit.Unit.Describe", unit_parameter(unit), USEC_INFINITY, &reply, e);

    if (r >= 0 && reply.error)
        r = error_set(
            e, client_reply_is(&reply, "NoSuchUnit") ? ESRCH : EIO, "%s", client_reply_message(&reply));
    if (r >= 0) {
        json_t *u = json_object_get(reply.parameters, "unit");
        r = has_ended(u);
        if (r > 0)
            print_end(w->c, u, all);
    }
    client_reply_done(&reply);
    return r;
}

/* What has ended already is found by the first question; else the next one is asked with an ear on the events. */
static int wait_for(struct watch *w, const char *unit, json_t *all, struct error *e) {
    for (;;) {
        int r = w->questions ? 0 : client_open(w->c->paths.runtime, true, &w->questions, e);
        if (r >= 0)
            r = ask(w, unit, all, e);
        if (r == 0)
            r = w->events ? watch_next(w, e) : subscribe(w, e);
        else if (r != -ECONNRESET)
            return r;
        if (r == -ECONNRESET) /* the next davitd knows the unit too */
            watch_close(w);
        else if (r < 0)
            return r;
    }
}

int verb_wait(struct cli *c, char **arguments, size_t n) {
    struct watch w = {.c = c};
    json_t *all = json_array();
    int status = EXIT_SUCCESS;

    for (size_t i = 0; i < n; i++) {
        struct error e = {};
        int r = wait_for(&w, arguments[i], all, &e);
        if (r < 0) {
            cli_error("%s", e.text);
            status = r == -ESRCH ? EXIT_NO_SUCH_UNIT : EXIT_FAILURE;
            if (r != -ESRCH)
                break;
        }
    }
    if (c->options.json)
        json_print(all);
    json_decref(all);
    watch_close(&w);
    return status;
}

/* ---- is-system-running ---- */

/* systemctl's word for the whole, of a phase and the number of units that failed. */
static const char *system_word(json_t *status) {
    const char *phase = json_text(status, "phase");
    if (streq(phase, "running") || streq(phase, "reloading"))
        return json_number(json_object_get(status, "units"), "failed", 0) > 0 ? "degraded" : "running";
    return streq(phase, "ended") ? "stopping" : phase;
}

int verb_is_system_running(struct cli *c, char **arguments _unused_, size_t n _unused_) {
    _cleanup_(client_freep) struct client *client = NULL;
    struct client_reply reply = {};
    const char *word = "offline";

    if (client_open(c->paths.runtime, true, &client, NULL) >= 0 &&
        client_call(client, "io.davit.Manager.GetStatus", NULL, 60 * USEC_PER_SEC, &reply, NULL) >= 0 &&
        !reply.error)
        word = system_word(reply.parameters);
    int status = streq(word, "running") ? EXIT_SUCCESS : EXIT_FAILURE;
    if (c->options.json) {
        json_t *o = json_pack("{ss}", "state", word);
        json_print(o);
        json_decref(o);
    } else if (!c->options.quiet)
        (void)puts(word);
    client_reply_done(&reply);
    return status;
}

int verb_get_default(struct cli *c, char **arguments _unused_, size_t n _unused_) {
    struct client_reply reply;

    if (cli_connect(c, true) < 0 || cli_call(c, "io.davit.Manager.GetBoot", NULL, &reply) < 0)
        return EXIT_FAILURE;
    const char *target = json_text(reply.parameters, "target");
    if (c->options.json)
        json_print(json_object_get(reply.parameters, "target"));
    else
        (void)puts(target);
    client_reply_done(&reply);
    return EXIT_SUCCESS;
}
