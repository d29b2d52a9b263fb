/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cat, check, enable, disable, is-enabled: work on the files, with or without davitd. */
#include <fcntl.h>

#include "base/fs.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "unit/unit.h"

enum { UNIT_FILE_MAX = 16 * 1024 * 1024 };

static int load_by_name(const struct unit_environment *env, const char *written, struct unit **ret) {
    _cleanup_free_ char *name = NULL;
    struct error e = {};
    int r = cli_unit_resolve(env, written, &name);
    if (r == -ENOENT) {
        cli_error("there is no unit %s", written);
        return r;
    }
    if (r >= 0)
        r = unit_load(env, name, ret, &e);
    if (r < 0)
        cli_error("%s: %s", written, *e.text ? e.text : errno_text(r));
    return r;
}

/* ---- cat ---- */

static int print_file(const char *path) {
    _cleanup_free_ char *text = NULL;
    size_t n = 0;
    int r = file_read(AT_FDCWD, path, UNIT_FILE_MAX, &text, &n);
    if (r < 0) {
        cli_error("cannot read %s: %s", path, errno_text(r));
        return r;
    }
    (void)printf("%s# %s%s\n", color_start(COLOR_GREY), path, color_start(COLOR_NONE));
    (void)fwrite(text, 1, n, stdout);
    if (n > 0 && text[n - 1] != '\n')
        (void)putchar('\n');
    return 0;
}

int verb_cat(struct cli *c, char **arguments, size_t n) {
    struct unit_environment env;
    int status = EXIT_SUCCESS;
    bool first = true;

    (void)cli_unit_environment(c, &env);
    for (size_t i = 0; i < n; i++) {
        _cleanup_(unit_freep) struct unit *u = NULL;
        int r = load_by_name(&env, arguments[i], &u);
        if (r < 0) {
            status = EXIT_FAILURE;
            continue;
        }
        _cleanup_strv_free_ char **files = unit_files(u);
        STRV_FOREACH (f, files) {
            if (!first)
                (void)putchar('\n');
            first = false;
            if (print_file(*f) < 0)
                status = EXIT_FAILURE;
        }
    }
    return status;
}

/* ---- check ---- */

static json_t *problem_json(const struct problem *p) {
    static const char *const levels[] = {"note", "warning", "error"};
    const struct {
        const char *name, *value;
    } fields[] = {
        {"file", p->file}, {"section", p->section}, {"key", p->key}, {"text", p->text}, {"hint", p->hint}};
    json_t *o = json_pack("{ss}", "level", levels[p->level]);

    if (o && p->line > 0)
        (void)json_object_set_new(o, "line", json_integer(p->line));
    for (size_t i = 0; o && i < ARRAY_SIZE(fields); i++)
        if (fields[i].value) {
            _cleanup_free_ char *safe = text_printable(fields[i].value, strlen(fields[i].value));
            (void)json_object_set_new(o, fields[i].name, json_string(safe ?: ""));
        }
    return o;
}

struct check_result {
    unsigned units, errors, warnings;
    json_t *problems;
};

static void report_problem(const struct cli *c, struct check_result *result, const struct problem *p) {
    static const struct {
        const char *word;
        enum color color;
    } levels[] = {{"note", COLOR_GREY}, {"warning", COLOR_YELLOW}, {"error", COLOR_RED}};

    result->errors += p->level == PROBLEM_ERROR;
    result->warnings += p->level == PROBLEM_WARNING;
    if (c->options.json) {
        (void)json_array_append_new(result->problems, problem_json(p));
        return;
    }
    if (c->options.quiet && p->level != PROBLEM_ERROR)
        return;
    _cleanup_free_ char *text = problem_format(p);
    _cleanup_free_ char *safe = text ? text_printable(text, strlen(text)) : NULL;
    (void)printf("%s%s:%s %s\n", color_start(levels[p->level].color), levels[p->level].word,
        color_start(COLOR_NONE), safe ?: p->text);
}

