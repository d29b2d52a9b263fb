/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image inspect, history, tree: what is in the store. */
#include "base/parse.h"
#include "cli/images.h"
#include "cli/output.h"
#include "image/image.h"

/* ---- inspect ---- */

/* A document as it is, for the members that davit does not interpret. */
static json_t *document(const struct store *s, const char *digest, size_t max) {
    _cleanup_free_ char *text = NULL;
    size_t n;

    return blob_read(s, digest, max, &text, &n, NULL) < 0 ? NULL : json_loadb(text, n, 0, NULL);
}

static void set(json_t *o, const char *name, json_t *value) {
    if (value)
        (void)json_object_set_new(o, name, value);
}

static json_t *lower_directories(const struct store *s, const struct store_image *i) {
    _cleanup_strv_free_ char **paths = NULL;

    if (image_layers(s, i, &paths, NULL) < 0) /* one is missing, which fsck would tell */
        return NULL;
    _cleanup_free_ char *text = images_lower(paths);
    return text ? json_string(text) : NULL;
}

static json_t *digests_of(char *const *names, const char *manifest) {
    json_t *a = json_array();

    STRV_FOREACH (name, names) {
        size_t n = strcspn(*name, "@");
        const char *slash = strrchr(*name, '/'), *tag = strchr(slash ? slash : *name, ':');
        if ((*name)[n] == '\0' && tag)
            n = (size_t)(tag - *name);
        _cleanup_free_ char *text = strf("%.*s@%s", (int)n, *name, manifest);
        (void)json_array_append_new(a, json_string(text ?: ""));
    }
    return a;
}

json_t *image_inspect(struct cli *c, const struct store *s, const struct store_image *i) {
    json_t *config = document(s, i->manifest.config.digest, OCI_CONFIG_MAX), *o;
    json_t *manifest = document(s, i->manifest_digest, OCI_MANIFEST_MAX), *inner;
    _cleanup_strv_free_ char **names = NULL;
    _cleanup_free_ char *driver = images_driver(c);
    uint64_t size = image_size(s, i);

    (void)image_names(s, i->manifest_digest, &names);
    inner = json_object_get(config, "config");
    o = json_pack("{ss ss so so ss ss ss sI sI s{ss} s{ss so}}", "Id", digest_hex(i->manifest.config.digest),
        "Digest", i->manifest_digest, "RepoTags", json_texts(names), "RepoDigests",
        digests_of(names, i->manifest_digest), "Created", i->config.created ?: "", "Architecture",
        i->config.architecture ?: "", "Os", "linux", "Size", (json_int_t)size, "VirtualSize",
        (json_int_t)size, "GraphDriver", "Name", driver ?: "", "RootFS", "Type", "layers", "Layers",
        json_texts(i->config.diff_ids));
    if (o) {
        json_t *data = json_object();
        set(data, "LowerDir", lower_directories(s, i));
        (void)json_object_set_new(json_object_get(o, "GraphDriver"), "Data", data);
        set(o, "Config", inner ? json_incref(inner) : json_object());
        if (i->config.variant)
            set(o, "Variant", json_string(i->config.variant));
        set(o, "User", json_string(i->config.user ?: ""));
        set(o, "Labels", json_incref(json_object_get(inner, "Labels")));
        set(o, "Healthcheck", json_incref(json_object_get(inner, "Healthcheck")));
        set(o, "History", json_incref(json_object_get(config, "history")));
        set(o, "Annotations", json_incref(json_object_get(manifest, "annotations")));
        set(o, "ManifestType", json_string(i->manifest.docker ? DOCKER_MEDIA_MANIFEST : OCI_MEDIA_MANIFEST));
    }
    json_decref(config);
    json_decref(manifest);
    return o;
}

int verb_image_inspect(struct cli *c, char **arguments, size_t n) {
    _cleanup_(images_done) struct images images = {};
    json_t *all = json_array();
    int status = EXIT_SUCCESS;

    if (images_open(c, false, &images) < 0)
        status = EXIT_FAILURE;
    for (size_t i = 0; i < n && status == EXIT_SUCCESS; i++) {
        _cleanup_(store_image_done) struct store_image image = {};
        const struct store *s;
        if (images_load(&images, arguments[i], &image, &s) < 0)
            status = EXIT_FAILURE;
        else
            (void)json_array_append_new(all, image_inspect(c, s, &image));
    }
    if (status == EXIT_SUCCESS)
        json_print(all);
    json_decref(all);
    return status;
}

/* ---- history, tree ---- */

/* The diffID that the next step of the history made; NULL for one that made none, or where the history says
 * more than there is. */
static const char *step_layer(const struct oci_config *config, const struct oci_history *h, size_t *layer) {
    if (h->empty_layer || *layer >= strv_length(config->diff_ids))
        return NULL;
    return config->diff_ids[(*layer)++];
}

