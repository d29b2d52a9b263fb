/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image/: names to layer directories, in a temporary directory of this test's own. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/fs.h"
#include "image/conf.h"

struct place {
    char *directory; /* the temporary directory */
    char *roots[3];  /* DIRECTORY/a, DIRECTORY/b */
};

static void put_directory(const char *directory, const char *name) {
    _cleanup_free_ char *path = path_join(directory, name);

    assert_int_equal(mkdir_parents(AT_FDCWD, path, 0755), 0);
}

static void put_file(const char *directory, const char *name, const char *text, size_t n) {
    _cleanup_free_ char *path = path_join(directory, name);

    assert_int_equal(file_write_atomic(AT_FDCWD, path, text, n, 0644, false), 0);
}

static void put_text(const char *directory, const char *name, const char *text) {
    put_file(directory, name, text, strlen(text));
}

static int setup(void **state) {
    struct place *p = calloc(1, sizeof(*p));
    char template[] = "/tmp/davit-test-image-XXXXXX";

    assert_non_null(p);
    assert_non_null(mkdtemp(template));
    p->directory = strdup(template);
    put_directory(template, "a");
    put_directory(template, "b");
    p->roots[0] = path_join(template, "a");
    p->roots[1] = path_join(template, "b");
    *state = p;
    return 0;
}

static int teardown(void **state) {
    struct place *p = *state;

    assert_int_equal(remove_tree(AT_FDCWD, p->directory), 0);
    free(p->roots[0]);
    free(p->roots[1]);
    free(p->directory);
    free(p);
    return 0;
}

/* Resolves and expects these layers, each DIRECTORY/..., in this order. */
static void expect_layers(struct place *p, const char *name, const char *const *wanted) {
    _cleanup_(image_done) struct image i = {0};
    struct error e = {0};
    size_t n = 0;

    if (image_resolve(p->roots, name, &i, &e) < 0)
        fail_msg("%s: %s", name, e.text);
    for (; wanted[n]; n++) {
        _cleanup_free_ char *path = path_join(p->directory, wanted[n]);

        assert_non_null(i.layers[n]);
        assert_string_equal(i.layers[n], path);
    }
    assert_int_equal(strv_length(i.layers), n);
}
#define EXPECT_LAYERS(p, name, ...) expect_layers(p, name, (const char *const[]){__VA_ARGS__, NULL})

/* Expects this errno, a text that contains `part`, and an untouched result. */
static void expect_error(struct place *p, const char *name, int number, const char *part) {
    struct image i = {.stop_signal = 77};
    struct error e = {0};
    int r = image_resolve(p->roots, name, &i, &e);

    if (r != -number || e.number != number || !strstr(e.text, part))
        fail_msg("\"%s\": %d \"%s\", expected %d \"%s\"", name, r, e.text, -number, part);
    assert_null(i.layers);
    assert_int_equal(i.stop_signal, 77);
}

static void absolute_directory(void **state) {
    struct place *p = *state;
    _cleanup_free_ char *plain = path_join(p->directory, "root/"), *missing = path_join(p->directory, "none");
    _cleanup_free_ char *file = path_join(p->directory, "file"),
                        *up = path_join(p->directory, "root/../root");

    put_directory(p->directory, "root");
    put_text(p->directory, "file", "");
    EXPECT_LAYERS(p, plain, "root");
    expect_error(p, missing, ENOENT, "none");
    expect_error(p, file, ENOTDIR, "is not a directory");
    expect_error(p, up, EINVAL, "..");
}

/* A "layers" file in a root file system that was named by its path is a file like any other. */
static void absolute_directory_is_never_a_list(void **state) {
    struct place *p = *state;
    _cleanup_free_ char *path = path_join(p->directory, "root");

    put_directory(p->directory, "root");
    put_text(p->directory, "root/layers", "/etc\n");
    EXPECT_LAYERS(p, path, "root");
}

static void colon_list(void **state) {
    struct place *p = *state;
    _cleanup_free_ char *list = strf("%s/one:%s/two", p->directory, p->directory);
    _cleanup_free_ char *twice = strf("%s/one:%s//one/", p->directory, p->directory);
    _cleanup_free_ char *relative = strf("%s/one:two", p->directory),
                        *literal = path_join(p->directory, "with:colon");

    put_directory(p->directory, "one");
    put_directory(p->directory, "two");
    EXPECT_LAYERS(p, list, "one", "two");
    expect_error(p, twice, EINVAL, "twice");
    expect_error(p, relative, EINVAL, "\"two\"");
    put_directory(p->directory, "with:colon");
    EXPECT_LAYERS(p, literal, "with:colon");
}

