/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The root file system: an overlay of read-only image layers, the init layer and an upper directory, made as
 * a detached mount by the launcher and attached inside the container's namespaces by the child.
 *
 * With a user namespace the layers are idmapped clones, so that owners on disk stay as they are. Destroying a
 * detached mount waits for an RCU grace period, so layers are not cloned one by one: their closest common
 * parent directory is cloned once and the layers are opened below it. A layer that would not be the same directory
 * there (it is a mount point of its own, or reached by a symbolic link) gets its own clone.
 *
 * The upper directory is never idmapped (overlay would turn read-only: EOVERFLOW in its work directory); it
 * belongs to the container's root instead.
 */
#include <limits.h>

#include "base/fs.h"
#include "launch/internal.h"
#include "launch/mount.h"

/* ---- opening layers ---- */

/* What is asked about a layer before it is opened in the clone: one system call, and nothing to close. */
struct layer_place {
    uint64_t mount;
    bool directory;
};

/* Length of the longest directory prefix that the paths of all layers share that are directories. */
static size_t common_directory(
    const struct prepared *p, const struct layer_place *places, const char **ret_first) {
    const char *first = NULL;
    size_t n = 0;

    for (size_t k = 0; k < p->n_layer_fds; k++) {
        const char *path = p->spec->layers[k];
        size_t i = 0;

        if (!places[k].directory)
            continue;
        if (!first) {
            first = path;
            n = strlen(path);
        }
        while (i < n && path[i] == first[i])
            i++;
        /* Back to a whole component on both sides. */
        bool whole = (path[i] == '\0' || path[i] == '/') && (first[i] == '\0' || first[i] == '/');
        while (!whole && i > 0 && first[i] != '/')
            i--;
        n = i;
    }
    *ret_first = first;
    return n;
}

int clone_idmapped(const char *path, int userns_fd, struct error *e) {
    _cleanup_close_ int fd = mount_clone(AT_FDCWD, path, false);
    if (fd < 0)
        return error_set_errno(e, fd, "open_tree %s", path);
    int r = mount_set(fd, false, userns_fd >= 0 ? MOUNT_ATTR_NODEV : 0, 0, MS_PRIVATE, userns_fd);
    if (r == -EINVAL || r == -EPERM)
        return error_set(e, EOPNOTSUPP, "%s: its file system cannot be id-mapped on this kernel", path);
    if (r < 0)
        return error_set_errno(e, r, "mount_setattr %s", path);
    return TAKE_FD(fd);
}

/* Opens layer i, a directory, as it is seen through an id map. Below the common clone it is the same directory if it
 * lies on the same mount and no symbolic link leads there; otherwise it gets a clone of its own. */
