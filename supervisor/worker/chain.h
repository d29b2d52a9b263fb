/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What layers come to when they are put together, and its name. Private to worker/. */
#pragma once

#include "image/store.h"

/* ChainID of the OCI image specification (config.md) for n layers, lowest first; at least one. */
void chain_digest(char *const *diff_ids, size_t n, char ret[static DIGEST_TEXT]);
/* Puts a layer of the store over what is in the directory. */
int chain_add_layer(const struct store *s, const char *diff_id, int to, struct error *e);
