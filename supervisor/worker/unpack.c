/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A layer from its first byte to its last. */
#include <inttypes.h>
#include <sys/statvfs.h>

#include "base/fs.h"
#include "worker/implicit.h"
#include "worker/recipe.h"
#include "worker/unpack-internal.h"

#define PROGRESS_STEP (UINT64_C(1024) * 1024)

int store_check_space(const struct store *s, uint64_t more, struct error *e) {
    struct statvfs fs;

    if (fstatvfs(s->fd, &fs) < 0)
        return error_set_errno(e, errno, "free space of %s", s->path);
    uint64_t total = (uint64_t)fs.f_blocks * fs.f_frsize, available = (uint64_t)fs.f_bavail * fs.f_frsize;
    uint64_t reserve = total / 100 * UNPACK_RESERVE_PERCENT;
    /* Some file systems count no inodes. */
    if (fs.f_files > 0 && fs.f_favail < fs.f_files / 100 * UNPACK_RESERVE_PERCENT)
        return error_set(e, ENOSPC, "the disk of %s has less than %d %% of its inodes left", s->path,
            UNPACK_RESERVE_PERCENT);
    if (available < reserve || available - reserve < more)
        return error_set(e, ENOSPC,
            "the last %d %% of the disk of %s are not filled: %" PRIu64 " MiB are left",
            UNPACK_RESERVE_PERCENT, s->path, available / 1024 / 1024);
    return 0;
}

/* ---- the archive ---- */

static ssize_t on_read(struct archive *a, void *userdata, const void **ret_data) {
    struct unpack *u = userdata;

    ssize_t n = stream_read(&u->stream, ret_data, &u->error);
    if (n < 0) {
        archive_set_error(a, (int)-n, "reading");
        return ARCHIVE_FATAL;
    }
    return n;
}

static void on_bytes(void *userdata, const void *data, size_t n) {
    struct unpack *u = userdata;
    recipe_add(u->recipe, data, n);
}

static int archive_failed(struct unpack *u, const char *last, struct error *e) {
    if (u->error.number != 0) {
        if (e)
            *e = u->error;
        return -u->error.number;
    }
    if (archive_lacks_memory(u->tar))
        return error_set(e, ENOMEM, "out of memory");
    const char *text = archive_error_string(u->tar);
    return error_set(e, EBADMSG, "the layer is no tar archive, or a damaged one, %s%s: %s",
        last ? "after " : "", last ? last : "from its start", text ? text : "damaged");
}

