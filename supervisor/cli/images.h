/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the verbs of `davit image` share: the stores that there are, and images found in them by what a person
 * wrote.
 *
 * Reading documents of the store is done here, in the command line's own process; whatever unpacks, packs or
 * fetches is done by davit-image.
 */
#pragma once

#include "base/json.h"
#include "cli/cli.h"
#include "image/image.h"
#include "image/store.h"

/* All image roots that are stores, in the order in which a name is looked for: image_roots of davit.conf, the
 * one that is written to, <state>/images, and what came with the system. */
struct images {
    struct store *stores; /* those that exist */
    size_t n;
    size_t own; /* which of them is <state>/images; SIZE_MAX: it does not exist (yet) */
};
/* 0 with n = 0 where there is no store yet. write: makes <state>/images if it is missing. -errno (explained).
 */
int images_open(struct cli *c, bool write, struct images *ret);
void images_done(struct images *i);

/* Finds and reads an image; where several stores have it, the first. ret_store is borrowed. -ENOENT and the
 * like have been explained. */
int images_load(
    const struct images *i, const char *text, struct store_image *ret, const struct store **ret_store);
/* The same without a word: *e says what is wrong. */
int images_look_up(const struct images *i, const char *text, struct store_image *ret,
    const struct store **ret_store, struct error *e);
/* Says what is wrong with the image that text means, and what else it may have meant. */
void images_complain(const struct images *i, const char *text, const struct error *e);
/* Bytes of a layer, unpacked; 0 of one that is not there, or NULL. */
uint64_t layer_size(const struct store *s, const char *diff_id);
/* Bytes of all its layers. */
uint64_t image_size(const struct store *s, const struct store_image *i);
/* All names of a manifest, as they are stored. -errno (explained) */
int image_names(const struct store *s, const char *manifest, char ***ret);
/* The first 12 digits of a digest, as people write an image's ID. */
const char *digest_short(const char *digest, char buffer[static 13]);
/* "" in the configuration, or a time that cannot be read, gives 0. */
usec_t image_created(const struct oci_config *c);
/* All that is known of an image, with the members of `podman image inspect`. */
json_t *image_inspect(struct cli *c, const struct store *s, const struct store_image *i);
/* What a unit's Image= or Rootfs= means now, plain directories included (image.h). -errno (explained) */
struct image;
int images_resolve(struct cli *c, const char *name, struct image *ret);
/* The same without a word: *e says what is wrong. */
int images_find_layers(struct cli *c, const char *name, struct image *ret, struct error *e);
/* Appends --root=DIR for all image roots, for the worker. -errno (explained) */
int images_add_roots(struct cli *c, char ***arguments);
/* Host directories of an image's layers, as they are named in a mount: topmost first, with colons. NULL on
 * out of memory
 */
char *images_lower(char *const *layers);
/* The storage driver that davit.conf names, newly allocated; the default one where it names none. */
char *images_driver(struct cli *c);
