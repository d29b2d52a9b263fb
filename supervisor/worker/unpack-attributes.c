/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owner, mode, extended attributes, ACLs and times of what was unpacked. */
#include <endian.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/xattr.h>

#include "base/clock.h"
#include "base/fs.h"
#include "image/overlay-marks.h"
#include "worker/unpack-internal.h"

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default" /* of directories: what is made in them gets it */

/* ---- extended attributes ---- */

enum xattr_rule { XATTR_TAKE, XATTR_SKIP, XATTR_REFUSE };

/* The first prefix that fits. What is skipped belongs to the machine that made the image, not to the image.
 */
static const struct {
    const char *prefix;
    enum xattr_rule rule;
} xattr_rules[] = {
    /* They would say to overlay what only davit may say. */
    {OVERLAY_XATTRS, XATTR_REFUSE},
    {"user.overlay.", XATTR_REFUSE},
    {"user.", XATTR_TAKE},
    {"trusted.", XATTR_TAKE},
    {"security.capability", XATTR_TAKE},
    {"system.posix_acl_", XATTR_TAKE},
    {"", XATTR_SKIP},
};

static enum xattr_rule rule_of(const char *name) {
    for (size_t i = 0;; i++)
        if (startswith(name, xattr_rules[i].prefix))
            return xattr_rules[i].rule;
}

/* Without a descriptor: by name from inside the directory, since there is no lsetxattr at a directory. */
static int set_xattr(int directory, const char *base, int fd, const char *name, const void *value, size_t n) {
    if (fd >= 0)
        return fsetxattr(fd, name, value, n, 0) < 0 ? negative_errno() : 0;
    if (fchdir(directory) < 0)
        return negative_errno();
    int r = lsetxattr(base, name, value, n, 0) < 0 ? negative_errno() : 0;
    (void)!chdir("/");
    return r;
}

int mark_opaque(int fd, struct error *e) {
    if (fsetxattr(fd, OVERLAY_OPAQUE, "y", 1, 0) < 0)
        return error_set_errno(e, errno, "marking the directory opaque");
    return 0;
}

static int apply_xattrs(
    int directory, const char *base, int fd, struct archive_entry *entry, struct error *e) {
    const char *name;
    const void *value;
    size_t n;

    if (archive_entry_xattr_reset(entry) == 0)
        return 0;
    while (archive_entry_xattr_next(entry, &name, &value, &n) == ARCHIVE_OK) {
        enum xattr_rule rule = rule_of(name);

        if (rule == XATTR_REFUSE)
            return error_set(e, EPERM, "extended attribute %s is not for images to set", name);
        if (rule == XATTR_SKIP || streq(name, ACL_DEFAULT))
            continue;
        if (n > UNPACK_XATTR_MAX)
            return error_set(
                e, E2BIG, "extended attribute %s has more than %d bytes", name, UNPACK_XATTR_MAX);
        int r = set_xattr(directory, base, fd, name, value, n);
        if (r < 0)
            return error_set_errno(e, r, "extended attribute %s", name);
    }
    return 0;
}

/* ---- POSIX ACLs, which some tools write as text of their own ---- */

#define ACL_VERSION 2
#define ACL_ENTRIES_MAX 1024

/* The kernel's form: linux/posix_acl_xattr.h. */
struct acl_entry {
    uint16_t tag, perm;
    uint32_t id;
};

static int acl_order(const void *a, const void *b) {
    const struct acl_entry *x = a, *y = b;

    if (x->tag != y->tag)
        return le16toh(x->tag) < le16toh(y->tag) ? -1 : 1;
    return le32toh(x->id) < le32toh(y->id) ? -1 : le32toh(x->id) > le32toh(y->id);
}

static uint16_t acl_tag(int tag) {
    switch (tag) {
    case ARCHIVE_ENTRY_ACL_USER_OBJ:
        return 0x01;
    case ARCHIVE_ENTRY_ACL_USER:
        return 0x02;
    case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
        return 0x04;
    case ARCHIVE_ENTRY_ACL_GROUP:
        return 0x08;
    case ARCHIVE_ENTRY_ACL_MASK:
        return 0x10;
    default:
        return 0x20;
    }
}

struct acl {
    uint32_t version;
    struct acl_entry entries[ACL_ENTRIES_MAX];
};

