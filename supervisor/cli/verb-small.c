/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verbs that are one question and one answer. */
#include "base/parse.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/storage.h"
#include "unit/unit.h"

/* How long a davitd may take to end, and the next one to come up. */
#define REEXEC_USEC (20 * USEC_PER_SEC)

/* One call for each unit; goes on after a failure. */
static int call_each(struct cli *c, const char *method, char **units, size_t n, json_t *more) {
    int status = EXIT_SUCCESS;
    if (cli_connect(c, false) < 0)
        return EXIT_FAILURE;
    for (size_t i = 0; i < n; i++) {
        struct client_reply reply;
        struct error e = {};
        json_t *p = unit_parameter(units[i]);
        if (p && more)
            (void)json_object_update(p, more);
        if (client_call(c->client, method, p, 60 * USEC_PER_SEC, &reply, &e) < 0) {
            cli_error("%s", e.text);
            return EXIT_FAILURE;
        }
        if (reply.error) {
            _cleanup_free_ char *what = strf("%s %s", c->verb->name, units[i]);
            status = cli_reply_failed(what ?: units[i], &reply);
        }
        client_reply_done(&reply);
    }
    return status;
}

int verb_kill(struct cli *c, char **arguments, size_t n) {
    const char *whom = c->options.kill_whom ?: "all";
    int signal = 15;
    if (c->options.signal && parse_signal(c->options.signal, &signal) < 0) {
        cli_error("\"%s\" is no signal", c->options.signal);
        return EXIT_FAILURE;
    }
    if (!streq(whom, "all") && !streq(whom, "main")) {
        cli_error("--kill-whom is all or main, not \"%s\"", whom);
        return EXIT_FAILURE;
    }
    json_t *more = json_pack("{sssi}", "whom", whom, "signal", signal);
    int status = call_each(c, "io.davit.Unit.Kill", arguments, n, more);
    json_decref(more);
    return status;
}

int verb_freeze(struct cli *c, char **arguments, size_t n) {
    return call_each(
        c, streq(c->verb->name, "thaw") ? "io.davit.Unit.Thaw" : "io.davit.Unit.Freeze", arguments, n, NULL);
}

int verb_reset_failed(struct cli *c, char **arguments, size_t n) {
    struct client_reply reply;
    if (n > 0)
        return call_each(c, "io.davit.Manager.ResetFailed", arguments, n, NULL);
    if (cli_connect(c, false) < 0 || cli_call(c, "io.davit.Manager.ResetFailed", NULL, &reply) < 0)
        return EXIT_FAILURE;
    client_reply_done(&reply);
    return EXIT_SUCCESS;
}

/* is-active, is-failed: each unit's ActiveState on a line of its own. */
int verb_is(struct cli *c, char **arguments, size_t n) {
    bool failed_wanted = streq(c->verb->name, "is-failed"), found = false, known = false;
    json_t *all = json_array();

    if (cli_connect(c, true) < 0)
        return EXIT_FAILURE;
    for (size_t i = 0; i < n; i++) {
        struct client_reply reply;
        struct error e = {};
        if (client_call(c->client, "io.davit.Unit.Describe", unit_parameter(arguments[i]), 60 * USEC_PER_SEC,
                &reply, &e) < 0) {
            cli_error("%s", e.text);
            json_decref(all);
            return EXIT_FAILURE;
        }
        const char *active =
            reply.error ? "inactive" : json_text(json_object_get(reply.parameters, "unit"), "active");
        known = known || !reply.error;
        found = found || (failed_wanted ? streq(active, "failed")
                                        : streq(active, "active") || streq(active, "reloading"));
        if (c->options.json)
            (void)json_array_append_new(all, json_pack("{ssss}", "unit", arguments[i], "active", active));
        else if (!c->options.quiet)
            (void)puts(active);
        client_reply_done(&reply);
    }
    if (c->options.json)
        json_print(all);
    json_decref(all);
    if (found)
        return EXIT_SUCCESS;
    return failed_wanted ? EXIT_FAILURE : known ? EXIT_NOT_RUNNING : EXIT_NO_SUCH_UNIT;
}

int verb_daemon_reload(struct cli *c, char **arguments _unused_, size_t n _unused_) {
    struct client_reply reply;
    if (cli_connect(c, false) < 0 || cli_call(c, "io.davit.Manager.Reload", NULL, &reply) < 0)
        return EXIT_FAILURE;
    int64_t problems = json_number(reply.parameters, "problems", 0);
    if (c->options.json)
        json_print(reply.parameters);
    else if (problems > 0)
        cli_remark(c, "%lld problem%s in the unit files; 'davit check' lists them.", (long long)problems,
            problems == 1 ? "" : "s");
    client_reply_done(&reply);
    return EXIT_SUCCESS;
}

/* The pid of the davitd that answers, by a connection of its own; 0 if none does. */
static pid_t manager_pid(struct cli *c) {
    _cleanup_(client_freep) struct client *client = NULL;
    struct client_reply reply = {};
    pid_t pid = 0;

    if (client_open(c->paths.runtime, false, &client, NULL) >= 0 &&
        client_call(client, "io.davit.Manager.GetStatus", NULL, REEXEC_USEC, &reply, NULL) >= 0 &&
        !reply.error)
        pid = (pid_t)json_number(reply.parameters, "pid", 0);
    client_reply_done(&reply);
    return pid;
}

