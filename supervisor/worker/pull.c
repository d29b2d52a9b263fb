/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/pull.h"

#include "image/image.h"
#include "worker/peer.h"
#include "worker/pull-internal.h"

/* Who has this name, and how they are spoken to. */
struct place {
    struct registry *registry;
    bool is_mirror;
};
struct candidate {
    char *name; /* canonical */
    struct reference reference;
    struct place *places;
    size_t n_places;
};
struct pull {
    const struct pull_options *options;
    const struct pull_reporter *reporter;
    char *written;
    struct registries registries;
    struct http *http;
    struct candidate *candidates;
    size_t n_candidates;
};

void pull_results_free(struct pull_result *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        free(list[i].name);
    free(list);
}

void pull_free(struct pull *p) {
    if (!p)
        return;
    for (size_t i = 0; i < p->n_candidates; i++) {
        struct candidate *c = &p->candidates[i];

        for (size_t k = 0; k < c->n_places; k++)
            registry_free(c->places[k].registry);
        free(c->places);
        reference_done(&c->reference);
        free(c->name);
    }
    free(p->candidates);
    registries_done(&p->registries);
    http_free(p->http);
    free(p->written);
    free(p);
}

/* ---- before the worker locks itself in ---- */

/* Under which name credential files know it: docker.io, not the host that answers for it. */
static char *credentials_name(const struct registry_endpoint *at) {
    _cleanup_free_ char *host = credentials_key(at->host);

    return host ? strf("%s/%s", host, at->repository) : NULL;
}

static int find_credentials(const struct pull_options *o, const struct registry_endpoint *at,
    struct credentials *ret, char **note, struct error *e) {
    _cleanup_strv_free_ char **files = NULL;
    _cleanup_free_ char *name = NULL;

    if (o->creds)
        return credentials_parse(o->creds, ret) < 0
                   ? error_set(e, EINVAL, "credentials are written USER:PASSWORD")
                   : 0;
    name = credentials_name(at);
    if (!name || credentials_files(o->auth_file, o->config, &files) < 0)
        return error_set_errno(e, ENOMEM, "credentials");
    return credentials_lookup(files, o->auth_file != NULL, name, ret, note, e);
}

static int open_place(
    struct pull *p, const struct registry_endpoint *at, struct place *ret, struct error *e) {
    const struct pull_options *o = p->options;
    _cleanup_(credentials_done) struct credentials credentials = {0};
    _cleanup_(http_peer_done) struct http_peer peer = {0};
    _cleanup_free_ char *note = NULL;
    int r = peer_load(at, p->registries.certs, o->certs_dir, o->tls_verify, &peer, e);

    if (r >= 0)
        r = find_credentials(o, at, &credentials, &note, e);
    if (r >= 0)
        r = registry_new(p->http, at, &peer, &credentials, &ret->registry, e);
    if (r < 0)
        return r;
    ret->registry->note = TAKE_PTR(note);
    ret->is_mirror = at->is_mirror;
    return 0;
}

/* c->reference is set. */
static int open_candidate(struct pull *p, const char *name, struct candidate *c, struct error *e) {
    struct registry_endpoint *list = NULL;
    size_t n = 0;
    int r = registries_endpoints(&p->registries, &c->reference, &list, &n, e);

    if (r >= 0) {
        c->name = strdup(name);
        c->places = calloc(n + 1, sizeof(*c->places));
        r = c->name && c->places ? 0 : error_set_errno(e, ENOMEM, "%s", name);
    }
    for (size_t i = 0; i < n && r >= 0 && c->places; i++) {
        r = open_place(p, &list[i], &c->places[i], e);
        if (r >= 0)
            c->n_places++;
    }
    registry_endpoints_free(list, n);
    return r;
}

static int open_candidates(struct pull *p, struct error *e) {
    _cleanup_(reference_done) struct reference reference = {0};
    _cleanup_strv_free_ char **names = NULL;
    int r = reference_parse(p->written, &reference, e);

    if (r >= 0 && p->options->all_tags && (reference.tag || reference.digest))
        r = error_set(e, EINVAL, "%s: all tags are wanted, and one is named", p->written);
    if (r >= 0 && streq_ptr(reference.registry, REFERENCE_LOCAL))
        r = error_set(e, ENOENT,
            "%s: what is called " REFERENCE_LOCAL "/... was made on this machine and is in no registry "
            "(a registry here has its port in the name)",
            p->written);
    if (r >= 0)
        r = registries_candidates(&p->registries, &reference, &names, e);
    if (r < 0)
        return r;
    p->candidates = calloc(strv_length(names) + 1, sizeof(*p->candidates));
    if (!p->candidates)
        return error_set_errno(e, ENOMEM, "%s", p->written);
    for (size_t i = 0; names[i]; i++) {
        p->n_candidates++;
        r = reference_parse(names[i], &p->candidates[i].reference, e);
        if (r >= 0)
            r = open_candidate(p, names[i], &p->candidates[i], e);
        if (r < 0)
            return r;
    }
    return 0;
}

