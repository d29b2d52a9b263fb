/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The dependency graph: names in unit files to pointers between managed units, in both directions. */
#pragma once

#include "manager/manager.h"

/* Resolves the names of all units anew. Names of units that do not exist are left out. -ENOMEM: then the old
 * graph is gone and units have fewer dependencies than they should; the caller reports it. */
int graph_build(struct manager *m);
/* The units that u's dependencies of that kind are, and those whose dependencies of that kind have u:
 * NULL-terminated, NULL = none. After/Before, Wants/WantedBy and so on are complete in both directions. */
struct managed_unit **graph_dependencies(const struct managed_unit *u, enum dependency_kind kind);
struct managed_unit **graph_dependents(const struct managed_unit *u, enum dependency_kind kind);
/* u goes: nobody points to it any more. */
void graph_remove(struct managed_unit *u);
/* The next of u's dependencies of that kind; NULL-terminated iteration that takes NULL as empty. */
#define GRAPH_FOREACH(other, array) \
    for (struct managed_unit **other##_at = (array), *other = other##_at ? *other##_at : NULL; other; \
         other = *++other##_at)
/* Names that u's files mention for this kind and that are no unit here; static storage is not used: index
 * counts up from 0, NULL at the end. */
const char *graph_missing(struct managed_unit *u, enum dependency_kind kind, size_t *index);
