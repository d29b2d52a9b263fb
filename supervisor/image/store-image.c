/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whole images: found by name, read, and made visible. */
#include <fcntl.h>
#include <sys/file.h>

#include "base/fs.h"
#include "image/store.h"

#define LOCK_TIMEOUT (60 * USEC_PER_SEC)
#define SHORT_ID_MIN 12

void store_image_done(struct store_image *i) {
    free(i->name);
    oci_manifest_done(&i->manifest);
    oci_config_done(&i->config);
    *i = (struct store_image){};
}

/* ---- finding ---- */

struct references {
    struct store_reference *items;
    size_t n;
};

static void references_done(struct references *l) {
    store_references_free(l->items, l->n);
}

static int take(const struct store_reference *r, char ret_manifest[static DIGEST_TEXT], char **ret_name,
    struct error *e) {
    if (ret_name) {
        char *name = strdup(r->name);
        if (!name)
            return error_set(e, ENOMEM, "out of memory");
        *ret_name = name;
    }
    memcpy(ret_manifest, r->manifest, DIGEST_TEXT);
    return 0;
}

static int find_candidates(const struct store *s, const struct reference *r,
    char ret_manifest[static DIGEST_TEXT], char **ret_name, struct error *e) {
    _cleanup_strv_free_ char **candidates = NULL;

    if (reference_candidates(r, &candidates) < 0)
        return error_set(e, ENOMEM, "out of memory");
    STRV_FOREACH (name, candidates) {
        _cleanup_(store_reference_done) struct store_reference found = {};
        int k = store_reference_get(s, *name, &found, e);
        if (k >= 0)
            return take(&found, ret_manifest, ret_name, e);
        if (k != -ENOENT)
            return k;
    }
    return -ENOENT;
}

/* A short name whose registry nobody wrote: the only stored one that ends in it. */
static int find_by_end(const struct store *s, const struct reference *r,
    char ret_manifest[static DIGEST_TEXT], char **ret_name, struct error *e) {
    _cleanup_(references_done) struct references l = {};
    _cleanup_free_ char *end = reference_format(r, "");
    const struct store_reference *found = NULL;

    if (!end)
        return error_set(e, ENOMEM, "out of memory");
    int k = store_reference_list(s, &l.items, &l.n, e);
    if (k < 0)
        return k;
    for (size_t i = 0; i < l.n; i++) {
        if (!endswith(l.items[i].name, end))
            continue;
        if (found)
            return error_set(e, EEXIST, "\"%s\" is %s as well as %s: write it in full", end + 1, found->name,
                l.items[i].name);
        found = &l.items[i];
    }
    return found ? take(found, ret_manifest, ret_name, e) : -ENOENT;
}

/* A digest says all: whatever name it came under is as good. */
static int find_by_digest(const struct store *s, const char *digest, char ret_manifest[static DIGEST_TEXT],
    char **ret_name, struct error *e) {
    _cleanup_(references_done) struct references l = {};

    int k = store_reference_list(s, &l.items, &l.n, e);
    for (size_t i = 0; k >= 0 && i < l.n; i++)
        if (streq(l.items[i].manifest, digest) || streq(l.items[i].source, digest))
            return take(&l.items[i], ret_manifest, ret_name, e);
    return k < 0 ? k : -ENOENT;
}

/* By the digest of its configuration, which tools call the image's ID, or the beginning of it; or by the
 * digest of a manifest that a name leads to. */
static int find_by_id(const struct store *s, const char *id, char ret_manifest[static DIGEST_TEXT],
    char **ret_name, struct error *e) {
    _cleanup_(references_done) struct references l = {};
    const struct store_reference *found = NULL;
    char config[DIGEST_TEXT] = "";

    int k = store_reference_list(s, &l.items, &l.n, e);
    if (k < 0)
        return k;
    for (size_t i = 0; i < l.n; i++) {
        _cleanup_(store_image_done) struct store_image image = {};
        if (store_image_load(s, l.items[i].manifest, &image, NULL) < 0)
            continue;
        const char *digest = image.manifest.config.digest;
        if (!startswith(digest_hex(digest), id) && !startswith(digest_hex(l.items[i].manifest), id))
            continue;
        if (found && !streq(digest, config))
            return error_set(
                e, EEXIST, "several images begin with %s: %s and %s", id, found->name, l.items[i].name);
        memcpy(config, digest, sizeof(config));
        found = found ? found : &l.items[i];
    }
    return found ? take(found, ret_manifest, ret_name, e) : -ENOENT;
}

/* The whole digest of a manifest that no name leads to: a unit may still run it. */
static int find_nameless(
    const struct store *s, const char *digest, char ret_manifest[static DIGEST_TEXT], char **ret_name) {
    _cleanup_(store_image_done) struct store_image image = {};

    if (!digest_is_valid(digest) || store_image_load(s, digest, &image, NULL) < 0)
        return -ENOENT;
    if (ret_name)
        *ret_name = NULL;
    memcpy(ret_manifest, digest, DIGEST_TEXT);
    return 0;
}