/* A connection can still be made to a davitd that is about to go: that one never answers. */
static bool wait_for_another(struct cli *c, pid_t before) {
    usec_t end = usec_add(now_monotonic(), REEXEC_USEC);

    do {
        pid_t pid = manager_pid(c);
        if (pid != 0 && pid != before)
            return true;
        (void)usleep(10 * 1000);
    } while (now_monotonic() < end);
    return false;
}

/* Done when the next davitd answers. */
int verb_daemon_reexec(struct cli *c, char **arguments _unused_, size_t n _unused_) {
    struct client_reply reply;
    struct error e = {};
    pid_t before = manager_pid(c);

    if (cli_connect(c, false) < 0 || cli_call(c, "io.davit.Manager.Reexecute", NULL, &reply) < 0)
        return EXIT_FAILURE;
    client_reply_done(&reply);
    int r = client_receive(c->client, REEXEC_USEC, &reply, &e); /* its end */
    if (r >= 0)
        client_reply_done(&reply);
    if (r != -ECONNRESET || !wait_for_another(c, before)) {
        cli_error("davitd has not come back within %d seconds; 'davit status' and the log tell more",
            (int)(REEXEC_USEC / USEC_PER_SEC));
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

int verb_exit(struct cli *c, char **arguments, size_t n) {
    uint64_t status = 0;
    struct client_reply reply;
    if (n > 0 && parse_uint(arguments[0], 0, 255, &status) < 0) {
        cli_error("\"%s\" is no exit status (0 to 255)", arguments[0]);
        return EXIT_FAILURE;
    }
    if (c->options.force > 0) {
        if (c->options.keep) {
            cli_error("--force and --keep contradict each other");
            return EXIT_FAILURE;
        }
        return cli_end(
            c, &(struct end_call){.kind = ENDING_EXIT, .force = c->options.force, .status = (int)status});
    }
    json_t *p = json_pack("{sIsb}", "status", (json_int_t)status, "keep", c->options.keep);
    if (cli_connect(c, false) < 0) {
        json_decref(p);
        return EXIT_FAILURE;
    }
    if (cli_call(c, "io.davit.Manager.Exit", p, &reply) < 0)
        return EXIT_FAILURE;
    client_reply_done(&reply);
    return EXIT_SUCCESS;
}

int verb_version(struct cli *c, char **arguments _unused_, size_t n _unused_) {
    _cleanup_(client_freep) struct client *client = NULL;
    struct client_reply reply = {};
    const char *running = NULL;

    /* Without davitd there is one version less to show, and nothing wrong. */
    if (client_open(c->paths.runtime, true, &client, NULL) >= 0 &&
        client_call(client, "io.davit.Manager.GetStatus", NULL, 5 * USEC_PER_SEC, &reply, NULL) >= 0 &&
        !reply.error)
        running = json_text(reply.parameters, "version");
    if (c->options.json) {
        json_t *o = json_pack("{ss}", "davit", DAVIT_VERSION);
        if (running)
            (void)json_object_set_new(o, "davitd", json_string(running));
        json_print(o);
        json_decref(o);
    } else {
        (void)printf("davit %s\n", DAVIT_VERSION);
        if (running)
            (void)printf(
                "davitd %s (pid %lld)\n", running, (long long)json_number(reply.parameters, "pid", 0));
    }
    client_reply_done(&reply);
    return EXIT_SUCCESS;
}

int verb_info(struct cli *c, char **arguments _unused_, size_t n _unused_) {
    static const struct {
        const char *title, *field;
    } rows[] = {
        {"Version", "version"},
        {"Phase", "phase"},
        {"Runtime directory", "runtime_dir"},
        {"State directory", "state_dir"},
        {"Log directory", "log_dir"},
        {"Log sink", "log_sink"},
        {"Control groups", "cgroups"},
    };
    struct client_reply reply;
    size_t i;
    json_t *directory;

    if (cli_connect(c, true) < 0 || cli_call(c, "io.davit.Manager.GetStatus", NULL, &reply) < 0)
        return EXIT_FAILURE;
    json_t *storage = storage_describe(
        json_text(reply.parameters, "storage_driver"), json_text(reply.parameters, "state_dir"));
    if (c->options.json) {
        if (storage)
            (void)json_object_set(reply.parameters, "storage", storage);
        json_print(reply.parameters);
    } else {
        for (i = 0; i < ARRAY_SIZE(rows); i++)
            if (*json_text(reply.parameters, rows[i].field))
                (void)printf("%18s: %s\n", rows[i].title, json_text(reply.parameters, rows[i].field));
        (void)printf("%18s: %lld\n", "Manager", (long long)json_number(reply.parameters, "pid", 0));
        JSON_ARRAY_FOREACH (i, directory, json_object_get(reply.parameters, "unit_path"))
            (void)printf("%18s%s %s\n", i == 0 ? "Unit path" : "", i == 0 ? ":" : " ",
                json_string_value(directory) ?: "");
        if (storage)
            storage_print(storage);
    }
    json_decref(storage);
    client_reply_done(&reply);
    return EXIT_SUCCESS;
}
