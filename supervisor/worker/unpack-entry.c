/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One entry of a layer: where it goes, and making it there. */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/fs.h"
#include "image/overlay-marks.h"
#include "worker/unpack-internal.h"

/* How much is written between two looks at the free space. */
#define SPACE_STEP (UINT64_C(16) * 1024 * 1024)

int open_beneath(int root, const char *path, int flags) {
    struct open_how how = {
        .flags = (uint64_t)(flags | O_NOFOLLOW | O_CLOEXEC),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    int fd;

    do
        fd = (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof(how));
    while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return fd < 0 ? negative_errno() : fd;
}

/* ---- directories on the way ---- */

static bool is_link(int directory, const char *name) {
    struct stat st;
    return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

static bool is_whiteout(int directory, const char *name) {
    struct stat st;
    return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && overlay_is_whiteout(&st);
}

/* A directory takes the place of a whiteout: what is below stays hidden by its being opaque. */
static int replace_whiteout(int directory, const char *name, struct error *e) {
    if (unlinkat(directory, name, 0) < 0 || mkdirat(directory, name, 0755) < 0)
        return error_set_errno(e, errno, "replacing the whiteout %s", name);
    _cleanup_close_ int fd = open_beneath(directory, name, O_RDONLY | O_DIRECTORY);
    return fd < 0 ? error_set_errno(e, fd, "replacing the whiteout %s", name) : mark_opaque(fd, e);
}

static int note_implicit(struct unpack *u, const char *path, struct error *e) {
    char *copy;

    u->implicit_bytes += strlen(path) + 1;
    if (u->implicit_bytes > UNPACK_IMPLICIT_MAX)
        return error_set(e, E2BIG, "too many directories that the layer does not describe");
    if (hashmap_get(u->implicit, path))
        return 0;
    copy = strdup(path);
    if (!copy || hashmap_put(u->implicit, copy, copy) < 0) {
        free(copy);
        return error_set(e, ENOMEM, "out of memory");
    }
    return late_note(u, path, NULL, e);
}

static void forget_implicit(struct unpack *u, const char *path) {
    free(hashmap_remove(u->implicit, path));
}

/* Makes the missing components of path one by one; returns the last one's descriptor. */
static int make_parents(struct unpack *u, char *path, struct error *e) {
    _cleanup_close_ int fd = open_beneath(u->root, "", O_PATH | O_DIRECTORY);
    char *name = path;

    while (fd >= 0 && *name) {
        char *end = name + strcspn(name, "/"), mark = *end;

        *end = '\0';
        int next = open_beneath(fd, name, O_PATH | O_DIRECTORY);
        if (next == -ENOENT || (next == -ENOTDIR && is_whiteout(fd, name))) {
            int r = next == -ENOTDIR          ? replace_whiteout(fd, name, e)
                    : mkdirat(fd, name, 0755) ? error_set_errno(e, errno, "making its directory %s", path)
                                              : note_implicit(u, path, e);
            /* Removed and begun anew, it has nothing of what is below: that is all there is to say of it. */
            if (r >= 0 && next == -ENOTDIR)
                r = late_note(u, path, NULL, e);
            if (r < 0)
                return r;
            next = open_beneath(fd, name, O_PATH | O_DIRECTORY);
        }
        if (next == -ELOOP || next == -ENOTDIR)
            return error_set(e, ENOTDIR, "its directory %s is %s", path,
                is_link(fd, name) ? "a symbolic link" : "no directory");
        if (next < 0)
            return error_set_errno(e, next, "opening its directory %s", path);
        close(fd);
        fd = next;
        *end = mark;
        name = end + (mark != '\0');
    }
    return TAKE_FD(fd);
}

static void forget_parent(struct unpack *u) {
    free(TAKE_PTR(u->parent_path));
    close_and_reset(&u->parent_fd);
}

int parent_open(struct unpack *u, const struct name *n, struct error *e) {
    size_t length = n->base > n->path ? (size_t)(n->base - n->path) - 1 : 0;

    if (u->parent_path && strncmp(u->parent_path, n->path, length) == 0 && u->parent_path[length] == '\0')
        return u->parent_fd;
    forget_parent(u);
    _cleanup_free_ char *path = strndup(n->path, length);
    if (!path)
        return error_set(e, ENOMEM, "out of memory");
    int fd = open_beneath(u->root, path, O_PATH | O_DIRECTORY);
    if (fd < 0)
        fd = make_parents(u, path, e);
    if (fd < 0)
        return fd;
    u->parent_path = TAKE_PTR(path);
    return u->parent_fd = fd;
}

/* What was there goes, whatever it is. */
static int clear_place(struct unpack *u, int directory, const char *base, struct error *e) {
    struct stat st;

    if (fstatat(directory, base, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return 0;
    u->replaced = true;
    int r = remove_tree(directory, base);
    return r < 0 ? error_set_errno(e, r, "removing what an earlier entry made there") : 0;
}

/* ---- kinds of entries ---- */

static int count_bytes(struct unpack *u, uint64_t n, struct error *e) {
    u->size += n;
    u->unchecked += n;
    if (u->unchecked < SPACE_STEP)
        return 0;
    u->unchecked = 0;
    return store_check_space(u->store, SPACE_STEP, e);
}

static int read_failed(struct unpack *u, struct error *e) {
    if (u->error.number != 0) {
        if (e)
            *e = u->error;
        return -u->error.number;
    }
    const char *text = archive_error_string(u->tar);
    return error_set(e, EBADMSG, "its data cannot be read: %s", text ? text : "damaged");
}

static int write_data(struct unpack *u, int fd, uint64_t size, struct error *e) {
    uint64_t end = 0;
    const void *data;
    la_int64_t offset;
    size_t n;
    int r;

    while ((r = archive_read_data_block(u->tar, &data, &n, &offset)) == ARCHIVE_OK) {
        if (n == 0)
            continue;
        /* Holes are skipped, not written. */
        if ((uint64_t)offset != end && lseek(fd, offset, SEEK_SET) < 0)
            return error_set_errno(e, errno, "writing");
        int w = write_all(fd, data, n);
        if (w >= 0)
            w = count_bytes(u, n, e);
        else
            (void)error_set_errno(e, w, "writing");
        if (w < 0)
            return w;
        end = (uint64_t)offset + n;
    }
    if (r != ARCHIVE_EOF)
        return read_failed(u, e);
    if (end < size && ftruncate(fd, (off_t)size) < 0)
        return error_set_errno(e, errno, "its size of %" PRIu64 " bytes", size);
    return 0;
}

static int make_file(
    struct unpack *u, int directory, const char *base, struct archive_entry *entry, struct error *e) {
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

    _cleanup_close_ int fd = openat(directory, base, flags, 0600);
    if (fd < 0 && errno == EEXIST) {
        int r = clear_place(u, directory, base, e);
        if (r < 0)
            return r;
        fd = openat(directory, base, flags, 0600);
    }
    if (fd < 0)
        return error_set_errno(e, errno, "making it");
    la_int64_t size = archive_entry_size(entry);
    if (size < 0)
        return error_set(e, EINVAL, "a negative size");
    int r = write_data(u, fd, (uint64_t)size, e);
    return r < 0 ? r : apply_attributes(directory, base, fd, entry, true, e);
}

static int make_directory(
    struct unpack *u, int directory, const struct name *n, struct archive_entry *entry, struct error *e) {
    int r = mkdirat(directory, n->base, 0700) < 0 ? negative_errno() : 0;

    if (r == -EEXIST && is_whiteout(directory, n->base)) {
        r = replace_whiteout(directory, n->base, e);
        if (r < 0)
            return r;
    }
    _cleanup_close_ int fd = open_beneath(directory, n->base, O_RDONLY | O_DIRECTORY);
    if (r == -EEXIST && (fd == -ENOTDIR || fd == -ELOOP)) {
        u->replaced = true;
        if (unlinkat(directory, n->base, 0) < 0 || mkdirat(directory, n->base, 0700) < 0)
            return error_set_errno(e, errno, "replacing what an earlier entry made there");
        fd = open_beneath(directory, n->base, O_RDONLY | O_DIRECTORY);
    } else if (r < 0 && r != -EEXIST)
        return error_set_errno(e, r, "making it");
    if (fd < 0)
        return error_set_errno(e, fd, "opening it");
    forget_implicit(u, n->path);
    r = r == -EEXIST ? clear_xattrs(fd, e) : 0;
    if (r >= 0)
        r = apply_attributes(directory, n->base, fd, entry, false, e);
    return r < 0 ? r : late_note(u, n->path, entry, e);
}

static int symlink_at(struct archive_entry *entry, int directory, const char *base) {
    const char *target = archive_entry_symlink(entry);

    if (isempty(target))
        return -EINVAL;
    return symlinkat(target, directory, base) < 0 ? negative_errno() : 0;
}

/* With the umask at 0 a node has its mode from the start; changing it later would follow links. */
static int node_at(struct archive_entry *entry, int directory, const char *base) {
    mode_t type = archive_entry_filetype(entry), mode = type | (archive_entry_perm(entry) & 07777);
    dev_t device =
        type == S_IFIFO ? 0 : makedev(archive_entry_rdevmajor(entry), archive_entry_rdevminor(entry));

    return mknodat(directory, base, mode, device) < 0 ? negative_errno() : 0;
}

static int make_special(struct unpack *u, int directory, const char *base, struct archive_entry *entry,
    int (*make)(struct archive_entry *entry, int directory, const char *base), struct error *e) {
    int r = make(entry, directory, base);

    if (r == -EEXIST) {
        r = clear_place(u, directory, base, e);
        if (r < 0)
            return r;
        r = make(entry, directory, base);
    }
    if (r < 0)
        return error_set_errno(e, r, "making it");
    return apply_attributes(directory, base, -1, entry, true, e);
}

static int make_node(
    struct unpack *u, int directory, const char *base, struct archive_entry *entry, struct error *e) {
    bool zero = archive_entry_rdevmajor(entry) == 0 && archive_entry_rdevminor(entry) == 0;

    if (archive_entry_filetype(entry) == AE_IFCHR && zero)
        return error_set(e, EINVAL, "a character device 0:0, which is overlay's mark for a removed file");
    return make_special(u, directory, base, entry, node_at, e);
}

/* ---- hard links ---- */

/* The directory that the target is in, and its name there. */
static int open_target(struct unpack *u, const struct name *target, struct error *e) {
    if (target->kind == NAME_AUFS_LINK) {
        int fd = u->links >= 0 ? openat(u->links, ".", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
        return fd < 0 ? error_set(e, ENOENT, "a hard link to %s, which is not there", target->path) : fd;
    }
    if (target->kind != NAME_ENTRY)
        return error_set(e, EINVAL, "a hard link to %s", *target->path ? target->path : "/");
    size_t length = target->base > target->path ? (size_t)(target->base - target->path) - 1 : 0;
    _cleanup_free_ char *parent = strndup(target->path, length);
    if (!parent)
        return error_set(e, ENOMEM, "out of memory");
    int fd = open_beneath(u->root, parent, O_PATH | O_DIRECTORY);
    return fd < 0 ? error_set_errno(e, fd, "a hard link to %s", target->path) : fd;
}

static int make_hard_link(
    struct unpack *u, int directory, const struct name *n, const char *text, struct error *e) {
    _cleanup_(name_done) struct name target = {};

    int r = name_parse(text, &target, e);
    if (r < 0)
        return error_prefix(e, r, "target of the hard link");
    if (target.kind == NAME_ENTRY && streq(target.path, n->path))
        return error_set(e, EINVAL, "a hard link to itself");
    r = clear_place(u, directory, n->base, e);
    if (r < 0)
        return r;
    _cleanup_close_ int from = open_target(u, &target, e);
    if (from < 0)
        return from;
    if (is_whiteout(from, target.base))
        return error_set(e, EINVAL, "a hard link to %s, which the layer removes", target.path);
    if (linkat(from, target.base, directory, n->base, 0) < 0)
        return error_set_errno(e, errno, "a hard link to %s", target.path);
    return 0;
}

/* ---- whiteouts ---- */

static int make_whiteout(struct unpack *u, const struct name *n, struct error *e) {
    int directory = parent_open(u, n, e);
    if (directory < 0)
        return directory;
    if (mknodat(directory, n->base, S_IFCHR, 0) == 0)
        return 0;
    if (errno != EEXIST)
        return error_set_errno(e, errno, "making a whiteout");
    /* It is about the layers below: what this layer brings stays, and hides them as well; a directory has to
     * say so, and is a new one. */
    forget_implicit(u, n->path);
    _cleanup_close_ int fd = open_beneath(directory, n->base, O_RDONLY | O_DIRECTORY);
    return fd < 0 ? 0 : mark_opaque(fd, e);
}

static int make_opaque(struct unpack *u, const struct name *n, struct error *e) {
    _cleanup_free_ char *inside = strf("%s%s.", n->path, *n->path ? "/" : "");
    struct name below = {.path = inside, .base = inside ? inside + strlen(inside) - 1 : NULL};

    /* The directory itself as parent of something: it is made if no entry has done so. */
    if (!inside)
        return error_set(e, ENOMEM, "out of memory");
    int directory = parent_open(u, &below, e);
    if (directory < 0)
        return directory;
    _cleanup_close_ int fd = open_beneath(directory, "", O_RDONLY | O_DIRECTORY);
    return fd < 0 ? error_set_errno(e, fd, "opening it") : mark_opaque(fd, e);
}

static int make_aufs_link(
    struct unpack *u, const struct name *n, struct archive_entry *entry, struct error *e) {
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
        return error_set(e, EINVAL, "only files can be in %s", AUFS_LINKS);
    if (u->links < 0) {
        if (mkdirat(u->work, "links", 0700) < 0)
            return error_set_errno(e, errno, "making a place for it");
        u->links = open_beneath(u->work, "links", O_RDONLY | O_DIRECTORY);
        if (u->links < 0)
            return error_set_errno(e, u->links, "making a place for it");
    }
    return make_file(u, u->links, n->base, entry, e);
}

/* ---- the entry ---- */

static int make_root(struct unpack *u, struct archive_entry *entry, struct error *e) {
    if (archive_entry_hardlink(entry) || archive_entry_filetype(entry) != AE_IFDIR)
        return error_set(e, EINVAL, "the root of a layer is a directory, not anything else");
    forget_implicit(u, "");
    int r = apply_attributes(-1, NULL, u->root, entry, false, e);
    return r < 0 ? r : late_note(u, "", entry, e);
}

static int make_entry(struct unpack *u, const struct name *n, struct archive_entry *entry, struct error *e) {
    int directory = parent_open(u, n, e);
    if (directory < 0)
        return directory;

    if (archive_entry_hardlink(entry))
        return make_hard_link(u, directory, n, archive_entry_hardlink(entry), e);
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        return make_file(u, directory, n->base, entry, e);
    case AE_IFDIR:
        return make_directory(u, directory, n, entry, e);
    case AE_IFLNK:
        return make_special(u, directory, n->base, entry, symlink_at, e);
    case AE_IFCHR:
    case AE_IFBLK:
    case AE_IFIFO:
        return make_node(u, directory, n->base, entry, e);
    default:
        return error_set(e, EINVAL, "an entry of a type that is not known");
    }
}

int unpack_entry(struct unpack *u, struct archive_entry *entry, struct error *e) {
    _cleanup_(name_done) struct name n = {};
    const char *text = archive_entry_pathname(entry);

    if (!text)
        return error_set(e, EINVAL, "its name cannot be read");
    int r = name_parse(text, &n, e);
    if (r < 0)
        return r;
    switch (n.kind) {
    case NAME_ROOT:
        return make_root(u, entry, e);
    case NAME_WHITEOUT:
        return make_whiteout(u, &n, e);
    case NAME_OPAQUE:
        return make_opaque(u, &n, e);
    case NAME_AUFS_LINK:
        return make_aufs_link(u, &n, entry, e);
    case NAME_IGNORED:
        return 0;
    case NAME_ENTRY:
        break;
    }
    return make_entry(u, &n, entry, e);
}
