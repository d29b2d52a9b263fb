/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unit names taken apart: PREFIX[@[INSTANCE]].TYPE. Internal to unit/; the public half is in unit.h. */
#pragma once

#include "unit/unit.h"

struct name_parts { /* all point into the name; nothing is NUL-terminated there */
    const char *prefix;
    size_t prefix_length;
    const char *instance; /* NULL = no '@'; length 0 = a template */
    size_t instance_length;
    const char *suffix; /* ".container" */
    enum unit_type type;
};
/* 0, -EINVAL if name is not a valid unit name. */
int name_split(const char *name, struct name_parts *ret);
bool name_is_instance(const char *name);
/* "shell@a.container" -> "shell@.container"; NULL on out of memory. name must be an instance. */
char *name_template(const char *name);
/* "shell@.container", "a" -> "shell@a.container". */
char *name_with_instance(const char *template, const char *instance);
/* A name that may stand in After= and its kin: any of ours, or one of systemd's types that we do not have. */
bool name_is_valid_dependency(const char *name);
