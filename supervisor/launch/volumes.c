/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Volumes: the sources of bind mounts, opened in the host's mount namespace as detached clones with their
 * final attributes, so that the child only has to attach them. A source path is the administrator's and is
 * followed as given; a target is the container's and is resolved by the child.
 */
#include <dirent.h>
#include <linux/capability.h>
#include <sys/file.h>

#include "base/fs.h"
#include "base/str.h"
#include "launch/internal.h"
#include "launch/mount.h"
#include "launch/resolve.h"

/* Mount flags and what they are to mount_setattr(2). */
static const struct {
    uint32_t flag;
    uint64_t attribute;
} attributes[] = {
    {MOUNT_READ_ONLY, MOUNT_ATTR_RDONLY},
    {MOUNT_NOSUID, MOUNT_ATTR_NOSUID},
    {MOUNT_NODEV, MOUNT_ATTR_NODEV},
    {MOUNT_NOEXEC, MOUNT_ATTR_NOEXEC},
    {MOUNT_NOATIME, MOUNT_ATTR_NOATIME},
};

uint64_t mount_attributes(uint32_t flags) {
    uint64_t a = 0;
    for (size_t i = 0; i < ARRAY_SIZE(attributes); i++)
        if (flags & attributes[i].flag)
            a |= attributes[i].attribute;
    return a;
}

static uint64_t propagation(uint32_t flags) {
    if (flags & MOUNT_SHARED)
        return MS_SHARED;
    if (flags & MOUNT_SLAVE)
        return MS_SLAVE;
    return flags & MOUNT_UNBINDABLE ? MS_UNBINDABLE : MS_PRIVATE;
}

/* Whose the source's root directory shall be, as ids on disk. */
static int owner_on_disk(
    const struct prepared *p, const struct spec_mount *m, uid_t *ret_uid, gid_t *ret_gid, struct error *e) {
    const struct container_spec *s = p->spec;
    uint32_t uid = m->owner_uid == SPEC_ID_UNSET ? 0 : m->owner_uid;
    uint32_t gid = m->owner_gid == SPEC_ID_UNSET ? 0 : m->owner_gid;

    /* Seen through an id map the disk holds the ids of inside. */
    if (!(m->flags & MOUNT_IDMAP) || p->userns_fd < 0) {
        uint32_t u = idmap_outside(s->uid_map, s->n_uid_map, uid),
                 g = idmap_outside(s->gid_map, s->n_gid_map, gid);
        if (u == SPEC_ID_UNSET || g == SPEC_ID_UNSET)
            return error_set(
                e, EINVAL, "owner %u:%u of %s is not in the container's id range", uid, gid, m->source);
        uid = u;
        gid = g;
    }
    *ret_uid = uid;
    *ret_gid = gid;
    return 0;
}

static int create_source(const struct prepared *p, const struct spec_mount *m, struct error *e) {
    uid_t uid = 0;
    gid_t gid = 0;
    struct stat st;

    if (stat(m->source, &st) >= 0 || errno != ENOENT)
        return 0; /* open_tree has the better message */
    int r = owner_on_disk(p, m, &uid, &gid, e);
    if (r < 0)
        return r;
    r = uid != 0 || gid != 0 ? mkdir_owned(AT_FDCWD, m->source, 0755, uid, gid)
                             : mkdir_parents(AT_FDCWD, m->source, 0755);
    return r < 0 ? error_set_errno(e, r, "mkdir %s", m->source) : 0;
}

/* podman's "U": only the root of the volume, and only if it is not so already. */
static int chown_source(const struct prepared *p, const struct spec_mount *m, int fd, struct error *e) {
    struct stat st;
    uid_t uid = 0;
    gid_t gid = 0;

    int r = owner_on_disk(p, m, &uid, &gid, e);
    if (r < 0)
        return r;
    if (fstat(fd, &st) >= 0 && st.st_uid == uid && st.st_gid == gid)
        return 0;
    if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
        return error_set_errno(e, errno, "chown %s", m->source);
    return 0;
}

/* Takes over the detached mount and gives it its final attributes. */
static int finish_source(struct prepared *p, size_t i, int mount_fd, uint32_t flags, struct error *e) {
    _cleanup_close_ int fd = mount_fd;
    const char *source = p->spec->mounts[i].source;
    int userns_fd = flags & MOUNT_IDMAP ? p->userns_fd : -1;
    uint64_t clear = flags & MOUNT_NOATIME ? MOUNT_ATTR__ATIME : 0;

    int r =
        mount_set(fd, flags & MOUNT_RECURSIVE, mount_attributes(flags), clear, propagation(flags), userns_fd);
    if ((r == -EINVAL || r == -EPERM) && userns_fd >= 0)
        return error_set(e, EOPNOTSUPP, "%s: its file system cannot be id-mapped on this kernel", source);
    if (r < 0)
        return error_set_errno(e, r, "mount_setattr %s", source);
    p->mount_fds[i] = TAKE_FD(fd);
    return 0;
}

