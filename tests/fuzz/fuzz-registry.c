/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a registry answers, as text: the first byte chooses which answer it is. Nothing may crash, and what is
 * taken must keep to its own rules.
 */
#include "fuzz.h"
#include "image/credentials.h"
#include "image/platform.h"
#include "image/registry-auth.h"
#include "worker/registry.h"

static void challenge(const char *text) {
    _cleanup_(registry_challenge_done) struct registry_challenge c = {0};

    if (registry_challenge_parse(text, &c) < 0 || c.scheme != REGISTRY_AUTH_BEARER)
        return;
    _cleanup_free_ char *url = registry_token_url(&c, "repository:a/b:pull");
    /* A header is one line, and so is what becomes of it. */
    expect(!isempty(c.realm) && url);
}

static void token(const char *text, size_t n) {
    _cleanup_free_ char *t = NULL;
    usec_t life;

    if (registry_token_parse(text, n, &t, &life, NULL) < 0)
        return;
    expect(!isempty(t) && !strpbrk(t, " \r\n") && life > 0);
}

static void credentials(const char *text, size_t n) {
    _cleanup_(credentials_done) struct credentials c = {0};
    struct error e = {0};
    bool helper = false;

    if (credentials_find(text, n, "auth.json", "registry.example.com/a/b", &helper, &c, &e) == 1)
        expect(credentials_set(&c) && c.source);
}

static void index_of_manifests(const char *text, size_t n) {
    _cleanup_(platform_done) struct platform p = {0};
    const struct oci_descriptor *chosen;
    struct oci_index index = {0};
    struct error e = {0};

    if (oci_index_parse(text, n, "index", &index, &e) < 0)
        return;
    expect(platform_parse("linux/arm/v7", &p, &e) >= 0);
    if (platform_choose(&index, &p, &chosen, &e) < 0)
        expect(!strpbrk(e.text, "\033\n"));
    oci_index_done(&index);
}

static void messages(const char *text, size_t n) {
    _cleanup_free_ char *said = registry_error_text(text, n), *page = registry_next_page(text);

    for (const char *p = said; p && *p; p++)
        expect(*p >= ' ' && *p <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    _cleanup_free_ char *text = strndup((const char *)data + 1, size - 1);
    size_t n = text ? strlen(text) : 0;

    if (!text)
        return 0;
    switch (data[0] % 5) {
    case 0:
        challenge(text);
        break;
    case 1:
        token(text, n);
        break;
    case 2:
        credentials(text, n);
        break;
    case 3:
        messages(text, n);
        break;
    default:
        index_of_manifests(text, n);
        break;
    }
    return 0;
}
