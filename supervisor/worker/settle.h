/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Directories that a layer needs and does not describe. Tools that unpack one layer over the other leave such a
 * directory as it was, or make it 0755. Overlay shows the attributes of the topmost layer that has it, so one
 * that was only made to hold something would change /root from 0700 to 0755.
 *
 * When a layer comes in, it is given the attributes that the directory has in the layers below, in that image.
 * A layer is shared, though, and the next image may have others below it. An image that would show wrong
 * attributes has a layer more, on top of those that its configuration names: nothing but these directories as
 * they should be. It lies in the store under the digest of the configuration (layers/HEX), and so stays as long
 * as the image; image_layers() finds it there. Few images need one.
 */
#pragma once

#include "image/store.h"
#include "worker/implicit.h"
#include "worker/unpack.h"

/* ---- the layers of one image (settle.c) ---- */

#define SETTLE_IMPLICIT_MAX (2 * UNPACK_IMPLICIT_MAX) /* bytes of such names of all layers of an image */

struct settle_layer {
    int tree; /* -1: a file system image, into which nobody can look here, or missing */
    struct implicit implicit;
};
struct settle {
    struct settle_layer *layers; /* lowest first */
    size_t n;
};
/* unpacked: those of them that have no place yet; found before those in the store. */
int settle_open(const struct store *s, char *const *diff_ids, const struct unpacked *unpacked, size_t n,
    struct settle *ret, struct error *e);
void settle_done(struct settle *s);

/* What a layer has of a path. An opaque directory hides what the ones below have in it, not what they say of the
 * directory itself; one that was removed and begun anew counts as described. */
enum settle_view {
    VIEW_NOTHING,   /* what is below shows */
    VIEW_DIRECTORY, /* and what is below shows through it */
    VIEW_ALONE,     /* a directory in an opaque one */
    VIEW_HIDDEN,    /* something else, or nothing in an opaque directory */
};
/* ret_fd: of a directory, else -1. */
enum settle_view settle_look(const struct settle *s, size_t layer, const char *path, int *ret_fd);
/* The directory whose attributes count below layer `layer`: of the nearest layer that describes it. Its
 * descriptor, or ATTRIBUTES_DEFAULT if none does. */
int settle_source(const struct settle *s, size_t layer, const char *path);

/* ---- the layer on top (settle-image.c) ---- */

/* Makes, replaces or removes the image's layer on top, as it should be. An image that cannot be read has none. */
int settle_image(const struct store *s, const char *manifest_digest, struct error *e);
/* The last step of everything that brings an image in: store_image_commit() after settle_image(). */
int settle_and_commit(const struct store *s, const char *manifest_digest, char *const *names,
    const char *source, struct error *e);
