/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/stream.h"

#include <inttypes.h>
#include <string.h>

/* ---- decompression ---- */

static ssize_t on_read(struct archive *a, void *userdata, const void **ret_data) {
    struct stream *s = userdata;

    ssize_t n = s->source->read(s->source->userdata, ret_data, &s->error);
    if (n < 0) {
        archive_set_error(a, (int)-n, "reading");
        return ARCHIVE_FATAL;
    }
    hash_update(&s->blob, *ret_data, (size_t)n);
    return n;
}

/* Those that libarchive has in itself: others would start programs. */
static int (*const filters[])(struct archive *) = {
    archive_read_support_filter_gzip,
    archive_read_support_filter_zstd,
    archive_read_support_filter_xz,
    archive_read_support_filter_bzip2,
    archive_read_support_filter_lzma,
    archive_read_support_filter_lzip,
    archive_read_support_filter_lz4,
    archive_read_support_filter_compress,
};

bool archive_lacks_memory(struct archive *a) {
    const char *text = archive_error_string(a);
    return archive_errno(a) == ENOMEM || (text && strstr(text, "memory"));
}

static int failed(struct stream *s, struct error *e) {
    if (s->error.number != 0) {
        if (e)
            *e = s->error;
        return -s->error.number;
    }
    if (archive_lacks_memory(s->raw))
        return error_set(e, ENOMEM, ARCHIVE_LACKS_MEMORY);
    const char *text = archive_error_string(s->raw);
    return error_set(e, EBADMSG, "the layer cannot be decompressed: %s", text ? text : "damaged");
}

int stream_open(struct stream *s, const struct layer_source *source, struct error *e) {
    struct archive_entry *entry;

    *s = (struct stream){.source = source, .raw = archive_read_new()};
    if (!s->raw)
        return error_set(e, ENOMEM, "out of memory");
    hash_init(&s->blob);
    hash_init(&s->diff);
    for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
        (void)filters[i](s->raw);
    (void)archive_read_support_format_raw(s->raw);
    (void)archive_read_support_format_empty(s->raw);
    if (archive_read_open(s->raw, s, NULL, on_read, NULL) != ARCHIVE_OK)
        return failed(s, e);
    int r = archive_read_next_header(s->raw, &entry);
    if (r != ARCHIVE_OK && r != ARCHIVE_EOF)
        return failed(s, e);
    s->plain = archive_filter_count(s->raw) <= 1;
    return 0;
}

void stream_close(struct stream *s) {
    if (s->raw)
        (void)archive_read_free(s->raw);
    s->raw = NULL;
}

ssize_t stream_read(struct stream *s, const void **ret_data, struct error *e) {
    size_t n = 0;
    la_int64_t offset;

    int r = archive_read_data_block(s->raw, ret_data, &n, &offset);
    if (r == ARCHIVE_EOF)
        return 0;
    if (r != ARCHIVE_OK)
        return failed(s, e);
    if (!s->plain)
        hash_update(&s->diff, *ret_data, n);
    s->size += n;
    if (s->size > STREAM_MAX)
        return error_set(e, EFBIG, "the layer unpacks to more than %" PRIu64 " bytes", STREAM_MAX);
    if (s->tap)
        s->tap(s->tap_userdata, *ret_data, n);
    return (ssize_t)n;
}

int stream_drain(struct stream *s, struct error *e) {
    const void *data;
    ssize_t n;

    while ((n = stream_read(s, &data, e)) > 0) {
        s->padding += (uint64_t)n;
        if (s->padding > STREAM_PADDING_MAX)
            return error_set(e, EFBIG, "more than %" PRIu64 " bytes follow the end of the layer's archive",
                STREAM_PADDING_MAX);
    }
    /* What follows the compressed data is part of the blob. */
    while (n == 0) {
        n = s->source->read(s->source->userdata, &data, e);
        if (n <= 0)
            break;
        hash_update(&s->blob, data, (size_t)n);
        s->padding += (uint64_t)n;
        if (s->padding > STREAM_PADDING_MAX)
            return error_set(e, EFBIG, "more than %" PRIu64 " bytes follow the end of the layer's archive",
                STREAM_PADDING_MAX);
        n = 0;
    }
    if (s->plain)
        s->diff = s->blob;
    return (int)n;
}

/* ---- files ---- */

static ssize_t read_file(void *userdata, const void **ret_data, struct error *e) {
    struct file_source *f = userdata;
    size_t want = (size_t)MIN(f->left, (uint64_t)sizeof(f->buffer));
    ssize_t n;

    if (want == 0)
        return 0;
    do
        n = pread(f->fd, f->buffer, want, (off_t)f->offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_set_errno(e, errno, "reading");
    if (n == 0)
        return error_set(e, EBADMSG, "the file ends %" PRIu64 " bytes early", f->left);
    f->offset += (uint64_t)n;
    f->left -= (uint64_t)n;
    *ret_data = f->buffer;
    return n;
}

void file_source_init(struct file_source *f, int fd, uint64_t offset, uint64_t n) {
    f->fd = fd;
    f->offset = offset;
    f->left = n;
    f->source = (struct layer_source){.read = read_file, .userdata = f};
}
