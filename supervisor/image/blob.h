/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing blobs into the store, hashed on the way. For davit-image only (nettle).
 *
 * A blob that is fetched in pieces is begun with its digest: then what a writer that died left behind is
 * hashed again and gone on from; `offset` says from where.
 *
 * The archive of a layer is wanted until it is unpacked. Its bytes need not outlive a power cut, since whoever goes
 * on with it hashes them all, and waiting for the disk would hold up what comes from the network: blob_end() leaves
 * it in work/ as it is. Only one that is to be kept is synced and gets its name, by blob_keep().
 */
#pragma once

#include "image/hash.h"
#include "image/store.h"

struct blob_writer {
    const struct store *store;
    int fd; /* -1: not begun, or over */
    char name[WORK_NAME];
    char digest[DIGEST_TEXT]; /* expected, "" = whatever it comes to */
    uint64_t size;            /* expected, UINT64_MAX = unknown */
    uint64_t offset;          /* bytes that are written */
    struct hash hash;
};
#define BLOB_WRITER_NONE ((struct blob_writer){.fd = -1})

/* digest NULL or size UINT64_MAX: not known. -EEXIST: the blob is in the store already; -EBUSY: another
 * process is fetching the very same one. */
int blob_begin(
    const struct store *s, const char *digest, uint64_t size, struct blob_writer *ret, struct error *e);
/* -EFBIG: more than the expected size. */
int blob_write(struct blob_writer *w, const void *data, size_t n, struct error *e);
/* Checks size and digest (-EBADMSG, and the blob is gone), syncs, gives it its name. The writer is over,
 * unless the size falls short of what was expected: -ENODATA, and blob_write() may go on. */
int blob_commit(struct blob_writer *w, char ret_digest[static DIGEST_TEXT], struct error *e);
/* The same without name and sync: it stays in work/, locked as long as *ret_fd is open, from which it is read. */
int blob_end(struct blob_writer *w, int *ret_fd, struct error *e);
/* What another process has in work/ and seems to be all of it: for reading, and for the reader to check. -ENOENT */
int blob_open_whole(const struct store *s, const char *digest, uint64_t size);
/* What becomes of it, fd being that of blob_end(): it gets its name (or has it), or it goes. A file that is not
 * ours is left alone by both. */
int blob_keep(const struct store *s, const char *digest, int fd, struct error *e);
void blob_discard(const struct store *s, const char *digest, int fd);
/* Ends without the blob. keep: what there is stays for the next blob_begin() with this digest. */
void blob_abort(struct blob_writer *w, bool keep);
/* A whole document. ret_digest may be NULL; one that is there already is fine. */
int blob_put(
    const struct store *s, const void *data, size_t n, char ret_digest[static DIGEST_TEXT], struct error *e);
