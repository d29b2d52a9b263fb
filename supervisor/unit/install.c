/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Enabling and disabling: links below the unit directory of the administrator, as systemctl makes them.
 *
 * A container or volume with an [Install] section is enabled by being there: Quadlet's generator does it so.
 * What disables it is a link X.wants/NAME to /dev/null, systemd's own way to take a dependency back; nobody
 * has to edit the unit file.
 */
#include <fcntl.h>
#include <limits.h>

#include "base/fs.h"
#include "unit/dirs.h"
#include "unit/install.h"
#include "unit/load.h"
#include "unit/name.h"

const char *install_root(const struct unit_environment *env) {
    STRV_FOREACH (path, env->unit_path)
        if (startswith(*path, "/etc/"))
            return *path;
    STRV_FOREACH (path, env->unit_path) {
        const char *rest = env->runtime_dir ? startswith(*path, env->runtime_dir) : NULL;
        if (!startswith(*path, "/run/") && !startswith(*path, "/usr/") && !(rest && (!*rest || *rest == '/')))
            return *path;
    }
    return env->unit_path ? env->unit_path[0] : NULL;
}

bool link_points_to(const char *path, const char *target) {
    char current[PATH_MAX];
    ssize_t n = readlink(path, current, sizeof(current));
    return n > 0 && (size_t)n == strlen(target) && strncmp(current, target, (size_t)n) == 0;
}

int make_link(struct change *c, const char *path, const char *target) {
    struct stat st;

    if (link_points_to(path, target))
        return 0;
    if (lstat(path, &st) == 0) {
        if (!S_ISLNK(st.st_mode))
            return error_set(c->error, EEXIST, "%s is in the way and is not a link", path);
        if (unlink(path) < 0)
            return error_set_errno(c->error, negative_errno(), "cannot remove %s", path);
    }
    _cleanup_free_ char *directory = strndup(path, (size_t)(path_basename(path) - path));
    if (!directory)
        return -ENOMEM;
    int r = mkdir_parents(AT_FDCWD, directory, 0755);
    if (r < 0)
        return error_set_errno(c->error, r, "cannot make %s", directory);
    if (symlink(target, path) < 0)
        return error_set_errno(c->error, negative_errno(), "cannot make link %s", path);
    return strv_consume(c->changes, strf("created %s -> %s", path, target));
}

int remove_link(struct change *c, const char *path) {
    struct stat st;

    if (lstat(path, &st) < 0 || !S_ISLNK(st.st_mode))
        return 0;
    if (unlink(path) < 0)
        return error_set_errno(c->error, negative_errno(), "cannot remove %s", path);
    return strv_consume(c->changes, strf("removed %s", path));
}

/* One call for all directories. */
int make_durable(const struct change *c) {
    _cleanup_close_ int fd = open(c->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || syncfs(fd) < 0)
        return error_set_errno(
            c->error, negative_errno(), "links in %s may not outlive a power cut", c->root);
    return 0;
}

/* ROOT/X.wants/NAME for every X of WantedBy=, and the same for its like. */
static int link_all(struct change *c, const struct unit *u, const char *name, const char *target) {
    for (size_t i = 0; i < LINK_KINDS; i++)
        STRV_FOREACH (who, unit_install_list(u, &link_kinds[i])) {
            _cleanup_free_ char *path = strf("%s/%s%s/%s", c->root, *who, link_kinds[i].suffix, name);
            int r = path ? make_link(c, path, target) : -ENOMEM;
            if (r < 0)
                return r;
        }
    return 0;
}

static bool installs_something(const struct unit *u) {
    return unit_installs_links(u) || strv_length(u->install.alias) > 0;
}

/* Which unit "enable NAME" is about: for a bare template its default instance. */
static int name_to_enable(const struct unit *u, char **ret, struct error *e) {
    if (!name_is_template(u->name)) {
        *ret = strdup(u->name);
    } else if (isempty(u->install.default_instance)) {
        return error_set(e, EINVAL, "%s is a template: name an instance, as in %.*s@NAME%s", u->name,
            (int)(strchr(u->name, '@') - u->name), u->name, unit_type_suffix(u->type));
    } else {
        *ret = name_with_instance(u->name, u->install.default_instance);
    }
    return *ret ? 0 : error_set(e, ENOMEM, "out of memory");
}

