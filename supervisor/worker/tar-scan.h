/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tar stream taken apart into what describes files and what is in them, so that a layer can be kept as a
 * tree and still be given out again byte for byte (recipe.h).
 *
 * The content of a regular file is told from all other bytes where there is no doubt about it: a valid ustar,
 * pax or GNU header, no sparse file, a name that unpacking takes as that of a file. Wherever there is doubt,
 * from there on everything counts as description. The same bytes are taken apart in the same way each time,
 * which is all that matters: that the digest comes out right is checked at the end.
 */
#pragma once

#include "base/error.h"
#include "worker/ustar.h"

#define TAR_EXTENDED_MAX (1024U * 1024) /* bytes of one pax header or long name; more is doubt */

struct tar_scan {
    enum { SCAN_HEADER, SCAN_EXTENDED, SCAN_SKIP, SCAN_CONTENT, SCAN_REST } state;
    char block[USTAR_BLOCK]; /* SCAN_HEADER: what there is of one */
    size_t filled;
    uint64_t left;    /* of the current state */
    uint64_t padding; /* after SCAN_CONTENT */
    char *path;       /* of the file whose content comes: as unpacking names it */
    /* From pax headers and GNU's long names, for the next header. */
    char *extended, *long_name;
    char extended_type;
    size_t n_extended;
    uint64_t pax_size;
    bool has_pax_size, sparse;
    bool doubt; /* contents of files may have been taken for description */
};
#define TAR_SCAN_INIT ((struct tar_scan){.state = SCAN_HEADER})
void tar_scan_done(struct tar_scan *s);

/* Takes up to n bytes of description off data, and says how many; stops where content begins (state is
 * SCAN_CONTENT: path and left tell which). -ENOMEM. */
ssize_t tar_scan_take(struct tar_scan *s, const void *data, size_t n);
/* n bytes of the content have gone by. */
void tar_scan_content(struct tar_scan *s, uint64_t n);
