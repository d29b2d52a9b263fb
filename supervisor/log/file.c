/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/str.h"

#define NAME_BYTES (NAME_MAX + 1)

int log_file_init(struct log_file *f, const char *unit) {
    size_t n = strlen(unit);

    if (n == 0 || n > NAME_MAX - 16 || unit[0] == '.' || strchr(unit, '/'))
        return -EINVAL;
    *f = (struct log_file){.fd = -1};
    list_init(&f->open_link);
    f->name = strf("%s.log", unit);
    return f->name ? 0 : -ENOMEM;
}

void log_file_close(struct log_file *f) {
    list_remove(&f->open_link);
    close_and_reset(&f->fd);
}

void log_file_done(struct log_file *f) {
    log_file_close(f);
    free(f->name);
    f->name = NULL;
}

static int open_current(struct file_sink *sink, struct log_file *f, int flags) {
    struct stat st;

    if (sink->directory < 0)
        return -ENOTDIR;
    for (;;) {
        f->fd = openat(
            sink->directory, f->name, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0640);
        if (f->fd >= 0)
            break;
        /* More units than descriptors: the one that has been silent longest can spare its own. */
        if (errno != EMFILE || list_empty(&sink->open))
            return negative_errno();
        log_file_close(LIST_ENTRY(sink->open.next, struct log_file, open_link));
    }
    if (fstat(f->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close_and_reset(&f->fd);
        return -EINVAL;
    }
    f->inode = st.st_ino;
    list_append(&sink->open, &f->open_link);
    return 0;
}

/* "name.log.N"; number 0 is the current file. */
static void numbered(const struct log_file *f, unsigned number, char ret[static NAME_BYTES]) {
    if (number == 0)
        (void)snprintf(ret, NAME_BYTES, "%s", f->name);
    else
        (void)snprintf(ret, NAME_BYTES, "%s.%u", f->name, number);
}

/* log_max_files= was more before. A rotation that was cut off half-way leaves one gap, so two are the end. */
static void remove_beyond(struct file_sink *sink, const struct log_file *f, unsigned number) {
    char name[NAME_BYTES];

    for (unsigned missing = 0; missing < 2; number++) {
        numbered(f, number, name);
        missing = unlinkat(sink->directory, name, 0) < 0 ? missing + 1 : 0;
    }
}

/* Moves every file up by one number, the last one over the edge, but only as far as the first gap: when a
 * rotation was cut off half-way, the next one goes on where it stopped and pushes nothing out too early. */
static int rotate(struct file_sink *sink, struct log_file *f) {
    char from[NAME_BYTES], to[NAME_BYTES];
    unsigned gap = 1;

    log_file_close(f);
    remove_beyond(sink, f, MAX(sink->max_files, 1U));
    if (sink->max_files <= 1)
        return unlinkat(sink->directory, f->name, 0) < 0 && errno != ENOENT ? negative_errno() : 0;
    for (; gap < sink->max_files - 1; gap++) {
        numbered(f, gap, to);
        if (faccessat(sink->directory, to, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
            break;
    }
    for (; gap > 0; gap--) {
        numbered(f, gap - 1, from);
        numbered(f, gap, to);
        if (renameat(sink->directory, from, sink->directory, to) < 0 && errno != ENOENT)
            return negative_errno();
    }
    return 0;
}

int log_file_prepare(
    struct file_sink *sink, struct log_file *f, size_t n, uint64_t *ret_inode, uint64_t *ret_offset) {
    struct stat st;
    int r = 0;

    for (int turn = 0;; turn++) {
        if (f->fd < 0)
            r = open_current(sink, f, O_CREAT);
        if (r < 0)
            return r;
        /* Asked for by name and each time: others may have moved the file away, or emptied it (logrotate). */
        if (fstatat(sink->directory, f->name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_ino != f->inode) {
            if (turn > 2)
                return -EBUSY;
            log_file_close(f);
            continue;
        }
        if (st.st_size == 0 || (uint64_t)st.st_size + n <= sink->max_size || turn > 2)
            break;
        r = rotate(sink, f);
        if (r < 0)
            return r;
    }
    list_remove(&f->open_link);
    list_append(&sink->open, &f->open_link);
    *ret_inode = f->inode;
    *ret_offset = (uint64_t)st.st_size;
    return 0;
}

int log_file_append(struct log_file *f, uint64_t offset, const char *data, size_t n) {
    ssize_t w = write(f->fd, data, n);

    if (w == (ssize_t)n)
        return 0;
    int r = w < 0 ? negative_errno() : -ENOSPC;
    /* Also frees the space of what went in, which on a full disk the next attempt will want. */
    if (w > 0 && ftruncate(f->fd, (off_t)offset) < 0)
        return negative_errno();
    return r;
}

/* 1 and the descriptor of NAME if it is that inode, else 0. */
static int open_inode(struct file_sink *sink, const struct log_file *f, unsigned number, uint64_t inode,
    int *ret_fd, struct stat *ret) {
    char name[NAME_BYTES];

    numbered(f, number, name);
    _cleanup_close_ int fd = openat(sink->directory, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : negative_errno();
    if (fstat(fd, ret) < 0)
        return negative_errno();
    if (ret->st_ino != inode)
        return 0;
    *ret_fd = TAKE_FD(fd);
    return 1;
}

int log_file_written(
    struct file_sink *sink, struct log_file *f, uint64_t inode, uint64_t offset, uint64_t n) {
    _cleanup_close_ int fd = -1;
    struct stat st = {};
    int r = 0;

    if (sink->directory < 0) /* the sink is another one now */
        return 0;
    for (unsigned number = 0; number <= 1 && r == 0; number++)
        r = open_inode(sink, f, number, inode, &fd, &st);
    if (r <= 0)
        return r;
    if ((uint64_t)st.st_size >= offset + n)
        return 1;
    if ((uint64_t)st.st_size > offset && ftruncate(fd, (off_t)offset) < 0)
        return negative_errno();
    return 0;
}