static int enable_unit(struct change *c, const struct unit *u, const char *name) {
    int r = link_all(c, u, name, u->fragment);
    STRV_FOREACH (alias, u->install.alias) {
        _cleanup_free_ char *path = strf("%s/%s", c->root, *alias);
        if (r == 0)
            r = path ? make_link(c, path, u->fragment) : -ENOMEM;
    }
    return r;
}

static bool has_file(const char *name, void *data) {
    _cleanup_(fragment_done) struct fragment f = {0};
    return dirs_find_fragment(data, name, &f) == 0;
}

/* Adds what Also= says to the names of units that are still to be looked at. */
static int add_also(const struct unit_environment *env, const struct unit *u, char ***names) {
    _cleanup_(unit_dirs_done) struct unit_dirs dirs = {0};
    int r = u->install.also ? unit_dirs_scan(env->unit_path, &dirs) : 0;

    STRV_FOREACH (also, u->install.also) {
        _cleanup_free_ char *name = NULL;
        if (r == 0 && unit_name_resolve(*also, has_file, &dirs, &name) == -ENOMEM)
            r = -ENOMEM;
        if (r == 0 && !strv_contains(*names, name ?: *also))
            r = strv_append(names, name ?: *also);
    }
    return r;
}

/* Those of Also= that cannot be enabled are left out: the unit that a person named is enabled all the same. */
static int enable_one(
    struct change *c, const struct unit_environment *env, const char *name, bool asked_for, char ***names) {
    _cleanup_(unit_freep) struct unit *u = NULL;
    _cleanup_free_ char *enabled = NULL;
    struct error why = {};

    int r = unit_load(env, name, &u, &why);
    if (r == 0)
        r = name_to_enable(u, &enabled, &why);
    if (r < 0 && r != -ENOMEM && !asked_for)
        return strv_consume(c->changes, strf("left out: %s", why.text));
    if (r < 0) {
        if (c->error)
            *c->error = why;
        return r;
    }
    if (asked_for && !installs_something(u) && !u->install.also)
        return error_set(
            c->error, ENOENT, "%s has no [Install] section that says what should start it", u->name);
    r = enable_unit(c, u, enabled);
    return r < 0 ? r : add_also(env, u, names);
}

typedef int (*change_one_t)(
    struct change *c, const struct unit_environment *env, const char *name, bool asked_for, char ***names);

/* The unit, and then what it and they name in Also=. */
static int change_all(const struct unit_environment *env, const char *name, change_one_t change_one,
    char ***ret_changes, struct error *e) {
    struct change c = {.root = install_root(env), .changes = ret_changes, .error = e};
    _cleanup_strv_free_ char **names = NULL;
    size_t before = strv_length(*ret_changes);

    if (!c.root)
        return error_set(e, ENOENT, "there is no unit directory to make links in");
    int r = strv_append(&names, name);
    for (size_t i = 0; r == 0 && names[i]; i++)
        r = change_one(&c, env, names[i], i == 0, &names);
    if (r == 0 && strv_length(*ret_changes) > before)
        r = make_durable(&c);
    return r == -ENOMEM ? error_set(e, ENOMEM, "out of memory") : r;
}

int unit_enable(const struct unit_environment *env, const char *name, char ***ret_changes, struct error *e) {
    return change_all(env, name, enable_one, ret_changes, e);
}

/* ---- disable ---- */

/* name itself, or for a bare template any of its instances. */
static bool names_unit(const char *entry, const char *name) {
    if (streq(entry, name))
        return true;
    if (!name_is_template(name) || !name_is_instance(entry))
        return false;
    _cleanup_free_ char *template = name_template(entry);
    return template && streq(template, name);
}

