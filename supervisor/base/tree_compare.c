/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/tree_compare.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/xattr.h>

#include "base/fs.h"

enum {
    DEPTH_MAX = 200,   /* what copy_tree() copies */
    BLOCK = 64 * 1024, /* more than an extended attribute, or all names of them, can have */
};

struct compare {
    const struct tree_compare_options *options;
    struct tree_changes changes;
    struct error *error;
    char a[BLOCK], b[BLOCK];
};

/* Two directories; -1: there is none on that side. */
struct pair {
    int old, new;
};

static int failed(struct compare *c, int number, const char *path) {
    return error_set_errno(c->error, number, "comparing /%s", path);
}

static bool same_time(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_later(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

/* ---- the list ---- */

static int add(struct compare *c, enum tree_change_kind kind, const char *path) {
    struct tree_changes *l = &c->changes;
    size_t n = strlen(path) + 1;

    struct tree_change *change = malloc(sizeof(*change) + n);
    struct tree_change **grown =
        l->n % 64 == 0 ? reallocarray(l->items, l->n + 64, sizeof(*grown)) : l->items;
    if (grown)
        l->items = grown;
    if (!change || !grown) {
        free(change);
        return failed(c, ENOMEM, path);
    }
    change->kind = kind;
    memcpy(change->path, path, n);
    l->items[l->n++] = change;
    l->n_removed += kind == TREE_REMOVED;
    int r = hashmap_put(l->by_path, change->path, change);
    return r < 0 ? failed(c, r, path) : 0;
}

static void remove_last(struct compare *c) {
    struct tree_change *last = c->changes.items[--c->changes.n];

    (void)hashmap_remove(c->changes.by_path, last->path);
    free(last);
}

void tree_changes_done(struct tree_changes *c) {
    for (size_t i = 0; i < c->n; i++)
        free(c->items[i]);
    free(c->items);
    hashmap_free(c->by_path);
    *c = (struct tree_changes){};
}

/* ---- two objects of the same name ---- */

static int open_object(int dirfd, const char *name, int flags) {
    return openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags);
}

static int compare_content(struct compare *c, int old, int new) {
    for (off_t at = 0;;) {
        ssize_t n = pread(old, c->a, BLOCK, at), m = pread(new, c->b, BLOCK, at);
        if (n < 0 || m < 0)
            return negative_errno();
        if (n != m || memcmp(c->a, c->b, (size_t)n) != 0)
            return 1;
        if (n == 0)
            return 0;
        at += n;
    }
}

/* Every attribute of a is one of b. */
static int covers(struct compare *c, int a, int b) {
    _cleanup_free_ char *names = malloc(BLOCK);

    if (!names)
        return -ENOMEM;
    ssize_t n = flistxattr(a, names, BLOCK);
    for (const char *name = names; n > 0 && name < names + n; name += strlen(name) + 1) {
        ssize_t x = fgetxattr(a, name, c->a, BLOCK), y = fgetxattr(b, name, c->b, BLOCK);
        if (x != y || (x > 0 && memcmp(c->a, c->b, (size_t)x) != 0))
            return 0;
    }
    return 1;
}

static int compare_opened(struct compare *c, int old, int new, const struct stat *a, const struct stat *b) {
    int r = covers(c, old, new);

    if (r > 0)
        r = covers(c, new, old);
    if (r <= 0)
        return r < 0 ? r : 1;
    bool written = !is_later(&c->options->copied, &b->st_ctim);
    return S_ISREG(a->st_mode) && written ? compare_content(c, old, new) : 0;
}

static int compare_links(struct compare *c, struct pair p, const char *name) {
    ssize_t n = readlinkat(p.old, name, c->a, BLOCK), m = readlinkat(p.new, name, c->b, BLOCK);
    return n != m || n < 0 || memcmp(c->a, c->b, (size_t)n) != 0;
}

/* 1 if they differ; for directories, in what they are, not in what is in them. */
static int differ(
    struct compare *c, struct pair p, const char *name, const struct stat *a, const struct stat *b) {
    if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid ||
        a->st_rdev != b->st_rdev || !same_time(&a->st_mtim, &b->st_mtim))
        return 1;
    if (S_ISLNK(a->st_mode))
        return compare_links(c, p, name);
    if (!S_ISREG(a->st_mode) && !S_ISDIR(a->st_mode))
        return 0;
    /* A snapshot has the same inodes. */
    if (a->st_ino == b->st_ino && same_time(&a->st_ctim, &b->st_ctim))
        return 0;
    if (S_ISREG(a->st_mode) && a->st_size != b->st_size)
        return 1;
    _cleanup_close_ int old = open_object(p.old, name, 0), new = open_object(p.new, name, 0);
    if (old < 0 || new < 0)
        return negative_errno();
    return compare_opened(c, old, new, a, b);
}

