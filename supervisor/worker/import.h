/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ways in from what lies on a disk: the parts of the import command. Private to worker/import*.c. */
#pragma once

#include "worker/bundle.h"
#include "worker/document.h"
#include "worker/unpack.h"
#include "worker/worker.h"

/* A layer to get: where its blob lies in a bundle, and what it must turn out to be. */
struct import_layer {
    const char *file; /* name in the bundle */
    struct unpack_expected expected;
};

/* Gets the layers that the store has not into it. diff_ids and layers are of the same length. */
int import_layers(struct worker *w, const struct bundle *b, const struct import_layer *layers,
    char *const *diff_ids, struct error *e);
/* Names for an image: those of --name, or else `own` (canonical), or else one made from the input's name and
 * `tag`. -EINVAL where none can be made. */
int import_names(struct worker *w, char *const *own, const char *tag, char ***ret, struct error *e);

/* True if only some images are wanted, and none that these names (NULL: none) may be among them, nor one with
 * the digest of a layout's entry (may be NULL). Else they count as found. With a name from the command line, the
 * only image there is, is wanted. */
bool import_skips(struct worker *w, char *const *names, const struct oci_descriptor *entry);

/* The whole of an import from a directory or regular file. */
int import_opened(struct worker *w, int fd, struct error *e);

/* Images of an OCI layout, of an archive in docker's form; one image from a root file system. */
int import_oci(struct worker *w, const struct bundle *b, struct error *e);
int import_docker(struct worker *w, const struct bundle *b, struct error *e);
int import_archive_root(struct worker *w, int fd, struct error *e);
int import_directory_root(struct worker *w, int fd, struct error *e);
int import_filesystem(struct worker *w, int fd, enum layer_kind kind, struct error *e);
/* The configuration of --config around one layer, and its manifest and names. */
int import_single(struct worker *w, const struct layer_info *layer, const char *created_by, struct error *e);
