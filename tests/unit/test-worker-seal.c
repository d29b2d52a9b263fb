/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A sealed tree is known again, and what is different is named. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "base/fs.h"
#include "image/checksum.h"
#include "worker/seal.h"

struct fixture {
    char directory[64];
    int fd, tree;
    struct strbuf found; /* "PATH: WHAT\n" each */
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));

    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/davit-seal-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    f->fd = open(f->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(f->fd, "tree", 0755), 0);
    f->tree = openat(f->fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->fd >= 0 && f->tree >= 0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;

    (void)close(f->tree);
    (void)close(f->fd);
    assert_int_equal(remove_tree(AT_FDCWD, f->directory), 0);
    strbuf_free(&f->found);
    free(f);
    return 0;
}

static void put(const struct fixture *f, const char *name, const char *text) {
    static const struct timespec then[2] = {{1, 0}, {1, 5}};
    int fd = openat(f->tree, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(futimens(fd, then), 0);
    (void)close(fd);
}

static void on_difference(void *userdata, const char *path, const char *what) {
    struct fixture *f = userdata;
    strbuf_printf(&f->found, "%s: %s\n", path, what);
}

/* The differences, or "" */
static const char *compare(struct fixture *f, const char *digest, bool quick, int expected) {
    struct error e = {};

    strbuf_free(&f->found);
    strbuf_puts(&f->found, "");
    assert_int_equal(seal_compare(f->fd, f->tree, digest, quick, on_difference, f, &e), expected);
    return f->found.data;
}

static struct seal seal(struct fixture *f, bool contents) {
    static const struct timespec then[2] = {{1, 0}, {1, 5}};
    struct seal s = {};
    struct error e = {};

    assert_int_equal(futimens(f->tree, then), 0);
    if (seal_write(f->fd, f->tree, contents, &s, &e) < 0)
        fail_msg("%s", e.text);
    return s;
}

/* The names that are sorted otherwise by their bytes as a whole: "a!" comes before "a/b" then. */
static void names_are_in_the_order_of_the_walk(void **state) {
    struct fixture *f = *state;

    assert_int_equal(mkdirat(f->tree, "a", 0755), 0);
    put(f, "a/b", "1");
    put(f, "a!", "2");
    put(f, "a\001", "3");
    put(f, "a b", "4");
    put(f, "\\x", "5");
    struct seal s = seal(f, false);
    assert_int_equal(s.names, 6);
    assert_int_equal(s.bytes, 5);
    assert_string_equal(compare(f, s.digest, false, 0), "");
    assert_int_equal(unlinkat(f->tree, "a!", 0), 0);
    assert_int_equal(futimens(f->tree, (struct timespec[2]){{1, 0}, {1, 5}}), 0);
    assert_string_equal(compare(f, s.digest, false, 0), "a!: it is missing\n");
    put(f, "a/c", "6");
    assert_non_null(strstr(compare(f, s.digest, false, 0), "a/c: it was not there\n"));
}

static void files_with_several_names_count_once(void **state) {
    struct fixture *f = *state;

    put(f, "one", "12345");
    assert_int_equal(linkat(f->tree, "one", f->tree, "two", 0), 0);
    assert_int_equal(linkat(f->tree, "one", f->tree, "three", 0), 0);
    put(f, "other", "123");
    assert_int_equal(linkat(f->tree, "other", f->tree, "same", 0), 0);
    struct seal s = seal(f, false);
    assert_int_equal(s.names, 5);
    assert_int_equal(s.bytes, 8);
    assert_int_equal(unlinkat(f->tree, "two", 0), 0);
    assert_non_null(strstr(compare(f, s.digest, false, 0), "one: the number of its names is another\n"));
}

static void contents_are_compared_where_the_seal_has_them(void **state) {
    struct fixture *f = *state;

    put(f, "file", "was");
    put(f, "sparse", "x");
    int fd = openat(f->tree, "sparse", O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(fd, INT64_C(1) << 40), 0);
    assert_int_equal(futimens(fd, (struct timespec[2]){{1, 0}, {1, 5}}), 0);
    struct seal s = seal(f, true);
    assert_string_equal(compare(f, s.digest, false, 1), "");
    put(f, "file", "is.");
    assert_int_equal(pwrite(fd, "", 1, 123456789), 1); /* a zero where a hole was is no difference */
    assert_int_equal(futimens(fd, (struct timespec[2]){{1, 0}, {1, 5}}), 0);
    (void)close(fd);
    assert_string_equal(compare(f, s.digest, false, 1), "file: its content is another\n");
    assert_string_equal(compare(f, s.digest, true, 0), "");
}

static void overlays_marks_count(void **state) {
    struct fixture *f = *state;

    assert_int_equal(mkdirat(f->tree, "d", 0755), 0);
    int fd = openat(f->tree, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) < 0) {
        (void)close(fd);
        skip(); /* not root, or a file system that has none */
    }
    struct seal s = seal(f, false);
    assert_int_equal(fremovexattr(fd, "trusted.overlay.opaque"), 0);
    (void)close(fd);
    assert_string_equal(compare(f, s.digest, false, 0), "d: its extended attributes are others\n");
}

static void a_damaged_seal_is_told(void **state) {
    struct fixture *f = *state;
    struct error e = {};

    put(f, "file", "x");
    struct seal s = seal(f, false);
    s.digest[DIGEST_TEXT - 2] = s.digest[DIGEST_TEXT - 2] == '0' ? '1' : '0';
    assert_int_equal(seal_compare(f->fd, f->tree, s.digest, false, on_difference, f, &e), -EBADMSG);
    assert_string_equal(e.text, "its seal is damaged");
    assert_int_equal(f->found.length, 0);
}

static void a_checksum_does_not_depend_on_pieces(void **state _unused_) {
    unsigned char data[100];
    struct checksum whole = CHECKSUM_INIT;

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)(i * 37);
    checksum_update(&whole, data, sizeof(data));
    for (size_t piece = 1; piece < sizeof(data); piece++) {
        struct checksum c = CHECKSUM_INIT;
        for (size_t at = 0; at < sizeof(data); at += piece)
            checksum_update(&c, data + at, MIN(piece, sizeof(data) - at));
        assert_int_equal(checksum_value(&c), checksum_value(&whole));
    }
    /* Every bit counts, and so does a zero at the end. */
    for (size_t bit = 0; bit < sizeof(data) * 8; bit++) {
        struct checksum c = CHECKSUM_INIT;
        data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        checksum_update(&c, data, sizeof(data));
        assert_true(checksum_value(&c) != checksum_value(&whole));
        data[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    struct checksum longer = whole;
    checksum_update(&longer, "", 1);
    assert_true(checksum_value(&longer) != checksum_value(&whole));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_in_the_order_of_the_walk, setup, teardown),
        cmocka_unit_test_setup_teardown(files_with_several_names_count_once, setup, teardown),
        cmocka_unit_test_setup_teardown(contents_are_compared_where_the_seal_has_them, setup, teardown),
        cmocka_unit_test_setup_teardown(overlays_marks_count, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_seal_is_told, setup, teardown),
        cmocka_unit_test(a_checksum_does_not_depend_on_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
