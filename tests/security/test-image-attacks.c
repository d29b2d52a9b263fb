/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Layers that want out of their tree, or want to take the machine with them. Each row is an archive, many of
 * them those of published advisories, and what must become of it: refused with a reason that names what is
 * wrong, and nothing is left of it; or taken, and harmless. Whatever happens, what lies outside the store
 * stays as it is.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/fs.h"
#include "image/hash.h"
#include "worker/unpack.h"
#include "worker/ustar.h"

#define FILE_TYPE '0'
#define HARDLINK '1'
#define SYMLINK '2'
#define CHARACTER '3'
#define BLOCK_DEVICE '4'
#define DIRECTORY '5'
#define FIFO '6'
#define PAX 'x'

struct entry {
    const char *name;
    char type;
    const char *target, *data; /* data of PAX: whole records */
    uint64_t size;             /* claimed; 0 = that of data */
    unsigned major, minor;
};

struct attack {
    const char *name;
    struct entry entries[6];
    const char *refused;             /* part of the reason; NULL: taken */
    void (*build)(struct strbuf *b); /* instead of entries */
    const char *absent;              /* taken: what must not be in the tree */
    const char *present;             /* and what must */
};

/* ---- archives by hand: libraries would not write these ---- */

static void octal(char *field, size_t n, uint64_t value) {
    for (field[--n] = '\0'; n-- > 0; value >>= 3)
        field[n] = (char)('0' + (value & 7));
}

static void add_header(struct strbuf *b, const struct entry *e, uint64_t size) {
    struct ustar h = {.type = e->type, .magic = "ustar", .version = {'0', '0'}};
    unsigned sum = 0;

    memcpy(h.name, e->name, MIN(strlen(e->name), sizeof(h.name)));
    if (e->target)
        memcpy(h.linkname, e->target, MIN(strlen(e->target), sizeof(h.linkname)));
    octal(h.mode, sizeof(h.mode), e->type == DIRECTORY ? 0755 : 0644);
    octal(h.uid, sizeof(h.uid), 0);
    octal(h.gid, sizeof(h.gid), 0);
    octal(h.size, sizeof(h.size), size);
    octal(h.mtime, sizeof(h.mtime), 1700000000);
    octal(h.major, sizeof(h.major), e->major);
    octal(h.minor, sizeof(h.minor), e->minor);
    memset(h.checksum, ' ', sizeof(h.checksum));
    for (size_t i = 0; i < sizeof(h); i++)
        sum += ((const unsigned char *)&h)[i];
    octal(h.checksum, 7, sum);
    strbuf_append(b, &h, sizeof(h));
}

static void add(struct strbuf *b, const struct entry *e) {
    static const char zeros[USTAR_BLOCK];
    size_t n = e->data ? strlen(e->data) : 0;

    add_header(b, e, e->size > 0 ? e->size : n);
    strbuf_append(b, e->data ?: "", n);
    strbuf_append(b, zeros, -n % USTAR_BLOCK);
}

static void end(struct strbuf *b) {
    static const char zeros[2 * USTAR_BLOCK];
    strbuf_append(b, zeros, sizeof(zeros));
}

/* A name that no header has room for. */
static void add_long(struct strbuf *b, const char *key, const char *value, const struct entry *e) {
    size_t rest = strlen(key) + strlen(value) + 3, n = rest + 1;

    while ((size_t)snprintf(NULL, 0, "%zu", n) + rest != n)
        n = (size_t)snprintf(NULL, 0, "%zu", n) + rest;
    char *record = strf("%zu %s=%s\n", n, key, value);
    add(b, &(struct entry){"pax", PAX, NULL, record, 0, 0, 0});
    free(record);
    add(b, e);
    end(b);
}

static char *repeat(const char *piece, size_t times) {
    struct strbuf b = {};

    for (size_t i = 0; i < times; i++)
        strbuf_puts(&b, piece);
    return strbuf_take(&b);
}

static void name_of_4096(struct strbuf *b) {
    char *name = repeat("sixteen-letters/", 256);
    add_long(b, "path", name, &(struct entry){"x", FILE_TYPE, NULL, "x", 0, 0, 0});
    free(name);
}