/* The entry's ACL of one type in the kernel's form. Its bytes, 0 if there is none. */
static ssize_t take_acl(struct archive_entry *entry, int type, struct acl *acl, struct error *e) {
    int kind, permissions, tag, id;
    const char *who;
    size_t n = 0;

    acl->version = htole32(ACL_VERSION);
    if ((archive_entry_acl_types(entry) & type) == 0 || archive_entry_acl_reset(entry, type) == 0)
        return 0;
    while (archive_entry_acl_next(entry, type, &kind, &permissions, &tag, &id, &who) == ARCHIVE_OK) {
        bool named = tag == ARCHIVE_ENTRY_ACL_USER || tag == ARCHIVE_ENTRY_ACL_GROUP;

        if (n == ACL_ENTRIES_MAX)
            return error_set(e, E2BIG, "an ACL of more than %d entries", ACL_ENTRIES_MAX);
        /* Names mean nothing outside the image. */
        if (named && id < 0)
            return error_set(e, EINVAL, "an ACL entry for \"%s\" without a number", who ? who : "");
        acl->entries[n++] = (struct acl_entry){
            .tag = htole16(acl_tag(tag)),
            .perm = htole16((uint16_t)(permissions & 7)),
            .id = htole32(named ? (uint32_t)id : UINT32_MAX),
        };
    }
    qsort(acl->entries, n, sizeof(acl->entries[0]), acl_order);
    return (ssize_t)(sizeof(acl->version) + n * sizeof(acl->entries[0]));
}

static int apply_acl(int fd, struct archive_entry *entry, struct error *e) {
    struct acl acl;

    ssize_t n = take_acl(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, &acl, e);
    if (n > 0 && fsetxattr(fd, ACL_ACCESS, &acl, (size_t)n, 0) < 0)
        return error_set_errno(e, errno, ACL_ACCESS);
    return (int)MIN(n, 0);
}

/* From either form. */
static ssize_t take_default_acl(struct archive_entry *entry, struct acl *acl, struct error *e) {
    const char *name;
    const void *value;
    size_t size;

    ssize_t n = take_acl(entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, acl, e);
    if (n != 0 || archive_entry_xattr_reset(entry) == 0)
        return n;
    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
        if (!streq(name, ACL_DEFAULT))
            continue;
        if (size > sizeof(*acl))
            return error_set(e, E2BIG, "an ACL of more than %d entries", ACL_ENTRIES_MAX);
        memcpy(acl, value, size);
        return (ssize_t)size;
    }
    return 0;
}

/* ---- owner, mode, times ---- */

/* 4294967295 means "as it is" to chown(2), and numbers beyond it would be cut to somebody else's. */
static int take_id(la_int64_t written, const char *what, uint32_t *ret, struct error *e) {
    if (written < 0 || written >= UINT32_MAX)
        return error_set(e, ERANGE, "%s %" PRId64 " is none", what, (int64_t)written);
    *ret = (uint32_t)written;
    return 0;
}

/* libarchive takes the sign of a pax time for its seconds alone: -1.5 comes as -1 and half a second more. (Of -0.5
 * the sign is lost.) */
static struct timespec time_of(time_t seconds, long nsec) {
    if (seconds < 0 && nsec > 0)
        return (struct timespec){seconds - 1, NSEC_PER_SEC - nsec};
    return (struct timespec){seconds, nsec};
}

static void entry_times(struct archive_entry *entry, struct timespec ret[static 2]) {
    ret[1] = time_of(archive_entry_mtime(entry), archive_entry_mtime_nsec(entry));
    ret[0] = archive_entry_atime_is_set(entry)
                 ? time_of(archive_entry_atime(entry), archive_entry_atime_nsec(entry))
                 : ret[1];
}

