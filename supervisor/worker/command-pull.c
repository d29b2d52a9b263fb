/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* davit-image pull --policy=... NAME...: the command around pull.h. And davit-image check-login REGISTRY, by
 * which davit login finds out whether a password is the right one. */
#include <fcntl.h>

#include "base/parse.h"
#include "worker/peer.h"
#include "worker/preloaded.h"
#include "worker/pull.h"
#include "worker/registry.h"
#include "worker/worker.h"

#define RETRY_DEFAULT 3
#define RETRY_MAX 1000

struct command {
    struct pull_options options;
    struct pull_reporter reporter;
    struct pull **pulls; /* NULL: that image can be in no registry, refused says why */
    struct error *refused;
    size_t n_pulls;
};

/* ---- what is reported ---- */

static void report_note(void *userdata, const char *text) {
    worker_note(userdata, "%s", text);
}

static void report_progress(void *userdata, const char *image, uint64_t done, uint64_t total) {
    worker_progress(userdata, image, done, total);
}

/* ---- options ---- */

static int bad(const char *name, const char *value, const char *expected, struct error *e) {
    return error_set(e, EINVAL, "--%s=%s: %s is expected", name, value, expected);
}

static int take_retry(const struct worker_options *o, struct http_retry *ret, struct error *e) {
    uint64_t attempts = RETRY_DEFAULT, delay = 0;

    if (o->retry && parse_uint(o->retry, 0, RETRY_MAX, &attempts) < 0)
        return bad("retry", o->retry, "a number", e);
    if (o->retry_delay && parse_uint(o->retry_delay, 0, UINT64_MAX, &delay) < 0)
        return bad("retry-delay", o->retry_delay, "a number of microseconds", e);
    *ret = (struct http_retry){(unsigned)attempts, delay};
    return 0;
}

static int take_platform(const char *written, struct pull_options *p, struct error *e) {
    p->platform_written = written != NULL;
    if (written)
        return platform_parse(written, &p->platform, e);
    int r = platform_host(NULL, NULL, NULL, &p->platform);
    return r < 0 ? error_set_errno(e, r, "platform") : 0;
}

static int take_options(const struct worker_options *o, struct pull_options *p, struct error *e) {
    bool verify;

    *p = (struct pull_options){.policy = PULL_ALWAYS,
        .config = o->conf ? o->conf : WORKER_CONF,
        .auth_file = o->auth_file,
        .creds = getenv("DAVIT_REGISTRY_CREDS"),
        .certs_dir = o->cert_dir,
        .tls_verify = -1};
    if (o->policy && pull_policy_parse(o->policy, &p->policy) < 0)
        return bad("policy", o->policy, "always, missing, newer or never", e);
    if (o->tls_verify && parse_boolean(o->tls_verify, &verify) < 0)
        return bad("tls-verify", o->tls_verify, "true or false", e);
    if (o->tls_verify)
        p->tls_verify = verify;
    if (o->all_tags && parse_boolean(o->all_tags, &p->all_tags) < 0)
        return bad("all-tags", o->all_tags, "true or false", e);
    if (o->digest && !digest_is_valid(o->digest))
        return bad("digest", o->digest, "sha256:...", e);
    p->digest = o->digest;
    int r = take_platform(o->platform, p, e);
    return r < 0 ? r : take_retry(o, &p->retry, e);
}

/* ---- pull ---- */

static void command_free(struct command *c) {
    for (size_t i = 0; i < c->n_pulls; i++)
        if (c->pulls[i])
            pull_free(c->pulls[i]);
    free(c->pulls);
    free(c->refused);
    platform_done(&c->options.platform);
    free(c);
}
DEFINE_CLEANUP(struct command *, command_free)

