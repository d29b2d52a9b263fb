/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What davit.conf says of what images may take: image_limit, image_unused_for, image_gc, image_keep_archives. Read by
 * davit-image; checked by whoever reads the whole file. */
#pragma once

#include "base/error.h"

struct gc_policy {
    char *limit;      /* of all layers, as written; NULL = none */
    char *unused_for; /* as written; NULL = the default */
    char *driver;     /* storage_driver; NULL = the default */
    bool automatic;
    bool keep_archives; /* layers stay as they came, too */
};
/* A file that is missing says nothing. -EINVAL with *e. */
int gc_policy_read(const char *path, struct gc_policy *ret, struct error *e);
void gc_policy_done(struct gc_policy *p);

/* "4G", or "40%" of a disk of that size (bytes). -EINVAL */
int gc_limit_parse(const char *text, uint64_t disk, uint64_t *ret);