static bool is_id(const char *text) {
    size_t n = strspn(text, "0123456789abcdef");
    return n >= SHORT_ID_MIN && n <= DIGEST_HEX && text[n] == '\0';
}

int store_image_find(const struct store *s, const char *text, char ret_manifest[static DIGEST_TEXT],
    char **ret_name, struct error *e) {
    _cleanup_(reference_done) struct reference r = {};
    const char *hex = startswith(text, DIGEST_PREFIX);
    int k;

    if (hex && is_id(hex)) {
        k = find_by_id(s, hex, ret_manifest, ret_name, e);
        if (k == -ENOENT)
            k = find_nameless(s, text, ret_manifest, ret_name);
    } else {
        k = reference_parse(text, &r, e);
        if (k < 0)
            return k;
        k = find_candidates(s, &r, ret_manifest, ret_name, e);
        if (k == -ENOENT && r.digest)
            k = find_by_digest(s, r.digest, ret_manifest, ret_name, e);
        else if (k == -ENOENT && !r.registry)
            k = find_by_end(s, &r, ret_manifest, ret_name, e);
        if (k == -ENOENT && is_id(text))
            k = find_by_id(s, text, ret_manifest, ret_name, e);
    }
    return k == -ENOENT ? error_set(e, ENOENT, "there is no image \"%s\" in %s", text, s->path) : k;
}

/* ---- reading ---- */

int store_image_load(
    const struct store *s, const char *manifest_digest, struct store_image *ret, struct error *e) {
    _cleanup_(store_image_done) struct store_image i = {};
    _cleanup_free_ char *manifest = NULL, *config = NULL;
    size_t n, n_config;

    int r = blob_read(s, manifest_digest, OCI_MANIFEST_MAX, &manifest, &n, e);
    if (r >= 0)
        r = oci_manifest_parse(manifest, n, manifest_digest, &i.manifest, e);
    if (r >= 0)
        r = blob_read(s, i.manifest.config.digest, OCI_CONFIG_MAX, &config, &n_config, e);
    if (r >= 0)
        r = oci_config_parse(config, n_config, i.manifest.config.digest, &i.config, e);
    if (r >= 0)
        r = oci_check_pair(&i.manifest, &i.config, e);
    if (r < 0)
        return r;
    memcpy(i.manifest_digest, manifest_digest, DIGEST_TEXT);
    i.manifest_size = n;
    *ret = i;
    i = (struct store_image){};
    return 0;
}

/* ---- making visible ---- */

/* A part that was collected between its look-up and now; -ESTALE tells the caller to get it again. */
static int check_parts(
    const struct store *s, const char *manifest_digest, uint64_t *ret_size, struct error *e) {
    _cleanup_(store_image_done) struct store_image i = {};

    int r = store_image_load(s, manifest_digest, &i, e);
    if (r == -ENOENT)
        return error_set(e, ESTALE, "a document of image %s has gone from %s", manifest_digest, s->path);
    if (r < 0)
        return r;
    STRV_FOREACH (id, i.config.diff_ids) {
        r = layer_find(s, *id, NULL, e);
        if (r == -ENOENT)
            return error_set(e, ESTALE, "layer %s has gone from %s", *id, s->path);
        if (r < 0)
            return r;
    }
    *ret_size = i.manifest_size;
    return 0;
}

/* What an image needs may have been put there by a process that has not come to its own sync yet. */
static int sync_parts(const struct store *s, struct error *e) {
    static const char *const parts[] = {"layers", "blobs/sha256"};

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        _cleanup_close_ int fd = openat(s->fd, parts[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
            return error_set_errno(e, errno, "syncing %s/%s", s->path, parts[i]);
    }
    return 0;
}

/* NAME@DIGEST is what it says, whatever an archive or a person would like it to be. */
static int check_name(const char *name, const char *manifest_digest, const char *source, struct error *e) {
    const char *digest = strchr(name, '@');

    if (!digest || streq(digest + 1, manifest_digest) || streq_ptr(digest + 1, source))
        return 0;
    return error_set(e, EBADMSG, "%s is not the name of %s", name, source ?: manifest_digest);
}

int store_image_commit(const struct store *s, const char *manifest_digest, char *const *names,
    const char *source, struct error *e) {
    struct store_reference reference = {};

    STRV_FOREACH (name, names) {
        int r = check_name(*name, manifest_digest, source, e);
        if (r < 0)
            return r;
    }
    _cleanup_close_ int lock = store_lock(s, LOCK_SH, LOCK_TIMEOUT, e);
    if (lock < 0)
        return lock;
    int r = check_parts(s, manifest_digest, &reference.manifest_size, e);
    if (r >= 0)
        r = sync_parts(s, e);
    if (r < 0)
        return r;
    memcpy(reference.manifest, manifest_digest, DIGEST_TEXT);
    if (digest_is_valid(source))
        memcpy(reference.source, source, DIGEST_TEXT);
    STRV_FOREACH (name, names) {
        reference.name = *name;
        r = store_reference_set(s, &reference, e);
        if (r < 0)
            return r;
    }
    return 0;
}
