/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-image save REFERENCE...: images as one archive on standard output, or as files in a directory that is
 * there and empty (--output=DIRECTORY).
 *
 *   --format=oci     an OCI image layout (image-layout.md)
 *   --format=docker  what `docker save` writes: manifest.json, configurations, layers
 *
 * Layers come out as the archives that they were inside what they came in as (recipe.h), so that an image
 * keeps its configuration, and with it its ID. Where its manifest speaks of compressed layers, the one in the
 * archive is another; where it does not, or the archives were kept (image_keep_archives), even its digest stays. An OCI layout has the manifest that it came with
 * in it all the same, and the index that led there, so that it answers to their digests where it is imported
 * (origin.h).
 */
#include <fcntl.h>

#include "base/fs.h"
#include "worker/document.h"
#include "worker/origin.h"
#include "worker/recipe.h"
#include "worker/worker.h"

struct saved_image {
    char *name; /* canonical, NULL if it was named by its ID */
    struct store_image image;
    char manifest_digest[DIGEST_TEXT]; /* of the manifest in the archive */
    char *manifest, *config, *index;   /* index: that the image came by, NULL = none */
    size_t n_manifest, n_config, n_index;
    char index_digest[DIGEST_TEXT];
};

struct save {
    struct worker *worker;
    struct saved_image *images;
    size_t n_images;
    char **written; /* members that are in the archive: each once, however many images have it */
    int file;       /* the one that is being written, of a directory */
    struct tar_sink sink;
    uint64_t bytes;
};

static int no_memory(struct error *e) {
    return error_set(e, ENOMEM, "out of memory");
}

/* ---- the archive ---- */

static int on_write(void *userdata, const void *data, size_t n, struct error *e) {
    struct save *s = userdata;

    int r = s->worker->output < 0 ? worker_output(data, n, e) : write_all(s->file, data, n);
    if (r < 0 && s->worker->output >= 0)
        (void)error_set_errno(e, r, "writing to %s", s->worker->options.output);
    s->bytes += n;
    worker_progress(s->worker, "archive", s->bytes, 0);
    return r;
}

static int begin_file(struct save *s, const char *name, struct error *e) {
    int directory = s->worker->output;
    _cleanup_free_ char *parent = strndup(name, (size_t)(path_basename(name) - name));

    if (!parent)
        return no_memory(e);
    int r = *parent ? mkdir_parents(directory, parent, 0755) : 0;
    s->file = r < 0 ? r : openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    return s->file < 0
               ? error_set_errno(e, r < 0 ? r : errno, "making %s/%s", s->worker->options.output, name)
               : 0;
}

/* 1 if the archive has it already. */
static int begin_member(struct save *s, const char *name, uint64_t size, struct error *e) {
    if (strv_contains(s->written, name))
        return 1;
    if (strv_append(&s->written, name) < 0)
        return no_memory(e);
    return s->worker->output < 0 ? tar_begin_member(name, size, &s->sink, e) : begin_file(s, name, e);
}

static int end_member(struct save *s, uint64_t size, struct error *e) {
    if (s->worker->output < 0)
        return tar_end_member(size, &s->sink, e);
    close_and_reset(&s->file);
    return 0;
}

static int write_text(struct save *s, const char *name, const char *text, size_t n, struct error *e) {
    int r = begin_member(s, name, n, e);

    if (r != 0)
        return MIN(r, 0);
    r = s->sink.write(s, text, n, e);
    return r < 0 ? r : end_member(s, n, e);
}

static int write_json(struct save *s, const char *name, json_t *document, struct error *e) {
    _cleanup_free_ char *text = document ? document_text(document) : NULL;

    json_decref(document);
    return text ? write_text(s, name, text, strlen(text), e) : no_memory(e);
}

/* digest: what it has to be. */
static int copy_file(struct save *s, int fd, uint64_t size, const char *digest, struct error *e) {
    _cleanup_free_ struct file_source *source = malloc(sizeof(*source));
    char actual[DIGEST_TEXT];
    struct hash hash;
    const void *data;
    ssize_t n;
    int r = 0;

    if (!source)
        return no_memory(e);
    hash_init(&hash);
    file_source_init(source, fd, 0, size);
    while (r >= 0 && (n = source->source.read(source, &data, e)) != 0) {
        if (n > 0)
            hash_update(&hash, data, (size_t)n);
        r = n < 0 ? (int)n : s->sink.write(s, data, (size_t)n, e);
    }
    hash_digest(&hash, actual);
    return r < 0 || streq(actual, digest)
               ? r
               : error_set(e, EBADMSG, "what should be %s is %s: try davit image fsck", digest, actual);
}

