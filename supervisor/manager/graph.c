/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names to pointers. Each kind of dependency is one set of edges, collected once and then laid out for both
 * ends. */
#include "manager/graph.h"

#include "base/macro.h"

/* Kinds that are two names for the same edge, seen from its two ends. */
static const struct {
    enum dependency_kind kind, inverse;
} inverses[] = {
    {DEP_AFTER, DEP_BEFORE},
    {DEP_WANTS, DEP_WANTED_BY},
    {DEP_REQUIRES, DEP_REQUIRED_BY},
    {DEP_UPHOLDS, DEP_UPHELD_BY},
    {DEP_PROPAGATES_STOP_TO, DEP_STOP_PROPAGATED_FROM},
    {DEP_PROPAGATES_RELOAD_TO, DEP_RELOAD_PROPAGATED_FROM},
};

/* Where a unit's list is: its dependencies of a kind, then what depends on it in that way. Of a kind that has
 * an inverse the latter are its dependencies of that inverse. */
enum { SLOTS = 2 * _DEP_COUNT };
_Static_assert(SLOTS <= 64, "a bit for each list");

static unsigned slot_of_dependents(enum dependency_kind kind) {
    for (size_t i = 0; i < ARRAY_SIZE(inverses); i++) {
        if (inverses[i].kind == kind)
            return inverses[i].inverse;
        if (inverses[i].inverse == kind)
            return inverses[i].kind;
    }
    return _DEP_COUNT + kind;
}

/* ---- lists of one unit ---- */

static size_t slot_position(const struct managed_unit *u, unsigned slot) {
    return (size_t)__builtin_popcountll(u->edge_kinds & ((UINT64_C(1) << slot) - 1));
}

static struct managed_unit **slot_list(const struct managed_unit *u, unsigned slot) {
    return u->edge_kinds >> slot & 1 ? u->edges[slot_position(u, slot)] : NULL;
}

struct managed_unit **graph_dependencies(const struct managed_unit *u, enum dependency_kind kind) {
    return slot_list(u, kind);
}

struct managed_unit **graph_dependents(const struct managed_unit *u, enum dependency_kind kind) {
    return slot_list(u, slot_of_dependents(kind));
}

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

static int slot_add(struct managed_unit *u, unsigned slot, struct managed_unit *other) {
    size_t at = slot_position(u, slot), n = (size_t)__builtin_popcountll(u->edge_kinds);
    struct managed_unit **list = NULL, ***bigger;
    int r;

    if (u->edge_kinds >> slot & 1)
        return array_add(&u->edges[at], other);
    r = array_add(&list, other);
    if (r < 0)
        return r;
    bigger = reallocarray(u->edges, n + 1, sizeof(*bigger));
    if (!bigger) {
        free(list);
        return -ENOMEM;
    }
    memmove(bigger + at + 1, bigger + at, (n - at) * sizeof(*bigger));
    bigger[at] = list;
    u->edges = bigger;
    u->edge_kinds |= UINT64_C(1) << slot;
    return 0;
}

static int edge_add(struct managed_unit *from, enum dependency_kind kind, struct managed_unit *to) {
    int r = slot_add(from, kind, to);

    return r < 0 ? r : slot_add(to, slot_of_dependents(kind), from);
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
    for (size_t n = (size_t)__builtin_popcountll(u->edge_kinds); n > 0; n--)
        free(u->edges[n - 1]);
    free(TAKE_PTR(u->edges));
    u->edge_kinds = 0;
}

void graph_remove(struct managed_unit *u) {
    for (int k = 0; k < _DEP_COUNT; k++) {
        GRAPH_FOREACH (other, graph_dependencies(u, k))
            array_remove(graph_dependents(other, k), u);
        GRAPH_FOREACH (other, graph_dependents(u, k))
            array_remove(graph_dependencies(other, k), u);
    }
    graph_forget(u);
}

static const struct unit *newest_config(const struct managed_unit *u) {
    return u->next_config ? u->next_config : u->config;
}

static int add_named(struct manager *m, struct managed_unit *u, enum dependency_kind kind) {
    STRV_FOREACH (name, newest_config(u)->unit.dependencies[kind]) {
        struct managed_unit *other = manager_find(m, *name);
        int r;

        if (!other || other == u)
            continue;
        r = edge_add(u, kind, other);
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
    GRAPH_FOREACH (other, graph_dependencies(target, kind)) {
        int r;

        if (!newest_config(other)->unit.default_dependencies ||
            array_has(graph_dependencies(other, DEP_AFTER), target))
            continue;
        r = edge_add(target, DEP_AFTER, other);
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
        if (r >= 0)
            r = add_target_order(u, DEP_UPHOLDS);
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
