/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The list of a layer's directories that no entry of its archive describes, beside its tree: what they are like
 * is up to the layers below, in each image (settle.h). Paths, each with its NUL, by their bytes; "" is the root.
 * Layers of an older davit have no such file, and one where all is described has none either. */
#pragma once

#include "base/error.h"

struct implicit {
    char *text;
    size_t size;
};
/* directory: the layer's; paths sorted. */
int implicit_write(int directory, char *const *paths, struct error *e);
int implicit_read(int directory, struct implicit *ret, struct error *e);
void implicit_done(struct implicit *l);
bool implicit_has(const struct implicit *l, const char *path);
/* From NULL to the first one, and so on to NULL. */
const char *implicit_next(const struct implicit *l, const char *path);
