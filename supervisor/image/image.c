/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/image.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/xattr.h>

#include "base/fs.h"
#include "base/parse.h"
#include "image/conf.h"
#include "image/overlay-marks.h"
#include "image/store.h"

#define LAYERS_FILE "layers"
#define CONF_FILE "image.conf"
#define IMAGE_FILE_MAX (1024U * 1024)
#define DEFAULT_TAG ":latest"

const char *const image_paths_made[] = {
    "etc/hosts", "etc/hostname", "etc/resolv.conf", "run/host", "dev", "proc", "sys", NULL};

void image_done(struct image *i) {
    strv_free(i->layers);
    strv_free(i->entrypoint);
    strv_free(i->cmd);
    strv_free(i->environment);
    free(i->root);
    free(i->working_dir);
    free(i->user);
    strv_free(i->volumes);
    strv_free(i->labels);
    strv_free(i->exposed_ports);
    strv_free(i->healthcheck.test);
    *i = (struct image){0};
}

static int check_directory(const char *path, struct error *e) {
    struct stat st;

    if (stat(path, &st) < 0)
        return error_set_errno(e, errno, "image layer %s", path);
    if (!S_ISDIR(st.st_mode))
        return error_set(e, ENOTDIR, "image layer %s is not a directory", path);
    return 0;
}

/* Adds one layer on top. Takes over path, which may be NULL after a failed allocation. */
static int add_layer(struct image *i, char *path, struct error *e) {
    _cleanup_free_ char *layer = path;
    int r;

    if (!layer)
        return error_set_errno(e, ENOMEM, "image layers");
    path_simplify(layer);
    if (!path_is_normalized(layer))
        return error_set(e, EINVAL, "image layer %s: must be an absolute path without \"..\"", layer);
    r = check_directory(layer, e);
    if (r < 0)
        return r;
    /* overlayfs answers ELOOP to a directory that comes twice, which tells nobody anything. */
    if (strv_contains(i->layers, layer))
        return error_set(e, EINVAL, "image layer %s is listed twice", layer);
    if (strv_length(i->layers) >= IMAGE_MAX_LAYERS)
        return error_set(e, E2BIG, "more than %d image layers", IMAGE_MAX_LAYERS);
    r = strv_consume(&i->layers, TAKE_PTR(layer));
    return r < 0 ? error_set_errno(e, r, "image layers") : 0;
}

/* ---- absolute names ---- */

