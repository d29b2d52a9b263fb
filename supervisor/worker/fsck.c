/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-image fsck: every reference, document and layer of the store, exactly.
 *
 * Documents, kept layer blobs and file system images are read whole and compared with their digests. A
 * layer's tree is compared with its seal (seal.h), name by name in all attributes, and the contents of its
 * files give the layer's archive again (recipe.h), which must have the digest that the layer is called by.
 * --quick leaves out the contents.
 *
 * What is checked is looked at without the store's lock, so that nobody waits: it has its final form, and can
 * only be collected meanwhile.
 *
 * --repair takes what is damaged out of the store, and brings back what this machine still has: layers whose
 * blobs were kept, and what other stores (--root) have. For what is lost after that there is an event "lost"
 * each, from which `davit image fsck` fetches the image again; references to what cannot even be read are
 * gone.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>

#include "base/fs.h"
#include "base/hashmap.h"
#include "image/hash.h"
#include "worker/fsck.h"
#include "worker/listing.h"
#include "worker/recipe.h"
#include "worker/seal.h"
#include "worker/settle.h"
#include "worker/unpack-internal.h"

#define LOCK_TIMEOUT (60 * USEC_PER_SEC)
#define LAYER_LOST "a layer is damaged or missing"
#define DIFFERENCES_MAX 20 /* of one layer that are named */