/* A layer as it came. */
static int write_kept(struct save *s, const char *name, const struct oci_descriptor *d, struct error *e) {
    int r = begin_member(s, name, d->size, e);

    if (r != 0)
        return MIN(r, 0);
    _cleanup_close_ int fd = blob_open(&s->worker->store, d->digest, NULL, e);
    r = fd < 0 ? fd : copy_file(s, fd, d->size, d->digest, e);
    return r < 0 ? r : end_member(s, d->size, e);
}

static int write_layer(struct save *s, const char *name, const char *diff_id, struct error *e) {
    const struct store *store = &s->worker->store;
    struct layer_info layer;

    int r = layer_find(store, diff_id, &layer, e);
    if (r >= 0)
        r = begin_member(s, name, layer.archive_size, e);
    if (r != 0)
        return MIN(r, 0);
    if (layer.kind == LAYER_TREE) {
        r = recipe_write_archive(store, &layer, &s->sink, e);
        if (r < 0)
            (void)error_prefix(e, r, "layer %s", diff_id);
    } else {
        _cleanup_free_ char *path = layer_path(store, diff_id, layer.kind);
        _cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        r = fd < 0 ? error_set_errno(e, path ? errno : ENOMEM, "layer %s", diff_id)
                   : copy_file(s, fd, layer.archive_size, diff_id, e);
    }
    return r < 0 ? r : end_member(s, layer.archive_size, e);
}

/* ---- images ---- */

static void save_done(struct save *s) {
    for (size_t i = 0; i < s->n_images; i++) {
        struct saved_image *image = &s->images[i];
        free(image->name);
        free(image->manifest);
        free(image->config);
        free(image->index);
        store_image_done(&image->image);
    }
    free(s->images);
    strv_free(s->written);
    closep(&s->file);
}

static bool has_archive(const struct store *s, const struct oci_descriptor *d) {
    uint64_t size = 0;
    _cleanup_close_ int fd = blob_open(s, d->digest, &size, NULL);
    return fd >= 0 && size == d->size;
}

/* Whether all layers can be in the archive as the manifest says: not compressed, or kept as they came. */
static bool keeps_manifest(const struct store *s, const struct store_image *i) {
    bool kept = false;

    for (size_t k = 0; k < i->manifest.n_layers; k++) {
        const struct oci_descriptor *d = &i->manifest.layers[k];
        bool plain = streq(d->digest, i->config.diff_ids[k]);

        if (!plain && !has_archive(s, d))
            return false;
        kept |= !plain;
    }
    return kept || !i->manifest.docker;
}

static json_t *descriptor(const char *media_type, const char *digest, uint64_t size) {
    return json_pack("{s:s, s:s, s:I}", "mediaType", media_type, "digest", digest, "size", (json_int_t)size);
}

/* The same image with its layers as they are in the archive; annotations stay. */
static int make_manifest(struct save *s, struct saved_image *i, struct error *e) {
    _cleanup_json_ json_t *old = json_loadb(i->manifest, i->n_manifest, 0, NULL), *new = NULL;
    json_t *layers = json_array();

    STRV_FOREACH (id, i->image.config.diff_ids) {
        struct layer_info layer;
        int r = layer_find(&s->worker->store, *id, &layer, e);
        if (r < 0) {
            json_decref(layers);
            return r;
        }
        const char *type = layer.kind == LAYER_TREE ? OCI_MEDIA_LAYER : layer.media_type;
        (void)json_array_append_new(layers, descriptor(type, *id, layer.archive_size));
    }
    new = json_pack("{s:i, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType", OCI_MEDIA_MANIFEST, "config",
        descriptor(OCI_MEDIA_CONFIG, i->image.manifest.config.digest, i->n_config), "layers", layers);
    json_t *annotations = json_object_get(old, "annotations");
    if (new &&annotations)
        (void)json_object_set(new, "annotations", annotations);
    char *text = new ? document_text(new) : NULL;
    if (!text)
        return no_memory(e);
    free(i->manifest);
    i->manifest = text;
    i->n_manifest = strlen(text);
    hash_data(text, i->n_manifest, i->manifest_digest);
    return 0;
}

