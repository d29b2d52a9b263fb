/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The image store: content by digest, names for it, and the rules by which several processes and a power cut
 * at any moment leave it whole.
 *
 *   ROOT/blobs/sha256/HEX   documents (manifests, configurations), and layers as they came where they are
 * kept ROOT/layers/HEX/        one layer, HEX the digits of its diffID, shared by all images that have it:
 *          tree/            the directory that is mounted, owners as in the image; or instead of it
 *          image.erofs, image.squashfs   a file system image that is mounted
 *          layer.json       what it was made from (struct layer_info)
 *          recipe, sums     how its archive was written (worker/recipe.h)
 *          seal             what the tree is like (worker/seal.h)
 *          implicit         its directories that the archive does not describe (worker/implicit.h)
 *                      or HEX the digits of a configuration: what that image has on top (worker/settle.h)
 *   ROOT/chains/HEX/tree    for drivers that make trees (driver.h): layers put together, HEX of their ChainID
 *   ROOT/references/NAME    a canonical name ("/" written "+"), in it the descriptor of the manifest
 *   ROOT/uses/UNIT          what a unit runs, and what it ran before that
 *   ROOT/work/NAME          whatever is not finished
 *   ROOT/lock
 *
 * ROOT is <state>/images, which may have plain image directories in it as well (image.h); the six names
 * above are the store's. A copy of such a tree, read-only, is a store for reading: /usr/share/davit/images.
 *
 * Rules that every writer keeps:
 *   1. What has its name in blobs/, layers/ or references/ is complete and on disk: it is written in work/,
 *      synced, renamed, and the directory is synced. Nothing there is ever changed afterwards, but for times.
 *   2. Order: layers and configuration before the manifest, the manifest before the reference. So a name
 *      never leads to something that is missing.
 *   3. An entry of work/ is locked (flock) by who works on it as long as that lives. One that can be locked
 * is garbage, but for blobs of less than a day, which a pull may resume.
 *   4. "lock" is held shared for moments: while an entry of work/ is made, while references and uses are
 *      written. store_image_commit() checks under it that all parts of the image are still there. gc holds it
 *      exclusively while it looks for what can go and renames that into work/.
 *   5. gc leaves alone what was made or touched within the last hour, even if nothing refers to it:
 *      somebody may be about to. It can be told another time than an hour (tests do, and who needs the space
 *      now), which does not count while somebody makes an image: he holds work/ itself locked, shared, from
 *      before he looks for layers until the image has a name.
 *
 * This room, but for blob.h, needs no library besides jansson: davitd and davit read the store with it.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "image/oci.h"
#include "image/reference.h"

struct store {
    char *path;
    int fd; /* ROOT */
    bool writable;
};

/* For reading: -ENOENT if there is no store in that directory. For writing: makes what is missing; -EROFS and
 * its kin where that cannot be. */
int store_open(const char *path, bool write, struct store *ret, struct error *e);
void store_done(struct store *s);
/* True for the first components of names that belong to the store, not to plain image directories. */
bool store_owns_name(const char *name);

/* Holds "lock" (LOCK_SH or LOCK_EX) until the descriptor is closed. timeout 0: -EBUSY at once. */
int store_lock(const struct store *s, int how, usec_t timeout, struct error *e);

/* Rule 5: holds work/ (LOCK_SH to make images; LOCK_EX | LOCK_NB to see that nobody does, -EWOULDBLOCK) until
 * the descriptor is closed. */
int store_lock_makers(const struct store *s, int how, struct error *e);

/* ---- unfinished work (store.c) ---- */

#define WORK_NAME 64
/* A new locked directory, or file of mode 0600, in work/. Returns its descriptor; name is below ROOT
 * ("work/..."). */
int work_new_directory(const struct store *s, char ret_name[static WORK_NAME], struct error *e);
int work_new_file(const struct store *s, char ret_name[static WORK_NAME], struct error *e);
/* Takes it away. Whoever dies before leaves it for gc. */
void work_remove(const struct store *s, const char *name);
/* Gives a finished and synced entry its place (below ROOT), and syncs the directory. 0; 1 if something has
 * that name already: then the entry is removed. */
int work_place(const struct store *s, const char *name, const char *place, struct error *e);

/* ---- blobs (store-read.c; writing: blob.h) ---- */

/* An open descriptor. -ENOENT */
int blob_open(const struct store *s, const char *digest, uint64_t *ret_size, struct error *e);
/* Bytes; 0 of one that is not there. */
uint64_t blob_size(const struct store *s, const char *digest);
/* Marks it as used now, for rule 5. -ENOENT */
int blob_touch(const struct store *s, const char *digest);
/* A document of at most max bytes. -ENOENT, -EFBIG */
int blob_read(
    const struct store *s, const char *digest, size_t max, char **ret, size_t *ret_size, struct error *e);

/* ---- layers (store-layer.c) ---- */

