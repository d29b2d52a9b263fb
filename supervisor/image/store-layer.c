/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Layers: finding them, and putting new ones in their places. */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/xattr.h>

#include "base/fs.h"
#include "image/oci-json.h"
#include "image/store.h"

#define LAYER_JSON_MAX (64U * 1024)
#define LAYER_PATH (sizeof("layers/") + DIGEST_HEX + sizeof("/layer.json"))

/* What is mounted, in the layer's directory; also the word for the kind in layer.json. */
static const char *const kind_names[_LAYER_KIND_COUNT] = {
    [LAYER_TREE] = "tree",
    [LAYER_EROFS] = "image.erofs",
    [LAYER_SQUASHFS] = "image.squashfs",
};

/* ---- layer.json ---- */

static int write_info(int directory, const struct layer_info *i, struct error *e) {
    _cleanup_json_ json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s}", "kind",
        kind_names[i->kind], "diffId", i->diff_id, "blob", i->blob, "mediaType", i->media_type, "blobSize",
        (json_int_t)i->blob_size, "size", (json_int_t)i->size, "archiveSize", (json_int_t)i->archive_size,
        "entries", (json_int_t)i->entries, "seal", i->seal);
    _cleanup_free_ char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

    if (!text)
        return error_set(e, ENOMEM, "out of memory");
    int r = file_write_atomic(directory, "layer.json", text, strlen(text), 0600, false);
    return r < 0 ? error_set_errno(e, r, "writing layer.json") : 0;
}

static int copy_text(json_t *root, const char *name, char *to, size_t size, struct error *e) {
    _cleanup_free_ char *text = NULL;

    int r = oci_json_string(root, name, true, &text, e);
    if (r < 0)
        return r;
    if (!text || strlen(text) >= size)
        return error_set(e, EINVAL, "\"%s\" is missing or too long", name);
    memcpy(to, text, strlen(text) + 1);
    return 0;
}

static int parse_info(const char *text, size_t n, struct layer_info *i, struct error *e) {
    _cleanup_json_ json_t *root = NULL;
    char kind[32];

    int r = oci_json_parse(text, n, LAYER_JSON_MAX, "layer.json", &root, e);
    if (r >= 0)
        r = copy_text(root, "kind", kind, sizeof(kind), e);
    if (r >= 0)
        r = copy_text(root, "diffId", i->diff_id, sizeof(i->diff_id), e);
    if (r >= 0)
        r = copy_text(root, "blob", i->blob, sizeof(i->blob), e);
    if (r >= 0)
        r = copy_text(root, "mediaType", i->media_type, sizeof(i->media_type), e);
    if (r >= 0)
        r = oci_json_u64(root, "blobSize", &i->blob_size, e);
    if (r >= 0)
        r = oci_json_u64(root, "size", &i->size, e);
    if (r >= 0)
        r = oci_json_u64(root, "archiveSize", &i->archive_size, e);
    if (r >= 0)
        r = oci_json_u64(root, "entries", &i->entries, e);
    if (r >= 0 && json_object_get(root, "seal"))
        r = copy_text(root, "seal", i->seal, sizeof(i->seal), e);
    if (r < 0)
        return r;
    for (size_t k = 0; k < ARRAY_SIZE(kind_names); k++)
        if (streq(kind, kind_names[k])) {
            i->kind = (enum layer_kind)k;
            return 0;
        }
    return error_set(e, EINVAL, "\"kind\" is not known");
}

/* ---- finding ---- */

