/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image/store.h and image/blob.h: the store's rules, in a temporary directory. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "base/fs.h"
#include "image/blob.h"
#include "image/image.h"

#define CONFIG_TEXT \
    "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"/bin/sh\"],\"Env\":[\"A=1\"]," \
    "\"StopSignal\":\"SIGINT\",\"User\":\"www\"},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}"
#define MANIFEST_TEXT \
    "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" OCI_MEDIA_CONFIG \
    "\",\"digest\":\"%s\",\"size\":%zu}," \
    "\"layers\":[{\"mediaType\":\"" OCI_MEDIA_LAYER "\",\"digest\":\"%s\",\"size\":1}]}"

struct place {
    char *directory;
    struct store store;
};

static int setup(void **state) {
    struct place *p = calloc(1, sizeof(*p));
    char template[] = "/tmp/davit-test-store-XXXXXX";

    assert_non_null(p);
    assert_non_null(mkdtemp(template));
    p->directory = strdup(template);
    assert_int_equal(store_open(template, true, &p->store, NULL), 0);
    *state = p;
    return 0;
}

static int teardown(void **state) {
    struct place *p = *state;

    store_done(&p->store);
    assert_int_equal(remove_tree(AT_FDCWD, p->directory), 0);
    free(p->directory);
    free(p);
    return 0;
}

