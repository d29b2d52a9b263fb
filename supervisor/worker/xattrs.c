/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/xattrs.h"

#include <endian.h>

#include "base/str.h"
#include "base/tree_compare.h"
#include "image/overlay-marks.h"

bool xattr_is_kept(const char *name) {
    if (startswith(name, OVERLAY_XATTRS) || startswith(name, "user.overlay.") || streq(name, TREE_MADE_XATTR))
        return false;
    return startswith(name, "user.") || startswith(name, "trusted.") || streq(name, "security.capability") ||
           startswith(name, "system.posix_acl_");
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names that count, sorted, pointing into list. */
static char **choose(char *list, size_t size, bool marks) {
    char **sorted = calloc(size + 1, sizeof(*sorted));
    size_t n = 0;

    for (char *name = list; sorted && name < list + size; name += strlen(name) + 1)
        if (xattr_is_kept(name) || (marks && startswith(name, OVERLAY_XATTRS)))
            sorted[n++] = name;
    if (n > 0)
        qsort(sorted, n, sizeof(*sorted), compare_names);
    return sorted;
}

int xattrs_read(const char *file, bool marks,
    int (*each)(void *userdata, const char *name, void *value, size_t n, struct error *e), void *userdata,
    struct error *e) {
    /* Most files have none: nothing is allocated for them. */
    ssize_t size = llistxattr(file, NULL, 0);
    if (size <= 0)
        return size == 0 || errno == EOPNOTSUPP ? 0
                                                : error_set_errno(e, errno, "listing extended attributes");
    _cleanup_free_ char *list = malloc(XATTR_VALUE_MAX), *value = malloc(XATTR_VALUE_MAX);
    if (!list || !value)
        return error_set(e, ENOMEM, "out of memory");
    size = llistxattr(file, list, XATTR_VALUE_MAX);
    if (size < 0)
        return error_set_errno(e, errno, "listing extended attributes");
    _cleanup_free_ char **names = choose(list, (size_t)size, marks);
    if (!names)
        return error_set(e, ENOMEM, "out of memory");
    STRV_FOREACH (name, names) {
        ssize_t length = lgetxattr(file, *name, value, XATTR_VALUE_MAX);
        if (length < 0)
            return error_set_errno(e, errno, "extended attribute %s", *name);
        int r = each(userdata, *name, value, (size_t)length, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int hash_xattr(void *userdata, const char *name, void *value, size_t n, struct error *e _unused_) {
    struct hash *h = userdata;
    uint64_t length = htole64(n);

    hash_update(h, name, strlen(name) + 1);
    hash_update(h, &length, sizeof(length));
    hash_update(h, value, n);
    return 0;
}

int xattrs_hash(const char *file, bool marks, struct hash *h, struct error *e) {
    return xattrs_read(file, marks, hash_xattr, h, e);
}
