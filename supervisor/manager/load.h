/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading unit files with the directories scanned once. Internal to the manager's core. */
#pragma once

#include "manager/manager.h"
#include "unit/dirs.h"
#include "unit/unit.h"

struct loader {
    struct manager *manager;
    struct unit_environment env;
    struct unit_dirs dirs;
    char **path;
    struct hashmap *tried; /* names that were looked for; borrowed */
};
/* What was filled in is freed by loader_done(), also after a failure. */
int loader_init(struct loader *l, struct manager *m);
void loader_done(struct loader *l);
/* Without reading any directory: for questions about one unit that is known. */
int loader_init_environment(struct loader *l, struct manager *m);
/* A file of the unit is newer than what was read of it. */
bool unit_changed_on_disk(const struct managed_unit *u);
/* A unit with built-in values only; NULL for an impossible name or without memory. */
struct unit *unit_stub(const char *name);
