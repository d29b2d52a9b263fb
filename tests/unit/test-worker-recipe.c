/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A layer that was unpacked comes out again as the same bytes, whoever wrote its archive. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "base/fs.h"
#include "worker/recipe.h"
#include "worker/tar-scan.h"
#include "worker/unpack.h"

struct fixture {
    char directory[64];
    struct store store;
    char *archive; /* uncompressed */
    size_t n;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    struct error e = {};

    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/davit-recipe-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    if (store_open(f->directory, true, &f->store, &e) < 0)
        fail_msg("%s", e.text);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;

    store_done(&f->store);
    assert_int_equal(remove_tree(AT_FDCWD, f->directory), 0);
    free(f->archive);
    free(f);
    return 0;
}

/* ---- archives ---- */

static la_ssize_t on_write(struct archive *a _unused_, void *userdata, const void *data, size_t n) {
    struct fixture *f = userdata;

    f->archive = realloc(f->archive, f->n + n);
    memcpy(f->archive + f->n, data, n);
    f->n += n;
    return (la_ssize_t)n;
}

static void add(
    struct archive *a, const char *name, unsigned type, const char *target, const char *data, size_t n) {
    struct archive_entry *entry = archive_entry_new();

    archive_entry_set_pathname(entry, name);
    archive_entry_set_mode(entry, type | 0644);
    archive_entry_set_mtime(entry, 1700000000, 5);
    archive_entry_set_size(entry, (la_int64_t)n);
    if (type == AE_IFLNK)
        archive_entry_set_symlink(entry, target);
    else if (target)
        archive_entry_set_hardlink(entry, target);
    assert_true(archive_write_header(a, entry) >= ARCHIVE_WARN);
    if (n > 0)
        assert_int_equal(archive_write_data(a, data, n), n);
    archive_entry_free(entry);
}

static void write_archive(struct fixture *f, int (*format)(struct archive *)) {
    struct archive *a = archive_write_new();
    char data[1500], name[32];
    char deep[180];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7);
    assert_int_equal(format(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open(a, f, NULL, on_write, NULL), ARCHIVE_OK);
    add(a, "etc", AE_IFDIR, NULL, NULL, 0);
    for (size_t size = 0; size <= sizeof(data); size += size == 0    ? 1
                                                        : size < 511 ? 510
                                                        : size < 514 ? 1
                                                                     : 986) {
        (void)snprintf(name, sizeof(name), "etc/file-%zu", size);
        add(a, name, AE_IFREG, NULL, data, size);
    }
    add(a, "etc/link", AE_IFLNK, "file-1", NULL, 0);
    add(a, "etc/.wh.gone", AE_IFREG, NULL, NULL, 0);
    /* Too long for a header's name field alone, not for the prefix. */
    (void)snprintf(deep, sizeof(deep), "%.*s/%.*s", 60,
        "a-directory-with-a-name-that-is-rather-long-for-a-directory-of-a-test", 60,
        "a-file-with-a-name-that-is-rather-long-for-a-file-of-a-test-of-names");
    if (format != archive_write_set_format_v7tar)
        add(a, deep, AE_IFREG, NULL, data, 700);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    (void)archive_write_free(a);
}

/* ---- there and back ---- */

static ssize_t read_memory(void *userdata, const void **ret_data, struct error *e _unused_) {
    struct fixture *f = userdata;
    size_t n = f->n;

    *ret_data = f->archive;
    f->n = 0;
    return (ssize_t)n;
}

static struct layer_info import(struct fixture *f) {
    const struct unpack_expected expected = {.blob_size = UINT64_MAX};
    struct layer_source source = {read_memory, f};
    struct unpacked unpacked = UNPACKED_NONE;
    size_t n = f->n;
    struct error e = {};

    if (layer_unpack(&f->store, &source, &expected, NULL, NULL, &unpacked, &e) < 0)
        fail_msg("%s", e.text);
    f->n = n;
    struct layer_info info = unpacked.writer.info;
    char *ids[] = {info.diff_id, NULL};
    if (unpacked_commit(&f->store, ids, &unpacked, 1, &e) < 0)
        fail_msg("%s", e.text);
    return info;
}

static int collect(void *userdata, const void *data, size_t n, struct error *e _unused_) {
    strbuf_append(userdata, data, n);
    return 0;
}

