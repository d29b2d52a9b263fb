/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "launch/layer-plan.h"

#include <limits.h>
#include <sys/xattr.h>

#include "base/fs.h"
#include "base/tree_compare.h"
#include "launch/internal.h"
#include "launch/mount.h"
#include "launch/resolve.h"

/* In front of its path (with NUL) and content (without). Numbers only, no padding: compared as bytes. */
struct record {
    uint32_t mode, uid, gid;
    uint32_t path_size, content_size;
};

struct node {
    struct record record;
    const char *path, *content;
};

/* Reads the record at *position and moves on. False at the end. */
static bool next_node(const struct layer_plan *plan, size_t *position, struct node *ret) {
    const char *at = plan->records.data + *position;

    if (*position >= plan->records.length)
        return false;
    memcpy(&ret->record, at, sizeof(ret->record));
    ret->path = at + sizeof(ret->record);
    ret->content = ret->path + ret->record.path_size;
    *position += sizeof(ret->record) + ret->record.path_size + ret->record.content_size;
    return true;
}

void layer_plan_add(
    struct layer_plan *plan, const char *path, mode_t mode, uid_t uid, gid_t gid, const char *content) {
    const struct record r = {
        .mode = mode,
        .uid = uid,
        .gid = gid,
        .path_size = (uint32_t)strlen(path) + 1,
        .content_size = content ? (uint32_t)strlen(content) : 0,
    };

    strbuf_append(&plan->records, &r, sizeof(r));
    strbuf_append(&plan->records, path, r.path_size);
    if (r.content_size > 0)
        strbuf_append(&plan->records, content, r.content_size);
}

bool layer_plan_find(const struct layer_plan *plan, const char *path, mode_t *ret_mode) {
    struct node n;

    for (size_t position = 0; !strbuf_failed(&plan->records) && next_node(plan, &position, &n);) {
        if (!streq(n.path, path))
            continue;
        *ret_mode = n.record.mode;
        return true;
    }
    return false;
}

void layer_plan_free(struct layer_plan *plan) {
    strbuf_free(&plan->records);
}

/* ---- making ---- */

static int write_new(int layer, const char *name, const struct node *n) {
    _cleanup_close_ int fd =
        openat(layer, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, n->record.mode & 07777);

    if (fd < 0)
        return negative_errno();
    return n->record.content_size > 0 ? write_all(fd, n->content, n->record.content_size) : 0;
}

static int make_node(int layer, const struct node *n) {
    const char *name = n->path + 1;
    int r = 0;

    if (S_ISDIR(n->record.mode))
        r = mkdirat(layer, name, n->record.mode & 07777) < 0 ? negative_errno() : 0;
    else
        r = write_new(layer, name, n);
    if (r < 0 || (n->record.uid == 0 && n->record.gid == 0))
        return r;
    return fchownat(layer, name, n->record.uid, n->record.gid, AT_SYMLINK_NOFOLLOW) < 0 ? negative_errno()
                                                                                        : 0;
}

static int make_layer(const struct layer_plan *plan, int *ret, struct error *e) {
    char options[64];
    size_t position = 0;
    struct node n;

    if (!next_node(plan, &position, &n))
        return error_set(e, EINVAL, "a layer without a root");
    snprintf(options, sizeof(options), "mode=%o,uid=%u,gid=%u", n.record.mode & 07777u, n.record.uid,
        n.record.gid);
    _cleanup_close_ int layer = mount_new("tmpfs", options, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, e);
    if (layer < 0)
        return layer;
    while (next_node(plan, &position, &n)) {
        int r = make_node(layer, &n);
        if (r < 0)
            return error_set_errno(e, r, "make %s", n.path);
    }
    *ret = TAKE_FD(layer);
    return 0;
}

/* Whoever compares the tree with what it was made from shall see nothing of this. Of no consequence if it
 * fails. */
static void mark_as_made(int directory, const char *name) {
    _cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        (void)fsetxattr(fd, TREE_MADE_XATTR, "", 0, 0);
}

/* Each directory that the plan goes through is a real one: init-layer.c looks, and nobody else has the tree.
 */
static int write_node(int root, struct node *n) {
    const char *base = path_basename(n->path);
    char parent[PATH_MAX];
    struct stat st;

    if (snprintf(parent, sizeof(parent), "%.*s.", (int)(base - n->path), n->path) >= (int)sizeof(parent))
        return -ENAMETOOLONG;
    _cleanup_close_ int fd = root_open_strict(root, parent, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        return negative_errno();
    int r = S_ISDIR(n->record.mode) ? 0 : remove_tree(fd, base);
    if (r < 0)
        return r;
    n->path = base - 1;
    r = make_node(fd, n);
    if (r == -EEXIST && S_ISDIR(n->record.mode))
        return 0;
    if (r < 0)
        return r;
    mark_as_made(fd, base);
    const struct timespec times[] = {st.st_atim, st.st_mtim};
    (void)futimens(fd, times);
    return 0;
}

int layer_plan_write(const struct layer_plan *plan, int fd, struct error *e) {
    size_t position = 0;
    struct node n;

    if (strbuf_failed(&plan->records))
        return error_set(e, ENOMEM, "out of memory");
    (void)next_node(plan, &position, &n); /* the root is what it is */
    while (next_node(plan, &position, &n)) {
        const char *path = n.path;
        int r = write_node(fd, &n);
        if (r < 0)
            return error_set_errno(e, r, "make %s", path);
    }
    return 0;
}

/* ---- the cache ---- */

static void forget(struct init_layer *layer) {
    free(layer->plan);
    closep(&layer->fd);
    *layer = (struct init_layer){.fd = -1};
}

void layer_cache_free(struct launcher *l) {
    for (size_t i = 0; i < INIT_LAYER_CACHE; i++)
        forget(&l->init_layers[i]);
}

/* The one that was made from this plan, else the one that has to make room. */
static struct init_layer *look_up(struct launcher *l, const struct strbuf *records, bool *ret_found) {
    struct init_layer *oldest = &l->init_layers[0];

    for (size_t i = 0; i < INIT_LAYER_CACHE; i++) {
        struct init_layer *layer = &l->init_layers[i];

        *ret_found = layer->used > 0 && layer->plan_size == records->length &&
                     memcmp(layer->plan, records->data, records->length) == 0;
        if (*ret_found)
            return layer;
        if (layer->used < oldest->used)
            oldest = layer;
    }
    return oldest;
}

int layer_plan_make(const struct layer_plan *plan, struct prepared *p, struct error *e) {
    struct launcher *l = p->launcher;
    bool found;

    if (strbuf_failed(&plan->records))
        return error_set(e, ENOMEM, "out of memory");
    p->init_layer_is_kept = l->overlay == OVERLAY_DETACHED;
    if (!p->init_layer_is_kept)
        return make_layer(plan, &p->init_layer, e);

    struct init_layer *layer = look_up(l, &plan->records, &found);
    if (!found) {
        _cleanup_free_ void *copy = malloc(plan->records.length);
        int fd = -1;
        if (!copy)
            return error_set(e, ENOMEM, "out of memory");
        memcpy(copy, plan->records.data, plan->records.length);
        int r = make_layer(plan, &fd, e);
        if (r < 0)
            return r;
        p->replaced_layer = TAKE_FD(layer->fd);
        forget(layer);
        *layer = (struct init_layer){.plan = TAKE_PTR(copy), .plan_size = plan->records.length, .fd = fd};
    }
    layer->used = ++l->init_layer_counter;
    p->init_layer = layer->fd;
    return 0;
}
