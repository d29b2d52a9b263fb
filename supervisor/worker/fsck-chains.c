/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fsck of what drivers have put together of layers (image/driver.h). Nothing vouches for a chain but the layers
 * that it was made of, so it is made a second time, where files can share their data at the cost of names, and
 * compared byte by byte.
 */
#include <fcntl.h>

#include "base/fs.h"
#include "image/chain.h"
#include "image/driver.h"
#include "image/image.h"
#include "worker/chain.h"
#include "worker/fsck.h"

#define DIFFERENCES_MAX 20 /* of one chain that are named */

/* The tree as it ought to be, in work. Returns its descriptor. */
static int make_again(const struct store *s, char *const *layers, int work, struct error *e) {
    if (mkdirat(work, "tree", 0755) < 0)
        return error_set_errno(e, errno, "making a directory");
    _cleanup_close_ int tree = openat(work, "tree", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r = tree < 0 ? error_set_errno(e, errno, "opening it") : 0;

    STRV_FOREACH (id, layers)
        r = r < 0 ? r : chain_add_layer(s, *id, tree, e);
    return r < 0 ? r : TAKE_FD(tree);
}

/* 1: there are differences, which have been said. */
static int compare(struct worker *w, const char *digest, int expected, int chain, struct error *e) {
    const struct tree_compare_options options = {}; /* copied before all times: everything is read */
    struct tree_changes changes = {};

    int r = tree_compare(expected, chain, &options, &changes, e);
    /* The first is the root, which is always there; directories stand only for what is in them. */
    for (size_t i = 1; r >= 0 && i < MIN(changes.n, (size_t)DIFFERENCES_MAX); i++) {
        const struct tree_change *c = changes.items[i];
        worker_note(w, "layers put together %.19s: %s: %s", digest, c->path,
            c->kind == TREE_ADDED     ? "is in no layer"
            : c->kind == TREE_REMOVED ? "is missing"
                                      : "is different");
    }
    r = r < 0 ? r : changes.n > 1;
    tree_changes_done(&changes);
    return r;
}

/* 1: it is not what it ought to be. */
static int check_chain(
    struct worker *w, char *const *layers, const char *digest, int chain, struct error *e) {
    char name[WORK_NAME];

    _cleanup_close_ int work = work_new_directory(&w->store, name, e);
    if (work < 0)
        return work;
    _cleanup_close_ int expected = make_again(&w->store, layers, work, e);
    int r = expected < 0 ? expected : compare(w, digest, expected, chain, e);
    work_remove(&w->store, name);
    return r;
}

static int take_out(struct worker *w, const char *digest, struct error *e) {
    _cleanup_free_ char *path = strf("chains/%s", digest_hex(digest));
    int r = path ? remove_tree(w->store.fd, path) : -ENOMEM;

    return r < 0 ? error_set_errno(e, r, "removing %s/%s", w->store.path, path ?: "chains") : 0;
}

int fsck_chain_of(struct worker *w, const char *manifest, char ***seen, bool repair, struct error *e) {
    _cleanup_(store_image_done) struct store_image i = {};
    _cleanup_strv_free_ char **paths = NULL, **layers = NULL;
    char digest[DIGEST_TEXT];
    struct error problem = {};

    /* What an image lacks is said elsewhere. */
    if (store_image_load(&w->store, manifest, &i, NULL) < 0 || image_layers(&w->store, &i, &paths, NULL) < 0)
        return 0;
    if (storage_layer_digests(w->store.path, paths, &layers) < 0)
        return error_set(e, ENOMEM, "out of memory");
    if (!layers)
        return 0;
    chain_digest(layers, strv_length(layers), digest);
    _cleanup_close_ int chain = chain_open(&w->store, digest, NULL);
    if (chain < 0 || strv_contains(*seen, digest))
        return 0;
    if (strv_append(seen, digest) < 0)
        return error_set(e, ENOMEM, "out of memory");
    int r = check_chain(w, layers, digest, chain, &problem);
    if (r < 0) {
        worker_note(w, "layers put together %.19s could not be checked: %s", digest, problem.text);
        return 0;
    }
    if (r == 0 || !repair)
        return r;
    r = take_out(w, digest, e);
    return r < 0 ? r : 1;
}
