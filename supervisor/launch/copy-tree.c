/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies a directory's content with owners, modes, times, extended attributes, links and device nodes. Both
 * sides are walked by descriptor and no symbolic link is followed, so neither side can lead out of itself.
 */
#include <dirent.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>

#include "base/hashmap.h"
#include "base/str.h"
#include "launch/internal.h"

enum {
    MAX_DEPTH = 200,
    MAX_XATTR_LIST = 64 * 1024,
    MAX_XATTR_VALUE = 64 * 1024,
};

/* A file with several names: the first copy of it, for the others to link to. */
struct linked_file {
    char key[40]; /* "device:inode" */
    char path[];  /* below the target root */
};

struct copy {
    int target_root;
    const struct container_spec *translate;
    struct hashmap *linked;
    char path[PATH_MAX]; /* of the current object, for messages and links */
    struct error *error;
};

static int copy_failed(struct copy *c, int number, const char *call) {
    return error_set_errno(c->error, number, "%s %s", call, c->path);
}

static int copy_owner(struct copy *c, int to_dir, const char *name, const struct stat *st) {
    uint32_t uid = st->st_uid, gid = st->st_gid;

    if (c->translate) {
        uid = idmap_inside(c->translate->uid_map, c->translate->n_uid_map, uid);
        gid = idmap_inside(c->translate->gid_map, c->translate->n_gid_map, gid);
        /* An owner that the container cannot have becomes its root. */
        uid = uid == SPEC_ID_UNSET ? 0 : uid;
        gid = gid == SPEC_ID_UNSET ? 0 : gid;
    }
    if (fchownat(to_dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        return copy_failed(c, errno, "chown");
    return 0;
}

/* Attributes that belong to a file system's own bookkeeping and must not travel. */
static bool xattr_is_private(const char *name) {
    return startswith(name, "trusted.overlay.") || startswith(name, "user.overlay.") ||
           streq(name, "security.selinux");
}

/* Between two open files or directories. File systems without attributes are fine. */
static int copy_xattrs(struct copy *c, int from, int to) {
    ssize_t n = flistxattr(from, NULL, 0);
    if (n <= 0)
        return 0;
    if (n > MAX_XATTR_LIST)
        return copy_failed(c, E2BIG, "list attributes of");
    _cleanup_free_ char *names = malloc((size_t)n);
    _cleanup_free_ char *value = malloc(MAX_XATTR_VALUE);
    if (!names || !value)
        return copy_failed(c, ENOMEM, "copy");
    n = flistxattr(from, names, (size_t)n);
    for (const char *name = names; n > 0 && name < names + n; name += strlen(name) + 1) {
        if (xattr_is_private(name))
            continue;
        ssize_t size = fgetxattr(from, name, value, MAX_XATTR_VALUE);
        if (size < 0)
            continue; /* gone or not for us to read */
        if (fsetxattr(to, name, value, (size_t)size, 0) < 0 && errno != EOPNOTSUPP)
            return copy_failed(c, errno, "set attributes of");
    }
    return 0;
}

static int copy_data(struct copy *c, int from, int to) {
    for (;;) {
        ssize_t n = copy_file_range(from, NULL, to, NULL, 1 << 24, 0);
        if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS))
            n = sendfile(to, from, NULL, 1 << 24);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return copy_failed(c, errno, "write");
        if (n == 0)
            return 0;
    }
}

static int copy_regular(struct copy *c, int from_dir, int to_dir, const char *name, const struct stat *st) {
    _cleanup_close_ int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from < 0)
        return copy_failed(c, errno, "open");
    _cleanup_close_ int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return copy_failed(c, errno, "create");
    int r = copy_data(c, from, to);
    /* Owner first: changing it takes set-id bits and capabilities away. */
    if (r >= 0)
        r = copy_owner(c, to_dir, name, st);
    if (r >= 0)
        r = copy_xattrs(c, from, to);
    if (r >= 0 && fchmod(to, st->st_mode & 07777) < 0)
        r = copy_failed(c, errno, "chmod");
    return r;
}

static int copy_link(struct copy *c, int from_dir, int to_dir, const char *name) {
    char target[PATH_MAX];

    ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);
    if (n < 0)
        return copy_failed(c, errno, "readlink");
    target[n] = '\0';
    return symlinkat(target, to_dir, name) < 0 ? copy_failed(c, errno, "symlink") : 0;
}

/* 1 if the object is a further name of one that was copied, and linked now. */
static int copy_hard_link(struct copy *c, int to_dir, const char *name, const struct stat *st) {
    char key[sizeof(((struct linked_file *)NULL)->key)];

    snprintf(key, sizeof(key), "%ju:%ju", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino);
    const struct linked_file *first = hashmap_get(c->linked, key);
    if (first)
        return linkat(c->target_root, first->path, to_dir, name, 0) < 0 ? copy_failed(c, errno, "link") : 1;

    size_t n = strlen(c->path) + 1;
    struct linked_file *f = malloc(sizeof(*f) + n);
    if (!f)
        return copy_failed(c, ENOMEM, "copy");
    memcpy(f->key, key, sizeof(key));
    memcpy(f->path, c->path, n);
    int r = hashmap_put(c->linked, f->key, f);
    if (r < 0) {
        free(f);
        return copy_failed(c, r, "copy");
    }
    return 0;
}

