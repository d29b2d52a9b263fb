/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "base/fs.h"
#include "base/hashmap.h"
#include "worker/attributes.h"
#include "worker/seal.h"
#include "worker/settle.h"
#include "worker/unpack-internal.h"

#define LOCK_TIMEOUT (60 * USEC_PER_SEC)

/* ---- which directories ---- */

/* Whether the image shows this layer's directory, and another one should be seen. 1 or 0. */
static int is_wrong(const struct settle *s, size_t layer, const char *path, struct error *e) {
    _cleanup_close_ int shown = -1;

    (void)settle_look(s, layer, path, &shown);
    if (shown < 0)
        return 0; /* something else has taken its place */
    for (size_t i = layer + 1; i < s->n; i++) {
        _cleanup_close_ int above = -1;
        if (settle_look(s, i, path, &above) != VIEW_NOTHING)
            return 0;
    }
    _cleanup_close_ int right = settle_source(s, s->n, path);
    int r = attributes_equal(right, shown, e);
    return r < 0 ? error_prefix(e, r, "directory %s", path) : r == 0;
}

/* A set of paths, each its own key. */
static int add_path(struct hashmap *paths, const char *path, size_t n, struct error *e) {
    char *copy = strndup(path, n);
    int r = !copy ? -ENOMEM : hashmap_put(paths, copy, copy);

    if (r < 0)
        free(copy);
    return r < 0 && r != -EEXIST ? error_set(e, ENOMEM, "out of memory") : 0;
}

/* With all that it is in: those have to be there, too. */
static int add_way(struct hashmap *paths, const char *path, struct error *e) {
    int r = add_path(paths, "", 0, e);

    for (size_t n = 0; r >= 0 && path[n]; n++) {
        n += strcspn(path + n, "/");
        r = add_path(paths, path, n, e);
        if (path[n] == '\0')
            break;
    }
    return r;
}

static int collect_wrong(const struct settle *s, struct hashmap *paths, struct error *e) {
    for (size_t layer = 0; layer < s->n; layer++) {
        const struct implicit *l = &s->layers[layer].implicit;
        for (const char *path = NULL; (path = implicit_next(l, path));) {
            int r = is_wrong(s, layer, path, e);
            if (r > 0)
                r = add_way(paths, path, e);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* In the order in which they can be made; NULL if all are right. */
static int find_wrong(const struct settle *s, char ***ret, struct error *e) {
    _cleanup_(hashmap_freep) struct hashmap *paths = hashmap_new();
    char *path, **list = NULL;
    size_t n = 0;

    int r = paths ? collect_wrong(s, paths, e) : error_set(e, ENOMEM, "out of memory");
    if (r >= 0 && hashmap_size(paths) > 0 && !(list = calloc(hashmap_size(paths) + 1, sizeof(*list))))
        r = error_set(e, ENOMEM, "out of memory");
    HASHMAP_FOREACH (path, paths) {
        (void)hashmap_remove(paths, path);
        if (list)
            list[n++] = path;
        else
            free(path);
    }
    strv_sort(list);
    *ret = list;
    return r;
}

/* ---- making it ---- */

static int fill_tree(const struct settle *s, int tree, char *const *paths, struct error *e) {
    STRV_FOREACH (path, paths)
        if (**path && mkdirat(tree, *path, 0700) < 0)
            return error_set_errno(e, errno, "directory %s", *path);
    /* Afterwards: a default ACL would have been inherited, and times would have changed. */
    STRV_FOREACH (path, paths) {
        _cleanup_close_ int to = open_beneath(tree, *path, O_RDONLY | O_DIRECTORY);
        _cleanup_close_ int from = settle_source(s, s->n, *path);
        static const struct timespec never[2];
        int r = to < 0 ? error_set_errno(e, to, "opening it") : attributes_copy(from, to, e);

        /* Nobody says when it was made: always the same, so that it is known again. */
        if (r >= 0 && from == ATTRIBUTES_DEFAULT && futimens(to, never) < 0)
            r = error_set_errno(e, errno, "time");
        if (r < 0)
            return error_prefix(e, r, "directory %s", *path);
    }
    return 0;
}

static int fill_layer(
    struct layer_writer *w, const struct settle *s, const char *digest, char *const *paths, struct error *e) {
    struct layer_info info = {.kind = LAYER_TREE};
    struct seal seal = {};

    int r = fill_tree(s, w->tree_fd, paths, e);
    if (r >= 0)
        r = seal_write(w->directory_fd, w->tree_fd, false, &seal, e);
    if (r < 0)
        return r;
    memcpy(info.diff_id, digest, sizeof(info.diff_id));
    memcpy(info.seal, seal.digest, sizeof(info.seal));
    info.entries = seal.names;
    return layer_finish(w, &info, e);
}

/* One that is there under this name is another: the layers below it have changed since (fsck). Whoever has it
 * mounted keeps what he sees until the end of his mount. */
static int remove_old(const struct store *s, const char *digest, struct error *e) {
    _cleanup_free_ char *path = strf("layers/%s", digest_hex(digest));

    if (!path)
        return error_set(e, ENOMEM, "out of memory");
    _cleanup_close_ int lock = store_lock(s, LOCK_EX, LOCK_TIMEOUT, e);
    int r = lock < 0 ? lock : remove_tree(s->fd, path);
    return r < 0 ? error_set_errno(e, r, "removing %s/%s", s->path, path) : 0;
}

static int put_layer(const struct store *s, const struct settle *settle, const char *digest,
    const struct layer_info *old, char *const *paths, struct error *e) {
    struct layer_writer w = LAYER_WRITER_NONE;

    int r = layer_begin(s, LAYER_TREE, &w, e);
    if (r >= 0)
        r = fill_layer(&w, settle, digest, paths, e);
    if (r >= 0 && old && streq(old->seal, w.info.seal))
        layer_touch(s, digest);
    else if (r >= 0) {
        r = old ? remove_old(s, digest, e) : 0;
        if (r >= 0)
            r = layers_commit(s, &w, 1, e);
    }
    layer_abort(&w);
    return r;
}

int settle_image(const struct store *s, const char *manifest_digest, struct error *e) {
    _cleanup_(store_image_done) struct store_image image = {};
    _cleanup_(settle_done) struct settle settle = {};
    _cleanup_strv_free_ char **paths = NULL;
    struct layer_info old = {};

    if (store_image_load(s, manifest_digest, &image, NULL) < 0)
        return 0;
    const char *digest = image.manifest.config.digest;
    bool has_old = layer_find(s, digest, &old, NULL) != -ENOENT;
    int r = settle_open(s, image.config.diff_ids, NULL, 0, &settle, e);
    if (r >= 0)
        r = find_wrong(&settle, &paths, e);
    if (r >= 0)
        r = paths     ? put_layer(s, &settle, digest, has_old ? &old : NULL, paths, e)
            : has_old ? remove_old(s, digest, e)
                      : 0;
    return r < 0 ? error_prefix(e, r, "directories that no layer of the image describes") : 0;
}

int settle_and_commit(const struct store *s, const char *manifest_digest, char *const *names,
    const char *source, struct error *e) {
    int r = settle_image(s, manifest_digest, e);

    return r < 0 ? r : store_image_commit(s, manifest_digest, names, source, e);
}
