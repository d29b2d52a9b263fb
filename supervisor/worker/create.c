/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-image create: an image from a directory, another image, or nothing; files of the host copied in as
 * one layer; a changed configuration. Enough for appliances, and the same input gives the same digests: no
 * clock is read, and files that are copied belong to root, as in a Containerfile.
 *
 * With --upper=DIRECTORY it is `davit commit`: the upper directory of a container becomes the layer on top of
 * its image, with the owners that the container's user namespace (--id-base, --id-count) sees. What davit
 * itself puts into a container is no part of it: the files of the init layer, and the mount points that it
 * makes. With --tree=DIRECTORY the container has a tree instead (image/driver.h), and the layer is what is
 * changed in it. Such an image is as old as the newest file in the layer.
 */
#include <fcntl.h>

#include "base/fs.h"
#include "base/parse.h"
#include "image/chain.h"
#include "image/driver.h"
#include "image/image.h"
#include "worker/import.h"
#include "worker/settle.h"
#include "worker/tar-write.h"

struct copy {
    int fd;
    const char *target;
};

struct create {
    struct worker *worker;
    int from;                    /* a directory, -1 = none */
    int upper;                   /* a container's upper directory or tree, -1 = none */
    struct tree_changes changes; /* of a tree */
    struct tar_options upper_options;
    struct timespec newest;
    struct copy *copies;
    size_t n_copies;
    json_t *config;
    struct document_layer *layers; /* of the new image, lowest first */
    char (*digests)[DIGEST_TEXT];  /* what their digests point to */
    char (*media_types)[96];
    char **diff_ids;
    size_t n_layers;
};

/* ---- before confinement: sources ---- */

static int open_source(struct worker *w, const char *path, struct error *e) {
    int fd = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    return fd < 0 ? error_set_errno(e, errno, "%s", path) : worker_add_input(w, fd, e);
}

/* A name with a slash at its start or "." is a directory; others are images. */
static bool is_directory_name(const char *from) {
    return *from == '/' || *from == '.';
}

int create_prepare(struct worker *w, struct error *e) {
    int r = 0;

    if (strv_length(w->options.names) != 1)
        return error_set(e, EINVAL, "create takes one name");
    if (w->options.from && is_directory_name(w->options.from))
        r = open_source(w, w->options.from, e);
    if (r >= 0 && w->options.upper)
        r = open_source(w, w->options.upper, e);
    if (r >= 0 && w->options.tree)
        r = open_source(w, w->options.tree, e);
    STRV_FOREACH (copy, w->options.copy) {
        char *colon = strrchr(*copy, ':');
        if (r < 0)
            return r;
        if (!colon || colon == *copy || colon[1] == '\0')
            return error_set(e, EINVAL, "--copy=%s: expected SOURCE:TARGET", *copy);
        _cleanup_free_ char *source = strndup(*copy, (size_t)(colon - *copy));
        r = source ? open_source(w, source, e) : error_set(e, ENOMEM, "out of memory");
    }
    return r;
}

/* ---- layers ---- */

static int make_room(struct create *c, size_t n, struct error *e) {
    c->layers = calloc(n, sizeof(*c->layers));
    c->digests = calloc(n, sizeof(*c->digests));
    c->media_types = calloc(n, sizeof(*c->media_types));
    if (c->layers && c->digests && c->media_types)
        return 0;
    (void)error_set(e, ENOMEM, "out of memory");
    return -ENOMEM;
}

static int add_layer(struct create *c, const char *media_type, const char *digest, uint64_t size,
    const char *diff_id, struct error *e) {
    size_t i = c->n_layers++;

    memcpy(c->digests[i], digest, DIGEST_TEXT);
    (void)snprintf(c->media_types[i], sizeof(c->media_types[i]), "%s", media_type);
    c->layers[i] = (struct document_layer){c->media_types[i], c->digests[i], size};
    return strv_append(&c->diff_ids, diff_id) < 0 ? error_set(e, ENOMEM, "out of memory") : 0;
}

