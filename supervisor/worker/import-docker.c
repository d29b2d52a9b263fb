/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Archives as `docker save` and `podman save` write them: manifest.json lists images, each with the name of
 * its configuration, of its layers' files (not compressed) and its tags.
 */
#include "worker/import.h"
#include "worker/settle.h"

#define IMAGES_MAX 1000

struct docker_image {
    char *config;
    char **tags, **layers;
};

static void docker_image_done(struct docker_image *i) {
    free(i->config);
    strv_free(i->tags);
    strv_free(i->layers);
}

static int read_image(json_t *object, struct docker_image *i, struct error *e) {
    if (!json_is_object(object))
        return error_set(e, EINVAL, "an image is not an object");
    int r = oci_json_string(object, "Config", false, &i->config, e);
    if (r >= 0)
        r = oci_json_strings(object, "RepoTags", &i->tags, e);
    if (r >= 0)
        r = oci_json_strings(object, "Layers", &i->layers, e);
    if (r >= 0 && (!i->config || !i->layers))
        r = error_set(e, EINVAL, "an image has no Config or no Layers");
    return r;
}

/* What the new manifest says of a layer. Uncompressed, as they should be, they are their own diffID. */
static int describe(struct worker *w, const struct bundle *b, const char *file, const char *diff_id,
    struct document_layer *ret, struct layer_info *info, struct error *e) {
    static const char gzip[] = "\x1f\x8b", zstd[] = "\x28\xb5\x2f\xfd";
    uint64_t offset, size;
    char magic[4] = "";
    int fd, owned = -1;

    int r = bundle_find(b, file, &fd, &owned, &offset, &size, e);
    if (r < 0)
        return r;
    _cleanup_close_ int closed = owned;
    ssize_t n = pread(fd, magic, MIN((uint64_t)sizeof(magic), size), (off_t)offset);
    *ret = (struct document_layer){OCI_MEDIA_LAYER, diff_id, size};
    bool is_gzip = n >= 2 && memcmp(magic, gzip, 2) == 0, is_zstd = n >= 4 && memcmp(magic, zstd, 4) == 0;
    if (!is_gzip && !is_zstd)
        return 0;
    r = layer_find(&w->store, diff_id, info, e);
    if (r < 0)
        return r;
    *ret = (struct document_layer){
        is_gzip ? OCI_MEDIA_LAYER_GZIP : OCI_MEDIA_LAYER_ZSTD, info->blob, info->blob_size};
    return 0;
}

static int get_layers(struct worker *w, const struct bundle *b, const struct docker_image *i,
    const struct oci_config *c, struct error *e) {
    size_t n = strv_length(i->layers);
    _cleanup_free_ struct import_layer *layers = calloc(MAX(n, (size_t)1), sizeof(*layers));

    if (!layers || !i->layers)
        return error_set(e, ENOMEM, "out of memory");
    for (size_t k = 0; k < n; k++)
        layers[k] = (struct import_layer){i->layers[k],
            {.diff_id = c->diff_ids[k], .blob_size = UINT64_MAX, .media_type = OCI_MEDIA_LAYER}};
    return import_layers(w, b, layers, c->diff_ids, e);
}

static int put_documents(struct worker *w, const struct bundle *b, const struct docker_image *i,
    const struct oci_config *c, const char *config, size_t n_config, char ret_config[static DIGEST_TEXT],
    char ret_manifest[static DIGEST_TEXT], struct error *e) {
    size_t n = strv_length(i->layers);
    _cleanup_free_ struct document_layer *layers = calloc(MAX(n, (size_t)1), sizeof(*layers));
    _cleanup_free_ struct layer_info *infos = calloc(MAX(n, (size_t)1), sizeof(*infos));
    int r = 0;

    if (!layers || !infos || !i->layers)
        return error_set(e, ENOMEM, "out of memory");
    for (size_t k = 0; k < n && r >= 0; k++)
        r = describe(w, b, i->layers[k], c->diff_ids[k], &layers[k], &infos[k], e);
    return r < 0 ? r : document_put(&w->store, config, n_config, layers, n, ret_config, ret_manifest, e);
}

static int canonical_tags(char *const *tags, char ***ret, struct error *e) {
    STRV_FOREACH (tag, tags) {
        char *name;
        int r = reference_canonical(*tag, &name, e);
        if (r < 0)
            return r;
        if (strv_consume(ret, name) < 0)
            return error_set(e, ENOMEM, "out of memory");
    }
    return 0;
}

static int import_image(
    struct worker *w, const struct bundle *b, const struct docker_image *i, struct error *e) {
    _cleanup_(oci_config_done) struct oci_config c = {};
    _cleanup_strv_free_ char **own = NULL, **names = NULL;
    char id[DIGEST_TEXT], manifest[DIGEST_TEXT];
    _cleanup_free_ char *config = NULL;
    size_t n;

    int r = canonical_tags(i->tags, &own, e);
    if (r >= 0)
        r = import_names(w, own, NULL, &names, e);
    if (r >= 0 && import_skips(w, names, NULL))
        return 0;
    if (r >= 0)
        r = bundle_read(b, i->config, OCI_CONFIG_MAX, &config, &n, e);
    if (r >= 0)
        r = oci_config_parse(config, n, i->config, &c, e);
    if (r >= 0 && (strv_length(c.diff_ids) != strv_length(i->layers) || strv_length(c.diff_ids) == 0))
        r = error_set(e, EINVAL, "%zu layers are listed, and %zu in %s", strv_length(i->layers),
            strv_length(c.diff_ids), i->config);
    if (r >= 0)
        r = get_layers(w, b, i, &c, e);
    if (r >= 0)
        r = put_documents(w, b, i, &c, config, n, id, manifest, e);
    if (r >= 0)
        r = settle_and_commit(&w->store, manifest, names, NULL, e);
    if (r < 0)
        return error_prefix(e, r, "image %s", names ? names[0] : i->config);
    STRV_FOREACH (name, names)
        worker_image(w, *name, manifest, id);
    return 0;
}

int import_docker(struct worker *w, const struct bundle *b, struct error *e) {
    _cleanup_json_ json_t *list = NULL;
    _cleanup_free_ char *text = NULL;
    json_error_t problem;
    json_t *object;
    size_t n, i;

    int r = bundle_read(b, "manifest.json", OCI_MANIFEST_MAX, &text, &n, e);
    if (r < 0)
        return r;
    list = json_loadb(text, n, JSON_REJECT_DUPLICATES, &problem);
    if (!list)
        return error_set(e, EINVAL, "manifest.json: line %d: %s", problem.line, problem.text);
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > IMAGES_MAX)
        return error_set(e, EINVAL, "manifest.json is no list of 1 to %d images", IMAGES_MAX);
    if (json_array_size(list) > 1 && w->options.names)
        return error_set(
            e, EINVAL, "there are %zu images in it, which bring names of their own", json_array_size(list));
    JSON_ARRAY_FOREACH (i, object, list) {
        _cleanup_(docker_image_done) struct docker_image image = {};
        r = read_image(object, &image, e);
        if (r < 0)
            return error_prefix(e, r, "manifest.json");
        r = import_image(w, b, &image, e);
        if (r < 0)
            return r;
    }
    return 0;
}
