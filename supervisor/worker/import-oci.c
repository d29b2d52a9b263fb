/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OCI layouts: https://github.com/opencontainers/image-spec/blob/main/image-layout.md */
#include "base/fs.h"
#include "image/blob.h"
#include "worker/import.h"
#include "worker/origin.h"
#include "worker/settle.h"

#define NESTED_MAX 4 /* indexes in indexes */

/* One image of the layout. */
struct entry {
    struct worker *worker;
    const struct bundle *bundle;
    const struct oci_descriptor *descriptor; /* in index.json */
    char **names;
    char index[DIGEST_TEXT]; /* that has led to its manifest; "" = none */
};

static int read_blob(
    const struct bundle *b, const char *digest, size_t max, char **ret, size_t *ret_size, struct error *e) {
    char name[sizeof("blobs/sha256/") + DIGEST_HEX];

    (void)snprintf(name, sizeof(name), "blobs/sha256/%s", digest_hex(digest));
    return bundle_read(b, name, max, ret, ret_size, e);
}

/* A document of the layout, checked against its descriptor. */
static int read_document(const struct bundle *b, const struct oci_descriptor *d, size_t max, char **ret,
    size_t *ret_size, struct error *e) {
    char digest[DIGEST_TEXT];
    _cleanup_free_ char *text = NULL;
    size_t n = 0;

    int r = read_blob(b, d->digest, max, &text, &n, e);
    if (r < 0)
        return r;
    hash_data(text, n, digest);
    if (n != d->size || !streq(digest, d->digest))
        return error_set(e, EBADMSG, "blob %s is %zu bytes of %s, not %llu", d->digest, n, digest,
            (unsigned long long)d->size);
    *ret = TAKE_PTR(text);
    *ret_size = n;
    return 0;
}

/* ---- what it was called where it came from ---- */

/* The document that the entry names so. 0: it names none; one that is not there cannot be checked, and its digest
 * is no name of the image. */
static int read_origin(const struct entry *i, const char *annotation, char ret_digest[static DIGEST_TEXT],
    char **ret, size_t *ret_size, struct error *e) {
    const char *digest = strv_env_get(i->descriptor->annotations, annotation);

    if (!digest)
        return 0;
    if (!digest_is_valid(digest))
        return error_set(e, EINVAL, "annotation %s is \"%.80s\", no digest", annotation, digest);
    int r = read_blob(i->bundle, digest, OCI_MANIFEST_MAX, ret, ret_size, e);
    if (r == -ENOENT) {
        worker_note(i->worker, "%s was %s, which is not in the archive: it will not be known by that digest",
            i->names[0], digest);
        return 0;
    }
    if (r < 0)
        return r;
    memcpy(ret_digest, digest, DIGEST_TEXT);
    return 1;
}

/* The manifest that it came with takes the place of the one in the archive. */
static int take_origin(struct entry *i, const struct oci_manifest *m, char **manifest, size_t *n,
    char digest[static DIGEST_TEXT], struct error *e) {
    _cleanup_free_ char *origin = NULL, *index = NULL;
    char index_digest[DIGEST_TEXT];
    size_t n_origin = 0, n_index = 0;

    int r = read_origin(i, ORIGIN_MANIFEST, digest, &origin, &n_origin, e);
    if (r > 0)
        r = origin_check_manifest(origin, n_origin, digest, m, e);
    if (r < 0)
        return r;
    if (origin) {
        free(*manifest);
        *manifest = TAKE_PTR(origin);
        *n = n_origin;
    }
    r = read_origin(i, ORIGIN_INDEX, index_digest, &index, &n_index, e);
    if (r > 0)
        r = origin_check_index(index, n_index, index_digest, digest, e);
    if (r >= 0 && index)
        r = blob_put(&i->worker->store, index, n_index, i->index, e);
    return MIN(r, 0);
}

/* ---- one image ---- */

