/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/wait.h>

#include <varlink.h> /* build/gen/varlink.h, made by embed.sh: not the header beside this file */

#include "base/clock.h"
#include "base/str.h"
#include "control/methods.h"
#include "manager/api.h"
#include "manager/manager.h"

/* ---- org.varlink.service ---- */

const char *interface_name(size_t i) {
    return i < ARRAY_SIZE(varlink_interfaces) ? varlink_interfaces[i].name : NULL;
}

const char *interface_text(const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(varlink_interfaces); i++)
        if (streq(varlink_interfaces[i].name, name))
            return varlink_interfaces[i].text;
    return NULL;
}

static int method_get_info(struct call *c, struct managed_unit *u _unused_, struct error *e _unused_) {
    json_t *interfaces = json_array();
    for (size_t i = 0; interface_name(i); i++)
        (void)json_array_append_new(interfaces, json_string(interface_name(i)));
    call_reply(c, json_pack("{ssssssss so}", "vendor", "davit", "product", "davit", "version", DAVIT_VERSION,
                      "url", "", "interfaces", interfaces));
    return 0;
}

static int method_get_description(struct call *c, struct managed_unit *u _unused_, struct error *e _unused_) {
    const char *text = interface_text(c->arguments.interface);
    if (text)
        call_reply(c, json_pack("{ss}", "description", text));
    else
        call_error(c, "org.varlink.service.InterfaceNotFound",
            json_pack("{ss}", "interface", c->arguments.interface));
    return 0;
}

/* ---- io.davit.Manager ---- */

/* The api_ functions return NULL when memory is short. */
static int reply_with(struct call *c, const char *name, json_t *value) {
    if (!value)
        return -ENOMEM;
    call_reply(c, name ? json_pack("{so}", name, value) : value);
    return 0;
}

static struct manager *call_manager(const struct call *c) {
    return c->connection->control->manager;
}

static int method_get_status(struct call *c, struct managed_unit *u _unused_, struct error *e _unused_) {
    return reply_with(c, NULL, api_manager_json(call_manager(c)));
}

static int method_get_boot(struct call *c, struct managed_unit *u _unused_, struct error *e _unused_) {
    return reply_with(c, NULL, api_boot_json(call_manager(c)));
}

static int method_list_units(struct call *c, struct managed_unit *u _unused_, struct error *e _unused_) {
    return reply_with(c, "units", api_units_json(call_manager(c)));
}

static int method_list_jobs(struct call *c, struct managed_unit *u _unused_, struct error *e _unused_) {
    return reply_with(c, "jobs", api_jobs_json(call_manager(c)));
}

static void on_reloaded(void *userdata, unsigned units, unsigned problems, const struct error *e) {
    struct call *c = userdata;
    if (e && e->number)
        call_fail(c, -e->number, e);
    else
        call_reply(c, json_pack("{sIsI}", "units", (json_int_t)units, "problems", (json_int_t)problems));
}

static int method_reload_manager(struct call *c, struct managed_unit *u _unused_, struct error *e) {
    return api_reload(call_manager(c), on_reloaded, c, e);
}

static int method_reexecute(struct call *c, struct managed_unit *u _unused_, struct error *e) {
    int r = api_reexecute(call_manager(c), e);
    if (r < 0)
        return r;
    call_reply(c, NULL);
    return 0;
}

static int method_exit(struct call *c, struct managed_unit *u _unused_, struct error *e _unused_) {
    int r = api_exit(call_manager(c), MAX(c->arguments.status, 0), c->arguments.keep);
    if (r < 0)
        return r;
    call_reply(c, NULL);
    return 0;
}

