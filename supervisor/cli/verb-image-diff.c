/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image diff: what one image has changed of another, or its topmost layer of those below.
 *
 * Both are read layer by layer (layers.h). What comes from the same layers is the same, which is most of two
 * images of one family; of the rest, files are read where nothing else tells them apart: images that are
 * built reproducibly have the same times in all versions.
 */
#include <fcntl.h>
#include <limits.h>

#include "base/fs.h"
#include "cli/diff.h"
#include "cli/images.h"
#include "cli/layers.h"
#include "cli/output.h"

#define BLOCK (64 * 1024)

struct comparison {
    json_t *changes;
    struct error error;
};

/* ---- two entries of the same name ---- */

static ssize_t read_full(int fd, char *buffer) {
    size_t have = 0;
    ssize_t n = 1;

    while (have < BLOCK && (n = read(fd, buffer + have, BLOCK - have)) > 0)
        have += (size_t)n;
    return n < 0 ? negative_errno() : (ssize_t)have;
}

/* 1 if they differ */
static int compare_contents(int a_parent, int b_parent, const char *name) {
    _cleanup_close_ int a = openat(a_parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    _cleanup_close_ int b = openat(b_parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    _cleanup_free_ char *of_a = malloc(BLOCK), *of_b = malloc(BLOCK);
    ssize_t n, m;

    if (!of_a || !of_b)
        return -ENOMEM;
    if (a < 0 || b < 0)
        return negative_errno();
    do {
        n = read_full(a, of_a);
        m = read_full(b, of_b);
        if (n < 0 || m < 0)
            return (int)MIN(n, m);
        if (n != m || memcmp(of_a, of_b, (size_t)n) != 0)
            return 1;
    } while (n == BLOCK);
    return 0;
}

static int compare_links(int a_parent, int b_parent, const char *name) {
    char a[PATH_MAX], b[PATH_MAX];
    ssize_t n = readlinkat(a_parent, name, a, sizeof(a)), m = readlinkat(b_parent, name, b, sizeof(b));

    if (n < 0 || m < 0)
        return negative_errno();
    return n != m || memcmp(a, b, (size_t)n) != 0;
}

static bool attributes_differ(const struct stat *a, const struct stat *b) {
    return a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid ||
           a->st_rdev != b->st_rdev;
}

/* Neither is a directory, or only one is. 1 if they differ. */
static int compare_entries(const struct layer_directory *a, const struct layer_entry *of_a,
    const struct layer_directory *b, const struct layer_entry *of_b) {
    const struct stat *x = &of_a->st, *y = &of_b->st;

    if (streq(a->stack->names[of_a->layer], b->stack->names[of_b->layer]))
        return 0;
    if (attributes_differ(x, y) || x->st_size != y->st_size || x->st_mtim.tv_sec != y->st_mtim.tv_sec ||
        x->st_mtim.tv_nsec != y->st_mtim.tv_nsec)
        return 1;
    _cleanup_close_ int a_parent = layer_directory_open(a, of_a->layer),
                        b_parent = layer_directory_open(b, of_b->layer);
    if (a_parent < 0 || b_parent < 0)
        return MIN(a_parent, b_parent);
    return S_ISREG(x->st_mode)   ? compare_contents(a_parent, b_parent, of_a->name)
           : S_ISLNK(x->st_mode) ? compare_links(a_parent, b_parent, of_a->name)
                                 : 0;
}

/* ---- directories ---- */

static int no_memory(struct comparison *c) {
    return error_set(&c->error, ENOMEM, "out of memory");
}

static char *path_of(const struct layer_directory *d, const struct layer_entry *entry) {
    return strf("%s%s%s", d->path, *d->path ? "/" : "", entry->name);
}

static int add_new(
    struct comparison *c, const struct layer_directory *d, const struct layer_entry *entry, unsigned depth);

/* All that is in a directory which the other image has not. */
static int add_all(struct comparison *c, const struct layer_directory *d, unsigned depth) {
    struct layer_entry *entries;
    size_t n;

    if (depth > DIFF_DEPTH_MAX)
        return error_set(&c->error, ENAMETOOLONG, "more than %d directories in each other", DIFF_DEPTH_MAX);
    int r = layer_directory_read(d, &entries, &n, &c->error);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n && r >= 0; i++)
        r = add_new(c, d, &entries[i], depth);
    layer_entries_free(entries, n);
    return r;
}

static int add_below(
    struct comparison *c, const struct layer_directory *d, const struct layer_entry *entry, unsigned depth) {
    _cleanup_(layer_directory_done) struct layer_directory below = {};

    if (!S_ISDIR(entry->st.st_mode))
        return 0;
    if (layer_directory_find(d->stack, d, entry->name, &below) < 0)
        return no_memory(c);
    return add_all(c, &below, depth + 1);
}

static int add_new(
    struct comparison *c, const struct layer_directory *d, const struct layer_entry *entry, unsigned depth) {
    _cleanup_free_ char *path = path_of(d, entry);

    if (!path)
        return no_memory(c);
    diff_add(c->changes, "A", path);
    return add_below(c, d, entry, depth);
}

static int compare_directories(
    struct comparison *c, const struct layer_directory *a, const struct layer_directory *b, unsigned depth);

/* "C" stands before what is in the directory, and is known only after it. */
static int compare_subdirectory(struct comparison *c, const struct layer_directory *a,
    const struct layer_entry *of_a, const struct layer_directory *b, const struct layer_entry *of_b,
    unsigned depth) {
    _cleanup_(layer_directory_done) struct layer_directory in_a = {}, in_b = {};
    size_t before = json_array_size(c->changes);

    if (layer_directory_find(a->stack, a, of_a->name, &in_a) < 0 ||
        layer_directory_find(b->stack, b, of_b->name, &in_b) < 0)
        return no_memory(c);
    diff_add(c->changes, "C", in_b.path);
    int r = compare_directories(c, &in_a, &in_b, depth + 1);
    if (json_array_size(c->changes) == before + 1 && !attributes_differ(&of_a->st, &of_b->st))
        (void)json_array_remove(c->changes, before);
    return r;
}

static int compare_pair(struct comparison *c, const struct layer_directory *a, const struct layer_entry *of_a,
    const struct layer_directory *b, const struct layer_entry *of_b, unsigned depth) {
    if (S_ISDIR(of_a->st.st_mode) && S_ISDIR(of_b->st.st_mode))
        return compare_subdirectory(c, a, of_a, b, of_b, depth);

    _cleanup_free_ char *path = path_of(b, of_b);
    if (!path)
        return no_memory(c);
    int r = compare_entries(a, of_a, b, of_b);
    if (r < 0)
        return error_set_errno(&c->error, r, "/%s", path);
    if (r > 0)
        diff_add(c->changes, "C", path);
    return r > 0 ? add_below(c, b, of_b, depth) : 0;
}

/* The same layers of both images, in the same order, show the same. */
static bool is_same(const struct layer_directory *a, const struct layer_directory *b) {
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!streq(a->stack->names[a->layers[i]], b->stack->names[b->layers[i]]))
            return false;
    return true;
}