enum layer_kind { LAYER_TREE, LAYER_EROFS, LAYER_SQUASHFS, _LAYER_KIND_COUNT };
struct layer_info {
    enum layer_kind kind;
    char diff_id[DIGEST_TEXT]; /* or of an image's configuration */
    char blob[DIGEST_TEXT]; /* the form it came in; "" if it came in no such form (a directory, a commit) */
    char media_type[96];    /* of the blob */
    uint64_t blob_size;     /* bytes of the blob */
    uint64_t size;          /* bytes of all files in it, or of the file system image */
    uint64_t archive_size;  /* bytes that diff_id is the digest of */
    uint64_t entries;       /* names in it; 0 for a file system image */
    char seal[DIGEST_TEXT]; /* of its file "seal"; "" = a file system image, or an older davit has made it */
};
/* -ENOENT; -EBADMSG if its layer.json cannot be read. ret may be NULL. */
int layer_find(const struct store *s, const char *diff_id, struct layer_info *ret, struct error *e);
/* Absolute path of what is mounted: .../tree or the image file. NULL on out of memory. */
char *layer_path(const struct store *s, const char *diff_id, enum layer_kind kind);
/* Marks it as used now, for rule 5. Failure does not matter to anybody. */
void layer_touch(const struct store *s, const char *diff_id);

/* A layer in the making: write into tree_fd (or a file in directory_fd), then finish and commit. */
struct layer_writer {
    const struct store *store;
    int directory_fd; /* work/NAME; -1: not begun, or over */
    int tree_fd;      /* work/NAME/tree, LAYER_TREE only */
    char name[WORK_NAME];
    struct layer_info info; /* set by layer_finish() */
};
#define LAYER_WRITER_NONE ((struct layer_writer){.directory_fd = -1, .tree_fd = -1})
int layer_begin(const struct store *s, enum layer_kind kind, struct layer_writer *ret, struct error *e);
/* The layer is as it shall be: writes layer.json. info->kind is that of layer_begin(). */
int layer_finish(struct layer_writer *w, const struct layer_info *info, struct error *e);
/* Puts n finished layers in their places, with one sync for all of them. Each writer is over afterwards,
 * whatever happened. A layer that has come from somewhere else meanwhile is as good. */
int layers_commit(const struct store *s, struct layer_writer *writers, size_t n, struct error *e);
void layer_abort(struct layer_writer *w); /* safe on a writer that is over */

/* ---- references (store-reference.c) ---- */

struct store_reference {
    char *name; /* canonical */
    char manifest[DIGEST_TEXT];
    uint64_t manifest_size;
    char source[DIGEST_TEXT]; /* what it was called where it came from: an index's digest perhaps, whose
                                 document is then a blob. "" = the manifest */
    usec_t time;              /* CLOCK_REALTIME of the last change */
};
/* Writes or replaces one; name is canonical. The caller holds the shared lock, unless store_image_commit() is
 * used, which is what new images come in by. */
int store_reference_set(const struct store *s, const struct store_reference *r, struct error *e);
int store_reference_get(
    const struct store *s, const char *name, struct store_reference *ret, struct error *e);
/* -ENOENT if there is none. */
int store_reference_remove(const struct store *s, const char *name, struct error *e);
/* All of them, by name. Damaged ones are left out, with the first problem in *e (may be NULL): fsck's part.
 */
int store_reference_list(const struct store *s, struct store_reference **ret, size_t *ret_n, struct error *e);
void store_reference_done(struct store_reference *r);
void store_references_free(struct store_reference *l, size_t n);

/* ---- what units use (store-use.c) ---- */

struct store_use {
    char current[DIGEST_TEXT], previous[DIGEST_TEXT]; /* manifests; "" = none */
    usec_t time;                                      /* CLOCK_REALTIME of the last start */
};
/* A unit starts with this manifest: if that is another one than before, the one before becomes previous. Not
 * synced: after a power cut nothing runs that it could protect. */
int store_use_set(const struct store *s, const char *unit, const char *manifest, struct error *e);
int store_use_get(const struct store *s, const char *unit, struct store_use *ret, struct error *e);
int store_use_remove(const struct store *s, const char *unit, struct error *e);
/* Names of all units with a record. */
int store_use_list(const struct store *s, char ***ret, struct error *e);

/* ---- images (store-image.c) ---- */

struct store_image {
    char *name; /* the reference it was found by; NULL if by digest */
    char manifest_digest[DIGEST_TEXT];
    uint64_t manifest_size;
    struct oci_manifest manifest;
    struct oci_config config;
};
void store_image_done(struct store_image *i);
/* From what a person writes to a manifest: a reference (candidates of reference.h, then the only stored name
 * that ends in "/NAME"), "sha256:..." of a manifest or configuration, or at least 12 digits of the latter.
 * ret_name may be NULL; *ret_name is NULL where only the whole digest of a manifest led to it. -ENOENT,
 * -EEXIST (several fit: they are named). */
int store_image_find(const struct store *s, const char *text, char ret_manifest[static DIGEST_TEXT],
    char **ret_name, struct error *e);
/* Reads manifest and configuration and checks that they belong together. */
int store_image_load(
    const struct store *s, const char *manifest_digest, struct store_image *ret, struct error *e);
/* All documents are in the store: checks under the lock that every layer is too, and writes the references
 * (canonical names; NULL = none). source: as in struct store_reference, or NULL. -ESTALE: a part has been
 * collected meanwhile; which one stands in *e. -EBADMSG: a name has a digest in it that is neither of the two. */
int store_image_commit(const struct store *s, const char *manifest_digest, char *const *names,
    const char *source, struct error *e);
