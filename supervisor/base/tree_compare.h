/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What has changed between a directory tree and a later copy of it: what overlay would have in an upper
 * directory, where there is none.
 *
 * A file counts as unchanged if it is the same in all that a person can set (type, mode, owner, size, time of
 * the last change, extended attributes, target of a link). One that was written to since the copy was made is
 * compared byte by byte, whatever its time says.
 */
#pragma once

#include <sys/stat.h>

#include "base/error.h"
#include "base/hashmap.h"

enum tree_change_kind { TREE_ADDED = 'A', TREE_CHANGED = 'C', TREE_REMOVED = 'D' };

struct tree_change {
    enum tree_change_kind kind;
    char path[]; /* relative; "" for the root, which is always there */
};

struct tree_changes {
    struct tree_change **items; /* a directory before what is in it, names in byte order */
    size_t n, n_removed;
    struct hashmap *by_path;
};

/* What davit itself makes in a container's tree has this attribute: such a file is no change, such a
 * directory only if there are changes in it. */
#define TREE_MADE_XATTR "trusted.davit.made"

struct tree_compare_options {
    const char *const *without; /* paths that do not count; NULL = all do */
    struct timespec copied;     /* when the copy was made: what was written to is younger */
};

/* old, new: directories. The trees are walked through no link; new may change meanwhile. */
int tree_compare(
    int old, int new, const struct tree_compare_options *options, struct tree_changes *ret, struct error *e);
void tree_changes_done(struct tree_changes *c);
