/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-image gc: takes away what no name and no unit leads to.
 *
 *   roots     every reference; of every unit that exists, the manifest it runs and the one before; of units
 * that are gone, what they used within --unused-for
 *   --all     references as well, if no unit names or uses them and they are older than --unused-for
 *   --driver  what the store's chains are kept for; one that makes none lets all of them go
 *   --conf    davit.conf, for what is not said here, and whether archives of layers are kept; --automatic: and it
 *             may say that this is left to people
 *   --limit   the same, but only the oldest ones, until the store is no larger
 *
 * All that is decided and renamed under the store's lock; trees are deleted afterwards. If a document of a
 * root cannot be read, nobody knows what it needs, and no layer or blob goes.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/statvfs.h>

#include "base/fs.h"
#include "base/hashmap.h"
#include "base/id128.h"
#include "base/parse.h"
#include "image/chain.h"
#include "image/driver.h"
#include "image/gc-policy.h"
#include "image/image.h"
#include "worker/chain.h"
#include "worker/listing.h"
#include "worker/unpack-internal.h"
#include "worker/worker.h"

#define LOCK_TIMEOUT (60 * USEC_PER_SEC)
#define GRACE (3600 * USEC_PER_SEC)            /* rule 5 of store.h */
#define PARTIAL_AGE (24 * 3600 * USEC_PER_SEC) /* rule 3 */
#define UNUSED_FOR (24 * 3600 * USEC_PER_SEC)

struct unit_use {
    char *unit;
    struct store_use use;
};

struct gc {
    struct worker *worker;
    const struct store *store;
    usec_t now, unused_for, grace; /* CLOCK_REALTIME; spans */
    uint64_t limit;                /* UINT64_MAX = none */
    struct store_reference *references;
    size_t n_references;
    struct unit_use *uses;
    size_t n_uses;
    char **kept;            /* manifests that units name */
    struct hashmap *marked; /* digests of blobs and layers: key = value */
    char **trees;           /* renamed into work/, to be deleted */
    uint64_t images, layers, blobs, bytes;
    bool dry_run, unsafe;
    bool archives; /* of layers are kept */
    bool chains;   /* of images that stay are kept: the driver may make them */
};

/* ---- what there is ---- */

/* A unit that is there, or may be there again at any time as an instance of a template that is. */
static bool unit_is_known(char *const *units, const char *name) {
    const char *at = strchr(name, '@'), *type = strrchr(name, '.');
    _cleanup_free_ char *template = at && type ? strf("%.*s@%s", (int)(at - name), name, type) : NULL;

    return !units || strv_contains(units, name) || (template && strv_contains(units, template));
}

static int load_uses(struct gc *g, struct error *e) {
    _cleanup_strv_free_ char **units = NULL;

    int r = store_use_list(g->store, &units, e);
    if (r < 0)
        return r;
    g->uses = calloc(MAX(strv_length(units), (size_t)1), sizeof(*g->uses));
    if (!g->uses)
        return error_set(e, ENOMEM, "out of memory");
    STRV_FOREACH (unit, units) {
        struct unit_use *u = &g->uses[g->n_uses];

        if (store_use_get(g->store, *unit, &u->use, NULL) < 0)
            continue;
        bool known = unit_is_known(g->worker->options.units, *unit);
        if (!known && u->use.time + g->unused_for < g->now) {
            if (!g->dry_run)
                (void)store_use_remove(g->store, *unit, NULL);
            continue;
        }
        u->unit = strdup(*unit);
        if (!u->unit)
            return error_set(e, ENOMEM, "out of memory");
        g->n_uses++;
    }
    return 0;
}

/* What units name may not be there (yet): that is no error. */
static int load_kept(struct gc *g, struct error *e) {
    STRV_FOREACH (name, g->worker->options.keep) {
        char manifest[DIGEST_TEXT];
        if (store_image_find(g->store, *name, manifest, NULL, NULL) >= 0 &&
            strv_append(&g->kept, manifest) < 0)
            return error_set(e, ENOMEM, "out of memory");
    }
    return 0;
}

