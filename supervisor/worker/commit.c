/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-image commit DIRECTORY: the upper directory of a container as another layer on top of its image.
 *
 *   --from=MANIFEST  the image that the container was made from
 *   --id-base=N --id-count=N   the container's user namespace, if it has one
 *
 * What davit itself puts into a container is no part of it: the files of the init layer, and the mount points
 * that it makes. The clock is not read: the image is as old as the newest file in the layer, so the same
 * directory gives the same digests.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/parse.h"
#include "worker/document.h"
#include "worker/tar-write.h"
#include "worker/unpack.h"
#include "worker/worker.h"

static char *without[] = {(char[]){"etc/hosts"}, (char[]){"etc/hostname"}, (char[]){"etc/resolv.conf"},
    (char[]){"run/host"}, (char[]){"dev"}, (char[]){"proc"}, (char[]){"sys"}, NULL};

int commit_prepare(struct worker *w, struct error *e) {
    if (w->n_arguments != 1 || !w->options.from || !w->options.names)
        return error_set(e, EINVAL, "commit --from=MANIFEST --name=NAME DIRECTORY");
    int fd = open(w->arguments[0], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(e, errno, "%s", w->arguments[0]);
    return worker_add_input(w, fd, e);
}

/* ---- the layer ---- */

struct upper {
    int fd;
    struct tar_options options;
};

static int produce(void *userdata, const struct tar_sink *sink, struct error *e) {
    const struct upper *u = userdata;

    return tar_write_tree(u->fd, &u->options, sink, e);
}

static int read_id(const char *text, uint32_t *ret, struct error *e) {
    uint64_t n;

    if (!text)
        return 0;
    if (parse_uint(text, 0, UINT32_MAX, &n) < 0)
        return error_set(e, EINVAL, "\"%s\" is no number of ids", text);
    *ret = (uint32_t)n;
    return 0;
}

static void on_progress(void *userdata, uint64_t bytes) {
    worker_progress(userdata, "layer", bytes, 0);
}

static int make_layer(struct worker *w, struct unpacked *ret, struct error *e) {
    const struct unpack_expected expected = {.blob_size = UINT64_MAX, .media_type = OCI_MEDIA_LAYER};
    struct upper u = {.fd = w->inputs[0], .options = {.whiteouts = true, .without = without}};
    struct tar_pipe *pipe;

    int r = read_id(w->options.id_base, &u.options.id_base, e);
    if (r >= 0)
        r = read_id(w->options.id_count, &u.options.id_count, e);
    if (r >= 0)
        r = tar_pipe_open(produce, &u, &pipe, e);
    if (r < 0)
        return r;
    r = layer_unpack(&w->store, tar_pipe_source(pipe), &expected, on_progress, w, ret, e);
    tar_pipe_close(pipe);
    return r;
}

/* ---- how old it is ---- */

/* The newest time of a file below fd; the tree is the layer's own, nobody changes it. */
static int newest(int directory, const char *name, struct timespec *t) {
    _cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    int r = 0;

    if (!d)
        return negative_errno();
    TAKE_FD(fd);
    for (const struct dirent *entry; r >= 0 && (entry = readdir(d));) {
        struct stat st;
        if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
            continue;
        if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (!(S_ISCHR(st.st_mode) && st.st_rdev == 0) &&
            (st.st_mtim.tv_sec > t->tv_sec ||
                (st.st_mtim.tv_sec == t->tv_sec && st.st_mtim.tv_nsec > t->tv_nsec)))
            *t = st.st_mtim;
        if (S_ISDIR(st.st_mode))
            r = newest(dirfd(d), entry->d_name, t);
    }
    (void)closedir(d);
    return r;
}

/* $SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/) says otherwise. */
static int created(const struct layer_writer *writer, char ret[static TIMESTAMP_MAX], struct error *e) {
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    struct timespec t = {};
    uint64_t seconds;

    if (epoch) {
        if (parse_uint(epoch, 0, 253402300799, &seconds) < 0)
            return error_set(e, EINVAL, "$SOURCE_DATE_EPOCH is \"%s\", no number of seconds", epoch);
        t.tv_sec = (time_t)seconds;
    } else {
        int r = newest(writer->directory_fd, "tree", &t);
        if (r < 0)
            return error_set_errno(e, r, "reading the layer");
    }
    (void)timestamp_format_rfc3339(
        (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / NSEC_PER_USEC, ret);
    return 0;
}

/* ---- documents ---- */

static int read_config(const struct store *s, const char *digest, json_t **ret, struct error *e) {
    _cleanup_free_ char *text = NULL;
    size_t n;

    int r = blob_read(s, digest, OCI_CONFIG_MAX, &text, &n, e);
    return r < 0 ? r : oci_json_parse(text, n, OCI_CONFIG_MAX, digest, ret, e);
}

static int put_image(struct worker *w, const struct store_image *from, const struct layer_info *layer,
    const char *time, char ret_id[static DIGEST_TEXT], char ret_manifest[static DIGEST_TEXT],
    struct error *e) {
    size_t n = from->manifest.n_layers;
    _cleanup_free_ struct document_layer *layers = calloc(n + 1, sizeof(*layers));
    _cleanup_free_ char *change = strf("Created=%s", time), *text = NULL;
    _cleanup_json_ json_t *config = NULL;

    if (!layers || !change)
        return error_set(e, ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const struct oci_descriptor *d = &from->manifest.layers[i];
        layers[i] = (struct document_layer){d->media_type, d->digest, d->size};
    }
    layers[n] = (struct document_layer){OCI_MEDIA_LAYER, layer->diff_id, layer->archive_size};
    int r = read_config(&w->store, from->manifest.config.digest, &config, e);
    if (r >= 0)
        r = config_change(config, change, e);
    if (r >= 0)
        r = config_change_all(config, w->options.config, e);
    if (r >= 0)
        r = config_add_layer(config, layer->diff_id, "davit commit", e);
    if (r < 0)
        return r;
    text = document_text(config);
    return text ? document_put(&w->store, text, strlen(text), layers, n + 1, ret_id, ret_manifest, e)
                : error_set(e, ENOMEM, "out of memory");
}

static int canonical_names(struct worker *w, char ***ret, struct error *e) {
    STRV_FOREACH (text, w->options.names) {
        char *name;
        int r = reference_canonical(*text, &name, e);
        if (r >= 0 && strv_consume(ret, name) < 0)
            r = error_set(e, ENOMEM, "out of memory");
        if (r < 0)
            return r;
    }
    return 0;
}

/* The layer's place in the store, below it those of the image. */
static int place_layer(
    struct worker *w, const struct store_image *from, struct unpacked *layer, struct error *e) {
    _cleanup_strv_free_ char **diff_ids = strv_copy(from->config.diff_ids);

    if (!diff_ids || strv_append(&diff_ids, layer->writer.info.diff_id) < 0) {
        unpacked_abort(layer);
        return error_set(e, ENOMEM, "out of memory");
    }
    return unpacked_commit(&w->store, diff_ids, layer, 1, e);
}

int commit_run(struct worker *w, struct error *e) {
    _cleanup_(store_image_done) struct store_image from = {};
    _cleanup_strv_free_ char **names = NULL;
    char id[DIGEST_TEXT], manifest[DIGEST_TEXT], time[TIMESTAMP_MAX];
    struct unpacked layer = UNPACKED_NONE;

    if (!digest_is_valid(w->options.from))
        return error_set(e, EINVAL, "--from=%s is no digest", w->options.from);
    int r = canonical_names(w, &names, e);
    if (r >= 0)
        r = store_image_load(&w->store, w->options.from, &from, e);
    if (r >= 0)
        r = make_layer(w, &layer, e);
    if (r < 0)
        return r;
    struct layer_info info = layer.writer.info;
    r = created(&layer.writer, time, e);
    if (r < 0)
        unpacked_abort(&layer);
    else
        r = place_layer(w, &from, &layer, e);
    if (r >= 0)
        r = put_image(w, &from, &info, time, id, manifest, e);
    if (r >= 0)
        r = store_image_commit(&w->store, manifest, names, NULL, e);
    if (r < 0)
        return r;
    STRV_FOREACH (name, names)
        worker_image(w, *name, manifest, id);
    return 0;
}
