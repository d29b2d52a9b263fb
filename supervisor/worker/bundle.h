/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A directory or a tar archive with named files in it: an OCI layout, or what `docker save` writes. Files are
 * read where they lie; nothing is unpacked. Names are relative, without "." and ".."; links inside an archive
 * (docker save's from one layer to another) are followed, those in a directory are not.
 */
#pragma once

#include "worker/stream.h"

#define BUNDLE_FILES_MAX 20000

struct bundle_file {
    char *name, *link; /* link: what it stands for, or NULL */
    uint64_t offset, size;
};
struct bundle {
    int fd; /* directory or archive: borrowed */
    bool directory;
    struct bundle_file *files; /* of an archive, by name */
    size_t n_files;
};

/* fd is a directory, or an archive that is not compressed. */
int bundle_open(struct bundle *b, int fd, bool directory, struct error *e);
void bundle_done(struct bundle *b);
/* A file's place: *ret_fd is the bundle's own, or *ret_owned (-1 otherwise), to be closed. -ENOENT */
int bundle_find(const struct bundle *b, const char *name, int *ret_fd, int *ret_owned, uint64_t *ret_offset,
    uint64_t *ret_size, struct error *e);
/* A whole file of at most max bytes, NUL-terminated. */
int bundle_read(
    const struct bundle *b, const char *name, size_t max, char **ret, size_t *ret_size, struct error *e);
bool bundle_has(const struct bundle *b, const char *name);
