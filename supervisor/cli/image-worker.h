/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Running davit-image, which does what touches foreign data or changes much in the store. */
#pragma once

#include "base/json.h"
#include "cli/cli.h"

/* Runs davit-image COMMAND with the store and these further arguments, shows its progress on a terminal, and
 * prints what it reports: names of images a line each (IDs of fetched ones), or every event with --json.
 * Returns the exit status.
 */
int image_worker_run(struct cli *c, const char *command, char *const *arguments);
/* The same, and each event is shown to on_event (which may be NULL) before it is printed. */
int image_worker_watch(struct cli *c, const char *command, char *const *arguments,
    void (*on_event)(void *userdata, json_t *event), void *userdata);
/* image pull of one name, but of the image that has this digest. */
int image_fetch_again(struct cli *c, const char *name, const char *digest);
/* An image has come in: gc by the limits of davit.conf, unless it says that a person does that. Says nothing
 * but what goes wrong, and returns how many bytes are free by it. */
uint64_t image_collect(struct cli *c);
/* image_worker_run() for what brings an image in, with gc after it. With again, a disk that is too full is an error
 * only if gc can free nothing. */
int image_worker_make(struct cli *c, const char *command, char *const *arguments, bool again);
/* Appends --NAME=VALUE to the arguments; NULL appends nothing. 0 or -ENOMEM */
int image_worker_option(char ***arguments, const char *name, const char *value);
