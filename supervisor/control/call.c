/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "base/json.h"
#include "base/str.h"
#include "control/call.h"
#include "control/methods.h"
#include "manager/api.h"
#include "manager/manager.h"

enum { METHOD_NAME_MAX = 255 };

/* ---- parameters ---- */

enum parameter_kind {
    PARAMETER_STRING,
    PARAMETER_STRINGS,
    PARAMETER_BOOLEAN,
    PARAMETER_NUMBER,
    PARAMETER_TIME
};

static const struct parameter {
    const char *name;
    enum parameter_kind kind;
    size_t offset;
    int low, high;
} parameter_table[] = {
#define FIELD(member) offsetof(struct arguments, member)
    {"unit", PARAMETER_STRING, FIELD(unit), 0, 0},
    {"mode", PARAMETER_STRING, FIELD(mode), 0, 0},
    {"whom", PARAMETER_STRING, FIELD(whom), 0, 0},
    {"name", PARAMETER_STRING, FIELD(name), 0, 0},
    {"unit_text", PARAMETER_STRING, FIELD(unit_text), 0, 0},
    {"user", PARAMETER_STRING, FIELD(user), 0, 0},
    {"working_dir", PARAMETER_STRING, FIELD(working_dir), 0, 0},
    {"session", PARAMETER_STRING, FIELD(session), 0, 0},
    {"key", PARAMETER_STRING, FIELD(key), 0, 0},
    {"interface", PARAMETER_STRING, FIELD(interface), 0, 0},
    {"action", PARAMETER_STRING, FIELD(action), 0, 0},
    {"argument", PARAMETER_STRING, FIELD(argument), 0, 0},
    {"message", PARAMETER_STRING, FIELD(message), 0, 0},
    {"when", PARAMETER_TIME, FIELD(when), 0, 0},
    {"argv", PARAMETER_STRINGS, FIELD(argv), 0, 0},
    {"environment", PARAMETER_STRINGS, FIELD(environment), 0, 0},
    {"wait", PARAMETER_BOOLEAN, FIELD(wait), 0, 0},
    {"keep", PARAMETER_BOOLEAN, FIELD(keep), 0, 0},
    {"privileged", PARAMETER_BOOLEAN, FIELD(privileged), 0, 0},
    {"again", PARAMETER_BOOLEAN, FIELD(again), 0, 0},
    {"no_wall", PARAMETER_BOOLEAN, FIELD(no_wall), 0, 0},
    {"signal", PARAMETER_NUMBER, FIELD(signal), 1, 64},
    {"pid", PARAMETER_NUMBER, FIELD(pid), 1, INT32_MAX},
    {"status", PARAMETER_NUMBER, FIELD(status), 0, 255},
    {"stdin", PARAMETER_NUMBER, FIELD(stdio[0]), 0, VARLINK_FDS_MAX - 1},
    {"stdout", PARAMETER_NUMBER, FIELD(stdio[1]), 0, VARLINK_FDS_MAX - 1},
    {"stderr", PARAMETER_NUMBER, FIELD(stdio[2]), 0, VARLINK_FDS_MAX - 1},
    {"terminal", PARAMETER_NUMBER, FIELD(terminal), 0, VARLINK_FDS_MAX - 1},
#undef FIELD
};

static const struct parameter *parameter_find(const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(parameter_table); i++)
        if (streq(parameter_table[i].name, name))
            return &parameter_table[i];
    return NULL;
}

