/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fetching images: a worker (davit-image pull) for each image that units wait for, however many they are.
 * What it says, in lines of JSON (worker/worker.h), becomes the units' status, events, and in the end their
 * image.
 *
 * A worker outlives a davitd that dies. The next davitd starts the units anew, and its own worker then waits
 * for the first one's lock and finds the image there: nothing is fetched twice, and nobody has to be found
 * again.
 */
#include <inttypes.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "image/pull-policy.h"
#include "manager/image_worker.h"
#include "manager/spec_internal.h"

#define STATUS_INTERVAL USEC_PER_SEC

/* A disk that is full: gc may make room, once, before that is an error. */
enum room { ROOM_UNTRIED, ROOM_AWAITED, ROOM_TRIED };

struct pull {
    struct manager *manager;
    struct list link; /* manager->pulls */
    struct list waiters;
    char *image; /* as it is written */
    char *key;   /* everything the worker is told: who waits for the same shares it */
    struct image_worker *worker;
    bool stored; /* and the store has grown by it */
    char *name;  /* canonical, of what is there now */
    usec_t shown_at;
    enum room room;
    struct error error;
};

struct pull_waiter {
    struct list link;
    struct managed_unit *unit;
    struct pull *pull;
};

/* ---- what is wanted ---- */

struct wish {
    const char *image;
    const struct pull_section *pull;
    const struct image_section *section; /* NULL: of a container */
};

static int wish_of(struct managed_unit *u, struct wish *ret, struct error *e) {
    struct wish w = {0};
    int r = 0;

    if (u->config->type == UNIT_IMAGE) {
        w.section = u->config->image;
        w.image = w.section->image;
        w.pull = &w.section->pull;
    } else {
        r = images_name(u, &w.image, e);
        w.pull = &u->config->container->pull;
    }
    if (r >= 0)
        *ret = w;
    return r;
}

int pull_is_needed(struct managed_unit *u) {
    const struct image *image;
    struct error e = {};
    struct wish w;

    if ((u->config->type != UNIT_CONTAINER && u->config->type != UNIT_IMAGE) || wish_of(u, &w, &e) < 0)
        return 0; /* prepare_start() says what is wrong */
    if (path_is_absolute(w.image))
        return 0;
    /* One that is not there may lie in an archive that came with the system, whatever the policy is. */
    if ((w.pull->policy != PULL_MISSING && w.pull->policy != PULL_NEVER) ||
        (w.section && w.section->all_tags))
        return 1;
    if (u->config->type == UNIT_CONTAINER)
        return spec_image(u, &image, &e) == -ENOENT;
    return images_check(u->manager, w.image, &e) == -ENOENT;
}

/* ---- the worker's command line ---- */

static int add_option(char ***argv, const char *name, const char *value) {
    return isempty(value) ? 0 : strv_consume(argv, strf("--%s=%s", name, value));
}

/* --platform=OS/ARCHITECTURE/VARIANT, with the machine's own where nothing is written. */
static int add_platform(char ***argv, const struct image_section *i) {
    const char *variant = NULL, *architecture = oci_architecture(&variant);

    if (!i->arch && !i->os && !i->variant)
        return 0;
    if (i->arch)
        variant = NULL;
    if (i->variant)
        variant = i->variant;
    return strv_consume(
        argv, strf("--platform=%s/%s%s%s", i->os ? i->os : "linux", i->arch ? i->arch : architecture,
                  variant ? "/" : "", variant ? variant : ""));
}

static int add_section(char ***argv, const struct image_section *i) {
    int r = add_platform(argv, i);

    if (r >= 0)
        r = add_option(argv, "auth-file", i->auth_file);
    if (r >= 0)
        r = add_option(argv, "cert-dir", i->cert_dir);
    if (r >= 0 && i->all_tags)
        r = strv_append(argv, "--all-tags=yes");
    if (r >= 0 && !i->tls_verify)
        r = strv_append(argv, "--tls-verify=no");
    return r;
}

static int make_arguments(struct manager *m, const struct wish *w, char ***ret) {
    _cleanup_strv_free_ char **argv = NULL, **roots = NULL;
    int r = strv_append(&argv, "pull");

    if (r >= 0)
        r = strv_consume(&argv, strf("--policy=%s", pull_policy_name(w->pull->policy)));
    if (r >= 0)
        r = strv_consume(&argv, strf("--retry=%u", w->pull->retry));
    if (r >= 0 && w->pull->retry_delay > 0)
        r = strv_consume(&argv, strf("--retry-delay=%" PRIu64, w->pull->retry_delay));
    if (r >= 0 && w->section)
        r = add_section(&argv, w->section);
    if (r >= 0)
        r = images_roots(m, &roots);
    STRV_FOREACH (root, roots)
        r = r < 0 ? r : add_option(&argv, "root", *root);
    if (r >= 0)
        r = strv_append(&argv, "--");
    if (r >= 0)
        r = strv_append(&argv, w->image);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(argv);
    return 0;
}

