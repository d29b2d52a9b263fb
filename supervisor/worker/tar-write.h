/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A directory as a tar stream, always the same bytes for the same tree: names in byte order, each directory
 * before what is in it, pax headers only for what ustar cannot say, numeric owners, no atime or ctime.
 *
 * Overlay's marks become those of the OCI image specification: a character device 0:0 ".wh.NAME", an opaque
 * directory ".wh..wh..opq" as its first entry. Holes are written as zeros. Sockets are left out.
 */
#pragma once

#include "base/tree_compare.h"
#include "worker/stream.h"

struct tar_sink {
    int (*write)(void *userdata, const void *data, size_t n, struct error *e);
    void *userdata;
};

struct tar_options {
    const char *prefix; /* directory in the archive that the tree is put into; NULL or "" = its root. Its
                           parents are not written */
    bool root_owner;    /* everything belongs to 0:0 */
    uint32_t id_base, id_count; /* owners are those of a user namespace, whose ids from 0 on these are; 0 = as
                                   they are */
    const char *const *without; /* paths below the tree that are left out; NULL = none */
    bool one_file_system;       /* of what is mounted in the tree only the mount points come */
    const struct tree_changes *changes; /* only these, what is gone as whiteouts; NULL = all */
    bool whiteouts;                     /* overlay's marks are taken as such; otherwise they are refused */
    struct timespec *newest; /* raised to the time of the newest entry that is no directory; may be NULL */
};

/* The tree below directory fd, or one file. The end of the archive is not written: tar_end() does that. */
int tar_write_tree(int fd, const struct tar_options *options, const struct tar_sink *sink, struct error *e);
int tar_write_file(int fd, const char *name, const struct tar_options *options, const struct tar_sink *sink,
    struct error *e);
/* A file whose content the caller writes to the sink between the two. */
int tar_begin_member(const char *name, uint64_t size, const struct tar_sink *sink, struct error *e);
int tar_end_member(uint64_t size, const struct tar_sink *sink, struct error *e);
int tar_end(const struct tar_sink *sink, struct error *e);

/* ---- a producer of a tar stream, as a source of a layer ---- */

/* produce runs in a thread of its own and writes to the sink that it is given. The archive's end is added,
 * unless it returns TAR_HAS_END. */
#define TAR_HAS_END 1
struct tar_pipe;
int tar_pipe_open(int (*produce)(void *userdata, const struct tar_sink *sink, struct error *e),
    void *userdata, struct tar_pipe **ret, struct error *e);
const struct layer_source *tar_pipe_source(struct tar_pipe *p);
/* Ends the producer, wherever it is. */
void tar_pipe_close(struct tar_pipe *p);
