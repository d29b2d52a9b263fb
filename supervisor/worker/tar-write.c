/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/tar-write.h"

#include <endian.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/hashmap.h"
#include "image/overlay-marks.h"
#include "worker/listing.h"
#include "worker/unpack-internal.h"
#include "worker/ustar.h"
#include "worker/xattrs.h"

#define BLOCK USTAR_BLOCK
#define DEPTH_MAX 2048
#define ID_MAX 2097151                      /* what seven octal digits hold */
#define SIZE_MAX_USTAR UINT64_C(8589934591) /* eleven */

struct writer {
    int root;
    const struct tar_options *options;
    const struct tar_sink *sink;
    struct hashmap *links; /* "DEVICE:INODE" -> struct link: the first name of files with several */
    char buffer[STREAM_BLOCK];
};

struct link {
    char key[48];
    char name[];
};

/* What goes into one header. */
struct header {
    const char *name, *target;
    char type;
    struct stat st;
    struct strbuf pax;
};

static int emit(const struct tar_sink *sink, const void *data, size_t n, struct error *e) {
    return sink->write(sink->userdata, data, n, e);
}

static int emit_padding(const struct tar_sink *sink, uint64_t size, struct error *e) {
    static const char zeros[BLOCK];
    size_t n = (size_t)(-size % BLOCK);

    return n > 0 ? emit(sink, zeros, n, e) : 0;
}

/* ---- headers ---- */

static void octal(char *field, size_t size, uint64_t value) {
    field[size - 1] = '\0';
    for (size_t i = size - 1; i-- > 0; value >>= 3)
        field[i] = (char)('0' + (value & 7));
}

/* "LENGTH KEY=VALUE\n", where the length counts itself. */
static void add_record(struct strbuf *b, const char *key, const void *value, size_t n) {
    size_t rest = strlen(key) + n + 3, length = rest + 1;

    while ((size_t)snprintf(NULL, 0, "%zu", length) + rest != length)
        length = (size_t)snprintf(NULL, 0, "%zu", length) + rest;
    strbuf_printf(b, "%zu %s=", length, key);
    strbuf_append(b, value, n);
    strbuf_putc(b, '\n');
}

static void add_text(struct strbuf *b, const char *key, const char *value) {
    add_record(b, key, value, strlen(value));
}

static void add_number(struct strbuf *b, const char *key, uint64_t value) {
    char text[32];

    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    add_text(b, key, text);
}

/* Fraction without trailing zeros, as Go and GNU tar write it. Before 1970 tv_nsec counts forward from the second
 * before; the text is one number, with its sign in front. */
static void add_mtime(struct strbuf *b, const struct timespec *t) {
    bool negative = t->tv_sec < 0, borrowed = negative && t->tv_nsec > 0;
    uint64_t seconds = negative ? -(uint64_t)t->tv_sec - borrowed : (uint64_t)t->tv_sec;
    char text[48];
    int n = snprintf(text, sizeof(text), "%s%" PRIu64 ".%09ld", negative ? "-" : "", seconds,
        borrowed ? NSEC_PER_SEC - t->tv_nsec : t->tv_nsec);

    while (n > 0 && text[n - 1] == '0')
        text[--n] = '\0';
    if (n > 0 && text[n - 1] == '.')
        text[n - 1] = '\0';
    add_text(b, "mtime", text);
}

static void fill_ustar(struct ustar *u, const struct header *h, char type, uint64_t size) {
    unsigned sum = 0;

    *u = (struct ustar){.type = type, .magic = "ustar", .version = {'0', '0'}};
    memcpy(u->name, h->name, MIN(strlen(h->name), sizeof(u->name)));
    octal(u->mode, sizeof(u->mode), h->st.st_mode & 07777);
    octal(u->uid, sizeof(u->uid), h->st.st_uid <= ID_MAX ? h->st.st_uid : 0);
    octal(u->gid, sizeof(u->gid), h->st.st_gid <= ID_MAX ? h->st.st_gid : 0);
    octal(u->size, sizeof(u->size), size <= SIZE_MAX_USTAR ? size : 0);
    octal(u->mtime, sizeof(u->mtime),
        h->st.st_mtim.tv_sec >= 0 ? (uint64_t)h->st.st_mtim.tv_sec & SIZE_MAX_USTAR : 0);
    octal(u->major, sizeof(u->major),
        S_ISCHR(h->st.st_mode) || S_ISBLK(h->st.st_mode) ? major(h->st.st_rdev) : 0);
    octal(u->minor, sizeof(u->minor),
        S_ISCHR(h->st.st_mode) || S_ISBLK(h->st.st_mode) ? minor(h->st.st_rdev) : 0);
    if (h->target)
        memcpy(u->linkname, h->target, MIN(strlen(h->target), sizeof(u->linkname)));
    memset(u->checksum, ' ', sizeof(u->checksum));
    for (size_t i = 0; i < sizeof(*u); i++)
        sum += ((const unsigned char *)u)[i];
    octal(u->checksum, 7, sum);
}

