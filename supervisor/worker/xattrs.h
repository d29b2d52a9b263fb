/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extended attributes that belong to an image. */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "image/hash.h"

#define XATTR_VALUE_MAX 65536 /* what the kernel takes */

/* Others (security.selinux) belong to the machine. Overlay's marks do not: they are davit's. */
bool xattr_is_kept(const char *name);

/* Calls `each` for those of a file, by name in the working directory and not through a link, in the order of
 * their names; with overlay's if `marks`. value may be written to, up to XATTR_VALUE_MAX bytes. */
int xattrs_read(const char *file, bool marks,
    int (*each)(void *userdata, const char *name, void *value, size_t n, struct error *e), void *userdata,
    struct error *e);
/* All of that into a hash: names and values. */
int xattrs_hash(const char *file, bool marks, struct hash *h, struct error *e);
