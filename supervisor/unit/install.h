/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What enable, disable, mask and edit share: where the administrator's files are, and changing links there. Private
 * to unit/; everybody else calls unit_enable() and its kin (unit/unit.h).
 */
#pragma once

#include "unit/unit.h"

#define MASK "/dev/null"

struct change {
    const char *root; /* where links go */
    char ***changes;  /* what has been done, in words */
    struct error *error;
};

/* The first directory that outlives a boot and is not the distribution's: by default /etc/davit/units. */
const char *install_root(const struct unit_environment *env);
bool link_points_to(const char *path, const char *target);
/* A link where there was none or another; a file that is not a link is left alone (-EEXIST). */
int make_link(struct change *c, const char *path, const char *target);
/* What is not there, or no link, is left alone. */
int remove_link(struct change *c, const char *path);
/* What has been told to be enabled or disabled is so after a power cut too. */
int make_durable(const struct change *c);
