/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/seal.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fs.h"
#include "worker/listing.h"
#include "worker/packed.h"
#include "worker/stream.h"
#include "worker/unpack-internal.h"
#include "worker/xattrs.h"

#define SEAL "seal"
#define DEPTH_MAX 4096
#define LINE_MAX_BYTES (64U * 1024) /* the longest name and target, all of it escaped, and the rest */

#define CONTENT_BLOCK (64 * 1024)

/* The first line says what the others have. */
#define HEAD_PLAIN "davit-seal 1"
#define HEAD_CONTENTS "davit-seal 1 contents"

/* Fields of a line after the path, in words. */
enum { FIELD_CONTENT = 8 };
static const char *const field_words[] = {"its kind is another", "its mode is another",
    "its owner is another", "its group is another", "its time is another",
    "the number of its names is another", "its size, target or device is another",
    "its extended attributes are others", "its content is another"};

/* ---- one line ---- */

static void escape(struct strbuf *b, const char *text) {
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p <= ' ' || *p == '\\' || *p == 0x7f)
            strbuf_printf(b, "\\%03o", *p);
        else
            strbuf_putc(b, (char)*p);
    }
}

/* In place. */
static void unescape(char *text) {
    char *out = text;

    for (const char *p = text; *p;) {
        if (p[0] == '\\' && p[1] && p[2] && p[3]) {
            *out++ = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
            p += 4;
        } else
            *out++ = *p++;
    }
    *out = '\0';
}

static char kind_letter(mode_t mode) {
    return S_ISREG(mode)    ? 'f'
           : S_ISDIR(mode)  ? 'd'
           : S_ISLNK(mode)  ? 'l'
           : S_ISCHR(mode)  ? 'c'
           : S_ISBLK(mode)  ? 'b'
           : S_ISFIFO(mode) ? 'p'
                            : '?';
}

static int add_xattrs(struct strbuf *b, int directory, const char *name, struct error *e) {
    char digest[DIGEST_TEXT];
    struct hash h;

    hash_init(&h);
    int r = fchdir(directory) < 0 ? error_set_errno(e, errno, "fchdir") : xattrs_hash(name, true, &h, e);
    if (r < 0)
        return r;
    hash_digest(&h, digest);
    strbuf_printf(b, " %.32s", h.size > 0 ? digest_hex(digest) : "-");
    return 0;
}

static bool is_zero(const char *data, size_t n) {
    return n == 0 || (data[0] == 0 && memcmp(data, data + 1, n - 1) == 0);
}

/* All blocks that are not zero, each with its place: the same whether zeros are holes or written, and holes
 * need not be read, of which a file can have exabytes. */
static int hash_content(int fd, struct hash *h) {
    _cleanup_free_ char *block = malloc(CONTENT_BLOCK);
    off_t at = 0;
    ssize_t n;

    if (!block)
        return -ENOMEM;
    while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
        at -= at % CONTENT_BLOCK;
        n = pread(fd, block, CONTENT_BLOCK, at);
        if (n < 0)
            return negative_errno();
        if (n == 0)
            return 0;
        uint64_t place = htole64((uint64_t)at);
        if (!is_zero(block, (size_t)n)) {
            hash_update(h, &place, sizeof(place));
            hash_update(h, block, (size_t)n);
        }
        at += CONTENT_BLOCK;
    }
    return errno == ENXIO ? 0 : negative_errno(); /* ENXIO: no more data */
}

static int add_content(struct strbuf *b, int directory, const char *name, struct error *e) {
    char digest[DIGEST_TEXT];
    struct hash h;

    hash_init(&h);
    _cleanup_close_ int fd = open_beneath(directory, name, O_RDONLY | O_NONBLOCK);
    int r = fd < 0 ? fd : hash_content(fd, &h);
    if (r < 0)
        return error_set_errno(e, r, "reading it");
    hash_digest(&h, digest);
    strbuf_printf(b, " %s", digest_hex(digest));
    return 0;
}

