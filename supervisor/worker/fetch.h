/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Downloading blobs side by side into the store. */
#pragma once

#include "image/store.h"
#include "worker/registry.h"

struct fetch_progress {
    void (*report)(void *userdata, uint64_t done, uint64_t total);
    void *userdata;
};

/* Who takes blobs up as they come, while others are still on their way. */
struct fetch_receiver {
    void (*arrived)(void *userdata, size_t i); /* wanted[i] is in the store */
    bool (*stops)(void *userdata); /* nothing more is wanted; asked about once a second at least */
    void *userdata;
};

/* All of wanted are in the store afterwards, or there is an error; what came in until then stays for the next
 * try. Blobs that another process is fetching are waited for. receiver may be NULL; -ECANCELED if it stops. */
int fetch_blobs(struct registry *r, const struct store *s, const struct oci_descriptor *const *wanted,
    size_t n, unsigned parallel, const struct fetch_progress *progress, const struct fetch_receiver *receiver,
    struct error *e);
