/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/registry-auth.h"

#include <ctype.h>
#include <jansson.h>
#include <strings.h>

/* A token may be given for years; a registry that takes it back in between answers 401, and we ask again. */
#define TOKEN_LIFE_MAX (3600 * USEC_PER_SEC)

void registry_challenge_done(struct registry_challenge *c) {
    free(c->realm);
    free(c->service);
    free(c->scope);
    *c = (struct registry_challenge){0};
}

/* ---- the header ---- */

static bool is_token_character(char c) { /* RFC 9110 section 5.6.2 */
    return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static void skip_blanks(const char **p) {
    *p += strspn(*p, " \t");
}

static char *take_token(const char **p) {
    const char *begin = *p;

    while (is_token_character(**p))
        (*p)++;
    return strndup(begin, (size_t)(*p - begin));
}

/* "..." with \ before any character, or a bare token. Some servers write URLs bare, so a bare value ends at a
 * comma or blank only. */
static int take_value(const char **p, char **ret) {
    _cleanup_strbuf_ struct strbuf b = {};

    if (**p != '"') {
        size_t n = strcspn(*p, ", \t");

        strbuf_append(&b, *p, n);
        *p += n;
    } else {
        for ((*p)++; **p && **p != '"'; (*p)++) {
            if (**p == '\\' && (*p)[1])
                (*p)++;
            strbuf_putc(&b, **p);
        }
        if (**p != '"')
            return -EINVAL;
        (*p)++;
    }
    *ret = strbuf_take(&b);
    return *ret ? 0 : -ENOMEM;
}

static int set_parameter(struct registry_challenge *c, const char *name, char *value) {
    char **field = strcasecmp(name, "realm") == 0     ? &c->realm
                   : strcasecmp(name, "service") == 0 ? &c->service
                   : strcasecmp(name, "scope") == 0   ? &c->scope
                                                      : NULL;

    if (!field || *field) { /* a parameter must not come twice; the first counts */
        free(value);
        return 0;
    }
    *field = value;
    return 0;
}

/* Is "NAME =" next? Then it is a parameter of the challenge that we are in, not the next scheme. */
static bool at_parameter(const char *p) {
    const char *name = p;

    while (is_token_character(*p))
        p++;
    if (p == name)
        return false;
    p += strspn(p, " \t");
    return *p == '=' && p[1] != '=' && p[1] != '\0';
}

static int take_parameters(const char **p, struct registry_challenge *c) {
    for (;;) {
        _cleanup_free_ char *name = NULL;
        char *value = NULL;

        *p += strspn(*p, " \t,");
        if (!at_parameter(*p))
            return 0;
        name = take_token(p);
        if (!name)
            return -ENOMEM;
        skip_blanks(p);
        (*p)++; /* = */
        skip_blanks(p);
        int r = take_value(p, &value);
        if (r < 0)
            return r;
        (void)set_parameter(c, name, value);
    }
}

/* One challenge off *p. Its scheme is NONE where it is one that we do not know. */
static int take_challenge(const char **p, struct registry_challenge *c) {
    _cleanup_free_ char *scheme = take_token(p);

    if (!scheme)
        return -ENOMEM;
    if (!*scheme)
        return -EINVAL;
    if (strcasecmp(scheme, "Bearer") == 0)
        c->scheme = REGISTRY_AUTH_BEARER;
    else if (strcasecmp(scheme, "Basic") == 0)
        c->scheme = REGISTRY_AUTH_BASIC;
    skip_blanks(p);
    /* "Negotiate dG9rZW4=": one word instead of parameters. */
    if (**p && **p != ',' && !at_parameter(*p))
        *p += strcspn(*p, ", \t");
    return take_parameters(p, c);
}

int registry_challenge_parse(const char *header, struct registry_challenge *ret) {
    _cleanup_(registry_challenge_done) struct registry_challenge best = {0};

    if (strlen(header) > REGISTRY_CHALLENGE_MAX)
        return -E2BIG;
    for (const char *p = header;;) {
        _cleanup_(registry_challenge_done) struct registry_challenge c = {0};

        p += strspn(p, " \t,");
        if (!*p)
            break;
        int r = take_challenge(&p, &c);
        if (r < 0)
            return r;
        /* A Bearer challenge without a realm names no place to get a token from. */
        if (c.scheme == REGISTRY_AUTH_BEARER && isempty(c.realm))
            return -EINVAL;
        if (c.scheme <= best.scheme)
            continue;
        registry_challenge_done(&best);
        best = c;
        c = (struct registry_challenge){0};
    }
    *ret = best;
    best = (struct registry_challenge){0};
    return 0;
}

/* ---- the token ---- */

char *url_escape(const char *s) {
    _cleanup_strbuf_ struct strbuf b = {};

    for (; *s; s++) {
        if (isalnum((unsigned char)*s) || strchr("-._~", *s))
            strbuf_putc(&b, *s);
        else
            strbuf_printf(&b, "%%%02X", (unsigned char)*s);
    }
    return strbuf_take(&b);
}

char *registry_token_url(const struct registry_challenge *c, const char *scope) {
    _cleanup_free_ char *service = c->service ? url_escape(c->service) : NULL, *what = url_escape(scope);
    char separator = strchr(c->realm, '?') ? '&' : '?';
    _cleanup_strbuf_ struct strbuf b = {};

    if ((c->service && !service) || !what)
        return NULL;
    strbuf_puts(&b, c->realm);
    if (service) {
        strbuf_printf(&b, "%cservice=%s", separator, service);
        separator = '&';
    }
    if (*what)
        strbuf_printf(&b, "%cscope=%s", separator, what);
    return strbuf_take(&b);
}

/* It goes into a header line: nothing but visible ASCII (RFC 6750 allows less still). */
static bool token_is_valid(const char *token) {
    for (const char *p = token; *p; p++)
        if (*p <= ' ' || *p >= 0x7f)
            return false;
    return *token && strlen(token) <= REGISTRY_TOKEN_MAX;
}

int registry_token_parse(const char *json, size_t n, char **ret_token, usec_t *ret_life, struct error *e) {
    json_error_t where;
    json_t *answer = json_loadb(json, n, JSON_REJECT_DUPLICATES, &where);
    int r = 0;

    if (!answer)
        return error_set(e, EBADMSG, "the token server's answer is not JSON: %s", where.text);
    const char *token = json_string_value(json_object_get(answer, "token"));
    if (isempty(token))
        token = json_string_value(json_object_get(answer, "access_token"));
    json_int_t seconds = json_integer_value(json_object_get(answer, "expires_in"));
    if (isempty(token))
        r = error_set(e, EBADMSG, "the token server's answer has no token");
    else if (!token_is_valid(token))
        r = error_set(e, EBADMSG, "the token server's token is not one");
    else {
        char *copy = strdup(token);

        if (!copy)
            r = error_set(e, ENOMEM, "token");
        else {
            *ret_token = copy;
            *ret_life = seconds <= 0 ? REGISTRY_TOKEN_LIFE
                                     : MIN((usec_t)MIN(seconds, 86400) * USEC_PER_SEC, TOKEN_LIFE_MAX);
        }
    }
    json_decref(answer);
    return r;
}
