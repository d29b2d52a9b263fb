/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/platform.h"

#include <ctype.h>

#define PLATFORM_WORD_MAX 32
#define SHOWN_MAX 12 /* platforms in a message */

void platform_done(struct platform *p) {
    free(p->os);
    free(p->architecture);
    free(p->variant);
    *p = (struct platform){0};
}

/* ---- names ---- */

static char *copy_word(const char *s) {
    return s ? strdup(s) : NULL;
}

int platform_host(const char *os, const char *architecture, const char *variant, struct platform *ret) {
    _cleanup_(platform_done) struct platform p = {0};
    const char *own_variant, *own = oci_architecture(&own_variant);

    /* The machine's variant says nothing about another architecture. */
    if (!variant && (!architecture || streq(architecture, own)))
        variant = own_variant;
    p.os = strdup(os ? os : "linux");
    p.architecture = strdup(architecture ? architecture : own);
    p.variant = copy_word(variant);
    if (!p.os || !p.architecture || (variant && !p.variant))
        return -ENOMEM;
    *ret = p;
    p = (struct platform){0};
    return 0;
}

static bool word_is_valid(const char *s) {
    for (const char *p = s; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
            return false;
    return *s && strlen(s) <= PLATFORM_WORD_MAX;
}

int platform_parse(const char *text, struct platform *ret, struct error *e) {
    _cleanup_free_ char *copy = strdup(text);
    char *rest = copy, *words[3] = {NULL};
    size_t n = 0;

    if (!copy)
        return error_set_errno(e, ENOMEM, "platform");
    while (rest && n < ARRAY_SIZE(words))
        words[n++] = strsep(&rest, "/");
    for (size_t i = 0; i < n; i++)
        if (rest || !word_is_valid(words[i]))
            return error_set(e, EINVAL,
                "\"%s\" is no platform: OS/ARCHITECTURE[/VARIANT] is expected, as linux/arm64", text);
    /* One word is the architecture, or the system where it is the only one there is. */
    bool system_alone = n == 1 && streq(words[0], "linux");
    int r = n == 1 ? platform_host(NULL, system_alone ? NULL : words[0], NULL, ret)
                   : platform_host(words[0], words[1], words[2], ret);
    return r < 0 ? error_set_errno(e, r, "platform") : 0;
}

char *platform_format(const struct platform *p) {
    return strf("%s/%s%s%s", p->os, p->architecture, p->variant ? "/" : "", p->variant ? p->variant : "");
}

/* ---- choosing ---- */

/* How well a variant serves, 0 = not at all. A newer arm runs what was built for an older one, and what names
 * no variant is built for all; arm64 without a variant is v8. */
static unsigned rank_variant(const struct platform *wanted, const char *variant) {
    const char *w = wanted->variant;

    if (!w)
        return isempty(variant) ? 3 : 2;
    if (isempty(variant))
        return 1;
    if (streq(w, variant))
        return 20;
    if (streq(wanted->architecture, "arm") && w[0] == 'v' && variant[0] == 'v' && w[1] && variant[1] &&
        !w[2] && !variant[2] && variant[1] < w[1])
        return (unsigned)(10 - (w[1] - variant[1]));
    return 0;
}

static unsigned rank(const struct oci_descriptor *d, const struct platform *wanted) {
    if (!d->os || !d->architecture || !streq(d->os, wanted->os) ||
        !streq(d->architecture, wanted->architecture))
        return 0;
    return rank_variant(wanted, d->variant);
}

/* Docker stores attestations beside images, for a platform that does not exist. */
static bool is_shown(const struct oci_descriptor *d) {
    return d->os && d->architecture && !streq(d->os, "unknown") && word_is_valid(d->os) &&
           word_is_valid(d->architecture) && (!d->variant || word_is_valid(d->variant));
}

static char *describe(const struct oci_index *index) {
    _cleanup_strbuf_ struct strbuf b = {};
    unsigned shown = 0;

    for (size_t i = 0; i < index->n_manifests; i++) {
        const struct oci_descriptor *d = &index->manifests[i];

        /* What a registry says must not reach a terminal unchecked. */
        if (!is_shown(d))
            continue;
        if (shown++ == SHOWN_MAX) {
            strbuf_puts(&b, ", ...");
            break;
        }
        strbuf_printf(&b, "%s%s/%s%s%s", shown > 1 ? ", " : "", d->os, d->architecture, d->variant ? "/" : "",
            d->variant ? d->variant : "");
    }
    return strbuf_take(&b);
}

int platform_choose(const struct oci_index *index, const struct platform *wanted,
    const struct oci_descriptor **ret, struct error *e) {
    _cleanup_free_ char *name = platform_format(wanted), *list = NULL;
    const struct oci_descriptor *best = NULL;
    unsigned best_rank = 0;

    for (size_t i = 0; i < index->n_manifests; i++) {
        unsigned r = rank(&index->manifests[i], wanted);

        if (r <= best_rank)
            continue;
        best_rank = r;
        best = &index->manifests[i];
    }
    /* A single one that does not say what it is for is for everybody. */
    if (!best && index->n_manifests == 1 && !index->manifests[0].os && !index->manifests[0].architecture)
        best = &index->manifests[0];
    if (!best) {
        list = describe(index);
        return error_set(e, ENOENT, "there is none for %s; there is: %s", name ? name : "this platform",
            isempty(list) ? "nothing" : list);
    }
    *ret = best;
    return 0;
}
