/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/images.h"

#include "base/fs.h"
#include "cli/image-worker.h"
#include "image/driver.h"
#include "image/gc-policy.h"
#include "image/image.h"
#include "image/roots.h"

/* Read once: a broken davit.conf is complained of once, and then its image_roots are none. */
static char *const *image_roots(struct cli *c, size_t *ret_own) {
    static char **roots;
    static size_t own;
    struct error e = {};

    if (!roots) {
        _cleanup_free_ char *path = strf("%s/images", c->paths.state);
        int r = path ? image_roots_read(c->paths.config, path, &roots, &own, &e) : -ENOMEM;
        if (r < 0 && path) {
            cli_remark(c, "davit: %s", e.text);
            r = image_roots_read("", path, &roots, &own, &e);
        }
        if (r < 0)
            cli_error("%s", errno_text(r));
    }
    *ret_own = own;
    return roots;
}

void images_done(struct images *i) {
    for (size_t k = 0; k < i->n; k++)
        store_done(&i->stores[k]);
    free(TAKE_PTR(i->stores));
    i->n = 0;
}

int images_open(struct cli *c, bool write, struct images *ret) {
    _cleanup_(images_done) struct images i = {.own = SIZE_MAX};
    size_t own;
    char *const *roots = image_roots(c, &own);

    if (!roots || !(i.stores = calloc(strv_length(roots), sizeof(*i.stores))))
        return -ENOMEM;
    for (size_t k = 0; roots[k]; k++) {
        struct error e = {};
        int r = store_open(roots[k], write && k == own, &i.stores[i.n], &e);
        if (r == -ENOENT)
            continue;
        if (r < 0) {
            cli_error("%s", e.text);
            return r;
        }
        if (k == own)
            i.own = i.n;
        i.n++;
    }
    *ret = i;
    i = (struct images){};
    return 0;
}

/* A stored name that text may be a slip of the keyboard for, newly allocated: all of it, or what stands behind the
 * last slash, with or without the tag. */
static char *nearest_name(const struct images *i, const char *text) {
    _cleanup_free_ char *nearest = NULL;
    unsigned least = 3;

    for (size_t k = 0; k < i->n; k++) {
        struct store_reference *l = NULL;
        size_t n = 0;

        if (store_reference_list(&i->stores[k], &l, &n, NULL) < 0)
            continue;
        for (size_t r = 0; r < n; r++) {
            const char *last = path_basename(l[r].name);
            _cleanup_free_ char *bare = strndup(last, strcspn(last, ":@"));
            const char *forms[] = {l[r].name, last, bare ?: last};

            for (size_t f = 0; f < ARRAY_SIZE(forms); f++)
                if (edit_distance(text, forms[f]) < least && free_and_strdup(&nearest, l[r].name) >= 0)
                    least = edit_distance(text, forms[f]);
        }
        store_references_free(l, n);
    }
    return TAKE_PTR(nearest);
}

void images_complain(const struct images *i, const char *text, const struct error *e) {
    _cleanup_free_ char *nearest = e->number == ENOENT ? nearest_name(i, text) : NULL;

    if (nearest)
        cli_error("%s (did you mean %s?)", e->text, nearest);
    else
        cli_error("%s", e->text);
}

int images_look_up(const struct images *i, const char *text, struct store_image *ret,
    const struct store **ret_store, struct error *e) {
    int r = error_set(e, ENOENT, "there is no image \"%s\": the image store is empty", text);

    for (size_t k = 0; k < i->n && r == -ENOENT; k++) {
        _cleanup_free_ char *name = NULL;
        char manifest[DIGEST_TEXT];

        r = store_image_find(&i->stores[k], text, manifest, &name, e);
        if (r < 0)
            continue;
        r = store_image_load(&i->stores[k], manifest, ret, e);
        if (r < 0)
            break;
        ret->name = TAKE_PTR(name);
        *ret_store = &i->stores[k];
        return 0;
    }
    return r;
}

int images_load(
    const struct images *i, const char *text, struct store_image *ret, const struct store **ret_store) {
    struct error e = {};

    int r = images_look_up(i, text, ret, ret_store, &e);
    if (r >= 0)
        return r;
    images_complain(i, text, &e);
    return r;
}

uint64_t layer_size(const struct store *s, const char *diff_id) {
    struct layer_info info;

    return diff_id && layer_find(s, diff_id, &info, NULL) >= 0 ? info.size : 0;
}

uint64_t image_size(const struct store *s, const struct store_image *i) {
    uint64_t size = 0;

    STRV_FOREACH (id, i->config.diff_ids)
        size += layer_size(s, *id);
    return size;
}

int image_names(const struct store *s, const char *manifest, char ***ret) {
    _cleanup_strv_free_ char **names = NULL;
    struct store_reference *references;
    struct error e = {};
    size_t n;

    int r = store_reference_list(s, &references, &n, &e);
    if (r < 0) {
        cli_error("%s", e.text);
        return r;
    }
    for (size_t i = 0; i < n && r >= 0; i++)
        if (streq(references[i].manifest, manifest))
            r = strv_append(&names, references[i].name);
    store_references_free(references, n);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(names);
    return 0;
}

const char *digest_short(const char *digest, char buffer[static 13]) {
    (void)snprintf(buffer, 13, "%.12s", digest_hex(digest));
    return buffer;
}

usec_t image_created(const struct oci_config *c) {
    usec_t t;
    return c->created && timestamp_parse(c->created, 0, &t) >= 0 ? t : 0;
}

int images_find_layers(struct cli *c, const char *name, struct image *ret, struct error *e) {
    size_t own;
    char *const *roots = image_roots(c, &own);

    return roots ? image_resolve(roots, name, ret, e) : error_set(e, ENOMEM, "out of memory");
}

int images_add_roots(struct cli *c, char ***arguments) {
    size_t own;
    char *const *roots = image_roots(c, &own);

    STRV_FOREACH (root, roots) {
        int r = image_worker_option(arguments, "root", *root);
        if (r < 0)
            return r;
    }
    return roots ? 0 : -ENOMEM;
}

int images_resolve(struct cli *c, const char *name, struct image *ret) {
    struct error e = {};
    int r = images_find_layers(c, name, ret, &e);

    if (r < 0)
        cli_error("%s", e.text);
    return r;
}

char *images_lower(char *const *layers) {
    struct strbuf b = {};

    for (size_t i = strv_length(layers); i-- > 0;)
        strbuf_printf(&b, "%s%s", layers[i], i > 0 ? ":" : "");
    return strbuf_take(&b);
}

char *images_driver(struct cli *c) {
    struct gc_policy policy = {};

    if (gc_policy_read(c->paths.config, &policy, NULL) < 0)
        return strdup(STORAGE_DRIVER_DEFAULT);
    char *driver = strdup(policy.driver ?: STORAGE_DRIVER_DEFAULT);
    gc_policy_done(&policy);
    return driver;
}