static void report_unreadable(
    const struct cli *c, struct check_result *result, const char *what, int r, const struct error *e) {
    struct problem *p = NULL;
    if (problem_add(&p, PROBLEM_ERROR, what, 0, NULL, NULL, NULL, "%s", *e->text ? e->text : errno_text(r)) <
        0)
        return;
    report_problem(c, result, p);
    problems_free(p);
}

/* A path to a file, or the name of a unit in the unit path. */
static bool is_path(const char *s) {
    return strchr(s, '/') || access(s, F_OK) == 0;
}

static void check_one(
    const struct cli *c, const struct unit_environment *env, const char *what, struct check_result *result) {
    _cleanup_(unit_freep) struct unit *u = NULL;
    _cleanup_free_ char *name = NULL;
    struct error e = {};
    int r;

    if (is_path(what))
        r = unit_load_file(env, what, &u, &e);
    else {
        r = cli_unit_resolve(env, what, &name);
        if (r >= 0)
            r = unit_load(env, name, &u, &e);
    }
    result->units++;
    if (r < 0) {
        report_unreadable(c, result, what, r, &e);
        return;
    }
    for (const struct problem *p = u->problems; p; p = p->next)
        report_problem(c, result, p);
}

int verb_check(struct cli *c, char **arguments, size_t n) {
    struct check_result result = {.problems = json_array()};
    _cleanup_strv_free_ char **names = NULL;
    struct unit_environment env;
    struct error e = {};

    (void)cli_unit_environment(c, &env);
    if (n == 0) {
        int r = unit_list_names(&env, &names, &e);
        if (r < 0) {
            cli_error("cannot list unit files: %s", *e.text ? e.text : errno_text(r));
            json_decref(result.problems);
            return EXIT_FAILURE;
        }
        arguments = names;
        n = strv_length(names);
    }
    for (size_t i = 0; i < n; i++)
        check_one(c, &env, arguments[i], &result);
    if (c->options.json)
        json_print(result.problems);
    else if (!c->options.quiet)
        (void)printf("%u unit%s checked: %u error%s, %u warning%s\n", result.units,
            result.units == 1 ? "" : "s", result.errors, result.errors == 1 ? "" : "s", result.warnings,
            result.warnings == 1 ? "" : "s");
    json_decref(result.problems);
    return result.errors > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- enable ---- */

static int enable_one(
    struct cli *c, const struct unit_environment *env, const char *written, bool enable, char ***changes) {
    _cleanup_free_ char *name = NULL;
    struct error e = {};
    int r = cli_unit_resolve(env, written, &name);
    if (r == -ENOENT)
        error_set(&e, ENOENT, "there is no such unit");
    if (r >= 0)
        r = enable ? unit_enable(env, name, changes, &e) : unit_disable(env, name, changes, &e);
    if (r < 0)
        cli_error("cannot %s %s: %s", c->verb->name, written, *e.text ? e.text : errno_text(r));
    return r;
}

/* davitd learns of changed links when it is there; when it is not, it will see them when it comes. */
static void reload_if_running(const struct cli *c) {
    _cleanup_(client_freep) struct client *client = NULL;
    struct client_reply reply;
    struct error e = {};
    if (client_open(c->paths.runtime, false, &client, NULL) < 0)
        return;
    if (client_call(client, "io.davit.Manager.Reload", NULL, 60 * USEC_PER_SEC, &reply, &e) < 0) {
        cli_error("%s", e.text);
        return;
    }
    if (reply.error)
        cli_error("cannot reload: %s", client_reply_message(&reply));
    client_reply_done(&reply);
}

void cli_files_changed(const struct cli *c, char *const *changes) {
    STRV_FOREACH (line, changes)
        cli_remark(c, "%c%s.", *line[0] >= 'a' && *line[0] <= 'z' ? *line[0] - 32 : *line[0], *line + 1);
    if (strv_length(changes) > 0)
        reload_if_running(c);
}

/* Takes away the links of each, makes them, or one after the other. */
static int change_links(struct cli *c, char **arguments, size_t n, bool disable, bool enable) {
    _cleanup_strv_free_ char **changes = NULL;
    struct unit_environment env;
    int status = EXIT_SUCCESS;

    (void)cli_unit_environment(c, &env);
    for (size_t i = 0; i < n; i++)
        if ((disable && enable_one(c, &env, arguments[i], false, &changes) < 0) ||
            (enable && enable_one(c, &env, arguments[i], true, &changes) < 0))
            status = EXIT_FAILURE;
    cli_files_changed(c, changes);
    return status;
}

int verb_enable(struct cli *c, char **arguments, size_t n) {
    bool enable = streq(c->verb->name, "enable");
    int status = change_links(c, arguments, n, !enable, enable);

    if (c->options.now && status == EXIT_SUCCESS)
        status = cli_run_jobs(c, enable ? "start" : "stop", arguments, n);
    return status;
}

int verb_reenable(struct cli *c, char **arguments, size_t n) {
    return change_links(c, arguments, n, true, true);
}

/* As systemctl is-enabled counts. */
static bool is_started_at_boot(const char *state) {
    static const char *const states[] = {"enabled", "static", "indirect", "generated"};
    for (size_t i = 0; i < ARRAY_SIZE(states); i++)
        if (streq(states[i], state))
            return true;
    return false;
}

int verb_is_enabled(struct cli *c, char **arguments, size_t n) {
    struct unit_environment env;
    json_t *all = json_array();
    int status = EXIT_FAILURE;

    (void)cli_unit_environment(c, &env);
    for (size_t i = 0; i < n; i++) {
        _cleanup_(unit_freep) struct unit *u = NULL;
        if (load_by_name(&env, arguments[i], &u) < 0) {
            status = EXIT_NO_SUCH_UNIT;
            break;
        }
        const char *state = unit_enable_state(&env, u);
        (void)json_array_append_new(all, json_pack("{ssss}", "unit", arguments[i], "state", state));
        if (!c->options.quiet && !c->options.json)
            (void)puts(state);
        if (is_started_at_boot(state))
            status = EXIT_SUCCESS;
    }
    if (c->options.json && status != EXIT_NO_SUCH_UNIT)
        json_print(all);
    json_decref(all);
    return status;
}

/* ---- list-unit-files ---- */

int verb_list_unit_files(struct cli *c, char **arguments, size_t n) {
    static const struct table_column columns[] = {{"UNIT FILE", false, true}, {"STATE", false, false}};
    struct table t = {.columns = columns, .n_columns = ARRAY_SIZE(columns)};
    _cleanup_strv_free_ char **names = NULL;
    struct unit_environment env;
    struct error e = {};
    size_t shown = 0;

    (void)cli_unit_environment(c, &env);
    if (unit_list_files(&env, &names, &e) < 0) {
        cli_error("%s", e.text);
        return EXIT_FAILURE;
    }
    json_t *all = json_array();
    STRV_FOREACH (name, names) {
        _cleanup_(unit_freep) struct unit *u = NULL;
        bool wanted = n == 0;
        for (size_t i = 0; i < n; i++)
            wanted = wanted || unit_name_matches(*name, arguments[i]);
        if (!wanted || unit_load(&env, *name, &u, NULL) < 0)
            continue;
        const char *state = unit_enable_state(&env, u);
        if ((c->options.state && !streq(c->options.state, state)) ||
            (c->options.type && !streq(c->options.type, unit_type_suffix(u->type) + 1)))
            continue;
        shown++;
        (void)json_array_append_new(
            all, json_pack("{ss ss ss*}", "unit_file", *name, "state", state, "path", u->fragment));
        table_add(&t, COLOR_NONE, *name);
        table_add(&t, streq(state, "masked") ? COLOR_RED : COLOR_NONE, state);
    }
    if (c->options.json)
        json_print(all);
    else {
        bool legend = !c->options.no_legend && !c->options.plain;
        (void)table_print(&t, stdout, output_width(), legend);
        if (legend && !c->options.quiet)
            (void)printf("\n%zu unit file%s.\n", shown, shown == 1 ? "" : "s");
    }
    table_free(&t);
    json_decref(all);
    return EXIT_SUCCESS;
}