static int open_bind(struct prepared *p, size_t i, struct error *e) {
    const struct spec_mount *m = &p->spec->mounts[i];
    bool recursive = m->flags & MOUNT_RECURSIVE;
    int r = 0;

    if (m->flags & MOUNT_CREATE_SOURCE)
        r = create_source(p, m, e);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = mount_clone(AT_FDCWD, m->source, recursive);
    if (fd == -ENOENT && (m->flags & MOUNT_OPTIONAL))
        return 0;
    if (fd < 0)
        return error_set_errno(e, fd, "open_tree %s", m->source);
    if (m->flags & MOUNT_CHOWN)
        r = chown_source(p, m, fd, e);
    if (r < 0)
        return r;

    return finish_source(p, i, TAKE_FD(fd), m->flags, e);
}

/* What was there before the container came is the owner's affair: only MOUNT_CHOWN changes it. */
static int open_device(struct prepared *p, size_t i, struct error *e) {
    const struct spec_mount *m = &p->spec->mounts[i];
    uint32_t flags = 0;

    _cleanup_close_ int fd = volume_mount_device(m, &flags, e);
    if (fd < 0)
        return fd;
    int r = m->flags & MOUNT_CHOWN ? chown_source(p, m, fd, e) : 0;
    return r < 0 ? r : finish_source(p, i, TAKE_FD(fd), flags, e);
}

int volumes_open(struct prepared *p, struct error *e) {
    const struct container_spec *s = p->spec;

    if (fds_new(s->n_mounts, &p->mount_fds) < 0)
        return error_set(e, ENOMEM, "out of memory");
    for (uint32_t i = 0; i < s->n_mounts; i++) {
        int r = 0;
        if (s->mounts[i].kind == MOUNT_BIND)
            r = open_bind(p, i, e);
        else if (s->mounts[i].kind == MOUNT_DEVICE)
            r = open_device(p, i, e);
        if (r < 0)
            return r;
    }
    if (!s->notify_socket)
        return 0;
    p->notify_fd = mount_clone(AT_FDCWD, s->notify_socket, false);
    if (p->notify_fd < 0)
        return error_set_errno(e, p->notify_fd, "open_tree %s", s->notify_socket);
    int r = mount_set(p->notify_fd, false, 0, 0, MS_PRIVATE, -1);
    return r < 0 ? error_set_errno(e, r, "mount_setattr %s", s->notify_socket) : 0;
}

/* ---- first filling ---- */

/* An owner that the container cannot have becomes its root. */
static void owner_inside(const void *userdata, uint32_t *uid, uint32_t *gid) {
    const struct container_spec *s = userdata;
    uint32_t u = idmap_inside(s->uid_map, s->n_uid_map, *uid);
    uint32_t g = idmap_inside(s->gid_map, s->n_gid_map, *gid);

    *uid = u == SPEC_ID_UNSET ? 0 : u;
    *gid = g == SPEC_ID_UNSET ? 0 : g;
}

/* The volume is written through its plain directory (its clone may be read-only), so ids are turned from
 * outside, as the overlay shows them, to what belongs on disk. */
static int copy_from_image(struct prepared *p, size_t i, int to, struct error *e) {
    const struct spec_mount *m = &p->spec->mounts[i];
    struct stat before;

    if (fstat(to, &before) < 0)
        return error_set_errno(e, errno, "stat %s", m->source);
    _cleanup_close_ int from = root_open(p->root_fd, m->target, O_RDONLY | O_DIRECTORY);
    if (from == -ENOENT || from == -ENOTDIR)
        return 0;
    if (from < 0)
        return error_set_errno(e, from, "open %s in the image", m->target);
    bool mapped = p->userns_fd >= 0 && (m->flags & MOUNT_IDMAP);
    const struct copy_tree_options options = {.owner = owner_inside, .userdata = p->spec};
    int r = copy_tree(from, to, mapped ? &options : NULL, e);
    if (r < 0)
        return error_prefix(e, r, "copy %s to %s", m->target, m->source);
    /* The copy took over the owner of the image's directory. One that was chosen (UID= and GID= of a .volume)
     * stays. */
    if (m->flags & MOUNT_CHOWN)
        return chown_source(p, m, to, e);
    if ((before.st_uid != 0 || before.st_gid != 0) && fchown(to, before.st_uid, before.st_gid) < 0)
        return error_set_errno(e, errno, "chown %s", m->source);
    return 0;
}

/* Everything that is in the directory. */
static int make_empty(int directory_fd) {
    int r = 0, fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (!d) {
        r = negative_errno();
        closep(&fd);
        return r;
    }
    for (const struct dirent *entry; r >= 0 && (entry = readdir(d));)
        if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
            r = remove_tree(directory_fd, entry->d_name);
    closedir(d);
    return r;
}

