/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fetching images from registries into the store.
 *
 * In two parts, because the worker locks itself in between: pull_open() reads all that is asked of this
 * machine (davit.conf, credentials, certificates), pull_run() talks to strangers.
 *
 * One image is fetched by one process at a time: a second one waits, and then finds it there. Blobs that were
 * begun by somebody who is gone are gone on with. Nothing has a name in the store before all of it is there.
 */
#pragma once

#include "image/platform.h"
#include "image/pull-policy.h"
#include "image/store.h"
#include "worker/http.h"

struct pull_options {
    enum pull_policy policy;
    struct platform platform;
    bool platform_written;                     /* somebody wants this one, not just the machine's own */
    const char *config;                        /* davit.conf */
    const char *auth_file, *creds, *certs_dir; /* NULL = what is usual */
    int tls_verify;                            /* -1 = as davit.conf says */
    bool all_tags;
    bool keep_archives; /* image_keep_archives of davit.conf */
    const char *digest; /* fetched under the name, whatever the name leads to now; NULL = what it leads to */
    struct http_retry retry;
};

struct pull_result {
    char *name; /* canonical */
    char manifest[DIGEST_TEXT];
    bool fetched; /* false: it was there */
};
void pull_results_free(struct pull_result *list, size_t n);

/* What is told on the way; each may be NULL. done and total are bytes of all blobs of the image. */
struct pull_reporter {
    void (*note)(void *userdata, const char *text);
    void (*progress)(void *userdata, const char *image, uint64_t done, uint64_t total);
    void *userdata;
};

struct pull;
/* name: as a person writes it. options and reporter have to live on. */
int pull_open(const struct pull_options *options, const struct pull_reporter *reporter, const char *name,
    struct pull **ret, struct error *e);
/* A registry, perhaps with the beginning of a path, to sign in to: nothing is fetched. */
int pull_open_registry(const struct pull_options *options, const struct pull_reporter *reporter,
    const char *name, struct pull **ret, struct error *e);
int pull_check_registry(struct pull *p, struct error *e);
void pull_free(struct pull *p);
DEFINE_CLEANUP(struct pull *, pull_free)
/* Whether a root has it, for the platform that is wanted. */
bool pull_has_local(const struct pull *p, char *const *roots);
/* roots: where images are looked for, s: the store among them that is written to. */
int pull_run(struct pull *p, char *const *roots, const struct store *s, struct pull_result **ret,
    size_t *ret_n, struct error *e);
