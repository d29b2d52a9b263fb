/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-image import PATH: looks what PATH is and hands it to who knows. PATH is "-" for standard input; what
 * cannot be read from the middle (a pipe, a compressed archive of images) is first copied, uncompressed, into
 * the store's work directory.
 */
#include "worker/import.h"

#include <archive_entry.h>
#include <ctype.h>
#include <fcntl.h>

#include "base/fs.h"
#include "worker/origin.h"
#include "worker/stream.h"
#include "worker/unpack-internal.h"

/* ---- names ---- */

/* A repository from the input's name: "dir/Web_1.tar.gz" gives "web_1". NULL if nothing is left of it. */
static char *name_of_input(const char *path) {
    static const char *const endings[] = {".tar", ".tgz", ".oci", ".squashfs", ".erofs", ".img"};
    const char *base = path_basename(path);
    size_t n = strlen(base), out = 0;

    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        const char *ending = strstr(base, endings[i]);
        if (ending)
            n = MIN(n, (size_t)(ending - base));
    }
    char *name = strndup(base, n);
    for (size_t i = 0; name && name[i]; i++) {
        char c = (char)tolower((unsigned char)name[i]);
        bool word = isalnum((unsigned char)c);
        /* Separators stand between words. */
        if (word || (strchr(".-_", c) && out > 0 && isalnum((unsigned char)name[out - 1])))
            name[out++] = c;
    }
    while (name && out > 0 && !isalnum((unsigned char)name[out - 1]))
        out--;
    if (name)
        name[out] = '\0';
    if (name && out == 0) {
        free(name);
        name = NULL;
    }
    return name;
}

static int add_canonical(const char *text, char ***ret, struct error *e) {
    char *name;

    int r = reference_canonical(text, &name, e);
    if (r < 0)
        return r;
    return strv_consume(ret, name) < 0 ? error_set(e, ENOMEM, "out of memory") : 0;
}

int import_names(struct worker *w, char *const *own, const char *tag, char ***ret, struct error *e) {
    _cleanup_strv_free_ char **names = NULL;
    int r = 0;

    STRV_FOREACH (text, w->options.names) {
        r = add_canonical(*text, &names, e);
        if (r < 0)
            return r;
    }
    if (!names && strv_length(own) > 0)
        r = strv_extend(&names, own) < 0 ? error_set(e, ENOMEM, "out of memory") : 0;
    if (!names && r >= 0) {
        _cleanup_free_ char *base = name_of_input(w->arguments[0]);
        _cleanup_free_ char *text = base ? strf("%s:%s", base, tag ? tag : REFERENCE_DEFAULT_TAG) : NULL;
        r = text ? add_canonical(text, &names, e)
                 : error_set(e, EINVAL, "the image has no name in it: say one behind the path");
    }
    if (r < 0)
        return r;
    *ret = TAKE_PTR(names);
    return 0;
}

bool import_skips(struct worker *w, char *const *names, const struct oci_descriptor *entry) {
    bool wanted = !w->wanted || (w->wanted_digest && entry && origin_claims(entry, w->wanted_digest));

    STRV_FOREACH (name, names)
        wanted |= w->wanted && strv_contains(w->wanted, *name);
    w->found += wanted;
    return !wanted;
}

/* ---- what is it? ---- */

enum form { FORM_ROOT, FORM_BUNDLE, FORM_SQUASHFS, FORM_EROFS };

/* Archives of images begin with one of their own files; a root file system has none of these names. */
static bool is_bundle_name(const char *name) {
    static const char *const files[] = {"oci-layout", "index.json", "manifest.json", "repositories", "blobs"};
    size_t digits;

    name += startswith(name, "./") ? 2 : 0;
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        const char *rest = startswith(name, files[i]);
        if (rest && (*rest == '\0' || *rest == '/'))
            return true;
    }
    digits = strspn(name, "0123456789abcdef");
    return digits == DIGEST_HEX && (name[digits] == '/' || startswith(name + digits, ".json") ||
                                       startswith(name + digits, ".tar") || name[digits] == '\0');
}

static int probe_archive(int fd, enum form *ret, bool *ret_compressed, struct error *e) {
    struct archive *a = archive_read_new();
    struct archive_entry *entry = NULL;
    const char *name = NULL;

    if (!a)
        return error_set(e, ENOMEM, "out of memory");
    (void)archive_read_support_filter_all(a);
    (void)archive_read_support_format_tar(a);
    int r = lseek(fd, 0, SEEK_SET) < 0 ? ARCHIVE_FATAL : archive_read_open_fd(a, fd, STREAM_BLOCK);
    if (r == ARCHIVE_OK)
        r = archive_read_next_header(a, &entry);
    if (r == ARCHIVE_OK || r == ARCHIVE_WARN)
        name = archive_entry_pathname(entry);
    bool root_entry = name && (streq(name, "./") || streq(name, "."));
    /* "./" alone says nothing. */
    if (root_entry && archive_read_next_header(a, &entry) == ARCHIVE_OK)
        name = archive_entry_pathname(entry);
    if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
        r = archive_lacks_memory(a)
                ? error_set(e, ENOMEM, ARCHIVE_LACKS_MEMORY)
                : error_set(e, EINVAL, "neither a directory, a tar archive, a squashfs nor an erofs file");
    else {
        *ret = name && is_bundle_name(name) ? FORM_BUNDLE : FORM_ROOT;
        *ret_compressed = archive_filter_count(a) > 1;
        r = 0;
    }
    (void)archive_read_free(a);
    return r;
}