/* Proxies, HOME, where credentials are: as davitd has them. What CREDS= says is seen by nobody's ps(1). */
static int make_environment(const struct wish *w, char ***ret) {
    _cleanup_strv_free_ char **env = strv_copy(environ);
    int r = environ[0] && !env ? -ENOMEM : 0;

    if (r >= 0 && !strv_env_get(env, "HOME"))
        r = strv_env_set(&env, "HOME", "/root");
    if (r >= 0 && w->section && w->section->creds)
        r = strv_env_set(&env, "DAVIT_REGISTRY_CREDS", w->section->creds);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(env);
    return 0;
}

int pull_arguments(struct managed_unit *u, char ***ret, char ***ret_environment, struct error *e) {
    _cleanup_strv_free_ char **argv = NULL, **environment = NULL;
    struct wish w;

    int r = wish_of(u, &w, e);
    if (r < 0)
        return r;
    if (make_arguments(u->manager, &w, &argv) < 0 || make_environment(&w, &environment) < 0)
        return error_set(e, ENOMEM, "out of memory");
    *ret = TAKE_PTR(argv);
    *ret_environment = TAKE_PTR(environment);
    return 0;
}

/* ---- the end ---- */

static void waiter_free(struct pull_waiter *w) {
    w->unit->pull = NULL;
    list_remove(&w->link);
    free(w);
}

static void pull_free(struct pull *p) {
    list_remove(&p->link);
    free(p->image);
    free(p->key);
    free(p->name);
    free(p);
}

static void tell_unit(struct managed_unit *u, const struct pull *p, const struct error *e) {
    struct error none = {};

    unit_set_status_text(u, NULL);
    if (!e && free_and_strdup(&u->pulled_image, p->name) < 0) {
        error_set_step(&none, PULL_STEP);
        (void)error_set(&none, ENOMEM, "out of memory");
        e = &none;
    }
    if (e)
        prepare_failed(u, e);
    else
        unit_slot_request(u);
}

/* All who wait are told; none of them is a waiter any more when it is. */
static void finish(struct pull *p) {
    const struct error *e = p->error.number != 0 ? &p->error : NULL;
    struct list waiters;

    list_init(&waiters);
    LIST_FOREACH (w, &p->waiters, struct pull_waiter, link) {
        list_remove(&w->link);
        list_append(&waiters, &w->link);
    }
    /* A new wish for the same is a new pull. */
    list_remove(&p->link);
    while (!list_empty(&waiters)) {
        struct pull_waiter *w = LIST_ENTRY(waiters.next, struct pull_waiter, link);
        struct managed_unit *u = w->unit;

        waiter_free(w);
        tell_unit(u, p, e);
    }
    if (p->stored)
        images_collect(p->manager);
    pull_free(p);
}

static void fail(struct pull *p, int number, const char *text) {
    error_set_step(&p->error, PULL_STEP);
    (void)error_set(&p->error, number, "%s: %s", p->image, text);
}

/* ---- what the worker says ---- */

static void show_progress(struct pull *p, json_t *event) {
    json_int_t done = json_integer_value(json_object_get(event, "done"));
    json_int_t total = json_integer_value(json_object_get(event, "total"));
    char a[16], b[16], text[ERROR_TEXT_MAX];

    if (now_monotonic() < p->shown_at + STATUS_INTERVAL || done < 0 || total <= 0)
        return;
    p->shown_at = now_monotonic();
    (void)snprintf(text, sizeof(text), "Fetching %.255s: %s of %s", p->image, size_format((uint64_t)done, a),
        size_format((uint64_t)total, b));
    LIST_FOREACH (w, &p->waiters, struct pull_waiter, link) {
        unit_set_status_text(w->unit, text);
        if (!list_empty(&p->manager->listeners))
            unit_emit(p->manager,
                json_pack("{ss ss ss sI sI sI}", "event", "progress", "unit", w->unit->name, "message",
                    p->image, "done", done, "total", total, "timestamp", (json_int_t)now_realtime()));
    }
    keeper_status_changed(p->manager);
}

static void show_note(struct pull *p, json_t *event) {
    const char *text = json_string_value(json_object_get(event, "text"));

    LIST_FOREACH (w, &p->waiters, struct pull_waiter, link)
        if (text)
            report_unit(w->unit, LOG_NOTICE, NULL, "%s", text);
}

static void take_image(struct pull *p, json_t *event) {
    const char *name = json_string_value(json_object_get(event, "name"));

    if (name && free_and_strdup(&p->name, name) < 0)
        fail(p, ENOMEM, "out of memory");
}

