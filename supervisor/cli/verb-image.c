/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image list, tag, untag, remove, exists: names of images. */
#include <fnmatch.h>
#include <sys/file.h>

#include "base/parse.h"
#include "cli/images.h"
#include "cli/output.h"

#define LOCK_TIMEOUT (60 * USEC_PER_SEC)

/* ---- list ---- */

static const struct table_column columns[] = {
    {"REPOSITORY", false, true},
    {"TAG", false, false},
    {"IMAGE ID", false, false},
    {"CREATED", false, false},
    {"SIZE", true, false},
};

/* "debian" finds docker.io/library/debian:latest as well: a pattern may be the end of a name, with or without
 * its tag. */
static bool name_is_wanted(const char *name, char **patterns, size_t n) {
    for (size_t i = 0; i < n; i++) {
        /* Anchored at a slash in front, and at a colon behind, of the name. */
        _cleanup_free_ char *slashed = strf("/%s", name), *pattern = strf("*/%s", patterns[i]),
                            *tagged = strf("*/%s:*", patterns[i]);
        if (slashed && pattern && tagged &&
            (fnmatch(pattern, slashed, 0) == 0 || fnmatch(tagged, slashed, 0) == 0))
            return true;
    }
    return n == 0;
}

/* The members that podman-images(1) prints, so that scripts go on working. */
static json_t *image_json(
    const struct store *s, bool read_only, const struct store_reference *r, const struct store_image *i) {
    usec_t created = image_created(&i->config);
    char text[TIMESTAMP_MAX];

    return json_pack("{ss s[s] ss ss sI ss sI so sb}", "Id", digest_hex(i->manifest.config.digest), "Names",
        r->name, "Digest", i->manifest_digest, "Source", r->source, "Created",
        (json_int_t)(created / USEC_PER_SEC), "CreatedAt",
        created ? timestamp_format_rfc3339(created, text) : "", "Size", (json_int_t)image_size(s, i),
        "Labels", json_pairs(i->config.labels), "ReadOnly", (int)read_only);
}

static void add_row(struct cli *c, struct table *t, const struct store *s, const struct store_reference *r,
    const struct store_image *i) {
    _cleanup_free_ char *repository = strdup(r->name);
    usec_t created = image_created(&i->config);
    char id[13], ago[TIMESPAN_MAX + 8], size[16];
    char *slash =
        repository ? strrchr(repository, '/') : NULL; /* a registry in front of it may have a port */
    char *tag = slash ? strchr(slash, ':') : NULL, *digest = slash ? strchr(slash, '@') : NULL;

    if (digest)
        tag = NULL;
    if (tag)
        *tag++ = '\0';
    if (digest)
        *digest = '\0';
    table_add(t, COLOR_NONE, repository);
    table_add(t, COLOR_NONE, tag ?: "<none>");
    table_add(t, COLOR_NONE,
        c->options.no_trunc ? i->manifest.config.digest : digest_short(i->manifest.config.digest, id));
    table_add(t, COLOR_NONE, created ? time_ago(created, now_realtime(), ago) : NULL);
    table_add(t, COLOR_NONE, size_format(image_size(s, i), size));
}

struct listing {
    struct table table;
    json_t *all;  /* --json */
    char **shown; /* --quiet: IDs, as `podman images -q` shows them: an image with several names once */
};

static void add_id(struct cli *c, struct listing *l, const char *digest) {
    char id[13];
    const char *text = c->options.no_trunc ? digest : digest_short(digest, id);

    if (!strv_contains(l->shown, text) && strv_append(&l->shown, text) >= 0)
        (void)puts(text);
}

