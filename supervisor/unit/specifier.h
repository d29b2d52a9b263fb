/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Specifiers (%i, %n, %H, ...) as systemd.unit(5) lists them, for the system manager. */
#pragma once

#include "unit/unit.h"

struct specifier_context {
    const struct unit_environment *env;
    const char *name;     /* full unit name */
    const char *fragment; /* may be NULL */
};
/* Expands s. -EINVAL with *e for an unknown specifier or one that has no value here. Results longer than 64
 * KiB: -E2BIG. */
int specifier_expand(const struct specifier_context *c, const char *s, char **ret, struct error *e);
/* Escaping of names and paths, systemd-escape(1). */
int unit_name_unescape(const char *s, char **ret);
int unit_name_escape(const char *s, char **ret);
/* systemd's name for what uname(2) calls machine, as ConditionArchitecture= has it; NULL: not known. */
const char *machine_architecture(void);
