/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/recipe.h"

#include <endian.h>
#include <fcntl.h>

#include "image/checksum.h"
#include "worker/packed.h"
#include "worker/tar-scan.h"
#include "worker/unpack-internal.h"

#define RECIPE "recipe"
#define SUMS "sums"

/* ---- keeping ---- */

struct recipe_writer {
    struct tar_scan scan;
    struct packed *out;
    FILE *sums;
    struct checksum sum; /* of the content that goes by */
    struct error error;
};

static void writer_free(struct recipe_writer *w) {
    if (w->out)
        (void)packed_close(w->out, false, NULL);
    if (w->sums)
        (void)fclose(w->sums);
    tar_scan_done(&w->scan);
    free(w);
}
DEFINE_CLEANUP(struct recipe_writer *, writer_free)

int recipe_begin(int directory, struct recipe_writer **ret, struct error *e) {
    _cleanup_(writer_freep) struct recipe_writer *w = calloc(1, sizeof(*w));

    if (!w)
        return error_set(e, ENOMEM, "out of memory");
    w->scan = TAR_SCAN_INIT;
    w->sum = CHECKSUM_INIT;
    int fd = openat(directory, SUMS, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || !(w->sums = fdopen(fd, "w"))) {
        int r = error_set_errno(e, errno, "making the layer's " SUMS);
        closep(&fd);
        return r;
    }
    int r = packed_create(directory, RECIPE, &w->out, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(w);
    return 0;
}

static void add_content(struct recipe_writer *w, const void *data, size_t n) {
    checksum_update(&w->sum, data, n);
    tar_scan_content(&w->scan, n);
    if (w->scan.state == SCAN_CONTENT)
        return;
    uint64_t sum = htole64(checksum_value(&w->sum));
    if (fwrite(&sum, sizeof(sum), 1, w->sums) != 1)
        (void)error_set_errno(&w->error, errno, "writing the layer's " SUMS);
    w->sum = CHECKSUM_INIT;
}

void recipe_add(struct recipe_writer *w, const void *data, size_t n) {
    const char *p = data;

    while (n > 0 && w->error.number == 0) {
        ssize_t part = tar_scan_take(&w->scan, p, n);
        if (part < 0) {
            (void)error_set(&w->error, (int)-part, "out of memory");
            return;
        }
        if (packed_write(w->out, p, (size_t)part, &w->error) < 0)
            return;
        p += part;
        n -= (size_t)part;
        if (w->scan.state == SCAN_CONTENT) {
            size_t content = (size_t)MIN((uint64_t)n, w->scan.left);
            add_content(w, p, content);
            p += content;
            n -= content;
        }
    }
}

bool recipe_vouches(const struct recipe_writer *w) {
    return !w->scan.doubt;
}

int recipe_end(struct recipe_writer *w, bool write, struct error *e) {
    _cleanup_(writer_freep) struct recipe_writer *owned = w;

    if (!write)
        return 0;
    if (w->error.number == 0 && fflush(w->sums) != 0)
        (void)error_set_errno(&w->error, errno, "writing the layer's " SUMS);
    if (w->error.number != 0) {
        if (e)
            *e = w->error;
        return -w->error.number;
    }
    return packed_close(TAKE_PTR(w->out), true, e);
}

/* ---- giving out ---- */

struct rebuild {
    const struct tar_sink *sink;
    struct tar_scan scan;
    struct hash hash;
    int tree;
    FILE *sums;    /* NULL: there are none */
    char *changed; /* the first file whose content is another than its sum */
    char buffer[STREAM_BLOCK];
};

static void rebuild_free(struct rebuild *b) {
    closep(&b->tree);
    if (b->sums)
        (void)fclose(b->sums);
    tar_scan_done(&b->scan);
    free(b->changed);
    free(b);
}
DEFINE_CLEANUP(struct rebuild *, rebuild_free)

static int emit(struct rebuild *b, const void *data, size_t n, struct error *e) {
    hash_update(&b->hash, data, n);
    return b->sink->write(b->sink->userdata, data, n, e);
}

static int changed(const char *path, struct error *e) {
    return error_set(e, EBADMSG, "%s is not any more what it was when the layer came in", path);
}

/* Looked at before it is opened: opening a device that stands there now could do anything. */
static int open_content(const struct rebuild *b, struct error *e) {
    const char *path = b->scan.path;
    struct stat st;

    _cleanup_close_ int found = open_beneath(b->tree, path, O_PATH);
    if (found < 0 || fstat(found, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != b->scan.left)
        return changed(path, e);
    int fd = open_beneath(b->tree, path, O_RDONLY);
    return fd < 0 ? error_set_errno(e, fd, "opening %s", path) : fd;
}

/* The file that the scan says comes now. */
static int copy_content(struct rebuild *b, struct checksum *sum, struct error *e) {
    const char *path = b->scan.path;

    _cleanup_close_ int fd = open_content(b, e);
    if (fd < 0)
        return fd;
    while (b->scan.state == SCAN_CONTENT) {
        ssize_t n = read(fd, b->buffer, (size_t)MIN((uint64_t)sizeof(b->buffer), b->scan.left));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(e, errno, "reading %s", path);
        if (n == 0)
            return changed(path, e);
        checksum_update(sum, b->buffer, (size_t)n);
        int r = emit(b, b->buffer, (size_t)n, e);
        if (r < 0)
            return r;
        tar_scan_content(&b->scan, (uint64_t)n);
    }
    return 0;
}

static int emit_content(struct rebuild *b, struct error *e) {
    struct checksum sum = CHECKSUM_INIT;
    uint64_t kept;

    int r = copy_content(b, &sum, e);
    if (r < 0 || !b->sums || b->changed)
        return r;
    if (fread(&kept, sizeof(kept), 1, b->sums) == 1 && le64toh(kept) != checksum_value(&sum) &&
        !(b->changed = strdup(b->scan.path)))
        return error_set(e, ENOMEM, "out of memory");
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

static int check_result(const struct rebuild *b, const struct layer_info *layer, struct error *e) {
    char digest[DIGEST_TEXT];

    hash_digest(&b->hash, digest);
    if (streq(digest, layer->diff_id))
        return 0;
    if (b->changed)
        return changed(b->changed, e);
    return error_set(e, EBADMSG, "it has been changed in the store: it comes out as %s", digest);
}

int recipe_write_archive(
    const struct store *s, const struct layer_info *layer, const struct tar_sink *sink, struct error *e) {
    _cleanup_(rebuild_freep) struct rebuild *b = calloc(1, sizeof(*b));
    char path[sizeof("layers/") + DIGEST_HEX];

    if (!b)
        return error_set(e, ENOMEM, "out of memory");
    b->sink = sink;
    b->tree = -1;
    b->scan = TAR_SCAN_INIT;
    hash_init(&b->hash);
    (void)snprintf(path, sizeof(path), "layers/%s", digest_hex(layer->diff_id));
    _cleanup_close_ int directory = openat(s->fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int recipe = openat(directory, RECIPE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    b->tree = openat(directory, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (recipe < 0 || b->tree < 0)
        return error_set_errno(e, errno, "its recipe and tree");
    int sums = openat(directory, SUMS, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (sums >= 0 && !(b->sums = fdopen(sums, "r")))
        closep(&sums);

    int r = rebuild(b, recipe, e);
    return r < 0 ? r : check_result(b, layer, e);
}
