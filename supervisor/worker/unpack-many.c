/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/unpack-many.h"

#include <pthread.h>
#include <sched.h>

#include "base/hashmap.h"

#define STACK_SIZE (1024 * 1024) /* it counts as memory, used or not */

/* What becomes of a layer. */
enum stage { STAGE_AWAITED, STAGE_READY, STAGE_TAKEN, STAGE_DONE };

struct task {
    enum stage stage;
    struct unpacked unpacked;
    struct error error;
    int result; /* of STAGE_DONE */
};

struct crew {
    unpack_one_t one;
    void *userdata;
    size_t n;
    pthread_t threads[UNPACK_THREADS_MAX];
    size_t n_threads;

    pthread_mutex_t lock; /* of what follows, and of every task's stage */
    pthread_cond_t changed;
    bool complete; /* no more will be added */
    bool stops;    /* one has failed, or the caller gave up */
    struct task tasks[];
};

/* The next layer that is ready, waited for while there may be one; n when there will be none. */
static size_t take(struct crew *c) {
    size_t found = c->n;

    (void)pthread_mutex_lock(&c->lock);
    while (!c->stops) {
        for (size_t i = 0; i < c->n && found == c->n; i++)
            if (c->tasks[i].stage == STAGE_READY)
                found = i;
        if (found < c->n || c->complete)
            break;
        (void)pthread_cond_wait(&c->changed, &c->lock);
    }
    if (found < c->n)
        c->tasks[found].stage = STAGE_TAKEN;
    (void)pthread_mutex_unlock(&c->lock);
    return found;
}

static void put_back(struct crew *c, struct task *t) {
    (void)pthread_mutex_lock(&c->lock);
    t->stage = STAGE_DONE;
    if (t->result < 0 && t->result != -ENOMEM) { /* alone there may be enough: run_again() */
        c->stops = true;
        (void)pthread_cond_broadcast(&c->changed);
    }
    (void)pthread_mutex_unlock(&c->lock);
}

static void work(struct crew *c) {
    for (size_t i; (i = take(c)) < c->n;) {
        struct task *t = &c->tasks[i];

        t->result = c->one(c->userdata, i, &t->unpacked, &t->error);
        put_back(c, t);
    }
}

static void *run(void *userdata) {
    /* A working directory of its own: attributes of links are set by name from inside their directory.
     * Without it the others do the work. */
    if (unshare(CLONE_FS) == 0)
        work(userdata);
    return NULL;
}

static size_t processors(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (size_t)CPU_COUNT(&set);
}

/* With fewer than wanted, or none, it only takes longer. */
static void start_threads(struct crew *c, size_t wanted) {
    pthread_attr_t attributes;

    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    while (c->n_threads < wanted && pthread_create(&c->threads[c->n_threads], &attributes, run, c) == 0)
        c->n_threads++;
    (void)pthread_attr_destroy(&attributes);
}

static size_t width(const struct crew *c) {
    return MIN(MIN(processors(), (size_t)UNPACK_THREADS_MAX), c->n);
}

static int crew_new(size_t n, unpack_one_t one, void *userdata, struct crew **ret, struct error *e) {
    struct crew *c = calloc(1, sizeof(*c) + n * sizeof(c->tasks[0]));

    if (!c)
        return error_set(e, ENOMEM, "out of memory");
    c->one = one;
    c->userdata = userdata;
    c->n = n;
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->changed, NULL);
    /* The key of all hash tables is made when it is first needed: not by two threads at once. */
    (void)siphash("", 0);
    *ret = c;
    return 0;
}

int crew_start(size_t n, unpack_one_t one, void *userdata, struct crew **ret, struct error *e) {
    int r = crew_new(n, one, userdata, ret, e);

    if (r >= 0)
        start_threads(*ret, width(*ret));
    return r;
}

void crew_add(struct crew *c, size_t i) {
    (void)pthread_mutex_lock(&c->lock);
    c->tasks[i].stage = STAGE_READY;
    (void)pthread_cond_signal(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
}

bool crew_stops(struct crew *c) {
    (void)pthread_mutex_lock(&c->lock);
    bool stops = c->stops;
    (void)pthread_mutex_unlock(&c->lock);
    return stops;
}

/* Side by side they may have needed more memory than the worker may have (confine.h), where one does not. */
static void run_again(struct crew *c) {
    for (size_t i = 0; i < c->n && !c->stops; i++) {
        struct task *t = &c->tasks[i];

        if (t->stage != STAGE_DONE || t->result != -ENOMEM)
            continue;
        t->error = (struct error){};
        t->result = c->one(c->userdata, i, &t->unpacked, &t->error);
        c->stops = t->result < 0;
    }
}

/* Of two failures the other one is what has to be told. */
static bool is_consequence(int result) {
    return result == -ECANCELED || result == -ENOMEM;
}

/* Those that are whole, up to the first that is not; what comes after that one goes. */
static int gather(struct crew *c, struct unpacked *ret, size_t *ret_n, struct error *e) {
    const struct task *failed = NULL;
    size_t got = 0;
    bool row = true;

    for (size_t i = 0; i < c->n; i++) {
        struct task *t = &c->tasks[i];

        if (t->stage != STAGE_DONE || t->result < 0)
            row = false;
        else if (row)
            ret[got++] = t->unpacked;
        else
            unpacked_abort(&t->unpacked);
        if (t->stage == STAGE_DONE && t->result < 0 && (!failed || is_consequence(failed->result)))
            failed = t;
    }
    *ret_n = got;
    if (failed && e)
        *e = failed->error;
    return failed ? failed->result : 0;
}

int crew_end(struct crew *c, bool given_up, struct unpacked *ret, size_t *ret_n, struct error *e) {
    (void)pthread_mutex_lock(&c->lock);
    c->complete = true;
    c->stops |= given_up;
    (void)pthread_cond_broadcast(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
    /* This thread is one more, but no more than there may be: each has its buffers. */
    if (c->n_threads < width(c))
        work(c);
    for (size_t i = 0; i < c->n_threads; i++)
        (void)pthread_join(c->threads[i], NULL);
    /* What a thread without a working directory of its own has left. */
    work(c);
    run_again(c);
    int r = gather(c, ret, ret_n, e);
    (void)pthread_cond_destroy(&c->changed);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
    return r;
}

int unpack_many(
    size_t n, unpack_one_t one, void *userdata, struct unpacked *ret, size_t *ret_n, struct error *e) {
    struct crew *c = NULL;

    *ret_n = 0;
    int r = crew_new(n, one, userdata, &c, e);
    if (r < 0 || !c)
        return r;
    for (size_t i = 0; i < n; i++)
        crew_add(c, i);
    start_threads(c, width(c) > 0 ? width(c) - 1 : 0);
    return crew_end(c, false, ret, ret_n, e);
}