static int strings_from_json(json_t *value, char ***ret) {
    _cleanup_strv_free_ char **l = NULL;
    size_t i;
    json_t *item;

    JSON_ARRAY_FOREACH (i, item, value) {
        if (!json_is_string(item))
            return -EINVAL;
        int r = strv_append(&l, json_string_value(item));
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(l);
    return 0;
}

/* 0, -EINVAL (wrong type or out of range), -ENOMEM. */
static int parameter_store(const struct parameter *p, json_t *value, struct arguments *a) {
    void *field = (char *)a + p->offset;

    switch (p->kind) {
    case PARAMETER_STRING:
        if (!json_is_string(value))
            return -EINVAL;
        *(const char **)field = json_string_value(value);
        return 0;
    case PARAMETER_STRINGS:
        if (!json_is_array(value))
            return -EINVAL;
        return strings_from_json(value, field);
    case PARAMETER_BOOLEAN:
        if (!json_is_boolean(value))
            return -EINVAL;
        *(bool *)field = json_is_true(value);
        return 0;
    case PARAMETER_TIME:
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return -EINVAL;
        *(uint64_t *)field = (uint64_t)json_integer_value(value);
        return 0;
    case PARAMETER_NUMBER:
        if (!json_is_integer(value) || json_integer_value(value) < p->low ||
            json_integer_value(value) > p->high)
            return -EINVAL;
        *(int *)field = (int)json_integer_value(value);
        return 0;
    }
    return -EINVAL;
}

/* The method's own entry for a parameter, with its mark; NULL if it takes none of that name. */
static const char *method_parameter(const struct method *m, const char *name) {
    for (size_t i = 0; i < METHOD_PARAMETERS_MAX && m->parameters[i]; i++)
        if (streq(m->parameters[i] + (m->parameters[i][0] == '!'), name))
            return m->parameters[i];
    return NULL;
}

/* Fills c->arguments. On -EINVAL *ret_bad names the parameter: an unknown one is an error as well, or a
 * misspelled `mode` would quietly do something else. null counts as absent. */
static int arguments_parse(struct call *c, json_t *parameters, const char **ret_bad) {
    struct arguments *a = &c->arguments;
    const char *name;
    json_t *value;

    *a = (struct arguments){.wait = true, .signal = -1, .stdio = {-1, -1, -1}, .terminal = -1};
    JSON_OBJECT_FOREACH (name, value, parameters) {
        const struct parameter *p = method_parameter(c->method, name) ? parameter_find(name) : NULL;
        int r = !p ? -EINVAL : json_is_null(value) ? 0 : parameter_store(p, value, a);
        if (r < 0) {
            *ret_bad = name;
            return r;
        }
    }
    for (size_t i = 0; i < METHOD_PARAMETERS_MAX && c->method->parameters[i]; i++) {
        const char *wanted = c->method->parameters[i];
        json_t *found = wanted[0] == '!' ? json_object_get(parameters, wanted + 1) : json_true();
        if (!found || json_is_null(found)) {
            *ret_bad = wanted + 1;
            return -EINVAL;
        }
    }
    return 0;
}

/* ---- life ---- */

static void call_free(struct call *c) {
    varlink_message_done(&c->message);
    strv_free(c->arguments.argv);
    strv_free(c->arguments.environment);
    json_decref(c->request);
    free(c->unit);
    free(c);
}

static void call_finish(struct call *c) {
    struct connection *n = c->connection;
    struct manager *m = n->control->manager;

    c->answered = true;
    c->attached = false;
    if (c->subscribed) {
        c->subscribed = false;
        api_unsubscribe(m, c);
    }
    if (c->in_handler)
        return; /* the dispatcher is up the stack and frees it */
    n->call = NULL;
    call_free(c);
    connection_call_done(n);
}

void call_abandon(struct call *c) {
    struct manager *m = c->connection->control->manager;

    if (c->subscribed)
        api_unsubscribe(m, c);
    api_forget_client(m, c); /* also hangs up its exec and stops its attached run */
    c->connection->call = NULL;
    call_free(c);
}

struct call *control_find_session(struct control *control, const char *session) {
    LIST_FOREACH (n, &control->connections, struct connection, link)
        if (n->call && n->call->attached && streq(n->call->session, session))
            return n->call;
    return NULL;
}

/* ---- answers ---- */

static void call_send(struct call *c, const char *error, json_t *parameters, bool continues) {
    if (c->oneway) {
        json_decref(parameters);
        return;
    }
    json_t *reply = json_object();
    if (error)
        (void)json_object_set_new(reply, "error", json_string(error));
    (void)json_object_set_new(reply, "parameters", parameters ? parameters : json_object());
    if (continues)
        (void)json_object_set_new(reply, "continues", json_true());
    connection_send(c->connection, reply, NULL, 0);
    json_decref(reply);
}

void call_reply(struct call *c, json_t *parameters) {
    if (!c->answered) {
        call_send(c, NULL, parameters, false);
        call_finish(c);
    } else
        json_decref(parameters);
}

void call_reply_more(struct call *c, json_t *parameters) {
    if (c->more && !c->answered)
        call_send(c, NULL, parameters, true);
    else
        json_decref(parameters);
}

void call_error(struct call *c, const char *name, json_t *parameters) {
    if (!c->answered) {
        call_send(c, name, parameters, false);
        call_finish(c);
    } else
        json_decref(parameters);
}

/* errno of the api_ functions to the errors of the interface files. */
static const struct {
    const char *name;
    int number;
    bool unit; /* has a field for its name */
} error_names[] = {
    {"NoSuchUnit", ENOENT, true},
    {"InvalidUnit", EINVAL, true},
    {"DependencyCycle", EDEADLK, true},
    {"ShuttingDown", ESHUTDOWN, false},
};

static json_t *failure_parameters(
    const struct call *c, const char *kind, bool unit, int number, const struct error *e) {
    const char *text = e && e->number ? e->text : "";
    json_t *p = json_object();

    if (!*text)
        text = errno_text(number);
    if (unit)
        (void)json_object_set_new(p, "unit", json_string(c->arguments.unit ? c->arguments.unit : ""));
    if (!kind) {
        (void)json_object_set_new(p, "number", json_integer(number < 0 ? -number : number));
        if (e && e->step[0])
            (void)json_object_set_new(p, "step", json_string(e->step));
    }
    /* What the text quotes may be any bytes; what is no UTF-8 is not said rather than lost with the whole
     * reply. */
    json_t *message = json_string(text);
    (void)json_object_set_new(p, "message", message ? message : json_string(errno_text(number)));
    return p;
}

void call_fail(struct call *c, int number, const struct error *e) {
    char name[64];

    for (size_t i = 0; i < ARRAY_SIZE(error_names); i++) {
        /* ENOENT and EINVAL mean the unit only where a unit was named and no step of a launch had begun. */
        if (error_names[i].number != -number || (e && e->step[0]) ||
            (error_names[i].unit && !c->arguments.unit))
            continue;
        (void)snprintf(name, sizeof(name), "%s.%s", c->method->interface, error_names[i].name);
        call_error(c, name, failure_parameters(c, error_names[i].name, error_names[i].unit, number, e));
        return;
    }
    (void)snprintf(name, sizeof(name), "%s.Failed", c->method->interface);
    call_error(c, name, failure_parameters(c, NULL, false, number, e));
}

/* ---- dispatch ---- */

static const struct method *method_find(const char *full, bool *ret_interface_known) {
    const char *dot = strrchr(full, '.');
    size_t length = dot ? (size_t)(dot - full) : 0;

    *ret_interface_known = false;
    for (size_t i = 0; dot && i < n_methods; i++) {
        if (strlen(methods[i].interface) != length || memcmp(methods[i].interface, full, length) != 0)
            continue;
        *ret_interface_known = true;
        if (streq(methods[i].name, dot + 1))
            return &methods[i];
    }
    return NULL;
}

/* Everything that must hold before a handler runs. True if the call may go on; else it has been answered. */
static bool call_check(struct call *c, const char *full, bool interface_known) {
    const char *bad = NULL;

    if (strlen(full) > METHOD_NAME_MAX) { /* not worth sending back */
        call_error(c, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", "method"));
        return false;
    }
    if (!c->method && interface_known) {
        call_error(c, "org.varlink.service.MethodNotFound", json_pack("{ss}", "method", full));
        return false;
    }
    if (!c->method) {
        const char *dot = strrchr(full, '.');
        size_t length = dot ? (size_t)(dot - full) : strlen(full);
        call_error(c, "org.varlink.service.InterfaceNotFound", json_pack("{ss%}", "interface", full, length));
        return false;
    }
    if ((c->method->flags & METHOD_WRITES) && c->connection->read_only) {
        call_error(c, "org.varlink.service.PermissionDenied", NULL);
        return false;
    }
    if ((c->method->flags & METHOD_NEEDS_MORE) && !c->more) {
        call_error(c, "org.varlink.service.ExpectedMore", NULL);
        return false;
    }
    json_t *parameters = json_object_get(c->request, "parameters");
    if (parameters && !json_is_object(parameters) && !json_is_null(parameters))
        bad = "parameters";
    else if (arguments_parse(c, parameters, &bad) == 0)
        return true;
    call_error(c, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", bad));
    return false;
}

static void call_run(struct call *c) {
    struct manager *m = c->connection->control->manager;
    struct managed_unit *u = NULL;
    struct error e = {};
    int r = 0;

    if (c->method->flags & METHOD_UNIT)
        r = api_find_unit(m, c->arguments.unit, &u, &e);
    if (r >= 0)
        r = c->method->handler(c, u, &e);
    if (r < 0)
        call_fail(c, r, &e);
}

int call_dispatch(struct connection *n, struct varlink_message *message) {
    json_t *request = NULL;
    struct error e = {};
    int r = varlink_parse(message->text, message->length, &request, &e);
    if (r < 0)
        return r;
    const char *full = json_string_value(json_object_get(request, "method"));
    struct call *c = full ? calloc(1, sizeof(*c)) : NULL;
    if (!c) {
        json_decref(request);
        return full ? -ENOMEM : -EBADMSG;
    }

    bool interface_known;
    c->connection = n;
    c->request = request;
    c->message = *message;
    message->n_fds = 0;
    c->more = json_is_true(json_object_get(request, "more"));
    c->oneway = json_is_true(json_object_get(request, "oneway"));
    c->method = method_find(full, &interface_known);
    n->call = c;

    c->in_handler = true;
    if (json_is_true(json_object_get(request, "upgrade")))
        call_error(c, "org.varlink.service.MethodNotImplemented", json_pack("{ss}", "method", full));
    else if (call_check(c, full, interface_known))
        call_run(c);
    c->in_handler = false;
    if (c->answered) {
        n->call = NULL;
        call_free(c);
    }
    return 0;
}