static int unpack_entries(
    struct unpack *u, void (*progress)(void *userdata, uint64_t bytes), void *userdata, struct error *e) {
    struct archive_entry *entry;
    char label[NAME_PRINTABLE];
    uint64_t shown = 0;
    int r;

    *label = '\0';
    while ((r = archive_read_next_header(u->tar, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
        name_printable(archive_entry_pathname(entry), label);
        if (++u->entries > UNPACK_ENTRIES_MAX)
            return error_set(e, E2BIG, "entry %s: a layer has at most %d entries", label, UNPACK_ENTRIES_MAX);
        r = unpack_entry(u, entry, e);
        if (r < 0)
            return error_prefix(e, r, "entry %s", label);
        if (progress && u->stream.blob.size - shown >= PROGRESS_STEP) {
            shown = u->stream.blob.size;
            progress(userdata, shown);
        }
    }
    if (r != ARCHIVE_EOF)
        return archive_failed(u, *label ? label : NULL, e);
    return 0;
}

static int read_archive(struct unpack *u, const struct layer_source *source,
    void (*progress)(void *userdata, uint64_t bytes), void *userdata, struct error *e) {
    int r = stream_open(&u->stream, source, e);
    if (r < 0)
        return r;
    u->stream.tap = on_bytes;
    u->stream.tap_userdata = u;
    u->tar = archive_read_new();
    if (!u->tar)
        return error_set(e, ENOMEM, "out of memory");
    (void)archive_read_support_format_tar(u->tar);
    (void)archive_read_support_format_empty(u->tar);
    if (archive_read_open(u->tar, u, NULL, on_read, NULL) != ARCHIVE_OK)
        return archive_failed(u, NULL, e);
    r = unpack_entries(u, progress, userdata, e);
    if (r >= 0)
        r = late_apply(u, e);
    return r < 0 ? r : stream_drain(&u->stream, e);
}

/* ---- from begin to finish ---- */

static int unpack_begin(struct unpack *u, const struct layer_writer *w, struct error *e) {
    u->root = w->tree_fd;
    u->work = w->directory_fd;
    u->implicit = hashmap_new();
    if (!u->implicit)
        return error_set(e, ENOMEM, "out of memory");
    int fd = openat(u->work, "late", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || unlinkat(u->work, "late", 0) < 0 || !(u->late = fdopen(fd, "w+"))) {
        int r = error_set_errno(e, errno, "making a file in %s/work", u->store->path);
        closep(&fd);
        return r;
    }
    char *root = strdup("");
    if (!root || hashmap_put(u->implicit, root, root) < 0) {
        free(root);
        return error_set(e, ENOMEM, "out of memory");
    }
    int r = recipe_begin(u->work, &u->recipe, e);
    return r < 0 ? r : store_check_space(u->store, 0, e);
}

static void unpack_end(struct unpack *u) {
    char *path;

    if (u->tar)
        (void)archive_read_free(u->tar);
    stream_close(&u->stream);
    if (u->recipe)
        (void)recipe_end(u->recipe, false, NULL);
    if (u->late)
        (void)fclose(u->late);
    free(u->parent_path);
    closep(&u->parent_fd);
    closep(&u->links);
    HASHMAP_FOREACH (path, u->implicit)
        free(hashmap_remove(u->implicit, path));
    if (u->implicit)
        hashmap_free(u->implicit);
}

/* Parents before what is in them. */
static int write_implicit(struct unpack *u, struct error *e) {
    size_t n = hashmap_size(u->implicit), i = 0;
    _cleanup_free_ char **sorted = calloc(n + 1, sizeof(*sorted)); /* the paths stay the table's */
    char *path;

    if (!sorted)
        return error_set(e, ENOMEM, "out of memory");
    HASHMAP_FOREACH (path, u->implicit)
        sorted[i++] = path;
    strv_sort(sorted);
    return implicit_write(u->work, sorted, e);
}

static int check_digests(
    const struct unpack *u, const struct unpack_expected *x, struct layer_info *info, struct error *e) {
    hash_digest(&u->stream.diff, info->diff_id);
    hash_digest(&u->stream.blob, info->blob);
    if (x->blob_size != UINT64_MAX && x->blob_size != u->stream.blob.size)
        return error_set(
            e, EBADMSG, "the layer has %" PRIu64 " bytes, not %" PRIu64, u->stream.blob.size, x->blob_size);
    if (!isempty(x->blob) && !streq(x->blob, info->blob))
        return error_set(e, EBADMSG, "the layer should be %s and is %s", x->blob, info->blob);
    if (!isempty(x->diff_id) && !streq(x->diff_id, info->diff_id))
        return error_set(
            e, EBADMSG, "what the layer unpacks to should be %s and is %s", x->diff_id, info->diff_id);
    return 0;
}

static int finish(
    struct unpack *u, const struct unpack_expected *x, struct unpacked *unpacked, struct error *e) {
    struct layer_info info = {
        .kind = LAYER_TREE,
        .blob_size = u->stream.blob.size,
        .archive_size = u->stream.diff.size,
    };

    int r = check_digests(u, x, &info, e);
    if (r < 0)
        return r;
    (void)snprintf(info.media_type, sizeof(info.media_type), "%s", x->media_type ? x->media_type : "");
    if (u->links >= 0 && (r = remove_tree(u->work, "links")) < 0)
        return error_set_errno(e, r, "removing AUFS's links");
    unpacked->unvouched = u->replaced || !recipe_vouches(u->recipe);
    unpacked->writer.info = info;
    close_and_reset(
        &unpacked->writer.tree_fd); /* an image may have more layers than we may have descriptors */
    r = recipe_end(TAKE_PTR(u->recipe), true, e);
    return r < 0 ? r : write_implicit(u, e);
}

void unpacked_abort(struct unpacked *u) {
    layer_abort(&u->writer);
}

int layer_unpack(const struct store *s, const struct layer_source *source,
    const struct unpack_expected *expected, void (*progress)(void *userdata, uint64_t bytes), void *userdata,
    struct unpacked *ret, struct error *e) {
    struct unpack u = {.store = s, .links = -1, .parent_fd = -1};
    struct unpacked unpacked = UNPACKED_NONE;

    int r = layer_begin(s, LAYER_TREE, &unpacked.writer, e);
    if (r < 0)
        return r;
    r = unpack_begin(&u, &unpacked.writer, e);
    if (r >= 0)
        r = read_archive(&u, source, progress, userdata, e);
    if (r >= 0)
        r = finish(&u, expected, &unpacked, e);
    unpack_end(&u);
    if (r < 0) {
        unpacked_abort(&unpacked);
        return r;
    }
    *ret = unpacked;
    return 0;
}
