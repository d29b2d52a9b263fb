/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/id128.h"

#define DEPTH_MAX 500
#define COPY_BLOCK (128 * 1024)

struct copy {
    const struct copy_owners *owners;
    unsigned skipped;
    char path[PATH_MAX]; /* of the current object, for messages */
    struct error *error;
    char buffer[COPY_BLOCK];
};

static int failed(struct copy *c, int number, const char *what) {
    return error_set_errno(c->error, number, "%s %s", what, c->path);
}

/* ---- owners and times ---- */

static uint32_t translate(const struct copy_owners *o, uint32_t id) {
    uint32_t inside = id;

    if (o->from_count > 0)
        inside = id >= o->from_base && id - o->from_base < o->from_count ? id - o->from_base : 0;
    if (o->to_count == 0)
        return inside;
    return o->to_base + (inside < o->to_count ? inside : 0);
}

static int set_owner(struct copy *c, int to, const char *name, const struct stat *st) {
    const struct copy_owners *o = c->owners;
    uint32_t uid = o->keep ? translate(o, st->st_uid) : o->uid,
             gid = o->keep ? translate(o, st->st_gid) : o->gid;

    if (uid == UINT32_MAX && gid == UINT32_MAX)
        return 0;
    return fchownat(to, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ? failed(c, errno, "chown") : 0;
}

/* Set-id bits would be lost with the owner, and would be dangerous under another one. */
static mode_t mode_of(const struct copy *c, const struct stat *st) {
    return st->st_mode & (c->owners->keep ? 07777 : 01777);
}

static int set_times(struct copy *c, int to, const char *name, const struct stat *st) {
    const struct timespec times[2] = {st->st_atim, st->st_mtim};

    return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? failed(c, errno, "setting the time of") : 0;
}

/* ---- one object ---- */

/* A new object has a name of its own until it is whole: one that it replaces is there until then, and stays if the
 * disk is full. */
static int put_in_place(struct copy *c, int to, const char *temporary, const char *name, int r) {
    if (r >= 0 && renameat(to, temporary, to, name) < 0)
        r = failed(c, errno, "replacing");
    if (r < 0)
        (void)unlinkat(to, temporary, 0);
    return r;
}

#define TEMPORARY_NAME (sizeof(".davit-cp-") + ID128_TEXT)
static const char *temporary_name(char buffer[static TEMPORARY_NAME]) {
    char id[ID128_TEXT];

    id128_random(id);
    (void)snprintf(buffer, TEMPORARY_NAME, ".davit-cp-%s", id);
    return buffer;
}

static int copy_bytes(struct copy *c, int in, int out) {
    for (;;) {
        ssize_t n = read(in, c->buffer, sizeof(c->buffer));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(c, errno, "reading");
        if (n == 0)
            return 0;
        int r = write_all(out, c->buffer, (size_t)n);
        if (r < 0)
            return failed(c, r, "writing");
    }
}

static int copy_regular(struct copy *c, int from, const char *name, int to, const char *to_name) {
    char buffer[TEMPORARY_NAME];
    const char *temporary = temporary_name(buffer);
    struct stat st;

    /* Not waiting for the other end, should it be a FIFO by now. */
    _cleanup_close_ int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (in < 0)
        return failed(c, errno, "opening");
    if (fstat(in, &st) < 0 || !S_ISREG(st.st_mode))
        return failed(c, ESTALE, "reading");
    _cleanup_close_ int out =
        openat(to, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return failed(c, errno, "making");
    int r = copy_bytes(c, in, out);
    if (r >= 0)
        r = set_owner(c, to, temporary, &st);
    if (r >= 0 && fchmod(out, mode_of(c, &st)) < 0)
        r = failed(c, errno, "chmod");
    if (r >= 0)
        r = set_times(c, to, temporary, &st);
    return put_in_place(c, to, temporary, to_name, r);
}

static int copy_link(
    struct copy *c, int from, const char *name, int to, const char *to_name, const struct stat *st) {
    char target[PATH_MAX], buffer[TEMPORARY_NAME];
    const char *temporary = temporary_name(buffer);

    ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);
    if (n < 0)
        return failed(c, errno, "reading");
    target[n] = '\0';
    if (symlinkat(target, to, temporary) < 0)
        return failed(c, errno, "making");
    int r = set_owner(c, to, temporary, st);
    if (r >= 0)
        r = set_times(c, to, temporary, st);
    return put_in_place(c, to, temporary, to_name, r);
}

static int copy_any(struct copy *c, int from, const char *name, int to, const char *to_name, unsigned depth);

static int copy_names(struct copy *c, int from, int to, unsigned depth) {
    size_t length = strlen(c->path);
    int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    int r = 0;

    if (!d)
        return failed(c, errno, "reading");
    for (const struct dirent *entry; r >= 0 && (entry = readdir(d));) {
        if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
            continue;
        int n = snprintf(c->path + length, sizeof(c->path) - length, "/%s", entry->d_name);
        r = (size_t)n >= sizeof(c->path) - length
                ? error_set(c->error, ENAMETOOLONG, "a path of more than %d bytes", PATH_MAX)
                : copy_any(c, from, entry->d_name, to, entry->d_name, depth);
        if (r >= 0)
            c->path[length] = '\0';
    }
    (void)closedir(d);
    return r;
}

static int copy_directory(
    struct copy *c, int from, const char *name, int to, const char *to_name, unsigned depth) {
    struct stat st;

    if (depth > DEPTH_MAX)
        return failed(c, ENAMETOOLONG, "too many directories in each other:");
    _cleanup_close_ int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (in < 0 || fstat(in, &st) < 0)
        return failed(c, errno, "opening");
    bool made = mkdirat(to, to_name, 0700) == 0;
    if (!made && errno != EEXIST)
        return failed(c, errno, "making");
    _cleanup_close_ int out = openat(to, to_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (out < 0)
        return failed(c, errno, "opening");
    int r = copy_names(c, in, out, depth + 1);
    if (!made) /* one that was there stays as it is */
        return r;
    if (r >= 0)
        r = set_owner(c, to, to_name, &st);
    if (r >= 0 && fchmod(out, mode_of(c, &st)) < 0)
        r = failed(c, errno, "chmod");
    if (r >= 0)
        r = set_times(c, to, to_name, &st);
    if (r < 0) /* nothing half copied: on a full disk others need the space */
        (void)remove_tree(to, to_name);
    return r;
}

static int copy_any(struct copy *c, int from, const char *name, int to, const char *to_name, unsigned depth) {
    struct stat st;

    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return failed(c, errno, "stat");
    if (S_ISREG(st.st_mode))
        return copy_regular(c, from, name, to, to_name);
    if (S_ISDIR(st.st_mode))
        return copy_directory(c, from, name, to, to_name, depth);
    if (S_ISLNK(st.st_mode))
        return copy_link(c, from, name, to, to_name, &st);
    c->skipped++;
    return 0;
}

/* ---- the whole ---- */

static struct copy *copy_new(const char *path, const struct copy_owners *owners, struct error *e) {
    struct copy *c = malloc(sizeof(*c));

    if (!c) {
        (void)error_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    c->owners = owners;
    c->skipped = 0;
    c->error = e;
    (void)snprintf(c->path, sizeof(c->path), "%s", path);
    return c;
}

int copy_entry(int from, const char *name, int to, const char *to_name, const struct copy_owners *owners,
    unsigned *skipped, struct error *e) {
    _cleanup_free_ struct copy *c = copy_new(name, owners, e);
    int r = c ? copy_any(c, from, name, to, to_name, 0) : -ENOMEM;

    if (c && skipped)
        *skipped = c->skipped;
    return r;
}

int copy_content(int from, int to, const struct copy_owners *owners, unsigned *skipped, struct error *e) {
    _cleanup_free_ struct copy *c = copy_new(".", owners, e);
    int r = c ? copy_names(c, from, to, 0) : -ENOMEM;

    if (c && skipped)
        *skipped = c->skipped;
    return r;
}