static int list_store(
    struct cli *c, const struct images *images, size_t which, char **patterns, size_t n, struct listing *l) {
    const struct store *s = &images->stores[which];
    struct store_reference *references;
    int status = EXIT_SUCCESS;
    struct error e = {};
    size_t n_references;

    if (store_reference_list(s, &references, &n_references, &e) < 0) {
        cli_error("%s", e.text);
        return EXIT_FAILURE;
    }
    if (e.number != 0) /* a damaged one; the others are there */
        cli_remark(c, "davit: %s ('davit image fsck' says more)", e.text);
    for (size_t i = 0; i < n_references; i++) {
        _cleanup_(store_image_done) struct store_image image = {};
        if (!name_is_wanted(references[i].name, patterns, n))
            continue;
        if (store_image_load(s, references[i].manifest, &image, &e) < 0) {
            cli_error("%s: %s", references[i].name, e.text);
            status = EXIT_FAILURE;
        } else if (c->options.json)
            (void)json_array_append_new(l->all, image_json(s, which != images->own, &references[i], &image));
        else if (c->options.quiet)
            add_id(c, l, image.manifest.config.digest);
        else
            add_row(c, &l->table, s, &references[i], &image);
    }
    store_references_free(references, n_references);
    return status;
}

int verb_image_list(struct cli *c, char **arguments, size_t n) {
    struct listing l = {.table = {.columns = columns, .n_columns = ARRAY_SIZE(columns)}, .all = json_array()};
    _cleanup_(images_done) struct images images = {};
    int status = EXIT_SUCCESS;

    if (images_open(c, false, &images) < 0)
        status = EXIT_FAILURE;
    for (size_t i = 0; i < images.n; i++)
        if (list_store(c, &images, i, arguments, n, &l) != EXIT_SUCCESS)
            status = EXIT_FAILURE;
    if (c->options.json)
        json_print(l.all);
    else if (!c->options.quiet)
        (void)table_print(&l.table, stdout, c->options.plain ? SIZE_MAX : output_width(), !c->options.plain);
    strv_free(l.shown);
    json_decref(l.all);
    return status;
}

/* Nothing is printed: scripts ask. */
int verb_image_exists(struct cli *c, char **arguments, size_t n _unused_) {
    _cleanup_(images_done) struct images images = {};
    char manifest[DIGEST_TEXT];

    if (images_open(c, false, &images) < 0)
        return EXIT_DAVIT_FAILED;
    for (size_t i = 0; i < images.n; i++)
        if (store_image_find(&images.stores[i], arguments[0], manifest, NULL, NULL) >= 0)
            return EXIT_SUCCESS;
    return EXIT_FAILURE;
}

/* ---- tag, untag ---- */

/* The new names are for all that the old one is: the digest of its index as well. */
static int set_names(const struct store *s, const char *manifest, const char *old_name, char **names,
    size_t n, struct error *e) {
    _cleanup_(store_reference_done) struct store_reference old = {};
    _cleanup_strv_free_ char **canonical = NULL;

    for (size_t i = 0; i < n; i++) {
        char *name;
        int r = reference_canonical(names[i], &name, e);
        if (r >= 0 && strv_consume(&canonical, name) < 0)
            r = error_set(e, ENOMEM, "out of memory");
        if (r < 0)
            return r;
    }
    if (old_name)
        (void)store_reference_get(s, old_name, &old, NULL);
    return store_image_commit(s, manifest, canonical, *old.source ? old.source : NULL, e);
}

/* The image that a person means, in the store that can be changed, which was made when images was opened for writing;
 * one that is only in another is told of. */
static int find_own(const struct images *images, const char *text, const struct store **ret_store,
    char ret_manifest[static DIGEST_TEXT], char **ret_name, struct error *e) {
    *ret_store = &images->stores[images->own];
    int r = store_image_find(*ret_store, text, ret_manifest, ret_name, e);

    for (size_t i = 0; i < images->n && r == -ENOENT; i++)
        if (i != images->own && store_image_find(&images->stores[i], text, ret_manifest, NULL, NULL) >= 0)
            return error_set(e, EROFS, "\"%s\" is in %s, which is read-only", text, images->stores[i].path);
    return r;
}