static int emit_header(const struct tar_sink *sink, struct header *h, uint64_t size, struct error *e) {
    struct header extended = {.name = "PaxHeader", .st = {.st_mode = 0644}};
    struct ustar u;

    if (strlen(h->name) > sizeof(u.name))
        add_text(&h->pax, "path", h->name);
    if (h->target && strlen(h->target) > sizeof(u.linkname))
        add_text(&h->pax, "linkpath", h->target);
    if (size > SIZE_MAX_USTAR)
        add_number(&h->pax, "size", size);
    if (h->st.st_uid > ID_MAX)
        add_number(&h->pax, "uid", h->st.st_uid);
    if (h->st.st_gid > ID_MAX)
        add_number(&h->pax, "gid", h->st.st_gid);
    if (h->st.st_mtim.tv_nsec != 0 || h->st.st_mtim.tv_sec < 0)
        add_mtime(&h->pax, &h->st.st_mtim);
    if (strbuf_failed(&h->pax))
        return error_set(e, ENOMEM, "out of memory");

    int r = 0;
    if (h->pax.length > 0) {
        fill_ustar(&u, &extended, 'x', h->pax.length);
        r = emit(sink, &u, sizeof(u), e);
        if (r >= 0)
            r = emit(sink, h->pax.data, h->pax.length, e);
        if (r >= 0)
            r = emit_padding(sink, h->pax.length, e);
    }
    fill_ustar(&u, h, h->type, size);
    return r < 0 ? r : emit(sink, &u, sizeof(u), e);
}

/* ---- owners ---- */

/* Nobody, for whom the user namespace had no name. */
#define ID_OVERFLOW 65534

static uint32_t inside_id(const struct tar_options *o, uint32_t id) {
    if (o->root_owner)
        return 0;
    if (o->id_count == 0)
        return id;
    return id >= o->id_base && id - o->id_base < o->id_count ? id - o->id_base : ID_OVERFLOW;
}

static void map_owner(const struct tar_options *o, struct stat *st) {
    st->st_uid = inside_id(o, st->st_uid);
    st->st_gid = inside_id(o, st->st_gid);
}

/* Ids in attributes: a capability that counts for the root of a user namespace counts for everybody's in an
 * image; entries of an ACL (acl(5): version, then tag, permissions and id of each) name users and groups.
 * Returns the length that is left of it. */
static size_t map_attribute(const struct tar_options *o, const char *name, uint8_t *value, size_t n) {
    const uint32_t version_mask = VFS_CAP_REVISION_MASK;
    uint32_t magic;

    if (o->id_count == 0)
        return n;
    if (streq(name, "security.capability") && n == XATTR_CAPS_SZ_3) {
        memcpy(&magic, value, sizeof(magic));
        magic = htole32((le32toh(magic) & ~version_mask) | VFS_CAP_REVISION_2);
        memcpy(value, &magic, sizeof(magic));
        return XATTR_CAPS_SZ_2;
    }
    if (startswith(name, "system.posix_acl_"))
        for (size_t i = 4; i + 8 <= n; i += 8) {
            uint32_t id;
            memcpy(&id, value + i + 4, sizeof(id));
            if (le32toh(id) == UINT32_MAX)
                continue;
            id = htole32(inside_id(o, le32toh(id)));
            memcpy(value + i + 4, &id, sizeof(id));
        }
    return n;
}

/* ---- extended attributes ---- */

struct attributes {
    const struct tar_options *options;
    struct strbuf *pax;
};

static int add_xattr(void *userdata, const char *name, void *value, size_t n, struct error *e _unused_) {
    struct attributes *a = userdata;
    char key[sizeof("SCHILY.xattr.") + XATTR_NAME_MAX];

    n = map_attribute(a->options, name, value, n);
    (void)snprintf(key, sizeof(key), "SCHILY.xattr.%s", name);
    add_record(a->pax, key, value, n);
    return 0;
}

