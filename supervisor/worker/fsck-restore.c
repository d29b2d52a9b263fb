/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/blob.h"
#include "worker/fsck.h"
#include "worker/recipe.h"
#include "worker/settle.h"
#include "worker/unpack.h"

/* ---- documents ---- */

static bool has_blob(const struct store *s, const char *digest) {
    _cleanup_close_ int fd = blob_open(s, digest, NULL, NULL);
    return fd >= 0;
}

static int restore_document(
    const struct store *s, const struct fsck_roots *roots, const char *digest, struct error *e) {
    char actual[DIGEST_TEXT];

    if (has_blob(s, digest))
        return 0;
    for (size_t i = 0; i < roots->n; i++) {
        _cleanup_free_ char *text = NULL;
        size_t n;

        if (blob_read(&roots->stores[i], digest, OCI_CONFIG_MAX, &text, &n, NULL) < 0)
            continue;
        hash_data(text, n, actual);
        if (streq(actual, digest))
            return blob_put(s, text, n, actual, e);
    }
    return error_set(e, ENOENT, "document %s is lost", digest);
}

/* ---- layers ---- */

static int from_blob(const struct store *s, const struct oci_descriptor *d, const char *diff_id,
    struct unpacked *ret, struct error *e) {
    const struct unpack_expected expected = {
        .blob = d->digest, .diff_id = diff_id, .blob_size = d->size, .media_type = d->media_type};
    _cleanup_free_ struct file_source *file = malloc(sizeof(*file));

    if (!file)
        return error_set(e, ENOMEM, "out of memory");
    _cleanup_close_ int fd = blob_open(s, d->digest, NULL, e);
    if (fd < 0)
        return fd;
    file_source_init(file, fd, 0, d->size);
    return layer_unpack(s, &file->source, &expected, NULL, NULL, ret, e);
}

struct stored_layer {
    const struct store *store;
    struct layer_info info;
};

static int produce_archive(void *userdata, const struct tar_sink *sink, struct error *e) {
    const struct stored_layer *l = userdata;
    int r = recipe_write_archive(l->store, &l->info, sink, e);
    return r < 0 ? r : TAR_HAS_END;
}

static int from_store(const struct store *s, const struct store *from, const char *diff_id,
    struct unpacked *ret, struct error *e) {
    struct stored_layer layer = {.store = from};
    struct tar_pipe *pipe;

    int r = layer_find(from, diff_id, &layer.info, e);
    if (r >= 0 && layer.info.kind != LAYER_TREE)
        r = error_set(e, EOPNOTSUPP, "layer %s is a file system image", diff_id);
    if (r >= 0)
        r = tar_pipe_open(produce_archive, &layer, &pipe, e);
    if (r < 0)
        return r;
    const struct unpack_expected expected = {
        .diff_id = diff_id, .blob_size = UINT64_MAX, .media_type = layer.info.media_type};
    r = layer_unpack(s, tar_pipe_source(pipe), &expected, NULL, NULL, ret, e);
    tar_pipe_close(pipe);
    return r;
}

static int restore_layer(const struct store *s, const struct fsck_roots *roots,
    const struct oci_descriptor *d, const char *diff_id, struct unpacked *ret, struct error *e) {
    int r = from_blob(s, d, diff_id, ret, e);

    for (size_t i = 0; i < roots->n && r < 0; i++)
        r = from_store(s, &roots->stores[i], diff_id, ret, e);
    return r < 0 ? error_set(e, ENOENT, "layer %s is lost", diff_id) : 0;
}

static int restore_layers(
    const struct store *s, const struct fsck_roots *roots, const struct store_image *i, struct error *e) {
    size_t n = strv_length(i->config.diff_ids), n_got = 0;
    _cleanup_free_ struct unpacked *got = calloc(n + 1, sizeof(*got));
    int r = 0;

    if (!got)
        return error_set(e, ENOMEM, "out of memory");
    for (size_t k = 0; k < n && r >= 0; k++) {
        const char *id = i->config.diff_ids[k];

        if (layer_find(s, id, NULL, NULL) >= 0)
            continue;
        r = restore_layer(s, roots, &i->manifest.layers[k], id, &got[n_got], e);
        n_got += r >= 0;
    }
    int committed = unpacked_commit(s, i->config.diff_ids, got, n_got, r < 0 ? NULL : e);
    return r < 0 ? r : committed;
}

/* ---- an image ---- */

static int restore_documents(
    const struct store *s, const struct fsck_roots *roots, const char *manifest, struct error *e) {
    _cleanup_(oci_manifest_done) struct oci_manifest m = {};
    _cleanup_free_ char *text = NULL;
    size_t n;

    int r = restore_document(s, roots, manifest, e);
    if (r >= 0)
        r = blob_read(s, manifest, OCI_MANIFEST_MAX, &text, &n, e);
    if (r >= 0)
        r = oci_manifest_parse(text, n, manifest, &m, e);
    return r < 0 ? r : restore_document(s, roots, m.config.digest, e);
}

int fsck_restore(
    const struct store *s, const struct fsck_roots *roots, const char *manifest, struct error *e) {
    _cleanup_(store_image_done) struct store_image i = {};

    int r = restore_documents(s, roots, manifest, e);
    if (r >= 0)
        r = store_image_load(s, manifest, &i, e);
    if (r >= 0)
        r = restore_layers(s, roots, &i, e);
    return r < 0 ? r : settle_image(s, manifest, e);
}