/* Takes the links to name out of ROOT/X.wants and its like, and X.wants away if it is empty then. */
static int remove_links(struct change *c, const char *name) {
    _cleanup_strv_free_ char **names = NULL;

    int r = directory_names(c->root, &names);
    STRV_FOREACH (entry, names) {
        if (r < 0)
            return r;
        if (!link_kind_of(*entry))
            continue;
        _cleanup_strv_free_ char **links = NULL;
        _cleanup_free_ char *directory = path_join(c->root, *entry);
        r = directory ? directory_names(directory, &links) : -ENOMEM;
        STRV_FOREACH (link, links) {
            if (r < 0 || !names_unit(*link, name))
                continue;
            _cleanup_free_ char *path = path_join(directory, *link);
            if (!path)
                return -ENOMEM;
            if (!link_points_to(path, MASK))
                r = remove_link(c, path);
        }
        if (r == 0)
            (void)rmdir(directory);
    }
    return r;
}

static int remove_aliases(struct change *c, const struct unit *u) {
    STRV_FOREACH (alias, u->install.alias) {
        _cleanup_free_ char *path = strf("%s/%s", c->root, *alias);
        int r = !path ? -ENOMEM : link_points_to(path, u->fragment) ? remove_link(c, path) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int mask_install(struct change *c, const struct unit *u) {
    if (!unit_type_installs_itself(u->type) || name_is_template(u->name))
        return 0;
    return link_all(c, u, u->name, MASK);
}

static int disable_one(
    struct change *c, const struct unit_environment *env, const char *name, bool asked_for, char ***names) {
    _cleanup_(unit_freep) struct unit *u = NULL;
    size_t before = strv_length(*c->changes);
    struct error why = {};

    int r = unit_load(env, name, &u, &why);
    /* The links of a unit whose file is gone are to be removed all the more. */
    if (r == 0 || r == -ENOENT)
        r = remove_links(c, u ? u->name : name);
    else if (c->error)
        *c->error = why;
    if (r == 0 && u)
        r = remove_aliases(c, u);
    if (r == 0 && u)
        r = mask_install(c, u);
    if (r == 0 && u)
        r = add_also(env, u, names);
    if (r < 0 || !asked_for || strv_length(*c->changes) > before)
        return r;
    if (!u)
        return error_set(c->error, ENOENT, "%s", why.text);
    if (!installs_something(u) && !u->install.also)
        return error_set(c->error, ENOENT, "%s has no [Install] section, nothing enables it", u->name);
    return 0;
}

int unit_disable(const struct unit_environment *env, const char *name, char ***ret_changes, struct error *e) {
    return change_all(env, name, disable_one, ret_changes, e);
}

/* ---- state ---- */

static bool is_linked_to(const struct dependency_links *links) {
    for (size_t i = 0; i < LINK_KINDS; i++)
        if (links->inverse[i])
            return true;
    return false;
}

static bool all_are_masked(const struct unit *u, const struct dependency_links *links) {
    for (size_t i = 0; i < LINK_KINDS; i++)
        STRV_FOREACH (who, unit_install_list(u, &link_kinds[i]))
            if (!strv_contains(links->masked, *who))
                return false;
    return true;
}

static bool has_alias(const struct unit_environment *env, const struct unit *u) {
    const char *root = install_root(env);
    STRV_FOREACH (alias, u->install.alias) {
        _cleanup_free_ char *path = root ? strf("%s/%s", root, *alias) : NULL;
        if (path && link_points_to(path, u->fragment))
            return true;
    }
    return false;
}

/* A link in the unit path to a file elsewhere. */
static bool is_linked(const struct unit *u) {
    struct stat st;
    return lstat(u->fragment, &st) == 0 && S_ISLNK(st.st_mode);
}

const char *unit_enable_state(const struct unit_environment *env, const struct unit *u) {
    _cleanup_(unit_dirs_done) struct unit_dirs dirs = {0};
    _cleanup_(dependency_links_done) struct dependency_links links = {0};

    if (!u->fragment)
        return "static";
    if (path_is_masked(u->fragment))
        return "masked";
    if (unit_dirs_scan(env->unit_path, &dirs) < 0 || dirs_find_links(&dirs, u->name, &links) < 0)
        return "disabled";
    if (is_linked_to(&links) || has_alias(env, u))
        return "enabled";
    if (!installs_something(u) && !u->install.also)
        return is_linked(u) ? "linked" : "static";
    if (name_is_template(u->name) || !installs_something(u))
        return "indirect";
    if (unit_type_installs_itself(u->type) && u->enabled && !all_are_masked(u, &links))
        return "generated";
    return "disabled";
}
