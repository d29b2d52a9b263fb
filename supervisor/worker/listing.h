/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is in a directory. Private to worker/. */
#pragma once

#include "base/error.h"
#include "base/str.h"

/* All but "." and "..", in byte order; path is below directory, through no links, "" for itself. */
int names_list(int directory, const char *path, char ***ret, struct error *e);
/* Everything below a directory: how many names there are, and the bytes of all files, each once however many
 * names it has. */
int tree_count(int root, uint64_t *ret_files, uint64_t *ret_bytes, struct error *e);
