/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Patterns for names of units: `davit stop 'web-*'`. As with systemctl they mean what there is: where a verb acts
 * on what runs, a pattern does not wake what does not.
 */
#include <fnmatch.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/output.h"

/* A question about all units is answered at once by a manager that never blocks. */
#define LIST_TIMEOUT_USEC (60 * USEC_PER_SEC)

/* Verbs that take them, and whether they mean inactive units too. */
static const struct {
    const char *verb;
    bool inactive_too;
} takers[] = {
    {"status", true},
    {"show", true},
    {"cat", true},
    {"logs", true},
    {"is-active", true},
    {"is-failed", true},
    {"start", true},
    {"stop", false},
    {"restart", false},
    {"try-restart", false},
    {"reload", false},
    {"reload-or-restart", false},
    {"try-reload-or-restart", false},
    {"kill", false},
    {"freeze", false},
    {"thaw", false},
    {"reset-failed", false},
    {"wait", false},
    {"stats", false},
};

static bool is_pattern(const char *word) {
    return strpbrk(word, "*?[") != NULL;
}

bool unit_name_matches(const char *name, const char *pattern) {
    if (fnmatch(pattern, name, 0) == 0)
        return true;
    _cleanup_free_ char *with_suffix = strf("%s.*", pattern);
    return with_suffix && fnmatch(with_suffix, name, 0) == 0;
}

static int append_matching(json_t *units, const char *pattern, bool inactive_too, char ***names) {
    size_t i, before = strv_length(*names);
    json_t *unit;
    int r = 0;

    JSON_ARRAY_FOREACH (i, unit, units) {
        const char *name = json_text(unit, "name");
        if (r < 0 || !unit_name_matches(name, pattern) || strv_contains(*names, name) ||
            (!inactive_too && streq(json_text(unit, "active"), "inactive")))
            continue;
        r = strv_append(names, name);
    }
    return r < 0 ? r : strv_length(*names) > before;
}

static int expand(struct cli *c, json_t *units, bool inactive_too, char **words, size_t n, char ***ret) {
    _cleanup_strv_free_ char **names = NULL;

    for (size_t i = 0; i < n; i++) {
        int r = is_pattern(words[i]) ? append_matching(units, words[i], inactive_too, &names)
                                     : strv_append(&names, words[i]);
        if (r < 0)
            return r;
        if (r == 0 && is_pattern(words[i]))
            cli_remark(c, "No %sunit matches %s.", inactive_too ? "" : "active or failed ", words[i]);
    }
    if (!names && !(names = calloc(1, sizeof(*names))))
        return -ENOMEM;
    *ret = TAKE_PTR(names);
    return 0;
}

int cli_patterns_expand(struct cli *c, char **words, size_t n, char ***ret) {
    _cleanup_(client_freep) struct client *client = NULL;
    struct client_reply reply = {};
    struct error e = {};
    size_t taker = 0, patterns = 0;

    while (taker < ARRAY_SIZE(takers) && !streq(takers[taker].verb, c->verb->name))
        taker++;
    for (size_t i = 0; i < n; i++)
        patterns += is_pattern(words[i]);
    if (taker == ARRAY_SIZE(takers) || patterns == 0)
        return 0;
    int r = client_open(c->paths.runtime, true, &client, &e);
    if (r >= 0)
        r = client_call(client, "io.davit.Manager.ListUnits", NULL, LIST_TIMEOUT_USEC, &reply, &e);
    if (r >= 0 && reply.error)
        r = error_set(&e, EIO, "%s", client_reply_message(&reply));
    if (r >= 0)
        r = expand(c, json_object_get(reply.parameters, "units"), takers[taker].inactive_too, words, n, ret);
    client_reply_done(&reply);
    if (r < 0)
        cli_error("cannot tell what matches: %s", *e.text ? e.text : errno_text(r));
    return r;
}
