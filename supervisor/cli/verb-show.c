/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * show: properties as KEY=value. What runs has systemd's property names (systemctl show), so that scripts
 * need not learn new ones; what the files say has the keys' own names.
 */
#include "base/str.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "unit/unit.h"

enum value_kind { VALUE_TEXT, VALUE_NUMBER, VALUE_FLAG, VALUE_LIST, VALUE_TIME, VALUE_PID };

static const struct {
    const char *property;
    const char *object, *field; /* in Details, or in an object of it */
    enum value_kind kind;
} properties[] = {
    {"Id", NULL, "name", VALUE_TEXT},
    {"Description", NULL, "description", VALUE_TEXT},
    {"Documentation", NULL, "documentation", VALUE_LIST},
    {"LoadState", NULL, "load", VALUE_TEXT},
    {"ActiveState", NULL, "active", VALUE_TEXT},
    {"SubState", NULL, "sub", VALUE_TEXT},
    {"State", NULL, "state", VALUE_TEXT},
    {"FreezerState", NULL, "frozen", VALUE_FLAG},
    {"UnitFileState", NULL, "enabled", VALUE_TEXT},
    {"FragmentPath", NULL, "fragment", VALUE_TEXT},
    {"DropInPaths", NULL, "dropins", VALUE_LIST},
    {"NeedDaemonReload", NULL, "outdated", VALUE_FLAG},
    {"Transient", NULL, "transient", VALUE_FLAG},
    {"InvocationID", NULL, "invocation", VALUE_TEXT},
    {"StateChangeTimestamp", NULL, "since", VALUE_TIME},
    {"ActiveEnterTimestamp", NULL, "active_since", VALUE_TIME},
    {"MainPID", NULL, "pid", VALUE_PID},
    {"ControlPID", NULL, "control_pid", VALUE_PID},
    {"StatusText", NULL, "status_text", VALUE_TEXT},
    {"Result", NULL, "result", VALUE_TEXT},
    {"ExecMainCode", "exit", "code", VALUE_TEXT},
    {"ExecMainStatus", "exit", "status", VALUE_NUMBER},
    {"ErrorStep", "error", "step", VALUE_TEXT},
    {"ErrorMessage", "error", "message", VALUE_TEXT},
    {"NRestarts", NULL, "restarts", VALUE_NUMBER},
    {"RestartReason", NULL, "restart_reason", VALUE_TEXT},
    {"OOMKills", NULL, "oom_kills", VALUE_NUMBER},
    {"CanReload", NULL, "can_reload", VALUE_FLAG},
    {"Job", NULL, "job", VALUE_TEXT},
    {"ControlGroup", NULL, "cgroup_path", VALUE_TEXT},
    {"MemoryCurrent", "resources", "memory", VALUE_NUMBER},
    {"MemoryPeak", "resources", "memory_peak", VALUE_NUMBER},
    {"MemorySwapCurrent", "resources", "swap", VALUE_NUMBER},
    {"TasksCurrent", "resources", "tasks", VALUE_NUMBER},
    {"CPUUsageUSec", "resources", "cpu_usec", VALUE_NUMBER},
    {"IOReadBytes", "resources", "io_read", VALUE_NUMBER},
    {"IOWriteBytes", "resources", "io_write", VALUE_NUMBER},
};

/* --property=A,B --property=C */
static bool is_wanted(const struct cli *c, const char *property) {
    size_t n = strlen(property);
    if (!c->options.properties)
        return true;
    STRV_FOREACH (list, c->options.properties)
        for (const char *p = *list; *p; p += strspn(p, ", ")) {
            size_t word = strcspn(p, ", ");
            if (word == n && strncasecmp(p, property, n) == 0)
                return true;
            p += word;
        }
    return false;
}

static char *value_format(json_t *value, enum value_kind kind) {
    struct strbuf b = {};
    size_t i;
    json_t *item;
    char time[TIMESTAMP_MAX];

    switch (kind) {
    case VALUE_TEXT:
        return strdup(json_string_value(value) ?: "");
    case VALUE_NUMBER:
        return json_is_integer(value) ? strf("%lld", (long long)json_integer_value(value)) : strdup("");
    case VALUE_PID: /* systemd's way to say "none" */
        return strf("%lld", (long long)json_integer_value(value));
    case VALUE_FLAG:
        return strdup(json_is_true(value) ? "yes" : "no");
    case VALUE_TIME:
        return strdup(
            json_integer_value(value) > 0 ? timestamp_format((usec_t)json_integer_value(value), time) : "");
    case VALUE_LIST:
        JSON_ARRAY_FOREACH (i, item, value)
            strbuf_printf(&b, "%s%s", i ? " " : "", json_string_value(item) ?: "");
        return strbuf_take(&b);
    }
    return NULL;
}

static void print_property(const struct cli *c, const char *property, const char *value) {
    _cleanup_free_ char *safe = isatty(STDOUT_FILENO) ? text_printable(value, strlen(value)) : NULL;
    if (!c->options.value)
        (void)printf("%s=", property);
    (void)puts(safe ?: value);
}

