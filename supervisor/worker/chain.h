/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The name of what layers come to when they are put together. Private to worker/. */
#pragma once

#include "image/digest.h"

/* ChainID of the OCI image specification (config.md) for n layers, lowest first; at least one. */
void chain_digest(char *const *diff_ids, size_t n, char ret[static DIGEST_TEXT]);