/* Made by davit, not by the container. */
static bool is_made(int dirfd, const char *name, const struct stat *st) {
    _cleanup_close_ int fd = S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) ? open_object(dirfd, name, 0) : -1;
    return fd >= 0 && fgetxattr(fd, TREE_MADE_XATTR, NULL, 0) >= 0;
}

/* ---- directories ---- */

static int walk(struct compare *c, struct pair p, const char *path, unsigned depth);

static int walk_into(struct compare *c, struct pair p, const char *name, bool was_directory, const char *path,
    unsigned depth) {
    _cleanup_close_ int old = was_directory ? open_object(p.old, name, O_DIRECTORY) : -1;
    _cleanup_close_ int new = open_object(p.new, name, O_DIRECTORY);

    if (new < 0 || (was_directory && old < 0))
        return errno == ENOENT ? 0 : failed(c, errno, path);
    return walk(c, (struct pair){old, new}, path, depth + 1);
}

static int visit(struct compare *c, struct pair p, const char *name, const char *path, unsigned depth) {
    struct stat a, b;

    if (c->options->without && strv_contains((char *const *)c->options->without, path))
        return 0;
    bool before = p.old >= 0 && fstatat(p.old, name, &a, AT_SYMLINK_NOFOLLOW) == 0;
    bool now = fstatat(p.new, name, &b, AT_SYMLINK_NOFOLLOW) == 0;
    if (!now)
        return before ? add(c, TREE_REMOVED, path) : 0;
    int r = before ? differ(c, p, name, &a, &b) : !is_made(p.new, name, &b);
    if (r < 0)
        return r == -ENOENT ? 0 : failed(c, r, path);
    bool directory = S_ISDIR(b.st_mode);
    if (!directory && r == 0)
        return 0;
    bool changed = r > 0;
    r = add(c, before ? TREE_CHANGED : TREE_ADDED, path);
    if (r < 0 || !directory)
        return r;
    size_t n = c->changes.n;
    r = walk_into(c, p, name, before && S_ISDIR(a.st_mode), path, depth);
    if (r >= 0 && !changed && c->changes.n == n)
        remove_last(c);
    return r;
}

static int add_names(int fd, char ***l) {
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    DIR *d = copy < 0 ? NULL : fdopendir(copy);

    if (!d) {
        r = negative_errno();
        closep(&copy);
        return r;
    }
    for (const struct dirent *entry; r >= 0 && (entry = readdir(d));)
        if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
            r = strv_append(l, entry->d_name);
    (void)closedir(d);
    return r;
}

static int walk(struct compare *c, struct pair p, const char *path, unsigned depth) {
    _cleanup_strv_free_ char **names = NULL;
    const char *last = "";

    if (depth > DEPTH_MAX)
        return failed(c, ELOOP, path);
    int r = add_names(p.new, &names);
    if (r >= 0 && p.old >= 0)
        r = add_names(p.old, &names);
    if (r < 0)
        return failed(c, r, path);
    if (names)
        strv_sort(names);
    STRV_FOREACH (name, names) {
        if (streq(*name, last))
            continue; /* on both sides */
        last = *name;
        _cleanup_free_ char *below = strf("%s%s%s", path, *path ? "/" : "", *name);
        r = below ? visit(c, p, *name, below, depth) : failed(c, ENOMEM, path);
        if (r < 0)
            return r;
    }
    return 0;
}

int tree_compare(
    int old, int new, const struct tree_compare_options *options, struct tree_changes *ret, struct error *e) {
    struct compare *c = malloc(sizeof(*c));

    if (!c)
        return error_set(e, ENOMEM, "out of memory");
    c->options = options;
    c->error = e;
    c->changes = (struct tree_changes){.by_path = hashmap_new()};
    int r = c->changes.by_path ? add(c, TREE_CHANGED, "") : failed(c, ENOMEM, "");
    if (r >= 0)
        r = walk(c, (struct pair){old, new}, "", 0);
    if (r < 0)
        tree_changes_done(&c->changes);
    else
        *ret = c->changes;
    free(c);
    return r;
}