static int resolve_absolute(const char *name, struct image *i, struct error *e) {
    _cleanup_free_ char *copy = strdup(name);
    char *rest = copy, *path;
    struct stat st;
    int r;

    if (!copy)
        return error_set_errno(e, ENOMEM, "image %s", name);
    /* A colon separates layers, unless there is a directory of exactly this name. */
    if (!strchr(name, ':') || (stat(name, &st) == 0 && S_ISDIR(st.st_mode)))
        return add_layer(i, TAKE_PTR(copy), e);
    while ((path = strsep(&rest, ":"))) {
        if (*path != '/')
            return error_set(
                e, EINVAL, "image \"%s\": \"%s\" in the list of layers is not an absolute path", name, path);
        r = add_layer(i, strdup(path), e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- names below an image root ---- */

/* Components of printable bytes that do not begin with a dot: no "..", no hidden directory, nothing empty. */
static int check_name(const char *name, struct error *e) {
    if (isempty(name))
        return error_set(e, EINVAL, "the name of an image is empty");
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return error_set(e, EINVAL, "image name contains a control character");
    if (strlen(name) >= PATH_MAX)
        return error_set(e, ENAMETOOLONG, "image name is longer than %d bytes", PATH_MAX - 1);
    if (*name == '/')
        return 0;
    for (const char *p = name;; p++) {
        size_t n = strcspn(p, "/");

        if (n == 0)
            return error_set(e, EINVAL, "image \"%s\": a part between slashes is empty", name);
        if (*p == '.')
            return error_set(e, EINVAL, "image \"%s\": no part may begin with a dot", name);
        p += n;
        if (!*p)
            return 0;
    }
}

/* "layers": one directory a line, topmost last; relative to the image's directory. "#" begins a comment line.
 */
static int read_layers(const char *directory, struct image *i, struct error *e) {
    _cleanup_free_ char *file = path_join(directory, LAYERS_FILE), *text = NULL;
    char *rest, *line;
    unsigned number = 0;
    size_t size;
    int r;

    if (!file)
        return error_set_errno(e, ENOMEM, "%s", directory);
    r = file_read(AT_FDCWD, file, IMAGE_FILE_MAX, &text, &size);
    if (r < 0)
        return error_set_errno(e, r, "%s", file);
    if (strlen(text) != size)
        return error_set(e, EINVAL, "%s contains a NUL byte", file);
    for (rest = text; (line = strsep(&rest, "\n"));) {
        number++;
        line = strstrip(line);
        if (!*line || *line == '#')
            continue;
        r = add_layer(i, path_is_absolute(line) ? strdup(line) : path_join(directory, line), e);
        if (r < 0)
            return error_prefix(e, r, "%s:%u", file, number);
    }
    if (!i->layers)
        return error_set(e, EINVAL, "%s names no layer", file);
    return 0;
}

/* A regular file of that name, not a link: the directory may be a foreign root file system. */
static bool has_file(const char *directory, const char *name) {
    _cleanup_free_ char *path = path_join(directory, name);
    struct stat st;

    return path && lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int read_conf(const char *file, struct image *i, struct error *e) {
    _cleanup_free_ char *text = NULL;
    size_t size;

    int r = file_read(AT_FDCWD, file, IMAGE_FILE_MAX, &text, &size);
    if (r < 0)
        return error_set_errno(e, r, "%s", file);
    r = image_conf_parse(text, size, i, e);
    return r < 0 ? error_prefix(e, r, "%s", file) : 0;
}

static int resolve_directory(const char *directory, struct image *i, struct error *e) {
    _cleanup_free_ char *file = NULL;
    int r;

    if (!has_file(directory, LAYERS_FILE))
        return add_layer(i, strdup(directory), e);
    r = read_layers(directory, i, e);
    if (r < 0 || !has_file(directory, CONF_FILE))
        return r;
    file = path_join(directory, CONF_FILE);
    return file ? read_conf(file, i, e) : error_set_errno(e, ENOMEM, "%s", directory);
}

/* The first root that has something of that name. 1 and its path, or 0. */
static int find_below(char *const *roots, const char *name, char **ret, struct error *e) {
    if (store_owns_name(name))
        return 0;
    STRV_FOREACH (root, roots) {
        _cleanup_free_ char *path = path_join(*root, name);
        struct stat st;

        if (!path)
            return error_set_errno(e, ENOMEM, "image %s", name);
        /* An OCI layout is an archive, not a root file system: it has to be imported. */
        if (stat(path, &st) == 0 && !has_file(path, "oci-layout")) {
            *ret = TAKE_PTR(path);
            return 1;
        }
        if (stat(path, &st) == 0)
            continue;
        /* ENOTDIR: a part of the name is a file in this root. Anything else is worth knowing, not worth
         * skipping. */
        if (errno != ENOENT && errno != ENOTDIR)
            return error_set_errno(e, errno, "image %s: %s", name, path);
    }
    return 0;
}

/* ---- file system images ---- */

/* NAME.erofs or NAME.squashfs, mounted where it lies; beside it perhaps NAME.conf, as image.conf. 1 or 0. */
static int resolve_file(char *const *roots, const char *name, struct image *i, struct error *e) {
    static const char *const endings[] = {".erofs", ".squashfs"};

    for (size_t k = 0; k < ARRAY_SIZE(endings); k++) {
        _cleanup_free_ char *file = strf("%s%s", name, endings[k]), *path = NULL, *conf = NULL;
        struct stat st;
        int r = file ? find_below(roots, file, &path, e) : error_set_errno(e, ENOMEM, "image %s", name);

        if (r < 0)
            return r;
        if (!path || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
            continue;
        conf = strf("%.*s.conf", (int)(strlen(path) - strlen(endings[k])), path);
        if (!conf || strv_consume(&i->layers, TAKE_PTR(path)) < 0)
            return error_set_errno(e, ENOMEM, "image %s", name);
        if (stat(conf, &st) < 0)
            return 1;
        r = read_conf(conf, i, e);
        return r < 0 ? r : 1;
    }
    return 0;
}

/* ---- images of the store ---- */

/* Docker takes a relative path as one below the root. NULL on out of memory. */
static char *absolute(const char *path) {
    char *copy = path_is_absolute(path) ? strdup(path) : path_join("/", path);

    return copy ? path_simplify(copy) : NULL;
}

/* What a volume would hide is davit's own (CVE-2019-16884: a volume over /proc). */
static bool volume_is_allowed(const char *path) {
    static const char *const own[] = {"/proc", "/sys", "/dev"};

    for (size_t k = 0; k < ARRAY_SIZE(own); k++) {
        const char *rest = startswith(path, own[k]);
        if (rest && (*rest == '\0' || *rest == '/'))
            return false;
    }
    return !streq(path, "/") && path_is_normalized(path);
}

static int take_volumes(char *const *volumes, struct image *i, struct error *e) {
    STRV_FOREACH (v, volumes) {
        _cleanup_free_ char *path = absolute(*v);

        if (path && !volume_is_allowed(path))
            return error_set(e, EINVAL, "a volume at \"%s\" is not possible", *v);
        if (path && strv_contains(i->volumes, path))
            continue;
        if (strv_consume(&i->volumes, TAKE_PTR(path)) < 0)
            return error_set(e, ENOMEM, "image volumes");
    }
    return 0;
}

/* Takes the defaults out of an image's configuration. */
static int take_defaults(struct oci_config *c, struct image *i, struct error *e) {
    i->entrypoint = TAKE_PTR(c->entrypoint);
    i->cmd = TAKE_PTR(c->cmd);
    i->environment = TAKE_PTR(c->environment);
    i->user = TAKE_PTR(c->user);
    i->labels = TAKE_PTR(c->labels);
    i->exposed_ports = TAKE_PTR(c->exposed_ports);
    i->healthcheck = c->healthcheck;
    c->healthcheck.test = NULL;
    if (c->working_dir && !(i->working_dir = absolute(c->working_dir)))
        return error_set(e, ENOMEM, "image");
    if (c->stop_signal && parse_signal(c->stop_signal, &i->stop_signal) < 0)
        return error_set(e, EINVAL, "StopSignal \"%s\" is not a signal", c->stop_signal);
    return take_volumes(c->volumes, i, e);
}

/* Of a layer that is a directory, in one call for each layer of each start: what else layer.json says is not
 * needed here. Overlay looks for the mark on every directory but the root of a layer. 1: it hides all below; 0;
 * -ENOENT: there is no such directory. */
static int look_at_tree(const char *path) {
    char value;
    ssize_t n = lgetxattr(path, OVERLAY_OPAQUE, &value, sizeof(value));

    return n < 0 && errno == ENOENT ? -ENOENT : n == 1 && value == 'y';
}

static int add_stored_layer(const struct store *s, const char *digest, char ***layers, struct error *e) {
    _cleanup_free_ char *path = layer_path(s, digest, LAYER_TREE);
    struct layer_info info;

    int tree = path ? look_at_tree(path) : -ENOMEM;
    if (tree == -ENOENT) { /* a file system image, or missing */
        int r = layer_find(s, digest, &info, e);
        if (r < 0)
            return r;
        free(path);
        path = layer_path(s, digest, info.kind);
    }
    /* The same layer twice: overlay refuses it, and below another it changes nothing. */
    if (path && strv_contains(*layers, path))
        strv_remove(*layers, path);
    if (tree > 0)
        strv_free(TAKE_PTR(*layers));
    return strv_consume(layers, TAKE_PTR(path)) < 0 ? error_set(e, ENOMEM, "image layers") : 0;
}

int image_layers(const struct store *s, const struct store_image *image, char ***ret, struct error *e) {
    _cleanup_strv_free_ char **layers = NULL;

    STRV_FOREACH (id, image->config.diff_ids) {
        int r = add_stored_layer(s, *id, &layers, e);
        if (r < 0)
            return r;
    }
    _cleanup_free_ char *on_top = layer_path(s, image->manifest.config.digest, LAYER_TREE);
    if (!on_top)
        return error_set(e, ENOMEM, "image layers");
    if (look_at_tree(on_top) >= 0 && strv_consume(&layers, TAKE_PTR(on_top)) < 0)
        return error_set(e, ENOMEM, "image layers");
    *ret = TAKE_PTR(layers);
    return 0;
}

/* 1 if the root's store has it, 0 if not. */
static int resolve_stored(const char *root, const char *name, struct image *i, struct error *e) {
    _cleanup_(store_image_done) struct store_image stored = {};
    _cleanup_(store_done) struct store s = {.fd = -1};
    char manifest[DIGEST_TEXT];

    int r = store_open(root, false, &s, e);
    if (r >= 0)
        r = store_image_find(&s, name, manifest, NULL, e);
    if (r == -ENOENT || r == -ENOTDIR)
        return 0;
    if (r >= 0)
        r = store_image_load(&s, manifest, &stored, e);
    if (r >= 0)
        r = image_layers(&s, &stored, &i->layers, e);
    if (r >= 0)
        r = take_defaults(&stored.config, i, e);
    if (r < 0)
        return error_prefix(e, r, "image %s", name);
    memcpy(i->manifest, manifest, sizeof(i->manifest));
    r = free_and_strdup(&i->root, root);
    return r < 0 ? error_set(e, ENOMEM, "image %s", name) : 1;
}

/* What is no reference ("Web") can only be a directory. */
static int find_stored(char *const *roots, const char *name, struct image *i, struct error *e) {
    _cleanup_(reference_done) struct reference reference = {};

    if (!startswith(name, DIGEST_PREFIX) && reference_parse(name, &reference, NULL) < 0)
        return 0;
    STRV_FOREACH (root, roots) {
        int r = resolve_stored(*root, name, i, e);
        if (r != 0)
            return r;
    }
    return 0;
}

static int resolve_below(char *const *roots, const char *name, struct image *i, struct error *e) {
    _cleanup_free_ char *path = NULL, *untagged = NULL, *searched = NULL;
    const char *tag = endswith(name, DEFAULT_TAG);
    int r = find_below(roots, name, &path, e);

    if (r == 0 && tag && tag > name) {
        untagged = strndup(name, (size_t)(tag - name));
        r = untagged ? find_below(roots, untagged, &path, e) : error_set_errno(e, ENOMEM, "image %s", name);
    }
    if (r < 0)
        return r;
    if (path)
        return resolve_directory(path, i, e);
    r = resolve_file(roots, name, i, e);
    if (r == 0 && untagged)
        r = resolve_file(roots, untagged, i, e);
    if (r != 0)
        return MIN(r, 0);
    r = find_stored(roots, name, i, e);
    if (r != 0)
        return MIN(r, 0);
    searched = strv_join(roots, ", ");
    if (isempty(searched))
        return error_set(e, ENOENT,
            "no image \"%s\": there is no image root to look in (image_roots in davit.conf)", name);
    return error_set(e, ENOENT, "no image \"%s\": looked for an image and for a directory %s%s%s in %s", name,
        name, untagged ? " or " : "", untagged ? untagged : "", searched);
}

int image_resolve(char *const *image_roots, const char *name, struct image *ret, struct error *e) {
    _cleanup_(image_done) struct image i = {0};
    int r = check_name(name, e);

    if (r >= 0)
        r = *name == '/' ? resolve_absolute(name, &i, e) : resolve_below(image_roots, name, &i, e);
    if (r < 0)
        return r;
    *ret = i;
    i = (struct image){0};
    return 0;
}
