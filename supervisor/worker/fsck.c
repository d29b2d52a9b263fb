/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-image fsck: every reference, document and layer of the store.
 *
 * Documents, kept layer blobs and file system images are read whole and compared with their digests. A
 * layer's tree is walked: number of files and of bytes are those that were counted when it was unpacked.
 * (What is in the files is not compared with anything: the archive they came in is gone.)
 *
 * --repair moves what is damaged out of the store, and takes away references that cannot be read, so that
 * pulling or importing the image again brings the missing parts; which images that concerns is said either
 * way.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>

#include "base/fs.h"
#include "base/hashmap.h"
#include "image/hash.h"
#include "worker/listing.h"
#include "worker/unpack-internal.h"
#include "worker/worker.h"

#define LOCK_TIMEOUT (60 * USEC_PER_SEC)

struct fsck {
    struct worker *worker;
    const struct store *store;
    struct hashmap *damaged; /* digests of blobs and layers: key = value */
    unsigned problems;
    bool repair;
};

static int note_damage(struct fsck *f, const char *digest, struct error *e) {
    f->problems++;
    if (hashmap_get(f->damaged, digest))
        return 0;
    char *copy = strdup(digest);
    if (!copy || hashmap_put(f->damaged, copy, copy) < 0) {
        free(copy);
        return error_set(e, ENOMEM, "out of memory");
    }
    return 0;
}

/* Into nothing: it is damaged, and whoever needs it must not find it. */
static int take_out(struct fsck *f, const char *path, struct error *e) {
    if (!f->repair)
        return 0;
    int r = remove_tree(f->store->fd, path);
    return r < 0 ? error_set_errno(e, r, "removing %s/%s", f->store->path, path) : 0;
}

/* ---- blobs ---- */

static int digest_of(int fd, char ret[static DIGEST_TEXT]) {
    _cleanup_free_ char *buffer = malloc(STREAM_BLOCK);
    struct hash h;
    ssize_t n;

    if (!buffer)
        return -ENOMEM;
    hash_init(&h);
    while ((n = read(fd, buffer, STREAM_BLOCK)) > 0)
        hash_update(&h, buffer, (size_t)n);
    hash_digest(&h, ret);
    return n < 0 ? negative_errno() : 0;
}

static int check_blob(struct fsck *f, const char *name, struct error *e) {
    char digest[DIGEST_TEXT], actual[DIGEST_TEXT] = "";
    _cleanup_free_ char *path = strf("blobs/sha256/%s", name);

    if (!path)
        return error_set(e, ENOMEM, "out of memory");
    if (!digest_from_hex(name, digest)) {
        worker_note(f->worker, "%s is no blob", path);
        f->problems++;
        return take_out(f, path, e);
    }
    _cleanup_close_ int fd = blob_open(f->store, digest, NULL, NULL);
    int r = fd < 0 ? fd : digest_of(fd, actual);
    if (r >= 0 && streq(actual, digest))
        return 0;
    worker_note(
        f->worker, "blob %s is damaged: %s", digest, r < 0 ? errno_text(r) : "its content is another");
    r = note_damage(f, digest, e);
    return r < 0 ? r : take_out(f, path, e);
}

/* ---- layers ---- */

static int check_tree(struct fsck *f, const char *path, const struct layer_info *info, struct error *e) {
    uint64_t files = 0, bytes = 0;

    _cleanup_close_ int root = open_beneath(f->store->fd, path, O_RDONLY | O_DIRECTORY);
    int r = root < 0 ? error_set_errno(e, root, "%s", path) : tree_count(root, &files, &bytes, e);
    if (r < 0)
        return r;
    if (files != info->entries || bytes != info->size)
        return error_set(e, EBADMSG,
            "%" PRIu64 " files with %" PRIu64 " bytes are there, not %" PRIu64 " with %" PRIu64, files, bytes,
            info->entries, info->size);
    return 0;
}

static int check_filesystem(
    struct fsck *f, const char *path, const struct layer_info *info, struct error *e) {
    char actual[DIGEST_TEXT];

    _cleanup_close_ int fd = open_beneath(f->store->fd, path, O_RDONLY);
    int r = fd < 0 ? fd : digest_of(fd, actual);
    if (r < 0)
        return error_set_errno(e, r, "%s", path);
    return streq(actual, info->diff_id) ? 0 : error_set(e, EBADMSG, "its content is another");
}

