/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * diff: what a running container has changed in its root file system, as docker-diff(1) prints it: A for what
 * is new, C for what is changed (and the directories it is in), D for what is gone.
 *
 * It is read off the upper directory, where overlay keeps nothing else; the layers below only tell new from
 * changed. Both are walked by descriptor, through no link. A root that is a tree of its own is compared with
 * what it is a copy of.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "cli/container.h"
#include "cli/diff.h"
#include "cli/layers.h"
#include "cli/output.h"
#include "image/chain.h"
#include "image/image.h"
#include "image/overlay-marks.h"

struct diff {
    struct layer_stack below;
    json_t *changes;
    struct error error;
};

/* ---- the layers below ---- */

enum found { FOUND, HIDDEN, ABSENT }; /* HIDDEN: nor do the layers below this one count */

static enum found look_in_layer(int layer, const char *path) {
    _cleanup_close_ int fd = layer_open_directory(layer, ".");
    char name[NAME_MAX + 1];
    struct stat st;

    while (fd >= 0) {
        size_t n = strcspn(path, "/");
        if (n == 0 || n > NAME_MAX)
            return ABSENT;
        memcpy(name, path, n);
        name[n] = '\0';
        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return overlay_is_opaque(fd) ? HIDDEN : ABSENT;
        if (overlay_is_whiteout(&st))
            return HIDDEN;
        if (path[n] == '\0')
            return FOUND;
        if (!S_ISDIR(st.st_mode))
            return HIDDEN;
        int next = layer_open_directory(fd, name);
        close(fd);
        fd = next;
        path += n + 1;
    }
    return ABSENT;
}

static bool is_below(const struct diff *d, const char *path) {
    for (size_t i = 0; i < d->below.n; i++) {
        enum found f = look_in_layer(d->below.roots[i], path);
        if (f != ABSENT)
            return f == FOUND;
    }
    return false;
}

/* ---- the upper directory ---- */

void diff_add(json_t *changes, const char *kind, const char *path) {
    _cleanup_free_ char *text = text_printable(path, strlen(path));
    _cleanup_free_ char *absolute = strf("/%s", text ?: "");

    (void)json_array_append_new(changes, json_pack("{ss ss}", "kind", kind, "path", absolute ?: "/"));
}

/* As `podman diff --format json` sorts them; a kind of which there is nothing is an empty list. */
static json_t *by_kind(json_t *changes) {
    static const struct {
        const char *kind, *name;
    } kinds[] = {{"C", "changed"}, {"A", "added"}, {"D", "deleted"}};
    json_t *all = json_object(), *change;
    size_t i;

    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        json_t *paths = json_array();
        JSON_ARRAY_FOREACH (i, change, changes)
            if (streq(json_text(change, "kind"), kinds[k].kind))
                (void)json_array_append(paths, json_object_get(change, "path"));
        (void)json_object_set_new(all, kinds[k].name, paths);
    }
    return all;
}

void diff_print(struct cli *c, json_t *changes) {
    json_t *change;
    size_t i;

    if (c->options.json) {
        json_t *sorted = by_kind(changes);
        json_print(sorted);
        json_decref(sorted);
        return;
    }
    JSON_ARRAY_FOREACH (i, change, changes)
        (void)printf("%s %s\n", json_text(change, "kind"), json_text(change, "path"));
}

static int walk(struct diff *d, int directory, const char *path, unsigned depth);

/* What the layers below have in a directory whose old content the container has thrown away as a whole. */
static void add_lost(struct diff *d, int upper, const char *path) {
    for (size_t i = 0; i < d->below.n; i++) {
        _cleanup_close_ int fd = layer_open_directory(d->below.roots[i], path);
        DIR *l = fd < 0 ? NULL : fdopendir(fd);
        struct stat st;

        if (!l)
            continue;
        TAKE_FD(fd);
        for (const struct dirent *entry; (entry = readdir(l));) {
            _cleanup_free_ char *below = strf("%s/%s", path, entry->d_name);
            if (below && !streq(entry->d_name, ".") && !streq(entry->d_name, "..") &&
                fstatat(upper, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 && is_below(d, below))
                diff_add(d->changes, "D", below);
        }
        (void)closedir(l);
    }
}

static int visit(struct diff *d, int directory, const char *name, const char *path, unsigned depth) {
    struct stat st;

    if (strv_contains((char *const *)image_paths_made, path) ||
        fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0; /* or gone meanwhile: it runs */
    if (overlay_is_whiteout(&st)) {
        diff_add(d->changes, "D", path);
        return 0;
    }
    bool old = is_below(d, path);
    if (!S_ISDIR(st.st_mode)) {
        diff_add(d->changes, old ? "C" : "A", path);
        return 0;
    }
    size_t before = json_array_size(d->changes);
    diff_add(d->changes, old ? "C" : "A", path);
    _cleanup_close_ int fd = layer_open_directory(directory, name);
    if (fd < 0)
        return 0;
    int r = walk(d, fd, path, depth + 1);
    if (r >= 0 && old && overlay_is_opaque(fd))
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
    if (depth > DIFF_DEPTH_MAX)
        r = error_set(&d->error, ENAMETOOLONG, "more than %d directories in each other", DIFF_DEPTH_MAX);
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

static int compare_tree(struct cli *c, const struct container *container, struct diff *d) {
    _cleanup_(tree_changes_done) struct tree_changes changes = {};
    _cleanup_free_ char *path = path_join(c->paths.state, "images");
    _cleanup_(store_done) struct store s = {.fd = -1};
    int r = path ? store_open(path, false, &s, &d->error) : error_set(&d->error, ENOMEM, "out of memory");

    if (r < 0)
        return r;
    _cleanup_close_ int fd = open(container->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(&d->error, errno, "%s", container->directory);
    r = chain_compare(&s, fd, image_paths_made, &changes, &d->error);
    for (size_t i = 1; r >= 0 && i < changes.n; i++) /* the first is the root itself */
        diff_add(d->changes, (const char[]){(char)changes.items[i]->kind, '\0'}, changes.items[i]->path);
    return r;
}

static int compare(struct cli *c, const struct container *container, struct diff *d) {
    _cleanup_(image_done) struct image image = {};

    if (container->tree)
        return compare_tree(c, container, d);
    if (!container->upper)
        return 0; /* read-only: nothing can be changed */
    int r = container_resolve(c, container, &image);
    if (r >= 0)
        r = layer_stack_open(image.layers, &d->below, &d->error);
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

    int r = container_open_running(c, arguments[0], &container);
    if (r >= 0) {
        r = compare(c, &container, &d);
        if (d.error.number != 0)
            cli_error("%s", d.error.text);
    }
    if (r >= 0)
        diff_print(c, d.changes);
    layer_stack_done(&d.below);
    json_decref(d.changes);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
