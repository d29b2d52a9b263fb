/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Specifiers, names and their escaping, environment files, and variables in command lines. */
#include "unit-support.h"

#include <fcntl.h>
#include <sys/utsname.h>

#include "base/fs.h"
#include "base/id128.h"
#include "unit/expand.h"
#include "unit/name.h"
#include "unit/specifier.h"

static char *expand(const char *name, const char *text) {
    const struct unit_environment env = {.runtime_dir = "/run/d", .config_dir = "/etc/d"};
    const struct specifier_context c = {.env = &env, .name = name, .fragment = "/etc/units/x.container"};
    struct error e = {0};
    char *result = NULL;
    return specifier_expand(&c, text, &result, &e) < 0 ? NULL : result;
}

static void check_expansion(const char *name, const char *text, const char *expected) {
    _cleanup_free_ char *result = expand(name, text);
    if (!streq_ptr(result, expected))
        fail_msg("%s in %s is \"%s\", not \"%s\"", text, name, result ?: "(error)", expected ?: "(error)");
}

static void test_names_in_specifiers(void **state _unused_) {
    static const struct {
        const char *name, *text, *expected;
    } cases[] = {
        {"web.container", "%n|%N|%p|%P|%i|%I|%j|%J|%f", "web.container|web|web|web|||web|web|/web"},
        {"a-b-c@x-y.container", "%n", "a-b-c@x-y.container"},
        {"a-b-c@x-y.container", "%N|%p|%P|%i|%I|%j|%J|%f", "a-b-c@x-y|a-b-c|a/b/c|x-y|x/y|c|c|/x/y"},
        {"w@.container", "<%i>", "<>"},
        {"w@a\\x2db.container", "%i|%I|%f", "a\\x2db|a-b|/a-b"},
        {"w@-a.container", "%f", "/a"},
        {"a@b@c.container", "%p|%i", "a|b@c"},
        {"x.container", "%y|%Y", "/etc/units/x.container|/etc/units"},
        {"x.container", "%t|%S|%C|%L|%E|%T|%V|%D",
            "/run/d|/var/lib|/var/cache|/var/log|/etc/d|/tmp|/var/tmp|/usr/share"},
        {"x.container", "%u|%U|%g|%G|%h|%s", "root|0|root|0|/root|/bin/sh"},
        {"x.container", "%%n %%%n", "%n %x.container"},
        {"x.container", "100%", "100%"},
        {"x.container", "50%, 3% x", "50%, 3% x"},
        {"x.container", "", ""},
        {"x.container", "%Z", NULL},
        {"x.container", "%d", NULL},
        {"w@a\\x0.container", "%I", NULL},
        {"w@a\\x00.container", "%I", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        check_expansion(cases[i].name, cases[i].text, cases[i].expected);
}

static void test_machine_specifiers(void **state _unused_) {
    struct utsname u;
    char boot[ID128_TEXT];

    assert_int_equal(uname(&u), 0);
    check_expansion("x.container", "%H", u.nodename);
    check_expansion("x.container", "%v", u.release);
    assert_int_equal(id128_boot(boot), 0);
    check_expansion("x.container", "%b", boot);
    u.nodename[strcspn(u.nodename, ".")] = '\0';
    check_expansion("x.container", "%l", u.nodename);
#ifdef __x86_64__
    check_expansion("x.container", "%a", "x86-64");
#endif
    /* fields of os-release may be missing, and are empty then: never an error */
    _cleanup_free_ char *fields = expand("x.container", "%o%w%W%B%M%A%q");
    assert_non_null(fields);
}

static void test_expansion_limit(void **state _unused_) {
    _cleanup_strbuf_ struct strbuf b = {0};
    struct specifier_context c = {.name = "x.container"};
    char *result = NULL;
    for (int i = 0; i < 30000; i++)
        strbuf_puts(&b, "%n");
    assert_int_equal(specifier_expand(&c, b.data, &result, NULL), -E2BIG);
    assert_null(result);
}

static void test_escaping(void **state _unused_) {
    static const char *const cases[][2] = {{"a/b", "a-b"}, {"a-b", "a\\x2db"}, {".a", "\\x2ea"},
        {"a.b_c:d", "a.b_c:d"}, {"a b", "a\\x20b"}, {"", ""}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *escaped = NULL, *back = NULL;
        assert_int_equal(unit_name_escape(cases[i][0], &escaped), 0);
        assert_string_equal(escaped, cases[i][1]);
        assert_int_equal(unit_name_unescape(escaped, &back), 0);
        assert_string_equal(back, cases[i][0]);
    }
    char *bad = NULL;
    assert_int_equal(unit_name_unescape("a\\x2", &bad), -EINVAL);
    assert_int_equal(unit_name_unescape("a\\q", &bad), -EINVAL);
    assert_int_equal(unit_name_unescape("\\", &bad), -EINVAL);
}

static void test_valid_names(void **state _unused_) {
    char longest[UNIT_NAME_MAX + 2];

    assert_true(unit_name_is_valid("web.container"));
    assert_true(unit_name_is_valid("a.b-c_d:e\\x20@f@g.service"));
    assert_true(unit_name_is_valid("w@.container"));
    assert_true(name_is_template("w@.container"));
    assert_false(name_is_template("w@a.container"));
    assert_true(name_is_instance("w@a.container"));
    assert_false(name_is_instance("w.container"));
    assert_true(name_is_valid_dependency("dev-sda.device"));
    assert_false(unit_name_is_valid("dev-sda.device"));

    memset(longest, 'a', sizeof(longest));
    strcpy(longest + UNIT_NAME_MAX - strlen(".target"), ".target");
    assert_true(unit_name_is_valid(longest));
    memset(longest, 'a', sizeof(longest));
    strcpy(longest + UNIT_NAME_MAX + 1 - strlen(".target"), ".target");
    assert_false(unit_name_is_valid(longest));
}

/* ---- what a person writes for a name ---- */

static bool is_one_of(const char *name, void *data) {
    return strv_contains(data, name);
}

static void test_resolving_names(void **state _unused_) {
    static const char *const cases[][2] = {
        {"web", "web.container"},
        {"web.container", "web.container"},
        {"web.service", "web.container"},
        {"host", "host.service"},
        {"host.service", "host.service"},
        {"both", "both.container"},
        {"both.service", "both.service"},
        {"data", "data.volume"},
        {"data-volume.service", "data.volume"},
        {"default", "default.target"},
        {"w@a", "w@a.container"},
        {"/etc/davit/units/web.container", "web.container"},
        {"./host.service", "host.service"},
        {"nothing", NULL},
        {"nothing.service", NULL},
        {"", NULL},
    };
    _cleanup_strv_free_ char **names = NULL;
    static const char *const known[] = {"web.container", "host.service", "both.container", "both.service",
        "data.volume", "default.target", "w@a.container"};
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        assert_int_equal(strv_append(&names, known[i]), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *found = NULL;
        int r = unit_name_resolve(cases[i][0], is_one_of, names, &found);
        assert_int_equal(r, cases[i][1] ? 0 : -ENOENT);
        if (!streq_ptr(found, cases[i][1]))
            fail_msg("%s is %s", cases[i][0], found ?: "nothing");
    }
}

/* ---- environment files ---- */

static char directory[] = "/tmp/davit-test-env-XXXXXX";

static int make_directory(void **state _unused_) {
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state _unused_) {
    return remove_tree(AT_FDCWD, directory);
}

static void load_text(const char *text, char ***env) {
    _cleanup_free_ char *path = strf("%s/env", directory);
    struct error e = {0};
    assert_int_equal(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, false), 0);
    if (environment_file_load(path, env, &e) < 0)
        fail_msg("%s", e.text);
}

static void test_environment_file(void **state _unused_) {
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", ""},
        {"A=1\nB=2\n", "A=1|B=2"},
        {"A=1", "A=1"},
        {"A=1\r\nB=2\r\n", "A=1|B=2"},
        {"# c\n; c\n\n  A = 1 2  \n", "A=1 2"},
        {"A=1\nA=2\n", "A=2"},
        {"A=\"x y\" # c\n", "A=x y # c"},
        {"A='x \"y\" $z \\n'\n", "A=x \"y\" $z \\n"},
        {"A=\"a\\\"b\\\\c\\$d\\`e\\nf\"\n", "A=a\"b\\c$d`e\\nf"},
        {"A=\"one\ntwo\"\nB=1\n", "A=one\ntwo|B=1"},
        {"A='one\ntwo'\n", "A=one\ntwo"},
        {"A=a\\\nb\n", "A=ab"},
        {"A=a\\ b\\\\c\n", "A=a b\\c"},
        {"A='x'\"y\"z\n", "A=xyz"},
        {"A=  \"  \"  \n", "A=  "},
        {"A=\n", "A="},
        {"# c \\\nA=1\nB=2\n", "B=2"}, /* a comment that goes on */
        {"export A=1\n1A=2\nB-C=3\nD\nE=5\n", "E=5"},
        {"=1\nA=2\n", "A=2"},
        {"A=\"unterminated\n", "A=unterminated\n"},
        {"A=x\\", "A=x\\"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_strv_free_ char **env = NULL;
        load_text(cases[i].text, &env);
        _cleanup_free_ char *all = strv_join(env, "|");
        if (!streq(all, cases[i].expected))
            fail_msg("\"%s\" gives \"%s\", not \"%s\"", cases[i].text, all, cases[i].expected);
    }
}

static void test_environment_files_missing_and_many(void **state _unused_) {
    _cleanup_free_ char *missing = strf("%s/none", directory), *optional = strf("-%s/none", directory),
                        *pattern = strf("%s/*.many", directory), *none = strf("-%s/*.none", directory);
    _cleanup_strv_free_ char **env = NULL;
    struct error e = {0};

    assert_int_equal(environment_file_load(missing, &env, &e), -ENOENT);
    assert_non_null(strstr(e.text, missing));
    assert_int_equal(environment_file_load(missing, &env, NULL), -ENOENT);
    e = (struct error){0};
    assert_int_equal(environment_file_load(optional, &env, &e), 0);
    assert_int_equal(e.number, 0);
    assert_int_equal(environment_file_load(none, &env, &e), 0);
    assert_int_equal(environment_file_load(none + 1, &env, &e), -ENOENT);

    for (int i = 1; i <= 2; i++) {
        _cleanup_free_ char *path = strf("%s/%d.many", directory, i), *text = strf("A=%d\nB%d=x\n", i, i);
        assert_int_equal(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, false), 0);
    }
    assert_int_equal(environment_file_load(pattern, &env, &e), 0);
    assert_string_equal(strv_env_get(env, "A"), "2");
    assert_string_equal(strv_env_get(env, "B1"), "x");
}

