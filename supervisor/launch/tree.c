/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The root file system where the storage driver makes a tree for each start (image/driver.h): that directory
 * itself, seen through the container's id map. There is nothing to put together and no upper directory: what
 * the container writes goes into the tree, with the owners that the container sees.
 *
 * What would be the init layer is written into the tree as well, below its plain descriptor: through the id
 * map nothing can be made by somebody whose ids it does not have.
 */
#include "launch/internal.h"

int tree_open(struct prepared *p, struct error *e) {
    if (fds_new(1, &p->layer_fds) < 0)
        return error_set(e, ENOMEM, "out of memory");
    p->n_layer_fds = 1;
    p->layer_fds[0] = open(p->spec->tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (p->layer_fds[0] < 0)
        return error_set_errno(e, errno, "open %s", p->spec->tree);
    p->made_uid = p->made_gid = 0;
    int fd = clone_idmapped(p->spec->tree, p->userns_fd, e);
    if (fd < 0)
        return fd;
    p->root_fd = fd;
    return 0;
}
