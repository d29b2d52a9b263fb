/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/http.h"

#include <curl/curl.h>
#include <strings.h>

#include "base/list.h"
#include "base/parse.h"

#define CONNECT_TIMEOUT_SEC 15L
#define SMALL_TIMEOUT_SEC 60L /* a manifest or token, from start to end */
/* Slower than this for that long is a dead connection: it is cut and begun again where it was. */
#define STALL_BYTES_PER_SEC 64L
#define STALL_SEC 30L
#define STEP_MSEC 1000
#define DELAY_FIRST USEC_PER_SEC
#define DELAY_MAX (30 * USEC_PER_SEC)
#define RETRY_AFTER_MAX (120 * USEC_PER_SEC)
#define PROGRESS_MIN (64U * 1024) /* a try that brought this much was not in vain: counting starts anew */
#define HEADER_VALUE_MAX 8192

struct http {
    CURLM *multi;
    struct http_retry retry;
    void (*note)(void *userdata, const char *text);
    void *userdata;
    struct list transfers;
};

struct http_transfer {
    struct http *http;
    struct list link;
    CURL *easy; /* NULL between tries */
    struct curl_slist *headers;
    char message[CURL_ERROR_SIZE];

    char *url, *first_url, *authorization, *form;
    char **plain_headers;
    const struct http_peer *peer;
    size_t max_body;
    int (*sink)(void *userdata, const void *data, size_t n);
    void *userdata;
    const uint64_t *position;

    uint64_t asked_from; /* offset that this try asked for */
    uint64_t skip;       /* bytes to pass over: the server did not take the offset */
    uint64_t try_began_at;
    bool answer_checked;
    unsigned redirects, attempt;
    usec_t not_before; /* of the next try */

    struct strbuf body;
    char *location, *range;
    usec_t retry_after;
    struct http_response response;
    struct error error;
    bool done;
};

void http_peer_done(struct http_peer *p) {
    free(p->authorities);
    free(p->certificate);
    if (p->key)
        explicit_bzero(p->key, strlen(p->key));
    free(p->key);
    *p = (struct http_peer){0};
}

/* ---- what comes in ---- */