static int probe(int fd, enum form *ret, bool *ret_compressed, struct error *e) {
    static const unsigned char erofs[] = {0xe2, 0xe1, 0xf5, 0xe0}; /* little endian, at 1024 */
    unsigned char start[4], super[4];

    *ret_compressed = false;
    if (pread(fd, start, 4, 0) == 4 && memcmp(start, "hsqs", 4) == 0)
        *ret = FORM_SQUASHFS;
    else if (pread(fd, super, 4, 1024) == 4 && memcmp(super, erofs, 4) == 0)
        *ret = FORM_EROFS;
    else
        return probe_archive(fd, ret, ret_compressed, e);
    return 0;
}

/* ---- copies ---- */

struct fd_source {
    int fd;
    char buffer[STREAM_BLOCK];
};

static ssize_t read_pipe(void *userdata, const void **ret_data, struct error *e) {
    struct fd_source *s = userdata;
    ssize_t n;

    do
        n = read(s->fd, s->buffer, sizeof(s->buffer));
    while (n < 0 && errno == EINTR);
    *ret_data = s->buffer;
    return n < 0 ? error_set_errno(e, errno, "reading the input") : n;
}

/* Into a file of work/, which has no name any more when it comes back. */
static int copy_input(struct worker *w, int fd, bool decompress, struct error *e) {
    _cleanup_free_ struct fd_source *in = malloc(sizeof(*in));
    struct layer_source source = {.read = read_pipe, .userdata = in};
    char name[WORK_NAME];
    struct stream s = {};
    uint64_t unchecked = 0;
    const void *data;
    ssize_t n;

    if (!in)
        return error_set(e, ENOMEM, "out of memory");
    in->fd = fd;
    _cleanup_close_ int out = work_new_file(&w->store, name, e);
    if (out < 0)
        return out;
    work_remove(&w->store, name);
    int r = decompress ? stream_open(&s, &source, e) : store_check_space(&w->store, 0, e);
    while (r >= 0 && (n = decompress ? stream_read(&s, &data, e) : read_pipe(in, &data, e)) != 0) {
        r = n < 0 ? (int)n : write_all(out, data, (size_t)n);
        if (n > 0 && r < 0)
            (void)error_set_errno(e, r, "copying the input to %s/work", w->store.path);
        unchecked += n > 0 ? (uint64_t)n : 0;
        if (r >= 0 && unchecked > 16U * 1024 * 1024) {
            unchecked = 0;
            r = store_check_space(&w->store, 0, e);
        }
    }
    stream_close(&s);
    return r < 0 ? r : TAKE_FD(out);
}

/* ---- the command ---- */

int import_prepare(struct worker *w, struct error *e) {
    if (w->n_arguments != 1)
        return error_set(e, EINVAL, "import takes one path");
    bool standard = streq(w->arguments[0], "-");
    int fd = standard ? dup(STDIN_FILENO) : open(w->arguments[0], O_RDONLY | O_NOCTTY | O_CLOEXEC);
    return fd < 0 ? error_set_errno(e, errno, "%s", w->arguments[0]) : worker_add_input(w, fd, e);
}

static int import_bundle(struct worker *w, int fd, bool directory, struct error *e) {
    struct bundle b;

    int r = bundle_open(&b, fd, directory, e);
    if (r < 0)
        return r;
    if (bundle_has(&b, "oci-layout"))
        r = import_oci(w, &b, e);
    else if (bundle_has(&b, "manifest.json"))
        r = import_docker(w, &b, e);
    else
        r = error_set(e, EINVAL, "it has neither an oci-layout nor a manifest.json in it");
    bundle_done(&b);
    return r;
}

static int import_directory(struct worker *w, int fd, struct error *e) {
    struct stat st;

    bool layout = fstatat(fd, "oci-layout", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
    bool docker = fstatat(fd, "manifest.json", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
    return layout || docker ? import_bundle(w, fd, true, e) : import_directory_root(w, fd, e);
}

static int import_file(struct worker *w, int fd, struct error *e) {
    enum form form = FORM_ROOT;
    bool compressed = false;

    int r = probe(fd, &form, &compressed, e);
    if (r < 0)
        return r;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_set_errno(e, errno, "lseek");
    /* Has no names in it. */
    if (form != FORM_BUNDLE && w->wanted && !w->options.names)
        return 0;
    if (form == FORM_SQUASHFS || form == FORM_EROFS)
        return import_filesystem(w, fd, form == FORM_EROFS ? LAYER_EROFS : LAYER_SQUASHFS, e);
    if (form == FORM_ROOT)
        return import_archive_root(w, fd, e);
    if (!compressed)
        return import_bundle(w, fd, false, e);
    _cleanup_close_ int plain = copy_input(w, fd, true, e);
    return plain < 0 ? plain : import_bundle(w, plain, false, e);
}

int import_run(struct worker *w, struct error *e) {
    return import_opened(w, w->inputs[0], e);
}

int import_opened(struct worker *w, int fd, struct error *e) {
    struct stat st;
    int r;

    if (fstat(fd, &st) < 0)
        return error_set_errno(e, errno, "%s", w->arguments[0]);
    if (S_ISDIR(st.st_mode))
        r = import_directory(w, fd, e);
    else if (S_ISREG(st.st_mode))
        r = import_file(w, fd, e);
    else {
        _cleanup_close_ int copy = copy_input(w, fd, false, e);
        r = copy < 0 ? copy : import_file(w, copy, e);
    }
    return r < 0 ? error_prefix(e, r, "%s", w->arguments[0]) : 0;
}
