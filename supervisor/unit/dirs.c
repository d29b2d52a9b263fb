/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See dirs.h. */
#include <dirent.h>
#include <limits.h>

#include "base/fs.h"
#include "unit/dirs.h"
#include "unit/name.h"

/* Deeper trees of unit files are links in a circle or a mistake. */
#define DEPTH_MAX 8
#define DIRECTORY_ENTRIES_MAX 20000

/* ---- directories ---- */

DEFINE_CLEANUP(DIR *, closedir)
#define _cleanup_closedir_ _cleanup_(closedirp)

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names grow by doubling: strv_append() is quadratic, and a directory can hold thousands of units. */
struct names {
    char **list;
    size_t n, size;
};

static int names_add(struct names *names, const char *name) {
    if (names->n + 1 >= names->size) {
        size_t size = MAX(names->size * 2, 16u);
        char **list = reallocarray(names->list, size, sizeof(*list));
        if (!list)
            return -ENOMEM;
        names->list = list;
        names->size = size;
    }
    names->list[names->n] = strdup(name);
    names->list[names->n + 1] = NULL;
    return names->list[names->n++] ? 0 : -ENOMEM;
}

static void names_done(struct names *names) {
    strv_free(names->list);
}

int directory_names(const char *path, char ***ret) {
    _cleanup_(names_done) struct names names = {0};
    _cleanup_closedir_ DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && names.n < DIRECTORY_ENTRIES_MAX && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        int r = names_add(&names, entry->d_name);
        if (r < 0)
            return r;
    }
    if (names.n > 1)
        qsort(names.list, names.n, sizeof(*names.list), compare_names);
    *ret = TAKE_PTR(names.list);
    return 0;
}