static void below_roots_in_order(void **state) {
    struct place *p = *state;

    put_directory(p->roots[1], "debian");
    EXPECT_LAYERS(p, "debian", "b/debian");
    put_directory(p->roots[0], "debian");
    EXPECT_LAYERS(p, "debian", "a/debian");
    put_directory(p->roots[1], "docker.io/library/alpine:3");
    EXPECT_LAYERS(p, "docker.io/library/alpine:3", "b/docker.io/library/alpine:3");
    put_text(p->roots[0], "file", "");
    expect_error(p, "file", ENOTDIR, "a/file");
    /* A file that is in the way of a longer name in one root does not hide the other root. */
    put_directory(p->roots[1], "file/inner");
    EXPECT_LAYERS(p, "file/inner", "b/file/inner");
}

static void tag_latest_is_optional(void **state) {
    struct place *p = *state;

    put_directory(p->roots[0], "web");
    EXPECT_LAYERS(p, "web:latest", "a/web");
    put_directory(p->roots[1], "web:latest");
    EXPECT_LAYERS(p, "web:latest", "b/web:latest");
    expect_error(p, "web:1.2", ENOENT, "web:1.2");
    expect_error(p, ":latest", ENOENT, ":latest");
}

static void missing_image_names_the_roots(void **state) {
    struct place *p = *state;
    _cleanup_free_ char *roots = strf("%s, %s", p->roots[0], p->roots[1]);
    struct image i;
    struct error e = {0};

    expect_error(p, "nothing", ENOENT, roots);
    expect_error(p, "nothing:latest", ENOENT, "nothing:latest or nothing in");
    assert_int_equal(image_resolve(NULL, "nothing", &i, &e), -ENOENT);
    assert_non_null(strstr(e.text, "image_roots"));
}

static void bad_names(void **state) {
    static const char *const names[] = {
        "", ".", "..", ".hidden", "../x", "a/../b", "a/..", "a/./b", "a//b", "a/", "x\ny", "\033[1m"};
    struct place *p = *state;
    _cleanup_free_ char *long_name = calloc(1, 5000);

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        expect_error(p, names[i], EINVAL, "image");
    memset(long_name, 'x', 4999);
    expect_error(p, long_name, ENAMETOOLONG, "longer");
}

static void layers_file(void **state) {
    struct place *p = *state;
    _cleanup_free_ char *absolute = strf("# comment\n\n  base  \n%s/shared\ntop", p->directory);

    put_directory(p->directory, "shared");
    put_directory(p->roots[0], "app/base");
    put_directory(p->roots[0], "app/top");
    put_text(p->roots[0], "app/layers", absolute);
    EXPECT_LAYERS(p, "app", "a/app/base", "shared", "a/app/top");
    put_text(p->roots[0], "app/layers", "base\n# none\nmissing\n");
    expect_error(p, "app", ENOENT, "layers:3");
    put_text(p->roots[0], "app/layers", "base\nbase\n");
    expect_error(p, "app", EINVAL, "twice");
    put_text(p->roots[0], "app/layers", "../app/base\n");
    expect_error(p, "app", EINVAL, "layers:1");
    put_text(p->roots[0], "app/layers", "\n#\n");
    expect_error(p, "app", EINVAL, "no layer");
    put_file(p->roots[0], "app/layers", "base\0x\n", 7);
    expect_error(p, "app", EINVAL, "NUL");
}

/* A foreign root file system may bring a link of that name: it must not make us read another file. */
static void layers_link_is_not_followed(void **state) {
    struct place *p = *state;
    _cleanup_free_ char *link = path_join(p->roots[0], "evil/layers");

    put_directory(p->roots[0], "evil");
    put_text(p->directory, "list", "/etc\n");
    assert_int_equal(symlink("../../list", link), 0);
    EXPECT_LAYERS(p, "evil", "a/evil");
}

static void too_many_layers(void **state) {
    struct place *p = *state;
    _cleanup_strbuf_ struct strbuf list = {0};
    _cleanup_(image_done) struct image i = {0};
    _cleanup_free_ char *text = NULL;

    for (int k = 0; k <= IMAGE_MAX_LAYERS; k++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "big/%d", k);
        put_directory(p->roots[0], name);
        strbuf_printf(&list, "%d\n", k);
        if (k == IMAGE_MAX_LAYERS - 1) {
            put_file(p->roots[0], "big/layers", list.data, list.length);
            assert_int_equal(image_resolve(p->roots, "big", &i, NULL), 0);
            assert_int_equal(strv_length(i.layers), IMAGE_MAX_LAYERS);
        }
    }
    text = strbuf_take(&list);
    put_text(p->roots[0], "big/layers", text);
    expect_error(p, "big", E2BIG, "499");
}

