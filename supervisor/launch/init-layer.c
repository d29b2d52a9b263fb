/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The init layer: a small tmpfs between the image and the container's own changes, topmost of the read-only
 * layers. It holds what belongs to this start and not to the image: hosts, hostname, resolv.conf, what the
 * systemd container interface promises below /run/host, and mount points that the image lacks. As a layer it
 * is seen and can be changed (by copy-up) like any file, a symbolic link of the image in the same place is
 * covered instead of followed, and a commit of the upper directory does not contain it. It goes away with the
 * last overlay of it and with its place in the launcher's cache (layer-plan.h): a start that needs the same
 * layer gets the same one. Where the root is a tree of its own (tree.c) all of it is written there instead.
 *
 * A directory in it covers the image's directory of the same name, so it takes over mode and owner of that.
 */
#include <limits.h>

#include "base/fs.h"
#include "image/overlay-marks.h"
#include "launch/internal.h"
#include "launch/layer-plan.h"
#include "launch/resolve.h"

/* Mount points that every container has. */
static const struct {
    const char *path;
    mode_t mode;
} standard_directories[] = {
    {"/proc", 0555},
    {"/sys", 0555},
    {"/dev", 0755},
};

enum found { FOUND_NOTHING, FOUND_DIRECTORY, FOUND_LINK, FOUND_OTHER };

/* What the image has at path, which has no symbolic link before its last component as far as we came. */
static enum found image_look(const struct prepared *p, const char *path, struct stat *ret) {
    path += strspn(path, "/");
    bool top_level = !strchr(path, '/');

    for (size_t i = p->n_layer_fds; i-- > 0;) {
        struct stat st;

        if (top_level) {
            if (fstatat(p->layer_fds[i], path, &st, AT_SYMLINK_NOFOLLOW) < 0)
                continue;
        } else {
            _cleanup_close_ int fd = root_open_strict(p->layer_fds[i], path, O_PATH | O_NOFOLLOW);
            if (fd < 0 || fstat(fd, &st) < 0)
                continue;
        }
        *ret = st;
        if (S_ISDIR(st.st_mode))
            return FOUND_DIRECTORY;
        if (S_ISLNK(st.st_mode))
            return FOUND_LINK;
        /* A whiteout: whatever lies below is not there. */
        return overlay_is_whiteout(&st) ? FOUND_NOTHING : FOUND_OTHER;
    }
    return FOUND_NOTHING;
}

/* One directory, its parent is in the layer already. 0, -ENOTDIR, -ELOOP (a link in the image: not ours to
 * cover). */
static int plan_directory(const struct prepared *p, struct layer_plan *plan, const char *path, mode_t mode) {
    struct stat st;
    mode_t there;
    uid_t uid = p->made_uid;
    gid_t gid = p->made_gid;

    if (layer_plan_find(plan, path, &there))
        return S_ISDIR(there) ? 0 : -ENOTDIR;
    switch (image_look(p, path, &st)) {
    case FOUND_DIRECTORY:
        mode = st.st_mode & 07777;
        uid = st.st_uid;
        gid = st.st_gid;
        break;
    case FOUND_LINK:
        return -ELOOP;
    case FOUND_OTHER:
        return -ENOTDIR;
    case FOUND_NOTHING:
        break;
    }
    layer_plan_add(plan, path, S_IFDIR | mode, uid, gid, NULL);
    return 0;
}

/* path and all its parents; path has no double slashes. */
static int plan_directories(const struct prepared *p, struct layer_plan *plan, const char *path) {
    char prefix[PATH_MAX];

    for (const char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        size_t n = slash ? (size_t)(slash - path) : strlen(path);
        if (n >= sizeof(prefix))
            return -ENAMETOOLONG;
        memcpy(prefix, path, n);
        prefix[n] = '\0';
        int r = n > 1 ? plan_directory(p, plan, prefix, 0755) : 0;
        if (r < 0 || !slash)
            return r;
    }
}

static int plan_parents(const struct prepared *p, struct layer_plan *plan, const char *path) {
    char parent[PATH_MAX];
    size_t n = (size_t)(path_basename(path) - path);

    if (n <= 1)
        return 0;
    memcpy(parent, path, n - 1);
    parent[n - 1] = '\0';
    return plan_directories(p, plan, parent);
}

static int plan_file(const struct prepared *p, struct layer_plan *plan, const char *path, const char *content,
    mode_t mode, struct error *e) {
    mode_t there;

    int r = plan_parents(p, plan, path);
    if (r == -ELOOP || r == -ENOTDIR)
        return error_set(e, ENOTDIR, "%s: a parent of it is not a directory in the image", path);
    if (r < 0)
        return error_set_errno(e, r, "make the parents of %s", path);
    if (layer_plan_find(plan, path, &there))
        return error_set(e, EEXIST, "create %s: it is there already", path);
    layer_plan_add(plan, path, S_IFREG | mode, p->made_uid, p->made_gid, content);
    return 0;
}

/* ---- mount points ---- */

