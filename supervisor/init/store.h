/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The descriptors that davitd leaves with davit-init (FDSTORE=1), so that they outlive it: a fixed table, in
 * the order of arrival. A later davitd gets them all, by name. Nothing is allocated and nothing is looked at:
 * what the descriptors are is davitd's affair.
 */
#pragma once

#include "init/keeper.h"

#include "base/macro.h"

/* All names travel in one environment variable, and the kernel takes none above 128 KiB (MAX_ARG_STRLEN). */
#define STORE_NAMES_MAX (128 * 1024 - 256)

struct store_entry {
    int fd;
    bool above;   /* whoever started davit-init keeps it as well (upward.h) */
    bool removed; /* closed; only there until that has been said above */
    char name[KEEPER_NAME_MAX];
};

struct store {
    size_t count;
    size_t name_bytes; /* with one separator each */
    struct store_entry entries[KEEPER_MAX_FDS];
};

/* Takes fd over; on failure it is closed. 0, -EINVAL (a name with ':' or control characters, empty, or too
 * long), -ENOSPC (table or names full). */
int store_add(struct store *s, int fd, const char *name);
/* Closes all of that name, keeps the order of the others. Returns how many. */
size_t store_remove(struct store *s, const char *name);
/* Drops entries that were removed and of which nothing is kept above. */
void store_forget(struct store *s);
/* sd_notify(3): printable ASCII without ':'. */
bool store_name_is_valid(const char *name);
