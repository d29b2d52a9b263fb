/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What pull.c (which image, from where) and pull-image.c (one image from one place) share. */
#pragma once

#include "worker/fetch.h"
#include "worker/pull.h"

struct pull_image {
    struct registry *registry;
    const struct store *store;
    const struct pull_options *options;
    const struct pull_reporter *reporter;
    const char *name;      /* canonical: what it is called in the store */
    const char *reference; /* tag or digest: what it is called in the registry */
    unsigned parallel;
};
/* Fetches what is not there, and gives it its name. */
int pull_image(
    struct pull_image *i, const struct fetch_progress *progress, struct pull_result *ret, struct error *e);

/* One process at a time for one name: waits until it is our turn. The descriptor holds the turn until it is
 * closed; pull_unlock() removes the file behind it before. */
int pull_lock(const struct store *s, const char *name, const struct pull_reporter *reporter, struct error *e);
void pull_unlock(const struct store *s, const char *name, int lock);
