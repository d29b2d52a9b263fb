/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* exec, run. */
#include "base/id128.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/resume.h"
#include "cli/run-unit.h"
#include "cli/session.h"

#define NAME_PATIENCE_USEC (5 * USEC_PER_SEC)
#define NAME_INTERVAL_USEC (5 * USEC_PER_MSEC)

static json_t *json_strings(char *const *words, size_t n) {
    json_t *l = json_array();
    for (size_t i = 0; words && i < n; i++) {
        json_t *s = json_string(words[i]);
        if (!s) {
            cli_error("\"%s\" is not UTF-8", words[i]);
            json_decref(l);
            return NULL;
        }
        (void)json_array_append_new(l, s);
    }
    return l;
}

/* --env NAME=VALUE, and NAME for a value of our own. */
static int exec_environment(const struct cli_options *o, char ***ret) {
    _cleanup_free_ char *term = session_term(o);
    int r = term ? strv_append(ret, term) : 0;
    STRV_FOREACH (word, o->env) {
        const char *ours = strchr(*word, '=') ? NULL : getenv(*word);
        if (strchr(*word, '='))
            r = strv_append(ret, *word);
        else if (ours)
            r = strv_consume(ret, strf("%s=%s", *word, ours));
        if (r < 0)
            break;
    }
    return r;
}

int verb_exec(struct cli *c, char **arguments, size_t n) {
    const struct cli_options *o = &c->options;
    _cleanup_strv_free_ char **environment = NULL;
    char key[ID128_TEXT];
    int r = exec_environment(o, &environment);
    json_t *argv = r < 0 ? NULL : json_strings(arguments + 1, n - 1);
    json_t *env = argv ? json_strings(environment, strv_length(environment)) : NULL;
    if (!env) {
        json_decref(argv);
        return EXIT_DAVIT_FAILED;
    }
    id128_random(key);
    json_t *p = json_pack("{sssososs}", "unit", arguments[0], "argv", argv, "environment", env, "key", key);
    if (p && o->user)
        (void)json_object_set_new(p, "user", json_string(o->user));
    if (p && o->workdir)
        (void)json_object_set_new(p, "working_dir", json_string(o->workdir));
    if (p && o->privileged)
        (void)json_object_set_new(p, "privileged", json_true());
    return session_run(c, "io.davit.Unit.Exec", arguments[0], p);
}

/* Who runs twice under one name gets the end of the first before its file systems and groups are gone. That
 * is a matter of milliseconds, and for us to wait for. */
static void wait_for_name(struct cli *c, const char *name) {
    _cleanup_free_ char *unit = endswith(name, ".container") ? strdup(name) : strf("%s.container", name);
    usec_t end = usec_add(now_monotonic(), NAME_PATIENCE_USEC);
    bool leaving = true;

    while (unit && leaving && now_monotonic() < end) {
        struct client_reply reply;
        if (client_call(
                c->client, "io.davit.Unit.Describe", unit_parameter(unit), USEC_PER_SEC, &reply, NULL) < 0)
            return;
        json_t *u = json_object_get(reply.parameters, "unit");
        leaving = json_flag(u, "transient") && json_number(u, "pid", 0) == 0 &&
                  (streq(json_text(u, "state"), "stopping") || !*json_text(u, "job"));
        client_reply_done(&reply);
        if (leaving)
            (void)usleep(NAME_INTERVAL_USEC);
    }
}

/* 0, or -errno with *e. From a davitd that dies it is asked again of the next one, which knows it by its key. */
static int call_run(struct cli *c, json_t *parameters, struct client_reply *ret, struct error *e) {
    for (;;) {
        int r = client_call(c->client, "io.davit.Unit.Run", json_incref(parameters), USEC_INFINITY, ret, e);
        if (r != -ECONNRESET)
            return r;
        r = resume_connect(c, e);
        if (r < 0)
            return r;
        (void)json_object_set_new(parameters, "again", json_true());
    }
}

static int run_detached(struct cli *c, json_t *parameters) {
    struct client_reply reply;
    struct error e = {};
    int r = call_run(c, parameters, &reply, &e);
    json_decref(parameters);
    if (cli_check_reply(r, &reply, &e) < 0)
        return EXIT_DAVIT_FAILED;
    if (c->options.json)
        json_print(reply.parameters);
    else
        (void)puts(json_text(reply.parameters, "unit"));
    client_reply_done(&reply);
    return EXIT_SUCCESS;
}

int verb_run(struct cli *c, char **arguments, size_t n) {
    struct cli_options *o = &c->options;
    _cleanup_free_ char *text = NULL, *term = NULL, *name = NULL;
    char key[ID128_TEXT];
    struct error e = {};

    if (o->detach && (o->interactive || o->terminal)) {
        cli_error("--detach does not go with --interactive and --tty");
        return EXIT_DAVIT_FAILED;
    }
    /* First, so that --env=TERM=... wins. */
    term = session_term(o);
    if (term) {
        _cleanup_strv_free_ char **env = NULL;
        if (strv_append(&env, term) < 0 || strv_extend(&env, o->env) < 0)
            return EXIT_DAVIT_FAILED;
        strv_free(o->env);
        o->env = TAKE_PTR(env);
    }
    if (run_unit_text(o, arguments, n, &text, &e) < 0) {
        cli_error("%s", e.text);
        return EXIT_DAVIT_FAILED;
    }
    id128_random(key);
    name = o->name ? strdup(o->name) : strf("run-%.8s", key);
    json_t *p = name ? json_pack("{ssssss}", "name", name, "key", key, "unit_text", text) : NULL;
    if (!p) {
        cli_error("the command line is not UTF-8");
        return EXIT_DAVIT_FAILED;
    }
    if (cli_connect(c, false) < 0) {
        json_decref(p);
        return EXIT_DAVIT_FAILED;
    }
    if (o->name)
        wait_for_name(c, o->name);
    return o->detach ? run_detached(c, p) : session_run(c, "io.davit.Unit.Run", name, p);
}
