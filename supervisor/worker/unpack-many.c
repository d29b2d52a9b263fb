/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/unpack-many.h"

#include <pthread.h>
#include <sched.h>

#include "base/hashmap.h"

#define STACK_SIZE (1024 * 1024) /* it counts as memory, used or not */

struct task {
    struct unpacked unpacked;
    struct error error;
    int result;
    bool done;
};

struct crew {
    int (*one)(void *userdata, size_t i, struct unpacked *ret, struct error *e);
    void *userdata;
    struct task *tasks;
    size_t n;

    pthread_mutex_t lock; /* of what follows */
    size_t next;
    bool failed;
};

/* The next layer that nobody has, or n. */
static size_t take(struct crew *c) {
    size_t i = c->n;

    (void)pthread_mutex_lock(&c->lock);
    if (!c->failed && c->next < c->n)
        i = c->next++;
    (void)pthread_mutex_unlock(&c->lock);
    return i;
}

static void work(struct crew *c) {
    for (size_t i; (i = take(c)) < c->n;) {
        struct task *t = &c->tasks[i];

        t->result = c->one(c->userdata, i, &t->unpacked, &t->error);
        t->done = true;
        if (t->result >= 0 || t->result == -ENOMEM) /* alone there may be enough: run_again() */
            continue;
        (void)pthread_mutex_lock(&c->lock);
        c->failed = true;
        (void)pthread_mutex_unlock(&c->lock);
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

/* Side by side they may have needed more memory than the worker may have (confine.h), where one does not. */
static void run_again(struct crew *c) {
    for (size_t i = 0; i < c->n && !c->failed; i++) {
        struct task *t = &c->tasks[i];

        if (!t->done || t->result != -ENOMEM)
            continue;
        t->error = (struct error){};
        t->result = c->one(c->userdata, i, &t->unpacked, &t->error);
        c->failed = t->result < 0;
    }
}

static void run_all(struct crew *c) {
    size_t wanted = MIN(MIN(processors(), (size_t)UNPACK_THREADS_MAX), c->n), n = 0;
    pthread_t threads[UNPACK_THREADS_MAX];
    pthread_attr_t attributes;

    /* The key of all hash tables is made when it is first needed: not by two threads at once. */
    (void)siphash("", 0);
    /* This thread is one of them; with fewer it only takes longer. */
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    while (n + 1 < wanted && pthread_create(&threads[n], &attributes, run, c) == 0)
        n++;
    (void)pthread_attr_destroy(&attributes);
    work(c);
    while (n > 0)
        (void)pthread_join(threads[--n], NULL);
    run_again(c);
}

int unpack_many(size_t n, int (*one)(void *userdata, size_t i, struct unpacked *ret, struct error *e),
    void *userdata, struct unpacked *ret, size_t *ret_n, struct error *e) {
    _cleanup_free_ struct task *tasks = calloc(MAX(n, (size_t)1), sizeof(*tasks));
    struct crew crew = {
        .one = one, .userdata = userdata, .tasks = tasks, .n = n, .lock = PTHREAD_MUTEX_INITIALIZER};
    size_t got = 0;
    int r = 0;

    *ret_n = 0;
    if (!tasks)
        return error_set(e, ENOMEM, "out of memory");
    run_all(&crew);
    for (size_t i = 0; i < n; i++) {
        struct task *t = &tasks[i];
        if (!t->done)
            continue;
        if (r == 0 && t->result < 0) {
            r = t->result;
            if (e)
                *e = t->error;
        } else if (r == 0)
            ret[got++] = t->unpacked;
        else if (t->result >= 0)
            unpacked_abort(&t->unpacked);
    }
    *ret_n = got;
    return r;
}
