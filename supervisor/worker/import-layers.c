/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The layers of an image in a bundle, side by side. */
#include <pthread.h>

#include "worker/import.h"
#include "worker/unpack-many.h"

struct wanted {
    size_t number; /* from 1 on, of all layers of the image */
    const struct import_layer *layer;
    uint64_t done; /* bytes of its blob */
};

struct layers {
    struct worker *worker;
    const struct bundle *bundle;
    struct wanted *wanted; /* those that the store has not */
    size_t n, n_all;
    pthread_mutex_t lock; /* of what follows, of every `done`, and of reporting */
    uint64_t done, total;
};

struct progress {
    struct layers *layers;
    struct wanted *wanted;
};

/* ---- progress ---- */

static void on_progress(void *userdata, uint64_t bytes) {
    struct progress *p = userdata;
    struct layers *l = p->layers;
    char what[32];

    (void)snprintf(what, sizeof(what), "%zu layer%s", l->n, l->n == 1 ? "" : "s");
    (void)pthread_mutex_lock(&l->lock);
    l->done += bytes - p->wanted->done;
    p->wanted->done = bytes;
    worker_progress(l->worker, what, MIN(l->done, l->total), l->total);
    (void)pthread_mutex_unlock(&l->lock);
}

/* What there will be to read; a file that is missing is found out when its turn comes. */
static void add_size(struct layers *l, const struct import_layer *layer) {
    uint64_t offset, size;
    int fd, owned = -1;

    if (bundle_find(l->bundle, layer->file, &fd, &owned, &offset, &size, NULL) >= 0)
        l->total += size;
    closep(&owned);
}

/* ---- layers ---- */

static int get_layer(void *userdata, size_t i, struct unpacked *ret, struct error *e) {
    struct layers *l = userdata;
    struct wanted *wanted = &l->wanted[i];
    struct progress progress = {l, wanted};
    _cleanup_free_ struct file_source *source = malloc(sizeof(*source));
    uint64_t offset, size;
    int fd, owned = -1;

    if (!source)
        return error_set(e, ENOMEM, "out of memory");
    int r = bundle_find(l->bundle, wanted->layer->file, &fd, &owned, &offset, &size, e);
    if (r >= 0) {
        file_source_init(source, fd, offset, size);
        r = layer_unpack(
            &l->worker->store, &source->source, &wanted->layer->expected, on_progress, &progress, ret, e);
    }
    closep(&owned);
    if (r < 0)
        return error_prefix(e, r, "layer %zu/%zu", wanted->number, l->n_all);
    on_progress(&progress, size);
    return 0;
}

static bool came_before(char *const *diff_ids, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (streq(diff_ids[k], diff_ids[i]))
            return true;
    return false;
}

static void find_wanted(struct layers *l, const struct import_layer *layers, char *const *diff_ids) {
    const struct store *s = &l->worker->store;

    for (size_t i = 0; i < l->n_all; i++) {
        if (came_before(diff_ids, i))
            continue;
        /* Touched first: gc may be about to take it. */
        layer_touch(s, diff_ids[i]);
        if (layer_find(s, diff_ids[i], NULL, NULL) >= 0)
            continue;
        l->wanted[l->n++] = (struct wanted){.number = i + 1, .layer = &layers[i]};
        add_size(l, &layers[i]);
    }
}

int import_layers(struct worker *w, const struct bundle *b, const struct import_layer *layers,
    char *const *diff_ids, struct error *e) {
    size_t n = strv_length(diff_ids), n_got = 0;
    _cleanup_free_ struct unpacked *got = calloc(MAX(n, (size_t)1), sizeof(*got));
    _cleanup_free_ struct wanted *wanted = calloc(MAX(n, (size_t)1), sizeof(*wanted));
    struct layers l = {
        .worker = w, .bundle = b, .wanted = wanted, .n_all = n, .lock = PTHREAD_MUTEX_INITIALIZER};

    if (!got || !wanted)
        return error_set(e, ENOMEM, "out of memory");
    find_wanted(&l, layers, diff_ids);
    int r = unpack_many(l.n, get_layer, &l, got, &n_got, e);
    /* Those that came whole before another failed are worth keeping: the next try is shorter. */
    int k = unpacked_commit(&w->store, diff_ids, got, n_got, r < 0 ? NULL : e);
    return r < 0 ? r : k;
}