/* Images are looked for in them as well, and they are to stay readable. One that is missing has none. */
static int open_roots(struct worker *w, struct error *e) {
    STRV_FOREACH (root, w->options.roots) {
        int fd = open(*root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = fd < 0 ? 0 : worker_add_input(w, fd, e);

        if (r < 0)
            return r;
    }
    return 0;
}

int command_pull_prepare(struct worker *w, struct error *e) {
    _cleanup_(command_freep) struct command *c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return error_set_errno(e, ENOMEM, "pull");
    if (w->n_arguments == 0)
        return error_set(e, EINVAL, "which image?");
    c->reporter = (struct pull_reporter){report_note, report_progress, w};
    c->pulls = calloc(w->n_arguments, sizeof(struct pull *));
    c->refused = calloc(w->n_arguments, sizeof(*c->refused));
    r = c->pulls && c->refused ? take_options(&w->options, &c->options, e)
                               : error_set_errno(e, ENOMEM, "pull");
    c->options.keep_archives = w->keep_archives;
    for (; c->n_pulls < w->n_arguments && r >= 0; c->n_pulls++)
        /* It may still lie in an archive. */
        (void)pull_open(&c->options, &c->reporter, w->arguments[c->n_pulls], &c->pulls[c->n_pulls],
            &c->refused[c->n_pulls]);
    if (r >= 0)
        r = open_roots(w, e);
    if (r < 0)
        return r;
    w->data = TAKE_PTR(c);
    return 0;
}

static void report_stored(struct worker *w, const char *name) {
    worker_event(w, json_pack("{s:s, s:s}", "event", "stored", "name", name));
}

static void report_image(struct worker *w, const struct pull_result *result) {
    _cleanup_(store_image_done) struct store_image i = {0};
    /* What was here may be a plain directory, or in another root: that has no id. */
    bool stored = *result->manifest && store_image_load(&w->store, result->manifest, &i, NULL) >= 0;

    worker_image(w, result->name, result->manifest, stored ? i.manifest.config.digest : "");
    if (result->fetched)
        report_stored(w, result->name);
}

/* 1: from an archive that came with the system; 0: there is none, or none is wanted. */
static int look_in_archives(struct worker *w, const struct command *c, size_t i, struct error *e) {
    if (c->options.policy == PULL_ALWAYS || c->options.all_tags)
        return 0;
    if (c->pulls[i] && pull_has_local(c->pulls[i], w->options.roots))
        return 0;
    int r = preloaded_import(w, w->arguments[i], e);
    if (r > 0)
        report_stored(w, w->arguments[i]);
    return r;
}

/* What no registry can have. */
static int run_local(struct worker *w, const struct command *c, size_t i, struct error *e) {
    struct pull_result result = {.name = w->arguments[i]};

    /* A registry is to be asked, and may not be or cannot. */
    bool asked = c->options.policy == PULL_ALWAYS || c->options.all_tags;
    if (asked || store_image_find(&w->store, w->arguments[i], result.manifest, NULL, NULL) < 0) {
        *e = c->refused[i];
        return -e->number;
    }
    report_image(w, &result);
    return 0;
}

static int run_one(struct worker *w, const struct command *c, size_t i, struct error *e) {
    struct pull_result *results;
    size_t n;

    int r = look_in_archives(w, c, i, e);
    if (r < 0 || !c->pulls[i])
        return r < 0 ? r : run_local(w, c, i, e);
    r = pull_run(c->pulls[i], w->options.roots, &w->store, &results, &n, e);

    if (r < 0)
        return r;
    for (size_t k = 0; k < n; k++)
        report_image(w, &results[k]);
    pull_results_free(results, n);
    return 0;
}

/* All of them are tried; the last failure is the run's. */
int command_pull_run(struct worker *w, struct error *e) {
    _cleanup_(command_freep) struct command *c = TAKE_PTR(w->data);
    struct error failure = {0};
    int r = 0;

    for (size_t i = 0; i < c->n_pulls; i++) {
        struct error one = {0};
        int q = run_one(w, c, i, &one);

        if (q >= 0)
            continue;
        if (r < 0)
            worker_note(w, "%s", failure.text);
        failure = one;
        r = q;
    }
    if (r < 0)
        *e = failure;
    return r;
}

/* ---- check-login ---- */

int command_login_prepare(struct worker *w, struct error *e) {
    _cleanup_(command_freep) struct command *c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return error_set_errno(e, ENOMEM, "login");
    c->reporter = (struct pull_reporter){report_note, report_progress, w};
    r = take_options(&w->options, &c->options, e);
    if (r < 0)
        return r;
    c->pulls = calloc(1, sizeof(struct pull *));
    if (!c->pulls)
        return error_set_errno(e, ENOMEM, "login");
    r = pull_open_registry(
        &c->options, &c->reporter, w->n_arguments == 1 ? w->arguments[0] : "", &c->pulls[0], e);
    if (r < 0)
        return r;
    c->n_pulls = 1;
    w->data = TAKE_PTR(c);
    return 0;
}

int command_login_run(struct worker *w, struct error *e) {
    _cleanup_(command_freep) struct command *c = TAKE_PTR(w->data);

    return pull_check_registry(c->pulls[0], e);
}