int verb_image_tag(struct cli *c, char **arguments, size_t n) {
    _cleanup_(images_done) struct images images = {};
    _cleanup_free_ char *name = NULL;
    char manifest[DIGEST_TEXT];
    const struct store *s;
    struct error e = {};

    if (images_open(c, true, &images) < 0)
        return EXIT_FAILURE;
    int r = find_own(&images, arguments[0], &s, manifest, &name, &e);
    if (r >= 0)
        r = set_names(s, manifest, name, arguments + 1, n - 1, &e);
    if (r < 0)
        images_complain(&images, arguments[0], &e);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int remove_name(const struct store *s, const char *name, struct error *e) {
    _cleanup_close_ int lock = store_lock(s, LOCK_SH, LOCK_TIMEOUT, e);

    return lock < 0 ? lock : store_reference_remove(s, name, e);
}

/* The stored name that a person means. */
static int find_name(const struct images *images, const char *text, const struct store **ret_store,
    char ret_manifest[static DIGEST_TEXT], char **ret_name, struct error *e) {
    int r = find_own(images, text, ret_store, ret_manifest, ret_name, e);

    return r >= 0 && !*ret_name ? error_set(e, ENOENT, "no name leads to \"%s\"", text) : r;
}

int verb_image_untag(struct cli *c, char **arguments, size_t n) {
    _cleanup_(images_done) struct images images = {};
    int status = EXIT_SUCCESS;

    if (images_open(c, true, &images) < 0)
        return EXIT_FAILURE;
    for (size_t i = 0; i < n; i++) {
        _cleanup_free_ char *name = NULL;
        char manifest[DIGEST_TEXT];
        const struct store *s;
        struct error e = {};

        int r = find_name(&images, arguments[i], &s, manifest, &name, &e);
        if (r >= 0)
            r = remove_name(s, name, &e);
        if (r < 0) {
            images_complain(&images, arguments[i], &e);
            status = EXIT_FAILURE;
        }
    }
    return status;
}

/* ---- remove ---- */

/* The unit that runs this manifest, or ran it last; NULL if there is none. */
static char *user_of(const struct store *s, const char *manifest) {
    _cleanup_strv_free_ char **units = NULL;

    if (store_use_list(s, &units, NULL) < 0)
        return NULL;
    STRV_FOREACH (unit, units) {
        struct store_use use;
        if (store_use_get(s, *unit, &use, NULL) >= 0 && streq(use.current, manifest))
            return strdup(*unit);
    }
    return NULL;
}

static bool is_id(const char *text) {
    return startswith(text, DIGEST_PREFIX) || text[strspn(text, "0123456789abcdef")] == '\0';
}

/* untagged: the names that were taken away are added to it. */
static int remove_one(
    struct cli *c, const struct images *images, const char *text, json_t *untagged, struct error *e) {
    _cleanup_free_ char *name = NULL, *unit = NULL;
    _cleanup_strv_free_ char **names = NULL;
    char manifest[DIGEST_TEXT];
    const struct store *s;

    int r = find_name(images, text, &s, manifest, &name, e);
    if (r < 0)
        return r;
    if (image_names(s, manifest, &names) < 0)
        return error_set(e, EIO, "reading the names in %s", s->path);
    /* An ID means the image with all its names, which only one that has several must be asked for twice. */
    bool all = is_id(text) && !streq_ptr(text, name);
    if (all && strv_length(names) > 1 && !c->options.force)
        return error_set(e, EBUSY, "%s has %zu names: remove them one by one, or all with --force", text,
            strv_length(names));
    bool last = all || strv_length(names) <= 1;
    unit = last && !c->options.force ? user_of(s, manifest) : NULL;
    if (unit)
        return error_set(
            e, EBUSY, "%s is the image of %s; --force removes its name all the same", text, unit);
    STRV_FOREACH (other, names) {
        if (!all && !streq_ptr(*other, name))
            continue;
        r = remove_name(s, *other, e);
        if (r < 0 && r != -ENOENT)
            return r;
        (void)json_array_append_new(untagged, json_string(*other));
        if (!c->options.quiet && !c->options.json)
            (void)printf("Untagged: %s\n", *other);
    }
    return 0;
}

int verb_image_remove(struct cli *c, char **arguments, size_t n) {
    _cleanup_(images_done) struct images images = {};
    int status = EXIT_SUCCESS;

    if (images_open(c, true, &images) < 0)
        return EXIT_FAILURE;
    json_t *untagged = json_array();
    for (size_t i = 0; i < n; i++) {
        struct error e = {};
        if (remove_one(c, &images, arguments[i], untagged, &e) < 0) {
            images_complain(&images, arguments[i], &e);
            status = EXIT_FAILURE;
        }
    }
    json_t *o = json_pack("{so}", "Untagged", untagged);
    if (c->options.json)
        json_print(o);
    json_decref(o);
    return status;
}
