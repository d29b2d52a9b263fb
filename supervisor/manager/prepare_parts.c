/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parts of a container's preparation that need no event loop: davitd uses them (prepare.c), and so does
 * `davit launch`, where there is no davitd (standalone.c).
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include "base/fs.h"
#include "base/kernel_version.h"
#include "manager/spec_internal.h"

/* ---- user namespace ---- */

/* Whether the layers can be mounted through an id map; a reason where not (measured: runtimes.md 7.1). */
static const char *why_not_mapped(const struct container_section *c, const struct image *image) {
    struct statfs fs;

    if (c->network == NETWORK_HOST)
        return "Network=host shares a namespace that belongs to the host's user namespace";
    STRV_FOREACH (layer, image->layers) {
        if (statfs(*layer, &fs) < 0)
            continue;
        if ((unsigned long)fs.f_type == OVERLAYFS_SUPER_MAGIC)
            return "the image is on an overlay file system, which cannot be id-mapped";
        if ((unsigned long)fs.f_type == TMPFS_MAGIC && kernel_is_before(6, 3))
            return "the image is on a tmpfs, which this kernel cannot id-map";
    }
    return NULL;
}

static void note_host_namespace(struct managed_unit *u, const char *reason) {
    struct error note = {};

    (void)error_set(&note, EOPNOTSUPP, "runs in the host's user namespace: %s", reason);
    limits_add_problem(u, "UserNS", &note);
}

static int prepare_user_namespace(struct managed_unit *u, const struct image *image, struct error *e) {
    const struct container_section *c = u->config->container;

    u->resources.id_base = u->resources.id_count = 0;
    if (c->user_namespace == USERNS_HOST)
        return 0;
    const char *reason = why_not_mapped(c, image);
    if (reason && c->user_namespace == USERNS_AUTO)
        return error_set(e, EOPNOTSUPP, "UserNS=auto is not possible: %s", reason);
    if (reason) {
        note_host_namespace(u, reason);
        return 0;
    }
    uint32_t size = c->user_namespace_size > 0 ? c->user_namespace_size : u->manager->settings.userns_size;
    int r = idmap_get(u->manager, u->name, size, &u->resources.id_base, e);
    if (r >= 0)
        u->resources.id_count = size;
    return r;
}

bool prepare_can_fall_back(const struct managed_unit *u, const struct error *e) {
    const struct container_section *c = u->config ? u->config->container : NULL;

    return e->number == EOPNOTSUPP && c && c->user_namespace == USERNS_DEFAULT && u->resources.id_count > 0;
}

void prepare_without_user_namespace(struct managed_unit *u, const char *reason) {
    u->resources.id_base = u->resources.id_count = 0;
    note_host_namespace(u, reason);
}

/* ---- directories ---- */

/* ext4 puts a directory near its parent, and looks for a free inode by walking past all that were freed in
 * the last minutes: with the uppers of a whole fleet in one place a start takes a multiple of its time. This
 * flag says that what is below has nothing to do with each other and belongs in different places. */
static void make_containers_directory(struct manager *m, const char *name) {
    unsigned flags;

    if (mkdirat(m->state_fd, name, 0700) < 0)
        return;
    _cleanup_close_ int fd = openat(m->state_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return; /* another file system */
    flags |= FS_TOPDIR_FL;
    (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

int prepare_upper(struct managed_unit *u, struct error *e) {
    const char *parent = u->manager->without_davitd ? UPPER_DIRECTORY_LAUNCHED : UPPER_DIRECTORY;
    _cleanup_free_ char *path = strf("%s/%s/%s", parent, u->name, u->invocation);
    _cleanup_free_ char *absolute = path ? strf("%s/%s", u->manager->paths.state, path) : NULL;

    if (!absolute)
        return error_set(e, ENOMEM, "out of memory");
    /* Its parent is there from the run before this one. */
    int r = mkdirat(u->manager->state_fd, path, 0700) < 0 && errno != EEXIST ? negative_errno() : 0;
    if (r == -ENOENT) {
        make_containers_directory(u->manager, parent);
        r = mkdir_parents(u->manager->state_fd, path, 0700);
    }
    if (r < 0)
        return error_set_errno(e, r, "making %s", absolute);
    free(u->resources.upper_dir);
    u->resources.upper_dir = TAKE_PTR(absolute);
    return 0;
}

static int prepare_anonymous_volumes(struct managed_unit *u, const struct image *image, struct error *e) {
    const struct container_section *c = u->config->container;
    size_t wanted = 0;

    for (size_t i = 0; i < c->n_volumes; i++)
        wanted += c->volumes[i].kind == VOLUME_ANONYMOUS;
    STRV_FOREACH (target, image->volumes)
        wanted += image_volume_is_used(c, *target);
    while (strv_length(u->resources.anonymous_volumes) < wanted) {
        _cleanup_free_ char *name = NULL, *path = NULL;
        int r = volume_new_anonymous(u->manager, u->name, &name, &path, e);
        if (r < 0)
            return r;
        /* One that is made and not noted here is swept as soon as davitd starts again. */
        if (strv_append(&u->resources.anonymous_volumes, name) < 0)
            return error_set(e, ENOMEM, "out of memory");
    }
    return 0;
}

int prepare_identity_and_root(struct managed_unit *u, const struct image *image, struct error *e) {
    e->step[0] = '\0';
    error_set_step(e, "user-namespace");
    int r = prepare_user_namespace(u, image, e);
    if (r < 0)
        return r;
    e->step[0] = '\0';
    error_set_step(e, "rootfs");
    r = prepare_upper(u, e);
    return r < 0 ? r : prepare_anonymous_volumes(u, image, e);
}