/* path is a name in the working directory. */
static int add_xattrs(const struct tar_options *o, const char *path, struct header *h, struct error *e) {
    struct attributes a = {o, &h->pax};
    return xattrs_read(path, false, add_xattr, &a, e);
}

/* ---- entries ---- */

static int copy_data(struct writer *w, int fd, uint64_t size, struct error *e) {
    uint64_t left = size;

    while (left > 0) {
        ssize_t n = read(fd, w->buffer, (size_t)MIN(left, (uint64_t)sizeof(w->buffer)));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(e, errno, "reading");
        if (n == 0)
            return error_set(e, ESTALE, "it became shorter while it was read");
        int r = emit(w->sink, w->buffer, (size_t)n, e);
        if (r < 0)
            return r;
        left -= (uint64_t)n;
    }
    return emit_padding(w->sink, size, e);
}

/* 1 and the first name if the file has come already; otherwise this one is noted. */
static int find_link(
    struct writer *w, const struct stat *st, const char *name, const char **ret, struct error *e) {
    char key[48];

    (void)snprintf(key, sizeof(key), "%ju:%ju", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino);
    const struct link *known = hashmap_get(w->links, key);
    if (known) {
        *ret = known->name;
        return 1;
    }
    struct link *l = malloc(sizeof(*l) + strlen(name) + 1);
    if (!l)
        return error_set(e, ENOMEM, "out of memory");
    memcpy(l->key, key, sizeof(key));
    memcpy(l->name, name, strlen(name) + 1);
    if (hashmap_put(w->links, l->key, l) < 0) {
        free(l);
        return error_set(e, ENOMEM, "out of memory");
    }
    return 0;
}

/* A file of the archive that is not one of the tree. */
static int write_mark(
    struct writer *w, const char *directory, const char *mark, const char *name, struct error *e) {
    _cleanup_free_ char *path = strf("%s%s%s", directory, mark, name);
    struct header h = {.name = path, .type = '0', .st = {.st_mode = 0600}};

    if (!path)
        return error_set(e, ENOMEM, "out of memory");
    int r = emit_header(w->sink, &h, 0, e);
    strbuf_free(&h.pax);
    return r;
}

static int write_regular(
    struct writer *w, int directory, const char *base, struct header *h, struct error *e) {
    struct stat st;

    _cleanup_close_ int fd = open_beneath(directory, base, O_RDONLY | O_NONBLOCK);
    if (fd == -EXDEV && w->options->one_file_system)
        return 0;
    if (fd < 0)
        return error_set_errno(e, fd, "opening it");
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return error_set(e, ESTALE, "it changed while it was read");
    int r = fchdir(directory) < 0 ? error_set_errno(e, errno, "fchdir") : add_xattrs(w->options, base, h, e);
    h->type = '0';
    if (r >= 0)
        r = emit_header(w->sink, h, (uint64_t)h->st.st_size, e);
    return r < 0 ? r : copy_data(w, fd, (uint64_t)h->st.st_size, e);
}

static int write_special(
    struct writer *w, int directory, const char *base, struct header *h, struct error *e) {
    char target[PATH_MAX];

    if (fchdir(directory) < 0)
        return error_set_errno(e, errno, "fchdir");
    int r = add_xattrs(w->options, base, h, e);
    if (r < 0)
        return r;
    h->type = S_ISCHR(h->st.st_mode) ? '3' : S_ISBLK(h->st.st_mode) ? '4' : '6';
    if (S_ISLNK(h->st.st_mode)) {
        ssize_t n = readlinkat(directory, base, target, sizeof(target) - 1);
        if (n < 0)
            return error_set_errno(e, errno, "reading the link");
        target[n] = '\0';
        h->target = target;
        h->type = '2';
        h->st.st_mode = S_IFLNK | 0777;
    }
    r = emit_header(w->sink, h, 0, e);
    h->target = NULL;
    return r;
}

static void note_time(struct timespec *newest, const struct timespec *t) {
    if (newest &&
        (t->tv_sec > newest->tv_sec || (t->tv_sec == newest->tv_sec && t->tv_nsec > newest->tv_nsec)))
        *newest = *t;
}

