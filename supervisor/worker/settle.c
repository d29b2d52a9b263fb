/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an image's layers have of a directory, and how layers that come in get the attributes they lack. And what
 * follows then: the layer is sealed and gets its place. */
#include "worker/settle.h"

#include <fcntl.h>
#include <limits.h>

#include "image/overlay-marks.h"
#include "worker/attributes.h"
#include "worker/seal.h"
#include "worker/unpack-internal.h"

/* ---- the layers of one image ---- */

void settle_done(struct settle *s) {
    for (size_t i = 0; i < s->n; i++) {
        closep(&s->layers[i].tree);
        implicit_done(&s->layers[i].implicit);
    }
    free(s->layers);
    *s = (struct settle){};
}

/* Unfinished ones by descriptor, those in the store by path. */
static int open_layer(const struct store *s, const char *diff_id, const struct unpacked *unpacked, size_t n) {
    char path[sizeof("layers/") + DIGEST_HEX];

    for (size_t k = 0; k < n; k++)
        if (unpacked[k].writer.directory_fd >= 0 && streq(unpacked[k].writer.info.diff_id, diff_id))
            return open_beneath(unpacked[k].writer.directory_fd, "", O_RDONLY | O_DIRECTORY);
    (void)snprintf(path, sizeof(path), "layers/%s", digest_hex(diff_id));
    return open_beneath(s->fd, path, O_RDONLY | O_DIRECTORY);
}

int settle_open(const struct store *s, char *const *diff_ids, const struct unpacked *unpacked, size_t n,
    struct settle *ret, struct error *e) {
    _cleanup_(settle_done) struct settle settle = {};
    size_t bytes = 0;

    settle.layers = calloc(MAX(strv_length(diff_ids), (size_t)1), sizeof(*settle.layers));
    if (!settle.layers)
        return error_set(e, ENOMEM, "out of memory");
    STRV_FOREACH (id, diff_ids) {
        struct settle_layer *l = &settle.layers[settle.n++];
        _cleanup_close_ int directory = open_layer(s, *id, unpacked, n);

        l->tree = directory < 0 ? -1 : openat(directory, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = l->tree < 0 ? 0 : implicit_read(directory, &l->implicit, e);
        bytes += l->implicit.size;
        if (r >= 0 && bytes > SETTLE_IMPLICIT_MAX)
            r = error_set(e, E2BIG, "too many directories that the image's layers do not describe");
        if (r < 0)
            return r;
    }
    *ret = settle;
    settle = (struct settle){};
    return 0;
}

/* A step at a time: a directory on the way may be opaque. */
enum settle_view settle_look(const struct settle *s, size_t layer, const char *path, int *ret_fd) {
    int tree = s->layers[layer].tree;
    char name[NAME_MAX + 1];

    *ret_fd = -1;
    if (tree < 0)
        return VIEW_NOTHING;
    _cleanup_close_ int fd = open_beneath(tree, "", O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return VIEW_HIDDEN;
    bool alone = false;
    while (*path) {
        size_t n = strcspn(path, "/");
        alone |= overlay_is_opaque(fd);
        (void)snprintf(name, sizeof(name), "%.*s", (int)n, path);
        int next = open_beneath(fd, name, O_RDONLY | O_DIRECTORY);
        if (next < 0)
            return next == -ENOENT && !alone ? VIEW_NOTHING : VIEW_HIDDEN;
        close(fd);
        fd = next;
        path += n + (path[n] == '/');
    }
    *ret_fd = TAKE_FD(fd);
    return alone ? VIEW_ALONE : VIEW_DIRECTORY;
}

int settle_source(const struct settle *s, size_t layer, const char *path) {
    while (layer-- > 0) {
        _cleanup_close_ int fd = -1;
        enum settle_view view = settle_look(s, layer, path, &fd);

        if (fd >= 0 && !implicit_has(&s->layers[layer].implicit, path))
            return TAKE_FD(fd);
        if (view == VIEW_ALONE || view == VIEW_HIDDEN)
            break;
    }
    return ATTRIBUTES_DEFAULT;
}

/* ---- layers that come in ---- */

static int settle_directory(const struct settle *s, size_t layer, const char *path, struct error *e) {
    _cleanup_close_ int to = -1;

    /* Something else may have taken its place, or it begins anew: then it is as it was made. */
    if (settle_look(s, layer, path, &to) != VIEW_DIRECTORY)
        return 0;
    _cleanup_close_ int from = settle_source(s, layer, path);
    return from == ATTRIBUTES_DEFAULT ? 0 : attributes_copy(from, to, e);
}

static int settle_layer(const struct settle *s, size_t layer, struct error *e) {
    const struct implicit *l = &s->layers[layer].implicit;

    for (const char *path = NULL; (path = implicit_next(l, path));) {
        int r = settle_directory(s, layer, path, e);
        if (r < 0)
            return error_prefix(e, r, "directory %s", path);
    }
    return 0;
}

static int settle_unpacked(const struct store *s, char *const *diff_ids, const struct unpacked *unpacked,
    size_t n, struct error *e) {
    _cleanup_(settle_done) struct settle settle = {};

    int r = n > 0 ? settle_open(s, diff_ids, unpacked, n, &settle, e) : 0;
    for (size_t k = 0; k < n && r >= 0; k++)
        for (size_t i = 0; i < settle.n && r >= 0; i++)
            if (streq(diff_ids[i], unpacked[k].writer.info.diff_id)) {
                r = settle_layer(&settle, i, e);
                break;
            }
    return r;
}

/* ---- the end ---- */

/* With all attributes as they stay. */
static int finish(struct unpacked *u, struct error *e) {
    struct layer_info info = u->writer.info;
    struct seal seal = {};

    _cleanup_close_ int tree = openat(u->writer.directory_fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = tree < 0 ? error_set_errno(e, errno, "opening the tree")
                     : seal_write(u->writer.directory_fd, tree, u->unvouched, &seal, e);
    if (r < 0) {
        return error_prefix(e, r, "sealing the layer");
    }
    info.entries = seal.names;
    info.size = seal.bytes;
    memcpy(info.seal, seal.digest, sizeof(info.seal));
    return layer_finish(&u->writer, &info, e);
}

int unpacked_commit(
    const struct store *s, char *const *diff_ids, struct unpacked *unpacked, size_t n, struct error *e) {
    _cleanup_free_ struct layer_writer *writers = calloc(MAX(n, (size_t)1), sizeof(*writers));

    int r = writers ? settle_unpacked(s, diff_ids, unpacked, n, e) : error_set(e, ENOMEM, "out of memory");
    for (size_t k = 0; k < n && r >= 0; k++)
        r = finish(&unpacked[k], e);
    for (size_t k = 0; writers && k < n && r >= 0; k++) {
        writers[k] = unpacked[k].writer;
        unpacked[k].writer = LAYER_WRITER_NONE;
    }
    if (writers && r >= 0)
        r = layers_commit(s, writers, n, e);
    for (size_t k = 0; k < n; k++)
        unpacked_abort(&unpacked[k]);
    return r;
}
