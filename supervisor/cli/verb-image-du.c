/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image du: what images take on the disk, and what of it they share. */
#include <fts.h>
#include <sys/stat.h>

#include "base/parse.h"
#include "cli/images.h"
#include "cli/output.h"

struct usage {
    uint64_t total;        /* every layer that some image has, once */
    uint64_t chains;       /* what drivers have put together of layers (image/driver.h) */
    json_t *images;        /* as `podman system df --verbose` has them */
    json_t *users, *sizes; /* diffID to number of images, and to bytes */
};

/* ---- layers ---- */

/* Manifests that several names lead to count once. */
static bool seen_before(const struct store_reference *l, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (streq(l[k].manifest, l[i].manifest))
            return true;
    return false;
}

static void count_layers(const struct store *s, const struct store_image *i, struct usage *u) {
    for (size_t k = 0; k < i->manifest.n_layers; k++) {
        const char *id = i->config.diff_ids[k];
        json_int_t users = json_integer_value(json_object_get(u->users, id));
        if (users == 0) {
            /* Unpacked, and as it came if that is kept. */
            uint64_t size = layer_size(s, id) + blob_size(s, i->manifest.layers[k].digest);
            u->total += size;
            (void)json_object_set_new(u->sizes, id, json_integer((json_int_t)size));
        }
        (void)json_object_set_new(u->users, id, json_integer(users + 1));
    }
}

static void add_usage(const char *name, const struct store_image *i, struct usage *u) {
    _cleanup_(reference_done) struct reference r = {};
    json_int_t size = 0, shared = 0;

    STRV_FOREACH (id, i->config.diff_ids) {
        json_int_t n = json_integer_value(json_object_get(u->sizes, *id));
        size += n;
        shared += json_integer_value(json_object_get(u->users, *id)) > 1 ? n : 0;
    }
    if (reference_parse(name, &r, NULL) < 0)
        return;
    _cleanup_free_ char *repository = strf("%s/%s", r.registry ?: REFERENCE_LOCAL, r.repository);
    (void)json_array_append_new(
        u->images, json_pack("{ss ss ss ss sI sI sI}", "Name", name, "Repository", repository ?: "", "Tag",
                       r.tag ?: "<none>", "ImageID", digest_hex(i->manifest.config.digest), "Size", size,
                       "SharedSize", shared, "UniqueSize", size - shared));
}

static int measure_images(const struct store *s, struct usage *u) {
    struct store_reference *references;
    struct error e = {};
    size_t n;

    if (store_reference_list(s, &references, &n, &e) < 0) {
        cli_error("%s", e.text);
        return -EIO;
    }
    /* Twice: what is shared is known when all have been counted. */
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < n; i++) {
            _cleanup_(store_image_done) struct store_image image = {};
            if (seen_before(references, i) || store_image_load(s, references[i].manifest, &image, NULL) < 0)
                continue;
            if (pass == 0)
                count_layers(s, &image, u);
            else
                add_usage(references[i].name, &image, u);
        }
    store_references_free(references, n);
    return 0;
}

/* ---- chains ---- */

/* Bytes of all that is below, hard links once. Where files share their data, it counts for each of them. */
static uint64_t bytes_below(char *path) {
    char *paths[] = {path, NULL};
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    uint64_t bytes = 0;

    for (const FTSENT *entry; tree && (entry = fts_read(tree));)
        if (entry->fts_info != FTS_D && entry->fts_info != FTS_DP && entry->fts_info != FTS_ERR &&
            entry->fts_info != FTS_NS)
            bytes += (uint64_t)entry->fts_statp->st_blocks * 512 / (uint64_t)entry->fts_statp->st_nlink;
    if (tree)
        (void)fts_close(tree);
    return bytes;
}

static uint64_t measure_chains(const struct store *s) {
    _cleanup_free_ char *path = strf("%s/chains", s->path);

    return path ? bytes_below(path) : 0;
}

/* ---- the verb ---- */

static void print_usage(const struct usage *u) {
    static const struct table_column usage_columns[] = {
        {"IMAGE", false, true},
        {"ID", false, false},
        {"SIZE", true, false},
        {"SHARED", true, false},
        {"UNIQUE", true, false},
    };
    static const char *const sizes[] = {"Size", "SharedSize", "UniqueSize"};
    struct table t = {.columns = usage_columns, .n_columns = ARRAY_SIZE(usage_columns)};
    char text[16];
    json_t *image;
    size_t i;

    JSON_ARRAY_FOREACH (i, image, u->images) {
        table_add(&t, COLOR_NONE, json_text(image, "Name"));
        (void)snprintf(text, sizeof(text), "%.12s", json_text(image, "ImageID"));
        table_add(&t, COLOR_NONE, text);
        for (size_t k = 0; k < ARRAY_SIZE(sizes); k++)
            table_add(&t, COLOR_NONE, size_format((uint64_t)json_number(image, sizes[k], 0), text));
    }
    (void)table_print(&t, stdout, output_width(), true);
    (void)printf("\n%s in all layers.\n", size_format(u->total, text));
    if (u->chains > 0)
        (void)printf(
            "%s in layers put together, of which containers are copies.\n", size_format(u->chains, text));
}

int verb_image_du(struct cli *c, char **arguments _unused_, size_t n _unused_) {
    struct usage u = {.images = json_array(), .users = json_object(), .sizes = json_object()};
    _cleanup_(images_done) struct images images = {};
    int status = EXIT_SUCCESS;

    if (images_open(c, false, &images) < 0)
        status = EXIT_FAILURE;
    for (size_t i = 0; i < images.n && status == EXIT_SUCCESS; i++) {
        status = measure_images(&images.stores[i], &u) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        u.chains += measure_chains(&images.stores[i]);
    }
    if (status == EXIT_SUCCESS && c->options.json) {
        json_t *o = json_pack("{sO sI sI}", "Images", u.images, "LayersSize", (json_int_t)u.total,
            "ChainsSize", (json_int_t)u.chains);
        json_print(o);
        json_decref(o);
    } else if (status == EXIT_SUCCESS)
        print_usage(&u);
    json_decref(u.images);
    json_decref(u.users);
    json_decref(u.sizes);
    return status;
}
