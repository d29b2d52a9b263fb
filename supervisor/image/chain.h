/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images whose layers were put together for the drivers that make trees (driver.h has the layout): finding
 * them, and what a container has changed in its copy. Made by worker/tree.c. */
#pragma once

#include "base/tree_compare.h"
#include "image/store.h"

#define CHAIN_PATH (sizeof("chains//tree") + DIGEST_HEX)
void chain_path(const char *digest, char ret[static CHAIN_PATH]);
/* A descriptor of the tree. -ENOENT if there is none (any more). */
int chain_open(const struct store *s, const char *digest, struct error *e);
/* upper: a container's directory, which has its tree and the name of the chain in it. without: paths that do
 * not count. */
int chain_compare(
    const struct store *s, int upper, const char *const *without, struct tree_changes *ret, struct error *e);
