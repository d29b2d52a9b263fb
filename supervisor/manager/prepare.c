/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a start needs before anything is launched: image, id range, control group, notify socket, log FIFO,
 * upper layer, volumes. All of it local and quick, so it is done at once; each step may be repeated after a
 * crash in the middle of it.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include "base/fs.h"
#include "base/log.h"
#include "manager/spec_internal.h"

/* ---- user namespace ---- */

static bool kernel_is_before(int major_number, int minor_number) {
    static int version;
    struct utsname name;
    char *end;

    if (version == 0 && uname(&name) == 0) {
        version = (int)strtol(name.release, &end, 10) * 1000;
        version += *end == '.' ? (int)strtol(end + 1, NULL, 10) : 0;
    }
    return version < major_number * 1000 + minor_number;
}

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

static int choose_user_namespace(struct managed_unit *u, const struct image *image, struct error *e) {
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

/* ---- directories ---- */

/* ext4 puts a directory near its parent, and looks for a free inode by walking past all that were freed in
 * the last minutes: with the uppers of a whole fleet in one place a start takes a multiple of its time. This
 * flag says that what is below has nothing to do with each other and belongs in different places. */
static void make_containers_directory(struct manager *m) {
    unsigned flags;

    if (mkdirat(m->state_fd, "containers", 0700) < 0)
        return;
    _cleanup_close_ int fd = openat(m->state_fd, "containers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return; /* another file system */
    flags |= FS_TOPDIR_FL;
    (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static int make_upper(struct managed_unit *u, struct error *e) {
    _cleanup_free_ char *path = strf("containers/%s/%s", u->name, u->invocation);
    _cleanup_free_ char *absolute = path ? strf("%s/%s", u->manager->paths.state, path) : NULL;

    if (!absolute)
        return error_set(e, ENOMEM, "out of memory");
    /* Its parent is there from the run before this one. */
    int r = mkdirat(u->manager->state_fd, path, 0700) < 0 && errno != EEXIST ? negative_errno() : 0;
    if (r == -ENOENT) {
        make_containers_directory(u->manager);
        r = mkdir_parents(u->manager->state_fd, path, 0700);
    }
    if (r < 0)
        return error_set_errno(e, r, "making %s", absolute);
    free(u->resources.upper_dir);
    u->resources.upper_dir = TAKE_PTR(absolute);
    return 0;
}

static int make_anonymous_volumes(struct managed_unit *u, struct error *e) {
    const struct container_section *c = u->config->container;
    size_t wanted = 0;

    for (size_t i = 0; i < c->n_volumes; i++)
        wanted += c->volumes[i].kind == VOLUME_ANONYMOUS;
    while (strv_length(u->resources.anonymous_volumes) < wanted) {
        _cleanup_free_ char *name = NULL, *path = NULL;
        int r = volume_new_anonymous(u->manager, u->name, &name, &path, e);
        if (r < 0)
            return r;
        if (strv_append(&u->resources.anonymous_volumes, name) < 0) {
            volume_remove(u->manager, name);
            return error_set(e, ENOMEM, "out of memory");
        }
    }
    return 0;
}

/* ---- units ---- */

static int prepare_common(struct managed_unit *u, struct error *e) {
    error_set_step(e, "cgroup");
    int r = limits_apply(u, e);
    if (r < 0)
        return r;
    e->step[0] = '\0';
    error_set_step(e, "log");
    r = logs_create(u, e);
    if (r < 0 || u->config->service.notify_access == NOTIFY_NONE)
        return r;
    e->step[0] = '\0';
    error_set_step(e, "notify");
    return notify_create(u, e);
}

static int prepare_container(struct managed_unit *u, struct error *e) {
    const struct image *image;

    error_set_step(e, "image");
    int r = spec_image(u, &image, e);
    if (r < 0)
        return r;
    u->image_stop_signal = image->stop_signal;

    e->step[0] = '\0';
    r = prepare_common(u, e);
    if (r < 0)
        return r;
    e->step[0] = '\0';
    error_set_step(e, "user-namespace");
    r = choose_user_namespace(u, image, e);
    if (r < 0)
        return r;
    e->step[0] = '\0';
    error_set_step(e, "rootfs");
    r = make_upper(u, e);
    return r < 0 ? r : make_anonymous_volumes(u, e);
}

static int prepare(struct managed_unit *u, struct error *e) {
    switch (u->config->type) {
    case UNIT_CONTAINER:
        return prepare_container(u, e);
    case UNIT_SERVICE:
        return prepare_common(u, e);
    case UNIT_VOLUME:
        return volume_prepare(u, e);
    default:
        return 0;
    }
}

void prepare_start(struct managed_unit *u) {
    struct error e = {};

    cleanup_cancel(u);
    int r = prepare(u, &e);
    unit_mark_dirty(u);
    if (r >= 0) {
        unit_event(u, EVENT_PREPARED);
        return;
    }
    unit_set_error(u, &e);
    u->pending_result = RESULT_RESOURCES;
    report_unit(u, LOG_ERR, NULL, "Cannot be prepared, step %s: %s", *e.step ? e.step : "?", e.text);
    unit_event(u, EVENT_FAILURE);
}

/* What davitd cannot see without touching a file system that may hang (a volume on NFS, say) the launcher
 * finds out. The upper directory of the first try belongs to the id range, so the second one gets its own. */
bool prepare_fall_back(struct managed_unit *u, const struct error *e) {
    const struct container_section *c = u->config ? u->config->container : NULL;

    if (e->number != EOPNOTSUPP || !c || c->user_namespace != USERNS_DEFAULT || u->resources.id_count == 0)
        return false;
    _cleanup_free_ char *second = u->resources.upper_dir ? strf("%s.host", u->resources.upper_dir) : NULL;
    if (!second || mkdir_parents(AT_FDCWD, second, 0700) < 0)
        return false;
    char *slash = strrchr(u->resources.upper_dir, '/');
    *slash = '\0';
    cleanup_remove_tree(u->manager, u->resources.upper_dir, slash + 1);
    free(u->resources.upper_dir);
    u->resources.upper_dir = TAKE_PTR(second);
    u->resources.id_base = u->resources.id_count = 0;
    note_host_namespace(u, e->text);
    unit_mark_dirty(u);
    return true;
}

/* Everything above is done when prepare_start() returns: there is nothing under way. What was made is for
 * prepare_cleanup(). */
void prepare_cancel(_unused_ struct managed_unit *u) {}
