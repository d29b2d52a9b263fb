/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/layers.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include "base/fs.h"
#include "base/hashmap.h"
#include "image/overlay-marks.h"

int layer_open_directory(int at, const char *path) {
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
    };
    int fd = (int)syscall(SYS_openat2, at, path, &how, sizeof(how));
    return fd < 0 ? negative_errno() : fd;
}

/* ---- the stack ---- */

int layer_stack_open(char *const *layers, struct layer_stack *ret, struct error *e) {
    _cleanup_(layer_stack_done) struct layer_stack s = {};
    size_t n = strv_length(layers);

    s.roots = calloc(MAX(n, (size_t)1), sizeof(*s.roots));
    s.names = calloc(n + 1, sizeof(*s.names));
    if (!s.roots || !s.names)
        return error_set(e, ENOMEM, "out of memory");
    for (; s.n < n; s.n++) {
        const char *path = layers[n - 1 - s.n];
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return error_set_errno(e, errno, "layer %s", path);
        s.roots[s.n] = fd;
        s.names[s.n] = strdup(path);
        if (!s.names[s.n]) {
            close(fd);
            return error_set(e, ENOMEM, "out of memory");
        }
    }
    *ret = s;
    s = (struct layer_stack){};
    return 0;
}

void layer_stack_done(struct layer_stack *s) {
    for (size_t i = 0; i < s->n; i++)
        closep(&s->roots[i]);
    free(s->roots);
    strv_free(s->names);
    *s = (struct layer_stack){};
}

/* ---- directories ---- */

int layer_directory_open(const struct layer_directory *d, size_t layer) {
    return layer_open_directory(d->stack->roots[layer], *d->path ? d->path : ".");
}

/* 1: this layer has it as a directory and those below count; 0: it has not; -ECANCELED: from here on down
 * nothing counts. *ret_has as well in the last case. */
static int look(const struct layer_directory *parent, size_t layer, const char *name, bool *ret_has) {
    _cleanup_close_ int directory = layer_directory_open(parent, layer);
    struct stat st;

    *ret_has = false;
    if (directory < 0 || fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    if (!S_ISDIR(st.st_mode))
        return -ECANCELED;
    *ret_has = true;
    _cleanup_close_ int fd = layer_open_directory(directory, name);
    return fd >= 0 && overlay_is_opaque(fd) ? -ECANCELED : 1;
}

static int find_root(const struct layer_stack *stack, struct layer_directory *d) {
    for (size_t i = 0; i < stack->n; i++)
        d->layers[d->n++] = i;
    return d->path ? 0 : -ENOMEM;
}

int layer_directory_find(const struct layer_stack *stack, const struct layer_directory *parent,
    const char *name, struct layer_directory *ret) {
    _cleanup_(layer_directory_done) struct layer_directory d = {.stack = stack};
    bool has;

    d.path = !parent ? strdup("") : strf("%s%s%s", parent->path, *parent->path ? "/" : "", name);
    d.layers = calloc(MAX(stack->n, (size_t)1), sizeof(*d.layers));
    if (!d.path || !d.layers)
        return -ENOMEM;
    int r = parent ? 0 : find_root(stack, &d);
    for (size_t i = 0; parent && i < parent->n && r != -ECANCELED; i++) {
        r = look(parent, parent->layers[i], name, &has);
        if (has)
            d.layers[d.n++] = parent->layers[i];
    }
    *ret = d;
    d = (struct layer_directory){};
    return 0;
}

void layer_directory_done(struct layer_directory *d) {
    free(d->path);
    free(d->layers);
    *d = (struct layer_directory){};
}

/* ---- what is in them ---- */

struct entries {
    struct layer_entry *items;
    size_t n, room;
    struct hashmap *seen; /* names that a higher layer shows or hides: key = value */
};

void layer_entries_free(struct layer_entry *l, size_t n) {
    for (size_t i = 0; i < n; i++)
        free(l[i].name);
    free(l);
}

static void entries_done(struct entries *l) {
    char *key;

    layer_entries_free(l->items, l->n);
    if (!l->seen)
        return;
    HASHMAP_FOREACH (key, l->seen)
        free(hashmap_remove(l->seen, key));
    hashmap_free(l->seen);
}

static int add(struct entries *l, const char *name, size_t layer, const struct stat *st) {
    char *copy = strdup(name);

    if (!copy || hashmap_put(l->seen, copy, copy) < 0) {
        free(copy);
        return -ENOMEM;
    }
    if (overlay_is_whiteout(st))
        return 0;
    if (l->n == l->room) {
        size_t room = MAX(l->room * 2, (size_t)32);
        struct layer_entry *grown = reallocarray(l->items, room, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        l->items = grown;
        l->room = room;
    }
    struct layer_entry entry = {.name = strdup(name), .layer = layer, .st = *st};
    if (!entry.name)
        return -ENOMEM;
    l->items[l->n++] = entry;
    return 0;
}

static int read_layer(const struct layer_directory *d, size_t layer, struct entries *l) {
    int fd = layer_directory_open(d, layer), r = 0;
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    struct stat st;

    if (!directory) {
        r = fd < 0 ? fd : negative_errno();
        closep(&fd);
        return r;
    }
    for (const struct dirent *entry; r >= 0 && (entry = readdir(directory));) {
        if (streq(entry->d_name, ".") || streq(entry->d_name, "..") || hashmap_get(l->seen, entry->d_name))
            continue;
        r = fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? negative_errno()
                                                                     : add(l, entry->d_name, layer, &st);
    }
    (void)closedir(directory);
    return r;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct layer_entry *)a)->name, ((const struct layer_entry *)b)->name);
}

int layer_directory_read(
    const struct layer_directory *d, struct layer_entry **ret, size_t *ret_n, struct error *e) {
    _cleanup_(entries_done) struct entries l = {.seen = hashmap_new()};
    int r = l.seen ? 0 : -ENOMEM;

    for (size_t i = 0; i < d->n && r >= 0; i++)
        r = read_layer(d, d->layers[i], &l);
    if (r < 0)
        return error_set_errno(e, r, "reading /%s", d->path);
    if (l.n > 0)
        qsort(l.items, l.n, sizeof(*l.items), by_name);
    *ret = TAKE_PTR(l.items);
    *ret_n = l.n;
    l.n = 0;
    return 0;
}
