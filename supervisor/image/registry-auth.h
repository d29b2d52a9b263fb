/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a registry says about who may come in: the WWW-Authenticate header of a 401 (RFC 9110 section 11) and
 * the answer of a token server (the distribution project's token specification, with OAuth2's names beside
 * it). All of it was written by a stranger: everything has a limit, and nothing is ever taken for a header or
 * URL of ours without being checked or escaped.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"

#define REGISTRY_CHALLENGE_MAX 8192             /* bytes of all WWW-Authenticate lines */
#define REGISTRY_TOKEN_MAX (64U * 1024)         /* of a token; the answer that carries it may be twice that */
#define REGISTRY_TOKEN_LIFE (60 * USEC_PER_SEC) /* where the answer names none, says the specification */

enum registry_scheme { REGISTRY_AUTH_NONE, REGISTRY_AUTH_BASIC, REGISTRY_AUTH_BEARER };

struct registry_challenge {
    enum registry_scheme scheme;
    char *realm, *service, *scope; /* of Bearer; service and scope may be NULL */
};
void registry_challenge_done(struct registry_challenge *c);

/* The strongest challenge that we can answer in one or more header values, joined by ", ": Bearer before
 * Basic, others are passed over. 0 (scheme NONE where there is none we know), -EINVAL if it is no such
 * header, -E2BIG, -ENOMEM. */
int registry_challenge_parse(const char *header, struct registry_challenge *ret);

/* The token in a token server's answer, and for how long it may be used. -EBADMSG with *e. */
int registry_token_parse(const char *json, size_t n, char **ret_token, usec_t *ret_life, struct error *e);

/* "realm?service=...&scope=...", with what stands in the realm's own query kept. scope is ours, not the
 * registry's: it must not get a token out of us for more than we came for. NULL on out of memory. */
char *registry_token_url(const struct registry_challenge *c, const char *scope);
/* Percent-encodes everything but unreserved characters (RFC 3986). */
char *url_escape(const char *s);
