/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a layer's archive was written: all of its bytes but the contents of files, compressed, beside the tree
 * (layers/HEX/recipe). With the tree it gives the archive again, byte for byte, so that the image that goes
 * out has the diffIDs, and so the configuration and the ID, of the one that came in; and no blob has to be
 * kept for it. It is one or two hundredths of the layer. The file "sums" has a checksum of each content that
 * was left out, in their order: they tell which file is not any more what it was.
 */
#pragma once

#include "image/store.h"
#include "worker/tar-write.h"

/* ---- keeping ---- */

struct recipe_writer;
/* Makes the file "recipe" in a layer's work directory. */
int recipe_begin(int directory, struct recipe_writer **ret, struct error *e);
/* The next bytes of the archive. An error is kept, and reported by recipe_end(). */
void recipe_add(struct recipe_writer *w, const void *data, size_t n);
/* True if the tree and the recipe give the archive again, so that its digest vouches for what is in the
 * files: all contents were told apart. (A name that comes twice is for the unpacker to know.) */
bool recipe_vouches(const struct recipe_writer *w);
/* Frees it. With write false the file is nobody's. */
int recipe_end(struct recipe_writer *w, bool write, struct error *e);

/* ---- giving out ---- */

/* Writes the archive of a layer: all of layer_info's archive_size bytes, which have the digest diff_id, or an
 * error (-EBADMSG: the tree or the recipe have been changed; which file, where that can be told; what was
 * written by then is of no use). The message does not say which layer it is. */
int recipe_write_archive(
    const struct store *s, const struct layer_info *layer, const struct tar_sink *sink, struct error *e);