static void conf_file(void **state) {
    struct place *p = *state;
    _cleanup_(image_done) struct image i = {0};
    struct error e = {0};

    put_directory(p->roots[0], "app/base");
    put_text(p->roots[0], "app/layers", "base\n");
    put_text(p->roots[0], "app/image.conf",
        "; defaults\n"
        "[Other]\nAnything=goes\nnot even a key\n"
        "[Image]\n"
        "Entrypoint=/bin/server \"two words\"\n"
        "Cmd=-v\n"
        "Environment=A=1 \"B=two words\"\n"
        "Environment=A=3\n"
        "WorkingDir = /srv\n"
        "User=www-data:www-data\n"
        "StopSignal=SIGQUIT\n");
    if (image_resolve(p->roots, "app", &i, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(strv_length(i.entrypoint), 2);
    assert_string_equal(i.entrypoint[0], "/bin/server");
    assert_string_equal(i.entrypoint[1], "two words");
    assert_string_equal(i.cmd[0], "-v");
    assert_string_equal(strv_env_get(i.environment, "A"), "3");
    assert_string_equal(strv_env_get(i.environment, "B"), "two words");
    assert_string_equal(i.working_dir, "/srv");
    assert_string_equal(i.user, "www-data:www-data");
    assert_int_equal(i.stop_signal, SIGQUIT);
}

static void conf_errors(void **state) {
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"[Image]\n\nColour=red\n", "line 3: unknown key \"Colour\""},
        {"Cmd=x\n", "line 1: \"Cmd=x\" stands before"},
        {"[Image]\nCmd\n", "line 2: \"Cmd\" is not of the form"},
        {"[Image]\n=x\n", "line 2: \"=x\" is not of the form"},
        {"[Image\n", "line 1: \"[Image\" is not a section header"},
        {"[Image]\nStopSignal=SIGNOPE\n", "line 2: StopSignal=SIGNOPE"},
        {"[Image]\nWorkingDir=srv\n", "line 2: WorkingDir=srv"},
        {"[Image]\nEnvironment=A\n", "line 2: Environment=A"},
        {"[Image]\nEnvironment==1\n", "line 2: Environment==1"},
        {"[Image]\nCmd=\"open\n", "line 2: Cmd="},
    };
    struct place *p = *state;

    put_directory(p->roots[0], "app/base");
    put_text(p->roots[0], "app/layers", "base\n");
    for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
        put_text(p->roots[0], "app/image.conf", cases[k].text);
        expect_error(p, "app", EINVAL, cases[k].part);
    }
    put_file(p->roots[0], "app/image.conf", "[Image]\nUser=a\0b\n", 17);
    expect_error(p, "app", EINVAL, "NUL");
}

static void conf_empty_value_resets(void **state) {
    static const char text[] =
        "[Image]\nEntrypoint=a\nCmd=b\nEnvironment=C=d\nWorkingDir=/e\nUser=f\nStopSignal=9\n"
        "Entrypoint=\nCmd=\nEnvironment=\nWorkingDir=\nUser=\nStopSignal=\n";
    _cleanup_(image_done) struct image i = {0};

    (void)state;
    assert_int_equal(image_conf_parse(text, sizeof(text) - 1, &i, NULL), 0);
    assert_int_equal(strv_length(i.entrypoint) + strv_length(i.cmd) + strv_length(i.environment), 0);
    assert_null(i.working_dir);
    assert_null(i.user);
    assert_int_equal(i.stop_signal, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(absolute_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(absolute_directory_is_never_a_list, setup, teardown),
        cmocka_unit_test_setup_teardown(colon_list, setup, teardown),
        cmocka_unit_test_setup_teardown(below_roots_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(tag_latest_is_optional, setup, teardown),
        cmocka_unit_test_setup_teardown(missing_image_names_the_roots, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_names, setup, teardown),
        cmocka_unit_test_setup_teardown(layers_file, setup, teardown),
        cmocka_unit_test_setup_teardown(layers_link_is_not_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_layers, setup, teardown),
        cmocka_unit_test_setup_teardown(conf_file, setup, teardown),
        cmocka_unit_test_setup_teardown(conf_errors, setup, teardown),
        cmocka_unit_test(conf_empty_value_resets),
    };

    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
