/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Downloading blobs side by side into the store. */
#pragma once

#include "image/store.h"
#include "worker/registry.h"

struct fetch_progress {
    void (*report)(void *userdata, uint64_t done, uint64_t total);
    void *userdata;
};

/* Who takes archives of layers up as they come, while others are still on their way. */
struct fetch_receiver {
    /* wanted[i] is there, to be read from fd, which is the receiver's: as blob_end() leaves it, or as somebody else
     * has it (`shares`), whose word it is that it is the right one. */
    void (*arrived)(void *userdata, size_t i, int fd);
    bool shares;
    bool (*stops)(void *userdata); /* nothing more is wanted; asked about once a second at least */
    void *userdata;
};

/* All of wanted are in the store afterwards, or with the receiver, or there is an error; what came in until then
 * stays for the next try. Blobs that another process is fetching are waited for. receiver may be NULL; -ECANCELED if
 * it stops. */
int fetch_blobs(struct registry *r, const struct store *s, const struct oci_descriptor *const *wanted,
    size_t n, unsigned parallel, const struct fetch_progress *progress, const struct fetch_receiver *receiver,
    struct error *e);
