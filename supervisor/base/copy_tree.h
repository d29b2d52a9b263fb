/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies what is below a directory: owners, modes, times, extended attributes, links, device nodes, holes.
 * Where the file system can share data between files (btrfs, xfs) it does, so that a copy costs names only.
 *
 * Both sides are walked by descriptor and no symbolic link is followed, so neither side can lead out of
 * itself.
 */
#pragma once

#include "base/error.h"

struct copy_tree_options {
    /* Changes the owner that a copy gets; NULL = as it is. */
    void (*owner)(const void *userdata, uint32_t *uid, uint32_t *gid);
    const void *userdata;
    /* from is a layer as overlay has it, put over what is there: whiteouts remove, an opaque directory takes
     * the place of one, other directories are merged and get the layer's attributes. */
    bool layer;
};

/* from, to: directories; what is in `to` already may not be in the way, unless options say layer. options may
 * be NULL. -ELOOP: more than 200 directories in each other. */
int copy_tree(int from, int to, const struct copy_tree_options *options, struct error *e);
/* The content of one file into an empty one: shared, else copied without its holes. *ret_shared (may be
 * NULL): whether it is shared. */
int copy_file_data(int from, int to, bool *ret_shared);
/* 1 if there is nothing in the directory. */
int directory_is_empty(int fd);
