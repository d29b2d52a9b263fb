/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One image from one place: manifest, configuration, the layers that are not there yet, and then its name. */
#include <fcntl.h>
#include <sys/file.h>

#include "image/blob.h"
#include "worker/pull-internal.h"
#include "worker/settle.h"
#include "worker/unpack-many.h"

#define LOCK_POLL (200 * USEC_PER_MSEC)
#define COMMIT_TRIES 2

/* ---- one at a time ---- */

static void lock_name(const char *name, char ret[static WORK_NAME]) {
    char digest[DIGEST_TEXT];

    hash_data(name, strlen(name), digest);
    (void)snprintf(ret, WORK_NAME, "work/pull-%.48s", digest_hex(digest));
}

/* -EBUSY: another process has it, or has just removed the file that we opened. */
static int try_lock(const struct store *s, const char *path) {
    struct stat opened, named;
    _cleanup_close_ int fd = openat(s->fd, path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return negative_errno();
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : negative_errno();
    if (fstat(fd, &opened) < 0 || fstatat(s->fd, path, &named, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? -EBUSY : negative_errno();
    return opened.st_ino == named.st_ino ? TAKE_FD(fd) : -EBUSY;
}

int pull_lock(
    const struct store *s, const char *name, const struct pull_reporter *reporter, struct error *e) {
    char path[WORK_NAME];
    bool told = false;
    int fd;

    lock_name(name, path);
    while ((fd = try_lock(s, path)) == -EBUSY) {
        if (!told && reporter->note)
            reporter->note(reporter->userdata, "waiting for another process that fetches the same image");
        told = true;
        (void)usleep((useconds_t)LOCK_POLL);
    }
    return fd < 0 ? error_set_errno(e, fd, "%s/%s", s->path, path) : fd;
}

void pull_unlock(const struct store *s, const char *name, int lock) {
    char path[WORK_NAME];

    if (lock < 0)
        return;
    lock_name(name, path);
    (void)unlinkat(s->fd, path, 0);
}

/* ---- the manifest ---- */

static int check_kind(const struct registry_document *d, enum oci_kind *ret, struct error *e) {
    if (d->media_type && strstr(d->media_type, "distribution.manifest.v1"))
        return error_set(e, EOPNOTSUPP, "the manifest is of Docker's old schema 1; push the image again");
    return oci_kind_of(d->text, d->size, "manifest", ret, e);
}

/* From an index to the manifest that is wanted. The index stays, since its digest is a name of the image
 * (origin.h). */
static int follow_index(struct pull_image *i, struct registry_document *d, struct error *e) {
    _cleanup_(oci_index_done) struct oci_index index = {0};
    const struct oci_descriptor *chosen;
    struct registry_document manifest;
    enum oci_kind kind = OCI_MANIFEST;
    int r = oci_index_parse(d->text, d->size, "index", &index, e);

    if (r >= 0)
        r = platform_choose(&index, &i->options->platform, &chosen, e);
    if (r >= 0)
        r = blob_put(i->store, d->text, d->size, d->digest, e);
    if (r >= 0)
        r = registry_manifest(i->registry, chosen->digest, &manifest, e);
    if (r < 0)
        return r;
    registry_document_done(d);
    *d = manifest;
    if (d->size != chosen->size)
        return error_set(e, EBADMSG, "the index announces a manifest of %llu bytes, it has %zu",
            (unsigned long long)chosen->size, d->size);
    r = check_kind(d, &kind, e);
    return r < 0 || kind == OCI_MANIFEST ? r : error_set(e, ELOOP, "the index leads to another index");
}

/* What may be a layer. Foreign ones ("nondistributable") would have to be fetched from wherever their urls
 * say: a manifest must not send us there. */
static int check_layer(const struct oci_descriptor *l, struct error *e) {
    static const char *const known[] = {OCI_MEDIA_LAYER, OCI_MEDIA_LAYER_GZIP, OCI_MEDIA_LAYER_ZSTD,
        DOCKER_MEDIA_LAYER_GZIP, "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.zstd", DAVIT_MEDIA_LAYER_SQUASHFS,
        DAVIT_MEDIA_LAYER_EROFS};

    for (size_t k = 0; k < ARRAY_SIZE(known); k++)
        if (streq(l->media_type, known[k]))
            return 0;
    if (strstr(l->media_type, "nondistributable") || strstr(l->media_type, "foreign"))
        return error_set(e, EOPNOTSUPP, "layer %s is kept elsewhere (%s), which is not followed", l->digest,
            l->media_type);
    return error_set(e, EOPNOTSUPP, "layer %s is of a type that davit does not know", l->digest);
}

static int parse_manifest(
    const struct registry_document *d, struct oci_manifest *ret, uint64_t *ret_total, struct error *e) {
    _cleanup_(oci_manifest_done) struct oci_manifest m = {0};
    uint64_t total = 0;
    int r = oci_manifest_parse(d->text, d->size, "manifest", &m, e);

    for (size_t k = 0; k < m.n_layers && r >= 0; k++) {
        r = check_layer(&m.layers[k], e);
        if (r >= 0 && __builtin_add_overflow(total, m.layers[k].size, &total))
            r = error_set(e, EFBIG, "the manifest's layers are larger than any disk");
    }
    if (r >= 0 && m.config.size > OCI_CONFIG_MAX)
        r = error_set(e, EFBIG, "the configuration is larger than %u bytes", OCI_CONFIG_MAX);
    if (r < 0)
        return r;
    *ret = m;
    m = (struct oci_manifest){0};
    *ret_total = total;
    return 0;
}

/* ---- the configuration ---- */

static int fetch_config(
    struct pull_image *i, const struct oci_manifest *m, struct oci_config *ret, struct error *e) {
    const struct oci_descriptor *wanted[] = {&m->config};
    const struct fetch_progress silent = {0};
    _cleanup_free_ char *text = NULL;
    size_t n;
    int r = fetch_blobs(i->registry, i->store, wanted, 1, 1, &silent, NULL, e);

    if (r >= 0)
        r = blob_read(i->store, m->config.digest, OCI_CONFIG_MAX, &text, &n, e);
    if (r >= 0)
        r = oci_config_parse(text, n, "configuration", ret, e);
    return r < 0 ? r : oci_check_pair(m, ret, e);
}

/* A single manifest is for whatever it is for: nobody could choose. */
static int check_platform(struct pull_image *i, const struct oci_config *c, struct error *e) {
    const struct platform *wanted = &i->options->platform;
    const char *os = c->os ? c->os : "?", *architecture = c->architecture ? c->architecture : "?";
    char text[256];

    if (streq(os, wanted->os) && streq(architecture, wanted->architecture))
        return 0;
    (void)snprintf(text, sizeof(text), "%.100s is for %.32s/%.32s, not for %.32s/%.32s", i->name, os,
        architecture, wanted->os, wanted->architecture);
    if (i->options->platform_written)
        return error_set(e, ENOENT, "%s", text);
    if (i->reporter->note)
        i->reporter->note(i->reporter->userdata, text);
    return 0;
}

/* ---- layers ---- */

/* Each is unpacked as soon as its blob is there, while others are still on their way. */
struct layers {
    const struct store *store;
    const struct oci_manifest *manifest;
    const struct oci_config *config;
    const struct oci_descriptor **wanted;
    char **wanted_ids; /* their diffIDs, borrowed */
    size_t n_wanted;
    int *archives; /* of what has arrived */
    struct unpacked *unpacked;
    struct crew *crew;
};

static void layers_done(struct layers *l) {
    for (size_t i = 0; i < l->n_wanted && l->archives; i++)
        closep(&l->archives[i]);
    free(l->archives);
    free(l->unpacked);
    free(l->wanted_ids);
    free(l->wanted);
}

static bool is_repeated(char *const *diff_ids, size_t k) {
    for (size_t j = 0; j < k; j++)
        if (streq(diff_ids[j], diff_ids[k]))
            return true;
    return false;
}

/* What is kept besides layers. An archive that is not compressed comes out of its layer again. */
static bool lacks_archive(const struct pull_image *i, const struct oci_descriptor *d, const char *diff_id) {
    return i->options->keep_archives && !streq(d->digest, diff_id) && blob_touch(i->store, d->digest) < 0;
}

/* One archive cannot unpack to two layers, and who waits for it twice would wait for himself. */
static bool is_wanted(const struct layers *l, const char *digest) {
    for (size_t k = 0; k < l->n_wanted; k++)
        if (streq(l->wanted[k]->digest, digest))
            return true;
    return false;
}

static int find_missing(struct pull_image *i, struct layers *l, struct error *e) {
    size_t n = l->manifest->n_layers;

    l->wanted_ids = calloc(n + 1, sizeof(*l->wanted_ids));
    l->wanted = calloc(n + 1, sizeof(*l->wanted));
    l->unpacked = calloc(n + 1, sizeof(*l->unpacked));
    l->archives = calloc(n + 1, sizeof(*l->archives));
    if (!l->wanted_ids || !l->wanted || !l->unpacked || !l->archives)
        return error_set_errno(e, ENOMEM, "%s", i->name);
    for (size_t k = 0; k < n; k++) {
        char *diff_id = l->config->diff_ids[k];

        if (is_repeated(l->config->diff_ids, k))
            continue;
        layer_touch(i->store, diff_id); /* first: gc may be about to take it */
        if (layer_find(i->store, diff_id, NULL, NULL) >= 0 &&
            !lacks_archive(i, &l->manifest->layers[k], diff_id))
            continue;
        if (is_wanted(l, l->manifest->layers[k].digest))
            return error_set(e, EBADMSG, "layer %s is there twice, and should unpack to different layers",
                l->manifest->layers[k].digest);
        l->archives[l->n_wanted] = -1;
        l->wanted_ids[l->n_wanted] = diff_id;
        l->wanted[l->n_wanted++] = &l->manifest->layers[k];
    }
    return 0;
}

/* An archive, for as long as anybody wants what is in it. */
struct blob_source {
    struct file_source file;
    const struct layers *layers;
    struct layer_source source;
};

static ssize_t read_blob(void *userdata, const void **ret_data, struct error *e) {
    struct blob_source *b = userdata;

    if (crew_stops(b->layers->crew))
        return error_set(e, ECANCELED, "another layer has failed");
    return b->file.source.read(b->file.source.userdata, ret_data, e);
}

static int unpack_layer(void *userdata, size_t i, struct unpacked *ret, struct error *e) {
    const struct layers *l = userdata;
    const struct oci_descriptor *d = l->wanted[i];
    const struct unpack_expected expected = {
        .blob = d->digest, .diff_id = l->wanted_ids[i], .blob_size = d->size, .media_type = d->media_type};
    struct blob_source b = {.layers = l, .source = {read_blob, &b}};

    file_source_init(&b.file, l->archives[i], 0, d->size);
    int r = layer_unpack(l->store, &b.source, &expected, NULL, NULL, ret, e);
    return r < 0 ? error_prefix(e, r, "layer %s", d->digest) : 0;
}

static void on_arrived(void *userdata, size_t i, int fd) {
    const struct layers *l = userdata;

    l->archives[i] = fd;
    crew_add(l->crew, i);
}

static bool is_unwanted(void *userdata) {
    const struct layers *l = userdata;

    return crew_stops(l->crew);
}

/* Unpacked, a layer is of no use as an archive any more, unless the image is to go out as it came in. */
static int end_archives(const struct layers *l, bool keep, struct error *e) {
    int r = 0;

    for (size_t k = 0; k < l->n_wanted && r >= 0; k++) {
        if (keep && !streq(l->wanted[k]->digest, l->wanted_ids[k]))
            r = blob_keep(l->store, l->wanted[k]->digest, l->archives[k], e);
        else
            blob_discard(l->store, l->wanted[k]->digest, l->archives[k]);
    }
    return r;
}

/* What fetching came to, r, is an error of its own unless it was ended because a layer could not be unpacked.
 * After a failure no layer gets its place; the blobs that have come are there for the next try. */
static int end_layers(struct layers *l, bool keep, int r, struct error *e) {
    struct error failure = {};
    size_t n;

    int unpacked = crew_end(l->crew, r < 0, l->unpacked, &n, &failure);
    if (unpacked < 0 && (r >= 0 || r == -ECANCELED)) {
        r = unpacked;
        *e = failure;
    }
    if (r >= 0)
        r = unpacked_commit(l->store, l->config->diff_ids, l->unpacked, n, e);
    else
        for (size_t k = 0; k < n; k++)
            unpacked_abort(&l->unpacked[k]);
    return r < 0 ? r : end_archives(l, keep, e);
}

static int fetch_layers(struct pull_image *i, const struct oci_manifest *m, const struct oci_config *c,
    const struct fetch_progress *progress, struct error *e) {
    _cleanup_(layers_done) struct layers l = {.store = i->store, .manifest = m, .config = c};
    bool keep = i->options->keep_archives;
    const struct fetch_receiver receiver = {on_arrived, !keep, is_unwanted, &l};
    int r = find_missing(i, &l, e);

    if (r >= 0)
        r = crew_start(l.n_wanted, unpack_layer, &l, &l.crew, e);
    if (r < 0)
        return r;
    r = fetch_blobs(i->registry, i->store, l.wanted, l.n_wanted, i->parallel, progress, &receiver, e);
    return end_layers(&l, keep, r, e);
}

/* ---- the whole ---- */

static bool is_here(const struct pull_image *i, const char *digest, char ret_manifest[static DIGEST_TEXT]) {
    _cleanup_(store_image_done) struct store_image image = {0};
    _cleanup_(store_reference_done) struct store_reference r = {0};
    const struct platform *wanted = &i->options->platform;

    if (store_reference_get(i->store, i->name, &r, NULL) < 0 ||
        (!streq(r.source, digest) && !streq(r.manifest, digest)) ||
        store_image_load(i->store, r.manifest, &image, NULL) < 0)
        return false;
    /* The index is the same, but another of its manifests may be wanted now. */
    if (i->options->platform_written && (!streq_ptr(image.config.os, wanted->os) ||
                                            !streq_ptr(image.config.architecture, wanted->architecture)))
        return false;
    for (size_t k = 0; k < image.manifest.n_layers; k++) {
        const char *id = image.config.diff_ids[k];
        if (layer_find(i->store, id, NULL, NULL) < 0 || lacks_archive(i, &image.manifest.layers[k], id))
            return false;
    }
    memcpy(ret_manifest, r.manifest, DIGEST_TEXT);
    return true;
}

static int fetch(struct pull_image *i, const struct registry_document *d, const char *source,
    const struct fetch_progress *progress, struct error *e) {
    _cleanup_(oci_manifest_done) struct oci_manifest m = {0};
    _cleanup_(oci_config_done) struct oci_config c = {0};
    char *names[] = {(char *)(uintptr_t)i->name, NULL}, digest[DIGEST_TEXT];
    uint64_t total;
    int r = parse_manifest(d, &m, &total, e);

    if (r >= 0)
        r = fetch_config(i, &m, &c, e);
    if (r >= 0)
        r = check_platform(i, &c, e);
    if (r >= 0)
        r = store_check_space(i->store, total, e);
    if (r < 0)
        return r;
    for (unsigned tries = 0; tries < COMMIT_TRIES; tries++) {
        r = fetch_layers(i, &m, &c, progress, e);
        if (r >= 0)
            r = blob_put(i->store, d->text, d->size, digest, e);
        if (r >= 0)
            r = settle_and_commit(i->store, digest, names, source, e);
        if (r != -ESTALE) /* a layer that was there has been collected meanwhile */
            break;
    }
    return r;
}

int pull_image(
    struct pull_image *i, const struct fetch_progress *progress, struct pull_result *ret, struct error *e) {
    _cleanup_(registry_document_done) struct registry_document d = {0};
    char source[DIGEST_TEXT];
    enum oci_kind kind = OCI_MANIFEST;
    int r = registry_manifest(i->registry, i->reference, &d, e);

    if (r >= 0)
        r = check_kind(&d, &kind, e);
    if (r < 0)
        return r;
    memcpy(source, d.digest, sizeof(source));
    if (is_here(i, source, ret->manifest)) {
        ret->fetched = false;
        r = settle_image(i->store, ret->manifest, e); /* a layer may have come back with another image */
        if (r < 0)
            return r;
    } else {
        if (kind == OCI_INDEX)
            r = follow_index(i, &d, e);
        if (r >= 0)
            r = fetch(i, &d, source, progress, e);
        if (r < 0)
            return r;
        memcpy(ret->manifest, d.digest, sizeof(ret->manifest));
        ret->fetched = true;
    }
    return free_and_strdup(&ret->name, i->name) < 0 ? error_set_errno(e, ENOMEM, "%s", i->name) : 0;
}
