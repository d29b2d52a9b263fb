/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/registry.h"

#include <jansson.h>

#include "base/base64.h"
#include "image/hash.h"

#define TAGS_ANSWER_MAX (1024U * 1024)
#define TAG_MAX 128
#define PAGES_MAX 1000
#define ERROR_SHOWN_MAX 200
#define SIGN_IN_TRIES 2
#define TOKEN_MARGIN (10 * USEC_PER_SEC) /* a request may take a while to arrive */

static char *const accept_manifests[] = {
    (char[]){"Accept: " OCI_MEDIA_INDEX ", " OCI_MEDIA_MANIFEST ", " DOCKER_MEDIA_INDEX
             ", " DOCKER_MEDIA_MANIFEST},
    NULL,
};

int registry_new(struct http *http, const struct registry_endpoint *place, struct http_peer *peer,
    struct credentials *credentials, struct registry **ret, struct error *e) {
    _cleanup_(registry_freep) struct registry *r = calloc(1, sizeof(*r));

    if (!r)
        return error_set_errno(e, ENOMEM, "registry");
    r->http = http;
    r->host = strdup(place->host);
    r->repository = strdup(place->repository);
    r->peer = *peer;
    r->credentials = *credentials;
    r->plain = place->location && place->location->plain_http;
    *peer = (struct http_peer){0};
    *credentials = (struct credentials){0};
    if (!r->host || !r->repository)
        return error_set_errno(e, ENOMEM, "registry");
    *ret = TAKE_PTR(r);
    return 0;
}

static void forget_authorization(struct registry *r) {
    if (r->authorization)
        explicit_bzero(r->authorization, strlen(r->authorization));
    free(TAKE_PTR(r->authorization));
}

void registry_free(struct registry *r) {
    if (!r)
        return;
    forget_authorization(r);
    http_peer_done(&r->peer);
    credentials_done(&r->credentials);
    free(r->host);
    free(r->repository);
    free(r->note);
    free(r);
}

void registry_document_done(struct registry_document *d) {
    free(d->text);
    free(d->media_type);
    *d = (struct registry_document){0};
}

/* ---- what it says ---- */

