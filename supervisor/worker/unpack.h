/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One layer from an archive to a directory that overlay can mount.
 *
 * A layer is unpacked alone, into an empty tree, by the rules of the OCI image specification (layer.md): an
 * entry over a directory with a directory changes its attributes, over anything else it replaces what is
 * there; ".wh.NAME" becomes overlay's whiteout (a character device 0:0), ".wh..wh..opq" its opaque mark
 * (trusted.overlay.opaque); AUFS's own ".wh..wh.plnk" directory is where hard links point to, its other
 * ".wh..wh." files mean nothing. Neither touches what the same layer brings.
 *
 * Everything is done from the descriptor of the tree: each name is walked with openat2 (beneath it, through
 * no symbolic link), and what is made is made exclusively in its parent. An entry that does not keep to the
 * rules ends the unpacking with an error that names it, and the whole tree goes.
 *
 * Names are bytes, as in every Unix; a leading "/" or "./" means the layer's root, as tools that build images
 * write it. ".." is never taken.
 */
#pragma once

#include "image/store.h"
#include "worker/stream.h"

#define UNPACK_ENTRIES_MAX 999999
#define UNPACK_PATH_MAX 4095   /* bytes of a name */
#define UNPACK_XATTR_MAX 65536 /* bytes of the value of one attribute: what the kernel takes */
#define UNPACK_IMPLICIT_MAX (4U * 1024 * 1024) /* bytes of names of directories that no entry made */
#define UNPACK_RESERVE_PERCENT 5               /* of the disk that is never filled */

/* What the layer has to turn out to be; "" or NULL where that is not known. */
struct unpack_expected {
    const char *blob, *diff_id;
    uint64_t blob_size;     /* UINT64_MAX = not known */
    const char *media_type; /* kept in layer.json */
};

/* Unpacks into a layer of its own, which waits for unpacked_commit(). On failure nothing of it is left.
 * progress (may be NULL) is called now and then with the bytes of the blob that have gone in. */
struct unpacked {
    struct layer_writer writer;
    bool unvouched; /* its recipe does not say all that is in the files: the seal has to */
};
#define UNPACKED_NONE ((struct unpacked){.writer = {.directory_fd = -1, .tree_fd = -1}})
int layer_unpack(const struct store *s, const struct layer_source *source,
    const struct unpack_expected *expected, void (*progress)(void *userdata, uint64_t bytes), void *userdata,
    struct unpacked *ret, struct error *e);
void unpacked_abort(struct unpacked *u);

/* Puts the layers of an image in their places. diff_ids: all its layers, lowest first; unpacked: n of them in
 * the same order, the others are in the store. A directory that a layer needs but does not describe gets its
 * attributes from the layers below (settle.h). Then the layers are sealed. All of unpacked are over afterwards.
 */
int unpacked_commit(
    const struct store *s, char *const *diff_ids, struct unpacked *unpacked, size_t n, struct error *e);

/* -ENOSPC when writing `more` bytes would leave less than UNPACK_RESERVE_PERCENT of the store's disk. */
int store_check_space(const struct store *s, uint64_t more, struct error *e);
