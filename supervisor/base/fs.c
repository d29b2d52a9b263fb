/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/fs.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>

#include "base/id128.h"

#define READ_FIRST 4096
#define LINE_MAX_BYTES 65536
/* A machine that was held up finds the time over in which nobody could do anything. */
#define LOOKS_MIN 5
#define LOOK_MSEC 5

/* ---- reading ---- */

/* st: a regular file says how much is coming; one byte more, so that its end is seen without another buffer.
 * What it says is only a hint: files in /proc say 0. */
static int read_all(int fd, const struct stat *st, size_t max, char **ret, size_t *ret_size) {
    _cleanup_free_ char *data = NULL;
    size_t room = 0, n = 0, next = READ_FIRST;

    max = MIN(max, (size_t)SSIZE_MAX / 2); /* the sums below cannot overflow */
    if (S_ISREG(st->st_mode) && st->st_size > 0)
        next = (size_t)MIN((uint64_t)st->st_size, (uint64_t)max) + 1;

    for (;;) {
        if (n == room) {
            if (n > max)
                return -EFBIG;
            room = MIN(MAX(next, room * 2), max + 1);
            char *grown = realloc(data, room + 1);
            if (!grown)
                return -ENOMEM;
            data = grown;
        }

        ssize_t got = read(fd, data + n, room - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return negative_errno();
        if (got == 0)
            break;
        n += (size_t)got;
    }
    if (n > max)
        return -EFBIG;

    data[n] = '\0';
    *ret = TAKE_PTR(data);
    if (ret_size)
        *ret_size = n;
    return 0;
}

int fd_read_all(int fd, size_t max, char **ret, size_t *ret_size) {
    struct stat st;

    if (fstat(fd, &st) < 0)
        return negative_errno();
    return read_all(fd, &st, max, ret, ret_size);
}

/* Opens a regular file for reading. Without O_NONBLOCK, a FIFO in its place would stop us until somebody
 * writes. */
static int open_regular(int dirfd, const char *path, struct stat *ret_st) {
    _cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0 || fstat(fd, ret_st) < 0)
        return negative_errno();
    if (S_ISDIR(ret_st->st_mode))
        return -EISDIR;
    if (!S_ISREG(ret_st->st_mode))
        return -EINVAL;
    return TAKE_FD(fd);
}

int file_read(int dirfd, const char *path, size_t max, char **ret, size_t *ret_size) {
    struct stat st = {};

    _cleanup_close_ int fd = open_regular(dirfd, path, &st);
    return fd < 0 ? fd : read_all(fd, &st, max, ret, ret_size);
}

int file_read_line(int dirfd, const char *path, char **ret) {
    struct stat st = {};
    _cleanup_close_ int fd = open_regular(dirfd, path, &st);
    _cleanup_strbuf_ struct strbuf line = {};
    char chunk[READ_FIRST];

    if (fd < 0)
        return fd;
    while (line.length <= LINE_MAX_BYTES) {
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return negative_errno();

        const char *newline = memchr(chunk, '\n', (size_t)got);
        strbuf_append(&line, chunk, newline ? (size_t)(newline - chunk) : (size_t)got);
        if (strbuf_failed(&line))
            return -ENOMEM;
        if (got == 0 || newline) {
            char *text = strbuf_take(&line);
            if (!text)
                return -ENOMEM;
            *ret = text;
            return 0;
        }
    }
    return -EFBIG;
}

/* ---- writing ---- */

int write_all(int fd, const void *data, size_t n) {
    const char *p = data;

    while (n > 0) {
        ssize_t written = write(fd, p, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return negative_errno();
        if (written == 0)
            return -EIO;
        p += written;
        n -= (size_t)written;
    }
    return 0;
}

int write_within(int fd, const void *data, size_t n, usec_t timeout) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    usec_t deadline = usec_add(now_monotonic(), timeout);
    unsigned looks = timeout > 0 ? LOOKS_MIN : 0;
    const char *rest = data;

    while (n > 0) {
        ssize_t written = write(fd, rest, n);
        if (written > 0) {
            rest += written;
            n -= (size_t)written;
        } else if (written == 0)
            return -EIO;
        else if (errno == EAGAIN) {
            usec_t now = now_monotonic();
            if (now >= deadline && looks == 0)
                return -EAGAIN;
            (void)poll(&p, 1, now < deadline ? (int)((deadline - now) / USEC_PER_MSEC) + 1 : LOOK_MSEC);
            looks -= looks > 0;
        } else if (errno != EINTR)
            return negative_errno();
    }
    return 0;
}

int file_write(int dirfd, const char *path, const char *text) {
    _cleanup_close_ int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    size_t n = strlen(text);
    ssize_t written;

    if (fd < 0)
        return negative_errno();
    do
        written = write(fd, text, n);
    while (written < 0 && errno == EINTR);
    if (written < 0)
        return negative_errno();
    /* The kernel takes each write as a whole message: the rest of a short one would be a second message. */
    return (size_t)written == n ? 0 : -EIO;
}

/* Opens the directory part of path, and points *ret_name to the rest. -EINVAL where the rest names no entry.
 */
static int open_parent(int dirfd, const char *path, const char **ret_name) {
    const char *name = path_basename(path);
    if (*name == '\0' || streq(name, ".") || streq(name, ".."))
        return -EINVAL;

    _cleanup_free_ char *parent = name == path ? strdup(".") : strndup(path, (size_t)(name - path));
    if (!parent)
        return -ENOMEM;
    int fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return negative_errno();
    *ret_name = name;
    return fd;
}

