/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/str.h"

size_t strv_length(char *const *l) {
    size_t n = 0;
    STRV_FOREACH (s, l)
        n++;
    return n;
}

void strv_free(char **l) {
    STRV_FOREACH (s, l)
        free(*s);
    free(l);
}

/* Makes room for more elements and a NULL behind the length there are. Sizes are rounded up to a power of
 * two, so that a row of appends moves the array only now and then: realloc() to the size it already has is
 * cheap. */
static int reserve(char ***l, size_t length, size_t more) {
    size_t room = 4;
    while (room < length + more + 1)
        room *= 2;

    char **grown = reallocarray(*l, room, sizeof(char *));
    if (!grown)
        return -ENOMEM;
    if (!*l)
        grown[0] = NULL;
    *l = grown;
    return 0;
}

int strv_consume(char ***l, char *s) {
    if (!s)
        return -ENOMEM;

    size_t n = strv_length(*l);
    if (reserve(l, n, 1) < 0) {
        free(s);
        return -ENOMEM;
    }
    (*l)[n] = s;
    (*l)[n + 1] = NULL;
    return 0;
}

int strv_append(char ***l, const char *s) {
    return strv_consume(l, strdup(s));
}

int strv_extend(char ***l, char *const *more) {
    size_t n = strv_length(*l), m = strv_length(more);
    if (m == 0)
        return 0;

    /* Copied first: all of more is added or nothing is, and more may be *l itself. */
    _cleanup_strv_free_ char **copy = strv_copy(more);
    if (!copy || reserve(l, n, m) < 0)
        return -ENOMEM;
    memcpy(*l + n, copy, (m + 1) * sizeof(char *));
    copy[0] = NULL;
    return 0;
}

char **strv_copy(char *const *l) {
    _cleanup_strv_free_ char **copy = calloc(strv_length(l) + 1, sizeof(char *));
    if (!copy)
        return NULL;

    size_t n = 0;
    STRV_FOREACH (s, l) {
        copy[n] = strdup(*s);
        if (!copy[n++])
            return NULL;
    }
    return TAKE_PTR(copy);
}

bool strv_contains(char *const *l, const char *s) {
    STRV_FOREACH (i, l)
        if (streq(*i, s))
            return true;
    return false;
}

void strv_remove(char **l, const char *s) {
    if (!l)
        return;

    char **kept = l;
    for (char **i = l; *i; i++) {
        if (streq(*i, s))
            free(*i);
        else
            *kept++ = *i;
    }
    *kept = NULL;
}

/* The value if assignment is "NAME=value" for this name, or NULL. */
static const char *value_of(const char *assignment, const char *name) {
    const char *rest = startswith(assignment, name);
    return rest && *rest == '=' ? rest + 1 : NULL;
}

int strv_env_set(char ***env, const char *name, const char *value) {
    char *assignment = strf("%s=%s", name, value);
    int r = strv_consume(env, assignment);
    if (r < 0)
        return r;

    /* Only now is there nothing left that can fail: drop the older ones. */
    char **kept = *env;
    for (char **i = *env; *i; i++) {
        if (*i != assignment && value_of(*i, name))
            free(*i);
        else
            *kept++ = *i;
    }
    *kept = NULL;
    return 0;
}

const char *strv_env_get(char *const *env, const char *name) {
    const char *found = NULL;
    STRV_FOREACH (s, env) {
        const char *value = value_of(*s, name);
        if (value)
            found = value;
    }
    return found;
}

char *strv_join(char *const *l, const char *separator) {
    _cleanup_strbuf_ struct strbuf b = {};
    STRV_FOREACH (s, l) {
        if (s != l)
            strbuf_puts(&b, separator);
        strbuf_puts(&b, *s);
    }
    return strbuf_take(&b);
}

static int compare_strings(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(char **l) {
    if (l)
        qsort(l, strv_length(l), sizeof(char *), compare_strings);
}
