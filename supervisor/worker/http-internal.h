/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What http.c (all transfers, and what becomes of each) and http-try.c (one request and its answer) share. */
#pragma once

#include <curl/curl.h>

#include "base/list.h"
#include "worker/http.h"

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

static inline void http_keep(char **field, char *value) {
    free(*field);
    *field = value;
}

/* Asks t->url, with the transfer's secrets only where it is the first url's host. -errno with t->error. */
int http_try_begin(struct http_transfer *t);
void http_try_end(struct http_transfer *t);
/* Forgets what has come of an answer. */
void http_response_reset(struct http_transfer *t);