static void component_of_256(struct strbuf *b) {
    char *name = repeat("n", 256);
    add_long(b, "path", name, &(struct entry){"x", FILE_TYPE, NULL, "x", 0, 0, 0});
    free(name);
}

static void deep_directories(struct strbuf *b) {
    char *name = repeat("d/", 2000);
    add_long(b, "path", name, &(struct entry){"x", DIRECTORY, NULL, NULL, 0, 0, 0});
    free(name);
}

static void pax_path_out(struct strbuf *b) {
    add_long(
        b, "path", "../../../../outside/pax", &(struct entry){"innocent", FILE_TYPE, NULL, "x", 0, 0, 0});
}

static void pax_linkpath_out(struct strbuf *b) {
    add_long(b, "linkpath", "../../../../outside/victim",
        &(struct entry){"link", HARDLINK, "innocent", NULL, 0, 0, 0});
}

static void pax_size_negative(struct strbuf *b) {
    add_long(b, "size", "-1", &(struct entry){"f", FILE_TYPE, NULL, "x", 0, 0, 0});
}

static void pax_size_huge(struct strbuf *b) {
    add_long(b, "size", "9223372036854775807", &(struct entry){"f", FILE_TYPE, NULL, "x", 0, 0, 0});
}

static void link_target_too_long(struct strbuf *b) {
    char *target = repeat("t/", 4096);
    add_long(b, "linkpath", target, &(struct entry){"l", SYMLINK, "x", NULL, 0, 0, 0});
    free(target);
}

static void trusted_overlay_attribute(struct strbuf *b) {
    add_long(b, "SCHILY.xattr.trusted.overlay.redirect", "/../../../../outside",
        &(struct entry){"d/", DIRECTORY, NULL, NULL, 0, 0, 0});
}

/* A million entries, cheap to send: each a header of zeros but for the name. */
static void million_entries(struct strbuf *b) {
    char name[16];

    for (unsigned i = 0; i < 1000001; i++) {
        (void)snprintf(name, sizeof(name), ".wh..wh.%u", i);
        add_header(b, &(struct entry){name, FILE_TYPE, NULL, NULL, 0, 0, 0}, 0);
    }
    end(b);
}

static void garbage(struct strbuf *b) {
    uint32_t x = 7;

    for (size_t i = 0; i < 20000; i++) {
        x = x * 1664525 + 1013904223;
        strbuf_putc(b, (char)(x >> 24));
    }
}

static void ends_in_the_middle(struct strbuf *b) {
    add(b, &(struct entry){"f", FILE_TYPE, NULL, "short", 1 << 20, 0, 0});
}

static void checksum_is_wrong(struct strbuf *b) {
    add(b, &(struct entry){"f", FILE_TYPE, NULL, "x", 0, 0, 0});
    b->data[148] ^= 1;
    end(b);
}

/* ---- the rows ---- */

