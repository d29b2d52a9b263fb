/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/recipe.h"

#include <archive_entry.h>
#include <fcntl.h>
#include <inttypes.h>

#include "worker/tar-scan.h"
#include "worker/unpack-internal.h"

#define RECIPE "recipe"

/* ---- keeping ---- */

struct recipe_writer {
    struct tar_scan scan;
    struct archive *out;
    int fd;
    struct error error;
};

static int archive_refused(struct archive *a, struct error *e) {
    const char *text = archive_error_string(a);
    int number = archive_errno(a);

    return error_set(e, number > 0 ? number : EIO, "writing the layer's recipe: %s", text ? text : "failed");
}

static int open_compressed(struct recipe_writer *w, struct error *e) {
    struct archive_entry *entry = archive_entry_new();

    w->out = archive_write_new();
    if (!w->out || !entry) {
        archive_entry_free(entry);
        return error_set(e, ENOMEM, "out of memory");
    }
    archive_entry_set_pathname(entry, RECIPE);
    archive_entry_set_filetype(entry, AE_IFREG);
    bool done = archive_write_set_format_raw(w->out) == ARCHIVE_OK &&
                archive_write_add_filter_zstd(w->out) == ARCHIVE_OK &&
                archive_write_open_fd(w->out, w->fd) == ARCHIVE_OK &&
                archive_write_header(w->out, entry) == ARCHIVE_OK;
    archive_entry_free(entry);
    return done ? 0 : archive_refused(w->out, e);
}

static void writer_free(struct recipe_writer *w) {
    if (w->out)
        (void)archive_write_free(w->out);
    closep(&w->fd);
    tar_scan_done(&w->scan);
    free(w);
}
DEFINE_CLEANUP(struct recipe_writer *, writer_free)

int recipe_begin(int directory, struct recipe_writer **ret, struct error *e) {
    _cleanup_(writer_freep) struct recipe_writer *w = calloc(1, sizeof(*w));

    if (!w)
        return error_set(e, ENOMEM, "out of memory");
    w->scan = TAR_SCAN_INIT;
    w->fd = openat(directory, RECIPE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (w->fd < 0)
        return error_set_errno(e, errno, "making the layer's recipe");
    int r = open_compressed(w, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(w);
    return 0;
}

void recipe_add(struct recipe_writer *w, const void *data, size_t n) {
    const char *p = data;

    while (n > 0 && w->error.number == 0) {
        ssize_t part = tar_scan_take(&w->scan, p, n);
        if (part < 0) {
            (void)error_set(&w->error, (int)-part, "out of memory");
            return;
        }
        if (part > 0 && archive_write_data(w->out, p, (size_t)part) != part) {
            (void)archive_refused(w->out, &w->error);
            return;
        }
        p += part;
        n -= (size_t)part;
        if (w->scan.state == SCAN_CONTENT) {
            size_t content = (size_t)MIN((uint64_t)n, w->scan.left);
            tar_scan_content(&w->scan, content);
            p += content;
            n -= content;
        }
    }
}

int recipe_end(struct recipe_writer *w, bool write, struct error *e) {
    int r = 0;

    if (write && w->error.number != 0) {
        if (e)
            *e = w->error;
        r = -w->error.number;
    } else if (write && archive_write_close(w->out) != ARCHIVE_OK)
        r = archive_refused(w->out, e);
    writer_free(w);
    return r;
}

/* ---- giving out ---- */

struct rebuild {
    const struct tar_sink *sink;
    struct tar_scan scan;
    struct hash hash;
    int tree;
    char buffer[STREAM_BLOCK];
};

static int emit(struct rebuild *b, const void *data, size_t n, struct error *e) {
    hash_update(&b->hash, data, n);
    return b->sink->write(b->sink->userdata, data, n, e);
}

static int changed(const char *path, struct error *e) {
    return error_set(e, EBADMSG, "%s is not any more what it was when the layer came in", path);
}

/* The file that the scan says comes now. */
static int emit_content(struct rebuild *b, struct error *e) {
    const char *path = b->scan.path;
    struct stat st;

    _cleanup_close_ int fd = open_beneath(b->tree, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != b->scan.left)
        return changed(path, e);
    while (b->scan.state == SCAN_CONTENT) {
        ssize_t n = read(fd, b->buffer, (size_t)MIN((uint64_t)sizeof(b->buffer), b->scan.left));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(e, errno, "reading %s", path);
        if (n == 0)
            return changed(path, e);
        int r = emit(b, b->buffer, (size_t)n, e);
        if (r < 0)
            return r;
        tar_scan_content(&b->scan, (uint64_t)n);
    }
    return 0;
}

static int emit_piece(struct rebuild *b, const char *p, size_t n, struct error *e) {
    while (n > 0) {
        ssize_t part = tar_scan_take(&b->scan, p, n);
        int r = part < 0 ? error_set(e, (int)-part, "out of memory") : emit(b, p, (size_t)part, e);
        if (r >= 0 && b->scan.state == SCAN_CONTENT)
            r = emit_content(b, e);
        if (r < 0)
            return r;
        p += part;
        n -= (size_t)part;
    }
    return 0;
}

static int rebuild(struct rebuild *b, int recipe, struct error *e) {
    _cleanup_free_ struct file_source *source = malloc(sizeof(*source));
    struct stream stream;
    const void *data;
    struct stat st;
    ssize_t n;

    if (!source || fstat(recipe, &st) < 0)
        return error_set_errno(e, source ? errno : ENOMEM, "reading the layer's recipe");
    file_source_init(source, recipe, 0, (uint64_t)st.st_size);
    int r = stream_open(&stream, &source->source, e);
    while (r >= 0 && (n = stream_read(&stream, &data, e)) != 0)
        r = n < 0 ? (int)n : emit_piece(b, data, (size_t)n, e);
    stream_close(&stream);
    return r;
}

int recipe_write_archive(
    const struct store *s, const struct layer_info *layer, const struct tar_sink *sink, struct error *e) {
    _cleanup_free_ struct rebuild *b = calloc(1, sizeof(*b));
    char path[sizeof("layers//recipe") + DIGEST_HEX], digest[DIGEST_TEXT];

    if (!b)
        return error_set(e, ENOMEM, "out of memory");
    (void)snprintf(path, sizeof(path), "layers/%s/recipe", digest_hex(layer->diff_id));
    _cleanup_close_ int recipe = openat(s->fd, path, O_RDONLY | O_CLOEXEC);
    (void)snprintf(path, sizeof(path), "layers/%s/tree", digest_hex(layer->diff_id));
    _cleanup_close_ int tree = openat(s->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (recipe < 0 || tree < 0)
        return error_set_errno(e, errno, "layer %s", layer->diff_id);

    b->sink = sink;
    b->tree = tree;
    b->scan = TAR_SCAN_INIT;
    hash_init(&b->hash);
    int r = rebuild(b, recipe, e);
    tar_scan_done(&b->scan);
    if (r < 0) {
        (void)error_prefix(e, "layer %s", layer->diff_id);
        return r; /* which the caller may want to know without e */
    }
    hash_digest(&b->hash, digest);
    if (!streq(digest, layer->diff_id))
        return error_set(
            e, EBADMSG, "layer %s has been changed in the store: it comes out as %s", layer->diff_id, digest);
    return 0;
}
