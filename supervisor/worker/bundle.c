/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/bundle.h"

#include <archive_entry.h>
#include <fcntl.h>
#include <inttypes.h>

#include "base/fs.h"
#include "worker/unpack-internal.h"

#define LINKS_MAX 8 /* followed in a row */

void bundle_done(struct bundle *b) {
    for (size_t i = 0; i < b->n_files; i++) {
        free(b->files[i].name);
        free(b->files[i].link);
    }
    free(b->files);
    *b = (struct bundle){.fd = -1};
}

/* ---- the index of an archive ---- */

/* What a link in directory-of(name) means, as a name of the bundle. "../x/layer.tar" is what docker writes.
 * NULL on out of memory, or if it leads out. */
static char *resolve_link(const char *name, const char *target) {
    const char *slash = strrchr(name, '/');
    _cleanup_free_ char *directory = strndup(name, slash ? (size_t)(slash - name) : 0);

    while (startswith(target, "./"))
        target += 2;
    if (!directory)
        return NULL;
    while (startswith(target, "../")) {
        char *cut = strrchr(directory, '/');
        if (*directory == '\0')
            return NULL;
        *(cut ? cut : directory) = '\0';
        target += 3;
    }
    return strf("%s%s%s", directory, *directory ? "/" : "", target);
}

static int add_file(
    struct bundle *b, struct archive *a, struct archive_entry *entry, size_t *room, struct error *e) {
    const char *text = archive_entry_pathname(entry);
    const char *hard = archive_entry_hardlink(entry), *soft = archive_entry_symlink(entry);
    _cleanup_(name_done) struct name n = {};
    struct bundle_file file = {};

    if (!hard && !soft && archive_entry_filetype(entry) != AE_IFREG)
        return 0;
    int r = text ? name_parse(text, &n, e) : error_set(e, EINVAL, "the name of a file cannot be read");
    if (r < 0)
        return r;
    if (b->n_files == BUNDLE_FILES_MAX)
        return error_set(e, E2BIG, "more than %d files", BUNDLE_FILES_MAX);
    if (b->n_files == *room) {
        *room = MAX(*room * 2, (size_t)64);
        struct bundle_file *grown = reallocarray(b->files, *room, sizeof(*grown));
        if (!grown)
            return error_set(e, ENOMEM, "out of memory");
        b->files = grown;
    }
    file.name = TAKE_PTR(n.path);
    if (hard || soft) {
        file.link = resolve_link(hard ? "" : file.name, hard ? hard : soft);
        /* A file that was put in twice is a link to itself the second time. */
        if (!file.link || streq(file.link, file.name)) {
            free(file.link);
            free(file.name);
            return 0;
        }
    } else {
        /* The headers have been consumed and the data has not. */
        file.offset = (uint64_t)archive_filter_bytes(a, 0);
        file.size = (uint64_t)archive_entry_size(entry);
    }
    b->files[b->n_files++] = file;
    return 0;
}

static int compare(const void *a, const void *b) {
    return strcmp(((const struct bundle_file *)a)->name, ((const struct bundle_file *)b)->name);
}

static int read_index(struct bundle *b, struct archive *a, struct error *e) {
    struct archive_entry *entry;
    size_t room = 0;
    int r;

    while ((r = archive_read_next_header(a, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
        int k = add_file(b, a, entry, &room, e);
        if (k < 0)
            return k;
    }
    if (r != ARCHIVE_EOF)
        return error_set(e, EBADMSG, "the archive is damaged: %s", archive_error_string(a));
    if (b->n_files > 0)
        qsort(b->files, b->n_files, sizeof(*b->files), compare);
    return 0;
}

static int open_archive(struct bundle *b, struct error *e) {
    struct archive *a = archive_read_new();

    if (!a)
        return error_set(e, ENOMEM, "out of memory");
    (void)archive_read_support_format_tar(a);
    int r = lseek(b->fd, 0, SEEK_SET) < 0 || archive_read_open_fd(a, b->fd, STREAM_BLOCK) != ARCHIVE_OK
                ? error_set(e, EBADMSG, "this is no tar archive")
                : read_index(b, a, e);
    (void)archive_read_free(a);
    return r;
}

int bundle_open(struct bundle *b, int fd, bool directory, struct error *e) {
    *b = (struct bundle){.fd = fd, .directory = directory};
    if (directory)
        return 0;
    int r = open_archive(b, e);
    if (r < 0)
        bundle_done(b);
    return r;
}

/* ---- files ---- */

static const struct bundle_file *lookup(const struct bundle *b, const char *name) {
    struct bundle_file key = {.name = (char *)name};
    const struct bundle_file *f = NULL;

    for (unsigned i = 0; i < LINKS_MAX && key.name; i++) {
        f = b->n_files > 0 ? bsearch(&key, b->files, b->n_files, sizeof(key), compare) : NULL;
        if (!f || !f->link)
            return f;
        key.name = f->link;
    }
    return NULL;
}

int bundle_find(const struct bundle *b, const char *name, int *ret_fd, int *ret_owned, uint64_t *ret_offset,
    uint64_t *ret_size, struct error *e) {
    struct stat st;

    if (!b->directory) {
        const struct bundle_file *f = lookup(b, name);
        if (!f)
            return error_set(e, ENOENT, "there is no %s in it", name);
        *ret_fd = b->fd;
        *ret_owned = -1;
        *ret_offset = f->offset;
        *ret_size = f->size;
        return 0;
    }
    _cleanup_close_ int fd = open_beneath(b->fd, name, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return error_set_errno(e, fd, "%s", name);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return error_set(e, EINVAL, "%s is no file", name);
    *ret_offset = 0;
    *ret_size = (uint64_t)st.st_size;
    *ret_fd = *ret_owned = TAKE_FD(fd);
    return 0;
}

int bundle_read(
    const struct bundle *b, const char *name, size_t max, char **ret, size_t *ret_size, struct error *e) {
    uint64_t offset = 0, size = 0;
    size_t have = 0;
    int fd = -1, owned = -1;

    int r = bundle_find(b, name, &fd, &owned, &offset, &size, e);
    if (r < 0)
        return r;
    _cleanup_close_ int closed = owned;
    if (size > max)
        return error_set(e, EFBIG, "%s has more than %zu bytes", name, max);
    _cleanup_free_ char *text = malloc(size + 1);
    if (!text)
        return error_set(e, ENOMEM, "out of memory");
    while (have < size) {
        ssize_t n = pread(fd, text + have, size - have, (off_t)(offset + have));
        if (n < 0)
            return error_set_errno(e, errno, "%s", name);
        if (n == 0)
            return error_set(e, EBADMSG, "%s ends early", name);
        have += (size_t)n;
    }
    text[size] = '\0';
    *ret = TAKE_PTR(text);
    *ret_size = size;
    return 0;
}

bool bundle_has(const struct bundle *b, const char *name) {
    uint64_t offset, size;
    int fd, owned = -1;

    bool there = bundle_find(b, name, &fd, &owned, &offset, &size, NULL) >= 0;
    closep(&owned);
    return there;
}
