/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the administrator puts over the files that are there: masking, drop-ins that `davit edit` writes, and taking
 * both back. All of it is in one of two directories: the administrator's, or (runtime) the one that is gone at the
 * next boot.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "unit/dirs.h"
#include "unit/install.h"

const char *unit_override_root(const struct unit_environment *env, bool runtime) {
    if (!runtime)
        return install_root(env);
    STRV_FOREACH (path, env->unit_path) {
        const char *rest = env->runtime_dir ? startswith(*path, env->runtime_dir) : NULL;
        if (startswith(*path, "/run/") || (rest && (!*rest || *rest == '/')))
            return *path;
    }
    return NULL;
}

/* The root, or what is missing. */
static int change_begin(
    struct change *c, const struct unit_environment *env, bool runtime, char ***changes, struct error *e) {
    *c = (struct change){.root = unit_override_root(env, runtime), .changes = changes, .error = e};
    if (!c->root)
        return error_set(
            e, ENOENT, "there is no %sunit directory to make links in", runtime ? "runtime " : "");
    return 0;
}

/* A mask lies above what it hides. A file of the same name in the same directory cannot be hidden, and is not to be
 * lost. */
int unit_mask(const struct unit_environment *env, const char *name, bool runtime, char ***ret_changes,
    struct error *e) {
    struct change c;
    struct stat st;

    int r = change_begin(&c, env, runtime, ret_changes, e);
    if (r < 0)
        return r;
    _cleanup_free_ char *path = path_join(c.root, name);
    if (!path)
        return error_set(e, ENOMEM, "out of memory");
    if (lstat(path, &st) == 0 && !S_ISLNK(st.st_mode) && st.st_size > 0)
        return error_set(e, EEXIST, "its file is %s itself; %s", path,
            runtime
                ? "`davit disable` keeps it from being started at boot"
                : "`davit mask --runtime` hides it until the next boot, `davit disable` keeps it from being "
                  "started at boot");
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode)) /* an empty file is a mask already */
        return 0;
    r = make_link(&c, path, MASK);
    return r < 0 ? r : make_durable(&c);
}

/* Masks only: a link to /dev/null, or an empty file. */
static int remove_mask(struct change *c, const char *name) {
    _cleanup_free_ char *path = path_join(c->root, name);
    struct stat st;

    if (!path)
        return error_set(c->error, ENOMEM, "out of memory");
    if (lstat(path, &st) < 0 || !path_is_masked(path))
        return 0;
    if (unlink(path) < 0)
        return error_set_errno(c->error, negative_errno(), "cannot remove %s", path);
    return strv_consume(c->changes, strf("removed %s", path));
}

int unit_unmask(const struct unit_environment *env, const char *name, bool runtime, char ***ret_changes,
    struct error *e) {
    size_t before = strv_length(*ret_changes);
    struct change c;

    int r = change_begin(&c, env, runtime, ret_changes, e);
    if (r == 0)
        r = remove_mask(&c, name);
    return r == 0 && strv_length(*ret_changes) > before ? make_durable(&c) : r;
}

/* True if another directory of the path has a file for the unit too: one of ours above it is a copy. */
static bool is_below(const struct unit_environment *env, const char *root, const char *name) {
    STRV_FOREACH (path, env->unit_path) {
        _cleanup_free_ char *file = streq(*path, root) ? NULL : path_join(*path, name);
        if (file && access(file, F_OK) == 0 && !path_is_masked(file))
            return true;
    }
    return false;
}

static int remove_dropins(struct change *c, const char *name) {
    _cleanup_free_ char *directory = strf("%s/%s.d", c->root, name);

    if (!directory)
        return error_set(c->error, ENOMEM, "out of memory");
    if (access(directory, F_OK) < 0)
        return 0;
    int r = remove_tree(AT_FDCWD, directory);
    if (r < 0)
        return error_set_errno(c->error, r, "cannot remove %s", directory);
    return strv_consume(c->changes, strf("removed %s", directory));
}

static int remove_copy(struct change *c, const struct unit_environment *env, const char *name) {
    _cleanup_free_ char *path = path_join(c->root, name);
    struct stat st;

    if (!path)
        return error_set(c->error, ENOMEM, "out of memory");
    if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || !is_below(env, c->root, name))
        return 0;
    if (unlink(path) < 0)
        return error_set_errno(c->error, negative_errno(), "cannot remove %s", path);
    return strv_consume(c->changes, strf("removed %s", path));
}

int unit_revert(const struct unit_environment *env, const char *name, char ***ret_changes, struct error *e) {
    static const bool runtimes[] = {true, false};
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(runtimes) && r == 0; i++) {
        struct change c = {.root = unit_override_root(env, runtimes[i]), .changes = ret_changes, .error = e};
        size_t before = strv_length(*ret_changes);
        if (!c.root)
            continue;
        r = remove_mask(&c, name);
        if (r == 0)
            r = remove_dropins(&c, name);
        if (r == 0)
            r = remove_copy(&c, env, name);
        if (r == 0 && strv_length(*ret_changes) > before)
            r = make_durable(&c);
    }
    return r;
}
