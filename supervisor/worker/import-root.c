/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images of one layer: a root file system as archive, directory or file system image. */
#include <fcntl.h>

#include "base/fs.h"
#include "image/blob.h"
#include "worker/import.h"
#include "worker/settle.h"
#include "worker/tar-write.h"

static const char *media_type_of(const struct layer_info *layer) {
    return layer->kind == LAYER_EROFS      ? DAVIT_MEDIA_LAYER_EROFS
           : layer->kind == LAYER_SQUASHFS ? DAVIT_MEDIA_LAYER_SQUASHFS
                                           : OCI_MEDIA_LAYER;
}

/* An archive that came compressed is described as what it is inside: one form, one digest, whatever packed
 * it. */
int import_single(struct worker *w, const struct layer_info *layer, const char *created_by, struct error *e) {
    struct document_layer documented = {media_type_of(layer), layer->diff_id, layer->archive_size};
    _cleanup_strv_free_ char **names = NULL;
    _cleanup_json_ json_t *config = config_new();
    char id[DIGEST_TEXT], manifest[DIGEST_TEXT];

    int r = config ? config_change_all(config, w->options.config, e) : error_set(e, ENOMEM, "out of memory");
    if (r >= 0)
        r = config_add_layer(config, layer->diff_id, created_by, e);
    if (r >= 0)
        r = import_names(w, NULL, NULL, &names, e);
    if (r < 0 || import_skips(w, names, NULL))
        return r;
    _cleanup_free_ char *text = document_text(config);
    r = text ? document_put(&w->store, text, strlen(text), &documented, 1, id, manifest, e)
             : error_set(e, ENOMEM, "out of memory");
    if (r >= 0)
        r = settle_and_commit(&w->store, manifest, names, NULL, e);
    if (r < 0)
        return r;
    STRV_FOREACH (name, names)
        worker_image(w, *name, manifest, id);
    return 0;
}

/* ---- archives and directories ---- */

static void on_progress(void *userdata, uint64_t bytes) {
    worker_progress(userdata, "layer 1/1", bytes, 0);
}

static int import_stream(
    struct worker *w, const struct layer_source *source, const char *created_by, struct error *e) {
    struct unpack_expected expected = {.blob_size = UINT64_MAX, .media_type = OCI_MEDIA_LAYER};
    struct unpacked unpacked = UNPACKED_NONE;

    int r = layer_unpack(&w->store, source, &expected, on_progress, w, &unpacked, e);
    if (r < 0)
        return r;
    struct layer_info info = unpacked.writer.info;
    char *diff_ids[] = {info.diff_id, NULL};
    r = unpacked_commit(&w->store, diff_ids, &unpacked, 1, e);
    return r < 0 ? r : import_single(w, &info, created_by, e);
}

int import_archive_root(struct worker *w, int fd, struct error *e) {
    _cleanup_free_ struct file_source *source = malloc(sizeof(*source));
    struct stat st;

    if (!source || fstat(fd, &st) < 0)
        return error_set_errno(e, source ? errno : ENOMEM, "reading");
    file_source_init(source, fd, 0, (uint64_t)st.st_size);
    return import_stream(w, &source->source, "davit image import", e);
}

static int produce_directory(void *userdata, const struct tar_sink *sink, struct error *e) {
    static const struct tar_options options;
    const int *fd = userdata;

    return tar_write_tree(*fd, &options, sink, e);
}

int import_directory_root(struct worker *w, int fd, struct error *e) {
    struct tar_pipe *pipe;

    int r = tar_pipe_open(produce_directory, &fd, &pipe, e);
    if (r < 0)
        return r;
    r = import_stream(w, tar_pipe_source(pipe), "davit image import", e);
    tar_pipe_close(pipe);
    return r;
}

/* ---- file system images, which are mounted as they are ---- */

static int copy_filesystem(
    struct worker *w, int fd, struct layer_writer *writer, struct layer_info *info, struct error *e) {
    const char *name = info->kind == LAYER_EROFS ? "image.erofs" : "image.squashfs";
    _cleanup_free_ struct file_source *source = malloc(sizeof(*source));
    const void *data;
    struct hash hash;
    struct stat st;
    ssize_t n;

    if (!source || fstat(fd, &st) < 0)
        return error_set_errno(e, source ? errno : ENOMEM, "reading");
    info->size = info->blob_size = info->archive_size = (uint64_t)st.st_size;
    int r = store_check_space(&w->store, info->size, e);
    if (r < 0)
        return r;
    _cleanup_close_ int out =
        openat(writer->directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (out < 0)
        return error_set_errno(e, errno, "making %s", name);
    hash_init(&hash);
    file_source_init(source, fd, 0, info->size);
    while ((n = source->source.read(source, &data, e)) > 0) {
        hash_update(&hash, data, (size_t)n);
        r = write_all(out, data, (size_t)n);
        if (r < 0)
            return error_set_errno(e, r, "writing %s", name);
        worker_progress(w, "layer 1/1", hash.size, info->size);
    }
    hash_digest(&hash, info->diff_id);
    memcpy(info->blob, info->diff_id, sizeof(info->blob));
    return (int)n;
}

int import_filesystem(struct worker *w, int fd, enum layer_kind kind, struct error *e) {
    struct layer_writer writer = LAYER_WRITER_NONE;
    struct layer_info info = {.kind = kind};

    (void)snprintf(info.media_type, sizeof(info.media_type), "%s", media_type_of(&info));
    int r = layer_begin(&w->store, kind, &writer, e);
    if (r < 0)
        return r;
    r = copy_filesystem(w, fd, &writer, &info, e);
    if (r >= 0)
        r = layer_finish(&writer, &info, e);
    if (r >= 0)
        r = layers_commit(&w->store, &writer, 1, e);
    layer_abort(&writer);
    return r < 0 ? r : import_single(w, &info, "davit image import", e);
}
