/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-image save REFERENCE...: images as one archive on standard output.
 *
 *   --format=oci     an OCI image layout in a tar archive (image-layout.md)
 *   --format=docker  what `docker save` writes: manifest.json, configurations, layers
 *
 * Layers come out as the archives that they came in as, uncompressed, so that an image keeps its configuration
 * and with it its ID. Where its manifest speaks of compressed layers the archive has a manifest of its own.
 */
#include "worker/document.h"
#include "worker/recipe.h"
#include "worker/worker.h"

#include <fcntl.h>

#include "base/fs.h"

/* One file of the archive, by what it holds; each is written once, however many images have it. */
struct item {
    char *name;
    const char *diff_id;        /* of a layer; NULL: a document */
    char *text;                 /* of a document */
    struct layer_info layer;
    uint64_t size;
};

struct saved_image {
    char *name; /* canonical, NULL if it was named by digest */
    struct store_image image;
    char manifest_digest[DIGEST_TEXT]; /* of the manifest in the archive */
    char *manifest;
    size_t n_manifest;
    char *config;
    size_t n_config;
};

struct save {
    struct worker *worker;
    struct saved_image *images;
    size_t n_images;
    char **written; /* names of members that are in the archive */
    struct tar_sink sink;
    uint64_t done, total;
};

static void saved_image_done(struct saved_image *i) {
    free(i->name);
    free(i->manifest);
    free(i->config);
    store_image_done(&i->image);
}

static void save_done(struct save *s) {
    for (size_t i = 0; i < s->n_images; i++)
        saved_image_done(&s->images[i]);
    free(s->images);
    strv_free(s->written);
}
