/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Directories that a layer needs and does not describe. Overlay shows the attributes of the topmost layer
 * that has a directory, so one that was only made to hold something would change /root from 0700 to 0755. It
 * gets the attributes that it has in the layers below, in this image; tools that unpack one layer over the
 * other come to the same. And what follows then: the layer is sealed and gets its place.
 */
#include <fcntl.h>
#include <sys/xattr.h>

#include "base/fs.h"
#include "image/overlay-marks.h"
#include "worker/seal.h"
#include "worker/unpack-internal.h"

#define XATTR_LIST_MAX 65536

static int copy_xattrs(int from, int to, struct error *e) {
    _cleanup_free_ char *names = malloc(XATTR_LIST_MAX), *value = malloc(UNPACK_XATTR_MAX);

    if (!names || !value)
        return error_set(e, ENOMEM, "out of memory");
    ssize_t n = flistxattr(from, names, XATTR_LIST_MAX);
    if (n < 0)
        return errno == EOPNOTSUPP ? 0 : error_set_errno(e, errno, "listing extended attributes");
    for (const char *name = names; name < names + n; name += strlen(name) + 1) {
        /* Opaque is the other layer's business. */
        if (startswith(name, OVERLAY_XATTRS))
            continue;
        ssize_t size = fgetxattr(from, name, value, UNPACK_XATTR_MAX);
        if (size < 0 || fsetxattr(to, name, value, (size_t)size, 0) < 0)
            return error_set_errno(e, errno, "extended attribute %s", name);
    }
    return 0;
}

static int copy_attributes(int from, int to, struct error *e) {
    struct stat st;

    if (fstat(from, &st) < 0 || fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 07777) < 0)
        return error_set_errno(e, errno, "owner and mode");
    int r = copy_xattrs(from, to, e);
    if (r < 0)
        return r;
    return futimens(to, (struct timespec[2]){st.st_atim, st.st_mtim}) < 0 ? error_set_errno(e, errno, "time")
                                                                          : 0;
}

/* The layers of one image: committed ones by path, unfinished ones by descriptor. */
struct stack {
    int *trees;
    size_t n;
};

static void stack_done(struct stack *s) {
    for (size_t i = 0; i < s->n; i++)
        closep(&s->trees[i]);
    free(s->trees);
}

/* The tree of layer i, -1 for a file system image: nobody can look into that here. */
static int open_tree_of(
    const struct store *s, const char *diff_id, const struct unpacked *unpacked, size_t n) {
    char path[sizeof("layers//tree") + DIGEST_HEX];

    for (size_t k = 0; k < n; k++)
        if (unpacked[k].writer.directory_fd >= 0 && streq(unpacked[k].writer.info.diff_id, diff_id))
            return openat(unpacked[k].writer.directory_fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)snprintf(path, sizeof(path), "layers/%s/tree", digest_hex(diff_id));
    return openat(s->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int stack_open(const struct store *s, char *const *diff_ids, const struct unpacked *unpacked, size_t n,
    struct stack *ret, struct error *e) {
    ret->trees = calloc(MAX(strv_length(diff_ids), (size_t)1), sizeof(int));
    if (!ret->trees)
        return error_set(e, ENOMEM, "out of memory");
    STRV_FOREACH (id, diff_ids)
        ret->trees[ret->n++] = open_tree_of(s, *id, unpacked, n);
    return 0;
}

/* From the nearest layer below that has the directory. */
static int settle_directory(const struct stack *s, size_t layer, const char *path, struct error *e) {
    _cleanup_close_ int to = open_beneath(s->trees[layer], path, O_RDONLY | O_DIRECTORY);
    if (to < 0)
        return 0; /* something else took its place */

    for (size_t i = layer; i-- > 0;) {
        if (s->trees[i] < 0)
            continue;
        _cleanup_close_ int from = open_beneath(s->trees[i], path, O_RDONLY | O_DIRECTORY);
        if (from >= 0)
            return copy_attributes(from, to, e);
        /* A whiteout, a file or a link: from there on down it was no directory. */
        if (from != -ENOENT)
            return 0;
    }
    return 0;
}

static int settle_layer(const struct stack *s, size_t layer, char *const *implicit, struct error *e) {
    STRV_FOREACH (path, implicit) {
        int r = settle_directory(s, layer, *path, e);
        if (r < 0)
            return error_prefix(e, "directory %s", *path);
    }
    return 0;
}

static int settle(const struct store *s, char *const *diff_ids, const struct unpacked *unpacked, size_t n,
    struct error *e) {
    _cleanup_(stack_done) struct stack stack = {};

    int r = stack_open(s, diff_ids, unpacked, n, &stack, e);
    for (size_t k = 0; k < n && r >= 0; k++)
        for (size_t i = 0; i < stack.n && r >= 0; i++)
            if (streq(diff_ids[i], unpacked[k].writer.info.diff_id) && stack.trees[i] >= 0) {
                r = settle_layer(&stack, i, unpacked[k].implicit, e);
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
        (void)error_prefix(e, "sealing the layer");
        return r;
    }
    info.entries = seal.names;
    info.size = seal.bytes;
    memcpy(info.seal, seal.digest, sizeof(info.seal));
    return layer_finish(&u->writer, &info, e);
}

int unpacked_commit(
    const struct store *s, char *const *diff_ids, struct unpacked *unpacked, size_t n, struct error *e) {
    _cleanup_free_ struct layer_writer *writers = calloc(MAX(n, (size_t)1), sizeof(*writers));

    int r = writers ? settle(s, diff_ids, unpacked, n, e) : error_set(e, ENOMEM, "out of memory");
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
