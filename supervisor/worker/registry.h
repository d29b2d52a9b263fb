/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One repository of one registry, by the OCI distribution API: signing in, manifests, tags, blobs. What a
 * registry says is a stranger's word: bytes are what their digest says or they are nothing, every answer has
 * a limit, and texts are made fit for a terminal before they get into a message.
 */
#pragma once

#include "image/credentials.h"
#include "image/oci.h"
#include "image/registries.h"
#include "image/registry-auth.h"
#include "worker/http.h"

#define REGISTRY_TAGS_MAX 10000

struct registry {
    struct http *http; /* borrowed */
    char *host, *repository;
    struct http_peer peer;
    struct credentials credentials;
    char *note; /* why there may be no credentials */
    bool plain; /* http:// is what it talks */
    /* What it wants to see: the value of the Authorization header, until when. */
    char *authorization;
    usec_t authorized_until;
};

/* place, its certificates and credentials (both taken over, emptied). */
int registry_new(struct http *http, const struct registry_endpoint *place, struct http_peer *peer,
    struct credentials *credentials, struct registry **ret, struct error *e);
void registry_free(struct registry *r);
DEFINE_CLEANUP(struct registry *, registry_free)

struct registry_document {
    char *text;
    size_t size;
    char *media_type;
    char digest[DIGEST_TEXT]; /* of text, computed */
};
void registry_document_done(struct registry_document *d);

/* An index or manifest by tag or digest. -ENOENT, -EACCES (with what to do), -EBADMSG (digest), -EFBIG. */
int registry_manifest(
    struct registry *r, const char *reference, struct registry_document *ret, struct error *e);
/* All tags, sorted as the registry has them. -E2BIG past REGISTRY_TAGS_MAX. */
int registry_tags(struct registry *r, char ***ret, struct error *e);
/* Whether the credentials are taken: GET /v2/. */
int registry_check(struct registry *r, struct error *e);

/* Begins a download of digest from *position on. */
int registry_blob_start(struct registry *r, const char *digest,
    int (*sink)(void *userdata, const void *data, size_t n), void *userdata, const uint64_t *position,
    struct http_transfer **ret, struct error *e);
/* What became of it: 0; -EAGAIN: signed in anew, begin again; or why not. */
int registry_blob_result(
    struct registry *r, const struct http_transfer *t, const char *digest, struct error *e);

/* The first message in a registry's JSON of errors, with nothing but printable ASCII in it, cut short; NULL
 * if there is none. */
char *registry_error_text(const char *body, size_t n);
/* The path and query of the next page, from a Link header; NULL = none. */
char *registry_next_page(const char *link);
