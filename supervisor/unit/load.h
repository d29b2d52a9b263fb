/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loading in steps: for the manager, which scans the directories once for a thousand units, and for tests. */
#pragma once

#include "unit/dirs.h"
#include "unit/unit.h"

/* Longer files are refused. */
#define UNIT_FILE_MAX (4u * 1024 * 1024)

/* A unit from text in memory, without drop-ins and links; file is what problems name. Otherwise as
 * unit_load(). */
int unit_parse_text(const struct unit_environment *env, const char *name, const char *file, const char *text,
    size_t n, struct unit **ret, struct error *e);
/* unit_load() with the directories already scanned. */
int unit_load_from(const struct unit_environment *env, const struct unit_dirs *dirs, const char *name,
    struct unit **ret, struct error *e);
/* Quadlet's types have [Install] in force by being there, as its generator does it; others only when enabled.
 */
bool unit_type_installs_itself(enum unit_type t);
