/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/platform.h"

#include <setjmp.h>

#include <cmocka.h>

#include "image/pull-policy.h"

/* ---- which manifest of an index ---- */

/* "OS/ARCHITECTURE[/VARIANT]" words; "-" names no platform. The position that is chosen, or the error. */
static int choose(const char *wanted, const char *const *there, size_t n, struct error *e) {
    _cleanup_(platform_done) struct platform p = {0};
    struct oci_index index = {.manifests = calloc(n, sizeof(*index.manifests)), .n_manifests = n};
    const struct oci_descriptor *found = NULL;

    assert_int_equal(platform_parse(wanted, &p, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        char *rest = strdup(there[i]), *all = rest;

        if (!streq(there[i], "-")) {
            index.manifests[i].os = strdup(strsep(&rest, "/"));
            index.manifests[i].architecture = strdup(strsep(&rest, "/"));
            index.manifests[i].variant = rest ? strdup(rest) : NULL;
        }
        free(all);
    }
    int r = platform_choose(&index, &p, &found, e);
    int position = r < 0 ? r : (int)(found - index.manifests);
    oci_index_done(&index);
    return position;
}

static void the_nearest_variant_is_taken(void **state) {
    static const char *const arms[] = {
        "linux/arm/v5", "linux/arm/v7", "linux/arm/v6", "linux/arm64/v8", "windows/amd64", "linux/amd64"};
    (void)state;

    assert_int_equal(choose("linux/arm/v7", arms, ARRAY_SIZE(arms), NULL), 1);
    assert_int_equal(choose("linux/arm/v6", arms, ARRAY_SIZE(arms), NULL), 2);
    assert_int_equal(choose("linux/arm64", arms, ARRAY_SIZE(arms), NULL), 3);
    assert_int_equal(choose("linux/amd64", arms, ARRAY_SIZE(arms), NULL), 5);
    assert_int_equal(choose("windows/amd64", arms, ARRAY_SIZE(arms), NULL), 4);
    /* v7 runs what was built for v6, never the other way round */
    assert_int_equal(choose("linux/arm/v7", &arms[2], 1, NULL), 0);
    assert_int_equal(choose("linux/arm/v6", &arms[1], 1, NULL), -ENOENT);
}

static void what_names_no_variant_is_for_all(void **state) {
    static const char *const there[] = {"linux/arm64", "linux/amd64/v3", "linux/amd64"};
    (void)state;

    assert_int_equal(choose("linux/arm64/v8", there, ARRAY_SIZE(there), NULL), 0);
    assert_int_equal(choose("linux/amd64", there, ARRAY_SIZE(there), NULL), 2);
    assert_int_equal(choose("linux/amd64/v3", there, ARRAY_SIZE(there), NULL), 1);
}

static void a_platform_that_is_missing_is_named_with_those_there(void **state) {
    static const char *const there[] = {"linux/amd64", "unknown/unknown", "linux/\033[2J"};
    struct error e = {0};
    (void)state;

    assert_int_equal(choose("linux/s390x", there, ARRAY_SIZE(there), &e), -ENOENT);
    assert_non_null(strstr(e.text, "linux/s390x"));
    assert_non_null(strstr(e.text, "linux/amd64"));
    assert_null(strstr(e.text, "unknown"));
    assert_null(strchr(e.text, '\033'));
}

static void a_single_one_without_platform_is_for_everybody(void **state) {
    static const char *const one[] = {"-"}, *const two[] = {"-", "-"};
    (void)state;

    assert_int_equal(choose("linux/amd64", one, 1, NULL), 0);
    assert_int_equal(choose("linux/amd64", two, 2, NULL), -ENOENT);
}

static void platforms_are_written_as_paths(void **state) {
    static const char *const bad[] = {"", "/", "linux/", "linux/arm/v7/x", "a b/c", "linux//v8", "linux/\n"};
    _cleanup_(platform_done) struct platform p = {0};
    (void)state;

    assert_int_equal(platform_parse("linux/arm/v7", &p, NULL), 0);
    _cleanup_free_ char *text = platform_format(&p);
    assert_string_equal(text, "linux/arm/v7");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct platform none;
        assert_int_equal(platform_parse(bad[i], &none, NULL), -EINVAL);
    }
}

static void the_host_is_the_default(void **state) {
    _cleanup_(platform_done) struct platform host = {0}, arch = {0};
    (void)state;

    assert_int_equal(platform_host(NULL, NULL, NULL, &host), 0);
    assert_string_equal(host.os, "linux");
    assert_string_equal(host.architecture, oci_architecture(NULL));
    assert_int_equal(platform_parse("mips64le", &arch, NULL), 0);
    assert_string_equal(arch.architecture, "mips64le");
    assert_null(arch.variant);
}

/* ---- policies ---- */

static void policies_have_podmans_names(void **state) {
    enum pull_policy p;
    (void)state;

    for (int i = 0; i < _PULL_POLICY_COUNT; i++) {
        assert_int_equal(pull_policy_parse(pull_policy_name((enum pull_policy)i), &p), 0);
        assert_int_equal(p, i);
    }
    assert_int_equal(pull_policy_parse("IfNotPresent", &p), 0);
    assert_int_equal(p, PULL_MISSING);
    assert_int_equal(pull_policy_parse("", &p), -EINVAL);
    assert_int_equal(pull_policy_parse("sometimes", &p), -EINVAL);
}

static void decisions(void **state) {
    static const enum pull_decision table[_PULL_POLICY_COUNT][2] = {
        /* without, with an image here */
        [PULL_MISSING] = {PULL_ASK, PULL_USE_LOCAL},
        [PULL_ALWAYS] = {PULL_ASK, PULL_ASK},
        [PULL_NEWER] = {PULL_ASK, PULL_ASK},
        [PULL_NEVER] = {PULL_FAIL, PULL_USE_LOCAL},
    };
    (void)state;

    for (int p = 0; p < _PULL_POLICY_COUNT; p++)
        for (int have = 0; have < 2; have++)
            assert_int_equal(pull_decide((enum pull_policy)p, have), table[p][have]);
}

static void newer_makes_do_with_what_is_here(void **state) {
    (void)state;

    assert_true(pull_keeps_local(PULL_NEWER, true, false, -EHOSTUNREACH));
    assert_true(pull_keeps_local(PULL_NEWER, true, true, 0));
    assert_false(pull_keeps_local(PULL_NEWER, true, false, 0));
    assert_false(pull_keeps_local(PULL_NEWER, false, false, -EHOSTUNREACH));
    assert_false(pull_keeps_local(PULL_ALWAYS, true, false, -EHOSTUNREACH));
    assert_true(pull_keeps_local(PULL_ALWAYS, true, true, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_variant_is_taken),
        cmocka_unit_test(what_names_no_variant_is_for_all),
        cmocka_unit_test(a_platform_that_is_missing_is_named_with_those_there),
        cmocka_unit_test(a_single_one_without_platform_is_for_everybody),
        cmocka_unit_test(platforms_are_written_as_paths),
        cmocka_unit_test(the_host_is_the_default),
        cmocka_unit_test(policies_have_podmans_names),
        cmocka_unit_test(decisions),
        cmocka_unit_test(newer_makes_do_with_what_is_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