static bool exists(struct place *p, const char *name) {
    struct stat st;
    return fstatat(p->store.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool work_is_empty(struct place *p) {
    /* A directory with nothing in it can be removed, and made again. */
    return unlinkat(p->store.fd, "work", AT_REMOVEDIR) == 0 && mkdirat(p->store.fd, "work", 0700) == 0;
}

/* A layer with one file, whose diffID is that of text; not committed. */
static struct layer_writer make_layer(struct place *p, const char *text) {
    struct layer_writer w = LAYER_WRITER_NONE;
    struct layer_info info = {.entries = 1, .size = strlen(text)};

    assert_int_equal(layer_begin(&p->store, LAYER_TREE, &w, NULL), 0);
    assert_int_equal(file_write_atomic(w.tree_fd, "file", text, strlen(text), 0644, false), 0);
    hash_data(text, strlen(text), info.diff_id);
    assert_int_equal(layer_finish(&w, &info, NULL), 0);
    return w;
}

static void put_layer(struct place *p, const char *text, char diff_id[static DIGEST_TEXT]) {
    struct layer_writer w = make_layer(p, text);

    memcpy(diff_id, w.info.diff_id, DIGEST_TEXT);
    assert_int_equal(layers_commit(&p->store, &w, 1, NULL), 0);
}

/* Documents of an image with one layer; ret_manifest is its digest. */
static void put_documents(struct place *p, const char *diff_id, char ret_manifest[static DIGEST_TEXT]) {
    char config[DIGEST_TEXT];
    _cleanup_free_ char *text = strf(CONFIG_TEXT, diff_id), *manifest = NULL;

    assert_int_equal(blob_put(&p->store, text, strlen(text), config, NULL), 0);
    manifest = strf(MANIFEST_TEXT, config, strlen(text), diff_id);
    assert_int_equal(blob_put(&p->store, manifest, strlen(manifest), ret_manifest, NULL), 0);
}

static void put_image(
    struct place *p, const char *name, const char *text, char ret_manifest[static DIGEST_TEXT]) {
    char diff_id[DIGEST_TEXT];
    char *names[] = {(char *)name, NULL};
    struct error e = {};

    put_layer(p, text, diff_id);
    put_documents(p, diff_id, ret_manifest);
    if (store_image_commit(&p->store, ret_manifest, names, NULL, &e) < 0)
        fail_msg("%s: %s", name, e.text);
}

/* ---- opening ---- */

static void a_directory_without_a_store_is_none(void **state) {
    struct place *p = *state;
    _cleanup_free_ char *path = path_join(p->directory, "plain");
    struct store s = {.fd = 77};
    struct error e = {};

    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(store_open(path, false, &s, &e), -ENOENT);
    assert_int_equal(s.fd, 77);
    assert_true(store_owns_name("blobs"));
    assert_true(store_owns_name("layers/x"));
    assert_false(store_owns_name("layer"));
    assert_false(store_owns_name("blobs2"));
}

static void the_lock_keeps_others_out(void **state) {
    struct place *p = *state;
    struct error e = {};

    int shared = store_lock(&p->store, LOCK_SH, 0, &e);
    assert_true(shared >= 0);
    assert_int_equal(store_lock(&p->store, LOCK_EX, 0, &e), -EBUSY);
    close(shared);
    int whole = store_lock(&p->store, LOCK_EX, 0, &e);
    assert_true(whole >= 0);
    close(whole);
}

/* ---- blobs ---- */

static void a_blob_is_named_by_what_is_in_it(void **state) {
    struct place *p = *state;
    _cleanup_free_ char *text = NULL;
    char digest[DIGEST_TEXT];
    struct blob_writer w;
    size_t n;

    assert_int_equal(blob_begin(&p->store, NULL, UINT64_MAX, &w, NULL), 0);
    assert_int_equal(blob_write(&w, "ab", 2, NULL), 0);
    assert_int_equal(blob_write(&w, "c", 1, NULL), 0);
    assert_int_equal(blob_commit(&w, digest, NULL), 0);
    /* From FIPS 180-2, appendix B.1. */
    assert_string_equal(digest, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(blob_read(&p->store, digest, 10, &text, &n, NULL), 0);
    assert_string_equal(text, "abc");
    assert_int_equal(blob_read(&p->store, digest, 2, &text, &n, NULL), -EFBIG);
    assert_int_equal(blob_begin(&p->store, digest, 3, &w, NULL), -EEXIST);
    assert_true(work_is_empty(p));
}

static void a_blob_with_another_digest_is_refused_and_gone(void **state) {
    struct place *p = *state;
    char digest[DIGEST_TEXT], other[DIGEST_TEXT];
    struct blob_writer w;
    struct error e = {};

    hash_data("abc", 3, digest);
    assert_int_equal(blob_begin(&p->store, digest, 3, &w, &e), 0);
    assert_int_equal(blob_write(&w, "abcd", 4, &e), -EFBIG);
    assert_int_equal(blob_write(&w, "abd", 3, &e), 0);
    assert_int_equal(blob_commit(&w, other, &e), -EBADMSG);
    assert_int_equal(blob_open(&p->store, digest, NULL, NULL), -ENOENT);
    assert_true(work_is_empty(p));
}

static void a_blob_goes_on_where_its_writer_died(void **state) {
    struct place *p = *state;
    char digest[DIGEST_TEXT], done[DIGEST_TEXT];
    struct blob_writer w, second;
    struct error e = {};

    hash_data("abcdef", 6, digest);
    assert_int_equal(blob_begin(&p->store, digest, 6, &w, &e), 0);
    assert_int_equal(blob_write(&w, "abc", 3, &e), 0);
    assert_int_equal(blob_begin(&p->store, digest, 6, &second, &e), -EBUSY);
    assert_int_equal(blob_commit(&w, done, &e), -ENODATA);
    blob_abort(&w, true);
    assert_int_equal(blob_begin(&p->store, digest, 6, &w, &e), 0);
    assert_int_equal(w.offset, 3);
    assert_int_equal(blob_write(&w, "def", 3, &e), 0);
    assert_int_equal(blob_commit(&w, done, &e), 0);
    assert_string_equal(done, digest);
    assert_true(work_is_empty(p));
}

/* ---- layers ---- */

static void a_layer_is_there_whole_or_not_at_all(void **state) {
    struct place *p = *state;
    struct layer_writer w = make_layer(p, "one");
    struct layer_info info;
    char diff_id[DIGEST_TEXT];

    memcpy(diff_id, w.info.diff_id, sizeof(diff_id));
    assert_int_equal(layer_find(&p->store, diff_id, NULL, NULL), -ENOENT);
    assert_int_equal(layers_commit(&p->store, &w, 1, NULL), 0);
    assert_int_equal(w.directory_fd, -1);
    assert_int_equal(layer_find(&p->store, diff_id, &info, NULL), 0);
    assert_int_equal(info.kind, LAYER_TREE);
    assert_int_equal(info.size, 3);
    _cleanup_free_ char *path = layer_path(&p->store, diff_id, info.kind);
    _cleanup_free_ char *file = path_join(path, "file");
    assert_int_equal(access(file, F_OK), 0);
    w = make_layer(p, "two");
    layer_abort(&w);
    layer_abort(&w);
    assert_true(work_is_empty(p));
}

static void a_layer_that_came_twice_is_kept_once(void **state) {
    struct place *p = *state;
    struct layer_writer w[2] = {make_layer(p, "same"), make_layer(p, "same")};

    assert_int_equal(layers_commit(&p->store, w, 2, NULL), 0);
    assert_int_equal(layer_find(&p->store, w[0].info.diff_id, NULL, NULL), 0);
    assert_true(work_is_empty(p));
}

static void a_layer_that_lies_about_itself_is_damaged(void **state) {
    struct place *p = *state;
    char diff_id[DIGEST_TEXT], other[DIGEST_TEXT];
    _cleanup_free_ char *from = NULL, *to = NULL;
    struct error e = {};

    put_layer(p, "one", diff_id);
    hash_data("two", 3, other);
    from = strf("layers/%s", digest_hex(diff_id));
    to = strf("layers/%s", digest_hex(other));
    assert_int_equal(renameat(p->store.fd, from, p->store.fd, to), 0);
    assert_int_equal(layer_find(&p->store, other, NULL, &e), -EBADMSG);
    assert_int_equal(layer_find(&p->store, "sha256:../../etc", NULL, &e), -EINVAL);
}

/* ---- references and uses ---- */

static void references_are_listed_by_name(void **state) {
    struct place *p = *state;
    char one[DIGEST_TEXT], two[DIGEST_TEXT];
    struct store_reference *l;
    struct error e = {};
    size_t n;

    put_image(p, "r.example/team/web:1", "one", one);
    put_image(p, "localhost/web:latest", "two", two);
    assert_true(exists(p, "references/r.example+team+web:1"));
    assert_int_equal(store_reference_list(&p->store, &l, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_string_equal(l[0].name, "localhost/web:latest");
    assert_string_equal(l[1].name, "r.example/team/web:1");
    assert_string_equal(l[1].manifest, one);
    assert_string_equal(l[1].source, one);
    store_references_free(l, n);
    assert_int_equal(store_reference_remove(&p->store, "localhost/web:latest", &e), 0);
    assert_int_equal(store_reference_remove(&p->store, "localhost/web:latest", &e), -ENOENT);
}

static void a_damaged_reference_hides_no_other(void **state) {
    struct place *p = *state;
    char one[DIGEST_TEXT];
    struct store_reference *l, r;
    struct error e = {};
    size_t n;

    put_image(p, "localhost/web:latest", "one", one);
    assert_int_equal(file_write_atomic(p->store.fd, "references/localhost+x:1", "{", 1, 0600, false), 0);
    assert_int_equal(store_reference_list(&p->store, &l, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_int_equal(e.number, EINVAL);
    assert_non_null(strstr(e.text, "localhost+x:1"));
    store_references_free(l, n);
    assert_int_equal(store_reference_get(&p->store, "localhost/x:1", &r, &e), -EBADMSG);
    assert_int_equal(store_reference_get(&p->store, "../x", &r, &e), -EINVAL);
}

static void a_unit_keeps_its_image_and_the_one_before(void **state) {
    struct place *p = *state;
    char one[DIGEST_TEXT], two[DIGEST_TEXT], three[DIGEST_TEXT];
    _cleanup_strv_free_ char **units = NULL;
    struct store_use use;
    struct error e = {};

    hash_data("1", 1, one);
    hash_data("2", 1, two);
    hash_data("3", 1, three);
    assert_int_equal(store_use_set(&p->store, "web.container", one, &e), 0);
    assert_int_equal(store_use_set(&p->store, "web.container", one, &e), 0);
    assert_int_equal(store_use_get(&p->store, "web.container", &use, &e), 0);
    assert_string_equal(use.current, one);
    assert_string_equal(use.previous, "");
    assert_int_equal(store_use_set(&p->store, "web.container", two, &e), 0);
    assert_int_equal(store_use_set(&p->store, "web.container", three, &e), 0);
    assert_int_equal(store_use_get(&p->store, "web.container", &use, &e), 0);
    assert_string_equal(use.current, three);
    assert_string_equal(use.previous, two);
    assert_int_equal(store_use_list(&p->store, &units, &e), 0);
    assert_int_equal(strv_length(units), 1);
    assert_int_equal(store_use_set(&p->store, "../x", one, &e), -EINVAL);
    assert_int_equal(store_use_remove(&p->store, "web.container", &e), 0);
    assert_int_equal(store_use_get(&p->store, "web.container", &use, &e), -ENOENT);
}

/* ---- images ---- */

static void an_image_is_found_by_what_people_write(void **state) {
    struct place *p = *state;
    char one[DIGEST_TEXT], two[DIGEST_TEXT], found[DIGEST_TEXT];
    struct error e = {};

    put_image(p, "r.example/team/web:1", "one", one);
    put_image(p, "localhost/db:latest", "two", two);
    _cleanup_free_ char *by_digest = strf("elsewhere.example/x@%s", one);
    _cleanup_free_ char *by_id = strndup(digest_hex(one), 12);
    const struct {
        const char *text, *manifest;
    } table[] = {
        {"r.example/team/web:1", one},
        {"team/web:1", one},
        {"web:1", one},
        {"db", two},
        {"localhost/db", two},
        {by_digest, one},
        {one, one},
        {by_id, one},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        if (store_image_find(&p->store, table[i].text, found, NULL, &e) < 0)
            fail_msg("%s: %s", table[i].text, e.text);
        assert_string_equal(found, table[i].manifest);
    }
    assert_int_equal(store_image_find(&p->store, "web", found, NULL, &e), -ENOENT);
    assert_int_equal(store_image_find(&p->store, "other.example/web:1", found, NULL, &e), -ENOENT);
    put_image(p, "s.example/web:1", "three", one);
    assert_int_equal(store_image_find(&p->store, "web:1", found, NULL, &e), -EEXIST);
    assert_non_null(strstr(e.text, "s.example/web:1"));
}

static void an_image_without_all_its_layers_gets_no_name(void **state) {
    struct place *p = *state;
    char diff_id[DIGEST_TEXT], manifest[DIGEST_TEXT];
    char *names[] = {(char *)"localhost/web:latest", NULL};
    struct store_reference r;
    struct error e = {};

    hash_data("missing", 7, diff_id);
    put_documents(p, diff_id, manifest);
    assert_int_equal(store_image_commit(&p->store, manifest, names, NULL, &e), -ESTALE);
    assert_non_null(strstr(e.text, diff_id));
    assert_int_equal(store_reference_get(&p->store, names[0], &r, NULL), -ENOENT);
    assert_int_equal(store_image_commit(&p->store, diff_id, names, NULL, &e), -ESTALE);
}

static void an_image_resolves_to_layers_and_defaults(void **state) {
    struct place *p = *state;
    char *roots[] = {(char *)"/nonexistent", p->directory, NULL};
    _cleanup_(image_done) struct image i = {};
    char manifest[DIGEST_TEXT];
    struct error e = {};
    struct stat st;

    put_image(p, "localhost/web:latest", "one", manifest);
    if (image_resolve(roots, "web", &i, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(strv_length(i.layers), 1);
    assert_int_equal(stat(i.layers[0], &st), 0);
    assert_string_equal(i.cmd[0], "/bin/sh");
    assert_string_equal(i.environment[0], "A=1");
    assert_string_equal(i.user, "www");
    assert_int_equal(i.stop_signal, 2);
    assert_string_equal(i.manifest, manifest);
    assert_string_equal(i.root, p->directory);
    /* The store's own directories are no images. */
    assert_int_equal(image_resolve(roots, "blobs", &i, &e), -ENOENT);
}

/* A ".wh..wh..opq" at the top of a layer. */
static void a_layer_whose_root_is_opaque_hides_those_below(void **state) {
    struct place *p = *state;
    char *roots[] = {p->directory, NULL}, *names[] = {(char *)"localhost/web:latest", NULL};
    char low[DIGEST_TEXT], high[DIGEST_TEXT], config[DIGEST_TEXT], manifest[DIGEST_TEXT];
    _cleanup_(image_done) struct image i = {};
    struct error e = {};

    put_layer(p, "low", low);
    put_layer(p, "high", high);
    _cleanup_free_ char *tree = layer_path(&p->store, high, LAYER_TREE);
    if (setxattr(tree, "trusted.overlay.opaque", "y", 1, 0) < 0)
        skip(); /* not root, or a file system without it */
    _cleanup_free_ char *text =
        strf("{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\",\"%s\"]}}", low, high);
    assert_int_equal(blob_put(&p->store, text, strlen(text), config, NULL), 0);
    _cleanup_free_ char *document =
        strf("{\"schemaVersion\":2,\"config\":{\"digest\":\"%s\",\"size\":1},\"layers\":["
             "{\"digest\":\"%s\",\"size\":1},{\"digest\":\"%s\",\"size\":1}]}",
            config, low, high);
    assert_int_equal(blob_put(&p->store, document, strlen(document), manifest, NULL), 0);
    assert_int_equal(store_image_commit(&p->store, manifest, names, NULL, &e), 0);
    if (image_resolve(roots, "web", &i, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(strv_length(i.layers), 1);
    assert_string_equal(i.layers[0], tree);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_directory_without_a_store_is_none),
        TEST(the_lock_keeps_others_out),
        TEST(a_blob_is_named_by_what_is_in_it),
        TEST(a_blob_with_another_digest_is_refused_and_gone),
        TEST(a_blob_goes_on_where_its_writer_died),
        TEST(a_layer_is_there_whole_or_not_at_all),
        TEST(a_layer_that_came_twice_is_kept_once),
        TEST(a_layer_that_lies_about_itself_is_damaged),
        TEST(references_are_listed_by_name),
        TEST(a_damaged_reference_hides_no_other),
        TEST(a_unit_keeps_its_image_and_the_one_before),
        TEST(an_image_is_found_by_what_people_write),
        TEST(an_image_without_all_its_layers_gets_no_name),
        TEST(an_image_resolves_to_layers_and_defaults),
        TEST(a_layer_whose_root_is_opaque_hides_those_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