static void show_runtime(const struct cli *c, json_t *u) {
    bool everything = c->options.all || c->options.properties;
    for (size_t i = 0; i < ARRAY_SIZE(properties); i++) {
        if (!is_wanted(c, properties[i].property))
            continue;
        json_t *o = properties[i].object ? json_object_get(u, properties[i].object) : u;
        _cleanup_free_ char *value =
            value_format(json_object_get(o, properties[i].field), properties[i].kind);
        if (value && (*value || everything))
            print_property(c, properties[i].property, value);
    }
}

/* "Container.Memory" to its values, one line each: as the key is written, "Memory". */
static void show_setting(const struct cli *c, const char *key, json_t *values) {
    const char *dot = strchr(key, '.'), *name = dot ? dot + 1 : key;
    size_t i;
    json_t *v;
    if (!is_wanted(c, name) && !(c->options.properties && is_wanted(c, key)))
        return;
    if (json_array_size(values) == 0 && (c->options.all || c->options.properties))
        print_property(c, name, "");
    JSON_ARRAY_FOREACH (i, v, values)
        print_property(c, name, json_string_value(v) ?: "");
}

static void show_details(const struct cli *c, json_t *u) {
    const char *key;
    json_t *values;
    show_runtime(c, u);
    JSON_OBJECT_FOREACH (key, values, json_object_get(u, "dependencies")) {
        _cleanup_free_ char *text = value_format(values, VALUE_LIST);
        if (text && is_wanted(c, key) && (*text || c->options.all))
            print_property(c, key, text);
    }
    JSON_OBJECT_FOREACH (key, values, json_object_get(u, "settings"))
        if (!json_object_get(
                json_object_get(u, "dependencies"), strchr(key, '.') ? strchr(key, '.') + 1 : key))
            show_setting(c, key, values);
}

/* What can be said without davitd: the files. */
static json_t *details_from_files(struct cli *c, const char *written) {
    _cleanup_(unit_freep) struct unit *u = NULL;
    _cleanup_free_ char *name = NULL;
    const struct key_info *keys;
    struct unit_environment env;
    struct error e = {};

    (void)cli_unit_environment(c, &env);
    if (cli_unit_resolve(&env, written, &name) < 0 || unit_load(&env, name, &u, &e) < 0)
        return NULL;
    json_t *details = json_pack("{ssss}", "name", u->name, "load", u->has_errors ? "error" : "loaded");
    json_t *settings = json_object();
    if (u->fragment)
        (void)json_object_set_new(details, "fragment", json_string(u->fragment));
    if (u->unit.description)
        (void)json_object_set_new(details, "description", json_string(u->unit.description));
    (void)json_object_set_new(details, "enabled", json_string(unit_enable_state(&env, u)));
    size_t n = unit_keys(&keys);
    for (size_t i = 0; i < n && !u->has_errors; i++) {
        _cleanup_strv_free_ char **values = NULL;
        _cleanup_free_ char *key = strf("%s.%s", keys[i].section, keys[i].name);
        if (!key || unit_show_key(u, keys[i].section, keys[i].name, &values) < 0 || !values)
            continue;
        json_t *l = json_array();
        STRV_FOREACH (v, values)
            (void)json_array_append_new(l, json_string(*v));
        (void)json_object_set_new(settings, key, l);
    }
    (void)json_object_set_new(details, "settings", settings);
    return details;
}

static json_t *details_of(struct cli *c, const char *unit) {
    struct client_reply reply;
    if (!c->client && client_open(c->paths.runtime, true, &c->client, NULL) < 0) {
        json_t *details = details_from_files(c, unit);
        if (!details)
            cli_error("davitd does not run, and there is no unit file %s", unit);
        return details;
    }
    if (cli_call(c, "io.davit.Unit.Describe", unit_parameter(unit), &reply) < 0)
        return NULL;
    json_t *details = json_incref(json_object_get(reply.parameters, "unit"));
    client_reply_done(&reply);
    return details;
}

static int show_manager(struct cli *c) {
    struct client_reply reply;
    const char *name;
    json_t *value;

    if (cli_connect(c, true) < 0 || cli_call(c, "io.davit.Manager.GetStatus", NULL, &reply) < 0)
        return EXIT_FAILURE;
    if (c->options.json)
        json_print(reply.parameters);
    else
        JSON_OBJECT_FOREACH (name, value, reply.parameters) {
            _cleanup_free_ char *text = json_is_string(value)
                                            ? strdup(json_string_value(value))
                                            : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
            if (text && is_wanted(c, name))
                print_property(c, name, text);
        }
    client_reply_done(&reply);
    return EXIT_SUCCESS;
}

int verb_show(struct cli *c, char **arguments, size_t n) {
    json_t *all = json_array();
    int status = EXIT_SUCCESS;

    if (n == 0) {
        json_decref(all);
        return show_manager(c);
    }
    for (size_t i = 0; i < n; i++) {
        json_t *details = details_of(c, arguments[i]);
        if (!details) {
            status = EXIT_NO_SUCH_UNIT;
            continue;
        }
        if (c->options.json)
            (void)json_array_append(all, details);
        else {
            if (i > 0)
                (void)putchar('\n');
            show_details(c, details);
        }
        json_decref(details);
    }
    if (c->options.json && json_array_size(all) > 0)
        json_print(n == 1 ? json_array_get(all, 0) : all);
    json_decref(all);
    return status;
}
