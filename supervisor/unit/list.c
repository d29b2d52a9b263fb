/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The names of all units there are, and of all files for them. */
#include "base/fs.h"
#include "base/hashmap.h"
#include "unit/dirs.h"
#include "unit/load.h"
#include "unit/name.h"

struct listing {
    const struct unit_environment *env;
    const struct unit_dirs *dirs;
    char **names; /* owns */
    size_t n, size;
    struct hashmap
        *seen; /* all names met, also those that are masked or aliases: a lower directory does not count */
    char **hidden; /* owns the names in seen that are not in names */
};

static void listing_done(struct listing *l) {
    strv_free(l->names);
    strv_free(l->hidden);
    if (l->seen)
        hashmap_free(l->seen);
}

/* Keeps room for the NULL at the end. */
static int listing_grow(struct listing *l) {
    if (l->n + 1 < l->size)
        return 0;
    size_t size = MAX(l->size * 2, 64u);
    char **names = reallocarray(l->names, size, sizeof(*names));
    if (!names)
        return -ENOMEM;
    l->names = names;
    l->names[l->n] = NULL;
    l->size = size;
    return 0;
}

static int listing_add(struct listing *l, const char *name) {
    if (hashmap_get(l->seen, name))
        return 0;
    int r = listing_grow(l);
    if (r < 0)
        return r;
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    l->names[l->n++] = copy;
    l->names[l->n] = NULL;
    return hashmap_put(l->seen, copy, copy);
}

/* A name that must not be listed, whatever a lower directory has. */
static int listing_hide(struct listing *l, const char *name) {
    if (hashmap_get(l->seen, name))
        return 0;
    int r = strv_append(&l->hidden, name);
    if (r < 0)
        return r;
    char *copy = l->hidden[strv_length(l->hidden) - 1];
    return hashmap_put(l->seen, copy, copy);
}

/* The instance that a template asks for by DefaultInstance= and [Install]. */
static int add_default_instance(struct listing *l, const char *template) {
    _cleanup_(unit_freep) struct unit *u = NULL;
    struct error e = {0};

    int r = unit_load_from(l->env, l->dirs, template, &u, &e);
    if (r == -ENOMEM)
        return r;
    if (r < 0 || !unit_type_installs_itself(u->type) || isempty(u->install.default_instance) ||
        !unit_installs_links(u))
        return 0;
    _cleanup_free_ char *name = name_with_instance(template, u->install.default_instance);
    return name ? listing_add(l, name) : -ENOMEM;
}

static int add_file(struct listing *l, const char *directory, const char *name) {
    _cleanup_free_ char *path = path_join(directory, name);
    _cleanup_(fragment_done) struct fragment f = {0};
    struct stat st;

    if (!path)
        return -ENOMEM;
    if (lstat(path, &st) < 0 || S_ISDIR(st.st_mode) || hashmap_get(l->seen, name))
        return 0;
    if (name_is_template(name)) {
        int r = path_is_masked(path) ? 0 : add_default_instance(l, name);
        return r < 0 ? r : listing_hide(l, name);
    }
    if (S_ISREG(st.st_mode) && st.st_size > 0)
        return listing_add(l, name);
    int r = dirs_find_fragment(l->dirs, name, &f);
    if (r == -ENOMEM)
        return r;
    return r < 0 || f.masked || !streq(f.name, name) ? listing_hide(l, name) : listing_add(l, name);
}

static int add_directory(struct listing *l, const char *directory) {
    _cleanup_strv_free_ char **names = NULL;

    int r = directory_names(directory, &names);
    STRV_FOREACH (name, names)
        if (r == 0 && unit_name_is_valid(*name))
            r = add_file(l, directory, *name);
    return r;
}

/* Instances exist by being wanted. */
static int add_linked_instances(struct listing *l, const char *link_dir) {
    _cleanup_strv_free_ char **names = NULL;

    int r = directory_names(link_dir, &names);
    STRV_FOREACH (name, names) {
        _cleanup_(fragment_done) struct fragment f = {0};
        if (r < 0)
            break;
        if (!name_is_instance(*name))
            continue;
        _cleanup_free_ char *link = path_join(link_dir, *name);
        if (!link)
            return -ENOMEM;
        if (path_is_masked(link) || dirs_find_fragment(l->dirs, *name, &f) < 0 || f.masked)
            continue;
        r = listing_add(l, *name);
    }
    return r;
}

static int list_names(struct listing *l) {
    l->seen = hashmap_new();
    if (!l->seen)
        return -ENOMEM;
    int r = listing_grow(l);
    STRV_FOREACH (directory, l->dirs->directories)
        if (r == 0)
            r = add_directory(l, *directory);
    STRV_FOREACH (directory, l->dirs->link_dirs)
        if (r == 0)
            r = add_linked_instances(l, *directory);
    return r;
}

int unit_list_names(const struct unit_environment *env, char ***ret, struct error *e) {
    _cleanup_(unit_dirs_done) struct unit_dirs dirs = {0};
    _cleanup_(listing_done) struct listing l = {.env = env, .dirs = &dirs};

    int r = unit_dirs_scan(env->unit_path, &dirs);
    if (r == 0)
        r = list_names(&l);
    if (r < 0)
        return error_set_errno(e, r, "cannot list units");
    strv_sort(l.names);
    *ret = TAKE_PTR(l.names);
    return 0;
}

int unit_list_files(const struct unit_environment *env, char ***ret, struct error *e) {
    _cleanup_(unit_dirs_done) struct unit_dirs dirs = {0};
    _cleanup_(listing_done) struct listing l = {.env = env, .dirs = &dirs};

    l.seen = hashmap_new();
    int r = l.seen ? listing_grow(&l) : -ENOMEM;
    if (r == 0)
        r = unit_dirs_scan(env->unit_path, &dirs);
    STRV_FOREACH (directory, dirs.directories) {
        _cleanup_strv_free_ char **names = NULL;
        if (r == 0)
            r = directory_names(*directory, &names);
        STRV_FOREACH (name, names) {
            _cleanup_free_ char *path =
                r == 0 && unit_name_is_valid(*name) ? path_join(*directory, *name) : NULL;
            struct stat st;
            if (path && stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
                r = listing_add(&l, *name);
        }
    }
    if (r < 0)
        return error_set_errno(e, r, "cannot list unit files");
    strv_sort(l.names);
    *ret = TAKE_PTR(l.names);
    return 0;
}