/* True if path is at or below directory. */
static bool is_within(const char *path, const char *directory) {
    const char *rest = startswith(path, directory);
    return rest && (*rest == '\0' || *rest == '/');
}

/* True if the child will find path on something that is mounted before it, not on the overlay. */
static bool is_covered(const struct prepared *p, const char *path, uint32_t n_mounts) {
    for (size_t i = 0; i < ARRAY_SIZE(standard_directories); i++)
        if (is_within(path, standard_directories[i].path))
            return true;
    for (uint32_t i = 0; i < n_mounts; i++)
        if (is_within(path, p->spec->mounts[i].target))
            return true;
    return false;
}

/* A missing mount point: made here rather than by the child in the upper directory, which a commit would
 * contain. Where the image has links on the way it is left to the child, who resolves them inside the
 * container's root. */
static int plan_mount_point(
    const struct prepared *p, struct layer_plan *plan, const char *path, bool directory, struct error *e) {
    struct stat st;
    mode_t there;

    if (image_look(p, path, &st) != FOUND_NOTHING)
        return 0;
    int r = directory ? plan_directories(p, plan, path) : plan_parents(p, plan, path);
    if (r >= 0 && !directory && !layer_plan_find(plan, path, &there))
        layer_plan_add(plan, path, S_IFREG | 0644, p->made_uid, p->made_gid, NULL);
    if (r == -ELOOP || r == -ENOTDIR)
        return 0; /* the child knows better, or says why not */
    return r < 0 ? error_set_errno(e, r, "make mount point %s", path) : 0;
}

static int plan_mount_points(struct prepared *p, struct layer_plan *plan, struct error *e) {
    const struct container_spec *s = p->spec;

    if (s->kind == SPEC_FILL)
        return 0; /* nothing will be mounted there */
    for (uint32_t i = 0; i < s->n_mounts; i++) {
        const struct spec_mount *m = &s->mounts[i];
        struct stat st = {.st_mode = S_IFDIR};

        if (mount_has_source(m) && (p->mount_fds[i] < 0 || fstat(p->mount_fds[i], &st) < 0))
            continue;
        if (is_within("/run/host/notify", m->target))
            p->run_is_covered = true;
        if (is_covered(p, m->target, i))
            continue;
        int r = plan_mount_point(p, plan, m->target, S_ISDIR(st.st_mode), e);
        if (r < 0)
            return r;
    }
    for (uint32_t i = 0; i < s->n_devices; i++) {
        if (p->device_stats[i].st_rdev == 0 || is_covered(p, s->devices[i].target, s->n_mounts))
            continue;
        int r = plan_mount_point(p, plan, s->devices[i].target, false, e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- the layer ---- */

static int plan_standard_directories(const struct prepared *p, struct layer_plan *plan, struct error *e) {
    for (size_t i = 0; i < ARRAY_SIZE(standard_directories); i++) {
        struct stat st;

        switch (image_look(p, standard_directories[i].path, &st)) {
        case FOUND_NOTHING:
            layer_plan_add(plan, standard_directories[i].path, S_IFDIR | standard_directories[i].mode,
                p->made_uid, p->made_gid, NULL);
            break;
        case FOUND_DIRECTORY:
            break;
        default:
            /* CVE-2019-19921, CVE-2026-41579: an image whose /proc or /dev points somewhere else. */
            return error_set(e, ENOTDIR, "%s in the image must be a directory", standard_directories[i].path);
        }
    }
    return 0;
}

static int plan_host_interface(struct prepared *p, struct layer_plan *plan, struct error *e) {
    int r = plan_directories(p, plan, "/run/host");
    if (r == -ELOOP || r == -ENOTDIR) {
        p->run_is_covered = true; /* left to the child */
        return 0;
    }
    if (r < 0)
        return error_set_errno(e, r, "make /run/host");
    r = plan_file(p, plan, "/run/host/container-manager", "davit\n", 0444, e);
    if (r >= 0 && p->notify_fd >= 0)
        r = plan_file(p, plan, "/run/host/notify", "", 0666, e);
    return r;
}

int init_layer_make(struct prepared *p, struct error *e) {
    _cleanup_(layer_plan_free) struct layer_plan plan = {};
    struct stat root;

    if (fstat(p->layer_fds[p->n_layer_fds - 1], &root) < 0)
        return error_set_errno(e, errno, "stat layer");
    layer_plan_add(&plan, "/", root.st_mode, root.st_uid, root.st_gid, NULL);

    int r = plan_standard_directories(p, &plan, e);
    if (r >= 0)
        r = plan_host_interface(p, &plan, e);
    for (uint32_t i = 0; r >= 0 && i < p->spec->n_files; i++)
        r = plan_file(p, &plan, p->spec->files[i].path, p->spec->files[i].content, p->spec->files[i].mode, e);
    if (r >= 0)
        r = plan_mount_points(p, &plan, e);
    if (r < 0)
        return r;
    return p->spec->tree ? layer_plan_write(&plan, p->layer_fds[0], e) : layer_plan_make(&plan, p, e);
}
