/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /etc/fstab, line by line, into what mount(2) and swapon(2) take (fstab(5), mount(8), systemd.mount(5)).
 * Pure. */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"

enum fstab_kind { FSTAB_MOUNT, FSTAB_BIND, FSTAB_SWAP };

struct fstab_entry {
    enum fstab_kind kind;
    char *source; /* a path, UUID=..., LABEL=..., PARTUUID=..., PARTLABEL=..., or a word like "tmpfs" */
    char *target; /* NULL for swap */
    char *type;   /* "auto" where nothing is said */
    unsigned long flags; /* MS_* */
    char *data;          /* what is left for the file system; "" = nothing */
    bool no_auto, no_fail, recursive;
    bool network;       /* needs it: _netdev, or by its type */
    bool automount;     /* x-systemd.automount; there is none here: mounted at once, as with nofail */
    const char *unmade; /* an option that is not carried out: points into a static text; NULL = none */
    bool check;         /* fsck first: the sixth field is not 0 */
    usec_t device_timeout, mount_timeout;
    int priority; /* swap; -1 = the kernel's choice */
    bool discard; /* swap */
};
void fstab_entry_done(struct fstab_entry *f);

#define FSTAB_TIMEOUT (90 * USEC_PER_SEC)

/* Takes one line. 1, 0 (empty or a comment), -EINVAL with the reason in *e, -ENOMEM. */
int fstab_parse_line(const char *line, struct fstab_entry *ret, struct error *e);
/* Whether the source is a device to wait for: a path below /dev, or a name for one. */
bool fstab_needs_device(const struct fstab_entry *f);
/* Takes a whole file (text is cut up). bad is called for each line that makes no sense; it is left out. What is
 * returned is new, in the order of fstab_sort(): fstab_list_done(). 0, -ENOMEM. */
struct fstab_list {
    struct fstab_entry *entries;
    size_t n;
};
int fstab_parse(char *text, void (*bad)(void *userdata, unsigned line, const char *why), void *userdata,
    struct fstab_list *ret);
void fstab_list_done(struct fstab_list *l);
/* In the order in which they can be mounted: parents before what is below them, otherwise as written; swap
 * last. */
/* Whether b has to be mounted before a. */
bool fstab_must_follow(const struct fstab_entry *a, const struct fstab_entry *b);
void fstab_sort(struct fstab_entry *entries, size_t n);