static int check_content(struct fsck *f, const char *digest, struct error *e) {
    struct layer_info info;

    int r = layer_find(f->store, digest, &info, e);
    if (r < 0)
        return r;
    _cleanup_free_ char *path = layer_path(f->store, digest, info.kind);
    if (!path)
        return error_set(e, ENOMEM, "out of memory");
    const char *below = path + strlen(f->store->path) + 1;
    return info.kind == LAYER_TREE ? check_tree(f, below, &info, e) : check_filesystem(f, below, &info, e);
}

static int check_layer(struct fsck *f, const char *name, struct error *e) {
    _cleanup_free_ char *path = strf("layers/%s", name);
    char digest[DIGEST_TEXT];
    struct error problem = {};

    if (!path)
        return error_set(e, ENOMEM, "out of memory");
    if (!digest_from_hex(name, digest)) {
        worker_note(f->worker, "%s is no layer", path);
        f->problems++;
        return take_out(f, path, e);
    }
    int r = check_content(f, digest, &problem);
    if (r == -ENOMEM)
        return error_set(e, ENOMEM, "out of memory");
    if (r >= 0)
        return 0;
    worker_note(f->worker, "layer %s is damaged: %s", digest, problem.text);
    r = note_damage(f, digest, e);
    return r < 0 ? r : take_out(f, path, e);
}

/* ---- images ---- */

/* The first thing that is missing of an image, or NULL. */
static const char *missing_part(struct fsck *f, const char *manifest, struct error *why) {
    _cleanup_(store_image_done) struct store_image i = {};

    if (hashmap_get(f->damaged, manifest))
        return "its manifest is damaged";
    if (store_image_load(f->store, manifest, &i, why) < 0)
        return why->text;
    if (hashmap_get(f->damaged, i.manifest.config.digest))
        return "its configuration is damaged";
    STRV_FOREACH (id, i.config.diff_ids)
        if (hashmap_get(f->damaged, *id) || layer_find(f->store, *id, NULL, why) < 0)
            return "a layer is damaged or missing";
    return NULL;
}

static int check_reference(struct fsck *f, const char *file, struct error *e) {
    _cleanup_free_ char *path = strf("references/%s", file), *name = strdup(file);
    _cleanup_(store_reference_done) struct store_reference r = {};
    struct error why = {};

    if (!path || !name)
        return error_set(e, ENOMEM, "out of memory");
    if (*file == '~')
        return 0;
    for (char *p = name; *p; p++)
        if (*p == '+')
            *p = '/';
    if (store_reference_get(f->store, name, &r, &why) < 0) {
        worker_note(f->worker, "image %s cannot be read: %s", name, why.text);
        f->problems++;
        return take_out(f, path, e);
    }
    const char *missing = missing_part(f, r.manifest, &why);
    if (!missing)
        return 0;
    f->problems++;
    worker_event(f->worker, json_pack("{s:s, s:s, s:s}", "event", "lost", "name", name, "why", missing));
    worker_note(f->worker, "image %s is not whole: %s; pull or import it again", name, missing);
    /* Documents that cannot be read would keep gc from removing anything. */
    return streq(missing, "a layer is damaged or missing") ? 0 : take_out(f, path, e);
}

/* ---- the command ---- */

static int each(struct fsck *f, const char *directory,
    int (*check)(struct fsck *f, const char *name, struct error *e), struct error *e) {
    _cleanup_strv_free_ char **names = NULL;

    int r = names_list(f->store->fd, directory, &names, e);
    STRV_FOREACH (name, names) {
        if (r >= 0)
            r = check(f, *name, e);
    }
    return r;
}

int fsck_run(struct worker *w, struct error *e) {
    struct fsck f = {.worker = w, .store = &w->store, .damaged = hashmap_new(), .repair = w->options.repair};
    char *key;

    if (!f.damaged)
        return error_set(e, ENOMEM, "out of memory");
    /* Nothing is added or collected meanwhile. */
    _cleanup_close_ int lock = store_lock(&w->store, LOCK_EX, LOCK_TIMEOUT, e);
    int r = lock < 0 ? lock : each(&f, "blobs/sha256", check_blob, e);
    if (r >= 0)
        r = each(&f, "layers", check_layer, e);
    if (r >= 0)
        r = each(&f, "references", check_reference, e);
    HASHMAP_FOREACH (key, f.damaged)
        free(hashmap_remove(f.damaged, key));
    hashmap_free(f.damaged);
    if (r >= 0 && f.problems > 0)
        return error_set(e, EBADMSG, "%u problem%s found%s", f.problems, f.problems == 1 ? "" : "s",
            f.repair ? "; what was damaged is removed" : "");
    return r;
}
