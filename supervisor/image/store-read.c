/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading blobs. */
#include <fcntl.h>

#include "base/fs.h"
#include "image/store.h"

#define BLOB_PATH (sizeof("blobs/sha256/") + DIGEST_HEX)

int blob_open(const struct store *s, const char *digest, uint64_t *ret_size, struct error *e) {
    char path[BLOB_PATH];
    struct stat st;

    if (!digest_is_valid(digest))
        return error_set(e, EINVAL, "\"%.80s\" is not a sha256 digest", digest);
    (void)snprintf(path, sizeof(path), "blobs/sha256/%s", digest_hex(digest));
    _cleanup_close_ int fd = openat(s->fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set_errno(e, errno, "blob %s of %s", digest, s->path);
    if (!S_ISREG(st.st_mode))
        return error_set(e, EBADMSG, "blob %s of %s is not a file", digest, s->path);
    if (ret_size)
        *ret_size = (uint64_t)st.st_size;
    return TAKE_FD(fd);
}

uint64_t blob_size(const struct store *s, const char *digest) {
    uint64_t size = 0;

    _cleanup_close_ int fd = blob_open(s, digest, &size, NULL);
    return fd < 0 ? 0 : size;
}

int blob_touch(const struct store *s, const char *digest) {
    _cleanup_close_ int fd = blob_open(s, digest, NULL, NULL);

    if (fd < 0)
        return fd;
    (void)futimens(fd, NULL);
    return 0;
}

int blob_read(
    const struct store *s, const char *digest, size_t max, char **ret, size_t *ret_size, struct error *e) {
    _cleanup_close_ int fd = blob_open(s, digest, NULL, e);
    if (fd < 0)
        return fd;
    int r = fd_read_all(fd, max, ret, ret_size);
    return r < 0 ? error_set_errno(e, r, "blob %s of %s", digest, s->path) : 0;
}