static int merge(struct comparison *c, const struct layer_directory *a, const struct layer_entry *of_a,
    size_t n_a, const struct layer_directory *b, const struct layer_entry *of_b, size_t n_b, unsigned depth) {
    size_t i = 0, k = 0;
    int r = 0;

    while ((i < n_a || k < n_b) && r >= 0) {
        int order = i == n_a ? 1 : k == n_b ? -1 : strcmp(of_a[i].name, of_b[k].name);
        if (order < 0) {
            _cleanup_free_ char *path = path_of(a, &of_a[i++]);
            if (!path)
                return no_memory(c);
            diff_add(c->changes, "D", path);
        } else if (order > 0)
            r = add_new(c, b, &of_b[k++], depth);
        else
            r = compare_pair(c, a, &of_a[i++], b, &of_b[k++], depth);
    }
    return r;
}

static int compare_directories(
    struct comparison *c, const struct layer_directory *a, const struct layer_directory *b, unsigned depth) {
    struct layer_entry *of_a = NULL, *of_b = NULL;
    size_t n_a = 0, n_b = 0;

    if (is_same(a, b))
        return 0;
    if (depth > DIFF_DEPTH_MAX)
        return error_set(&c->error, ENAMETOOLONG, "more than %d directories in each other", DIFF_DEPTH_MAX);
    int r = layer_directory_read(a, &of_a, &n_a, &c->error);
    if (r >= 0)
        r = layer_directory_read(b, &of_b, &n_b, &c->error);
    if (r >= 0)
        r = merge(c, a, of_a, n_a, b, of_b, n_b, depth);
    layer_entries_free(of_a, n_a);
    layer_entries_free(of_b, n_b);
    return r;
}

/* ---- the verb ---- */

static int compare_layers(struct comparison *c, char *const *old, char *const *new) {
    _cleanup_(layer_directory_done) struct layer_directory a = {}, b = {};
    _cleanup_(layer_stack_done) struct layer_stack of_a = {}, of_b = {};

    int r = layer_stack_open(old, &of_a, &c->error);
    if (r >= 0)
        r = layer_stack_open(new, &of_b, &c->error);
    if (r < 0)
        return r;
    if (layer_directory_find(&of_a, NULL, "", &a) < 0 || layer_directory_find(&of_b, NULL, "", &b) < 0)
        return no_memory(c);
    return compare_directories(c, &a, &b, 0);
}

/* With one image, its topmost layer is what is new. */
static int compare_images(struct cli *cli, struct comparison *c, char **names, size_t n) {
    _cleanup_(image_done) struct image old = {}, new = {};

    int r = images_resolve(cli, names[n - 1], &new);
    if (r >= 0)
        r = images_resolve(cli, names[0], &old);
    if (r < 0)
        return r;
    size_t layers = strv_length(old.layers);
    if (n == 1 && layers > 0) {
        free(old.layers[layers - 1]);
        old.layers[layers - 1] = NULL;
    }
    r = compare_layers(c, old.layers, new.layers);
    if (r < 0)
        cli_error("%s", c->error.text);
    return r;
}

int verb_image_diff(struct cli *cli, char **arguments, size_t n) {
    struct comparison c = {.changes = json_array()};

    int r = compare_images(cli, &c, arguments, n);
    if (r >= 0)
        diff_print(cli, c.changes);
    json_decref(c.changes);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