/* Layers and configuration of the image that this one is made from. */
static int take_image(struct create *c, const char *name, struct error *e) {
    const struct store *s = &c->worker->store;
    _cleanup_(store_image_done) struct store_image i = {};
    _cleanup_free_ char *text = NULL;
    char manifest[DIGEST_TEXT];
    size_t n;

    int r = store_image_find(s, name, manifest, NULL, e);
    if (r >= 0)
        r = store_image_load(s, manifest, &i, e);
    if (r >= 0)
        r = blob_read(s, i.manifest.config.digest, OCI_CONFIG_MAX, &text, &n, e);
    if (r >= 0)
        r = oci_json_parse(text, n, OCI_CONFIG_MAX, name, &c->config, e);
    if (r >= 0)
        r = make_room(c, i.manifest.n_layers + 2, e);
    for (size_t k = 0; k < i.manifest.n_layers && r >= 0; k++) {
        const struct oci_descriptor *d = &i.manifest.layers[k];
        layer_touch(s, i.config.diff_ids[k]);
        r = add_layer(c, d->media_type, d->digest, d->size, i.config.diff_ids[k], e);
    }
    return r;
}

static int produce_from(void *userdata, const struct tar_sink *sink, struct error *e) {
    static const struct tar_options options;
    const struct create *c = userdata;

    return tar_write_tree(c->from, &options, sink, e);
}

static int produce_upper(void *userdata, const struct tar_sink *sink, struct error *e) {
    const struct create *c = userdata;

    return tar_write_tree(c->upper, &c->upper_options, sink, e);
}

static int produce_copies(void *userdata, const struct tar_sink *sink, struct error *e) {
    const struct create *c = userdata;
    struct stat st;

    for (size_t i = 0; i < c->n_copies; i++) {
        struct tar_options options = {.prefix = c->copies[i].target, .root_owner = true};
        if (fstat(c->copies[i].fd, &st) < 0)
            return error_set_errno(e, errno, "stat");
        int r = S_ISDIR(st.st_mode) ? tar_write_tree(c->copies[i].fd, &options, sink, e)
                                    : tar_write_file(c->copies[i].fd, c->copies[i].target, &options, sink, e);
        if (r < 0)
            return error_prefix(e, r, "copy to %s", c->copies[i].target);
    }
    return 0;
}

static int make_layer(struct create *c,
    int (*produce)(void *userdata, const struct tar_sink *sink, struct error *e), const char *created_by,
    struct error *e) {
    struct unpack_expected expected = {.blob_size = UINT64_MAX, .media_type = OCI_MEDIA_LAYER};
    struct unpacked unpacked = UNPACKED_NONE;
    struct tar_pipe *pipe;

    int r = tar_pipe_open(produce, c, &pipe, e);
    if (r < 0)
        return r;
    r = layer_unpack(&c->worker->store, tar_pipe_source(pipe), &expected, NULL, NULL, &unpacked, e);
    tar_pipe_close(pipe);
    if (r < 0)
        return r;
    struct layer_info info = unpacked.writer.info;
    r = add_layer(c, OCI_MEDIA_LAYER, info.diff_id, info.archive_size, info.diff_id, e);
    if (r >= 0)
        r = unpacked_commit(&c->worker->store, c->diff_ids, &unpacked, 1, e);
    unpacked_abort(&unpacked);
    return r < 0 ? r : config_add_layer(c->config, info.diff_id, created_by, e);
}

/* ---- the layer of a container ---- */

static int take_upper(struct create *c, int fd, struct error *e) {
    c->upper = fd;
    c->upper_options =
        (struct tar_options){.whiteouts = true, .without = image_paths_made, .newest = &c->newest};
    return worker_ids(c->worker, &c->upper_options.id_base, &c->upper_options.id_count, e);
}