static void note(void *userdata, const char *text) {
    const struct pull_reporter *r = userdata;

    if (r->note)
        r->note(r->userdata, text);
}

static int pull_new(const struct pull_options *options, const struct pull_reporter *reporter,
    const char *name, struct pull **ret, struct error *e) {
    _cleanup_(pull_freep) struct pull *p = calloc(1, sizeof(*p));
    const char *plain = startswith(name, "docker://"); /* podman's word for a registry */
    int r;

    if (!p)
        return error_set_errno(e, ENOMEM, "%s", name);
    p->options = options;
    p->reporter = reporter;
    registries_init(&p->registries);
    p->written = strdup(plain ? plain : name);
    if (!p->written)
        return error_set_errno(e, ENOMEM, "%s", name);
    r = registries_read(options->config, &p->registries, e);
    if (r >= 0)
        r = http_new(&options->retry, note, (void *)(uintptr_t)reporter, &p->http, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(p);
    return 0;
}

int pull_open(const struct pull_options *options, const struct pull_reporter *reporter, const char *name,
    struct pull **ret, struct error *e) {
    _cleanup_(pull_freep) struct pull *p = NULL;
    int r = pull_new(options, reporter, name, &p, e);

    if (r < 0 || !p)
        return r;
    r = open_candidates(p, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(p);
    return 0;
}

/* ---- signing in ---- */

int pull_open_registry(const struct pull_options *options, const struct pull_reporter *reporter,
    const char *name, struct pull **ret, struct error *e) {
    _cleanup_(pull_freep) struct pull *p = NULL;
    size_t host = strcspn(name, "/");
    int r = pull_new(options, reporter, name, &p, e);

    if (r < 0 || !p)
        return r;
    p->candidates = calloc(1, sizeof(*p->candidates));
    if (!p->candidates)
        return error_set_errno(e, ENOMEM, "%s", name);
    p->n_candidates = 1;
    struct reference *reference = &p->candidates[0].reference;
    reference->registry = strndup(name, host);
    reference->repository = strdup(name[host] ? name + host + 1 : "");
    if (!reference->registry || !reference->repository)
        return error_set_errno(e, ENOMEM, "%s", name);
    r = open_candidate(p, name, &p->candidates[0], e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(p);
    return 0;
}

int pull_check_registry(struct pull *p, struct error *e) {
    const struct candidate *c = &p->candidates[0];

    /* Mirrors stand before it, and have doors of their own. */
    return registry_check(c->places[c->n_places - 1].registry, e);
}

/* ---- is it here? ---- */

/* What was pulled for another platform is not what is wanted now. */
static bool has_platform(const struct pull *p, const char *root, const char *manifest) {
    const struct platform *wanted = &p->options->platform;
    _cleanup_(store_image_done) struct store_image i = {0};
    _cleanup_(store_done) struct store s = {.fd = -1};

    if (!p->options->platform_written)
        return true;
    return root && store_open(root, false, &s, NULL) >= 0 && store_image_load(&s, manifest, &i, NULL) >= 0 &&
           streq_ptr(i.config.os, wanted->os) && streq_ptr(i.config.architecture, wanted->architecture);
}

static bool find_local(const struct pull *p, char *const *roots, struct pull_result *ret) {
    _cleanup_(image_done) struct image i = {0};
    /* Under its own name, or the full one that we would store it by. */
    bool found = image_resolve(roots, p->written, &i, NULL) >= 0;

    for (size_t k = 0; k < p->n_candidates && !found; k++)
        found = image_resolve(roots, p->candidates[k].name, &i, NULL) >= 0;
    if (!found || !has_platform(p, i.root, i.manifest))
        return false;
    memcpy(ret->manifest, i.manifest, sizeof(ret->manifest));
    ret->fetched = false;
    return true;
}

bool pull_has_local(const struct pull *p, char *const *roots) {
    struct pull_result ignored = {0};

    return find_local(p, roots, &ignored);
}

/* ---- one image ---- */

/* Errors of this machine, which no other registry would change. */
static bool is_ours(int r) {
    return r == -ENOSPC || r == -EDQUOT || r == -EROFS || r == -ENOMEM || r == -EMFILE || r == -ENFILE;
}

static void report_bytes(void *userdata, uint64_t done, uint64_t total) {
    const struct pull_image *i = userdata;

    if (i->reporter->progress)
        i->reporter->progress(i->reporter->userdata, i->name, done, total);
}

static int pull_from(struct pull *p, const struct candidate *c, struct place *at, const char *name,
    const char *tag_or_digest, const struct store *s, struct pull_result *ret, struct error *e) {
    struct pull_image i = {.registry = at->registry,
        .store = s,
        .options = p->options,
        .reporter = p->reporter,
        .name = name,
        .reference = tag_or_digest,
        .parallel = p->registries.parallel};
    const struct fetch_progress progress = {report_bytes, &i};
    int r = pull_image(&i, &progress, ret, e);

    if (r >= 0)
        return 0;
    if (at->is_mirror && !is_ours(r)) {
        char text[ERROR_TEXT_MAX + 32];

        (void)snprintf(text, sizeof(text), "mirror %s: %s", at->registry->host, e->text);
        note((void *)(uintptr_t)p->reporter, text);
    }
    return error_prefix(e, r, "%s", c->name);
}

/* The first place that has it. */
static int pull_candidate(struct pull *p, struct candidate *c, const char *name, const char *tag_or_digest,
    const struct store *s, struct pull_result *ret, struct error *e) {
    _cleanup_close_ int lock = pull_lock(s, name, p->reporter, e);
    int r = lock;

    for (size_t i = 0; i < c->n_places && lock >= 0; i++) {
        r = pull_from(p, c, &c->places[i], name, tag_or_digest, s, ret, e);
        if (r >= 0 || is_ours(r))
            break;
    }
    pull_unlock(s, name, lock);
    return r;
}

static int pull_one(struct pull *p, const struct store *s, struct pull_result *ret, struct error *e) {
    int r = -ENOENT;

    for (size_t i = 0; i < p->n_candidates; i++) {
        struct candidate *c = &p->candidates[i];
        const struct reference *ref = &c->reference;

        if (i > 0)
            note((void *)(uintptr_t)p->reporter, e->text);
        const char *digest = p->options->digest ? p->options->digest : ref->digest;
        r = pull_candidate(p, c, c->name, digest ? digest : ref->tag, s, ret, e);
        if (r >= 0 || is_ours(r))
            break;
    }
    return r;
}

/* ---- all tags ---- */

static int list_tags(struct pull *p, struct candidate **ret_from, char ***ret, struct error *e) {
    int r = -ENOENT;

    for (size_t i = 0; i < p->n_candidates; i++)
        for (size_t k = 0; k < p->candidates[i].n_places; k++) {
            r = registry_tags(p->candidates[i].places[k].registry, ret, e);
            if (r < 0)
                continue;
            *ret_from = &p->candidates[i];
            return 0;
        }
    return r;
}

static int pull_tags(
    struct pull *p, const struct store *s, struct pull_result **ret, size_t *ret_n, struct error *e) {
    _cleanup_strv_free_ char **tags = NULL;
    struct pull_result *list;
    struct candidate *from = NULL;
    size_t n = 0;
    int r = list_tags(p, &from, &tags, e);

    if (r < 0)
        return r;
    list = calloc(strv_length(tags) + 1, sizeof(*list));
    if (!list)
        return error_set_errno(e, ENOMEM, "%s", p->written);
    for (; tags[n] && r >= 0; n++) {
        _cleanup_free_ char *name =
            strf("%s/%s:%s", from->reference.registry, from->reference.repository, tags[n]);

        r = name ? pull_candidate(p, from, name, tags[n], s, &list[n], e)
                 : error_set_errno(e, ENOMEM, "%s", p->written);
    }
    if (r < 0) {
        pull_results_free(list, n);
        return r;
    }
    *ret = list;
    *ret_n = n;
    return 0;
}

/* ---- by the policy ---- */

static int refuse_missing(struct pull *p, char *const *roots, struct error *e) {
    _cleanup_free_ char *searched = strv_join(roots, ", ");

    return error_set(e, ENOENT, "no image \"%s\" in %s, and it may not be fetched (policy never)", p->written,
        isempty(searched) ? "the store" : searched);
}

int pull_run(struct pull *p, char *const *roots, const struct store *s, struct pull_result **ret,
    size_t *ret_n, struct error *e) {
    enum pull_policy policy = p->options->policy;
    struct pull_result *result;
    bool have_local;
    int r = 0;

    if (p->options->all_tags)
        return pull_tags(p, s, ret, ret_n, e);
    result = calloc(1, sizeof(*result));
    if (!result)
        return error_set_errno(e, ENOMEM, "%s", p->written);
    have_local = find_local(p, roots, result);
    switch (pull_decide(policy, have_local)) {
    case PULL_USE_LOCAL:
        break;
    case PULL_FAIL:
        r = refuse_missing(p, roots, e);
        break;
    case PULL_ASK:
        r = pull_one(p, s, result, e);
        if (r < 0 && pull_keeps_local(policy, have_local, false, r)) {
            note((void *)(uintptr_t)p->reporter, e->text);
            r = 0;
        }
        break;
    }
    if (r >= 0 && !result->name && !(result->name = strdup(p->written)))
        r = error_set_errno(e, ENOMEM, "%s", p->written);
    if (r < 0) {
        pull_results_free(result, 1);
        return r;
    }
    *ret = result;
    *ret_n = 1;
    return 0;
}