int layer_find(const struct store *s, const char *diff_id, struct layer_info *ret, struct error *e) {
    _cleanup_free_ char *text = NULL;
    struct layer_info i = {};
    char path[LAYER_PATH];
    size_t n;

    if (!digest_is_valid(diff_id))
        return error_set(e, EINVAL, "\"%.80s\" is not a sha256 digest", diff_id);
    (void)snprintf(path, sizeof(path), "layers/%s/layer.json", digest_hex(diff_id));
    int r = file_read(s->fd, path, LAYER_JSON_MAX, &text, &n);
    if (r < 0)
        return error_set_errno(e, r, "layer %s of %s", diff_id, s->path);
    r = parse_info(text, n, &i, e);
    if (r >= 0 && !streq(i.diff_id, diff_id))
        r = error_set(e, EINVAL, "it says it is %s", i.diff_id);
    if (r < 0) {
        (void)error_prefix(e, r, "layer %s of %s", diff_id, s->path);
        return r == -ENOMEM ? r : -EBADMSG;
    }
    if (ret)
        *ret = i;
    return 0;
}

char *layer_path(const struct store *s, const char *diff_id, enum layer_kind kind) {
    return strf("%s/layers/%s/%s", s->path, digest_hex(diff_id), kind_names[kind]);
}

void layer_touch(const struct store *s, const char *diff_id) {
    char path[LAYER_PATH];

    (void)snprintf(path, sizeof(path), "layers/%s/layer.json", digest_hex(diff_id));
    (void)utimensat(s->fd, path, NULL, AT_SYMLINK_NOFOLLOW);
}

/* ---- making ---- */

int layer_begin(const struct store *s, enum layer_kind kind, struct layer_writer *ret, struct error *e) {
    struct layer_writer w = {.store = s, .directory_fd = -1, .tree_fd = -1};

    w.directory_fd = work_new_directory(s, w.name, e);
    if (w.directory_fd < 0)
        return w.directory_fd;
    w.info.kind = kind;
    if (kind == LAYER_TREE) {
        /* An archive need not say what its root is like; 0755 is what everybody takes then. */
        if (mkdirat(w.directory_fd, "tree", 0755) < 0 || fchmodat(w.directory_fd, "tree", 0755, 0) < 0 ||
            (w.tree_fd = openat(w.directory_fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
            int r = error_set_errno(e, errno, "making %s/%s/tree", s->path, w.name);
            layer_abort(&w);
            return r;
        }
        /* If the store's directory has a default ACL, all that is made in it would have it. */
        (void)fremovexattr(w.tree_fd, "system.posix_acl_default");
        (void)fremovexattr(w.tree_fd, "system.posix_acl_access");
    }
    *ret = w;
    return 0;
}

int layer_finish(struct layer_writer *w, const struct layer_info *info, struct error *e) {
    int r = write_info(w->directory_fd, info, e);

    if (r < 0)
        return r;
    w->info = *info;
    close_and_reset(&w->tree_fd);
    return 0;
}

void layer_abort(struct layer_writer *w) {
    if (w->directory_fd < 0)
        return;
    close_and_reset(&w->tree_fd);
    work_remove(w->store, w->name);
    close_and_reset(&w->directory_fd);
}

static int place(const struct store *s, struct layer_writer *w, struct error *e) {
    char path[LAYER_PATH];

    (void)snprintf(path, sizeof(path), "layers/%s", digest_hex(w->info.diff_id));
    int r = work_place(s, w->name, path, e);
    if (r < 0)
        return r;
    if (r == 1)
        layer_touch(s, w->info.diff_id);
    close_and_reset(&w->tree_fd);
    close_and_reset(&w->directory_fd);
    return 0;
}

int layers_commit(const struct store *s, struct layer_writer *writers, size_t n, struct error *e) {
    int r = 0;

    /* One sync for all that was written: fsync(2) of each of a hundred thousand files would take minutes. It
     * also reports what could not be written since the file system was opened. */
    if (n > 0 && syncfs(s->fd) < 0)
        r = error_set_errno(e, errno, "writing layers to %s", s->path);
    for (size_t i = 0; i < n; i++) {
        if (writers[i].directory_fd >= 0 && r >= 0)
            r = place(s, &writers[i], e);
        layer_abort(&writers[i]);
    }
    return r;
}