/* clang-format off */
static const struct attack attacks[] = {
    /* names (CVE-2014-9357, CVE-2017-1002101's kin, every "zip slip") */
    {"name_with_dotdot", {{"../outside/new", FILE_TYPE, NULL, "x", 0, 0, 0}}, "\"..\"", NULL, NULL, NULL},
    {"name_with_dotdot_inside", {{"a/../../../../outside/new", FILE_TYPE, NULL, "x", 0, 0, 0}}, "\"..\"", NULL, NULL, NULL},
    {"name_that_ends_in_dotdot", {{"a/..", DIRECTORY, NULL, NULL, 0, 0, 0}}, "\"..\"", NULL, NULL, NULL},
    {"name_dotdot_alone", {{"..", DIRECTORY, NULL, NULL, 0, 0, 0}}, "\"..\"", NULL, NULL, NULL},
    {"absolute_name_stays_inside", {{"/davit-attack", FILE_TYPE, NULL, "x", 0, 0, 0}}, NULL, NULL, NULL, "davit-attack"},
    {"many_slashes_stay_inside", {{"////davit-attack", FILE_TYPE, NULL, "x", 0, 0, 0}}, NULL, NULL, NULL, "davit-attack"},
    {"name_of_4096_bytes", {{0}}, "more than 4095 bytes", name_of_4096, NULL, NULL},
    {"component_of_256_bytes", {{0}}, "more than 255 bytes", component_of_256, NULL, NULL},
    {"two_thousand_directories_deep", {{0}}, NULL, deep_directories, NULL, "d/d/d"},
    {"name_that_is_no_utf8", {{"\xff\xfe\x80", FILE_TYPE, NULL, "x", 0, 0, 0}}, NULL, NULL, NULL, "\xff\xfe\x80"},
    {"name_with_escape_sequences", {{"\033[2J\r\n", FILE_TYPE, NULL, "x", 0, 0, 0}}, NULL, NULL, NULL, "\033[2J\r\n"},
    {"pax_name_out", {{0}}, "\"..\"", pax_path_out, NULL, NULL},
    {"empty_name", {{"", FILE_TYPE, NULL, "x", 0, 0, 0}}, "root of a layer", NULL, NULL, NULL},

    /* symbolic links on the way (CVE-2014-6407, CVE-2015-3627, CVE-2018-15664, CVE-2019-10152, CVE-2021-30465) */
    {"through_an_absolute_link", {{"l", SYMLINK, "/tmp", NULL, 0, 0, 0}, {"l/davit-attack", FILE_TYPE, NULL, "x", 0, 0, 0}}, "symbolic link", NULL, NULL, NULL},
    {"through_a_relative_link", {{"l", SYMLINK, "../../../../outside", NULL, 0, 0, 0}, {"l/new", FILE_TYPE, NULL, "x", 0, 0, 0}}, "symbolic link", NULL, NULL, NULL},
    {"through_a_link_to_a_link", {{"a", SYMLINK, "b", NULL, 0, 0, 0}, {"b", SYMLINK, "../../../../outside", NULL, 0, 0, 0}, {"a/new", FILE_TYPE, NULL, "x", 0, 0, 0}}, "symbolic link", NULL, NULL, NULL},
    {"directory_swapped_for_a_link", {{"d", DIRECTORY, NULL, NULL, 0, 0, 0}, {"d/f", FILE_TYPE, NULL, "x", 0, 0, 0}, {"d", SYMLINK, "../../../../outside", NULL, 0, 0, 0}, {"d/new", FILE_TYPE, NULL, "x", 0, 0, 0}}, "symbolic link", NULL, NULL, NULL},
    {"link_to_its_own_directory", {{"d", SYMLINK, ".", NULL, 0, 0, 0}, {"d/d/d/f", FILE_TYPE, NULL, "x", 0, 0, 0}}, "symbolic link", NULL, NULL, NULL},
    {"loop_of_links", {{"a", SYMLINK, "b", NULL, 0, 0, 0}, {"b", SYMLINK, "a", NULL, 0, 0, 0}, {"a/f", FILE_TYPE, NULL, "x", 0, 0, 0}}, "symbolic link", NULL, NULL, NULL},
    {"magic_link_of_proc", {{"p", SYMLINK, "/proc/self/root/tmp", NULL, 0, 0, 0}, {"p/davit-attack", FILE_TYPE, NULL, "x", 0, 0, 0}}, "symbolic link", NULL, NULL, NULL},
    {"file_written_through_a_link", {{"f", SYMLINK, "../../../../outside/victim", NULL, 0, 0, 0}, {"f", FILE_TYPE, NULL, "overwritten", 0, 0, 0}}, NULL, NULL, NULL, "f"},
    {"directory_over_a_link", {{"d", SYMLINK, "../../../../outside", NULL, 0, 0, 0}, {"d", DIRECTORY, NULL, NULL, 0, 0, 0}, {"d/new", FILE_TYPE, NULL, "x", 0, 0, 0}}, NULL, NULL, NULL, "d/new"},
    {"mode_changed_through_a_link", {{"l", SYMLINK, "../../../../outside/victim", NULL, 0, 0, 0}, {"l", FIFO, NULL, NULL, 0, 0, 0}}, NULL, NULL, NULL, "l"},
    {"link_that_only_points_out", {{"l", SYMLINK, "../../../../outside/victim", NULL, 0, 0, 0}}, NULL, NULL, NULL, "l"},
    {"link_to_nothing", {{"l", SYMLINK, "", NULL, 0, 0, 0}}, "making it", NULL, NULL, NULL},
    {"link_target_too_long", {{0}}, "making it", link_target_too_long, NULL, NULL},

    /* hard links (CVE-2014-9358, CVE-2019-14271's kin, libarchive's CVE-2016-5418) */
    {"hard_link_out", {{"h", HARDLINK, "../../../../outside/victim", NULL, 0, 0, 0}}, "\"..\"", NULL, NULL, NULL},
    {"hard_link_to_an_absolute_name", {{"h", HARDLINK, "/etc/passwd", NULL, 0, 0, 0}}, "hard link to etc", NULL, NULL, NULL},
    {"hard_link_through_a_link", {{"l", SYMLINK, "../../../../outside", NULL, 0, 0, 0}, {"h", HARDLINK, "l/victim", NULL, 0, 0, 0}}, "hard link to l/victim", NULL, NULL, NULL},
    {"hard_link_to_a_link_then_written", {{"l", SYMLINK, "../../../../outside/victim", NULL, 0, 0, 0}, {"h", HARDLINK, "l", NULL, 0, 0, 0}, {"h", FILE_TYPE, NULL, "overwritten", 0, 0, 0}}, NULL, NULL, NULL, "h"},
    {"hard_link_with_content", {{"f", FILE_TYPE, NULL, "x", 0, 0, 0}, {"h", HARDLINK, "f", NULL, 0, 0, 0}, {"h", FILE_TYPE, NULL, "new", 0, 0, 0}}, NULL, NULL, NULL, "h"},
    {"hard_link_to_itself", {{"h", HARDLINK, "h", NULL, 0, 0, 0}}, "to itself", NULL, NULL, NULL},
    {"hard_link_to_a_directory", {{"d", DIRECTORY, NULL, NULL, 0, 0, 0}, {"h", HARDLINK, "d", NULL, 0, 0, 0}}, "hard link to d", NULL, NULL, NULL},
    {"hard_link_to_nothing", {{"h", HARDLINK, "missing", NULL, 0, 0, 0}}, "hard link to missing", NULL, NULL, NULL},
    {"hard_link_to_the_root", {{"h", HARDLINK, "/", NULL, 0, 0, 0}}, "hard link to /", NULL, NULL, NULL},
    {"pax_hard_link_out", {{0}}, "\"..\"", pax_linkpath_out, NULL, NULL},
    {"root_as_a_hard_link", {{"./", HARDLINK, "x", NULL, 0, 0, 0}}, "root of a layer", NULL, NULL, NULL},

    /* whiteouts */
    {"whiteout_of_dotdot", {{".wh...", FILE_TYPE, NULL, NULL, 0, 0, 0}}, "whiteout of no name", NULL, NULL, NULL},
    {"whiteout_of_dot", {{".wh..", FILE_TYPE, NULL, NULL, 0, 0, 0}}, "whiteout of no name", NULL, NULL, NULL},
    {"whiteout_of_nothing", {{".wh.", FILE_TYPE, NULL, NULL, 0, 0, 0}}, "whiteout of no name", NULL, NULL, NULL},
    {"whiteout_below_dotdot", {{"../outside/.wh.victim", FILE_TYPE, NULL, NULL, 0, 0, 0}}, "\"..\"", NULL, NULL, NULL},
    {"whiteout_through_a_link", {{"l", SYMLINK, "../../../../outside", NULL, 0, 0, 0}, {"l/.wh.victim", FILE_TYPE, NULL, NULL, 0, 0, 0}}, "symbolic link", NULL, NULL, NULL},
    {"opaque_mark_through_a_link", {{"l", SYMLINK, "../../../../outside", NULL, 0, 0, 0}, {"l/.wh..wh..opq", FILE_TYPE, NULL, NULL, 0, 0, 0}}, "symbolic link", NULL, NULL, NULL},
    {"entry_below_a_whiteout", {{".wh.a/b", FILE_TYPE, NULL, "x", 0, 0, 0}}, "below a whiteout", NULL, NULL, NULL},
    {"whiteout_as_a_device", {{"gone", CHARACTER, NULL, NULL, 0, 0, 0}}, "character device 0:0", NULL, NULL, NULL},
    {"overlay_attribute_in_a_layer", {{0}}, "not for images to set", trusted_overlay_attribute, NULL, NULL},
    {"aufs_link_out", {{".wh..wh.plnk/1.2", SYMLINK, "../../../../../outside/victim", NULL, 0, 0, 0}, {"h", HARDLINK, ".wh..wh.plnk/1.2", NULL, 0, 0, 0}}, "only files can be in", NULL, NULL, NULL},
    {"aufs_link_to_dotdot", {{"h", HARDLINK, ".wh..wh.plnk/../../../../outside/victim", NULL, 0, 0, 0}}, "\"..\"", NULL, NULL, NULL},
    {"aufs_metadata_is_nothing", {{".wh..wh.aufs", FILE_TYPE, NULL, "x", 0, 0, 0}}, NULL, NULL, ".wh..wh.aufs", NULL},

    /* types */
    {"root_as_a_file", {{"./", FILE_TYPE, NULL, NULL, 0, 0, 0}}, NULL, NULL, NULL, NULL},
    {"root_as_a_link", {{"./", SYMLINK, "/", NULL, 0, 0, 0}}, "root of a layer", NULL, NULL, NULL},
    {"root_as_a_device", {{"./", BLOCK_DEVICE, NULL, NULL, 0, 8, 0}}, "root of a layer", NULL, NULL, NULL},
    {"file_with_files_in_it", {{"f", FILE_TYPE, NULL, "x", 0, 0, 0}, {"f/g", FILE_TYPE, NULL, "x", 0, 0, 0}}, "no directory", NULL, NULL, NULL},
    {"fifo_is_not_waited_for", {{"p", FIFO, NULL, NULL, 0, 0, 0}, {"p", FILE_TYPE, NULL, "x", 0, 0, 0}}, NULL, NULL, NULL, "p"},
    {"device_with_files_in_it", {{"dev", BLOCK_DEVICE, NULL, NULL, 0, 8, 0}, {"dev/x", FILE_TYPE, NULL, "x", 0, 0, 0}}, "no directory", NULL, NULL, NULL},

    /* sizes and damage */
    {"a_million_entries", {{0}}, "at most 999999 entries", million_entries, NULL, NULL},
    {"file_larger_than_the_archive", {{0}}, "", ends_in_the_middle, NULL, NULL},
    {"pax_size_negative", {{0}}, "", pax_size_negative, NULL, NULL},
    {"pax_size_of_8_exbibytes", {{0}}, "", pax_size_huge, NULL, NULL},
    {"wrong_checksum", {{0}}, "no tar archive", checksum_is_wrong, NULL, NULL},
    {"garbage", {{0}}, "", garbage, NULL, NULL},
};
/* clang-format on */

