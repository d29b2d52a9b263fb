/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-image as davitd has it run: a process, and the pipe on which it says in lines of JSON how it gets on
 * (worker/worker.h).
 */
#pragma once

#include <jansson.h>

#include "base/error.h"

struct manager;
struct image_worker;

struct image_worker_calls {
    /* Anything but an error. */
    void (*event)(void *userdata, const char *kind, json_t *event);
    /* The last call: e, whose step is empty, or NULL. One that was killed has said neither what it got nor
     * why not, so whoever wants to know looks for the event that means success. */
    void (*ended)(void *userdata, const struct error *e);
};

/* argv: from the command on; store, progress descriptor and settings file are added in front. environment
 * NULL: as davitd has it. */
int image_worker_start(struct manager *m, char *const *argv, char **environment,
    const struct image_worker_calls *calls, void *userdata, struct image_worker **ret, struct error *e);
/* The same without a loop: waits for the end. -errno and *e if it failed; calls->ended is not used. */
int image_worker_wait(struct manager *m, char *const *argv, char **environment,
    const struct image_worker_calls *calls, void *userdata, struct error *e);
/* No more calls, and the process is asked to end. */
void image_worker_cancel(struct image_worker *w);