/* The members of `podman history --format json`, which has small and large letters. Layers have no IDs of their
 * own any more: only the last step has the image's. What each step made is our own member. */
static json_t *history_json(const struct store *s, const struct store_image *i, char *const *names) {
    json_t *all = json_array();
    size_t layer = 0;

    for (size_t k = 0; k < i->config.n_history; k++) {
        const struct oci_history *h = &i->config.history[k];
        bool last = k == i->config.n_history - 1;
        const char *id = step_layer(&i->config, h, &layer);
        (void)json_array_insert_new(all, 0,
            json_pack("{ss ss* ss* ss* sI ss* sb so*}", "id",
                last ? digest_hex(i->manifest.config.digest) : "<missing>", "created", h->created,
                "CreatedBy", h->created_by, "comment", h->comment, "size", (json_int_t)layer_size(s, id),
                "Layer", id, "EmptyLayer", (int)h->empty_layer, "tags", last ? json_texts(names) : NULL));
    }
    return all;
}

static void print_history(json_t *all) {
    static const struct table_column history_columns[] = {
        {"LAYER", false, false},
        {"CREATED", false, false},
        {"CREATED BY", false, true},
        {"SIZE", true, false},
        {"COMMENT", false, true},
    };
    struct table t = {.columns = history_columns, .n_columns = ARRAY_SIZE(history_columns)};
    char ago[TIMESPAN_MAX + 8], id[13], size[16];
    json_t *step;
    size_t i;

    JSON_ARRAY_FOREACH (i, step, all) {
        const char *layer = json_text(step, "Layer");
        usec_t created;
        bool known = timestamp_parse(json_text(step, "created"), 0, &created) >= 0;

        table_add(&t, COLOR_NONE, *layer ? digest_short(layer, id) : NULL);
        table_add(&t, COLOR_NONE, known ? time_ago(created, now_realtime(), ago) : NULL);
        table_add(&t, COLOR_NONE, json_text(step, "CreatedBy"));
        table_add(&t, COLOR_NONE, size_format((uint64_t)json_number(step, "size", 0), size));
        table_add(&t, COLOR_NONE, json_text(step, "comment"));
    }
    (void)table_print(&t, stdout, output_width(), true);
}

int verb_image_history(struct cli *c, char **arguments, size_t n _unused_) {
    _cleanup_(store_image_done) struct store_image image = {};
    _cleanup_(images_done) struct images images = {};
    _cleanup_strv_free_ char **names = NULL;
    const struct store *s;

    if (images_open(c, false, &images) < 0 || images_load(&images, arguments[0], &image, &s) < 0 ||
        image_names(s, image.manifest_digest, &names) < 0)
        return EXIT_FAILURE;
    json_t *all = history_json(s, &image, names);
    if (c->options.json)
        json_print(all);
    else
        print_history(all);
    json_decref(all);
    return EXIT_SUCCESS;
}

static void print_tree(json_t *image) {
    json_t *layers = json_object_get(image, "Layers"), *name;
    size_t i;
    char size[16];

    (void)printf("Image ID: %.12s\nNames:   ", json_text(image, "Id"));
    JSON_ARRAY_FOREACH (i, name, json_object_get(image, "Names"))
        (void)printf("%s %s", i > 0 ? "," : "", json_string_value(name));
    (void)printf("%s\nSize:     %s\nLayers, topmost first\n", i == 0 ? " -" : "",
        size_format((uint64_t)json_number(image, "Size", 0), size));
    for (i = json_array_size(layers); i-- > 0;) {
        json_t *layer = json_array_get(layers, i);
        (void)printf("%s %.12s %s\n", i == 0 ? "└─" : "├─", digest_hex(json_text(layer, "Layer")),
            size_format((uint64_t)json_number(layer, "Size", 0), size));
    }
}

int verb_image_tree(struct cli *c, char **arguments, size_t n _unused_) {
    _cleanup_(store_image_done) struct store_image image = {};
    _cleanup_(images_done) struct images images = {};
    _cleanup_strv_free_ char **names = NULL;
    const struct store *s;

    if (images_open(c, false, &images) < 0 || images_load(&images, arguments[0], &image, &s) < 0 ||
        image_names(s, image.manifest_digest, &names) < 0)
        return EXIT_FAILURE;
    json_t *layers = json_array();
    STRV_FOREACH (id, image.config.diff_ids)
        (void)json_array_append_new(
            layers, json_pack("{ss sI}", "Layer", *id, "Size", (json_int_t)layer_size(s, *id)));
    json_t *o = json_pack("{ss ss so sI so}", "Id", digest_hex(image.manifest.config.digest), "Digest",
        image.manifest_digest, "Names", json_texts(names), "Size", (json_int_t)image_size(s, &image),
        "Layers", layers);
    if (c->options.json)
        json_print(o);
    else
        print_tree(o);
    json_decref(o);
    return EXIT_SUCCESS;
}
