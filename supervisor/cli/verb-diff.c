/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * diff: what a running container has changed in its root file system, as docker-diff(1) prints it: A for what
 * is new, C for what is changed (and the directories it is in), D for what is gone.
 *
 * It is read off the upper directory, where overlay keeps nothing else; the layers below only tell new from
 * changed. Both are walked by descriptor, through no link.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "base/fs.h"
#include "cli/container.h"
#include "cli/output.h"
#include "image/image.h"

#define DEPTH_MAX 1000

struct diff {
    int *layers; /* topmost first */
    size_t n_layers;
    json_t *changes;
    struct error error;
};

static int open_directory(int at, const char *name) {
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
    };
    int fd = (int)syscall(SYS_openat2, at, name, &how, sizeof(how));
    return fd < 0 ? negative_errno() : fd;
}

static bool is_whiteout(const struct stat *st) {
    return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

static bool is_opaque(int fd) {
    char value;
    return fgetxattr(fd, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

/* ---- the layers below ---- */

enum found { FOUND, HIDDEN, ABSENT }; /* HIDDEN: nor do the layers below this one count */

static enum found look_in_layer(int layer, const char *path) {
    _cleanup_close_ int fd = open_directory(layer, ".");
    char name[NAME_MAX + 1];
    struct stat st;

    while (fd >= 0) {
        size_t n = strcspn(path, "/");
        if (n == 0 || n > NAME_MAX)
            return ABSENT;
        memcpy(name, path, n);
        name[n] = '\0';
        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return is_opaque(fd) ? HIDDEN : ABSENT;
        if (is_whiteout(&st))
            return HIDDEN;
        if (path[n] == '\0')
            return FOUND;
        if (!S_ISDIR(st.st_mode))
            return HIDDEN;
        int next = open_directory(fd, name);
        close(fd);
        fd = next;
        path += n + 1;
    }
    return ABSENT;
}

static bool is_below(const struct diff *d, const char *path) {
    for (size_t i = 0; i < d->n_layers; i++) {
        enum found f = look_in_layer(d->layers[i], path);
        if (f != ABSENT)
            return f == FOUND;
    }
    return false;
}

/* ---- the upper directory ---- */

static void add(struct diff *d, const char *kind, const char *path) {
    _cleanup_free_ char *text = text_printable(path, strlen(path));
    _cleanup_free_ char *absolute = strf("/%s", text ?: "");

    (void)json_array_append_new(d->changes, json_pack("{ss ss}", "kind", kind, "path", absolute ?: "/"));
}

static int walk(struct diff *d, int directory, const char *path, unsigned depth);

/* What the layers below have in a directory whose old content the container has thrown away as a whole. */
static void add_lost(struct diff *d, int upper, const char *path) {
    for (size_t i = 0; i < d->n_layers; i++) {
        _cleanup_close_ int fd = open_directory(d->layers[i], path);
        DIR *l = fd < 0 ? NULL : fdopendir(fd);
        struct stat st;

        if (!l)
            continue;
        TAKE_FD(fd);
        for (const struct dirent *entry; (entry = readdir(l));) {
            _cleanup_free_ char *below = strf("%s/%s", path, entry->d_name);
            if (below && !streq(entry->d_name, ".") && !streq(entry->d_name, "..") &&
                fstatat(upper, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 && is_below(d, below))
                add(d, "D", below);
        }
        (void)closedir(l);
    }
}

static int visit(struct diff *d, int directory, const char *name, const char *path, unsigned depth) {
    struct stat st;

    if (strv_contains((char *const *)image_paths_made, path) ||
        fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0; /* or gone meanwhile: it runs */
    if (is_whiteout(&st)) {
        add(d, "D", path);
        return 0;
    }
    bool old = is_below(d, path);
    if (!S_ISDIR(st.st_mode)) {
        add(d, old ? "C" : "A", path);
        return 0;
    }
    size_t before = json_array_size(d->changes);
    add(d, old ? "C" : "A", path);
    _cleanup_close_ int fd = open_directory(directory, name);
    if (fd < 0)
        return 0;
    int r = walk(d, fd, path, depth + 1);
    if (r >= 0 && old && is_opaque(fd))
        add_lost(d, fd, path);
    /* A directory that is only on the way to a path of davit's own ("etc" for etc/hosts). */
    bool empty = json_array_size(d->changes) == before + 1;
    if (empty && old && (streq(path, "etc") || streq(path, "run")))
        (void)json_array_remove(d->changes, before);
    return r;
}

static int walk(struct diff *d, int directory, const char *path, unsigned depth) {
    _cleanup_strv_free_ char **names = NULL;
    int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *l = copy < 0 ? NULL : fdopendir(copy);
    int r = 0;

    if (!l)
        return error_set_errno(&d->error, errno, "reading /%s", path);
    if (depth > DEPTH_MAX)
        r = error_set(&d->error, ENAMETOOLONG, "more than %d directories in each other", DEPTH_MAX);
    for (const struct dirent *entry; r >= 0 && (entry = readdir(l));)
        if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
            r = strv_append(&names, entry->d_name);
    (void)closedir(l);
    if (names)
        strv_sort(names);
    STRV_FOREACH (name, names) {
        _cleanup_free_ char *below = strf("%s%s%s", path, *path ? "/" : "", *name);
        if (r >= 0)
            r = below ? visit(d, directory, *name, below, depth) : -ENOMEM;
    }
    return r;
}

/* ---- the verb ---- */

/* Explains what is wrong, but for running out of memory. */
static int open_layers(struct cli *c, const struct container *container, struct diff *d) {
    _cleanup_(image_done) struct image image = {};

    int r = images_resolve(c, container->image ?: container->rootfs ?: "", &image);
    if (r < 0)
        return r;
    size_t n = strv_length(image.layers);
    d->layers = calloc(n, sizeof(*d->layers));
    if (!d->layers)
        return error_set(&d->error, ENOMEM, "out of memory");
    for (; d->n_layers < n; d->n_layers++) {
        const char *path = image.layers[n - 1 - d->n_layers];
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return error_set_errno(&d->error, errno, "layer %s", path);
        d->layers[d->n_layers] = fd;
    }
    return 0;
}

static int compare(struct cli *c, const struct container *container, struct diff *d) {
    if (!container->upper)
        return 0; /* read-only: nothing can be changed */
    int r = open_layers(c, container, d);
    if (r < 0)
        return r;
    _cleanup_close_ int upper = open(container->upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (upper < 0)
        return error_set_errno(&d->error, errno, "%s", container->upper);
    return walk(d, upper, "", 0);
}

int verb_diff(struct cli *c, char **arguments, size_t n _unused_) {
    _cleanup_(container_done) struct container container = {};
    struct diff d = {.changes = json_array()};
    json_t *change;
    size_t i;

    int r = container_open_running(c, arguments[0], &container);
    if (r >= 0) {
        r = compare(c, &container, &d);
        if (d.error.number != 0)
            cli_error("%s", d.error.text);
    }
    if (r >= 0 && c->options.json)
        json_print(d.changes);
    else if (r >= 0)
        JSON_ARRAY_FOREACH (i, change, d.changes)
            (void)printf("%s %s\n", json_text(change, "kind"), json_text(change, "path"));
    for (i = 0; i < d.n_layers; i++)
        closep(&d.layers[i]);
    free(d.layers);
    json_decref(d.changes);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