/* ---- marking ---- */

static void clear_marks(struct gc *g) {
    char *key;

    HASHMAP_FOREACH (key, g->marked)
        free(hashmap_remove(g->marked, key));
}

static int mark(struct gc *g, const char *digest, struct error *e) {
    if (hashmap_get(g->marked, digest))
        return 0;
    char *copy = strdup(digest);
    if (!copy || hashmap_put(g->marked, copy, copy) < 0) {
        free(copy);
        return error_set(e, ENOMEM, "out of memory");
    }
    return 0;
}

/* What the driver has put together of these layers. */
static int mark_chain(struct gc *g, const struct store_image *i, struct error *e) {
    _cleanup_strv_free_ char **layers = NULL, **digests = NULL;
    char digest[DIGEST_TEXT], path[CHAIN_PATH];

    if (image_layers(g->store, i, &layers, NULL) < 0)
        return 0; /* one is missing: it cannot be started either */
    if (storage_layer_digests(g->store->path, layers, &digests) < 0)
        return error_set(e, ENOMEM, "out of memory");
    if (!digests)
        return 0;
    chain_digest(digests, strv_length(digests), digest);
    chain_path(digest, path);
    return mark(g, path, e);
}

static int mark_image(struct gc *g, const char *manifest, struct error *e) {
    _cleanup_(store_image_done) struct store_image i = {};
    struct error problem = {};

    if (*manifest == '\0' || hashmap_get(g->marked, manifest))
        return 0;
    int r = mark(g, manifest, e);
    if (r < 0)
        return r;
    _cleanup_close_ int there = blob_open(g->store, manifest, NULL, NULL);
    if (there == -ENOENT)
        return 0; /* nothing is left that it could lead to */
    if (store_image_load(g->store, manifest, &i, &problem) < 0) {
        if (!g->unsafe)
            worker_note(g->worker,
                "%s; no layers are removed before \"davit image fsck --repair\" has dealt with it",
                problem.text);
        g->unsafe = true;
        return 0;
    }
    r = mark(g, i.manifest.config.digest, e);
    for (size_t k = 0; k < i.manifest.n_layers && r >= 0 && g->archives; k++)
        r = mark(g, i.manifest.layers[k].digest, e);
    STRV_FOREACH (id, i.config.diff_ids)
        r = r >= 0 ? mark(g, *id, e) : r;
    return r < 0 || !g->chains ? r : mark_chain(g, &i, e);
}

static int mark_all(struct gc *g, struct error *e) {
    int r = 0;

    clear_marks(g);
    for (size_t i = 0; i < g->n_references && r >= 0; i++)
        if (g->references[i].name) {
            r = mark_image(g, g->references[i].manifest, e);
            if (r >= 0)
                r = mark(g, g->references[i].source, e);
        }
    for (size_t i = 0; i < g->n_uses && r >= 0; i++) {
        r = mark_image(g, g->uses[i].use.current, e);
        if (r >= 0)
            r = mark_image(g, g->uses[i].use.previous, e);
    }
    return r;
}

/* Bytes of all layers, and of what is kept besides them, that are marked. */
static int marked_size(struct gc *g, uint64_t *ret, struct error *e) {
    uint64_t size = 0;
    char *digest;

    int r = mark_all(g, e);
    if (r < 0)
        return r;
    HASHMAP_FOREACH (digest, g->marked) {
        struct layer_info info;
        if (layer_find(g->store, digest, &info, NULL) >= 0)
            size += info.size;
        size += blob_size(g->store, digest);
    }
    *ret = size;
    return 0;
}

/* ---- references that may go ---- */

static bool is_used(const struct gc *g, const char *manifest) {
    for (size_t i = 0; i < g->n_uses; i++)
        if (streq(g->uses[i].use.current, manifest) || streq(g->uses[i].use.previous, manifest))
            return true;
    return strv_contains(g->kept, manifest);
}