static int write_entry(struct writer *w, int directory, const char *base, const char *inside,
    const char *name, const struct stat *st, struct error *e) {
    struct header h = {.name = name, .st = *st};
    const char *first = NULL;
    int r = 0;

    if (S_ISSOCK(st->st_mode))
        return 0;
    if (overlay_is_whiteout(st))
        return w->options->whiteouts
                   ? write_mark(w, inside, WHITEOUT_PREFIX, base, e)
                   : error_set(e, EINVAL, "a character device 0:0, overlay's mark for a removed file");
    if (startswith(base, WHITEOUT_PREFIX))
        return error_set(e, EINVAL, "a name that begins with \"%s\" would remove something", WHITEOUT_PREFIX);
    map_owner(w->options, &h.st);
    note_time(w->options->newest, &st->st_mtim);
    if (st->st_nlink > 1) {
        r = find_link(w, st, name, &first, e);
        if (r == 1) {
            h.target = first;
            h.type = '1';
            r = emit_header(w->sink, &h, 0, e);
            strbuf_free(&h.pax);
            return r;
        }
    }
    if (r >= 0)
        r = S_ISREG(st->st_mode) ? write_regular(w, directory, base, &h, e)
                                 : write_special(w, directory, base, &h, e);
    strbuf_free(&h.pax);
    return r;
}

/* ---- directories ---- */

/* name: of the directory in the archive, with its slash; "" for the root, which is "./". */
static int write_directory_header(struct writer *w, int fd, const char *name, struct error *e) {
    struct header h = {.name = *name ? name : "./", .type = '5'};

    if (fstat(fd, &h.st) < 0)
        return error_set_errno(e, errno, "stat");
    if (overlay_is_redirected(fd))
        return error_set(e, EOPNOTSUPP, "overlay has redirected it: redirect_dir must be off");
    map_owner(w->options, &h.st);
    int r = fchdir(fd) < 0 ? error_set_errno(e, errno, "fchdir") : add_xattrs(w->options, ".", &h, e);
    if (r >= 0)
        r = emit_header(w->sink, &h, 0, e);
    strbuf_free(&h.pax);
    if (r >= 0 && overlay_is_opaque(fd))
        r = w->options->whiteouts ? write_mark(w, name, WHITEOUT_OPAQUE, "", e)
                                  : error_set(e, EINVAL, "it has overlay's mark of an opaque directory");
    return r;
}

