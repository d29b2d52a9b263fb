/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Downloading blobs side by side into the store. */
#pragma once

#include "image/store.h"
#include "worker/registry.h"

struct fetch_progress {
    void (*report)(void *userdata, uint64_t done, uint64_t total);
    void *userdata;
};

/* All of wanted are in the store afterwards, or there is an error; what came in until then stays for the next
 * try. Blobs that another process is fetching are waited for. */
int fetch_blobs(struct registry *r, const struct store *s, const struct oci_descriptor *const *wanted,
    size_t n, unsigned parallel, const struct fetch_progress *progress, struct error *e);
