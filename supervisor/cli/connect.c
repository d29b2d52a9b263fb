/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/str.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "unit/unit.h"

/* Questions are answered at once by a manager that never blocks; a reload reads all files. */
#define CALL_TIMEOUT_USEC (60 * USEC_PER_SEC)
#define OFFLINE_TIMEOUT_USEC (5 * USEC_PER_SEC)

int cli_connect(struct cli *c, bool read_only) {
    struct error e = {};
    if (c->client)
        return 0;
    int r = client_open(c->paths.runtime, read_only, &c->client, &e);
    if (r < 0)
        cli_error("%s", e.text);
    return r;
}

int cli_reply_number(const struct client_reply *r) {
    return client_reply_is(r, "NoSuchUnit") ? -ENOENT : -EIO;
}

int cli_check_reply(int called, struct client_reply *reply, const struct error *e) {
    if (called < 0) {
        cli_error("%s", e->text);
        return called == -ENOENT ? -EIO : called;
    }
    if (!reply->error)
        return 0;
    cli_error("%s", client_reply_message(reply));
    int r = cli_reply_number(reply);
    client_reply_done(reply);
    return r;
}

static int call(
    struct cli *c, const char *method, json_t *parameters, bool may_be_last, struct client_reply *ret) {
    struct error e = {};
    struct client_reply reply;

    int r = client_call(c->client, method, parameters, CALL_TIMEOUT_USEC, &reply, &e);
    if (r == -ECONNRESET && may_be_last) {
        *ret = (struct client_reply){};
        return 0;
    }
    r = cli_check_reply(r, &reply, &e);
    if (r >= 0)
        *ret = reply;
    return r;
}

int cli_call(struct cli *c, const char *method, json_t *parameters, struct client_reply *ret) {
    return call(c, method, parameters, false, ret);
}

int cli_call_last(struct cli *c, const char *method, json_t *parameters, struct client_reply *ret) {
    return call(c, method, parameters, true, ret);
}

int cli_reply_failed(const char *what, const struct client_reply *r) {
    const char *step = json_text(r->parameters, "step"), *message = client_reply_message(r);
    bool named = !*step || startswith(message, step); /* "execve /bin/x: ..." says its step by itself */
    cli_error("cannot %s: %s%s%s", what, named ? "" : step, named ? "" : ": ", message);
    return client_reply_is(r, "NoSuchUnit")         ? EXIT_NOT_INSTALLED
           : client_reply_is(r, "PermissionDenied") ? 4 /* LSB: insufficient privilege */
                                                    : EXIT_FAILURE;
}

json_t *unit_parameter(const char *unit) {
    return json_pack("{ss}", "unit", unit);
}

json_t *unit_parameters(const char *unit, const char *name, json_t *value) {
    json_t *p = unit_parameter(unit);
    if (p)
        (void)json_object_set_new(p, name, value);
    else
        json_decref(value);
    return p;
}

/* ---- without davitd ---- */

/* The unit path of the davitd that runs, or NULL. Its absence is no error here. */
static char **unit_path_of_manager(struct cli *c) {
    _cleanup_(client_freep) struct client *client = NULL;
    struct client_reply reply;
    char **path = NULL;
    size_t i;
    json_t *directory;

    if (client_open(c->paths.runtime, true, &client, NULL) < 0 ||
        client_call(client, "io.davit.Manager.GetStatus", NULL, OFFLINE_TIMEOUT_USEC, &reply, NULL) < 0)
        return NULL;
    JSON_ARRAY_FOREACH (i, directory, json_object_get(reply.parameters, "unit_path"))
        if (json_is_string(directory) && strv_append(&path, json_string_value(directory)) < 0)
            break;
    client_reply_done(&reply);
    return path;
}

int cli_unit_environment(struct cli *c, struct unit_environment *ret) {
    char **path = unit_path_of_manager(c);
    if (path) {
        strv_free(c->paths.unit_path);
        c->paths.unit_path = path;
    }
    *ret = (struct unit_environment){.unit_path = c->paths.unit_path, .strict = c->options.strict};
    return 0;
}

static bool unit_exists(const char *name, void *data) {
    const struct unit_environment *env = data;
    struct unit *u = NULL;
    if (unit_load(env, name, &u, NULL) < 0)
        return false;
    unit_free(u);
    return true;
}

int cli_unit_resolve(const struct unit_environment *env, const char *written, char **ret) {
    return unit_name_resolve(written, unit_exists, (void *)env, ret);
}