/* directory: has the tree, and says what it is a copy of. Owners in it are those that the container sees. */
static int take_tree(struct create *c, int directory, struct error *e) {
    int r = chain_compare(&c->worker->store, directory, image_paths_made, &c->changes, e);
    if (r < 0)
        return r;
    int fd = openat(directory, TREE_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    r = fd < 0 ? error_set_errno(e, errno, "the container's tree") : worker_add_input(c->worker, fd, e);
    if (r < 0)
        return r;
    c->upper = fd;
    c->upper_options =
        (struct tar_options){.changes = &c->changes, .without = image_paths_made, .newest = &c->newest};
    return 0;
}

/* When the newest of its files was changed; $SOURCE_DATE_EPOCH (https://reproducible-builds.org) says
 * otherwise. */
static int set_created(struct create *c, struct error *e) {
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    char time[TIMESTAMP_MAX];
    uint64_t seconds;

    if (epoch) {
        if (parse_uint(epoch, 0, 253402300799, &seconds) < 0)
            return error_set(e, EINVAL, "$SOURCE_DATE_EPOCH is \"%s\", no number of seconds", epoch);
        c->newest = (struct timespec){.tv_sec = (time_t)seconds};
    }
    (void)timestamp_format_rfc3339(
        (usec_t)c->newest.tv_sec * USEC_PER_SEC + (usec_t)c->newest.tv_nsec / NSEC_PER_USEC, time);
    _cleanup_free_ char *change = strf("Created=%s", time);
    return change ? config_change(c->config, change, e) : error_set(e, ENOMEM, "out of memory");
}

/* ---- the whole ---- */

static int take_inputs(struct create *c, struct error *e) {
    struct worker *w = c->worker;
    size_t next = 0;

    if (w->options.from && is_directory_name(w->options.from))
        c->from = w->inputs[next++];
    int r = w->options.upper  ? take_upper(c, w->inputs[next++], e)
            : w->options.tree ? take_tree(c, w->inputs[next++], e)
                              : 0;
    if (r < 0)
        return r;
    c->n_copies = strv_length(w->options.copy);
    c->copies = calloc(MAX(c->n_copies, (size_t)1), sizeof(*c->copies));
    if (!c->copies)
        return error_set(e, ENOMEM, "out of memory");
    for (size_t i = 0; i < c->n_copies; i++)
        c->copies[i] = (struct copy){w->inputs[next++], strrchr(w->options.copy[i], ':') + 1};
    return 0;
}

static int make_layers(struct create *c, struct error *e) {
    struct worker *w = c->worker;
    int r;

    if (w->options.from && c->from < 0)
        r = take_image(c, w->options.from, e);
    else {
        c->config = config_new();
        r = c->config ? make_room(c, 3, e) : error_set(e, ENOMEM, "out of memory");
    }
    if (r >= 0 && c->from >= 0)
        r = make_layer(c, produce_from, "davit image create --from DIRECTORY", e);
    if (r >= 0 && c->upper >= 0) {
        r = make_layer(c, produce_upper, "davit commit", e);
        if (r >= 0)
            r = set_created(c, e);
    }
    if (r >= 0 && c->n_copies > 0)
        r = make_layer(c, produce_copies, "davit image create --copy", e);
    if (r >= 0 && c->n_layers == 0)
        r = error_set(e, EINVAL, "an image of nothing: say --from or --copy");
    return r;
}

static int put_image(struct create *c, struct error *e) {
    struct worker *w = c->worker;
    char id[DIGEST_TEXT], manifest[DIGEST_TEXT];
    _cleanup_strv_free_ char **names = NULL;

    int r = config_change_all(c->config, w->options.config, e);
    if (r >= 0)
        r = import_names(w, NULL, NULL, &names, e);
    if (r < 0)
        return r;
    _cleanup_free_ char *text = document_text(c->config);
    r = text ? document_put(&w->store, text, strlen(text), c->layers, c->n_layers, id, manifest, e)
             : error_set(e, ENOMEM, "out of memory");
    if (r >= 0)
        r = settle_and_commit(&w->store, manifest, names, NULL, e);
    if (r >= 0)
        worker_image(w, names[0], manifest, id);
    return r;
}

int create_run(struct worker *w, struct error *e) {
    struct create c = {.worker = w, .from = -1, .upper = -1};

    int r = take_inputs(&c, e);
    if (r >= 0)
        r = make_layers(&c, e);
    if (r >= 0)
        r = put_image(&c, e);
    json_decref(c.config);
    tree_changes_done(&c.changes);
    free(c.copies);
    free(c.layers);
    free(c.digests);
    free(c.media_types);
    strv_free(c.diff_ids);
    return r;
}