static void note_stored(struct pull *p, json_t *event _unused_) {
    p->stored = true;
}

static void on_event(void *userdata, const char *kind, json_t *event) {
    static const struct {
        const char *kind;
        void (*take)(struct pull *p, json_t *event);
    } table[] = {
        {"progress", show_progress},
        {"note", show_note},
        {"image", take_image},
        {"stored", note_stored},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (streq(table[i].kind, kind))
            table[i].take(userdata, event);
}

static void on_ended(void *userdata, const struct error *e) {
    struct pull *p = userdata;

    p->worker = NULL;
    if (e && e->number == ENOSPC && p->room == ROOM_UNTRIED) {
        p->room = ROOM_AWAITED;
        images_collect(p->manager);
        return;
    }
    if (e) {
        p->error = *e;
        error_set_step(&p->error, PULL_STEP);
    } else if (p->error.number == 0 && !p->name)
        fail(p, EIO, "the worker ended before it was done");
    finish(p);
}

static const struct image_worker_calls calls = {on_event, on_ended};

/* ---- the beginning ---- */

static int start_worker(struct pull *p, const struct wish *w, char **argv, struct error *e) {
    _cleanup_strv_free_ char **env = NULL;

    return p->image && make_environment(w, &env) >= 0
               ? image_worker_start(p->manager, argv, env, &calls, p, &p->worker, e)
               : error_set(e, ENOMEM, "out of memory");
}

static int pull_new(
    struct manager *m, const struct wish *w, char **argv, char *key, struct pull **ret, struct error *e) {
    struct pull *p = calloc(1, sizeof(*p));

    if (!p) {
        free(key);
        return error_set(e, ENOMEM, "out of memory");
    }
    *p = (struct pull){.manager = m, .key = key, .image = strdup(w->image)};
    list_init(&p->waiters);
    list_append(&m->pulls, &p->link);
    int r = start_worker(p, w, argv, e);
    if (r < 0) {
        pull_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

static struct pull *find(struct manager *m, const char *key) {
    LIST_FOREACH (p, &m->pulls, struct pull, link)
        if (streq(p->key, key))
            return p;
    return NULL;
}

int pull_start(struct managed_unit *u, struct error *e) {
    struct manager *m = u->manager;
    _cleanup_strv_free_ char **argv = NULL;
    struct pull_waiter *waiter;
    struct wish w;
    int r = wish_of(u, &w, e);

    if (r < 0)
        return r;
    if (make_arguments(m, &w, &argv) < 0)
        return error_set(e, ENOMEM, "out of memory");
    char *key = strv_join(argv, "\n");
    waiter = calloc(1, sizeof(*waiter));
    if (!key || !waiter) {
        free(key);
        free(waiter);
        return error_set(e, ENOMEM, "out of memory");
    }
    struct pull *p = find(m, key);
    if (p)
        free(key);
    else
        r = pull_new(m, &w, argv, key, &p, e);
    if (r < 0 || !p) {
        free(waiter);
        return r;
    }
    *waiter = (struct pull_waiter){.unit = u, .pull = p};
    list_append(&p->waiters, &waiter->link);
    u->pull = waiter;
    _cleanup_free_ char *text = strf("Fetching %s", w.image);
    unit_set_status_text(u, text);
    return 0;
}

/* As it was started the first time, for the unit that has waited longest. */
static void try_again(struct pull *p) {
    struct pull_waiter *waiter = LIST_ENTRY(p->waiters.next, struct pull_waiter, link);
    _cleanup_strv_free_ char **argv = NULL;
    struct error e = {};
    struct wish w;

    p->room = ROOM_TRIED;
    int r = wish_of(waiter->unit, &w, &e);
    if (r >= 0)
        r = make_arguments(p->manager, &w, &argv) < 0 ? error_set(&e, ENOMEM, "out of memory")
                                                      : start_worker(p, &w, argv, &e);
    if (r >= 0)
        return;
    fail(p, e.number, e.text);
    finish(p);
}

static struct pull *find_awaiting(struct manager *m) {
    LIST_FOREACH (p, &m->pulls, struct pull, link)
        if (p->room == ROOM_AWAITED)
            return p;
    return NULL;
}

/* Looked for anew each time: a unit that is told of a failure may take others with it that wait as well. */
void pull_room_made(struct manager *m) {
    struct pull *p;

    while ((p = find_awaiting(m)))
        try_again(p);
}

void pull_cancel(struct managed_unit *u) {
    struct pull *p = u->pull ? u->pull->pull : NULL;

    if (!p)
        return;
    waiter_free(u->pull);
    if (!list_empty(&p->waiters))
        return;
    /* What it has fetched stays for the next time. */
    if (p->worker)
        image_worker_cancel(p->worker);
    pull_free(p);
}
