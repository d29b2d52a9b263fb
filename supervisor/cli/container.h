/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A running container as the verbs that look into its files see it: diff, commit, export, cp, inspect.
 *
 * Everything below its root and its upper directory is under its control: it is only walked by descriptor,
 * and nothing of it is executed or believed.
 */
#pragma once

#include "base/json.h"
#include "cli/images.h"
#include "image/image.h"

struct container {
    char *unit;
    pid_t pid;       /* 0 if it does not run */
    char *directory; /* of this start on the host; NULL if it does not run or has none */
    char *upper;     /* where overlay keeps what it writes, below that; NULL if it has a tree */
    char *tree;      /* its root as a tree of its own (image/driver.h), below that; NULL if it has none */
    char *image, *rootfs;       /* as the unit writes them, one of the two */
    uint32_t id_base, id_count; /* of its user namespace; 0, 0: the host's */
    json_t *details;            /* io.davit.Unit.Describe */
};
/* The values of a key, "Container.Image": an array, or NULL. Borrowed. */
json_t *container_setting(const struct container *c, const char *key);
/* Without a word: -ENOENT (no such unit), -EINVAL (no container), -ECONNREFUSED and its kin (no manager); *e
 * says it. */
int container_find(struct cli *c, const char *name, struct container *ret, struct error *e);
/* The same; what is wrong has been explained. */
int container_open(struct cli *c, const char *name, struct container *ret);
void container_done(struct container *c);
/* The same, and it must run: -ESRCH (explained). */
int container_open_running(struct cli *c, const char *name, struct container *ret);
/* A descriptor (O_PATH) of its root directory, as it sees it. -errno (explained) */
int container_root(const struct container *c);
/* The layers of what it was started from: by digest where davitd has noted one, for the name may mean another
 * image by now. -errno (explained) */
int container_resolve(struct cli *c, const struct container *container, struct image *ret);
/* The image in the store that it was started from. -ENOENT (explained): a plain directory is none. */
int container_image(struct cli *c, const struct container *container, const struct images *images,
    struct store_image *ret, const struct store **ret_store);
