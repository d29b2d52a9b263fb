/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names to pointers. Each kind of dependency is one set of edges, collected once and then laid out for both
 * ends. */
#include "manager/graph.h"

/* An array that grows, kept NULL-terminated; duplicates are left out by the caller. */
static int array_add(struct managed_unit ***array, struct managed_unit *u) {
    size_t n = 0;
    struct managed_unit **bigger;

    for (; *array && (*array)[n]; n++)
        if ((*array)[n] == u)
            return 0;
    /* Room in powers of two: the allocator sees log(n) calls for n edges. */
    if (n == 0 || ((n + 1) & n) == 0) {
        size_t room = n == 0 ? 2 : (n + 1) * 2;

        bigger = reallocarray(*array, room, sizeof(struct managed_unit *));
        if (!bigger)
            return -ENOMEM;
        *array = bigger;
    }
    (*array)[n] = u;
    (*array)[n + 1] = NULL;
    return 0;
}

static int edge_add(struct managed_unit *from, enum dependency_kind kind, struct managed_unit *to) {
    int r = array_add(&from->dependencies[kind], to);

    return r < 0 ? r : array_add(&to->dependents[kind], from);
}

/* Kinds that are two names for the same edge, seen from its two ends. */
static enum dependency_kind inverse_kind(enum dependency_kind k) {
    switch (k) {
    case DEP_AFTER:
        return DEP_BEFORE;
    case DEP_BEFORE:
        return DEP_AFTER;
    case DEP_WANTS:
        return DEP_WANTED_BY;
    case DEP_WANTED_BY:
        return DEP_WANTS;
    case DEP_REQUIRES:
        return DEP_REQUIRED_BY;
    case DEP_REQUIRED_BY:
        return DEP_REQUIRES;
    default:
        return _DEP_COUNT;
    }
}

static void array_remove(struct managed_unit **array, const struct managed_unit *u) {
    struct managed_unit **out = array;

    if (!array)
        return;
    for (; *array; array++)
        if (*array != u)
            *out++ = *array;
    *out = NULL;
}

static void graph_forget(struct managed_unit *u) {
    for (int k = 0; k < _DEP_COUNT; k++) {
        free(TAKE_PTR(u->dependencies[k]));
        free(TAKE_PTR(u->dependents[k]));
    }
}

void graph_remove(struct managed_unit *u) {
    for (int k = 0; k < _DEP_COUNT; k++) {
        GRAPH_FOREACH (other, u->dependencies[k])
            array_remove(other->dependents[k], u);
        GRAPH_FOREACH (other, u->dependents[k])
            array_remove(other->dependencies[k], u);
    }
    graph_forget(u);
}

static const struct unit *newest_config(const struct managed_unit *u) {
    return u->next_config ? u->next_config : u->config;
}

static int add_named(struct manager *m, struct managed_unit *u, enum dependency_kind kind) {
    STRV_FOREACH (name, newest_config(u)->unit.dependencies[kind]) {
        struct managed_unit *other = manager_find(m, *name);
        enum dependency_kind inverse = inverse_kind(kind);
        int r;

        if (!other || other == u)
            continue;
        r = edge_add(u, kind, other);
        if (r >= 0 && inverse != _DEP_COUNT)
            r = edge_add(other, inverse, u);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool array_has(struct managed_unit **array, const struct managed_unit *u) {
    GRAPH_FOREACH (other, array)
        if (other == u)
            return true;
    return false;
}

/* systemd.target(5): a target comes after what it wants and requires, unless one of the two says otherwise by
 * DefaultDependencies=no or by an order of its own. */
static int add_target_order(struct managed_unit *target, enum dependency_kind kind) {
    GRAPH_FOREACH (other, target->dependencies[kind]) {
        int r;

        if (!newest_config(other)->unit.default_dependencies ||
            array_has(other->dependencies[DEP_AFTER], target))
            continue;
        r = edge_add(target, DEP_AFTER, other);
        if (r >= 0)
            r = edge_add(other, DEP_BEFORE, target);
        if (r < 0)
            return r;
    }
    return 0;
}

int graph_build(struct manager *m) {
    struct managed_unit *u;
    int r;

    HASHMAP_FOREACH (u, m->units)
        graph_forget(u);
    HASHMAP_FOREACH (u, m->units)
        for (int k = 0; k < _DEP_COUNT; k++) {
            r = add_named(m, u, k);
            if (r < 0)
                return r;
        }
    HASHMAP_FOREACH (u, m->units) {
        if (u->config->type != UNIT_TARGET || !newest_config(u)->unit.default_dependencies)
            continue;
        r = add_target_order(u, DEP_WANTS);
        if (r >= 0)
            r = add_target_order(u, DEP_REQUIRES);
        if (r >= 0)
            r = add_target_order(u, DEP_BINDS_TO);
        if (r < 0)
            return r;
    }
    return 0;
}

const char *graph_missing(struct managed_unit *u, enum dependency_kind kind, size_t *index) {
    char **names = newest_config(u)->unit.dependencies[kind];

    while (names && names[*index]) {
        const char *name = names[(*index)++];

        if (!manager_find(u->manager, name))
            return name;
    }
    return NULL;
}