static void comes_out_the_same(struct fixture *f) {
    struct strbuf out = {};
    const struct tar_sink sink = {collect, &out};
    struct layer_info info = import(f);
    struct error e = {};

    if (recipe_write_archive(&f->store, &info, &sink, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(out.length, f->n);
    assert_memory_equal(out.data, f->archive, f->n);
    assert_int_equal(out.length, info.archive_size);
    strbuf_free(&out);
}

static void archives_of_every_writer_come_out_the_same(void **state) {
    static int (*const formats[])(struct archive *) = {archive_write_set_format_ustar,
        archive_write_set_format_pax, archive_write_set_format_pax_restricted,
        archive_write_set_format_gnutar, archive_write_set_format_v7tar};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        f->n = 0;
        write_archive(f, formats[i]);
        comes_out_the_same(f);
    }
}

static void what_follows_the_archive_comes_out_too(void **state) {
    struct fixture *f = *state;
    char garbage[1000];

    write_archive(f, archive_write_set_format_pax_restricted);
    memset(garbage, 'x', sizeof(garbage));
    (void)on_write(NULL, f, garbage, sizeof(garbage));
    comes_out_the_same(f);
}

static void only_descriptions_are_kept(void **state) {
    struct fixture *f = *state;
    char *data = calloc(1, 4 << 20);
    struct archive *a = archive_write_new();
    char path[512];
    struct stat st;

    /* Not compressible. */
    uint32_t x = 1;
    for (size_t i = 0; i < 4 << 20; i++) {
        x = x * 1664525 + 1013904223;
        data[i] = (char)(x >> 24);
    }
    assert_int_equal(archive_write_set_format_pax_restricted(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open(a, f, NULL, on_write, NULL), ARCHIVE_OK);
    add(a, "big", AE_IFREG, NULL, data, 4 << 20);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    (void)archive_write_free(a);
    struct layer_info info = import(f);
    (void)snprintf(path, sizeof(path), "%s/layers/%s/recipe", f->directory, digest_hex(info.diff_id));
    assert_int_equal(stat(path, &st), 0);
    assert_in_range(st.st_size, 20, 1000);
    free(data);
}

static void a_changed_tree_is_told(void **state) {
    struct fixture *f = *state;
    struct strbuf out = {};
    const struct tar_sink sink = {collect, &out};
    struct error e = {};
    char path[512];

    write_archive(f, archive_write_set_format_ustar);
    struct layer_info info = import(f);
    (void)snprintf(
        path, sizeof(path), "%s/layers/%s/tree/etc/file-512", f->directory, digest_hex(info.diff_id));
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "!", 1), 1); /* the size stays */
    (void)close(fd);
    assert_int_equal(recipe_write_archive(&f->store, &info, &sink, &e), -EBADMSG);
    assert_non_null(strstr(e.text, "etc/file-512 is not any more what it was"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(recipe_write_archive(&f->store, &info, &sink, &e), -EBADMSG);
    assert_non_null(strstr(e.text, "etc/file-512"));
    strbuf_free(&out);
}

/* What came first is not in the tree any more, and the caller learns which kind of failure that is even if it
 * asks for no message. */
static void a_name_that_comes_twice_is_told(void **state) {
    struct fixture *f = *state;
    struct archive *a = archive_write_new();
    struct strbuf out = {};
    const struct tar_sink sink = {collect, &out};

    assert_int_equal(archive_write_set_format_ustar(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open(a, f, NULL, on_write, NULL), ARCHIVE_OK);
    add(a, "twice", AE_IFREG, NULL, "first", 5);
    add(a, "twice", AE_IFREG, NULL, "second", 6);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    (void)archive_write_free(a);
    struct layer_info info = import(f);
    assert_int_equal(recipe_write_archive(&f->store, &info, &sink, NULL), -EBADMSG);
    strbuf_free(&out);
}

/* Taken apart in pieces of any size it is the same. */
static void pieces_do_not_matter(void **state) {
    struct fixture *f = *state;
    struct strbuf whole = {};

    write_archive(f, archive_write_set_format_pax);
    for (size_t piece = f->n; piece > 0; piece = piece > 4096  ? 4096
                                                 : piece > 513 ? 513
                                                 : piece > 1   ? 1
                                                               : 0) {
        struct tar_scan scan = TAR_SCAN_INIT;
        struct strbuf b = {};
        for (size_t at = 0; at < f->n;) {
            size_t n = MIN(piece, f->n - at);
            if (scan.state == SCAN_CONTENT) {
                n = (size_t)MIN((uint64_t)n, scan.left);
                tar_scan_content(&scan, n);
            } else {
                ssize_t taken = tar_scan_take(&scan, f->archive + at, n);
                assert_true(taken > 0);
                n = (size_t)taken;
                strbuf_append(&b, f->archive + at, n);
            }
            at += n;
        }
        tar_scan_done(&scan);
        if (piece == f->n)
            whole = b;
        else {
            assert_int_equal(b.length, whole.length);
            assert_memory_equal(b.data, whole.data, whole.length);
            strbuf_free(&b);
        }
    }
    strbuf_free(&whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(archives_of_every_writer_come_out_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(what_follows_the_archive_comes_out_too, setup, teardown),
        cmocka_unit_test_setup_teardown(only_descriptions_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_tree_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_that_comes_twice_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(pieces_do_not_matter, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
