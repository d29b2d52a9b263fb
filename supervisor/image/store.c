/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening, locking, and unfinished work. */
#include "image/store.h"

#include <fcntl.h>
#include <sys/file.h>

#include "base/fs.h"
#include "base/id128.h"

#define LOCK_POLL (20 * USEC_PER_MSEC)

static const char *const directories[] = {"blobs/sha256", "layers", "chains", "references", "uses", "work"};

bool store_owns_name(const char *name) {
    size_t n = strcspn(name, "/");

    for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
        if (strcspn(directories[i], "/") == n && strncmp(directories[i], name, n) == 0)
            return true;
    return n == 4 && strncmp(name, "lock", n) == 0;
}

void store_done(struct store *s) {
    free(s->path);
    close_and_reset(&s->fd);
    *s = (struct store){.fd = -1};
}

/* ROOT itself, so that a power cut does not take away what everything else is in. */
static int sync_path(const char *path) {
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? negative_errno() : 0;
}

static int make_directories(const struct store *s, struct error *e) {
    struct stat st;

    /* "lock" comes last: where it is, all of it is. */
    if (fstatat(s->fd, "lock", &st, 0) == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        int r = mkdir_parents(s->fd, directories[i], 0700);
        if (r < 0)
            return error_set_errno(e, r, "making %s/%s", s->path, directories[i]);
    }
    _cleanup_close_ int fd = openat(s->fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    _cleanup_close_ int blobs = openat(s->fd, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || blobs < 0 || fsync(blobs) < 0 || fsync(s->fd) < 0)
        return error_set_errno(e, errno, "making %s/lock", s->path);
    return 0;
}

int store_open(const char *path, bool write, struct store *ret, struct error *e) {
    _cleanup_(store_done) struct store s = {.fd = -1, .writable = write};
    struct stat st;
    int r;

    s.path = strdup(path);
    if (!s.path)
        return error_set(e, ENOMEM, "out of memory");
    if (write) {
        _cleanup_free_ char *parent = strndup(path, (size_t)(path_basename(path) - path));
        r = mkdir_parents(AT_FDCWD, path, 0700);
        if (r >= 0 && !isempty(parent))
            r = sync_path(parent);
        if (r < 0)
            return error_set_errno(e, r, "making %s", path);
    }
    s.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s.fd < 0)
        return error_set_errno(e, errno, "image store %s", path);
    if (write)
        r = make_directories(&s, e);
    else
        r = fstatat(s.fd, "references", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)
                ? 0
                : error_set(e, ENOENT, "there is no image store in %s", path);
    if (r < 0)
        return r;
    *ret = s;
    s = (struct store){.fd = -1};
    return 0;
}

int store_lock(const struct store *s, int how, usec_t timeout, struct error *e) {
    _cleanup_close_ int fd = openat(s->fd, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(e, errno, "opening %s/lock", s->path);

    usec_t end = now_monotonic() + timeout;
    while (flock(fd, how | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_set_errno(e, errno, "locking %s", s->path);
        if (now_monotonic() >= end)
            return error_set(e, EBUSY, "the image store %s is in use by another process", s->path);
        (void)usleep(LOCK_POLL);
    }
    return TAKE_FD(fd);
}

int store_lock_makers(const struct store *s, int how, struct error *e) {
    _cleanup_close_ int fd = openat(s->fd, "work", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return error_set_errno(e, errno, "opening %s/work", s->path);
    do
        r = flock(fd, how);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return error_set_errno(e, errno, "locking %s/work", s->path);
    return TAKE_FD(fd);
}

/* ---- unfinished work ---- */

#define WORK_LOCK_TIMEOUT (60 * USEC_PER_SEC)

/* Under the shared lock: gc must not see an entry between its making and its being locked. */
static int work_new(const struct store *s, bool directory, char ret_name[static WORK_NAME], struct error *e) {
    char id[ID128_TEXT], name[WORK_NAME];
    int fd;

    _cleanup_close_ int lock = store_lock(s, LOCK_SH, WORK_LOCK_TIMEOUT, e);
    if (lock < 0)
        return lock;
    id128_random(id);
    (void)snprintf(name, sizeof(name), "work/%s", id);
    if (!directory)
        fd = openat(s->fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    else
        fd = mkdirat(s->fd, name, 0700) < 0
                 ? -1
                 : openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int r = error_set_errno(e, errno, "making %s/%s", s->path, name);
        closep(&fd);
        return r;
    }
    memcpy(ret_name, name, sizeof(name));
    return fd;
}

int work_new_directory(const struct store *s, char ret_name[static WORK_NAME], struct error *e) {
    return work_new(s, true, ret_name, e);
}

int work_new_file(const struct store *s, char ret_name[static WORK_NAME], struct error *e) {
    return work_new(s, false, ret_name, e);
}

void work_remove(const struct store *s, const char *name) {
    (void)remove_tree(s->fd, name);
}

int work_place(const struct store *s, const char *name, const char *place, struct error *e) {
    _cleanup_free_ char *parent = strndup(place, (size_t)(path_basename(place) - place));
    _cleanup_close_ int fd = parent ? openat(s->fd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool lost = false;

    if (fd < 0)
        return error_set_errno(e, parent ? errno : ENOMEM, "opening the directory of %s/%s", s->path, place);
    if (renameat2(s->fd, name, s->fd, place, RENAME_NOREPLACE) < 0) {
        if (errno != EEXIST)
            return error_set_errno(e, errno, "naming %s/%s", s->path, place);
        work_remove(s, name);
        lost = true;
    }
    /* Also when it was there: who made it may not have come to this line. */
    if (fsync(fd) < 0)
        return error_set_errno(e, errno, "syncing the directory of %s/%s", s->path, place);
    return lost;
}
