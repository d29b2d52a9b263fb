/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of images: one small file each, replaced as a whole. */
#include <dirent.h>
#include <fcntl.h>

#include "base/fs.h"
#include "image/oci-json.h"
#include "image/store.h"

#define REFERENCE_FILE_MAX (64U * 1024)
#define SOURCE "io.davit.source"

void store_reference_done(struct store_reference *r) {
    free(r->name);
    *r = (struct store_reference){};
}

void store_references_free(struct store_reference *l, size_t n) {
    for (size_t i = 0; i < n; i++)
        store_reference_done(&l[i]);
    free(l);
}

/* "references/" and the name with "+" for "/", which no name contains. */
static char *file_of(const char *name, struct error *e) {
    _cleanup_(reference_done) struct reference r = {};

    if (reference_parse(name, &r, e) < 0)
        return NULL;
    char *path = strf("references/%s", name);
    if (!path)
        (void)error_set(e, ENOMEM, "out of memory");
    for (char *p = path ? path + sizeof("references/") - 1 : NULL; p && *p; p++)
        if (*p == '/')
            *p = '+';
    return path;
}

int store_reference_set(const struct store *s, const struct store_reference *r, struct error *e) {
    _cleanup_free_ char *path = file_of(r->name, e), *text = NULL;
    _cleanup_json_ json_t *root = NULL;

    if (!path)
        return e && e->number ? -e->number : -EINVAL;
    root = json_pack("{s:s, s:s, s:I, s:{s:s, s:s}}", "mediaType", OCI_MEDIA_MANIFEST, "digest", r->manifest,
        "size", (json_int_t)r->manifest_size, "annotations", OCI_ANNOTATION_REF_NAME, r->name, SOURCE,
        *r->source ? r->source : r->manifest);
    text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    if (!text)
        return error_set(e, ENOMEM, "out of memory");
    int n = file_write_atomic(s->fd, path, text, strlen(text), 0600, true);
    return n < 0 ? error_set_errno(e, n, "writing %s/%s", s->path, path) : 0;
}

static int parse(const char *text, size_t n, struct store_reference *r, struct error *e) {
    _cleanup_(oci_descriptor_done) struct oci_descriptor d = {};
    _cleanup_json_ json_t *root = NULL;

    int k = oci_json_parse(text, n, REFERENCE_FILE_MAX, "reference", &root, e);
    if (k >= 0)
        k = oci_json_descriptor(root, &d, e);
    if (k < 0)
        return k;
    const char *source = strv_env_get(d.annotations, SOURCE);
    memcpy(r->manifest, d.digest, sizeof(r->manifest));
    r->manifest_size = d.size;
    memcpy(r->source, digest_is_valid(source) ? source : d.digest, sizeof(r->source));
    return 0;
}

int store_reference_get(
    const struct store *s, const char *name, struct store_reference *ret, struct error *e) {
    _cleanup_(store_reference_done) struct store_reference r = {};
    _cleanup_free_ char *path = file_of(name, e), *text = NULL;
    struct stat st;
    size_t n;

    if (!path)
        return e && e->number ? -e->number : -EINVAL;
    int k = file_read(s->fd, path, REFERENCE_FILE_MAX, &text, &n);
    if (k < 0)
        return error_set_errno(e, k, "image %s in %s", name, s->path);
    k = parse(text, n, &r, e);
    if (k < 0) {
        (void)error_prefix(e, k, "%s/%s", s->path, path);
        return k == -ENOMEM ? k : -EBADMSG;
    }
    if (fstatat(s->fd, path, &st, 0) == 0)
        r.time = (usec_t)st.st_mtim.tv_sec * USEC_PER_SEC + (usec_t)st.st_mtim.tv_nsec / NSEC_PER_USEC;
    r.name = strdup(name);
    if (!r.name)
        return error_set(e, ENOMEM, "out of memory");
    *ret = r;
    r = (struct store_reference){};
    return 0;
}

int store_reference_remove(const struct store *s, const char *name, struct error *e) {
    _cleanup_free_ char *path = file_of(name, e);
    _cleanup_close_ int directory = openat(s->fd, "references", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (!path)
        return e && e->number ? -e->number : -EINVAL;
    if (directory < 0 || unlinkat(s->fd, path, 0) < 0 || fsync(directory) < 0)
        return error_set_errno(e, errno, "removing image %s from %s", name, s->path);
    return 0;
}

/* ---- all of them ---- */

static int compare(const void *a, const void *b) {
    return strcmp(((const struct store_reference *)a)->name, ((const struct store_reference *)b)->name);
}

struct list {
    struct store_reference *items;
    size_t n, room;
};

static void list_done(struct list *l) {
    store_references_free(l->items, l->n);
}

static int add(const struct store *s, const char *file, struct list *l, struct error *e) {
    _cleanup_free_ char *name = strdup(file);

    if (!name)
        return error_set(e, ENOMEM, "out of memory");
    if (l->n == l->room) {
        size_t room = MAX(l->room * 2, (size_t)16);
        struct store_reference *grown = reallocarray(l->items, room, sizeof(*grown));
        if (!grown)
            return error_set(e, ENOMEM, "out of memory");
        l->items = grown;
        l->room = room;
    }
    for (char *p = name; *p; p++)
        if (*p == '+')
            *p = '/';
    int r = store_reference_get(s, name, &l->items[l->n], e);
    l->n += r >= 0;
    return r;
}

int store_reference_list(
    const struct store *s, struct store_reference **ret, size_t *ret_n, struct error *e) {
    _cleanup_(list_done) struct list l = {};
    struct error problem = {};

    int fd = openat(s->fd, "references", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int r = error_set_errno(e, errno, "%s/references", s->path);
        closep(&fd);
        return r;
    }
    for (const struct dirent *entry; (entry = readdir(d));) {
        if (*entry->d_name == '.' || *entry->d_name == '~')
            continue;
        int r = add(s, entry->d_name, &l, problem.number == 0 ? &problem : NULL);
        if (r == -ENOMEM) {
            (void)closedir(d);
            return error_set(e, ENOMEM, "out of memory");
        }
    }
    (void)closedir(d);
    if (l.n > 0)
        qsort(l.items, l.n, sizeof(*l.items), compare);
    if (e && problem.number != 0)
        *e = problem;
    *ret = l.items;
    *ret_n = l.n;
    l = (struct list){};
    return 0;
}
