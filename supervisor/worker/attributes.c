/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/attributes.h"

#include <sys/stat.h>
#include <sys/xattr.h>

#include "worker/unpack-internal.h"
#include "worker/xattrs.h"

#define MODE_DEFAULT 0755

/* ---- copying ---- */

static int set_xattr(void *userdata, const char *name, void *value, size_t n, struct error *e) {
    const int *to = userdata;

    return fsetxattr(*to, name, value, n, 0) < 0 ? error_set_errno(e, errno, "extended attribute %s", name)
                                                 : 0;
}

static int copy_xattrs(int from, int to, struct error *e) {
    int r = clear_xattrs(to, e);

    if (r < 0 || from == ATTRIBUTES_DEFAULT)
        return r;
    return fchdir(from) < 0 ? error_set_errno(e, errno, "fchdir")
                            : xattrs_read(".", false, set_xattr, &to, e);
}

int attributes_copy(int from, int to, struct error *e) {
    struct stat st = {.st_mode = MODE_DEFAULT};

    if (from != ATTRIBUTES_DEFAULT && fstat(from, &st) < 0)
        return error_set_errno(e, errno, "stat");
    if (fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 07777) < 0)
        return error_set_errno(e, errno, "owner and mode");
    int r = copy_xattrs(from, to, e);
    if (r < 0 || from == ATTRIBUTES_DEFAULT)
        return r;
    return futimens(to, (struct timespec[2]){st.st_atim, st.st_mtim}) < 0 ? error_set_errno(e, errno, "time")
                                                                          : 0;
}

/* ---- comparing ---- */

static int xattrs_digest(int fd, char ret[static DIGEST_TEXT], struct error *e) {
    struct hash h;
    int r = 0;

    hash_init(&h);
    if (fd != ATTRIBUTES_DEFAULT)
        r = fchdir(fd) < 0 ? error_set_errno(e, errno, "fchdir") : xattrs_hash(".", false, &h, e);
    hash_digest(&h, ret);
    return r;
}

static bool same_time(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int attributes_equal(int a, int b, struct error *e) {
    struct stat of_a = {.st_mode = MODE_DEFAULT}, of_b;
    char xattrs_of_a[DIGEST_TEXT], xattrs_of_b[DIGEST_TEXT];

    if ((a != ATTRIBUTES_DEFAULT && fstat(a, &of_a) < 0) || fstat(b, &of_b) < 0)
        return error_set_errno(e, errno, "stat");
    if ((of_a.st_mode & 07777) != (of_b.st_mode & 07777) || of_a.st_uid != of_b.st_uid ||
        of_a.st_gid != of_b.st_gid || (a != ATTRIBUTES_DEFAULT && !same_time(&of_a.st_mtim, &of_b.st_mtim)))
        return 0;
    int r = xattrs_digest(a, xattrs_of_a, e);
    if (r >= 0)
        r = xattrs_digest(b, xattrs_of_b, e);
    return r < 0 ? r : streq(xattrs_of_a, xattrs_of_b);
}