static int get_layers(struct worker *w, const struct bundle *b, const struct oci_manifest *m,
    const struct oci_config *c, struct error *e) {
    _cleanup_free_ struct import_layer *layers = calloc(m->n_layers, sizeof(*layers));
    _cleanup_strv_free_ char **files = NULL;

    if (!layers)
        return error_set(e, ENOMEM, "out of memory");
    for (size_t i = 0; i < m->n_layers; i++) {
        if (strv_consume(&files, strf("blobs/sha256/%s", digest_hex(m->layers[i].digest))) < 0)
            return error_set(e, ENOMEM, "out of memory");
        layers[i].expected = (struct unpack_expected){
            .blob = m->layers[i].digest,
            .diff_id = c->diff_ids[i],
            .blob_size = m->layers[i].size,
            .media_type = m->layers[i].media_type,
        };
    }
    for (size_t i = 0; i < m->n_layers; i++)
        layers[i].file = files[i];
    return import_layers(w, b, layers, c->diff_ids, e);
}

/* image_keep_archives: what the layers were unpacked from. One that is not compressed comes out of its layer again. */
static int keep_archive(
    struct worker *w, const struct bundle *b, const struct oci_descriptor *d, struct error *e) {
    _cleanup_free_ struct file_source *source = malloc(sizeof(*source));
    struct blob_writer writer = BLOB_WRITER_NONE;
    char name[sizeof("blobs/sha256/") + DIGEST_HEX], digest[DIGEST_TEXT];
    uint64_t offset, size;
    int fd, owned = -1;
    const void *data;
    ssize_t n = 0;

    if (!source)
        return error_set(e, ENOMEM, "out of memory");
    (void)snprintf(name, sizeof(name), "blobs/sha256/%s", digest_hex(d->digest));
    int r = bundle_find(b, name, &fd, &owned, &offset, &size, e);
    if (r >= 0)
        r = store_check_space(&w->store, size, e);
    if (r >= 0)
        r = blob_begin(&w->store, d->digest, d->size, &writer, e);
    if (r >= 0) {
        file_source_init(source, fd, offset + writer.offset, size - MIN(writer.offset, size));
        while (r >= 0 && (n = source->source.read(source, &data, e)) != 0)
            r = n < 0 ? (int)n : blob_write(&writer, data, (size_t)n, e);
    }
    if (r >= 0)
        r = blob_commit(&writer, digest, e);
    blob_abort(&writer, false);
    closep(&owned);
    return r == -EEXIST ? 0 : r;
}

static int keep_archives(struct worker *w, const struct bundle *b, const struct oci_manifest *m,
    const struct oci_config *c, struct error *e) {
    int r = 0;

    for (size_t i = 0; i < m->n_layers && r >= 0 && w->keep_archives; i++)
        if (!streq(m->layers[i].digest, c->diff_ids[i]))
            r = keep_archive(w, b, &m->layers[i], e);
    return r;
}

/* The name that the descriptor carries: whole, or only a tag. */
static int own_names(const struct oci_descriptor *d, char ***ret, const char **ret_tag, struct error *e) {
    const char *whole = strv_env_get(d->annotations, OCI_ANNOTATION_IMAGE_NAME);
    const char *name = strv_env_get(d->annotations, OCI_ANNOTATION_REF_NAME);
    _cleanup_free_ char *canonical = NULL;

    if (!whole && name && strpbrk(name, "/:@"))
        whole = name;
    *ret_tag = name;
    if (!whole || reference_canonical(whole, &canonical, NULL) < 0)
        return 0;
    return strv_consume(ret, TAKE_PTR(canonical)) < 0 ? error_set(e, ENOMEM, "out of memory") : 0;
}

static int import_manifest(struct entry *i, const struct oci_descriptor *d, struct error *e) {
    struct worker *w = i->worker;
    const struct bundle *b = i->bundle;
    _cleanup_(oci_manifest_done) struct oci_manifest m = {};
    _cleanup_(oci_config_done) struct oci_config c = {};
    _cleanup_free_ char *manifest = NULL, *config = NULL;
    char digest[DIGEST_TEXT], origin[DIGEST_TEXT];
    size_t n = 0, n_config = 0;

    memcpy(origin, d->digest, sizeof(origin));
    int r = read_document(b, d, OCI_MANIFEST_MAX, &manifest, &n, e);
    if (r >= 0)
        r = oci_manifest_parse(manifest, n, d->digest, &m, e);
    if (r >= 0)
        r = take_origin(i, &m, &manifest, &n, origin, e);
    if (r >= 0)
        r = read_document(b, &m.config, OCI_CONFIG_MAX, &config, &n_config, e);
    if (r >= 0)
        r = oci_config_parse(config, n_config, m.config.digest, &c, e);
    if (r >= 0)
        r = oci_check_pair(&m, &c, e);
    if (r >= 0)
        r = get_layers(w, b, &m, &c, e);
    if (r >= 0)
        r = keep_archives(w, b, &m, &c, e);
    if (r >= 0)
        r = blob_put(&w->store, config, n_config, digest, e);
    if (r >= 0)
        r = blob_put(&w->store, manifest, n, digest, e);
    if (r >= 0)
        r = settle_and_commit(&w->store, digest, i->names, *i->index ? i->index : NULL, e);
    if (r < 0)
        return r;
    STRV_FOREACH (name, i->names)
        worker_image(w, *name, digest, m.config.digest);
    return 0;
}