/* One that is not there, or damaged, is nothing that an image needs. */
static int load_index(struct save *s, struct saved_image *i, struct error *e) {
    const struct store *store = &s->worker->store;
    _cleanup_(store_reference_done) struct store_reference r = {};

    if (!i->name || store_reference_get(store, i->name, &r, NULL) < 0 || streq(r.source, r.manifest))
        return 0;
    int k = blob_read(store, r.source, OCI_MANIFEST_MAX, &i->index, &i->n_index, NULL);
    if (k >= 0 && origin_check_index(i->index, i->n_index, r.source, r.manifest, NULL) < 0)
        free(TAKE_PTR(i->index));
    memcpy(i->index_digest, r.source, sizeof(i->index_digest));
    return k == -ENOMEM ? no_memory(e) : 0;
}

static int load_image(struct save *s, const char *text, struct saved_image *i, struct error *e) {
    const struct store *store = &s->worker->store;

    int r = store_image_find(store, text, i->manifest_digest, &i->name, e);
    if (r >= 0)
        r = store_image_load(store, i->manifest_digest, &i->image, e);
    if (r >= 0)
        r = blob_read(store, i->manifest_digest, OCI_MANIFEST_MAX, &i->manifest, &i->n_manifest, e);
    if (r >= 0)
        r = blob_read(store, i->image.manifest.config.digest, OCI_CONFIG_MAX, &i->config, &i->n_config, e);
    if (r >= 0)
        r = load_index(s, i, e);
    /* Who names an image by its ID wants it without a name. */
    if (r >= 0 && startswith(digest_hex(i->image.manifest.config.digest), text))
        free(TAKE_PTR(i->name));
    STRV_FOREACH (id, r >= 0 ? i->image.config.diff_ids : NULL)
        layer_touch(store, *id);
    return r;
}

/* ---- an OCI layout ---- */

static void blob_name(char ret[static DIGEST_TEXT + 16], const char *digest) {
    (void)snprintf(ret, DIGEST_TEXT + 16, "blobs/sha256/%s", digest_hex(digest));
}

static int write_document(struct save *s, const char *digest, const char *text, size_t n, struct error *e) {
    char name[DIGEST_TEXT + 16];

    blob_name(name, digest);
    return write_text(s, name, text, n, e);
}

static int write_oci_image(struct save *s, struct saved_image *i, struct error *e) {
    char name[DIGEST_TEXT + 16];
    int r = 0;

    bool keeps = keeps_manifest(&s->worker->store, &i->image);
    if (!keeps) {
        r = write_document(s, i->manifest_digest, i->manifest, i->n_manifest, e);
        if (r >= 0)
            r = make_manifest(s, i, e);
    }
    if (r >= 0)
        r = write_document(s, i->image.manifest.config.digest, i->config, i->n_config, e);
    if (r >= 0)
        r = write_document(s, i->manifest_digest, i->manifest, i->n_manifest, e);
    if (r >= 0 && i->index)
        r = write_document(s, i->index_digest, i->index, i->n_index, e);
    for (size_t k = 0; k < i->image.manifest.n_layers && r >= 0; k++) {
        const struct oci_descriptor *d = &i->image.manifest.layers[k];
        const char *id = i->image.config.diff_ids[k];

        blob_name(name, keeps ? d->digest : id);
        r = keeps && !streq(d->digest, id) ? write_kept(s, name, d, e) : write_layer(s, name, id, e);
    }
    return r;
}