/* ---- the place ---- */

struct place {
    char directory[64];
    struct store store;
    const struct attack *attack;
};

static char *below(const struct place *p, const char *name) {
    return strf("%s/%s", p->directory, name);
}

static void write_file(const struct place *p, const char *name, const char *text) {
    _cleanup_free_ char *path = below(p, name);
    assert_int_equal(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, false), 0);
}

static int setup(void **state) {
    struct place *p = calloc(1, sizeof(*p));
    _cleanup_free_ char *outside = NULL, *images = NULL;

    (void)snprintf(p->directory, sizeof(p->directory), "/tmp/davit-attack-XXXXXX");
    assert_non_null(mkdtemp(p->directory));
    outside = below(p, "outside");
    images = below(p, "images");
    assert_int_equal(mkdir(outside, 0700), 0);
    write_file(p, "outside/victim", "safe");
    assert_int_equal(store_open(images, true, &p->store, NULL), 0);
    p->attack = *state;
    *state = p;
    (void)umask(0);
    return 0;
}

static int teardown(void **state) {
    struct place *p = *state;

    store_done(&p->store);
    assert_int_equal(remove_tree(AT_FDCWD, p->directory), 0);
    free(p);
    return 0;
}

static size_t count(const struct place *p, const char *name) {
    _cleanup_free_ char *path = below(p, name);
    DIR *d = opendir(path);
    size_t n = 0;

    assert_non_null(d);
    for (const struct dirent *entry; (entry = readdir(d));)
        n += !streq(entry->d_name, ".") && !streq(entry->d_name, "..");
    (void)closedir(d);
    return n;
}