static int map_layer(struct prepared *p, size_t i, size_t common, bool same_mount, struct error *e) {
    const char *layer = p->spec->layers[i], *below = layer + common;
    const struct open_how how = {
        .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
        .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
    };

    below += strspn(below, "/");
    if (same_mount)
        p->layer_fds[i] = (int)syscall(SYS_openat2, p->layers_clone, *below ? below : ".", &how, sizeof(how));
    if (p->layer_fds[i] >= 0)
        return 0;
    int clone = clone_idmapped(layer, p->userns_fd, e);
    if (clone < 0)
        return clone;
    p->extra_clones[p->n_extra_clones++] = clone;
    p->layer_fds[i] = openat(clone, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return p->layer_fds[i] < 0 ? error_set_errno(e, errno, "open layer %s", layer) : 0;
}

/* Opens the layers that are directories; those that are files keep -1. */
static int open_directories(struct prepared *p, struct error *e) {
    struct stat st;

    for (size_t i = 0; i < p->n_layer_fds; i++) {
        const char *layer = p->spec->layers[i];
        p->layer_fds[i] = open(layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (p->layer_fds[i] < 0 && !(errno == ENOTDIR && stat(layer, &st) == 0 && S_ISREG(st.st_mode)))
            return error_set_errno(e, errno, "open layer %s", layer);
    }
    return 0;
}

/* Layers that are files with a file system in them are mounts of their own. */
static int mount_files(struct prepared *p, struct error *e) {
    for (size_t i = 0; i < p->n_layer_fds; i++) {
        if (p->layer_fds[i] >= 0)
            continue;
        int fd = layer_image_mount(p->spec->layers[i], e);
        if (fd < 0)
            return fd;
        p->extra_clones[p->n_extra_clones++] = fd;
        int r = mount_set(fd, false, 0, 0, MS_PRIVATE, p->userns_fd);
        if (r == -EINVAL || r == -EPERM)
            return error_set(
                e, EOPNOTSUPP, "%s: its file system cannot be id-mapped on this kernel", p->spec->layers[i]);
        if (r < 0)
            return error_set_errno(e, r, "mount_setattr %s", p->spec->layers[i]);
        p->layer_fds[i] = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (p->layer_fds[i] < 0)
            return error_set_errno(e, errno, "open layer %s", p->spec->layers[i]);
    }
    return 0;
}

static int find_place(const char *path, struct layer_place *ret, struct error *e) {
    struct statx st;

    if (statx(AT_FDCWD, path, 0, STATX_TYPE | STATX_MNT_ID, &st) < 0)
        return error_set_errno(e, errno, "open layer %s", path);
    if (!S_ISDIR(st.stx_mode) && !S_ISREG(st.stx_mode))
        return error_set(e, ENOTDIR, "open layer %s: it is neither a directory nor a file", path);
    *ret = (struct layer_place){st.stx_mnt_id, S_ISDIR(st.stx_mode)};
    return 0;
}

static int map_directories(struct prepared *p, struct error *e) {
    _cleanup_free_ struct layer_place *places = calloc(p->n_layer_fds + 1, sizeof(*places));
    struct layer_place common_place = {};
    char parent[PATH_MAX];
    const char *first;

    if (!places)
        return error_set(e, ENOMEM, "out of memory");
    for (size_t i = 0; i < p->n_layer_fds; i++) {
        int r = find_place(p->spec->layers[i], &places[i], e);
        if (r < 0)
            return r;
    }
    size_t common = common_directory(p, places, &first);
    if (!first)
        return 0;
    snprintf(parent, sizeof(parent), "%.*s", common > 0 ? (int)common : 1, first);
    int r = find_place(parent, &common_place, e);
    if (r < 0)
        return r;
    p->layers_clone = clone_idmapped(parent, p->userns_fd, e);
    if (p->layers_clone < 0)
        return p->layers_clone;
    for (size_t i = 0; i < p->n_layer_fds && r >= 0; i++)
        if (places[i].directory)
            r = map_layer(p, i, common, places[i].mount == common_place.mount, e);
    return r;
}

int layers_open(struct prepared *p, struct error *e) {
    p->n_layer_fds = strv_length(p->spec->layers);
    int r = fds_new(p->n_layer_fds, &p->layer_fds);
    if (r >= 0)
        r = fds_new(p->n_layer_fds, &p->extra_clones);
    if (r < 0)
        return error_set(e, -r, "out of memory");
    bool mapped = p->userns_fd >= 0 || p->launcher->overlay != OVERLAY_DETACHED;
    r = mapped ? map_directories(p, e) : open_directories(p, e);
    return r < 0 ? r : mount_files(p, e);
}

/* ---- the upper directory ---- */

/* A launcher that died behind mkdir left it to the host's root, to whom nobody inside could give it. */
static bool is_without_owner(const struct prepared *p, const char *name) {
    struct stat st;

    return p->userns_fd >= 0 && fstatat(p->upper_clone, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode) && st.st_uid == 0 && st.st_gid == 0;
}

/* 1 if it was there already, and is left as it is. */
static int make_owned_directory(
    const struct prepared *p, const char *name, mode_t mode, uid_t uid, gid_t gid) {
    int parent = p->upper_clone;

    if (mkdirat(parent, name, mode) < 0) {
        if (errno != EEXIST)
            return negative_errno();
        if (!is_without_owner(p, name))
            return 1;
    }
    if ((uid != 0 || gid != 0) && fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        return negative_errno();
    return 0;
}

static int open_upper_directory(const struct prepared *p) {
    const char *path = p->spec->upper_dir;

    if (p->launcher->overlay != OVERLAY_DETACHED)
        return mount_clone(AT_FDCWD, path, false);
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? negative_errno() : fd;
}

/* A launcher that died between here and BEGUN leaves a volatile overlay's mark (work/incompat/volatile)
 * behind, and with it nobody could mount the upper directory again when the request comes a second time. */
static int make_work(const struct prepared *p) {
    int r = make_owned_directory(p, "work", 0700, p->root_uid, p->root_gid);
    if (r <= 0 || !p->spec->volatile_upper)
        return r;
    r = remove_tree(p->upper_clone, "work");
    return r < 0 ? r : make_owned_directory(p, "work", 0700, p->root_uid, p->root_gid);
}

/* What is there already stays as it is: a container may keep its upper directory. */
int upper_make(struct prepared *p, struct error *e) {
    const char *path = p->spec->upper_dir;
    struct stat image_root;

    if (!path)
        return 0;
    /* "/" of the container gets mode and owner from the image. */
    if (fstat(p->layer_fds[p->n_layer_fds - 1], &image_root) < 0)
        return error_set_errno(e, errno, "stat layer");
    p->upper_clone = open_upper_directory(p);
    if (p->upper_clone == -ENOENT) {
        int r = mkdir_parents(AT_FDCWD, path, 0711);
        if (r < 0)
            return error_set_errno(e, r, "mkdir %s", path);
        p->upper_clone = open_upper_directory(p);
    }
    if (p->upper_clone < 0)
        return error_set_errno(e, p->upper_clone, "open %s", path);
    int r =
        make_owned_directory(p, "upper", image_root.st_mode & 07777, image_root.st_uid, image_root.st_gid);
    if (r >= 0)
        r = make_work(p);
    if (r < 0)
        return error_set_errno(e, r, "mkdir %s/upper or work", path);
    p->upper_fd = openat(p->upper_clone, "upper", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    p->work_fd = openat(p->upper_clone, "work", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (p->upper_fd < 0 || p->work_fd < 0)
        return error_set_errno(e, errno, "open %s/upper or work", path);
    return 0;
}

/* ---- the overlay ---- */

static unsigned root_attributes(const struct prepared *p) {
    /* With a user namespace nobody inside can make a device node, so one that works can only come from the
     * image. */
    return p->userns_fd >= 0 ? MOUNT_ATTR_NODEV : 0;
}

/* All layers of the overlay, topmost first: the init layer, then the image's. */
static int nth_layer(const struct prepared *p, size_t i) {
    return i == 0 ? p->init_layer : p->layer_fds[p->n_layer_fds - i];
}

/* As a path that leads to the descriptor (both of our mount namespaces have a /proc): it is what the
 * container reads in its mountinfo, and the host's paths are not its business. */
static int set_directory(int fs, const char *key, int fd, struct error *e) {
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return filesystem_set(fs, key, path, e);
}

static int overlay_by_context(struct prepared *p, struct error *e) {
    _cleanup_close_ int fs = filesystem_open("overlay", e);
    if (fs < 0)
        return fs;

    int r = filesystem_set(fs, "source", "davit", e);
    for (size_t i = 0; r >= 0 && i <= p->n_layer_fds; i++)
        r = set_directory(fs, "lowerdir+", nth_layer(p, i), e);
    if (r >= 0 && p->upper_fd >= 0) {
        r = set_directory(fs, "upperdir", p->upper_fd, e);
        if (r >= 0)
            r = set_directory(fs, "workdir", p->work_fd, e);
        if (r >= 0 && p->spec->volatile_upper)
            r = filesystem_set(fs, "volatile", NULL, e);
    }
    if (r < 0)
        return r;
    int fd = filesystem_mount(fs, root_attributes(p), e);
    if (fd < 0)
        return fd;
    p->root_fd = fd;
    return 0;
}

/* The mount is made at /scratch/root of our own namespace and a clone of it taken. */
static int overlay_by_mount(struct prepared *p, struct error *e) {
    _cleanup_free_ int *layers = calloc(p->n_layer_fds + 1, sizeof(*layers));
    const char *where = "/scratch/root";
    char more[96] = "";

    if (!layers)
        return error_set(e, ENOMEM, "out of memory");
    for (size_t i = 0; i <= p->n_layer_fds; i++)
        layers[i] = nth_layer(p, i);
    if (p->upper_fd >= 0)
        (void)snprintf(more, sizeof(more), ",upperdir=%d,workdir=%d%s", p->upper_fd, p->work_fd,
            p->spec->volatile_upper ? ",volatile" : "");
    if (mkdir(where, 0755) < 0 && errno != EEXIST)
        return error_set_errno(e, errno, "mkdir %s", where);
    int r = mount_overlay_numbers(layers, p->n_layer_fds + 1, more, where, 0, e);
    if (r < 0)
        return r;
    int fd = mount_clone(AT_FDCWD, where, false);
    (void)umount2(where, MNT_DETACH);
    if (fd < 0)
        return error_set_errno(e, fd, "open_tree %s", where);
    p->root_fd = fd;
    r = mount_set(fd, false, root_attributes(p), 0, 0, -1);
    return r < 0 ? error_set_errno(e, r, "mount_setattr of the root file system") : 0;
}

/* Before 6.15 a layer must be attached in the caller's mount namespace: at /scratch/N. Returns how many are,
 * and leaves those attached on failure too. */
static int scratch_attach(struct prepared *p, size_t *ret_n, struct error *e) {
    size_t n = 0, n_all = 3 + p->n_extra_clones;
    char path[32];

    for (size_t i = 0; i < n_all; i++) {
        int fd = i == 0   ? p->layers_clone
                 : i == 1 ? p->init_layer
                 : i == 2 ? p->upper_clone
                          : p->extra_clones[i - 3];
        if (fd < 0)
            continue;
        snprintf(path, sizeof(path), "/scratch/%zu", n);
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return error_set_errno(e, errno, "mkdir %s", path);
        int r = mount_attach(fd, AT_FDCWD, path);
        if (r < 0)
            return error_set_errno(e, r, "move_mount to %s", path);
        *ret_n = ++n;
    }
    return 0;
}

static void scratch_detach(size_t n) {
    char path[32];

    while (n-- > 0) {
        snprintf(path, sizeof(path), "/scratch/%zu", n);
        (void)umount2(path, MNT_DETACH);
    }
}

int overlay_make(struct prepared *p, struct error *e) {
    size_t n_attached = 0;

    if (p->launcher->overlay == OVERLAY_DETACHED)
        return overlay_by_context(p, e);
    int r = scratch_attach(p, &n_attached, e);
    if (r >= 0)
        r = p->launcher->overlay == OVERLAY_APPEND ? overlay_by_context(p, e) : overlay_by_mount(p, e);
    scratch_detach(n_attached);
    return r;
}
