/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A compressed file beside a layer's tree, written once from front to back. It is read as a stream
 * (stream.h). */
#pragma once

#include <stddef.h>

#include "base/error.h"

struct packed;
/* A new file in the directory. */
int packed_create(int directory, const char *name, struct packed **ret, struct error *e);
int packed_write(struct packed *p, const void *data, size_t n, struct error *e);
/* Frees it, also on failure. whole false: the file is of no use, and is left as it is. */
int packed_close(struct packed *p, bool whole, struct error *e);
