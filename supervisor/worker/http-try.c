/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One request and what comes in of its answer. */
#include <strings.h>

#include "base/parse.h"
#include "worker/http-internal.h"

#define CONNECT_TIMEOUT_SEC 15L
#define SMALL_TIMEOUT_SEC 60L /* a manifest or token, from start to end */
/* Slower than this for that long is a dead connection: it is cut and begun again where it was. */
#define STALL_BYTES_PER_SEC 64L
#define STALL_SEC 30L
#define RETRY_AFTER_MAX (120 * USEC_PER_SEC)
#define HEADER_VALUE_MAX 8192

/* ---- what comes in ---- */

void http_response_reset(struct http_transfer *t) {
    free(t->response.body);
    free(t->response.challenge);
    free(t->response.content_type);
    free(t->response.digest);
    free(t->response.link);
    t->response = (struct http_response){0};
    strbuf_free(&t->body);
    free(TAKE_PTR(t->location));
    free(TAKE_PTR(t->range));
    t->retry_after = 0;
    t->answer_checked = false;
    t->skip = 0;
    t->error = (struct error){0};
}

/* Visible text only: it may end in a message. */
static char *header_value(const char *line, size_t n) {
    size_t colon = strcspn(line, ":");
    char *value;

    if (colon >= n || n > HEADER_VALUE_MAX)
        return NULL;
    value = strndup(line + colon + 1, n - colon - 1);
    for (char *p = value; p && *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    if (!value)
        return NULL;
    char *stripped = strstrip(value);
    memmove(value, stripped, strlen(stripped) + 1);
    return value;
}

static usec_t parse_retry_after(const char *value) {
    uint64_t seconds;

    if (parse_uint(value, 0, UINT32_MAX, &seconds) >= 0)
        return MIN(seconds * USEC_PER_SEC, RETRY_AFTER_MAX);
    time_t at = curl_getdate(value, NULL), now = time(NULL);
    return at > now ? MIN((usec_t)(at - now) * USEC_PER_SEC, RETRY_AFTER_MAX) : 0;
}

static void join_challenge(struct http_transfer *t, char *value) {
    _cleanup_free_ char *more = value, *old = t->response.challenge;

    t->response.challenge = old ? strf("%s, %s", old, more) : strdup(more);
}

static size_t on_header(char *line, size_t size, size_t n, void *userdata) {
    struct http_transfer *t = userdata;
    char *value;

    n *= size;
    if (n > 5 && strncasecmp(line, "HTTP/", 5) == 0) { /* the next answer: 100 Continue stands before 200 */
        http_response_reset(t);
        return n;
    }
    size_t name = strcspn(line, ":\r\n");
    if (name >= n || line[name] != ':' || !(value = header_value(line, n)))
        return n;
    line[name] = '\0';
    if (strcasecmp(line, "WWW-Authenticate") == 0)
        join_challenge(t, TAKE_PTR(value));
    else if (strcasecmp(line, "Location") == 0)
        http_keep(&t->location, TAKE_PTR(value));
    else if (strcasecmp(line, "Content-Range") == 0)
        http_keep(&t->range, TAKE_PTR(value));
    else if (strcasecmp(line, "Docker-Content-Digest") == 0)
        http_keep(&t->response.digest, TAKE_PTR(value));
    else if (strcasecmp(line, "Link") == 0 && !t->response.link)
        http_keep(&t->response.link, TAKE_PTR(value));
    else if (strcasecmp(line, "Retry-After") == 0)
        t->retry_after = parse_retry_after(value);
    else if (strcasecmp(line, "Content-Type") == 0) {
        value[strcspn(value, "; \t")] = '\0';
        http_keep(&t->response.content_type, TAKE_PTR(value));
    }
    free(value);
    return n;
}

/* Before the first byte of a download: is it what was asked for? */
static int check_answer(struct http_transfer *t, long status) {
    const char *from = t->range ? startswith(t->range, "bytes ") : NULL;

    t->answer_checked = true;
    if (t->asked_from == 0)
        return 0;
    if (status == 200) { /* it does not know ranges */
        t->skip = t->asked_from;
        return 0;
    }
    if (!from || strtoull(from, NULL, 10) != t->asked_from)
        return error_set(&t->error, EBADMSG, "%s: asked for the bytes from %llu on, got \"%s\"", t->url,
            (unsigned long long)t->asked_from, t->range ? t->range : "no range");
    return 0;
}

static int take_download(struct http_transfer *t, const char *data, size_t n, long status) {
    if (!t->answer_checked && check_answer(t, status) < 0)
        return -EBADMSG;
    size_t passed = (size_t)MIN(t->skip, (uint64_t)n);
    t->skip -= passed;
    if (passed == n)
        return 0;
    int r = t->sink(t->userdata, data + passed, n - passed);
    if (r < 0 && t->error.number == 0)
        (void)error_set_errno(&t->error, r, "%s", t->url);
    return r;
}

static size_t on_body(char *data, size_t size, size_t n, void *userdata) {
    struct http_transfer *t = userdata;
    long status = 0;

    n *= size;
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    bool good = status >= 200 && status < 300;
    if (good && t->sink)
        return take_download(t, data, n, status) < 0 ? 0 : n;
    if (good && n > t->max_body - MIN(t->body.length, t->max_body)) {
        (void)error_set(&t->error, EFBIG, "%s: the answer is larger than %zu bytes", t->url, t->max_body);
        return 0;
    }
    /* Of an error only the beginning is of interest; the rest is read so that the connection can be kept. */
    if (!good)
        strbuf_append(&t->body, data, MIN(n, HTTP_ERROR_BODY_MAX - MIN(t->body.length, HTTP_ERROR_BODY_MAX)));
    else
        strbuf_append(&t->body, data, n);
    return n;
}

/* ---- one try ---- */

bool http_same_origin(const char *a, const char *b) {
    static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    CURLU *ua = curl_url(), *ub = curl_url();
    bool same = ua && ub && curl_url_set(ua, CURLUPART_URL, a, 0) == CURLUE_OK &&
                curl_url_set(ub, CURLUPART_URL, b, 0) == CURLUE_OK;

    for (size_t i = 0; i < ARRAY_SIZE(parts) && same; i++) {
        char *x = NULL, *y = NULL;

        same = curl_url_get(ua, parts[i], &x, CURLU_DEFAULT_PORT) == CURLUE_OK &&
               curl_url_get(ub, parts[i], &y, CURLU_DEFAULT_PORT) == CURLUE_OK && strcasecmp(x, y) == 0;
        curl_free(x);
        curl_free(y);
    }
    curl_url_cleanup(ua);
    curl_url_cleanup(ub);
    return same;
}

static void set_blob(CURL *easy, CURLoption option, char *pem) {
    struct curl_blob blob = {.data = pem, .len = strlen(pem), .flags = CURL_BLOB_NOCOPY};

    (void)curl_easy_setopt(easy, option, &blob);
}

static void set_tls(struct http_transfer *t, bool own_host) {
    const struct http_peer *p = t->peer;

    (void)curl_easy_setopt(t->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, p->plain ? "http,https" : "https");
    if (p->insecure) {
        (void)curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYPEER, 0L);
        (void)curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    /* It takes the place of the file of authorities; the directory of them (CAPATH) stays. */
    if (p->authorities)
        set_blob(t->easy, CURLOPT_CAINFO_BLOB, p->authorities);
    if (own_host && p->certificate && p->key) {
        set_blob(t->easy, CURLOPT_SSLCERT_BLOB, p->certificate);
        set_blob(t->easy, CURLOPT_SSLKEY_BLOB, p->key);
    }
}

static int set_headers(struct http_transfer *t, bool own_host) {
    _cleanup_free_ char *authorization = NULL;

    curl_slist_free_all(t->headers);
    t->headers = NULL;
    STRV_FOREACH (header, t->plain_headers) {
        struct curl_slist *longer = curl_slist_append(t->headers, *header);
        if (!longer)
            return -ENOMEM;
        t->headers = longer;
    }
    if (t->authorization && own_host) {
        authorization = strf("Authorization: %s", t->authorization);
        struct curl_slist *longer = authorization ? curl_slist_append(t->headers, authorization) : NULL;
        if (!longer)
            return -ENOMEM;
        t->headers = longer;
    }
    return curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers) == CURLE_OK ? 0 : -ENOMEM;
}

