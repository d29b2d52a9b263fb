/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/http-internal.h"

#define STEP_MSEC 1000
#define DELAY_FIRST USEC_PER_SEC
#define DELAY_MAX (30 * USEC_PER_SEC)
#define PROGRESS_MIN (64U * 1024) /* a try that brought this much was not in vain: counting starts anew */

void http_peer_done(struct http_peer *p) {
    free(p->authorities);
    free(p->certificate);
    if (p->key)
        explicit_bzero(p->key, strlen(p->key));
    free(p->key);
    *p = (struct http_peer){0};
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
    case CURLE_SSL_CACERT_BADFILE:
        return EPROTO;
    case CURLE_UNSUPPORTED_PROTOCOL:
        return EPROTONOSUPPORT;
    default:
        return EIO;
    }
}

/* What davit.conf can do about it. */
static const char *failure_hint(CURLcode c) {
    switch (c) {
    case CURLE_SSL_CONNECT_ERROR:
        return " (a registry that speaks plain HTTP needs plain_http = true in davit.conf)";
    case CURLE_PEER_FAILED_VERIFICATION:
        return " (another authority's certificate is named by ca or certs in davit.conf)";
    case CURLE_SSL_CACERT_BADFILE:
        return " (install ca-certificates, or name an authority's certificate by ca or certs in davit.conf)";
    default:
        return "";
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
    http_keep(&t->url, url);
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
    http_keep(&t->url, url);
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
    (void)error_set(&t->error, failure_errno(c), "%s: %s%s", t->url, why, failure_hint(c));
    return false;
}

static void on_done(struct http_transfer *t, CURLcode c) {
    bool again;

    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->response.status);
    again = c == CURLE_OK ? on_answer(t) : on_failure(t, c);
    http_try_end(t);
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
        else if (http_try_begin(t) < 0)
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
    http_try_end(t);
    curl_slist_free_all(t->headers);
    list_remove(&t->link);
    http_response_reset(t);
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