static int copy_directory(struct copy *c, int from, int to, unsigned depth);

static int copy_subdirectory(struct copy *c, int from_dir, int to_dir, const char *name, unsigned depth) {
    _cleanup_close_ int from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0)
        return copy_failed(c, errno, "open");
    if (mkdirat(to_dir, name, 0700) < 0)
        return copy_failed(c, errno, "mkdir");
    _cleanup_close_ int to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (to < 0)
        return copy_failed(c, errno, "open");
    return copy_directory(c, from, to, depth + 1);
}

static int copy_object(struct copy *c, int from_dir, int to_dir, const char *name, unsigned depth) {
    struct stat st;
    int r = 0;

    if (fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return copy_failed(c, errno, "stat");
    if (S_ISDIR(st.st_mode))
        return copy_subdirectory(c, from_dir, to_dir, name, depth);
    if (st.st_nlink > 1)
        r = copy_hard_link(c, to_dir, name, &st);
    if (r != 0)
        return r < 0 ? r : 0;

    if (S_ISREG(st.st_mode))
        r = copy_regular(c, from_dir, to_dir, name, &st);
    else if (S_ISLNK(st.st_mode))
        r = copy_link(c, from_dir, to_dir, name);
    else if (mknodat(to_dir, name, st.st_mode, st.st_rdev) < 0)
        r = copy_failed(c, errno, "mknod");
    if (r >= 0 && !S_ISREG(st.st_mode))
        r = copy_owner(c, to_dir, name, &st);
    if (r >= 0) {
        const struct timespec times[] = {st.st_atim, st.st_mtim};
        (void)utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW);
    }
    return r;
}

/* The directory's own attributes, after its content: adding to it changes its times. */
static int finish_directory(struct copy *c, int from, int to) {
    struct stat st;

    if (fstat(from, &st) < 0)
        return copy_failed(c, errno, "stat");
    int r = copy_owner(c, to, ".", &st);
    if (r >= 0)
        r = copy_xattrs(c, from, to);
    if (r >= 0 && fchmod(to, st.st_mode & 07777) < 0)
        r = copy_failed(c, errno, "chmod");
    if (r >= 0) {
        const struct timespec times[] = {st.st_atim, st.st_mtim};
        (void)futimens(to, times);
    }
    return r;
}

DEFINE_CLEANUP(DIR *, closedir)

static int copy_directory(struct copy *c, int from, int to, unsigned depth) {
    size_t length = strlen(c->path);

    if (depth > MAX_DEPTH)
        return copy_failed(c, ELOOP, "copy");
    int list_fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(closedirp) DIR *d = list_fd < 0 ? NULL : fdopendir(list_fd);
    if (!d) {
        closep(&list_fd);
        return copy_failed(c, errno, "open");
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(d);
        if (!entry && errno != 0)
            return copy_failed(c, errno, "read");
        if (!entry)
            return finish_directory(c, from, to);
        if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
            continue;
        int n = snprintf(
            c->path + length, sizeof(c->path) - length, "%s%s", length > 0 ? "/" : "", entry->d_name);
        if (n < 0 || (size_t)n >= sizeof(c->path) - length)
            return copy_failed(c, ENAMETOOLONG, "copy");
        int r = copy_object(c, from, to, entry->d_name, depth);
        c->path[length] = '\0';
        if (r < 0)
            return r;
    }
}

int copy_tree(int from, int to, const struct container_spec *translate, struct error *e) {
    _cleanup_(hashmap_freep) struct hashmap *linked = hashmap_new();
    struct copy c = {.target_root = to, .translate = translate, .linked = linked, .error = e};
    struct linked_file *f;

    if (!linked)
        return error_set(e, ENOMEM, "out of memory");
    int r = copy_directory(&c, from, to, 0);
    HASHMAP_FOREACH (f, linked)
        free(f);
    return r;
}

int directory_is_empty(int fd) {
    int list_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(closedirp) DIR *d = list_fd < 0 ? NULL : fdopendir(list_fd);

    if (!d) {
        int r = negative_errno();
        closep(&list_fd);
        return r;
    }
    for (;;) {
        const struct dirent *entry = readdir(d);
        if (!entry)
            return 1;
        /* mkfs leaves one in a fresh volume. */
        if (!streq(entry->d_name, ".") && !streq(entry->d_name, "..") && !streq(entry->d_name, "lost+found"))
            return 0;
    }
}