/* Makes a new file "~.NAME.XXXXXXXX" in dirfd. Unit and state directories skip names that start so. */
static int create_temporary(int dirfd, const char *name, char ret_name[static NAME_MAX + 1]) {
    for (unsigned attempt = 0; attempt < 16; attempt++) {
        uint32_t random;
        random_bytes(&random, sizeof(random));
        /* A name may use all that a file name can hold; then ours is cut. */
        (void)snprintf(ret_name, NAME_MAX + 1, "~.%.*s.%08x", NAME_MAX - 11, name, random);
        int fd = openat(dirfd, ret_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd >= 0 ? fd : negative_errno();
    }
    return -EEXIST;
}

static int fill(int fd, const void *data, size_t n, mode_t mode, bool sync) {
    int r = write_all(fd, data, n);
    if (r < 0)
        return r;
    /* Not left to open(2): that takes the umask off. */
    if (fchmod(fd, mode) < 0 || (sync && fsync(fd) < 0))
        return negative_errno();
    return 0;
}

int file_write_atomic(int dirfd, const char *path, const void *data, size_t n, mode_t mode, bool sync) {
    char temporary[NAME_MAX + 1];
    const char *name = NULL;

    _cleanup_close_ int parent = open_parent(dirfd, path, &name);
    if (parent < 0)
        return parent;
    _cleanup_close_ int fd = create_temporary(parent, name, temporary);
    if (fd < 0)
        return fd;

    int r = fill(fd, data, n, mode, sync);
    if (r == 0 && renameat(parent, temporary, parent, name) < 0)
        r = negative_errno();
    if (r < 0) {
        (void)unlinkat(parent, temporary, 0);
        return r;
    }

    /* The rename is in the directory, not in the file. */
    if (sync && fsync(parent) < 0)
        return negative_errno();
    return 0;
}

/* ---- directories ---- */

static int make_directory(int dirfd, const char *path, mode_t mode) {
    struct stat st;

    if (mkdirat(dirfd, path, mode) == 0)
        return 0;
    int r = negative_errno();
    /* Asked for also when it may exist: on a read-only file system mkdir says EROFS, not EEXIST. */
    if (r != -ENOENT && fstatat(dirfd, path, &st, 0) == 0)
        return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
    return r;
}

int mkdir_parents(int dirfd, const char *path, mode_t mode) {
    int r = make_directory(dirfd, path, mode);
    if (r != -ENOENT || *path == '\0')
        return r;

    _cleanup_free_ char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        r = make_directory(dirfd, copy, mode);
        *slash = '/';
        if (r < 0)
            return r;
    }
    return make_directory(dirfd, path, mode);
}

static int make_owned(int dirfd, const char *path, const char *unnamed, mode_t mode, uid_t uid, gid_t gid) {
    if (faccessat(dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    int r = mkdir_parents(dirfd, unnamed, mode);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = openat(dirfd, unnamed, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, uid, gid) < 0)
        return negative_errno();
    if (renameat2(dirfd, unnamed, dirfd, path, RENAME_NOREPLACE) >= 0)
        return 0;
    if (errno != EEXIST) /* another was at it as well, and was first */
        return negative_errno();
    (void)unlinkat(dirfd, unnamed, AT_REMOVEDIR);
    return 0;
}

int mkdir_owned(int dirfd, const char *path, mode_t mode, uid_t uid, gid_t gid) {
    _cleanup_free_ char *unnamed = strf("%s.davit-new", path);

    if (!unnamed)
        return -ENOMEM;
    int r = make_owned(dirfd, path, unnamed, mode, uid, gid);
    /* Another that was at it as well has given ours its name, between two steps: the second time it is there. */
    return r == -ENOENT ? make_owned(dirfd, path, unnamed, mode, uid, gid) : r;
}

/* ---- paths as text ---- */

char *path_simplify(char *path) {
    bool absolute = path_is_absolute(path);
    char *out = path + absolute;
    const char *in = path;

    if (*path == '\0')
        return path;
    for (;;) {
        in += strspn(in, "/");
        size_t n = strcspn(in, "/");
        if (n == 0)
            break;
        if (n != 1 || in[0] != '.') {
            if (out != path + absolute)
                *out++ = '/';
            memmove(out, in, n);
            out += n;
        }
        in += n;
    }
    if (out == path)
        *out++ = '.';
    *out = '\0';
    return path;
}

bool path_is_normalized(const char *path) {
    if (!path_is_absolute(path) || strnlen(path, PATH_MAX) >= PATH_MAX)
        return false;

    while (*path) {
        path += strspn(path, "/");
        size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.')
            return false;
        path += n;
    }
    return true;
}

char *path_join(const char *a, const char *b) {
    size_t n = strlen(a);

    if (n == 0)
        return strdup(b);
    while (n > 1 && a[n - 1] == '/')
        n--;
    b += strspn(b, "/");
    return strf("%.*s%s%s", (int)n, a, a[n - 1] == '/' || *b == '\0' ? "" : "/", b);
}

const char *path_basename(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool fs_type_is_network(const char *type) {
    static const char *const types[] = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "9p", "afs", "gfs2",
        "ocfs2", "glusterfs", "virtiofs", "ncpfs", "sshfs", "davfs", "lustre", "beegfs", "curlftpfs"};

    if (startswith(type, "fuse."))
        type += strlen("fuse.");
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (streq(type, types[i]))
            return true;
    return false;
}
