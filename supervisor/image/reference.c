/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The grammar: https://github.com/opencontainers/distribution-spec/blob/main/spec.md "Pulling manifests". */
#include "image/reference.h"

#include <ctype.h>

#include "image/digest.h"

#define TAG_MAX 128
#define DOCKER "docker.io"

void reference_done(struct reference *r) {
    free(r->registry);
    free(r->repository);
    free(r->tag);
    free(r->digest);
    *r = (struct reference){};
}

/* ASCII whatever the locale says. */
static bool is_lower_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_word(char c) {
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

/* One component of a repository: [a-z0-9]+ joined by one dot, one or two underscores, or any number of
 * dashes. */
static bool component_is_valid(const char *s, size_t n) {
    size_t i = 0;

    for (;;) {
        size_t start = i;
        while (i < n && is_lower_alnum(s[i]))
            i++;
        if (i == start)
            return false;
        if (i == n)
            return true;
        start = i;
        while (i < n && s[i] == s[start])
            i++;
        size_t length = i - start;
        if (!(s[start] == '-' || (s[start] == '.' && length == 1) || (s[start] == '_' && length <= 2)))
            return false;
    }
}

static bool repository_is_valid(const char *s) {
    for (;;) {
        size_t n = strcspn(s, "/");
        if (!component_is_valid(s, n))
            return false;
        if (s[n] == '\0')
            return true;
        s += n + 1;
    }
}

/* A host name, IPv4 address or [IPv6 address], then perhaps a port. */
static bool registry_is_valid(const char *s) {
    size_t n;

    if (*s == '[') {
        n = strspn(s + 1, "0123456789abcdefABCDEF:.") + 1;
        if (n == 1 || s[n] != ']')
            return false;
        n++;
    } else {
        n = strcspn(s, ":");
        if (n == 0 || s[0] == '-' || s[0] == '.' || s[n - 1] == '-' || s[n - 1] == '.')
            return false;
        for (size_t i = 0; i < n; i++)
            if (s[i] == '_' || !(is_word(s[i]) || s[i] == '-' || (s[i] == '.' && s[i + 1] != '.')))
                return false;
    }
    if (s[n] == '\0')
        return true;
    size_t digits = strspn(s + n + 1, "0123456789");
    return s[n] == ':' && digits >= 1 && digits <= 5 && s[n + 1 + digits] == '\0';
}

static bool tag_is_valid(const char *s) {
    size_t n = strlen(s);

    if (n == 0 || n > TAG_MAX || !is_word(*s))
        return false;
    for (; *s; s++)
        if (!is_word(*s) && *s != '.' && *s != '-')
            return false;
    return true;
}

static bool names_registry(const char *component) {
    return strpbrk(component, ".:[") || streq(component, REFERENCE_LOCAL);
}

static bool has_upper(const char *s) {
    for (; *s; s++)
        if (isupper((unsigned char)*s))
            return true;
    return false;
}

/* Cuts rest at its last separator, and takes what stands behind it. */
static int cut(char *rest, char separator, char **ret) {
    char *p = strrchr(rest, separator);

    /* A colon before a slash belongs to the registry's port. */
    if (!p || (separator == ':' && strchr(p, '/')))
        return 0;
    *ret = strdup(p + 1);
    *p = '\0';
    return *ret ? 0 : -ENOMEM;
}

static int check(const struct reference *r, const char *text, struct error *e) {
    if (r->digest && !digest_is_valid(r->digest))
        return error_set(
            e, EINVAL, "image name \"%s\": behind @ stands sha256: and 64 lower-case digits", text);
    if (r->tag && !tag_is_valid(r->tag))
        return error_set(e, EINVAL,
            "image name \"%s\": a tag has 1 to %d letters, digits, \"_\", \".\" and \"-\"", text, TAG_MAX);
    if (strstr(text, "://"))
        return error_set(e, EINVAL,
            "image name \"%s\": names have no scheme; plain_http in davit.conf says which registries have no "
            "TLS",
            text);
    if (r->registry && !registry_is_valid(r->registry))
        return error_set(e, EINVAL, "image name \"%s\": \"%s\" is not a registry", text, r->registry);
    if (!repository_is_valid(r->repository))
        return error_set(e, EINVAL, "image name \"%s\": %s", text,
            has_upper(r->repository) ? "a repository has no upper-case letters"
                                     : "a repository is made of lower-case letters and digits, with single "
                                       "\".\", \"_\", \"-\" or \"/\" between them");
    return 0;
}

int reference_parse(const char *text, struct reference *ret, struct error *e) {
    _cleanup_(reference_done) struct reference r = {};

    if (isempty(text))
        return error_set(e, EINVAL, "the name of an image is empty");
    /* The digest alone may be long; the rest has to fit in a file name. */
    if (strlen(text) > REFERENCE_MAX + DIGEST_TEXT)
        return error_set(e, ENAMETOOLONG, "an image name of more than %d bytes", REFERENCE_MAX);
    _cleanup_free_ char *rest = strdup(text);
    if (!rest || cut(rest, '@', &r.digest) < 0 || cut(rest, ':', &r.tag) < 0)
        return error_set(e, ENOMEM, "out of memory");

    char *slash = strchr(rest, '/'), *repository = rest;
    if (slash) {
        *slash = '\0';
        if (names_registry(rest)) {
            r.registry = strdup(rest);
            if (!r.registry)
                return error_set(e, ENOMEM, "out of memory");
            repository = slash + 1;
        } else
            *slash = '/';
    }
    r.repository = strdup(repository);
    if (!r.repository)
        return error_set(e, ENOMEM, "out of memory");
    int n = check(&r, text, e);
    if (n < 0)
        return n;
    _cleanup_free_ char *canonical = reference_format(&r, REFERENCE_LOCAL);
    if (!canonical)
        return error_set(e, ENOMEM, "out of memory");
    if (strlen(canonical) > REFERENCE_MAX)
        return error_set(e, ENAMETOOLONG, "an image name of more than %d bytes", REFERENCE_MAX);
    *ret = r;
    r = (struct reference){};
    return 0;
}

char *reference_format(const struct reference *r, const char *registry) {
    const char *host = r->registry ? r->registry : registry;
    const char *mark = r->digest ? "@" : ":";
    const char *end = r->digest ? r->digest : r->tag ? r->tag : REFERENCE_DEFAULT_TAG;

    return strf("%s%s%s%s%s", host ? host : "", host ? "/" : "", r->repository, mark, end);
}

int reference_canonical(const char *text, char **ret, struct error *e) {
    _cleanup_(reference_done) struct reference r = {};

    int n = reference_parse(text, &r, e);
    if (n < 0)
        return n;
    char *canonical = reference_format(&r, REFERENCE_LOCAL);
    if (!canonical)
        return error_set(e, ENOMEM, "out of memory");
    *ret = canonical;
    return 0;
}

int reference_candidates(const struct reference *r, char ***ret) {
    _cleanup_strv_free_ char **l = NULL;
    int n;

    if (r->registry)
        n = strv_consume(&l, reference_format(r, NULL));
    else {
        n = strv_consume(&l, reference_format(r, REFERENCE_LOCAL));
        if (n >= 0)
            n = strv_consume(
                &l, reference_format(r, strchr(r->repository, '/') ? DOCKER : DOCKER "/library"));
    }
    if (n < 0)
        return n;
    *ret = TAKE_PTR(l);
    return 0;
}
