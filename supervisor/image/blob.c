/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/blob.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>

#include "base/fs.h"

#define LOCK_TIMEOUT (60 * USEC_PER_SEC)

/* work/blob-HEX: found again by who fetches the same blob. */
static void partial_name(const char *digest, char ret[static WORK_NAME]) {
    (void)snprintf(ret, WORK_NAME, "work/blob-%.48s", digest_hex(digest));
}

static bool is_named(const struct store *s, const char *name, int fd) {
    struct stat opened, named;

    return fstat(fd, &opened) == 0 && fstatat(s->fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

static int open_partial(const struct store *s, const char *digest, char name[static WORK_NAME]) {
    partial_name(digest, name);
    _cleanup_close_ int fd = openat(s->fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return negative_errno();
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : negative_errno();
    /* Whoever had the lock may have given the file its place, or collected it, since we opened it. */
    return is_named(s, name, fd) ? TAKE_FD(fd) : -EBUSY;
}

/* Hashes what an earlier writer left. */
static int take_up(struct blob_writer *w) {
    char buffer[64 * 1024];
    ssize_t n;

    while ((n = read(w->fd, buffer, sizeof(buffer))) > 0) {
        hash_update(&w->hash, buffer, (size_t)n);
        w->offset += (uint64_t)n;
    }
    if (n < 0)
        return negative_errno();
    /* More than there can be: not what we think it is. */
    if (w->offset > w->size) {
        if (ftruncate(w->fd, 0) < 0 || lseek(w->fd, 0, SEEK_SET) < 0)
            return negative_errno();
        hash_init(&w->hash);
        w->offset = 0;
    }
    return 0;
}

int blob_begin(
    const struct store *s, const char *digest, uint64_t size, struct blob_writer *ret, struct error *e) {
    struct blob_writer w = {.store = s, .fd = -1, .size = size};

    hash_init(&w.hash);
    if (!digest) {
        w.fd = work_new_file(s, w.name, e);
        if (w.fd < 0)
            return w.fd;
        *ret = w;
        return 0;
    }
    int there = blob_touch(s, digest);
    if (there >= 0)
        return error_set(e, EEXIST, "blob %s is in the store already", digest);
    if (there != -ENOENT)
        return error_set_errno(e, there, "blob %s of %s", digest, s->path);
    _cleanup_close_ int lock = store_lock(s, LOCK_SH, LOCK_TIMEOUT, e);
    if (lock < 0)
        return lock;
    w.fd = open_partial(s, digest, w.name);
    int r = w.fd < 0 ? w.fd : take_up(&w);
    if (r < 0) {
        closep(&w.fd);
        if (r == -EBUSY)
            return error_set(e, EBUSY, "blob %s is being fetched by another process", digest);
        return error_set_errno(e, r, "blob %s in %s/work", digest, s->path);
    }
    memcpy(w.digest, digest, sizeof(w.digest));
    *ret = w;
    return 0;
}

int blob_write(struct blob_writer *w, const void *data, size_t n, struct error *e) {
    if (n > w->size - w->offset)
        return error_set(e, EFBIG, "blob %s is larger than the %" PRIu64 " bytes that were announced",
            *w->digest ? w->digest : "in the making", w->size);
    int r = write_all(w->fd, data, n);
    if (r < 0)
        return error_set_errno(e, r, "writing to %s/work", w->store->path);
    hash_update(&w->hash, data, n);
    w->offset += n;
    return 0;
}

void blob_abort(struct blob_writer *w, bool keep) {
    if (w->fd < 0)
        return;
    if (!keep || !*w->digest)
        work_remove(w->store, w->name);
    close_and_reset(&w->fd);
}

static int check(const struct blob_writer *w, const char *digest, struct error *e) {
    if (w->size != UINT64_MAX && w->offset != w->size)
        return error_set(
            e, ENODATA, "%" PRIu64 " of the blob's %" PRIu64 " bytes have come", w->offset, w->size);
    if (*w->digest && !streq(w->digest, digest))
        return error_set(e, EBADMSG, "a blob should be %s and is %s", w->digest, digest);
    return 0;
}

/* Makes it durable, then visible. */
static int give_name(const struct store *s, const char *name, const char *digest, int fd, struct error *e) {
    char place[sizeof("blobs/sha256/") + DIGEST_HEX];

    if (fchmod(fd, 0600) < 0 || fsync(fd) < 0)
        return error_set_errno(e, errno, "writing to %s/work", s->path);
    (void)snprintf(place, sizeof(place), "blobs/sha256/%s", digest_hex(digest));
    return MIN(work_place(s, name, place, e), 0);
}

int blob_commit(struct blob_writer *w, char ret_digest[static DIGEST_TEXT], struct error *e) {
    char digest[DIGEST_TEXT];

    hash_digest(&w->hash, digest);
    int r = check(w, digest, e);
    if (r == -ENODATA)
        return r;
    if (r >= 0)
        r = give_name(w->store, w->name, digest, w->fd, e);
    if (r < 0) {
        blob_abort(w, false);
        return r;
    }
    close_and_reset(&w->fd);
    memcpy(ret_digest, digest, sizeof(digest));
    return 0;
}

/* ---- archives of layers ---- */

int blob_end(struct blob_writer *w, int *ret_fd, struct error *e) {
    char digest[DIGEST_TEXT];

    hash_digest(&w->hash, digest);
    int r = check(w, digest, e);
    if (r == -ENODATA)
        return r;
    if (r < 0) {
        blob_abort(w, false);
        return r;
    }
    *ret_fd = TAKE_FD(w->fd);
    return 0;
}

int blob_open_whole(const struct store *s, const char *digest, uint64_t size) {
    char name[WORK_NAME];
    struct stat st;

    partial_name(digest, name);
    _cleanup_close_ int fd = openat(s->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return negative_errno();
    return S_ISREG(st.st_mode) && (uint64_t)st.st_size == size ? TAKE_FD(fd) : -ENOENT;
}

int blob_keep(const struct store *s, const char *digest, int fd, struct error *e) {
    char name[WORK_NAME];

    partial_name(digest, name);
    return is_named(s, name, fd) ? give_name(s, name, digest, fd, e) : 0;
}

void blob_discard(const struct store *s, const char *digest, int fd) {
    char name[WORK_NAME];

    partial_name(digest, name);
    if (is_named(s, name, fd))
        (void)unlinkat(s->fd, name, 0);
}

int blob_put(
    const struct store *s, const void *data, size_t n, char ret_digest[static DIGEST_TEXT], struct error *e) {
    struct blob_writer w;
    char digest[DIGEST_TEXT];

    hash_data(data, n, digest);
    if (blob_touch(s, digest) < 0) {
        int r = blob_begin(s, NULL, n, &w, e);
        if (r >= 0) {
            r = blob_write(&w, data, n, e);
            if (r >= 0)
                r = blob_commit(&w, digest, e);
            blob_abort(&w, false);
        }
        if (r < 0)
            return r;
    }
    memcpy(ret_digest, digest, sizeof(digest));
    return 0;
}