static void response_reset(struct http_transfer *t) {
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

static void keep(char **field, char *value) {
    free(*field);
    *field = value;
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
        response_reset(t);
        return n;
    }
    size_t name = strcspn(line, ":\r\n");
    if (name >= n || line[name] != ':' || !(value = header_value(line, n)))
        return n;
    line[name] = '\0';
    if (strcasecmp(line, "WWW-Authenticate") == 0)
        join_challenge(t, TAKE_PTR(value));
    else if (strcasecmp(line, "Location") == 0)
        keep(&t->location, TAKE_PTR(value));
    else if (strcasecmp(line, "Content-Range") == 0)
        keep(&t->range, TAKE_PTR(value));
    else if (strcasecmp(line, "Docker-Content-Digest") == 0)
        keep(&t->response.digest, TAKE_PTR(value));
    else if (strcasecmp(line, "Link") == 0 && !t->response.link)
        keep(&t->response.link, TAKE_PTR(value));
    else if (strcasecmp(line, "Retry-After") == 0)
        t->retry_after = parse_retry_after(value);
    else if (strcasecmp(line, "Content-Type") == 0) {
        value[strcspn(value, "; \t")] = '\0';
        keep(&t->response.content_type, TAKE_PTR(value));
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

static int begin(struct http_transfer *t) {
    bool own_host = http_same_origin(t->url, t->first_url);
    CURLcode c = CURLE_OK;

    response_reset(t);
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

static void end_try(struct http_transfer *t) {
    if (!t->easy)
        return;
    (void)curl_multi_remove_handle(t->http->multi, t->easy);
    curl_easy_cleanup(t->easy);
    t->easy = NULL;
}

/* ---- what a try came to ---- */

static bool status_is_redirect(long status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool status_is_transient(long status) {
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

static bool failure_is_transient(CURLcode c) {
    switch (c) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return true;
    default:
        return false;
    }
}

static int failure_errno(CURLcode c) {
    switch (c) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return EHOSTUNREACH;
    case CURLE_COULDNT_CONNECT:
        return ECONNREFUSED;
    case CURLE_OPERATION_TIMEDOUT:
        return ETIMEDOUT;
    case CURLE_OUT_OF_MEMORY:
        return ENOMEM;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
        return EPROTO;
    case CURLE_UNSUPPORTED_PROTOCOL:
        return EPROTONOSUPPORT;
    default:
        return EIO;
    }
}

/* Location may be relative. The new URL, or NULL with the transfer's error. */
static char *redirect_target(struct http_transfer *t) {
    CURLU *u = curl_url();
    char *url = NULL, *copy = NULL, *scheme = NULL;

    if (u && curl_url_set(u, CURLUPART_URL, t->url, 0) == CURLUE_OK && t->location &&
        curl_url_set(u, CURLUPART_URL, t->location, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_URL, &url, 0) == CURLUE_OK) {
        if (streq(scheme, "https") || (streq(scheme, "http") && t->peer->plain))
            copy = strdup(url);
        else
            (void)error_set(
                &t->error, EPROTONOSUPPORT, "%s: redirected to %s, which is not https", t->url, url);
    }
    if (!copy && t->error.number == 0)
        (void)error_set(&t->error, EBADMSG, "%s: redirected to nowhere", t->url);
    curl_free(url);
    curl_free(scheme);
    curl_url_cleanup(u);
    return copy;
}

static bool follow(struct http_transfer *t) {
    char *url;

    if (++t->redirects > HTTP_REDIRECTS_MAX) {
        (void)error_set(&t->error, ELOOP, "%s: more than %d redirects", t->first_url, HTTP_REDIRECTS_MAX);
        return false;
    }
    url = redirect_target(t);
    if (!url)
        return false;
    /* What a form carries is a secret. */
    if (t->form && !http_same_origin(url, t->first_url)) {
        (void)error_set(&t->error, EPERM, "%s: redirected to another host", t->first_url);
        free(url);
        return false;
    }
    keep(&t->url, url);
    t->not_before = 0;
    return true;
}

static usec_t delay_of(const struct http_transfer *t) {
    const struct http_retry *retry = &t->http->retry;
    usec_t delay = retry->delay > 0 ? retry->delay : MIN(DELAY_FIRST << MIN(t->attempt - 1, 6U), DELAY_MAX);

    return MAX(delay, t->retry_after);
}

/* Another try; false if there were enough of them. The first URL is asked again: where it leads to may only
 * be good for a while. */
static bool try_again(struct http_transfer *t, const char *why) {
    char text[ERROR_TEXT_MAX], span[TIMESPAN_MAX];

    if (t->position && *t->position - t->try_began_at >= PROGRESS_MIN)
        t->attempt = 0;
    if (++t->attempt > t->http->retry.attempts)
        return false;
    usec_t delay = delay_of(t);
    (void)snprintf(text, sizeof(text), "%s: %s; trying again in %s", t->url, why,
        timespan_format(delay, USEC_PER_MSEC, span));
    if (t->http->note)
        t->http->note(t->http->userdata, text);
    char *url = strdup(t->first_url);
    if (!url)
        return false;
    keep(&t->url, url);
    t->redirects = 0;
    t->not_before = usec_add(now_monotonic(), delay);
    return true;
}

/* True if the transfer goes on with another try. */
static bool on_answer(struct http_transfer *t) {
    char why[64];

    if (status_is_redirect(t->response.status))
        return follow(t);
    if (!status_is_transient(t->response.status))
        return false;
    (void)snprintf(why, sizeof(why), "the server answers %ld", t->response.status);
    return try_again(t, why);
}

static bool on_failure(struct http_transfer *t, CURLcode c) {
    const char *why = *t->message ? t->message : curl_easy_strerror(c);

    t->response.status = 0;
    if (t->error.number != 0) /* the sink or a limit ended it */
        return false;
    if (failure_is_transient(c) && try_again(t, why))
        return true;
    (void)error_set(&t->error, failure_errno(c), "%s: %s", t->url, why);
    return false;
}

static void on_done(struct http_transfer *t, CURLcode c) {
    bool again;

    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->response.status);
    again = c == CURLE_OK ? on_answer(t) : on_failure(t, c);
    end_try(t);
    if (again)
        return;
    t->done = true;
    t->response.size = t->body.length;
    t->response.body = strbuf_take(&t->body);
    if (!t->response.body)
        (void)error_set_errno(&t->error, ENOMEM, "%s", t->url);
}

/* ---- all of them ---- */

int http_new(const struct http_retry *retry, void (*note)(void *userdata, const char *text), void *userdata,
    struct http **ret, struct error *e) {
    struct http *h = calloc(1, sizeof(*h));

    if (!h || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(h);
        return error_set_errno(e, ENOMEM, "libcurl");
    }
    *h = (struct http){.retry = *retry, .note = note, .userdata = userdata, .multi = curl_multi_init()};
    list_init(&h->transfers);
    if (!h->multi) {
        http_free(h);
        return error_set_errno(e, ENOMEM, "libcurl");
    }
    *ret = h;
    return 0;
}

void http_free(struct http *h) {
    if (!h)
        return;
    (void)curl_multi_cleanup(h->multi);
    curl_global_cleanup();
    free(h);
}

int http_start(struct http *h, const struct http_request *q, struct http_transfer **ret, struct error *e) {
    _cleanup_(http_transfer_freep) struct http_transfer *t = calloc(1, sizeof(*t));
    bool failed;

    if (!t)
        return error_set_errno(e, ENOMEM, "%s", q->url);
    *t = (struct http_transfer){.http = h,
        .peer = q->peer,
        .max_body = q->max_body,
        .sink = q->sink,
        .userdata = q->userdata,
        .position = q->position};
    list_init(&t->link);
    failed = free_and_strdup(&t->url, q->url) < 0 || free_and_strdup(&t->first_url, q->url) < 0 ||
             free_and_strdup(&t->authorization, q->authorization) < 0 ||
             free_and_strdup(&t->form, q->form) < 0 || strv_extend(&t->plain_headers, q->headers) < 0;
    if (failed)
        return error_set_errno(e, ENOMEM, "%s", q->url);
    list_append(&h->transfers, &t->link);
    *ret = TAKE_PTR(t);
    return 0;
}

/* Begins what is due; the milliseconds until the next one is. */
static int begin_due(struct http *h) {
    usec_t now = now_monotonic();
    int wait = STEP_MSEC;

    LIST_FOREACH (t, &h->transfers, struct http_transfer, link) {
        if (t->done || t->easy)
            continue;
        if (t->not_before > now)
            wait = MIN(wait, (int)((t->not_before - now) / USEC_PER_MSEC) + 1);
        else if (begin(t) < 0)
            t->done = true;
    }
    return wait;
}

int http_step(struct http *h, struct error *e) {
    int wait = begin_due(h), running = 0, left;
    CURLMcode c = curl_multi_perform(h->multi, &running);
    struct CURLMsg *m;
    bool ended = false;

    while (c == CURLM_OK && (m = curl_multi_info_read(h->multi, &left))) {
        struct http_transfer *t = NULL;

        if (m->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        on_done(t, m->data.result); /* m is gone after this */
        ended = true;
    }
    if (c == CURLM_OK && !ended)
        c = curl_multi_poll(h->multi, NULL, 0, wait, NULL);
    return c == CURLM_OK ? 0 : error_set(e, EIO, "libcurl: %s", curl_multi_strerror(c));
}

const struct http_response *http_answer(const struct http_transfer *t) {
    return &t->response;
}

bool http_is_done(const struct http_transfer *t) {
    return t->done;
}

int http_result(const struct http_transfer *t, struct error *e) {
    if (t->error.number != 0 && e)
        *e = t->error;
    return -t->error.number;
}

void http_transfer_free(struct http_transfer *t) {
    if (!t)
        return;
    end_try(t);
    curl_slist_free_all(t->headers);
    list_remove(&t->link);
    response_reset(t);
    free(t->url);
    free(t->first_url);
    if (t->authorization)
        explicit_bzero(t->authorization, strlen(t->authorization));
    free(t->authorization);
    if (t->form)
        explicit_bzero(t->form, strlen(t->form));
    free(t->form);
    strv_free(t->plain_headers);
    free(t);
}

int http_fetch(struct http *h, const struct http_request *q, struct http_transfer **ret, struct error *e) {
    _cleanup_(http_transfer_freep) struct http_transfer *t = NULL;
    int r = http_start(h, q, &t, e);

    while (r >= 0 && t && !http_is_done(t))
        r = http_step(h, e);
    if (r >= 0)
        *ret = TAKE_PTR(t);
    return r;
}
