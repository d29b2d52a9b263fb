/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "launch/resolve.h"

#include <limits.h>
#include <string.h>

/* RESOLVE_IN_ROOT fails with EAGAIN when something was renamed meanwhile: a racing container must not make us
 * spin. */
#define RESOLVE_TRIES 64

static int open_below(int root, const char *path, int flags, mode_t mode, uint64_t resolve) {
    while (*path == '/')
        path++;
    for (int i = 0;; i++) {
        int fd = sys_openat2(root, *path ? path : ".", (uint64_t)(unsigned)flags, mode, resolve);
        if ((fd != -EAGAIN && fd != -EINTR) || i >= RESOLVE_TRIES)
            return fd;
    }
}

int root_open(int root, const char *path, int flags) {
    return open_below(root, path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int root_open_strict(int root, const char *path, int flags) {
    return open_below(root, path, flags, 0,
        RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

/* Makes the missing directory name in parent and opens it. A symbolic link in its place (dangling, or put
 * there this moment) is an error. */
static int make_directory_in(int parent, const char *name, mode_t mode) {
    if (mkdirat(parent, name, mode) < 0 && errno != EEXIST)
        return negative_errno();
    return open_below(
        parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

int root_make_directory(int root, const char *path, mode_t mode) {
    char prefix[PATH_MAX];
    _cleanup_close_ int parent = -1;

    int fd = root_open(root, path, O_PATH | O_DIRECTORY);
    if (fd != -ENOENT)
        return fd;
    if (strlen(path) >= sizeof(prefix))
        return -ENAMETOOLONG;

    /* Descend by longer and longer prefixes, each resolved from the root, so that links in the image lead
     * where a process inside would get; the first that is missing and all after it are made. */
    for (const char *p = path + strspn(path, "/"); *p; p += strspn(p, "/")) {
        size_t n = strcspn(p, "/");
        char name[NAME_MAX + 1];

        if (n > NAME_MAX)
            return -ENAMETOOLONG;
        memcpy(name, p, n);
        name[n] = '\0';
        if (strcmp(name, "..") == 0)
            return -EINVAL;
        p += n;
        memcpy(prefix, path, (size_t)(p - path));
        prefix[p - path] = '\0';

        fd = root_open(root, prefix, O_PATH | O_DIRECTORY);
        if (fd == -ENOENT)
            fd = make_directory_in(parent < 0 ? root : parent, name, mode);
        if (fd < 0)
            return fd;
        close_and_reset(&parent);
        parent = fd;
    }
    return TAKE_FD(parent);
}

int root_make_target(int root, const char *path, bool directory) {
    char parent_path[PATH_MAX];

    if (directory)
        return root_make_directory(root, path, 0755);
    int fd = root_open(root, path, O_PATH);
    if (fd != -ENOENT)
        return fd;

    const char *slash = strrchr(path, '/');
    if (!slash || !slash[1] || strlen(path) >= sizeof(parent_path))
        return -EINVAL;
    memcpy(parent_path, path, (size_t)(slash - path));
    parent_path[slash - path] = '\0';
    _cleanup_close_ int parent = root_make_directory(root, parent_path, 0755);
    if (parent < 0)
        return parent;

    _cleanup_close_ int made =
        openat(parent, slash + 1, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0644);
    if (made < 0)
        return negative_errno();
    return open_below(parent, slash + 1, O_PATH | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}