static void test_environment_file_must_be_text(void **state _unused_) {
    _cleanup_free_ char *path = strf("%s/binary", directory);
    _cleanup_strv_free_ char **env = NULL;
    struct error e = {0};
    assert_int_equal(file_write_atomic(AT_FDCWD, path, "A=\xff\n", 4, 0600, false), 0);
    assert_int_equal(environment_file_load(path, &env, &e), -EINVAL);
    assert_int_equal(environment_file_load(directory, &env, &e), -EISDIR);
    assert_null(env);
}

/* ---- command lines ---- */

static void test_command_expansion(void **state _unused_) {
    static const char *const environment[] = {
        "A=1", "TWO=b  c", "QUOTED=x 'y z' \"w\"", "EMPTY=", "BACK=a\\b", NULL};
    static const struct {
        const char *words[4], *expected;
    } cases[] = {
        {{"/bin/x", "$A", NULL}, "/bin/x|1"},
        {{"$TWO", NULL}, "b|c"},
        {{"${TWO}", NULL}, "b  c"},
        {{"x${A}y$A", NULL}, "x1y$A"},
        {{"$QUOTED", NULL}, "x|y z|w"},
        {{"a", "$EMPTY", "$UNSET", NULL}, "a"},
        {{"a", "${EMPTY}", "${UNSET}b", NULL}, "a||b"},
        {{"$$A", "$$", "a$$b", NULL}, "$A|$|a$b"},
        {{"$", "a$", "${", NULL}, "$|a$|${"},
        {{"${A", "${A-x}", "${}", NULL}, "${A|${A-x}|${}"},
        {{"$5.00", "$A-b", NULL}, "$5.00|$A-b"},
        {{"$BACK", NULL}, "a\\b"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_strv_free_ char **argv = NULL;
        assert_int_equal(command_expand((char *const *)cases[i].words, (char *const *)environment, &argv), 0);
        assert_non_null(argv);
        _cleanup_free_ char *all = strv_join(argv, "|");
        assert_string_equal(all, cases[i].expected);
    }
    _cleanup_strv_free_ char **none = NULL;
    assert_int_equal(command_expand(NULL, NULL, &none), 0);
    assert_non_null(none);
    assert_null(none[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_in_specifiers),
        cmocka_unit_test(test_machine_specifiers),
        cmocka_unit_test(test_expansion_limit),
        cmocka_unit_test(test_escaping),
        cmocka_unit_test(test_valid_names),
        cmocka_unit_test(test_resolving_names),
        cmocka_unit_test(test_environment_file),
        cmocka_unit_test(test_environment_files_missing_and_many),
        cmocka_unit_test(test_environment_file_must_be_text),
        cmocka_unit_test(test_command_expansion),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
