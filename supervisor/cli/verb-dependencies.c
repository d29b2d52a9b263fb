/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list-dependencies: what a unit pulls in, or is pulled in by, as a tree. */
#include "base/str.h"
#include "cli/cli.h"
#include "cli/output.h"

enum { DEPTH_MAX = 32 };

/* As systemctl: what is followed, by which option. */
static const char *const pulls_in[] = {
    "Requires", "Requisite", "BindsTo", "Wants", "Upholds", "ConsistsOf", NULL};
static const char *const pulled_in_by[] = {
    "RequiredBy", "RequisiteOf", "BoundBy", "WantedBy", "UpheldBy", "PartOf", NULL};
static const char *const ordered_after[] = {"After", NULL};
static const char *const ordered_before[] = {"Before", NULL};

struct tree {
    struct cli *c;
    const char *const *kinds;
    json_t *active; /* name to ActiveState */
    char **path;    /* from the root to here: a cycle ends where it closes */
};

static int tree_load_states(struct tree *t) {
    struct client_reply reply;
    size_t i;
    json_t *unit;

    int r = cli_call(t->c, "io.davit.Manager.ListUnits", NULL, &reply);
    if (r < 0)
        return r;
    JSON_ARRAY_FOREACH (i, unit, json_object_get(reply.parameters, "units"))
        (void)json_object_set(t->active, json_text(unit, "name"), json_object_get(unit, "active"));
    client_reply_done(&reply);
    return 0;
}

static int collect(const struct tree *t, json_t *unit, char ***ret) {
    json_t *dependencies = json_object_get(unit, "dependencies"), *name;
    size_t i;
    int r = 0;

    for (size_t k = 0; t->kinds[k]; k++)
        JSON_ARRAY_FOREACH (i, name, json_object_get(dependencies, t->kinds[k]))
            if (r >= 0 && !strv_contains(*ret, json_string_value(name) ?: ""))
                r = strv_append(ret, json_string_value(name) ?: "");
    strv_sort(*ret);
    return r;
}

static void print_name(const struct tree *t, const char *prefix, const char *branch, const char *name) {
    const char *active = json_text(t->active, name);
    _cleanup_free_ char *safe = text_printable(name, strlen(name));

    if (!t->c->options.plain)
        (void)printf("%s%s%s ", color_start(state_color(active)),
            streq(active, "failed")                 ? "×"
            : !*active || streq(active, "inactive") ? "○"
                                                    : "●",
            color_start(COLOR_NONE));
    (void)printf("%s%s%s\n", prefix, branch, safe ?: "");
}

static int print_below(struct tree *t, json_t *unit, const char *prefix, unsigned depth);

/* One dependency, and what is below it: below targets alone unless --all, for the rest is rarely meant. */
static int print_one(struct tree *t, const char *name, const char *prefix, bool last, unsigned depth) {
    bool plain = t->c->options.plain;
    struct client_reply reply;

    print_name(t, prefix, plain ? "  " : last ? "└─" : "├─", name);
    if (depth >= DEPTH_MAX || strv_contains(t->path, name) ||
        (!t->c->options.all && !endswith(name, ".target")))
        return 0;
    int r = cli_call(t->c, "io.davit.Unit.Describe", unit_parameter(name), &reply);
    if (r < 0) /* wanted, and not there */
        return r == -ENOENT ? 0 : r;
    _cleanup_free_ char *below = strf("%s%s", prefix, plain || last ? "  " : "│ ");
    r = below ? strv_append(&t->path, name) : -ENOMEM;
    if (r >= 0) {
        r = print_below(t, json_object_get(reply.parameters, "unit"), below, depth + 1);
        strv_remove(t->path, name);
    }
    client_reply_done(&reply);
    return r;
}

static int print_below(struct tree *t, json_t *unit, const char *prefix, unsigned depth) {
    _cleanup_strv_free_ char **names = NULL;
    int r = collect(t, unit, &names);

    STRV_FOREACH (name, names)
        if (r >= 0)
            r = print_one(t, *name, prefix, !name[1], depth);
    return r;
}

static const char *const *kinds_wanted(const struct cli_options *o) {
    return o->after ? ordered_after : o->before ? ordered_before : o->reverse ? pulled_in_by : pulls_in;
}

int verb_list_dependencies(struct cli *c, char **arguments, size_t n) {
    struct tree t = {.c = c, .kinds = kinds_wanted(&c->options), .active = json_object()};
    struct client_reply reply;

    if (cli_connect(c, true) < 0) {
        json_decref(t.active);
        return EXIT_FAILURE;
    }
    int r = tree_load_states(&t);
    if (r >= 0)
        r = cli_call(
            c, "io.davit.Unit.Describe", unit_parameter(n > 0 ? arguments[0] : "default.target"), &reply);
    if (r >= 0) {
        json_t *unit = json_object_get(reply.parameters, "unit");
        const char *name = json_text(unit, "name");
        if (c->options.json)
            json_print(json_object_get(unit, "dependencies"));
        else {
            print_name(&t, "", "", name);
            r = strv_append(&t.path, name);
            if (r >= 0)
                r = print_below(&t, unit, "", 0);
        }
        client_reply_done(&reply);
    }
    strv_free(t.path);
    json_decref(t.active);
    return r >= 0 ? EXIT_SUCCESS : r == -ENOENT ? EXIT_NO_SUCH_UNIT : EXIT_FAILURE;
}