/* d leads to a manifest, perhaps through an index with one for each platform. */
static int follow(struct entry *i, const struct oci_descriptor *d, unsigned depth, struct error *e) {
    _cleanup_(oci_index_done) struct oci_index index = {};
    _cleanup_free_ char *text = NULL;
    enum oci_kind kind;
    size_t n = 0;

    int r = read_document(i->bundle, d, OCI_MANIFEST_MAX, &text, &n, e);
    if (r >= 0)
        r = oci_kind_of(text, n, d->digest, &kind, e);
    if (r < 0)
        return r;
    if (kind == OCI_MANIFEST)
        return import_manifest(i, d, e);
    if (depth == NESTED_MAX)
        return error_set(e, ELOOP, "more than %d indexes in each other", NESTED_MAX);
    r = oci_index_parse(text, n, d->digest, &index, e);
    if (r < 0)
        return r;
    const struct oci_descriptor *chosen = oci_index_choose(&index);
    if (!chosen)
        return error_set(
            e, ENOENT, "index %s has no image for linux on %s", d->digest, oci_architecture(NULL));
    r = blob_put(&i->worker->store, text, n, i->index, e);
    return r < 0 ? r : follow(i, chosen, depth + 1, e);
}

/* ---- the layout ---- */

static int import_entry(
    struct worker *w, const struct bundle *b, const struct oci_descriptor *d, struct error *e) {
    _cleanup_strv_free_ char **own = NULL, **names = NULL;
    struct entry i = {.worker = w, .bundle = b, .descriptor = d};
    const char *tag;

    int r = own_names(d, &own, &tag, e);
    if (r >= 0)
        r = import_names(w, own, tag, &names, e);
    if (r >= 0 && import_skips(w, names, d))
        return 0;
    i.names = names;
    if (r >= 0)
        r = follow(&i, d, 0, e);
    return r < 0 ? error_prefix(e, r, "image %s", names ? names[0] : d->digest) : 0;
}

/* Entries that only say for which platform they are, are one image. */
static bool one_image(const struct oci_index *index) {
    for (size_t i = 0; i < index->n_manifests; i++)
        if (!index->manifests[i].architecture ||
            strv_env_get(index->manifests[i].annotations, OCI_ANNOTATION_REF_NAME))
            return false;
    return true;
}

int import_oci(struct worker *w, const struct bundle *b, struct error *e) {
    _cleanup_(oci_index_done) struct oci_index index = {};
    _cleanup_free_ char *text = NULL;
    size_t n = 0;

    int r = bundle_read(b, "index.json", OCI_MANIFEST_MAX, &text, &n, e);
    if (r >= 0)
        r = oci_index_parse(text, n, "index.json", &index, e);
    if (r < 0)
        return r;
    if (index.n_manifests == 0)
        return error_set(e, ENOENT, "index.json names no image");
    if (index.n_manifests > 1 && one_image(&index)) {
        const struct oci_descriptor *chosen = oci_index_choose(&index);
        return chosen
                   ? import_entry(w, b, chosen, e)
                   : error_set(e, ENOENT, "there is no image for linux on %s in it", oci_architecture(NULL));
    }
    if (index.n_manifests > 1 && w->options.names)
        return error_set(
            e, EINVAL, "there are %zu images in it, which bring names of their own", index.n_manifests);
    for (size_t i = 0; i < index.n_manifests && r >= 0; i++)
        r = import_entry(w, b, &index.manifests[i], e);
    return r;
}
