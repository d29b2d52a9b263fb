/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of unit/ share: a unit from text, its values as "davit show" prints them, its problems. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/load.h"
#include "unit/unit.h"

static const struct unit_environment test_environment = {.runtime_dir = "/run/t", .state_dir = "/var/t"};
#define TEST_DIRECTORY "/etc/test"

static inline struct unit *parse_with(
    const struct unit_environment *env, const char *name, const char *text) {
    struct unit *u = NULL;
    struct error e = {0};
    _cleanup_free_ char *file = strf(TEST_DIRECTORY "/%s", name);
    if (unit_parse_text(env, name, file, text, strlen(text), &u, &e) < 0)
        fail_msg("%s: %s", name, e.text);
    return u;
}

static inline struct unit *parse(const char *name, const char *text) {
    return parse_with(&test_environment, name, text);
}

/* The values of a key with '|' between them; NULL where the unit has no such key. */
static inline char *shown(const struct unit *u, const char *section, const char *key) {
    _cleanup_strv_free_ char **values = NULL;
    assert_int_equal(unit_show_key(u, section, key, &values), 0);
    return values ? strv_join(values, "|") : NULL;
}

static inline char *problems_text(const struct unit *u) {
    struct strbuf b = {0};
    for (const struct problem *p = u->problems; p; p = p->next) {
        _cleanup_free_ char *line = problem_format(p);
        strbuf_printf(&b, "%c %s\n", "NWE"[p->level], line);
    }
    return strbuf_take(&b);
}

static inline void check_no_problems(const struct unit *u) {
    _cleanup_free_ char *text = problems_text(u);
    if (*text)
        fail_msg("%s has problems:\n%s", u->name, text);
}