/* The mount point alone: as what is mounted there looks. */
static int write_mount_point(struct writer *w, const char *path, const char *name, struct error *e) {
    struct header h = {.name = name, .type = '5'};

    if (fstatat(w->root, path, &h.st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_set_errno(e, errno, "%s", path);
    map_owner(w->options, &h.st);
    int r = emit_header(w->sink, &h, 0, e);
    strbuf_free(&h.pax);
    return r;
}

/* Names that are there no more take their places among the others. */
static int add_removed(const struct tree_changes *changes, const char *path, char ***names, struct error *e) {
    size_t n = strlen(path);

    for (size_t i = 0; i < changes->n; i++) {
        const struct tree_change *c = changes->items[i];
        const char *below = c->kind == TREE_REMOVED ? startswith(c->path, path) : NULL;

        if (!below || (n > 0 && *below++ != '/') || strchr(below, '/') || strv_contains(*names, below))
            continue;
        if (strv_append(names, below) < 0)
            return error_set(e, ENOMEM, "out of memory");
    }
    if (*names)
        strv_sort(*names);
    return 0;
}

/* path: of the directory below the root; no descriptor stays open on the way down. */
static int write_directory(
    struct writer *w, const char *path, const char *name, unsigned depth, struct error *e) {
    const struct tree_changes *changes = w->options->changes;
    _cleanup_strv_free_ char **names = NULL;

    _cleanup_close_ int fd = open_beneath(w->root, path, O_RDONLY | O_DIRECTORY);
    if (fd == -EXDEV && w->options->one_file_system)
        return write_mount_point(w, path, name, e);
    if (fd < 0)
        return error_set_errno(e, fd, "opening directory %s", path);
    if (depth > DEPTH_MAX)
        return error_set(e, ENAMETOOLONG, "more than %d directories in each other: %s", DEPTH_MAX, path);
    int r = write_directory_header(w, fd, name, e);
    if (r >= 0)
        r = names_list(fd, "", &names, e);
    if (r >= 0 && changes && changes->n_removed > 0)
        r = add_removed(changes, path, &names, e);
    if (r < 0)
        return error_prefix(e, r, "%s", *path ? path : ".");

    STRV_FOREACH (base, names) {
        _cleanup_free_ char *below = strf("%s%s%s", path, *path ? "/" : "", *base);
        struct stat st;

        if (!below)
            return error_set(e, ENOMEM, "out of memory");
        const struct tree_change *change = changes ? hashmap_get(changes->by_path, below) : NULL;
        if (strv_contains((char *const *)w->options->without, below) || (changes && !change))
            continue;
        if (change && change->kind == TREE_REMOVED) {
            r = write_mark(w, name, WHITEOUT_PREFIX, *base, e);
            if (r < 0)
                return r;
            continue;
        }
        if (fstatat(fd, *base, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return error_set_errno(e, errno, "%s", below);
        _cleanup_free_ char *entry = strf("%s%s%s", name, *base, S_ISDIR(st.st_mode) ? "/" : "");
        if (!entry)
            return error_set(e, ENOMEM, "out of memory");
        if (S_ISDIR(st.st_mode)) {
            /* Deep trees would need a descriptor for each level. */
            close_and_reset(&fd);
            r = write_directory(w, below, entry, depth + 1, e);
            if (r < 0)
                return r;
            fd = open_beneath(w->root, path, O_RDONLY | O_DIRECTORY);
            if (fd < 0)
                return error_set_errno(e, fd, "opening directory %s", path);
            continue;
        }
        r = write_entry(w, fd, *base, name, entry, &st, e);
        if (r < 0)
            return error_prefix(e, r, "%s", below);
    }
    return 0;
}

/* ---- the whole ---- */

static void writer_free(struct writer *w) {
    struct link *l;

    HASHMAP_FOREACH (l, w->links)
        free(hashmap_remove(w->links, l->key));
    if (w->links)
        hashmap_free(w->links);
    free(w);
}
DEFINE_CLEANUP(struct writer *, writer_free)

static struct writer *writer_new(int root, const struct tar_options *options, const struct tar_sink *sink) {
    struct writer *w = malloc(sizeof(*w));

    if (!w)
        return NULL;
    w->root = root;
    w->options = options;
    w->sink = sink;
    w->links = hashmap_new();
    if (!w->links) {
        free(w);
        return NULL;
    }
    return w;
}

/* "/usr//lib/" as "usr/lib". NULL with *e. */
static char *clean_prefix(const char *prefix, struct error *e) {
    _cleanup_(name_done) struct name n = {};

    return name_parse(prefix ? prefix : "", &n, e) < 0 ? NULL : TAKE_PTR(n.path);
}

int tar_write_tree(int fd, const struct tar_options *options, const struct tar_sink *sink, struct error *e) {
    _cleanup_(writer_freep) struct writer *w = writer_new(fd, options, sink);
    _cleanup_free_ char *prefix = clean_prefix(options->prefix, e), *name = NULL;

    if (!prefix)
        return e ? -e->number : -EINVAL;
    name = strf("%s%s", prefix, *prefix ? "/" : "");
    if (!w || !name)
        return error_set(e, ENOMEM, "out of memory");
    return write_directory(w, "", name, 0, e);
}

int tar_write_file(int fd, const char *name, const struct tar_options *options, const struct tar_sink *sink,
    struct error *e) {
    _cleanup_(writer_freep) struct writer *w = writer_new(-1, options, sink);
    _cleanup_free_ char *path = clean_prefix(name, e);
    struct header h = {.name = path, .type = '0'};

    if (!path || !w)
        return path ? error_set(e, ENOMEM, "out of memory") : e ? -e->number : -EINVAL;
    if (fstat(fd, &h.st) < 0 || !S_ISREG(h.st.st_mode))
        return error_set(e, EINVAL, "%s: only files and directories can be copied", name);
    map_owner(options, &h.st);
    int r = emit_header(w->sink, &h, (uint64_t)h.st.st_size, e);
    strbuf_free(&h.pax);
    return r < 0 ? r : copy_data(w, fd, (uint64_t)h.st.st_size, e);
}

int tar_begin_member(const char *name, uint64_t size, const struct tar_sink *sink, struct error *e) {
    struct header h = {.name = name, .type = '0', .st.st_mode = 0644};

    int r = emit_header(sink, &h, size, e);
    strbuf_free(&h.pax);
    return r;
}

int tar_end_member(uint64_t size, const struct tar_sink *sink, struct error *e) {
    return emit_padding(sink, size, e);
}

int tar_end(const struct tar_sink *sink, struct error *e) {
    static const char zeros[2 * BLOCK];

    return sink->write(sink->userdata, zeros, sizeof(zeros), e);
}
