/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files from one directory to another, as cp(1) would, where one of the two belongs to a container that runs
 * and may change everything at any moment: names are opened in their directories, never through a link, so
 * neither side can be led out of itself. Modes, times and links are kept; sockets and device nodes are left
 * out.
 */
#pragma once

#include "base/error.h"

struct copy_owners {
    /* New files belong to these; UINT32_MAX: to whoever writes. */
    uint32_t uid, gid;
    /* Or, with keep: to whom they belonged, from one user namespace to the other. count 0: no namespace. */
    bool keep;
    uint32_t from_base, from_count, to_base, to_count;
};

/* Copies what is called `name` in directory `from` to `to_name` in directory `to`: a file in place of one
 * that is there, a directory into one that is there. skipped (may be NULL) counts what cannot be copied. */
int copy_entry(int from, const char *name, int to, const char *to_name, const struct copy_owners *owners,
    unsigned *skipped, struct error *e);
/* Only what is in directory `from`. */
int copy_content(int from, int to, const struct copy_owners *owners, unsigned *skipped, struct error *e);
