/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list, jobs. */
#include "base/str.h"
#include "cli/cli.h"
#include "cli/output.h"

static bool name_matches(const char *name, char **patterns, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (unit_name_matches(name, patterns[i]))
            return true;
    return n == 0;
}

/* True if there is no list, or word is in "A,B". */
static bool is_listed(const char *list, const char *word) {
    size_t n = strlen(word);

    for (const char *p = list ?: word; *p; p += strspn(p, ", ")) {
        size_t length = strcspn(p, ", ");
        if (length == n && strncmp(p, word, n) == 0)
            return true;
        p += length;
    }
    return false;
}

/* --state= knows all three words that a unit's state has, and that of its file. */
static bool state_is_wanted(const char *list, json_t *unit) {
    return is_listed(list, json_text(unit, "state")) || is_listed(list, json_text(unit, "active")) ||
           is_listed(list, json_text(unit, "sub")) || is_listed(list, json_text(unit, "load"));
}

static bool unit_is_wanted(const struct cli *c, json_t *unit, char **patterns, size_t n) {
    const char *active = json_text(unit, "active");
    if (!name_matches(json_text(unit, "name"), patterns, n) ||
        !is_listed(c->options.type, json_text(unit, "type")) || !state_is_wanted(c->options.state, unit))
        return false;
    if (c->options.failed)
        return streq(active, "failed");
    return c->options.all || c->options.state || n > 0 || !streq(active, "inactive") ||
           streq(json_text(unit, "load"), "error");
}

static const struct table_column unit_columns[] = {
    {"", false, false},
    {"UNIT", false, true},
    {"STATE", false, false},
    {"SUB", false, false},
    {"SINCE", false, false},
    {"PID", true, false},
    {"RESTARTS", true, false},
    {"RESULT", false, false},
    {"DESCRIPTION", false, true},
};

static void add_unit(struct table *t, json_t *unit, usec_t now, bool plain) {
    char text[TIMESPAN_MAX + 8];
    const char *active = json_text(unit, "active"), *result = json_text(unit, "result");
    bool broken = streq(json_text(unit, "load"), "error");
    enum color color = plain ? COLOR_NONE : broken ? COLOR_RED : state_color(active);
    int64_t since = json_number(unit, "since", 0), pid = json_number(unit, "pid", 0);

    if (!plain)
        table_add(t, color,
            streq(active, "inactive") && !broken ? "○"
            : streq(active, "failed") || broken  ? "×"
                                                 : "●");
    table_add(t, COLOR_NONE, json_text(unit, "name"));
    table_add(t, color, broken ? "error" : json_text(unit, "state"));
    table_add(t, COLOR_NONE, json_flag(unit, "frozen") ? "frozen" : json_text(unit, "sub"));
    table_add(t, COLOR_NONE, since > 0 ? time_ago((usec_t)since, now, text) : NULL);
    (void)snprintf(text, sizeof(text), "%lld", (long long)pid);
    table_add(t, COLOR_NONE, pid > 0 ? text : NULL);
    (void)snprintf(text, sizeof(text), "%lld", (long long)json_number(unit, "restarts", 0));
    table_add(t, COLOR_NONE, text);
    table_add(t, !plain && !streq(result, "success") ? COLOR_RED : COLOR_NONE, result);
    table_add(t, COLOR_NONE, json_text(unit, "description"));
}

int verb_list(struct cli *c, char **arguments, size_t n) {
    bool plain = c->options.plain, legend = !plain && !c->options.no_legend;
    struct table t = {.columns = unit_columns + plain, .n_columns = ARRAY_SIZE(unit_columns) - plain};
    struct client_reply reply;
    size_t i, total, shown = 0;
    json_t *unit;

    if (cli_connect(c, true) < 0 || cli_call(c, "io.davit.Manager.ListUnits", NULL, &reply) < 0)
        return EXIT_FAILURE;
    json_t *units = json_object_get(reply.parameters, "units"), *wanted = json_array();
    total = json_array_size(units);
    JSON_ARRAY_FOREACH (i, unit, units) {
        if (!unit_is_wanted(c, unit, arguments, n))
            continue;
        shown++;
        if (c->options.json)
            (void)json_array_append(wanted, unit);
        else
            add_unit(&t, unit, now_realtime(), plain);
    }
    if (c->options.json)
        json_print(wanted);
    else
        (void)table_print(&t, stdout, plain ? SIZE_MAX : output_width(), legend);
    if (!c->options.json && legend && !c->options.quiet) {
        (void)printf("\n%zu unit%s.", shown, shown == 1 ? "" : "s");
        if (shown < total && n == 0 && !c->options.failed && !c->options.type && !c->options.state)
            (void)printf(" 'davit list --all' shows %zu more.", total - shown);
        (void)puts("");
    }
    json_decref(wanted);
    client_reply_done(&reply);
    return EXIT_SUCCESS;
}

int verb_jobs(struct cli *c, char **arguments _unused_, size_t n _unused_) {
    static const struct table_column columns[] = {
        {"JOB", true, false}, {"UNIT", false, true}, {"TYPE", false, false}, {"STATE", false, false}};
    struct table t = {.columns = columns, .n_columns = ARRAY_SIZE(columns)};
    struct client_reply reply;
    size_t i;
    json_t *job;

    if (cli_connect(c, true) < 0 || cli_call(c, "io.davit.Manager.ListJobs", NULL, &reply) < 0)
        return EXIT_FAILURE;
    json_t *jobs = json_object_get(reply.parameters, "jobs");
    if (c->options.json)
        json_print(jobs);
    else if (json_array_size(jobs) == 0)
        cli_remark(c, "No jobs.");
    else {
        JSON_ARRAY_FOREACH (i, job, jobs) {
            char text[32];
            (void)snprintf(text, sizeof(text), "%lld", (long long)json_number(job, "id", 0));
            table_add(&t, COLOR_NONE, text);
            table_add(&t, COLOR_NONE, json_text(job, "unit"));
            table_add(&t, COLOR_NONE, json_text(job, "type"));
            table_add(&t, COLOR_NONE, json_text(job, "state"));
        }
        (void)table_print(&t, stdout, output_width(), !c->options.plain && !c->options.no_legend);
    }
    client_reply_done(&reply);
    return EXIT_SUCCESS;
}
