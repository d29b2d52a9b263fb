/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/listing.h"

#include <dirent.h>

#include "worker/unpack-internal.h"

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int names_list(int directory, const char *path, char ***ret, struct error *e) {
    _cleanup_strv_free_ char **l = NULL;
    int r = 0;

    int fd = open_beneath(directory, path, O_RDONLY | O_DIRECTORY);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        r = error_set_errno(e, fd < 0 ? fd : errno, "reading directory %s", path);
        closep(&fd);
        return r;
    }
    size_t n = 0, room = 0;
    for (const struct dirent *entry; r >= 0 && (entry = readdir(d));) {
        if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
            continue;
        /* Not strv_append(), which counts the list each time: there may be a hundred thousand. */
        if (n + 1 >= room) {
            room = MAX(room * 2, (size_t)64);
            char **grown = reallocarray(l, room, sizeof(*grown));
            r = grown ? 0 : -ENOMEM;
            l = grown ? grown : l;
        }
        if (r >= 0) {
            l[n] = strdup(entry->d_name);
            r = l[n] ? 0 : -ENOMEM;
            n += l[n] != NULL;
            l[n] = NULL;
        }
    }
    (void)closedir(d);
    if (r < 0)
        return error_set(e, ENOMEM, "out of memory");
    if (n > 0)
        qsort(l, n, sizeof(*l), compare_names);
    *ret = TAKE_PTR(l);
    return 0;
}

/* ---- counting ---- */

#define DEPTH_MAX 4096

struct count {
    uint64_t files, bytes;
    struct hashmap *links; /* inodes that have been counted, of files with several names */
};

static int count_file(struct count *c, const struct stat *st) {
    char key[24], *copy;

    c->files++;
    if (!S_ISREG(st->st_mode))
        return 0;
    if (st->st_nlink > 1) {
        (void)snprintf(key, sizeof(key), "%ju", (uintmax_t)st->st_ino);
        if (hashmap_get(c->links, key))
            return 0;
        copy = strdup(key);
        if (!copy || hashmap_put(c->links, copy, copy) < 0) {
            free(copy);
            return -ENOMEM;
        }
    }
    c->bytes += (uint64_t)st->st_size;
    return 0;
}

/* Counts what is in it, and leaves the names of directories alone in *names. */
static int count_names(int root, const char *path, char **names, struct count *c) {
    size_t kept = 0;
    int r = 0;

    _cleanup_close_ int fd = open_beneath(root, path, O_PATH | O_DIRECTORY);
    for (size_t i = 0; names && names[i]; i++) {
        struct stat st = {};
        if (r >= 0 && (fd < 0 || fstatat(fd, names[i], &st, AT_SYMLINK_NOFOLLOW) < 0))
            r = fd < 0 ? fd : negative_errno();
        if (r >= 0)
            r = count_file(c, &st);
        if (r >= 0 && S_ISDIR(st.st_mode))
            names[kept++] = names[i];
        else
            free(names[i]);
    }
    if (names)
        names[kept] = NULL;
    return r;
}

/* No descriptor stays open on the way down. */
static int count_directory(int root, const char *path, unsigned depth, struct count *c, struct error *e) {
    _cleanup_strv_free_ char **names = NULL;

    if (depth > DEPTH_MAX)
        return error_set(e, ENAMETOOLONG, "more than %d directories in each other", DEPTH_MAX);
    int r = names_list(root, path, &names, e);
    if (r < 0)
        return r;
    r = count_names(root, path, names, c);
    if (r < 0)
        return error_set_errno(e, r, "looking through %s", *path ? path : "the tree");
    STRV_FOREACH (name, names) {
        _cleanup_free_ char *below = strf("%s%s%s", path, *path ? "/" : "", *name);
        r = below ? count_directory(root, below, depth + 1, c, e) : error_set(e, ENOMEM, "out of memory");
        if (r < 0)
            return r;
    }
    return 0;
}

int tree_count(int root, uint64_t *ret_files, uint64_t *ret_bytes, struct error *e) {
    struct count c = {.links = hashmap_new()};
    char *key;

    int r = c.links ? count_directory(root, "", 0, &c, e) : error_set(e, ENOMEM, "out of memory");
    HASHMAP_FOREACH (key, c.links)
        free(hashmap_remove(c.links, key));
    if (c.links)
        hashmap_free(c.links);
    if (r < 0)
        return r;
    *ret_files = c.files;
    *ret_bytes = c.bytes;
    return 0;
}