/* An empty volume gets what the image has at its place, once. As long as the mark is beside it, what is in it
 * is a part of a copy: whoever made it died, or is at it and has the lock. */
static int fill(struct prepared *p, size_t i, struct error *e) {
    const struct spec_mount *m = &p->spec->mounts[i];
    _cleanup_free_ char *mark = strf("%s" VOLUME_FILLING, m->source);
    if (!mark)
        return error_set(e, ENOMEM, "out of memory");

    _cleanup_close_ int to = open(m->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to < 0)
        return errno == ENOTDIR ? 0 : error_set_errno(e, errno, "open %s", m->source);
    (void)flock(
        to, LOCK_EX); /* another container may have the same volume; some file systems know no locks */
    bool marked = access(mark, F_OK) == 0;
    int r = marked ? 1 : directory_is_empty(to);
    if (r <= 0)
        return r < 0 ? error_set_errno(e, r, "read %s", m->source) : 0;
    if (marked)
        r = make_empty(to);
    _cleanup_close_ int mark_fd = r < 0 ? r : open(mark, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (mark_fd < 0)
        return error_set_errno(e, r < 0 ? r : errno, "begin to fill %s", m->source);

    r = copy_from_image(p, i, to, e);
    if (r >= 0 || make_empty(to) >= 0)
        (void)unlink(mark);
    return r;
}

int volumes_fill(struct prepared *p, struct error *e) {
    for (uint32_t i = 0; i < p->spec->n_mounts; i++) {
        const struct spec_mount *m = &p->spec->mounts[i];
        bool skipped = p->mount_fds && p->mount_fds[i] < 0;
        if (m->kind != MOUNT_BIND || skipped || !(m->flags & MOUNT_COPY_UP))
            continue;
        int r = host_enter(p->launcher, e);
        if (r < 0)
            return r;
        r = fill(p, i, e);
        host_leave(p->launcher);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- locks ---- */

/* With CAP_SYS_ADMIN in its user namespace a container could take back what volumes are mounted with:
 * read-only, nosuid, nodev, noexec. The kernel locks these where a mount is copied into the mount namespace
 * of a less privileged user namespace (mount_namespaces(7)), which is what the clone of the child does with
 * mounts of ours. So such volumes are attached here before the clone, and the child takes copies of the
 * locked ones. Without that capability there is nothing to lock, and nothing to pay for. */
static bool needs_lock(const struct prepared *p, uint32_t i) {
    const struct container_spec *s = p->spec;

    return (s->namespaces & NS_USER) && (s->capabilities & UINT64_C(1) << CAP_SYS_ADMIN) &&
           p->mount_fds[i] >= 0 && mount_attributes(s->mounts[i].flags) != 0;
}

const char *volume_locked_path(const struct prepared *p, uint32_t i, char buffer[static LOCKED_PATH_MAX]) {
    if (!p->volumes_locked || !needs_lock(p, i))
        return NULL;
    snprintf(buffer, LOCKED_PATH_MAX, "/nodes/%u", i);
    return buffer;
}

static int lock_one(struct prepared *p, uint32_t i, int directory_fd, struct error *e) {
    struct stat st;
    char name[16];

    snprintf(name, sizeof(name), "%u", i);
    if (fstat(p->mount_fds[i], &st) < 0)
        return error_set_errno(e, errno, "stat %s", p->spec->mounts[i].source);
    int r = S_ISDIR(st.st_mode) ? mkdirat(directory_fd, name, 0755)
                                : mknodat(directory_fd, name, S_IFREG | 0644, 0);
    if (r < 0)
        return error_set_errno(e, errno, "make /nodes/%s", name);
    r = mount_attach(p->mount_fds[i], directory_fd, name);
    return r < 0 ? error_set_errno(e, r, "attach %s to be locked", p->spec->mounts[i].source) : 0;
}

int volumes_lock(struct prepared *p, struct error *e) {
    _cleanup_close_ int directory_fd = -1;

    for (uint32_t i = 0; i < p->spec->n_mounts; i++) {
        if (!needs_lock(p, i))
            continue;
        if (directory_fd < 0) {
            directory_fd = mount_new("tmpfs", "mode=711,size=64k", 0, e);
            int r = directory_fd < 0 ? directory_fd : mount_attach(directory_fd, AT_FDCWD, "/nodes");
            if (r < 0)
                return error_set_errno(e, r, "attach /nodes");
            p->volumes_locked = true;
        }
        int r = lock_one(p, i, directory_fd, e);
        if (r < 0)
            return r;
    }
    return 0;
}

void volumes_unlock(struct prepared *p) {
    if (p->volumes_locked)
        (void)umount2("/nodes", MNT_DETACH);
    p->volumes_locked = false;
}