static int method_end(struct call *c, _unused_ struct managed_unit *u, struct error *e) {
    const struct arguments *a = &c->arguments;
    struct end_request end = {.status = -1,
        .argument = a->argument,
        .message = a->message,
        .no_wall = a->no_wall,
        .reason = "asked for by a client"};

    if (ending_parse(a->action, &end.ending) < 0 || end.ending.kind == ENDING_NONE) {
        call_error(c, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", "action"));
        return 0;
    }
    if (end.ending.kind == ENDING_EXIT)
        end.status = MAX(a->status, 0);
    int r = api_end(call_manager(c), &end, a->when, e);
    if (r < 0)
        return r;
    call_reply(c, NULL);
    return 0;
}

static int method_cancel_end(struct call *c, _unused_ struct managed_unit *u, struct error *e) {
    if (!api_end_cancel(call_manager(c), c->arguments.no_wall))
        return error_set(e, ENOENT, "nothing is scheduled");
    call_reply(c, NULL);
    return 0;
}

static int method_get_scheduled_end(
    struct call *c, _unused_ struct managed_unit *u, _unused_ struct error *e) {
    return reply_with(c, NULL, api_end_scheduled(call_manager(c)));
}

static int method_reset_failed(struct call *c, struct managed_unit *u, struct error *e) {
    int r = 0;
    if (c->arguments.unit)
        r = api_find_unit(call_manager(c), c->arguments.unit, &u, e);
    if (r >= 0)
        r = api_reset_failed(call_manager(c), u);
    if (r < 0)
        return r;
    call_reply(c, NULL);
    return 0;
}

/* ---- io.davit.Unit ---- */

static int method_describe(struct call *c, struct managed_unit *u, struct error *e _unused_) {
    return reply_with(c, "unit", api_unit_json(call_manager(c), u, true));
}

static void on_job_done(void *userdata, const char *unit, enum job_result result, const char *message) {
    struct call *c = userdata;
    json_t *p = json_pack("{ssss}", "unit", unit, "result", job_result_name(result));
    if (message && p)
        (void)json_object_set_new(p, "message", json_string(message));
    call_reply(c, p);
}

static int job_mode_parse(const char *s, enum job_mode *ret) {
    static const struct {
        const char *name;
        enum job_mode mode;
    } modes[] = {
        {"replace", JOB_MODE_REPLACE}, {"fail", JOB_MODE_FAIL}, {"isolate", JOB_MODE_ISOLATE},
        {"ignore_dependencies", JOB_MODE_IGNORE_DEPENDENCIES},
        {"ignore-dependencies", JOB_MODE_IGNORE_DEPENDENCIES}, /* systemctl's way to write it */
    };
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
        if (streq(modes[i].name, s)) {
            *ret = modes[i].mode;
            return 0;
        }
    return -EINVAL;
}

static int queue_job(struct call *c, struct managed_unit *u, enum job_type type, struct error *e) {
    enum job_mode mode = JOB_MODE_REPLACE;
    bool wait = c->arguments.wait && !c->oneway;

    if (c->arguments.mode && job_mode_parse(c->arguments.mode, &mode) < 0) {
        call_error(c, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", "mode"));
        return 0;
    }
    /* The unit may be gone when a job that is over at once has taken it away. */
    _cleanup_free_ char *name = strdup(api_unit_name(u));
    int r =
        !name ? -ENOMEM
              : api_queue_job(call_manager(c), u, type, mode, wait ? on_job_done : NULL, wait ? c : NULL, e);
    if (r < 0)
        return r;
    if (!wait)
        call_reply(c, json_pack("{ss}", "unit", name));
    return 0;
}

#define JOB_METHOD(function, type) \
    static int function(struct call *c, struct managed_unit *u, struct error *e) { \
        return queue_job(c, u, type, e); \
    }
JOB_METHOD(method_start, JOB_START)
JOB_METHOD(method_stop, JOB_STOP)
JOB_METHOD(method_restart, JOB_RESTART)
JOB_METHOD(method_try_restart, JOB_TRY_RESTART)
JOB_METHOD(method_reload_unit, JOB_RELOAD)

static int method_kill(struct call *c, struct managed_unit *u, struct error *e) {
    const char *whom = c->arguments.whom ?: "all";
    if (!streq(whom, "all") && !streq(whom, "main")) {
        call_error(c, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", "whom"));
        return 0;
    }
    int r = api_kill(call_manager(c), u, streq(whom, "main") ? KILL_WHOM_MAIN : KILL_WHOM_ALL,
        c->arguments.signal > 0 ? c->arguments.signal : SIGTERM, e);
    if (r < 0)
        return r;
    call_reply(c, NULL);
    return 0;
}

static int freeze(struct call *c, struct managed_unit *u, bool on, struct error *e) {
    int r = api_freeze(call_manager(c), u, on, e);
    if (r < 0)
        return r;
    call_reply(c, NULL);
    return 0;
}

static int method_freeze(struct call *c, struct managed_unit *u, struct error *e) {
    return freeze(c, u, true, e);
}

static int method_thaw(struct call *c, struct managed_unit *u, struct error *e) {
    return freeze(c, u, false, e);
}

/* ---- io.davit.Events ---- */

static void on_event(void *userdata, json_t *event) {
    call_reply_more(userdata, json_pack("{sO}", "event", event));
}

static int method_subscribe(struct call *c, struct managed_unit *u _unused_, struct error *e _unused_) {
    int r = api_subscribe(call_manager(c), on_event, c);
    if (r < 0)
        return r;
    c->subscribed = true;
    json_t *first =
        json_pack("{sssI}", "event", "subscribed", "timestamp", (json_int_t)clock_usec(CLOCK_REALTIME));
    call_reply_more(c, json_pack("{so}", "event", first));
    return 0;
}

/* ---- the table ---- */

#define SERVICE "org.varlink.service"
#define MANAGER "io.davit.Manager"
#define UNIT "io.davit.Unit"
#define EVENTS "io.davit.Events"
#define WRITES_UNIT (METHOD_WRITES | METHOD_UNIT)

const struct method methods[] = {
    {SERVICE, "GetInfo", 0, method_get_info, {NULL}},
    {SERVICE, "GetInterfaceDescription", 0, method_get_description, {"!interface"}},
    {MANAGER, "GetStatus", 0, method_get_status, {NULL}},
    {MANAGER, "GetBoot", 0, method_get_boot, {NULL}},
    {MANAGER, "ListUnits", 0, method_list_units, {NULL}},
    {MANAGER, "ListJobs", 0, method_list_jobs, {NULL}},
    {MANAGER, "Reload", METHOD_WRITES, method_reload_manager, {NULL}},
    {MANAGER, "Reexecute", METHOD_WRITES, method_reexecute, {NULL}},
    {MANAGER, "Exit", METHOD_WRITES, method_exit, {"status", "keep"}},
    {MANAGER, "End", METHOD_WRITES, method_end,
        {"!action", "status", "argument", "message", "when", "no_wall"}},
    {MANAGER, "CancelEnd", METHOD_WRITES, method_cancel_end, {"no_wall"}},
    {MANAGER, "GetScheduledEnd", 0, method_get_scheduled_end, {NULL}},
    {MANAGER, "ResetFailed", METHOD_WRITES, method_reset_failed, {"unit"}},
    {UNIT, "Describe", METHOD_UNIT, method_describe, {"!unit"}},
    {UNIT, "Start", WRITES_UNIT, method_start, {"!unit", "mode", "wait"}},
    {UNIT, "Stop", WRITES_UNIT, method_stop, {"!unit", "mode", "wait"}},
    {UNIT, "Restart", WRITES_UNIT, method_restart, {"!unit", "mode", "wait"}},
    {UNIT, "TryRestart", WRITES_UNIT, method_try_restart, {"!unit", "mode", "wait"}},
    {UNIT, "Reload", WRITES_UNIT, method_reload_unit, {"!unit", "mode", "wait"}},
    {UNIT, "Kill", WRITES_UNIT, method_kill, {"!unit", "whom", "signal"}},
    {UNIT, "Freeze", WRITES_UNIT, method_freeze, {"!unit"}},
    {UNIT, "Thaw", WRITES_UNIT, method_thaw, {"!unit"}},
    {UNIT, "Exec", WRITES_UNIT, method_exec,
        {"!unit", "!argv", "environment", "user", "working_dir", "privileged", "stdin", "stdout", "stderr",
            "terminal", "key", "again"}},
    {UNIT, "Attach", WRITES_UNIT, method_attach, {"!unit", "key", "pid"}},
    {UNIT, "Run", METHOD_WRITES, method_run,
        {"name", "!unit_text", "stdin", "stdout", "stderr", "terminal", "key", "again"}},
    {UNIT, "Signal", METHOD_WRITES, method_signal, {"!session", "!signal"}},
    {EVENTS, "Subscribe", METHOD_NEEDS_MORE, method_subscribe, {NULL}},
};
const size_t n_methods = ARRAY_SIZE(methods);