struct fsck {
    struct worker *worker;
    const struct store *store;
    const struct fsck_roots *roots;
    struct hashmap *damaged; /* digests of blobs and layers: key = value */
    char **chains;           /* digests of those that have been looked at */
    const char *layer;       /* that is being looked at */
    uint64_t differences;    /* that it has */
    unsigned problems, restored, lost;
    bool repair, quick;
    bool again; /* what is found has been said already */
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

static bool is_damaged(const struct fsck *f, const char *digest) {
    return hashmap_get(f->damaged, digest) != NULL;
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

/* 0 also if it has been collected meanwhile. */
static int check_blob_content(struct fsck *f, const char *digest, struct error *e) {
    char actual[DIGEST_TEXT] = "";

    _cleanup_close_ int fd = blob_open(f->store, digest, NULL, e);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    int r = digest_of(fd, actual);
    if (r < 0)
        return error_set_errno(e, r, "reading it");
    return streq(actual, digest) ? 0 : error_set(e, EBADMSG, "its content is another");
}

/* ---- layers ---- */

static void on_difference(void *userdata, const char *path, const char *what) {
    char name[NAME_PRINTABLE];
    struct fsck *f = userdata;

    name_printable(path, name);
    if (++f->differences <= DIFFERENCES_MAX && !f->again)
        worker_note(f->worker, "layer %.19s: %s: %s", f->layer, name, what);
}

static int into_nothing(
    void *userdata _unused_, const void *data _unused_, size_t n _unused_, struct error *e _unused_) {
    return 0;
}

/* A layer that an older davit has unpacked has no seal: then its contents are all that there is to compare.
 */
static int check_tree(struct fsck *f, const struct layer_info *info, struct error *e) {
    const struct tar_sink nothing = {.write = into_nothing};
    char path[sizeof("layers/") + DIGEST_HEX];
    int r = 0;

    (void)snprintf(path, sizeof(path), "layers/%s", digest_hex(info->diff_id));
    _cleanup_close_ int directory = open_beneath(f->store->fd, path, O_RDONLY | O_DIRECTORY);
    _cleanup_close_ int tree =
        directory < 0 ? directory : open_beneath(directory, "tree", O_RDONLY | O_DIRECTORY);
    if (tree < 0)
        return error_set_errno(e, tree, "its tree");
    f->differences = 0;
    if (*info->seal)
        r = seal_compare(directory, tree, info->seal, f->quick, on_difference, f, e);
    /* An image's layer on top (settle.h) has come from no archive. */
    if (r == 0 && f->differences == 0 && !f->quick && info->archive_size > 0)
        r = recipe_write_archive(f->store, info, &nothing, e);
    if (r >= 0 && f->differences > 0)
        r = error_set(e, EBADMSG, "%" PRIu64 " difference%s", f->differences, f->differences == 1 ? "" : "s");
    return MIN(r, 0);
}

static int check_filesystem(struct fsck *f, const struct layer_info *info, struct error *e) {
    _cleanup_free_ char *path = layer_path(f->store, info->diff_id, info->kind);
    char actual[DIGEST_TEXT];

    if (!path)
        return error_set(e, ENOMEM, "out of memory");
    _cleanup_close_ int fd = open_beneath(f->store->fd, path + strlen(f->store->path) + 1, O_RDONLY);
    int r = fd < 0 ? fd : f->quick ? 0 : digest_of(fd, actual);
    if (r < 0)
        return error_set_errno(e, r, "%s", path);
    return f->quick || streq(actual, info->diff_id) ? 0 : error_set(e, EBADMSG, "its content is another");
}

static int check_layer_content(struct fsck *f, const char *digest, struct error *e) {
    struct layer_info info;

    f->layer = digest;
    int r = layer_find(f->store, digest, &info, e);
    if (r < 0)
        return r;
    return info.kind == LAYER_TREE ? check_tree(f, &info, e) : check_filesystem(f, &info, e);
}

/* ---- blobs and layers alike ---- */

struct kind {
    const char *word, *directory;
    int (*check)(struct fsck *f, const char *digest, struct error *e);
};
static const struct kind kinds[] = {
    {"blob", "blobs/sha256", check_blob_content},
    {"layer", "layers", check_layer_content},
};

static bool is_there(const struct fsck *f, const char *path) {
    struct stat st;
    return fstatat(f->store->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int check_entry(struct fsck *f, const struct kind *k, const char *name, struct error *e) {
    _cleanup_free_ char *path = strf("%s/%s", k->directory, name);
    char digest[DIGEST_TEXT];
    struct error problem = {};

    if (!path)
        return error_set(e, ENOMEM, "out of memory");
    if (!digest_from_hex(name, digest)) {
        worker_note(f->worker, "%s is no %s", path, k->word);
        f->problems++;
        return take_out(f, path, e);
    }
    int r = k->check(f, digest, &problem);
    if (r == -ENOMEM)
        return error_set(e, ENOMEM, "out of memory");
    if (r >= 0 || !is_there(f, path))
        return 0;
    worker_note(f->worker, "%s %s is damaged: %s", k->word, digest, problem.text);
    return note_damage(f, digest, e);
}

static int check_all(struct fsck *f, const struct kind *k, struct error *e) {
    _cleanup_strv_free_ char **names = NULL;

    int r = names_list(f->store->fd, k->directory, &names, e);
    STRV_FOREACH (name, names) {
        if (r >= 0)
            r = check_entry(f, k, *name, e);
    }
    return r;
}

/* Under the lock, and only what is still damaged: somebody may have brought it in anew. */
static int take_out_damaged(struct fsck *f, struct error *e) {
    const char *digest;

    f->again = true;
    HASHMAP_FOREACH (digest, f->damaged) {
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
            _cleanup_free_ char *path = strf("%s/%s", kinds[i].directory, digest_hex(digest));
            struct error again = {};

            if (!path)
                return error_set(e, ENOMEM, "out of memory");
            if (!is_there(f, path) || kinds[i].check(f, digest, &again) >= 0)
                continue;
            int r = take_out(f, path, e);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* ---- images ---- */

/* The first thing that is missing of an image, or NULL. */
static const char *missing_part(struct fsck *f, const char *manifest, struct error *why) {
    _cleanup_(store_image_done) struct store_image i = {};

    if (store_image_load(f->store, manifest, &i, why) < 0)
        return why->text;
    if (is_damaged(f, manifest) && !f->repair)
        return "its manifest is damaged";
    if (is_damaged(f, i.manifest.config.digest) && !f->repair)
        return "its configuration is damaged";
    STRV_FOREACH (id, i.config.diff_ids)
        if ((is_damaged(f, *id) && !f->repair) || layer_find(f->store, *id, NULL, why) < 0)
            return LAYER_LOST;
    return NULL;
}

static void report_lost(struct fsck *f, const struct store_reference *r, const char *why) {
    f->lost++;
    worker_event(f->worker,
        json_pack("{s:s, s:s, s:s, s:s}", "event", "lost", "name", r->name, "digest", r->source, "why", why));
    worker_note(f->worker, "image %s is not whole: %s", r->name, why);
}

/* Documents that cannot be read would keep gc from removing anything. */
static int forget_unreadable(struct fsck *f, const char *path, const char *why, struct error *e) {
    if (!f->repair || streq(why, LAYER_LOST))
        return 0;
    _cleanup_close_ int lock = store_lock(f->store, LOCK_EX, LOCK_TIMEOUT, e);
    return lock < 0 ? lock : take_out(f, path, e);
}

static int check_image(struct fsck *f, const char *path, const struct store_reference *r, struct error *e) {
    struct error why = {};
    const char *missing = missing_part(f, r->manifest, &why);

    if (!missing)
        return f->repair ? settle_image(f->store, r->manifest, e) : 0;
    f->problems++;
    if (f->repair && fsck_restore(f->store, f->roots, r->manifest, &why) >= 0) {
        f->restored++;
        worker_note(f->worker, "image %s is whole again, from what this machine has", r->name);
        return 0;
    }
    report_lost(f, r, missing);
    return forget_unreadable(f, path, missing, e);
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
    int k = store_reference_get(f->store, name, &r, &why);
    if (k >= 0)
        return check_image(f, path, &r, e);
    if (k == -ENOENT) /* somebody has removed it meanwhile */
        return 0;
    f->problems++;
    f->lost++;
    worker_event(f->worker, json_pack("{s:s, s:s, s:s, s:s}", "event", "lost", "name", name, "digest", "",
                                "why", "its reference cannot be read"));
    worker_note(f->worker, "image %s cannot be read: %s", name, why.text);
    return forget_unreadable(f, path, why.text, e);
}

static int check_references(struct fsck *f, struct error *e) {
    _cleanup_strv_free_ char **names = NULL;

    int r = names_list(f->store->fd, "references", &names, e);
    STRV_FOREACH (name, names) {
        if (r >= 0)
            r = check_reference(f, *name, e);
    }
    return r;
}

/* After everything else, and only if what they are compared with is sound. */
static int check_chains(struct fsck *f, struct error *e) {
    struct store_reference *references;
    size_t n;

    int r = store_reference_list(f->store, &references, &n, e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n && r >= 0; i++) {
        r = fsck_chain_of(f->worker, references[i].manifest, &f->chains, f->repair, e);
        f->problems += r > 0;
    }
    store_references_free(references, n);
    return MIN(r, 0);
}

/* ---- the command ---- */

static void roots_free(struct fsck_roots *r) {
    for (size_t i = 0; i < r->n; i++)
        store_done(&r->stores[i]);
    free(r->stores);
    free(r);
}

/* Before the worker is confined: afterwards only what is open can be read. */
int fsck_prepare(struct worker *w, struct error *e) {
    struct fsck_roots *roots = calloc(1, sizeof(*roots));

    if (!roots || !(roots->stores = calloc(strv_length(w->options.roots) + 1, sizeof(*roots->stores)))) {
        free(roots);
        return error_set(e, ENOMEM, "out of memory");
    }
    w->data = roots;
    STRV_FOREACH (root, w->options.roots) {
        struct store *s = &roots->stores[roots->n];

        if (streq(*root, w->store.path) || store_open(*root, false, s, NULL) < 0)
            continue;
        roots->n++;
        int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = fd < 0 ? error_set_errno(e, errno, "%s", *root) : worker_add_input(w, fd, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_store(struct fsck *f, struct error *e) {
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(kinds) && r >= 0; i++)
        r = check_all(f, &kinds[i], e);
    if (r >= 0 && f->repair) {
        _cleanup_close_ int lock = store_lock(f->store, LOCK_EX, LOCK_TIMEOUT, e);
        r = lock < 0 ? lock : take_out_damaged(f, e);
    }
    if (r >= 0)
        r = check_references(f, e);
    return r < 0 || f->quick || (f->problems > 0 && !f->repair) ? r : check_chains(f, e);
}

int fsck_run(struct worker *w, struct error *e) {
    struct fsck_roots *roots = w->data;
    struct fsck f = {.worker = w,
        .store = &w->store,
        .roots = roots,
        .damaged = hashmap_new(),
        .repair = w->options.repair,
        .quick = w->options.quick};
    char *key;

    int r = f.damaged ? check_store(&f, e) : error_set(e, ENOMEM, "out of memory");
    HASHMAP_FOREACH (key, f.damaged)
        free(hashmap_remove(f.damaged, key));
    if (f.damaged)
        hashmap_free(f.damaged);
    strv_free(f.chains);
    roots_free(roots);
    if (r < 0)
        return r;
    worker_event(w, json_pack("{s:s, s:i, s:i, s:i}", "event", "checked", "problems", (int)f.problems,
                        "restored", (int)f.restored, "lost", (int)f.lost));
    if (f.problems == 0)
        return 0;
    if (!f.repair)
        return error_set(e, EBADMSG, "%u problem%s found", f.problems, f.problems == 1 ? "" : "s");
    worker_note(w, "%u problem%s found; what was damaged is removed, %u image%s brought back", f.problems,
        f.problems == 1 ? "" : "s", f.restored, f.restored == 1 ? "" : "s");
    return 0;
}