static bool is_directory(const char *parent, const struct dirent *entry) {
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    _cleanup_free_ char *path = path_join(parent, entry->d_name);
    struct stat st;
    return path && lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Subdirectories of path, sorted: those that hold units, and those that hold links. */
static int list_subdirectories(const char *path, char ***ret_plain, struct unit_dirs *to) {
    _cleanup_(names_done) struct names plain = {0}, links = {0};
    _cleanup_closedir_ DIR *dir = opendir(path);
    struct dirent *entry;
    struct stat st;
    int r = 0;

    /* Two links are "." and the entry above: no subdirectories. Spares reading a thousand names for each
     * unit. (File systems that do not count give 1.) */
    if (!dir || (fstat(dirfd(dir), &st) == 0 && st.st_nlink == 2))
        return 0;
    while (r == 0 && (entry = readdir(dir))) {
        const char *name = entry->d_name;
        if (name[0] == '.' || endswith(name, ".d") || !is_directory(path, entry))
            continue;
        if (link_kind_of(name))
            r = names_add(&links, name);
        else
            r = names_add(&plain, name);
    }
    if (plain.n > 1)
        qsort(plain.list, plain.n, sizeof(*plain.list), compare_names);
    if (links.n > 1)
        qsort(links.list, links.n, sizeof(*links.list), compare_names);
    STRV_FOREACH (name, links.list)
        if (r == 0)
            r = strv_consume(&to->link_dirs, path_join(path, *name));
    if (r == 0)
        *ret_plain = TAKE_PTR(plain.list);
    return r;
}

static int scan_directory(const char *path, unsigned depth, struct unit_dirs *to) {
    _cleanup_strv_free_ char **plain = NULL;

    int r = strv_append(&to->directories, path);
    if (r == 0)
        r = list_subdirectories(path, &plain, to);
    STRV_FOREACH (name, plain) {
        if (r < 0 || depth == DEPTH_MAX)
            break;
        _cleanup_free_ char *below = path_join(path, *name);
        r = below ? scan_directory(below, depth + 1, to) : -ENOMEM;
    }
    return r;
}

int unit_dirs_scan(char *const *unit_path, struct unit_dirs *ret) {
    _cleanup_(unit_dirs_done) struct unit_dirs d = {0};

    STRV_FOREACH (path, unit_path) {
        int r = scan_directory(*path, 0, &d);
        if (r < 0)
            return r;
    }
    *ret = d;
    d = (struct unit_dirs){0};
    return 0;
}

void unit_dirs_done(struct unit_dirs *d) {
    strv_free(d->directories);
    strv_free(d->link_dirs);
}

/* ---- fragments ---- */

bool path_is_masked(const char *path) {
    struct stat st;
    if (stat(path, &st) < 0)
        return false;
    if (S_ISREG(st.st_mode))
        return st.st_size == 0;
    return S_ISCHR(st.st_mode) && st.st_rdev == 0x103; /* /dev/null: 1:3 */
}

void fragment_done(struct fragment *f) {
    free(f->path);
    free(f->name);
}

static bool is_in_directories(const struct unit_dirs *d, const char *real_path) {
    size_t n = (size_t)(path_basename(real_path) - real_path);
    STRV_FOREACH (directory, d->directories) {
        _cleanup_free_ char *real = realpath(*directory, NULL);
        if (real && strlen(real) + 1 == n && strncmp(real, real_path, n - 1) == 0)
            return true;
    }
    return false;
}

/* A link to another unit's file within the unit path is an alias of that unit; a link from an instance to its
 * own template is that instance; a link out of the unit path is the file of the name it has here. */
static int resolve_alias(
    const struct unit_dirs *d, const char *path, const char *name, struct fragment *ret) {
    _cleanup_free_ char *template = NULL;
    char target[PATH_MAX];
    struct stat st;

    if (lstat(path, &st) < 0 || !S_ISLNK(st.st_mode) || !realpath(path, target) ||
        !is_in_directories(d, target))
        return 0;
    const char *base = path_basename(target);
    if (!unit_name_is_valid(base) || unit_type_from_name(base) != unit_type_from_name(name) ||
        streq(base, name))
        return 0;
    if (name_is_instance(name)) {
        template = name_template(name);
        if (!template)
            return -ENOMEM;
        if (name_is_template(base)) {
            if (streq(base, template))
                return 0;
            struct name_parts parts;
            (void)name_split(name, &parts);
            _cleanup_free_ char *instance = strndup(parts.instance, parts.instance_length);
            ret->name = instance ? name_with_instance(base, instance) : NULL;
        } else {
            ret->name = strdup(base);
        }
    } else {
        ret->name = strdup(base);
    }
    char *copy = strdup(target);
    if (!ret->name || !copy) {
        free(copy);
        return -ENOMEM;
    }
    free(ret->path);
    ret->path = copy;
    return 0;
}

/* The first directory that has file_name. */
static int find_file(const struct unit_dirs *d, const char *file_name, char **ret) {
    STRV_FOREACH (directory, d->directories) {
        _cleanup_free_ char *path = path_join(*directory, file_name);
        struct stat st;
        if (!path)
            return -ENOMEM;
        if (lstat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
            *ret = TAKE_PTR(path);
            return 0;
        }
    }
    return -ENOENT;
}

int dirs_find_fragment(const struct unit_dirs *d, const char *name, struct fragment *ret) {
    _cleanup_(fragment_done) struct fragment f = {0};

    int r = find_file(d, name, &f.path);
    if (r == -ENOENT && name_is_instance(name)) {
        _cleanup_free_ char *template = name_template(name);
        r = template ? find_file(d, template, &f.path) : -ENOMEM;
    }
    if (r < 0)
        return r;
    f.masked = path_is_masked(f.path);
    r = f.masked ? 0 : resolve_alias(d, f.path, name, &f);
    if (r < 0)
        return r;
    if (!f.name && !(f.name = strdup(name)))
        return -ENOMEM;
    *ret = f;
    f = (struct fragment){0};
    return 0;
}

/* ---- drop-ins ---- */

/* Appends "a-b-.container.d", "a-.container.d" for prefix "a-b-c", with at = "@" also the forms of a
 * template. */
static int append_dash_levels(
    char ***levels, const char *prefix, size_t n, const char *at, const char *suffix) {
    for (size_t i = n; i-- > 1;)
        if (prefix[i] == '-' && i + 1 < n) {
            int r = strv_consume(levels, strf("%.*s%s%s.d", (int)i + 1, prefix, at, suffix));
            if (r < 0)
                return r;
        }
    return 0;
}

/* Names of drop-in directories, most specific first:
 * foo-bar@inst.container.d foo-bar@.container.d foo-@.container.d foo-.container.d container.d */
static int dropin_levels(const char *name, char ***ret) {
    _cleanup_strv_free_ char **levels = NULL;
    struct name_parts p;

    int r = name_split(name, &p);
    if (r == 0)
        r = strv_consume(&levels, strf("%s.d", name));
    if (r == 0 && p.instance) {
        if (p.instance_length > 0)
            r = strv_consume(&levels, strf("%.*s@%s.d", (int)p.prefix_length, p.prefix, p.suffix));
        if (r == 0)
            r = append_dash_levels(&levels, p.prefix, p.prefix_length, "@", p.suffix);
    }
    if (r == 0)
        r = append_dash_levels(&levels, p.prefix, p.prefix_length, "", p.suffix);
    if (r == 0)
        r = strv_consume(&levels, strf("%s.d", p.suffix + 1));
    if (r == 0)
        *ret = TAKE_PTR(levels);
    return r;
}

static bool has_file_name(char *const *paths, const char *name) {
    STRV_FOREACH (path, paths)
        if (streq(path_basename(*path), name))
            return true;
    return false;
}

static int collect_dropins(const char *directory, char ***paths) {
    _cleanup_strv_free_ char **names = NULL;
    int r = directory_names(directory, &names);
    STRV_FOREACH (name, names) {
        if (r < 0)
            break;
        if (endswith(*name, ".conf") && !has_file_name(*paths, *name))
            r = strv_consume(paths, path_join(directory, *name));
    }
    return r;
}

static int compare_file_names(const void *a, const void *b) {
    return strcmp(path_basename(*(char *const *)a), path_basename(*(char *const *)b));
}

int dirs_find_dropins(const struct unit_dirs *d, const char *name, char ***ret) {
    _cleanup_strv_free_ char **levels = NULL, **paths = NULL, **kept = NULL;

    int r = dropin_levels(name, &levels);
    STRV_FOREACH (level, levels)
        STRV_FOREACH (directory, d->directories) {
            if (r < 0)
                break;
            _cleanup_free_ char *path = path_join(*directory, *level);
            r = path ? collect_dropins(path, &paths) : -ENOMEM;
        }
    if (r == 0 && paths)
        qsort(paths, strv_length(paths), sizeof(*paths), compare_file_names);
    STRV_FOREACH (path, paths)
        if (r == 0 && !path_is_masked(*path))
            r = strv_append(&kept, *path);
    if (r == 0)
        *ret = TAKE_PTR(kept);
    return r;
}

/* ---- links ---- */

const struct link_kind link_kinds[LINK_KINDS] = {
    {".wants", DEP_WANTS, DEP_WANTED_BY, offsetof(struct unit, install.wanted_by)},
    {".requires", DEP_REQUIRES, DEP_REQUIRED_BY, offsetof(struct unit, install.required_by)},
    {".upholds", DEP_UPHOLDS, DEP_UPHELD_BY, offsetof(struct unit, install.upheld_by)},
};

const struct link_kind *link_kind_of(const char *directory) {
    for (size_t i = 0; i < LINK_KINDS; i++)
        if (endswith(directory, link_kinds[i].suffix))
            return &link_kinds[i];
    return NULL;
}

char **unit_install_list(const struct unit *u, const struct link_kind *k) {
    return *(char ***)((char *)u + k->install);
}

bool unit_installs_links(const struct unit *u) {
    for (size_t i = 0; i < LINK_KINDS; i++)
        if (strv_length(unit_install_list(u, &link_kinds[i])) > 0)
            return true;
    return false;
}

void dependency_links_done(struct dependency_links *l) {
    for (size_t i = 0; i < LINK_KINDS; i++) {
        strv_free(l->forward[i]);
        strv_free(l->inverse[i]);
    }
    strv_free(l->masked);
}

/* Adds the names of the links in DIRECTORY/NAME.wants to *list, those masked to *hidden: the first directory
 * decides. */
static int collect_forward(
    const char *directory, const char *name, const char *suffix, char ***list, char ***hidden) {
    _cleanup_free_ char *path = strf("%s/%s%s", directory, name, suffix);
    _cleanup_strv_free_ char **names = NULL;

    int r = path ? directory_names(path, &names) : -ENOMEM;
    STRV_FOREACH (entry, names) {
        if (r < 0)
            break;
        if (!name_is_valid_dependency(*entry) || strv_contains(*list, *entry) ||
            strv_contains(*hidden, *entry))
            continue;
        _cleanup_free_ char *link = path_join(path, *entry);
        r = link ? strv_append(path_is_masked(link) ? hidden : list, *entry) : -ENOMEM;
    }
    return r;
}

static int find_forward_links(
    const struct unit_dirs *d, const char *name, const struct link_kind *kind, char ***list) {
    _cleanup_strv_free_ char **hidden = NULL;
    _cleanup_free_ char *template = NULL;

    if (name_is_instance(name) && !(template = name_template(name)))
        return -ENOMEM;
    const char *const names[] = {name, template};
    for (size_t i = 0; i < ARRAY_SIZE(names) && names[i]; i++)
        STRV_FOREACH (directory, d->directories) {
            int r = collect_forward(*directory, names[i], kind->suffix, list, &hidden);
            if (r < 0)
                return r;
        }
    return 0;
}

/* X.wants/NAME in any link directory. */
static int find_inverse_links(const struct unit_dirs *d, const char *name, struct dependency_links *to) {
    STRV_FOREACH (directory, d->link_dirs) {
        const char *base = path_basename(*directory);
        const struct link_kind *kind = link_kind_of(base);
        _cleanup_free_ char *who = strndup(base, strlen(base) - strlen(kind->suffix));
        _cleanup_free_ char *link = path_join(*directory, name);
        struct stat st;

        if (!who || !link)
            return -ENOMEM;
        char ***list = &to->inverse[kind - link_kinds];
        if (lstat(link, &st) < 0 || !unit_name_is_valid(who) || strv_contains(*list, who) ||
            strv_contains(to->masked, who))
            continue;
        int r = strv_append(path_is_masked(link) ? &to->masked : list, who);
        if (r < 0)
            return r;
    }
    return 0;
}

int dirs_find_links(const struct unit_dirs *d, const char *name, struct dependency_links *ret) {
    _cleanup_(dependency_links_done) struct dependency_links links = {0};

    int r = 0;
    for (size_t i = 0; i < LINK_KINDS && r == 0; i++)
        r = find_forward_links(d, name, &link_kinds[i], &links.forward[i]);
    if (r == 0)
        r = find_inverse_links(d, name, &links);
    if (r < 0)
        return r;
    *ret = links;
    links = (struct dependency_links){0};
    return 0;
}
