/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Storage drivers: how an image's layers and what a container writes become its root file system.
 *
 * overlay: the kernel puts them together when the container starts (launch/overlay.c); what it writes is in
 * an upper directory of its own.
 *
 * btrfs: a tree for each image, put together once; each start gets a snapshot of it.
 *
 * vfs: the same on any file system; each start gets a copy, which costs next to nothing where files can share
 * their data (xfs, btrfs), and all of it elsewhere.
 *
 * The last two make *trees*: davit-image does (worker/tree.c), while the unit is preparing. A tree is
 * <upper directory>/root; <upper directory>/chain names what it is a copy of: STORE/chains/HEX/tree, the
 * layers one over the other. HEX is of the chain's digest, which is the ChainID of the OCI image
 * specification.
 *
 * gc keeps a chain as long as an image that it keeps has these layers. The launcher is told of a tree by
 * spec->tree and makes it the root as it is.
 *
 * What is not in a store (Rootfs=, plain directories) and layers that are file system images are mounted by
 * overlay whatever the driver is: there is nothing that would have to be put together first.
 */
#pragma once

#include "base/error.h"
#include "image/image.h"

struct storage_driver {
    const char *name;
    bool trees; /* makes them; NULL below otherwise */
    /* Can it work in this directory? -EOPNOTSUPP with what it needs. */
    int (*check)(int fd, const char *path, struct error *e);
    /* An empty tree for a chain, and a container's own copy of one: name in dirfd. */
    int (*create)(int dirfd, const char *name, struct error *e);
    int (*copy)(int chain, int dirfd, const char *name, struct error *e);
};
/* Removing one is remove_tree()'s part, which knows subvolumes. */

/* -EOPNOTSUPP with what to use instead of one that davit has not; -EINVAL for what is none. */
int storage_driver_find(const char *name, const struct storage_driver **ret, struct error *e);

/* Digests of layers of the store in root, whose paths these are; *ret is NULL if one is no tree of it. */
int storage_layer_digests(const char *root, char *const *layers, char ***ret);
/* Digests of an image's layers, lowest first, if the driver makes trees of it; NULL if it is for overlay, or
 * out of memory (-ENOMEM). */
int storage_driver_layers(const struct storage_driver *d, const struct image *image, char ***ret);

/* Whether files in this directory can share their data: tried with two that have no name. */
bool storage_shares_data(int fd);

#define STORAGE_DRIVER_DEFAULT "overlay"
#define TREE_NAME "root"   /* in the upper directory */
#define TREE_CHAIN "chain" /* beside it: the chain's digest; as old as the copy */
