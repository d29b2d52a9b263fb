/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * HTTP for the registry client: libcurl's multi interface, with what a registry needs and libcurl leaves to
 * its user. Only the worker that fetches images links it.
 *
 *   - Redirects are followed here, so that credentials and client certificates go to the host that they are
 *     for and to no other, and an https request never ends on plain http.
 *   - What may pass by itself (a lost connection, 408, 429, 5xx) is tried again with growing delay, as
 *     Retry-After says where it does; a download goes on where it was cut.
 *   - Every answer has a limit. Nothing that is not a 2xx reaches a sink.
 *
 * Transfers run side by side: http_start() begins one, http_step() moves them all, http_wait() does until one
 * is done. There are no callbacks but the sink, so a caller's own state never changes behind its back.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"

#define HTTP_REDIRECTS_MAX 10
#define HTTP_ERROR_BODY_MAX (64U * 1024) /* kept of an answer that is not a 2xx */

/* What is known about the other side, read before anything is asked. */
struct http_peer {
    bool plain;              /* http:// may be asked, and redirected to */
    bool insecure;           /* certificates are not looked at */
    char *authorities;       /* PEM, beside the system's; NULL = none */
    char *certificate, *key; /* PEM, our own; NULL = none */
};
void http_peer_done(struct http_peer *p);

struct http_request {
    const char *url;
    char *const *headers;      /* "Name: value" */
    const char *authorization; /* value of that header, NULL = none; only for the url's own host */
    const char *form;          /* POST body, application/x-www-form-urlencoded; NULL = GET */
    const struct http_peer *peer;
    size_t max_body; /* without a sink */
    /* A download: gets each piece once and in order, from *position on, which it advances. A negative errno
     * ends the transfer. */
    int (*sink)(void *userdata, const void *data, size_t n);
    void *userdata;
    const uint64_t *position;
};

struct http_response {
    long status; /* 0 = there was no answer, see error */
    char *body;  /* NUL-terminated; of a 2xx without a sink, or what fits of an error */
    size_t size;
    char *challenge;    /* all WWW-Authenticate lines, joined by ", " */
    char *content_type; /* without parameters */
    char *digest;       /* Docker-Content-Digest */
    char *link;         /* of the first Link line */
};

struct http;
struct http_transfer;

struct http_retry {
    unsigned attempts; /* after the first */
    usec_t delay;      /* 0 = one second, then twice as long each time */
};
/* note, if not NULL, is told what is tried again and why. */
int http_new(const struct http_retry *retry, void (*note)(void *userdata, const char *text), void *userdata,
    struct http **ret, struct error *e);
void http_free(struct http *h); /* its transfers must have been freed */
DEFINE_CLEANUP(struct http *, http_free)

/* The request's strings are copied, all but peer, which has to live on. */
int http_start(struct http *h, const struct http_request *q, struct http_transfer **ret, struct error *e);
/* Moves all transfers; waits for something to happen, at most a second. 0 or -errno. */
int http_step(struct http *h, struct error *e);
bool http_is_done(const struct http_transfer *t);
/* Of one that is done: 0 with an answer of any status, or -errno with *e where there was none, or none that
 * could be taken. */
int http_result(const struct http_transfer *t, struct error *e);
/* The answer of one that is done and whose result is 0. */
const struct http_response *http_answer(const struct http_transfer *t);
void http_transfer_free(struct http_transfer *t);
DEFINE_CLEANUP(struct http_transfer *, http_transfer_free)

/* Scheme, host and port are the same: where a secret may go. */
bool http_same_origin(const char *a, const char *b);

/* One request from start to end; the others go on meanwhile. */
int http_fetch(struct http *h, const struct http_request *q, struct http_transfer **ret, struct error *e);