static void set_limits(struct http_transfer *t) {
    (void)curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_SEC);
    (void)curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES_PER_SEC);
    (void)curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_TIME, STALL_SEC);
    if (!t->sink)
        (void)curl_easy_setopt(t->easy, CURLOPT_TIMEOUT, SMALL_TIMEOUT_SEC);
}

int http_try_begin(struct http_transfer *t) {
    bool own_host = http_same_origin(t->url, t->first_url);
    CURLcode c = CURLE_OK;

    http_response_reset(t);
    t->message[0] = '\0';
    t->easy = curl_easy_init();
    if (!t->easy)
        return error_set_errno(&t->error, ENOMEM, "%s", t->url);
    c = curl_easy_setopt(t->easy, CURLOPT_URL, t->url);
    set_limits(t);
    set_tls(t, own_host);
    (void)curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "davit/" DAVIT_VERSION);
    (void)curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->message);
    (void)curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
    (void)curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    (void)curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    if (t->form && c == CURLE_OK)
        c = curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, t->form);
    t->asked_from = t->position ? *t->position : 0;
    t->try_began_at = t->asked_from;
    if (t->asked_from > 0 && c == CURLE_OK) {
        char range[32];

        (void)snprintf(range, sizeof(range), "%llu-", (unsigned long long)t->asked_from);
        c = curl_easy_setopt(t->easy, CURLOPT_RANGE, range);
    }
    if (c != CURLE_OK || set_headers(t, own_host) < 0 ||
        curl_multi_add_handle(t->http->multi, t->easy) != CURLM_OK) {
        curl_easy_cleanup(t->easy);
        t->easy = NULL;
        return error_set(&t->error, ENOMEM, "%s: %s", t->url, curl_easy_strerror(c));
    }
    return 0;
}

void http_try_end(struct http_transfer *t) {
    if (!t->easy)
        return;
    (void)curl_multi_remove_handle(t->http->multi, t->easy);
    curl_easy_cleanup(t->easy);
    t->easy = NULL;
}
