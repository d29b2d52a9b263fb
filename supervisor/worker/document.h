/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making OCI documents: a configuration from nothing or from another image's, changed by KEY=VALUE words, and
 * the manifest for it. The same input gives the same bytes: members are sorted and no clock is read.
 */
#pragma once

#include "image/oci-json.h"
#include "image/store.h"

/* {"architecture": this machine's, "os": "linux", "config": {}, "rootfs": no layers, "history": []}. NULL on
 * out of memory. */
json_t *config_new(void);
/* One change: Cmd, Entrypoint (words, or a JSON array), Env, Label (NAME=VALUE), Volume, ExposedPort, User,
 * WorkingDir, StopSignal, HealthCmd and its kin, Author, Architecture, Created. An empty value takes the member
 * away. -EINVAL with the words that are known. */
int config_change(json_t *config, const char *change, struct error *e);
int config_change_all(json_t *config, char *const *changes, struct error *e);
/* Another layer on top. created_by may be NULL. */
int config_add_layer(json_t *config, const char *diff_id, const char *created_by, struct error *e);
/* The bytes, newly allocated. NULL on out of memory. */
char *document_text(json_t *document);

/* Stores a configuration and the manifest of an image with these layers. */
struct document_layer {
    const char *media_type, *digest;
    uint64_t size;
};
int document_put(const struct store *s, const char *config, size_t n_config,
    const struct document_layer *layers, size_t n_layers, char ret_config[static DIGEST_TEXT],
    char ret_manifest[static DIGEST_TEXT], struct error *e);