static char *printable(const char *s) {
    char *copy = strndup(s, ERROR_SHOWN_MAX);

    for (char *p = copy; p && *p; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
    return copy;
}

char *registry_error_text(const char *body, size_t n) {
    json_t *answer = json_loadb(body, n, 0, NULL);
    json_t *first = json_array_get(json_object_get(answer, "errors"), 0);
    const char *code = json_string_value(json_object_get(first, "code"));
    const char *message = json_string_value(json_object_get(first, "message"));
    _cleanup_free_ char *text = NULL;
    char *ret = NULL;

    if (!message)
        message = json_string_value(json_object_get(answer, "details")); /* docker's token server */
    if (code || message) {
        text = strf("%s%s%s", code ? code : "", code && message ? ": " : "", message ? message : "");
        ret = text ? printable(text) : NULL;
    }
    json_decref(answer);
    return ret;
}

char *registry_next_page(const char *link) {
    const char *end = link && *link == '<' ? strchr(link, '>') : NULL;

    if (!end || !strstr(end, "rel=\"next\""))
        return NULL;
    return strndup(link + 1, (size_t)(end - link - 1));
}

static int access_error(struct registry *r, const char *what, const char *said, struct error *e) {
    if (credentials_set(&r->credentials))
        return error_set(e, EACCES, "%s: %s does not let the credentials of %s in%s%s", what, r->host,
            r->credentials.source, said ? ": " : "", said ? said : "");
    if (r->note)
        return error_set(e, EACCES, "%s: %s asks for credentials, and %s", what, r->host, r->note);
    return error_set(e, EACCES, "%s: %s asks for credentials (davit login %s)%s%s", what, r->host, r->host,
        said ? ": " : "", said ? said : "");
}

/* An answer that is not the one that was hoped for. */
static int status_error(
    struct registry *r, const char *what, const struct http_response *a, struct error *e) {
    _cleanup_free_ char *said = registry_error_text(a->body, a->size);
    const char *colon = said ? ": " : "", *text = said ? said : "";

    switch (a->status) {
    case 401:
        return access_error(r, what, said, e);
    case 403:
        return error_set(e, EACCES, "%s: %s refuses access%s%s", what, r->host, colon, text);
    case 404:
        return error_set(e, ENOENT, "%s: %s does not have it%s%s", what, r->host, colon, text);
    case 429:
        return error_set(e, EBUSY, "%s: %s has had too many requests%s%s", what, r->host, colon, text);
    default:
        return error_set(e, a->status >= 500 ? EREMOTEIO : EBADMSG, "%s: %s answers %ld%s%s", what, r->host,
            a->status, colon, text);
    }
}

/* ---- signing in ---- */

static int set_basic(struct registry *r, struct error *e) {
    _cleanup_free_ char *pair = strf("%s:%s", r->credentials.user, r->credentials.password);
    _cleanup_free_ char *encoded = pair ? base64_encode(pair, strlen(pair)) : NULL;

    forget_authorization(r);
    r->authorization = encoded ? strf("Basic %s", encoded) : NULL;
    r->authorized_until = USEC_INFINITY;
    if (pair)
        explicit_bzero(pair, strlen(pair));
    return r->authorization ? 0 : error_set_errno(e, ENOMEM, "signing in");
}

/* OAuth2's form, for a token that stands in the place of a password (docker's "identitytoken"). */
static char *refresh_form(const struct registry *r, const struct registry_challenge *c, const char *scope) {
    _cleanup_free_ char *token = url_escape(r->credentials.identity_token), *what = url_escape(scope);
    _cleanup_free_ char *service = url_escape(c->service ? c->service : "");

    if (!token || !what || !service)
        return NULL;
    return strf("grant_type=refresh_token&refresh_token=%s&service=%s&scope=%s&client_id=davit", token,
        service, what);
}

static int ask_for_token(
    struct registry *r, const struct registry_challenge *c, struct http_transfer **ret, struct error *e) {
    _cleanup_free_ char *scope = *r->repository ? strf("repository:%s:pull", r->repository) : strdup("");
    _cleanup_free_ char *url = NULL, *form = NULL, *basic = NULL;
    /* Our certificate is for the registry; the place for tokens is where it says. */
    struct http_peer peer = {
        .plain = r->peer.plain, .insecure = r->peer.insecure, .authorities = r->peer.authorities};
    struct http_request q = {.peer = &peer, .max_body = 2 * REGISTRY_TOKEN_MAX};
    int n;

    if (!scope)
        return error_set_errno(e, ENOMEM, "token");
    if (r->credentials.identity_token) {
        form = refresh_form(r, c, scope);
        url = strdup(c->realm);
    } else {
        url = registry_token_url(c, scope);
        form = NULL;
    }
    if (!url || (r->credentials.identity_token && !form))
        return error_set_errno(e, ENOMEM, "token");
    if (!form && r->credentials.user) {
        n = set_basic(r, e);
        if (n < 0)
            return n;
        basic = TAKE_PTR(r->authorization);
    }
    q.url = url;
    q.form = form;
    q.authorization = basic;
    n = http_fetch(r->http, &q, ret, e);
    if (basic)
        explicit_bzero(basic, strlen(basic));
    if (form)
        explicit_bzero(form, strlen(form));
    return n;
}

static int set_bearer(struct registry *r, const struct registry_challenge *c, struct error *e) {
    _cleanup_(http_transfer_freep) struct http_transfer *t = NULL;
    _cleanup_free_ char *token = NULL;
    usec_t life;

    forget_authorization(r);
    int n = ask_for_token(r, c, &t, e);
    if (n >= 0)
        n = http_result(t, e);
    if (n < 0)
        return error_prefix(e, n, "asking for a token");
    const struct http_response *a = http_answer(t);
    if (a->status == 401 || a->status == 403) {
        _cleanup_free_ char *said = registry_error_text(a->body, a->size);
        return access_error(r, "asking for a token", said, e);
    }
    if (a->status != 200)
        return status_error(r, "asking for a token", a, e);
    n = registry_token_parse(a->body, a->size, &token, &life, e);
    if (n < 0)
        return error_prefix(e, n, "%s", r->host);
    r->authorization = strf("Bearer %s", token);
    explicit_bzero(token, strlen(token));
    r->authorized_until = usec_add(now_monotonic(), life > 2 * TOKEN_MARGIN ? life - TOKEN_MARGIN : life / 2);
    return r->authorization ? 0 : error_set_errno(e, ENOMEM, "signing in");
}

/* Does what a 401 asks for. */
static int sign_in(struct registry *r, const char *what, const struct http_response *a, struct error *e) {
    _cleanup_(registry_challenge_done) struct registry_challenge c = {0};
    int n = registry_challenge_parse(a->challenge ? a->challenge : "", &c);

    if (n < 0)
        return error_set(e, EBADMSG, "%s: %s says 401, and not how to sign in", what, r->host);
    if (c.scheme == REGISTRY_AUTH_BEARER)
        return set_bearer(r, &c, e);
    if (c.scheme == REGISTRY_AUTH_NONE || !r->credentials.user)
        return status_error(r, what, a, e);
    return set_basic(r, e);
}

/* ---- requests ---- */

static char *url_of(const struct registry *r, const char *path) {
    return strf("%s://%s%s", r->plain ? "http" : "https", r->host, path);
}

static const char *authorization_of(struct registry *r) {
    if (r->authorization && now_monotonic() >= r->authorized_until)
        forget_authorization(r);
    return r->authorization;
}

/* One answer of any status but 401 after signing in. */
static int get_once(struct registry *r, const char *path, char *const *headers, size_t max,
    struct http_transfer **ret, struct error *e) {
    _cleanup_free_ char *url = url_of(r, path);
    const struct http_request q = {.url = url,
        .headers = headers,
        .authorization = authorization_of(r),
        .peer = &r->peer,
        .max_body = max};
    int n;

    if (!url)
        return error_set_errno(e, ENOMEM, "%s", path);
    n = http_fetch(r->http, &q, ret, e);
    return n < 0 ? n : http_result(*ret, e);
}

/* insecure: plain HTTP where there is no TLS at all, as podman's --tls-verify=false. */
static bool falls_back_to_plain(struct registry *r, int n) {
    if (r->plain || !r->peer.insecure || !r->peer.plain || (n != -EPROTO && n != -ECONNREFUSED))
        return false;
    r->plain = true;
    return true;
}

/* GET path; the answer is a 200, or there is an error. */
static int get(struct registry *r, const char *path, const char *what, char *const *headers, size_t max,
    struct http_transfer **ret, struct error *e) {
    for (unsigned tries = 0;; tries++) {
        _cleanup_(http_transfer_freep) struct http_transfer *t = NULL;
        int n = get_once(r, path, headers, max, &t, e);

        if (n < 0 && falls_back_to_plain(r, n))
            continue;
        if (n < 0)
            return n;
        const struct http_response *a = http_answer(t);
        if (a->status == 401 && tries < SIGN_IN_TRIES) {
            n = tries > 0 && !credentials_set(&r->credentials) ? status_error(r, what, a, e)
                                                               : sign_in(r, what, a, e);
            if (n < 0)
                return n;
            continue;
        }
        if (a->status != 200)
            return status_error(r, what, a, e);
        *ret = TAKE_PTR(t);
        return 0;
    }
}

int registry_check(struct registry *r, struct error *e) {
    _cleanup_(http_transfer_freep) struct http_transfer *t = NULL;

    return get(r, "/v2/", "signing in", NULL, HTTP_ERROR_BODY_MAX, &t, e);
}

/* ---- manifests and tags ---- */

static int check_digest(const struct registry *r, const char *reference, const struct http_response *a,
    struct registry_document *d, struct error *e) {
    hash_data(a->body, a->size, d->digest);
    if (digest_is_valid(reference) && !streq(reference, d->digest))
        return error_set(
            e, EBADMSG, "%s: %s sent a manifest whose digest is %s", reference, r->host, d->digest);
    if (a->digest && digest_is_valid(a->digest) && !streq(a->digest, d->digest))
        return error_set(e, EBADMSG, "%s: %s sent a manifest whose digest is %s and said that it is %s",
            reference, r->host, d->digest, a->digest);
    return 0;
}

int registry_manifest(
    struct registry *r, const char *reference, struct registry_document *ret, struct error *e) {
    _cleanup_free_ char *path = strf("/v2/%s/manifests/%s", r->repository, reference);
    _cleanup_free_ char *what =
        strf("%s%s%s", r->repository, digest_is_valid(reference) ? "@" : ":", reference);
    _cleanup_(registry_document_done) struct registry_document d = {0};
    _cleanup_(http_transfer_freep) struct http_transfer *t = NULL;

    if (!path || !what)
        return error_set_errno(e, ENOMEM, "manifest");
    int n = get(r, path, what, accept_manifests, OCI_MANIFEST_MAX, &t, e);
    if (n < 0)
        return n;
    const struct http_response *a = http_answer(t);
    n = check_digest(r, reference, a, &d, e);
    if (n < 0)
        return n;
    d.text = malloc(a->size + 1);
    d.size = a->size;
    if (!d.text || (a->content_type && !(d.media_type = strdup(a->content_type))))
        return error_set_errno(e, ENOMEM, "manifest");
    memcpy(d.text, a->body, a->size + 1);
    *ret = d;
    d = (struct registry_document){0};
    return 0;
}

static bool tag_is_valid(const char *s) {
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

    return n > 0 && n <= TAG_MAX && s[n] == '\0' && *s != '.' && *s != '-';
}

static int take_tags(const struct registry *r, const struct http_response *a, char ***tags, struct error *e) {
    json_t *answer = json_loadb(a->body, a->size, JSON_REJECT_DUPLICATES, NULL), *list, *item;
    int n = 0;
    size_t i;

    list = json_object_get(answer, "tags");
    if (!answer || (list && !json_is_array(list) && !json_is_null(list)))
        n = error_set(e, EBADMSG, "%s: the list of tags is no such list", r->host);
    json_array_foreach(list, i, item) {
        const char *tag = json_string_value(item);

        if (n < 0)
            break;
        if (!tag || !tag_is_valid(tag))
            n = error_set(e, EBADMSG, "%s: there is something in the list of tags that is none", r->host);
        else if (strv_length(*tags) >= REGISTRY_TAGS_MAX)
            n = error_set(e, E2BIG, "%s: more than %d tags", r->host, REGISTRY_TAGS_MAX);
        else if (strv_append(tags, tag) < 0)
            n = error_set_errno(e, ENOMEM, "tags");
    }
    json_decref(answer);
    return n;
}

int registry_tags(struct registry *r, char ***ret, struct error *e) {
    _cleanup_free_ char *path = strf("/v2/%s/tags/list?n=1000", r->repository);
    _cleanup_strv_free_ char **tags = NULL;

    for (unsigned page = 0; path && page < PAGES_MAX; page++) {
        _cleanup_(http_transfer_freep) struct http_transfer *t = NULL;
        int n = get(r, path, r->repository, NULL, TAGS_ANSWER_MAX, &t, e);

        if (n >= 0)
            n = take_tags(r, http_answer(t), &tags, e);
        if (n < 0)
            return n;
        free(path);
        path = registry_next_page(http_answer(t)->link);
        /* Only within the registry: our authorization goes along. */
        if (path && (path[0] != '/' || path[1] == '/'))
            return error_set(e, EBADMSG, "%s: the next page of tags is elsewhere", r->host);
    }
    if (!tags)
        return error_set(e, ENOENT, "%s: %s has no tags", r->repository, r->host);
    *ret = TAKE_PTR(tags);
    return 0;
}

/* ---- blobs ---- */

int registry_blob_start(struct registry *r, const char *digest,
    int (*sink)(void *userdata, const void *data, size_t n), void *userdata, const uint64_t *position,
    struct http_transfer **ret, struct error *e) {
    _cleanup_free_ char *path = strf("/v2/%s/blobs/%s", r->repository, digest);
    _cleanup_free_ char *url = path ? url_of(r, path) : NULL;
    const struct http_request q = {.url = url,
        .authorization = authorization_of(r),
        .peer = &r->peer,
        .sink = sink,
        .userdata = userdata,
        .position = position};

    return url ? http_start(r->http, &q, ret, e) : error_set_errno(e, ENOMEM, "%s", digest);
}

int registry_blob_result(
    struct registry *r, const struct http_transfer *t, const char *digest, struct error *e) {
    int n = http_result(t, e);

    if (n < 0)
        return n;
    const struct http_response *a = http_answer(t);
    if (a->status == 401) {
        n = sign_in(r, digest, a, e);
        return n < 0 ? n : -EAGAIN;
    }
    if (a->status != 200 && a->status != 206)
        return status_error(r, digest, a, e);
    return 0;
}
