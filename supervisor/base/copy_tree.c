/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/copy_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>

#include "base/fs.h"
#include "base/hashmap.h"

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
    const struct copy_tree_options *options;
    struct hashmap *linked;
    char path[PATH_MAX]; /* of the current object, for messages and links */
    struct error *error;
};

static int copy_failed(struct copy *c, int number, const char *call) {
    return error_set_errno(c->error, number, "%s %s", call, c->path);
}

static int copy_owner(struct copy *c, int to_dir, const char *name, const struct stat *st) {
    uint32_t uid = st->st_uid, gid = st->st_gid;

    if (c->options->owner)
        c->options->owner(c->options->userdata, &uid, &gid);
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

/* What is between two holes. */
static int copy_extent(int from, int to, off_t begin, off_t end) {
    while (begin < end) {
        off_t out = begin;
        ssize_t n = copy_file_range(from, &begin, to, &out, (size_t)(end - begin), 0);
        if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS))
            n = lseek(to, begin, SEEK_SET) < 0 ? -1 : sendfile(to, from, &begin, (size_t)(end - begin));
        if (n < 0 && errno != EINTR)
            return negative_errno();
        if (n == 0)
            return 0; /* shorter than it was */
    }
    return 0;
}

int copy_file_data(int from, int to, bool *ret_shared) {
    struct stat st;
    off_t begin = 0, end;

    if (ret_shared)
        *ret_shared = false;
    if (ioctl(to, FICLONE, from) == 0) {
        if (ret_shared)
            *ret_shared = true;
        return 0;
    }
    if (fstat(from, &st) < 0)
        return negative_errno();
    while (begin < st.st_size) {
        begin = lseek(from, begin, SEEK_DATA);
        if (begin < 0 && errno == ENXIO)
            break; /* a hole up to the end */
        end = begin < 0 ? -1 : lseek(from, begin, SEEK_HOLE);
        if (end < 0) {
            begin = 0; /* a file system without this call */
            end = st.st_size;
        }
        int r = copy_extent(from, to, begin, end);
        if (r < 0)
            return r;
        begin = end;
    }
    return ftruncate(to, st.st_size) < 0 ? negative_errno() : 0;
}

static int copy_regular(struct copy *c, int from_dir, int to_dir, const char *name, const struct stat *st) {
    _cleanup_close_ int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from < 0)
        return copy_failed(c, errno, "open");
    _cleanup_close_ int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return copy_failed(c, errno, "create");
    int r = copy_file_data(from, to, NULL);
    if (r < 0)
        return copy_failed(c, r, "write");
    /* Owner first: changing it takes set-id bits and capabilities away. */
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

/* ---- a layer over what is there ---- */

static bool is_whiteout(const struct stat *st) {
    return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

static bool is_opaque(int fd) {
    char value;
    return fgetxattr(fd, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

/* Attributes that the directory had from a layer below: overlay shows those of the topmost alone. */
static int remove_xattrs(struct copy *c, int fd) {
    char names[4096];

    ssize_t n = flistxattr(fd, names, sizeof(names));
    for (const char *name = names; n > 0 && name < names + n; name += strlen(name) + 1)
        if (!xattr_is_private(name) && fremovexattr(fd, name) < 0)
            return copy_failed(c, errno, "remove attributes of");
    return n < 0 && errno != EOPNOTSUPP ? copy_failed(c, errno, "list attributes of") : 0;
}

/* 1 if there is a directory already that this one is merged with; else its place is free. */
static int make_merged(struct copy *c, int from, int to_dir, const char *name) {
    _cleanup_close_ int there = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (there >= 0 && !is_opaque(from)) {
        int r = remove_xattrs(c, there);
        return r < 0 ? r : 1;
    }
    int r = remove_tree(to_dir, name);
    return r < 0 ? copy_failed(c, r, "remove") : 0;
}

/* ---- objects ---- */

static int copy_directory(struct copy *c, int from, int to, unsigned depth);

static int copy_subdirectory(struct copy *c, int from_dir, int to_dir, const char *name, unsigned depth) {
    _cleanup_close_ int from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0)
        return copy_failed(c, errno, "open");
    int r = c->options->layer ? make_merged(c, from, to_dir, name) : 0;
    if (r < 0)
        return r;
    if (r == 0 && mkdirat(to_dir, name, 0700) < 0)
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
    if (c->options->layer) {
        r = remove_tree(to_dir, name);
        if (r < 0)
            return copy_failed(c, r, "remove");
        if (is_whiteout(&st))
            return 0;
    }
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

int copy_tree(int from, int to, const struct copy_tree_options *options, struct error *e) {
    static const struct copy_tree_options plain;
    _cleanup_(hashmap_freep) struct hashmap *linked = hashmap_new();
    struct copy c = {.target_root = to, .options = options ? options : &plain, .linked = linked, .error = e};
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
