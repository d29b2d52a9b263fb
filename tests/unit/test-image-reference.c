/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image/reference.h: names of images, good and bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "image/digest.h"
#include "image/reference.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "sha256:" HEX
#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A200 A50 A50 A50 A50

static void names_are_taken_apart(void **state) {
    static const struct {
        const char *text, *registry, *repository, *tag, *digest, *canonical;
    } table[] = {
        {"web", NULL, "web", NULL, NULL, "localhost/web:latest"},
        {"web:1.2-x", NULL, "web", "1.2-x", NULL, "localhost/web:1.2-x"},
        {"team/web", NULL, "team/web", NULL, NULL, "localhost/team/web:latest"},
        {"localhost/web", "localhost", "web", NULL, NULL, "localhost/web:latest"},
        {"localhost:5000/web", "localhost:5000", "web", NULL, NULL, "localhost:5000/web:latest"},
        {"r.example/a/b/c:T_1", "r.example", "a/b/c", "T_1", NULL, "r.example/a/b/c:T_1"},
        {"R.Example/a", "R.Example", "a", NULL, NULL, "R.Example/a:latest"},
        {"[::1]:5000/a", "[::1]:5000", "a", NULL, NULL, "[::1]:5000/a:latest"},
        {"web@" DIGEST, NULL, "web", NULL, DIGEST, "localhost/web@" DIGEST},
        {"r.example:80/web:1@" DIGEST, "r.example:80", "web", "1", DIGEST, "r.example:80/web@" DIGEST},
        {"a--b__c.d", NULL, "a--b__c.d", NULL, NULL, "localhost/a--b__c.d:latest"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        _cleanup_(reference_done) struct reference r = {};
        _cleanup_free_ char *canonical = NULL;
        struct error e = {};

        if (reference_parse(table[i].text, &r, &e) < 0 ||
            reference_canonical(table[i].text, &canonical, &e) < 0)
            fail_msg("%s: %s", table[i].text, e.text);
        if (!streq_ptr(r.registry, table[i].registry) || !streq_ptr(r.repository, table[i].repository) ||
            !streq_ptr(r.tag, table[i].tag) || !streq_ptr(r.digest, table[i].digest))
            fail_msg(
                "%s: taken apart as %s %s %s %s", table[i].text, r.registry, r.repository, r.tag, r.digest);
        assert_string_equal(canonical, table[i].canonical);
    }
}

static void bad_names_are_refused(void **state) {
    static const char *const table[] = {"", "/", ":", "@", "web:", "web@", ":1", "/web", "web/", "a//b", "..",
        "../web", "web/..", "a/../b", ".web", "web.", "-web", "web-", "a..b", "a___b", "a._b", "Web", "we b",
        "web\n", "web:1:2", "web:-1", "web:.1", "w\303\244b", "web@sha256:12", "web@" DIGEST "0",
        "web@sha512:" HEX HEX, "web@sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
        "web@" DIGEST "@" DIGEST, "r.example:/web", "r.example:123456/web", "r.example:x/web", "r.example/",
        "r_x.example/web", "-r.example/web", "r..example/web", "[::1/web", "[]/web", "[::1]x/web",
        "https://r.example/web", "web\t", "localhost/", A200 A200,
        "web:" A50 A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a/" A200 "/" A50};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct reference r = {.tag = (char *)"kept"};
        struct error e = {};

        if (reference_parse(table[i], &r, &e) >= 0)
            fail_msg("\"%s\" was taken", table[i]);
        assert_string_equal(r.tag, "kept");
        assert_true(e.number == EINVAL || e.number == ENAMETOOLONG);
        assert_true(*e.text);
    }
}

static void scheme_is_explained(void **state) {
    struct reference r;
    struct error e = {};

    (void)state;
    assert_int_equal(reference_parse("http://r.example/web", &r, &e), -EINVAL);
    assert_non_null(strstr(e.text, "plain_http"));
}

static void upper_case_is_explained(void **state) {
    struct reference r;
    struct error e = {};

    (void)state;
    assert_int_equal(reference_parse("Web", &r, &e), -EINVAL);
    assert_non_null(strstr(e.text, "no upper-case letters"));
}

static void short_names_are_looked_for_as_podman_does(void **state) {
    static const struct {
        const char *text, *first, *second;
    } table[] = {
        {"web", "localhost/web:latest", "docker.io/library/web:latest"},
        {"team/web:1", "localhost/team/web:1", "docker.io/team/web:1"},
        {"r.example/web", "r.example/web:latest", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        _cleanup_(reference_done) struct reference r = {};
        _cleanup_strv_free_ char **l = NULL;

        assert_int_equal(reference_parse(table[i].text, &r, NULL), 0);
        assert_int_equal(reference_candidates(&r, &l), 0);
        assert_string_equal(l[0], table[i].first);
        assert_true(streq_ptr(l[1], table[i].second));
    }
}

static void digests_become_file_names_only_when_they_are_digests(void **state) {
    char digest[DIGEST_TEXT];

    (void)state;
    assert_true(digest_is_valid(DIGEST));
    assert_false(digest_is_valid(NULL));
    assert_false(digest_is_valid(HEX));
    assert_false(digest_is_valid("sha256:../../etc/passwd"));
    assert_false(digest_is_valid(DIGEST "/"));
    assert_true(digest_from_hex(HEX, digest));
    assert_string_equal(digest, DIGEST);
    assert_false(digest_from_hex("01", digest));
    assert_false(digest_from_hex(HEX "00", digest));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_taken_apart),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(scheme_is_explained),
        cmocka_unit_test(upper_case_is_explained),
        cmocka_unit_test(short_names_are_looked_for_as_podman_does),
        cmocka_unit_test(digests_become_file_names_only_when_they_are_digests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