static void outside_is_untouched(const struct place *p) {
    _cleanup_free_ char *path = below(p, "outside/victim"), *text = NULL;
    struct stat st;

    assert_int_equal(file_read(AT_FDCWD, path, 100, &text, NULL), 0);
    assert_string_equal(text, "safe");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(count(p, "outside"), 1);
    assert_int_equal(count(p, "images/work"), 0);
    assert_int_equal(access("/davit-attack", F_OK), -1);
    assert_int_equal(access("/tmp/davit-attack", F_OK), -1);
}

/* ---- unpacking ---- */

struct input {
    const char *data;
    size_t n;
};

static ssize_t read_input(void *userdata, const void **ret_data, struct error *e _unused_) {
    struct input *in = userdata;
    size_t n = in->n;

    *ret_data = in->data;
    in->n = 0;
    return (ssize_t)n;
}

static int unpack(struct place *p, const char *data, size_t n, struct error *e) {
    const struct unpack_expected expected = {.blob_size = UINT64_MAX};
    struct input input = {data, n};
    struct layer_source source = {read_input, &input};
    struct unpacked unpacked = UNPACKED_NONE;

    int r = layer_unpack(&p->store, &source, &expected, NULL, NULL, &unpacked, e);
    if (r < 0)
        return r;
    char diff_id[DIGEST_TEXT], *ids[] = {diff_id, NULL};
    memcpy(diff_id, unpacked.writer.info.diff_id, sizeof(diff_id));
    return unpacked_commit(&p->store, ids, &unpacked, 1, e);
}