/* In this order: a new owner takes set-id bits and capabilities away. */
int apply_attributes(
    int directory, const char *base, int fd, struct archive_entry *entry, bool times, struct error *e) {
    struct timespec when[2];
    uint32_t uid = 0, gid = 0;

    int r = take_id(archive_entry_uid(entry), "user", &uid, e);
    if (r >= 0)
        r = take_id(archive_entry_gid(entry), "group", &gid, e);
    if (r < 0)
        return r;
    if (fd >= 0 ? fchown(fd, uid, gid) < 0 : fchownat(directory, base, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_set_errno(e, errno, "its owner %u:%u", uid, gid);
    if (fd >= 0 && fchmod(fd, archive_entry_perm(entry) & 07777) < 0)
        return error_set_errno(e, errno, "its mode");
    r = apply_xattrs(directory, base, fd, entry, e);
    if (r >= 0 && fd >= 0)
        r = apply_acl(fd, entry, e);
    if (r < 0 || !times)
        return r;
    entry_times(entry, when);
    if (fd >= 0 ? futimens(fd, when) < 0 : utimensat(directory, base, when, AT_SYMLINK_NOFOLLOW) < 0)
        return error_set_errno(e, errno, "its time");
    return 0;
}

/* An entry over what an earlier one has made: overlay's marks alone come from other entries. */
int clear_xattrs(int fd, struct error *e) {
    _cleanup_free_ char *list = NULL;

    ssize_t n = flistxattr(fd, NULL, 0);
    if (n <= 0)
        return n == 0 || errno == EOPNOTSUPP ? 0 : error_set_errno(e, errno, "listing extended attributes");
    list = malloc((size_t)n);
    if (!list)
        return error_set(e, ENOMEM, "out of memory");
    n = flistxattr(fd, list, (size_t)n);
    for (const char *name = list; n > 0 && name < list + n; name += strlen(name) + 1)
        if (rule_of(name) == XATTR_TAKE && fremovexattr(fd, name) < 0)
            return error_set_errno(e, errno, "extended attribute %s", name);
    return n < 0 ? error_set_errno(e, errno, "listing extended attributes") : 0;
}

/* ---- what directories get at the end ---- */

/* Their times change while things are put into them, and what is made in one with a default ACL would inherit
 * it. In a file, not in memory: there may be a million. */
struct late_record {
    struct timespec when[2];
    uint32_t path, acl; /* bytes of each, which follow */
};

int late_note(struct unpack *u, const char *path, struct archive_entry *entry, struct error *e) {
    struct late_record record = {.path = (uint32_t)strlen(path)};
    struct acl acl;

    acl.version = 0; /* not all of it: there may be a million directories */
    if (entry) {
        ssize_t n = take_default_acl(entry, &acl, e);
        if (n < 0)
            return (int)n;
        record.acl = (uint32_t)n;
        entry_times(entry, record.when);
    }
    if (fwrite(&record, sizeof(record), 1, u->late) != 1 ||
        fwrite(path, 1, record.path, u->late) != record.path ||
        fwrite(&acl, 1, record.acl, u->late) != record.acl)
        return error_set_errno(e, errno, "noting its time");
    return 0;
}

/* An entry for the same directory, without a default ACL, may come after one with it. */
static int apply_default_acl(struct unpack *u, int fd, const struct acl *acl, size_t n) {
    if (n == 0 && !u->has_defaults)
        return 0;
    u->has_defaults = true;
    if (n > 0)
        return fsetxattr(fd, ACL_DEFAULT, acl, n, 0) < 0 ? negative_errno() : 0;
    return fremovexattr(fd, ACL_DEFAULT) < 0 && errno != ENODATA && errno != EOPNOTSUPP ? negative_errno()
                                                                                        : 0;
}

static int apply_late(struct unpack *u, const struct late_record *record, const char *path,
    const struct acl *acl, struct error *e) {
    _cleanup_close_ int fd = open_beneath(u->root, path, O_RDONLY | O_DIRECTORY);

    /* Something else took its place later in the archive. */
    if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
        return 0;
    if (fd < 0)
        return error_set_errno(e, fd, "directory %s", path);
    int r = apply_default_acl(u, fd, acl, record->acl);
    if (r < 0)
        return error_set_errno(e, r, "default ACL of directory %s", path);
    return futimens(fd, record->when) < 0 ? error_set_errno(e, errno, "time of directory %s", path) : 0;
}

int late_apply(struct unpack *u, struct error *e) {
    char path[UNPACK_PATH_MAX + 1];
    struct late_record record;
    struct acl acl;
    int r = 0;

    if (fflush(u->late) != 0)
        return error_set_errno(e, errno, "times of directories");
    rewind(u->late);
    while (r >= 0 && fread(&record, sizeof(record), 1, u->late) == 1) {
        if (record.path > UNPACK_PATH_MAX || fread(path, 1, record.path, u->late) != record.path ||
            record.acl > sizeof(acl) || fread(&acl, 1, record.acl, u->late) != record.acl)
            return error_set(e, EIO, "times of directories");
        path[record.path] = '\0';
        r = apply_late(u, &record, path, &acl, e);
    }
    return r < 0 ? r : ferror(u->late) ? error_set(e, EIO, "times of directories") : 0;
}
