/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A layer's bytes on their way from where they come in to the reader of the archive: hashed as they came (the
 * blob's digest), decompressed, and hashed again (the diffID). What comes out has gone through both hashes,
 * so nothing is unpacked that is not part of the digest that is checked at the end.
 */
#pragma once

#include <archive.h>

#include "base/error.h"
#include "image/hash.h"

#define STREAM_BLOCK (128 * 1024)
/* Bytes of a layer after decompression, and of what may follow the end of its archive. */
#define STREAM_MAX (UINT64_C(1) << 40)
#define STREAM_PADDING_MAX (UINT64_C(64) << 20)

/* Where a blob comes from: a file, a part of one, a registry. */
struct layer_source {
    /* The next piece; *ret_data is valid until the next call. Bytes, 0 at the end, or -errno with *e. */
    ssize_t (*read)(void *userdata, const void **ret_data, struct error *e);
    void *userdata;
};

struct stream {
    const struct layer_source *source;
    struct archive *raw;    /* decompresses */
    struct hash blob, diff; /* diff is whole after stream_drain() */
    bool plain;    /* not compressed: both hashes are of the same bytes, which go through one of them only */
    uint64_t size; /* bytes that came out */
    struct error error; /* the source's own, kept past libarchive */
    uint64_t padding;
    void (*tap)(void *userdata, const void *data, size_t n); /* sees all that comes out; may be NULL */
    void *tap_userdata;
};

/* True if what went wrong in libarchive is that there was not enough memory: its filters say so each in its
 * way. */
bool archive_lacks_memory(struct archive *a);
#define ARCHIVE_LACKS_MEMORY \
    "decompressing it needs more memory than davit-image may have (--memory, image_memory in davit.conf)"

int stream_open(struct stream *s, const struct layer_source *source, struct error *e);
void stream_close(struct stream *s);
/* The next decompressed piece: bytes, 0 at the end, -errno with *e. */
ssize_t stream_read(struct stream *s, const void **ret_data, struct error *e);
/* Reads what is left, after the archive's own end, so that the hashes cover it all. */
int stream_drain(struct stream *s, struct error *e);

/* A source that reads n bytes of a file from offset on. */
struct file_source {
    int fd;
    uint64_t offset, left;
    char buffer[STREAM_BLOCK];
    struct layer_source source; /* set by file_source_init() */
};
void file_source_init(struct file_source *f, int fd, uint64_t offset, uint64_t n);
