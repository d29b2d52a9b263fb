/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-image tree --driver=NAME --target=DIRECTORY --root=IMAGE-ROOT -- DIFFID...: a container's root as a
 * tree of its own (image/driver.h has the layout), from these layers of that store, lowest first.
 *
 * The chain is put together once: in work/, with the lock that says that somebody is at it, then synced and
 * given its name, so that a power cut leaves a whole one or garbage that gc knows. The container's copy gets
 * its name when it is whole, too. A second process with the same task waits for the first and finds it done.
 */
#include <fcntl.h>
#include <sys/file.h>

#include "base/copy_tree.h"
#include "base/fs.h"
#include "image/chain.h"
#include "image/driver.h"
#include "image/hash.h"
#include "worker/chain.h"
#include "worker/worker.h"

#define NEW_TREE TREE_NAME ".new"

struct tree {
    const struct storage_driver *driver;
    struct store from; /* that has the layers */
    int target;        /* w->output */
};

/* ---- before confinement ---- */

static void tree_free(struct tree *t) {
    if (!t)
        return;
    store_done(&t->from);
    free(t);
}
DEFINE_CLEANUP(struct tree *, tree_free)

int tree_prepare(struct worker *w, struct error *e) {
    _cleanup_(tree_freep) struct tree *t = calloc(1, sizeof(*t));
    const struct worker_options *o = &w->options;

    if (!t)
        return error_set(e, ENOMEM, "out of memory");
    t->from.fd = -1;
    if (!o->driver || !o->target || strv_length(o->roots) != 1 || w->n_arguments == 0)
        return error_set(e, EINVAL, "a tree takes --driver, --target, --root and layers");
    int r = storage_driver_find(o->driver, &t->driver, e);
    if (r >= 0 && !t->driver->trees)
        r = error_set(e, EINVAL, "%s makes no trees", o->driver);
    if (r >= 0)
        r = store_open(o->roots[0], false, &t->from, e);
    if (r < 0)
        return r;
    t->target = w->output = open(o->target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (t->target < 0)
        return error_set_errno(e, errno, "%s", o->target);
    r = t->driver->check(t->target, o->target, e);
    if (r >= 0)
        r = t->driver->check(w->store.fd, w->store.path, e);
    if (r < 0)
        return r;
    r = worker_add_input(w, fcntl(t->from.fd, F_DUPFD_CLOEXEC, 3), e);
    if (r < 0)
        return r;
    w->data = TAKE_PTR(t);
    return 0;
}

/* ---- the chain ---- */

void chain_digest(char *const *diff_ids, size_t n, char ret[static DIGEST_TEXT]) {
    char both[2 * DIGEST_TEXT];

    (void)snprintf(ret, DIGEST_TEXT, "%s", diff_ids[0]);
    for (size_t i = 1; i < n; i++) {
        int length = snprintf(both, sizeof(both), "%s %s", ret, diff_ids[i]);
        hash_data(both, (size_t)length, ret);
    }
}

int chain_add_layer(const struct store *s, const char *diff_id, int to, struct error *e) {
    static const struct copy_tree_options options = {.layer = true};
    char path[sizeof("layers//tree") + DIGEST_HEX];

    (void)snprintf(path, sizeof(path), "layers/%s/tree", digest_hex(diff_id));
    _cleanup_close_ int fd = openat(s->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r = fd < 0 ? error_set_errno(e, errno, "opening it") : copy_tree(fd, to, &options, e);
    return r < 0 ? error_prefix(e, r, "layer %s", diff_id) : 0;
}

static int fill_chain(struct worker *w, const struct tree *t, int work, struct error *e) {
    int r = t->driver->create(work, "tree", e);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = openat(work, "tree", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(e, errno, "opening the new chain");
    for (size_t i = 0; i < w->n_arguments && r >= 0; i++) {
        worker_progress(w, "layers put together", i, w->n_arguments);
        r = chain_add_layer(&t->from, w->arguments[i], fd, e);
    }
    return r >= 0 && syncfs(work) < 0 ? error_set_errno(e, errno, "writing %s", w->store.path) : r;
}

/* One at a time: two that copy the same would fill the disk twice, and two that copy anything wait for one
 * disk. */
static int chains_lock(const struct store *s, struct error *e) {
    int r = mkdir_parents(s->fd, "chains", 0700);
    if (r < 0)
        return error_set_errno(e, r, "making %s/chains", s->path);
    _cleanup_close_ int fd = openat(s->fd, "chains", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(e, errno, "opening %s/chains", s->path);
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return error_set_errno(e, errno, "locking %s/chains", s->path);
    return TAKE_FD(fd);
}

/* Returns the descriptor of its tree. */
static int make_chain(struct worker *w, const struct tree *t, const char *digest, struct error *e) {
    char name[WORK_NAME], place[CHAIN_PATH];

    _cleanup_close_ int lock = chains_lock(&w->store, e);
    if (lock < 0)
        return lock;
    int there = chain_open(&w->store, digest, NULL);
    if (there >= 0) {
        /* gc goes by the time of the directory that it is in. */
        (void)utimensat(there, "..", NULL, 0);
        return there;
    }
    _cleanup_close_ int work = work_new_directory(&w->store, name, e);
    if (work < 0)
        return work;
    (void)snprintf(place, sizeof(place), "chains/%s", digest_hex(digest));
    int r = fill_chain(w, t, work, e);
    if (r >= 0)
        r = work_place(&w->store, name, place, e);
    if (r < 0) {
        work_remove(&w->store, name);
        return r;
    }
    return chain_open(&w->store, digest, e);
}

/* ---- the container's copy ---- */

static int make_copy(const struct tree *t, int chain, const char *digest, struct error *e) {
    struct stat st;

    while (flock(t->target, LOCK_EX) < 0)
        if (errno != EINTR)
            return error_set_errno(e, errno, "locking the container's directory");
    if (fstatat(t->target, TREE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 0; /* by somebody else, who was faster */
    int r = remove_tree(t->target, NEW_TREE);
    if (r < 0)
        return error_set_errno(e, r, "removing a half-made tree");
    r = t->driver->copy(chain, t->target, NEW_TREE, e);
    if (r >= 0) {
        r = file_write_atomic(t->target, TREE_CHAIN, digest, strlen(digest), 0600, false);
        if (r < 0 || renameat(t->target, NEW_TREE, t->target, TREE_NAME) < 0)
            r = error_set_errno(e, r < 0 ? r : errno, "naming the tree");
    }
    if (r < 0) /* the disk may be full: others need the space before the directory goes */
        (void)remove_tree(t->target, NEW_TREE);
    return r;
}

int tree_run(struct worker *w, struct error *e) {
    _cleanup_(tree_freep) struct tree *t = TAKE_PTR(w->data);
    char digest[DIGEST_TEXT];

    for (size_t i = 0; i < w->n_arguments; i++)
        if (!digest_is_valid(w->arguments[i]))
            return error_set(e, EINVAL, "\"%.80s\" is not a sha256 digest", w->arguments[i]);
    chain_digest(w->arguments, w->n_arguments, digest);
    _cleanup_close_ int chain = make_chain(w, t, digest, e);
    if (chain < 0)
        return error_prefix(e, chain, "putting the layers together");
    int r = make_copy(t, chain, digest, e);
    if (r < 0)
        return error_prefix(e, r, "%s", w->options.target);
    worker_event(w, json_pack("{s:s, s:s}", "event", "tree", "chain", digest));
    return 0;
}