/* The oldest reference that nobody needs, or NULL. */
static struct store_reference *oldest_unused(struct gc *g) {
    struct store_reference *oldest = NULL;

    for (size_t i = 0; i < g->n_references; i++) {
        struct store_reference *r = &g->references[i];
        if (r->name && r->time + g->unused_for <= g->now && !is_used(g, r->manifest) &&
            (!oldest || r->time < oldest->time))
            oldest = r;
    }
    return oldest;
}

static int drop_references(struct gc *g, struct error *e) {
    struct store_reference *r;
    uint64_t size = UINT64_MAX;

    while ((r = oldest_unused(g))) {
        if (!g->worker->options.all) {
            int n = marked_size(g, &size, e);
            if (n < 0 || size <= g->limit)
                return n;
        }
        worker_note(g->worker, "%s image %s", g->dry_run ? "would remove" : "removing", r->name);
        if (!g->dry_run) {
            int n = store_reference_remove(g->store, r->name, e);
            if (n < 0 && n != -ENOENT)
                return n;
        }
        free(TAKE_PTR(r->name));
        g->images++;
    }
    return 0;
}

/* ---- sweeping ---- */

static usec_t time_of(int directory, const char *path) {
    struct stat st;

    if (fstatat(directory, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return (usec_t)MAX(st.st_mtim.tv_sec, (time_t)0) * USEC_PER_SEC;
}

static int sweep_blobs(struct gc *g, struct error *e) {
    _cleanup_strv_free_ char **names = NULL;
    char digest[DIGEST_TEXT];

    int r = names_list(g->store->fd, "blobs/sha256", &names, e);
    if (r < 0)
        return r;
    STRV_FOREACH (name, names) {
        _cleanup_free_ char *path = strf("blobs/sha256/%s", *name);
        struct stat st;

        if (!path)
            return error_set(e, ENOMEM, "out of memory");
        if ((digest_from_hex(*name, digest) && hashmap_get(g->marked, digest)) ||
            time_of(g->store->fd, path) + g->grace > g->now ||
            fstatat(g->store->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (!g->dry_run && unlinkat(g->store->fd, path, 0) < 0)
            return error_set_errno(e, errno, "removing %s/%s", g->store->path, path);
        g->blobs++;
        g->bytes += (uint64_t)st.st_size;
    }
    return 0;
}

/* Out of layers/ at once, whatever time its deletion takes. */
static int take_away(struct gc *g, const char *path, struct error *e) {
    char id[ID128_TEXT];

    id128_random(id);
    _cleanup_free_ char *to = strf("work/%s", id);
    if (!to)
        return error_set(e, ENOMEM, "out of memory");
    if (renameat(g->store->fd, path, g->store->fd, to) < 0)
        return error_set_errno(e, errno, "removing %s/%s", g->store->path, path);
    return strv_consume(&g->trees, TAKE_PTR(to)) < 0 ? error_set(e, ENOMEM, "out of memory") : 0;
}

static int sweep_layers(struct gc *g, struct error *e) {
    _cleanup_strv_free_ char **names = NULL;
    char digest[DIGEST_TEXT];

    int r = names_list(g->store->fd, "layers", &names, e);
    STRV_FOREACH (name, names) {
        _cleanup_free_ char *path = strf("layers/%s", *name), *json = strf("layers/%s/layer.json", *name);
        struct layer_info info = {};

        if (!path || !json)
            return error_set(e, ENOMEM, "out of memory");
        if (digest_from_hex(*name, digest)) {
            if (hashmap_get(g->marked, digest) || time_of(g->store->fd, json) + g->grace > g->now)
                continue;
            (void)layer_find(g->store, digest, &info, NULL);
        }
        if (!g->dry_run && (r = take_away(g, path, e)) < 0)
            return r;
        g->layers++;
        g->bytes += info.size;
    }
    return r;
}

static int sweep_chains(struct gc *g, struct error *e) {
    _cleanup_strv_free_ char **names = NULL;
    char digest[DIGEST_TEXT];

    int r = names_list(g->store->fd, "chains", &names, NULL);
    if (r == -ENOENT)
        return 0; /* a store of before there were any */
    STRV_FOREACH (name, names) {
        _cleanup_free_ char *path = strf("chains/%s", *name), *tree = strf("chains/%s/tree", *name);

        if (!path || !tree)
            return error_set(e, ENOMEM, "out of memory");
        /* Of images that came with the system nothing is known here but that they were started. */
        if (digest_from_hex(*name, digest) &&
            (hashmap_get(g->marked, tree) ||
                time_of(g->store->fd, path) + MAX(g->unused_for, g->grace) > g->now))
            continue;
        if (!g->dry_run && (r = take_away(g, path, e)) < 0)
            return r;
    }
    return r;
}

/* Whoever makes an entry holds its lock as long as it lives. */
static int sweep_work(struct gc *g, struct error *e) {
    _cleanup_strv_free_ char **names = NULL;

    int r = names_list(g->store->fd, "work", &names, e);
    STRV_FOREACH (name, names) {
        _cleanup_free_ char *path = strf("work/%s", *name);

        if (!path)
            return error_set(e, ENOMEM, "out of memory");
        if (startswith(*name, "blob-") && g->unused_for > 0 &&
            time_of(g->store->fd, path) + PARTIAL_AGE > g->now)
            continue;
        _cleanup_close_ int fd = openat(g->store->fd, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
            continue;
        if (!g->dry_run && strv_consume(&g->trees, TAKE_PTR(path)) < 0)
            return error_set(e, ENOMEM, "out of memory");
    }
    return r;
}

/* What file_write_atomic() leaves when it is interrupted. Units' records are written without the lock. */
static int sweep_temporaries(struct gc *g, const char *directory, struct error *e) {
    _cleanup_strv_free_ char **names = NULL;

    int r = names_list(g->store->fd, directory, &names, e);
    STRV_FOREACH (name, names) {
        _cleanup_free_ char *path = strf("%s/%s", directory, *name);

        if (path && **name == '~' && time_of(g->store->fd, path) + MIN(g->grace, GRACE) <= g->now &&
            !g->dry_run)
            (void)unlinkat(g->store->fd, path, 0);
    }
    return r;
}

static int sweep(struct gc *g, struct error *e) {
    int r = mark_all(g, e);

    if (r >= 0 && !g->unsafe)
        r = sweep_layers(g, e);
    if (r >= 0 && !g->unsafe)
        r = sweep_chains(g, e);
    if (r >= 0 && !g->unsafe)
        r = sweep_blobs(g, e);
    if (r >= 0)
        r = sweep_work(g, e);
    if (r >= 0)
        r = sweep_temporaries(g, "references", e);
    return r < 0 ? r : sweep_temporaries(g, "uses", e);
}

/* ---- the command ---- */

static int take_limit(struct gc *g, const char *text, struct error *e) {
    struct statvfs fs;

    if (fstatvfs(g->store->fd, &fs) < 0)
        return error_set_errno(e, errno, "size of the disk of %s", g->store->path);
    if (gc_limit_parse(text, (uint64_t)fs.f_blocks * fs.f_frsize, &g->limit) < 0)
        return error_set(
            e, EINVAL, "a limit is a size (\"4G\") or a part of the disk (\"40%%\"), not \"%s\"", text);
    return 0;
}

static int take_options(struct gc *g, struct error *e) {
    const struct worker_options *o = &g->worker->options;

    if (o->unused_for && timespan_parse(o->unused_for, &g->unused_for) < 0)
        return error_set(e, EINVAL, "\"%s\" is no time span", o->unused_for);
    const struct storage_driver *driver = NULL;
    if (o->driver && storage_driver_find(o->driver, &driver, e) < 0)
        return -EINVAL;
    g->chains = !driver || driver->trees;
    g->grace = MIN(g->unused_for, GRACE);
    g->dry_run = o->dry_run;
    g->archives = g->worker->keep_archives;
    return o->limit ? take_limit(g, o->limit, e) : 0;
}

static void gc_done(struct gc *g) {
    store_references_free(g->references, g->n_references);
    for (size_t i = 0; i < g->n_uses; i++)
        free(g->uses[i].unit);
    free(g->uses);
    strv_free(g->kept);
    strv_free(g->trees);
    clear_marks(g);
    if (g->marked)
        hashmap_free(g->marked);
}

static int decide(struct gc *g, struct error *e) {
    struct error damaged = {};

    _cleanup_close_ int lock = store_lock(g->store, LOCK_EX, LOCK_TIMEOUT, e);
    if (lock < 0)
        return lock;
    /* Rule 5: nobody begins to make an image before this is over, or somebody is at it. */
    _cleanup_close_ int makers = store_lock_makers(g->store, LOCK_EX | LOCK_NB, e);
    if (makers == -EWOULDBLOCK)
        g->grace = GRACE;
    else if (makers < 0)
        return makers;
    int r = store_reference_list(g->store, &g->references, &g->n_references, &damaged);
    if (r < 0)
        return error_set(e, -r, "%s", damaged.text);
    if (damaged.number != 0) {
        worker_note(g->worker,
            "%s; no layers are removed before \"davit image fsck --repair\" has dealt with it", damaged.text);
        g->unsafe = true;
    }
    r = load_uses(g, e);
    if (r >= 0)
        r = load_kept(g, e);
    if (r >= 0 && (g->worker->options.all || g->limit != UINT64_MAX))
        r = drop_references(g, e);
    return r < 0 ? r : sweep(g, e);
}

/* What the command line leaves open, davit.conf says; one that cannot be read keeps nobody from making room.
 */
int gc_prepare(struct worker *w, struct error *e) {
    _cleanup_(gc_policy_done) struct gc_policy p = {};
    struct worker_options *o = &w->options;
    struct error problem = {};

    w->keep_archives = true; /* whoever does not know leaves them */
    if (!o->conf)
        return 0;
    if (gc_policy_read(o->conf, &p, &problem) < 0) {
        if (o->automatic)
            return error_set(e, EINVAL, "%s", problem.text);
        worker_note(w, "%s", problem.text);
        return 0;
    }
    if (o->automatic && !p.automatic)
        w->data = w; /* there is nothing to do */
    w->keep_archives = p.keep_archives;
    o->limit = o->limit ? o->limit : TAKE_PTR(p.limit);
    o->unused_for = o->unused_for ? o->unused_for : TAKE_PTR(p.unused_for);
    o->driver = o->driver ? o->driver : TAKE_PTR(p.driver);
    return 0;
}

int gc_run(struct worker *w, struct error *e) {
    _cleanup_(gc_done) struct gc g = {
        .worker = w,
        .store = &w->store,
        .now = now_realtime(),
        .unused_for = UNUSED_FOR,
        .limit = UINT64_MAX,
        .marked = hashmap_new(),
    };

    if (!g.marked)
        return error_set(e, ENOMEM, "out of memory");
    if (w->data)
        return 0;
    int r = take_options(&g, e);
    if (r >= 0)
        r = decide(&g, e);
    /* Those that were renamed go in any case. */
    STRV_FOREACH (tree, g.trees) {
        int k = remove_tree(g.store->fd, *tree);
        if (k < 0 && r >= 0)
            r = error_set_errno(e, k, "removing %s/%s", g.store->path, *tree);
    }
    if (r < 0)
        return r;
    worker_event(
        w, json_pack("{s:s, s:I, s:I, s:I, s:I}", "event", "freed", "images", (json_int_t)g.images, "layers",
               (json_int_t)g.layers, "blobs", (json_int_t)g.blobs, "bytes", (json_int_t)g.bytes));
    return 0;
}
