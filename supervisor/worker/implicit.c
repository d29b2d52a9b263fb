/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/implicit.h"

#include <fcntl.h>

#include "base/fd.h"
#include "base/fs.h"
#include "worker/unpack.h"

#define IMPLICIT "implicit"

int implicit_write(int directory, char *const *paths, struct error *e) {
    _cleanup_strbuf_ struct strbuf b = {};

    STRV_FOREACH (path, paths)
        strbuf_append(&b, *path, strlen(*path) + 1);
    if (strbuf_failed(&b))
        return error_set(e, ENOMEM, "out of memory");
    if (b.length == 0)
        return 0;
    _cleanup_close_ int fd = openat(directory, IMPLICIT, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int r = fd < 0 ? negative_errno() : write_all(fd, b.data, b.length);
    return r < 0 ? error_set_errno(e, r, "writing the layer's " IMPLICIT) : 0;
}

int implicit_read(int directory, struct implicit *ret, struct error *e) {
    struct implicit l = {};

    int r = file_read(directory, IMPLICIT, UNPACK_IMPLICIT_MAX, &l.text, &l.size);
    if (r < 0 && r != -ENOENT)
        return error_set_errno(e, r, "reading the layer's " IMPLICIT);
    /* One that does not end is damaged; less is known then. */
    if (l.size > 0 && l.text[l.size - 1] != '\0')
        l.size = 0;
    *ret = l;
    return 0;
}

void implicit_done(struct implicit *l) {
    free(l->text);
    *l = (struct implicit){};
}

/* Halves what is left at the beginning of the path that is in its middle. */
bool implicit_has(const struct implicit *l, const char *path) {
    size_t low = 0, high = l->size;

    while (low < high) {
        size_t at = low + (high - low) / 2;
        while (at > low && l->text[at - 1] != '\0')
            at--;
        int order = strcmp(path, l->text + at);
        if (order == 0)
            return true;
        if (order < 0)
            high = at;
        else
            low = at + strlen(l->text + at) + 1;
    }
    return false;
}

const char *implicit_next(const struct implicit *l, const char *path) {
    const char *next = path ? path + strlen(path) + 1 : l->text;
    return l->size > 0 && next < l->text + l->size ? next : NULL;
}