static void is_in_the_tree(
    const struct place *p, const char *data, size_t n, const char *name, bool expected) {
    char digest[DIGEST_TEXT];
    struct stat st;

    hash_data(data, n, digest);
    _cleanup_free_ char *path = strf("%s/images/layers/%s/tree/%s", p->directory, digest_hex(digest), name);
    assert_int_equal(lstat(path, &st), expected ? 0 : -1);
}

static void run_attack(void **state) {
    struct place *p = *state;
    const struct attack *a = p->attack;
    _cleanup_strbuf_ struct strbuf b = {};
    struct error e = {};

    if (a->build)
        a->build(&b);
    else {
        for (size_t i = 0; i < ARRAY_SIZE(a->entries) && a->entries[i].name; i++)
            add(&b, &a->entries[i]);
        end(&b);
    }
    int r = unpack(p, b.data, b.length, &e);
    outside_is_untouched(p);
    if (a->refused) {
        if (r >= 0)
            fail_msg("it was taken");
        if (!strstr(e.text, a->refused))
            fail_msg("refused, but: %s", e.text);
        assert_int_equal(count(p, "images/layers"), 0);
        return;
    }
    if (r < 0)
        fail_msg("refused: %s", e.text);
    if (a->present)
        is_in_the_tree(p, b.data, b.length, a->present, true);
    if (a->absent)
        is_in_the_tree(p, b.data, b.length, a->absent, false);
}

int main(void) {
    struct CMUnitTest tests[ARRAY_SIZE(attacks)];

    if (getuid() != 0) {
        printf("1..1\nok 1 - attacks # SKIP needs root\n");
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(attacks); i++)
        tests[i] =
            (struct CMUnitTest){attacks[i].name, run_attack, setup, teardown, (void *)(uintptr_t)&attacks[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
