/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/registry-auth.h"

#include <setjmp.h>

#include <cmocka.h>

/* ---- WWW-Authenticate ---- */

static const struct {
    const char *header;
    int result;
    enum registry_scheme scheme;
    const char *realm, *service, *scope;
} headers[] = {
    {"Bearer "
     "realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:library/"
     "x:pull\"",
        0, REGISTRY_AUTH_BEARER, "https://auth.docker.io/token", "registry.docker.io",
        "repository:library/x:pull"},
    {"Basic realm=\"Registry Realm\"", 0, REGISTRY_AUTH_BASIC, "Registry Realm", NULL, NULL},
    {"basic", 0, REGISTRY_AUTH_BASIC, NULL, NULL, NULL},
    {"BEARER Realm=https://a/b?c , Service = x", 0, REGISTRY_AUTH_BEARER, "https://a/b?c", "x", NULL},
    /* several challenges in one line: the stronger one, in whatever order */
    {"Basic realm=\"x, y\", Bearer realm=\"https://t/\"", 0, REGISTRY_AUTH_BEARER, "https://t/", NULL, NULL},
    {"Bearer realm=\"https://t/\", Basic realm=\"x\"", 0, REGISTRY_AUTH_BEARER, "https://t/", NULL, NULL},
    {"Negotiate, Basic realm=\"x\"", 0, REGISTRY_AUTH_BASIC, "x", NULL, NULL},
    {"NTLM TlRMTVNTUAAB==, Basic realm=x", 0, REGISTRY_AUTH_BASIC, "x", NULL, NULL},
    {"Digest realm=\"a\", nonce=\"b\"", 0, REGISTRY_AUTH_NONE, NULL, NULL, NULL},
    {"", 0, REGISTRY_AUTH_NONE, NULL, NULL, NULL},
    {" , ,", 0, REGISTRY_AUTH_NONE, NULL, NULL, NULL},
    {"Bearer realm=\"a\\\"b\\\\c\"", 0, REGISTRY_AUTH_BEARER, "a\"b\\c", NULL, NULL},
    /* the first of two counts */
    {"Bearer realm=\"https://a/\",realm=\"https://b/\"", 0, REGISTRY_AUTH_BEARER, "https://a/", NULL, NULL},
    {"Bearer realm=\"https://a/", -EINVAL, 0, NULL, NULL, NULL},
    {"Bearer service=\"x\"", -EINVAL, 0, NULL, NULL, NULL},
    {"Bearer realm=\"\"", -EINVAL, 0, NULL, NULL, NULL},
    {"=x", -EINVAL, 0, NULL, NULL, NULL},
};

static void check_text(const char *got, const char *expected) {
    if (expected)
        assert_string_equal(got, expected);
    else
        assert_null(got);
}

static void challenges(void **state) {
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        _cleanup_(registry_challenge_done) struct registry_challenge c = {0};
        int r = registry_challenge_parse(headers[i].header, &c);

        if (r != headers[i].result)
            print_error("<%s>\n", headers[i].header);
        assert_int_equal(r, headers[i].result);
        if (r < 0)
            continue;
        assert_int_equal(c.scheme, headers[i].scheme);
        check_text(c.realm, headers[i].realm);
        check_text(c.service, headers[i].service);
        check_text(c.scope, headers[i].scope);
    }
}

static void a_challenge_without_end_is_refused(void **state) {
    char header[REGISTRY_CHALLENGE_MAX + 2];
    struct registry_challenge c;
    (void)state;

    memset(header, 'a', sizeof(header) - 1);
    header[sizeof(header) - 1] = '\0';
    assert_int_equal(registry_challenge_parse(header, &c), -E2BIG);
}

static void token_url(void **state) {
    struct registry_challenge c = {.scheme = REGISTRY_AUTH_BEARER,
        .realm = (char[]){"https://auth.example/token"},
        .service = (char[]){"a b&c"}};
    _cleanup_free_ char *plain = registry_token_url(&c, "repository:team/web:pull");
    (void)state;

    assert_string_equal(
        plain, "https://auth.example/token?service=a%20b%26c&scope=repository%3Ateam%2Fweb%3Apull");
    c.realm = (char[]){"https://auth.example/token?x=1"};
    c.service = NULL;
    _cleanup_free_ char *with_query = registry_token_url(&c, "s");
    assert_string_equal(with_query, "https://auth.example/token?x=1&scope=s");
    _cleanup_free_ char *without_scope = registry_token_url(&c, "");
    assert_string_equal(without_scope, "https://auth.example/token?x=1");
}

/* ---- tokens ---- */

static void tokens(void **state) {
    static const struct {
        const char *json, *token;
        usec_t life;
    } good[] = {
        {"{\"token\": \"abc\"}", "abc", 60 * USEC_PER_SEC},
        {"{\"access_token\": \"abc\", \"expires_in\": 300}", "abc", 300 * USEC_PER_SEC},
        {"{\"token\": \"\", \"access_token\": \"abc\"}", "abc", 60 * USEC_PER_SEC},
        {"{\"token\": \"abc\", \"access_token\": \"def\", \"expires_in\": -1}", "abc", 60 * USEC_PER_SEC},
        {"{\"token\": \"abc\", \"expires_in\": 9223372036854775807}", "abc", 3600 * USEC_PER_SEC},
    };
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"token\": 7}",
        "{\"token\": \"a b\"}",
        "{\"token\": \"a\\r\\nX-Evil: 1\"}",
        "{\"token\": \"a\", \"token\": \"b\"}",
        "{\"token\": \"\xc3\xa4\"}",
        "{\"token\": \"a\"} x",
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        _cleanup_free_ char *token = NULL;
        usec_t life = 0;

        assert_int_equal(registry_token_parse(good[i].json, strlen(good[i].json), &token, &life, NULL), 0);
        assert_string_equal(token, good[i].token);
        assert_int_equal(life, good[i].life);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char *token = NULL;
        usec_t life;

        assert_int_equal(registry_token_parse(bad[i], strlen(bad[i]), &token, &life, NULL), -EBADMSG);
        assert_null(token);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(challenges),
        cmocka_unit_test(a_challenge_without_end_is_refused),
        cmocka_unit_test(token_url),
        cmocka_unit_test(tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
