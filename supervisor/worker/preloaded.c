/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/preloaded.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "image/reference.h"
#include "worker/import.h"
#include "worker/listing.h"

/* A file of any of these kinds is one image, or several with one of this name among them. */
static const char *const endings[] = {
    ".tar", ".oci", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2", ""};
/* And of these the names in it are worth reading. */
static const char *const read_endings[] = {".tar", ".oci", NULL};

#define DEFAULT_TAG ":" REFERENCE_DEFAULT_TAG

struct search {
    struct worker *worker;
    const char *written;
    const char *digest; /* that is written in it, or NULL */
    char **names;       /* it may be stored under, best first */
};

/* As import does it, for these names alone. They are not told: who wanted the image does that. */
static int import_found(struct search *s, int fd, const char *path, bool by_file, struct error *e) {
    char *argument[] = {(char *)path, NULL}, *name[] = {(char *)s->written, NULL};
    struct worker w = *s->worker;

    w.arguments = argument;
    w.n_arguments = 1;
    w.options.names = by_file ? name : NULL;
    w.options.config = NULL;
    w.wanted = s->names;
    w.wanted_digest = s->digest;
    w.found = 0;
    int r = import_opened(&w, fd, e);
    /* Several images with names of their own, this one among them or not. */
    if (r == -EINVAL && by_file) {
        w.options.names = NULL;
        if (import_opened(&w, fd, NULL) >= 0)
            r = 0;
    }
    return r < 0 ? r : w.found > 0;
}

static bool is_layout(int fd) {
    struct stat st;
    return fstatat(fd, "oci-layout", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

/* A regular file, or the directory of a layout: other directories are root file systems, which need no
 * import. */
static int open_archive(int root, const char *name, bool *ret_directory) {
    struct stat st;

    _cleanup_close_ int fd = openat(root, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return negative_errno();
    *ret_directory = S_ISDIR(st.st_mode);
    if (!S_ISREG(st.st_mode) && !(*ret_directory && is_layout(fd)))
        return -ENOENT;
    return TAKE_FD(fd);
}

/* ---- by the name of the file ---- */

static int try_file(struct search *s, int root, const char *path, const char *stem, struct error *e) {
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        _cleanup_free_ char *name = strf("%s%s", stem, endings[i]),
                            *whole = name ? path_join(path, name) : NULL;
        bool directory;

        if (!whole)
            return error_set(e, ENOMEM, "out of memory");
        _cleanup_close_ int fd = open_archive(root, name, &directory);
        if (fd >= 0)
            return import_found(s, fd, whole, true, e);
    }
    return 0;
}

static int find_by_file(struct search *s, int root, const char *path, struct error *e) {
    const char *tag = endswith(s->written, DEFAULT_TAG);
    int r = try_file(s, root, path, s->written, e);

    if (r != 0 || !tag)
        return r;
    _cleanup_free_ char *untagged = strndup(s->written, (size_t)(tag - s->written));
    return untagged ? try_file(s, root, path, untagged, e) : error_set(e, ENOMEM, "out of memory");
}

/* ---- by the names in it ---- */

static bool is_read(const char *name, bool directory) {
    for (size_t i = 0; read_endings[i]; i++)
        if (endswith(name, read_endings[i]))
            return true;
    return directory;
}

/* What is no archive of images, or is broken, is nobody's trouble who wants another. */
static int find_inside(struct search *s, int root, const char *path, struct error *e) {
    _cleanup_strv_free_ char **names = NULL;

    int r = names_list(root, "", &names, e);
    if (r < 0)
        return r;
    STRV_FOREACH (name, names) {
        _cleanup_free_ char *whole = path_join(path, *name);
        bool directory = false;

        if (!whole)
            return error_set(e, ENOMEM, "out of memory");
        _cleanup_close_ int fd = open_archive(root, *name, &directory);
        if (fd < 0 || !is_read(*name, directory))
            continue;
        r = import_found(s, fd, whole, false, e);
        if (r > 0 || r == -ENOSPC || r == -ENOMEM)
            return r;
        if (r < 0)
            worker_note(s->worker, "%s", e->text);
    }
    return 0;
}

/* ---- all roots ---- */

static int search_root(struct search *s, const char *path, struct error *e) {
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || streq(path, s->worker->store.path))
        return 0;
    int r = find_by_file(s, fd, path, e);
    return r != 0 ? r : find_inside(s, fd, path, e);
}

int preloaded_import(struct worker *w, const char *written, struct error *e) {
    _cleanup_(reference_done) struct reference reference = {};
    _cleanup_strv_free_ char **names = NULL;
    int r = 0;

    if (*written == '/' || startswith(written, DIGEST_PREFIX) ||
        reference_parse(written, &reference, NULL) < 0)
        return 0;
    if (reference_candidates(&reference, &names) < 0)
        return error_set(e, ENOMEM, "out of memory");
    struct search s = {w, written, reference.digest, names};
    STRV_FOREACH (root, w->options.roots) {
        r = search_root(&s, *root, e);
        if (r != 0)
            break;
    }
    return r < 0 ? error_prefix(e, r, "image %s from an archive of the system", written) : r;
}
