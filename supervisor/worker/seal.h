/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a layer's tree was like when it got its place: a line for every name in it, with all that an image can
 * say of a file (layers/HEX/seal, compressed; its digest is in layer.json). fsck compares by it, and can name
 * what is different.
 *
 *   PATH KIND MODE USER GROUP TIME NAMES SIZE|TARGET|DEVICE ATTRIBUTES CONTENT
 *
 * in the order of a walk that takes each directory before what is in it, and its names by their bytes. A
 * blank or unprintable byte of a name is written \ooo. ATTRIBUTES is a digest of the extended ones. CONTENT
 * is there only where the layer's recipe does not vouch for it (recipe.h): otherwise what is in the files is
 * not read a second time when a layer comes in. "-" is what a file does not have.
 */
#pragma once

#include "base/error.h"
#include "image/digest.h"

struct seal {
    char digest[DIGEST_TEXT]; /* of the text */
    uint64_t names, bytes;    /* of the tree: names but the root's, bytes of all files */
};
/* Walks the tree and writes the file "seal" into the directory. */
int seal_write(int directory, int tree, bool contents, struct seal *ret, struct error *e);

/* Compares a tree with its seal. differs is called for each difference, with what is different in words.
 * quick: contents are not read. 1: all that is in the files has been compared, 0: it has not; -EBADMSG: the
 * seal itself is damaged. */
int seal_compare(int directory, int tree, const char *digest, bool quick,
    void (*differs)(void *userdata, const char *path, const char *what), void *userdata, struct error *e);