static int add_size(
    struct strbuf *b, int directory, const char *name, const struct stat *st, struct error *e) {
    char target[PATH_MAX];

    if (S_ISREG(st->st_mode))
        strbuf_printf(b, " %jd", (intmax_t)st->st_size);
    else if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
        strbuf_printf(b, " %u:%u", major(st->st_rdev), minor(st->st_rdev));
    else if (S_ISLNK(st->st_mode)) {
        ssize_t n = readlinkat(directory, name, target, sizeof(target) - 1);
        if (n < 0)
            return error_set_errno(e, errno, "reading the link");
        target[n] = '\0';
        strbuf_putc(b, ' ');
        escape(b, target);
    } else
        strbuf_append(b, " -", 2);
    return 0;
}

/* All fields but the path. The number of a directory's names is the file system's affair. */
static int describe(struct strbuf *b, int directory, const char *name, const struct stat *st, bool contents,
    struct error *e) {
    strbuf_printf(b, "%c %04o %u %u %jd.%09ld ", kind_letter(st->st_mode), st->st_mode & 07777, st->st_uid,
        st->st_gid, (intmax_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    if (S_ISDIR(st->st_mode))
        strbuf_putc(b, '-');
    else
        strbuf_printf(b, "%ju", (uintmax_t)st->st_nlink);
    int r = add_size(b, directory, name, st, e);
    if (r >= 0)
        r = add_xattrs(b, directory, name, e);
    if (r >= 0 && contents && S_ISREG(st->st_mode))
        r = add_content(b, directory, name, e);
    else if (r >= 0)
        strbuf_append(b, " -", 2);
    return r < 0 ? r : strbuf_failed(b) ? error_set(e, ENOMEM, "out of memory") : 0;
}

/* ---- the walk ---- */

struct walk {
    int root;
    bool contents;
    int (*line)(void *userdata, const char *path, const char *fields, struct error *e);
    void *userdata;
    struct strbuf fields;
    uint64_t names, bytes;
    /* Bytes of files with several names, by the number of names: each file comes that often. */
    struct shared {
        uint64_t names, bytes;
    } * shared;
    size_t n_shared;
};

static int count_bytes(struct walk *w, const struct stat *st) {
    if (st->st_nlink <= 1) {
        w->bytes += (uint64_t)st->st_size;
        return 0;
    }
    for (size_t i = 0; i < w->n_shared; i++)
        if (w->shared[i].names == st->st_nlink) {
            w->shared[i].bytes += (uint64_t)st->st_size;
            return 0;
        }
    struct shared *grown = reallocarray(w->shared, w->n_shared + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    w->shared = grown;
    w->shared[w->n_shared++] = (struct shared){st->st_nlink, (uint64_t)st->st_size};
    return 0;
}

static uint64_t total_bytes(const struct walk *w) {
    uint64_t bytes = w->bytes;

    for (size_t i = 0; i < w->n_shared; i++)
        bytes += w->shared[i].bytes / w->shared[i].names;
    return bytes;
}

static int visit(
    struct walk *w, int directory, const char *name, const char *path, struct stat *st, struct error *e) {
    if (fstatat(directory, name, st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_set_errno(e, errno, "looking at %s", path);
    if (S_ISREG(st->st_mode) && count_bytes(w, st) < 0)
        return error_set(e, ENOMEM, "out of memory");
    w->fields.length = 0;
    int r = describe(&w->fields, directory, name, st, w->contents, e);
    if (r >= 0)
        r = w->line(w->userdata, path, w->fields.data, e);
    return r;
}

/* No descriptor stays open on the way down. */
static int walk_directory(struct walk *w, const char *path, unsigned depth, struct error *e) {
    _cleanup_strv_free_ char **names = NULL;
    struct stat st;

    if (depth > DEPTH_MAX)
        return error_set(e, ENAMETOOLONG, "more than %d directories in each other", DEPTH_MAX);
    _cleanup_close_ int fd = open_beneath(w->root, path, O_RDONLY | O_DIRECTORY);
    int r = fd < 0 ? error_set_errno(e, fd, "opening directory %s", path) : names_list(fd, "", &names, e);
    STRV_FOREACH (name, names) {
        _cleanup_free_ char *below = strf("%s%s%s", path, *path ? "/" : "", *name);

        if (!below)
            return error_set(e, ENOMEM, "out of memory");
        r = visit(w, fd, *name, below, &st, e);
        if (r < 0)
            return r;
        w->names++;
        if (!S_ISDIR(st.st_mode))
            continue;
        close_and_reset(&fd);
        r = walk_directory(w, below, depth + 1, e);
        if (r < 0)
            return r;
        fd = open_beneath(w->root, path, O_RDONLY | O_DIRECTORY);
        if (fd < 0)
            return error_set_errno(e, fd, "opening directory %s", path);
    }
    return r;
}

static int walk(struct walk *w, struct error *e) {
    struct stat st;

    int r = visit(w, w->root, ".", ".", &st, e);
    if (r >= 0)
        r = walk_directory(w, "", 0, e);
    strbuf_free(&w->fields);
    return r;
}

static void walk_done(struct walk *w) {
    free(w->shared);
}

/* ---- writing ---- */

struct output {
    struct packed *file;
    struct hash hash;
    struct strbuf line;
};

static int put(struct output *o, const char *data, size_t n, struct error *e) {
    hash_update(&o->hash, data, n);
    return packed_write(o->file, data, n, e);
}

static int write_line(void *userdata, const char *path, const char *fields, struct error *e) {
    struct output *o = userdata;

    o->line.length = 0;
    escape(&o->line, path);
    strbuf_printf(&o->line, " %s\n", fields);
    if (strbuf_failed(&o->line))
        return error_set(e, ENOMEM, "out of memory");
    return put(o, o->line.data, o->line.length, e);
}

int seal_write(int directory, int tree, bool contents, struct seal *ret, struct error *e) {
    struct output o = {};
    _cleanup_(walk_done) struct walk w = {
        .root = tree, .contents = contents, .line = write_line, .userdata = &o};
    const char *head = contents ? HEAD_CONTENTS "\n" : HEAD_PLAIN "\n";

    int r = packed_create(directory, SEAL, &o.file, e);
    if (r < 0)
        return r;
    hash_init(&o.hash);
    r = put(&o, head, strlen(head), e);
    if (r >= 0)
        r = walk(&w, e);
    strbuf_free(&o.line);
    int closed = packed_close(o.file, r >= 0, r < 0 ? NULL : e);
    if (r < 0 || closed < 0)
        return r < 0 ? r : closed;
    hash_digest(&o.hash, ret->digest);
    ret->names = w.names;
    ret->bytes = total_bytes(&w);
    return 0;
}

/* ---- reading ---- */

struct input {
    struct file_source file;
    struct stream stream;
    const char *data; /* of the piece at hand */
    size_t n;
    struct strbuf line;
    char *path, *fields; /* of the line at hand, in it; NULL at the end */
};

static void input_free(struct input *in) {
    stream_close(&in->stream);
    closep(&in->file.fd);
    strbuf_free(&in->line);
    free(in);
}
DEFINE_CLEANUP(struct input *, input_free)

static int damaged(struct error *e) {
    return error_set(e, EBADMSG, "its seal is damaged");
}

/* One line without its end into in->line. 0 at the end of the file. */
static int read_line(struct input *in, struct error *e) {
    in->line.length = 0;
    for (;;) {
        const char *end = in->n > 0 ? memchr(in->data, '\n', in->n) : NULL;
        size_t part = end ? (size_t)(end - in->data) : in->n;

        strbuf_append(&in->line, in->data, part);
        in->data += part + (end != NULL);
        in->n -= part + (end != NULL);
        if (strbuf_failed(&in->line))
            return error_set(e, ENOMEM, "out of memory");
        if (in->line.length > LINE_MAX_BYTES)
            return damaged(e);
        if (end)
            return 1;
        const void *data;
        ssize_t n = stream_read(&in->stream, &data, e);
        if (n <= 0)
            return n < 0 ? (int)n : in->line.length > 0 ? damaged(e) : 0;
        in->data = data;
        in->n = (size_t)n;
    }
}

static int next(struct input *in, struct error *e) {
    in->path = in->fields = NULL;
    int r = read_line(in, e);
    if (r <= 0)
        return r;
    char *blank = in->line.length > 0 ? strchr(in->line.data, ' ') : NULL;
    if (!blank)
        return damaged(e);
    *blank = '\0';
    in->path = in->line.data;
    in->fields = blank + 1;
    unescape(in->path);
    return 1;
}

static int input_open(int directory, struct input **ret, struct error *e) {
    _cleanup_(input_freep) struct input *in = calloc(1, sizeof(*in));
    struct stat st;

    if (!in)
        return error_set(e, ENOMEM, "out of memory");
    in->file.fd = openat(directory, SEAL, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (in->file.fd < 0 || fstat(in->file.fd, &st) < 0)
        return error_set_errno(e, errno, "its seal");
    file_source_init(&in->file, in->file.fd, 0, (uint64_t)st.st_size);
    int r = stream_open(&in->stream, &in->file.source, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(in);
    return 0;
}

/* ---- comparing ---- */

struct compare {
    struct input *seal;
    bool quick;
    void (*differs)(void *userdata, const char *path, const char *what);
    void *userdata;
};

/* In the order of the walk a directory's end, and then what is in it, come before every other byte. */
static int rank(char c) {
    return c == '\0' ? 0 : c == '/' ? 1 : (unsigned char)c + 1;
}

static int compare_paths(const char *a, const char *b) {
    if (streq(a, ".") || streq(b, ".")) /* the root, which comes first */
        return streq(a, b) ? 0 : streq(a, ".") ? -1 : 1;
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return rank(*a) - rank(*b);
}

/* The fields of one name, as they were and as they are. */
static void compare_fields(struct compare *c, const char *path, const char *was, const char *is) {
    for (size_t i = 0; i < ARRAY_SIZE(field_words); i++) {
        size_t n = strcspn(was, " "), m = strcspn(is, " ");

        if ((n != m || memcmp(was, is, n) != 0) && !(i == FIELD_CONTENT && c->quick))
            c->differs(c->userdata, path, field_words[i]);
        was += n + (was[n] == ' ');
        is += m + (is[m] == ' ');
    }
}

static int compare_line(void *userdata, const char *path, const char *fields, struct error *e) {
    struct compare *c = userdata;
    int order = 1, r = 0;

    while (r >= 0 && c->seal->path && (order = compare_paths(c->seal->path, path)) < 0) {
        c->differs(c->userdata, c->seal->path, "it is missing");
        r = next(c->seal, e);
    }
    if (r < 0)
        return r;
    if (!c->seal->path || order > 0) {
        c->differs(c->userdata, path, "it was not there");
        return 0;
    }
    compare_fields(c, path, c->seal->fields, fields);
    return MIN(next(c->seal, e), 0);
}

/* All of it once, for its digest. */
static int verify(int directory, const char *digest, struct error *e) {
    _cleanup_(input_freep) struct input *in = NULL;
    char actual[DIGEST_TEXT];
    const void *data;
    ssize_t n;

    int r = input_open(directory, &in, e);
    if (r < 0 || !in)
        return r;
    while ((n = stream_read(&in->stream, &data, e)) > 0)
        ;
    if (n < 0)
        return (int)n;
    hash_digest(&in->stream.diff, actual);
    return streq(actual, digest) ? 0 : damaged(e);
}

int seal_compare(int directory, int tree, const char *digest, bool quick,
    void (*differs)(void *userdata, const char *path, const char *what), void *userdata, struct error *e) {
    _cleanup_(input_freep) struct input *in = NULL;
    struct compare c = {.quick = quick, .differs = differs, .userdata = userdata};
    _cleanup_(walk_done) struct walk w = {.root = tree, .line = compare_line, .userdata = &c};

    int r = verify(directory, digest, e);
    if (r >= 0)
        r = input_open(directory, &in, e);
    if (r >= 0 && in)
        r = read_line(in, e);
    if (r < 0 || !in)
        return r == -ENOMEM ? r : -EBADMSG;
    bool contents = r > 0 && streq(in->line.data, HEAD_CONTENTS);
    if (!contents && (r == 0 || !streq(in->line.data, HEAD_PLAIN)))
        return damaged(e);
    c.seal = in;
    w.contents = contents && !quick;
    r = next(in, e);
    if (r >= 0)
        r = walk(&w, e);
    while (r >= 0 && in->path) {
        differs(userdata, in->path, "it is missing");
        r = next(in, e);
    }
    return r < 0 ? r : contents && !quick;
}