static json_t *index_entry(const struct saved_image *i) {
    bool other = !streq(i->manifest_digest, i->image.manifest_digest);
    json_t *entry =
        descriptor(i->image.manifest.docker && !other ? DOCKER_MEDIA_MANIFEST : OCI_MEDIA_MANIFEST,
            i->manifest_digest, i->n_manifest);
    json_t *annotations = json_pack("{s:s*, s:s*, s:s*, s:s*}", OCI_ANNOTATION_REF_NAME, i->name,
        OCI_ANNOTATION_IMAGE_NAME, i->name, ORIGIN_MANIFEST, other ? i->image.manifest_digest : NULL,
        ORIGIN_INDEX, i->index ? i->index_digest : NULL);

    if (entry && json_object_size(annotations) > 0)
        (void)json_object_set(entry, "annotations", annotations);
    json_decref(annotations);
    return entry;
}

static int write_oci(struct save *s, struct error *e) {
    static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
    json_t *manifests = json_array();

    int r = write_text(s, "oci-layout", layout, sizeof(layout) - 1, e);
    for (size_t i = 0; i < s->n_images && r >= 0; i++) {
        r = write_oci_image(s, &s->images[i], e);
        (void)json_array_append_new(manifests, index_entry(&s->images[i]));
    }
    json_t *index = json_pack(
        "{s:i, s:s, s:o}", "schemaVersion", 2, "mediaType", OCI_MEDIA_INDEX, "manifests", manifests);
    if (r < 0) {
        json_decref(index);
        return r;
    }
    return write_json(s, "index.json", index, e);
}

/* ---- docker's form ---- */

static int write_docker_image(struct save *s, struct saved_image *i, json_t *all, struct error *e) {
    const char *hex = digest_hex(i->image.manifest.config.digest);
    json_t *layers = json_array(), *tags = json_array();
    char name[DIGEST_TEXT + 16];
    int r;

    (void)snprintf(name, sizeof(name), "%s.json", hex);
    (void)json_array_append_new(
        all, json_pack("{s:s, s:o, s:o}", "Config", name, "RepoTags", tags, "Layers", layers));
    if (i->name && !strchr(i->name, '@'))
        (void)json_array_append_new(tags, json_string(i->name));
    r = write_text(s, name, i->config, i->n_config, e);
    STRV_FOREACH (id, r >= 0 ? i->image.config.diff_ids : NULL) {
        struct layer_info layer;
        if (layer_find(&s->worker->store, *id, &layer, NULL) >= 0 && layer.kind != LAYER_TREE)
            return error_set(e, EOPNOTSUPP,
                "an image of file system images cannot be written in docker's form: take --format=oci");
        (void)snprintf(name, sizeof(name), "%s.tar", digest_hex(*id));
        (void)json_array_append_new(layers, json_string(name));
        r = write_layer(s, name, *id, e);
        if (r < 0)
            break;
    }
    return r;
}

static int write_docker(struct save *s, struct error *e) {
    json_t *all = json_array();
    int r = 0;

    for (size_t i = 0; i < s->n_images && r >= 0; i++)
        r = write_docker_image(s, &s->images[i], all, e);
    if (r < 0) {
        json_decref(all);
        return r;
    }
    return write_json(s, "manifest.json", all, e);
}

int save_prepare(struct worker *w, struct error *e) {
    if (!w->options.output)
        return 0;
    w->output = open(w->options.output, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return w->output < 0 ? error_set_errno(e, errno, "%s", w->options.output) : 0;
}

int save_run(struct worker *w, struct error *e) {
    _cleanup_(save_done) struct save s = {.worker = w, .file = -1, .sink.write = on_write};
    const char *format = w->options.format ? w->options.format : "oci";
    bool docker = streq(format, "docker");
    int r = 0;

    s.sink.userdata = &s;
    if (!docker && !streq(format, "oci"))
        return error_set(e, EINVAL, "--format=%s: expected oci or docker", format);
    s.images = calloc(MAX(w->n_arguments, (size_t)1), sizeof(*s.images));
    if (!s.images)
        return no_memory(e);
    for (; s.n_images < w->n_arguments && r >= 0; s.n_images++)
        r = load_image(&s, w->arguments[s.n_images], &s.images[s.n_images], e);
    if (r >= 0)
        r = docker ? write_docker(&s, e) : write_oci(&s, e);
    if (r < 0)
        return r;
    if (w->output < 0)
        return tar_end(&s.sink, e);
    return syncfs(w->output) < 0 ? error_set_errno(e, errno, "writing to %s", w->options.output) : 0;
}
