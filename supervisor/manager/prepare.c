/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a start needs before anything is launched: image, id range, control group, notify socket, log FIFO,
 * upper layer, volumes. An image that has to be fetched comes first, and takes its time (pull.c), and empty
 * volumes are filled last (fill.c); the rest is local and quick, so it is done at once. Each step may be
 * repeated after a crash in the middle of it.
 */
#include <fcntl.h>

#include "base/fs.h"
#include "base/log.h"
#include "manager/spec_internal.h"

/* ---- units ---- */

static int prepare_common(struct managed_unit *u, struct error *e) {
    error_set_step(e, "cgroup");
    int r = limits_apply(u, true, e);
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
    if (r < 0) {
        error_set_step(e, "image"); /* looking in several places has replaced the error, and its step */
        return r;
    }
    u->image_stop_signal = image->stop_signal;
    images_note_use(u, image);

    e->step[0] = '\0';
    r = prepare_common(u, e);
    if (r >= 0)
        r = prepare_identity_and_root(u, image, e);
    return r < 0 ? r : tree_start(u, image, e);
}

/* With u->tree_worker it is not done yet, and goes on by itself. */
static int prepare(struct managed_unit *u, struct error *e) {
    switch (u->config->type) {
    case UNIT_CONTAINER:
        return prepare_container(u, e);
    case UNIT_SERVICE:
        return prepare_common(u, e);
    case UNIT_VOLUME:
        return volume_prepare(u, e);
    case UNIT_IMAGE:
        error_set_step(e, "image");
        return u->pulled_image ? 0 : images_check(u->manager, u->config->image->image, e);
    default:
        return 0;
    }
}

void prepare_failed(struct managed_unit *u, const struct error *e) {
    unit_set_error(u, e);
    unit_set_status_text(u, NULL);
    u->pending_result = RESULT_RESOURCES;
    report_unit(u, LOG_ERR, NULL, "Cannot be prepared%s%s: %s", *e->step ? ", step " : "", e->step, e->text);
    unit_event(u, EVENT_FAILURE);
}

/* 1: the image is being fetched, and this will be called again. */
static int fetch_first(struct managed_unit *u, struct error *e) {
    if (u->pulled_image || !pull_is_needed(u))
        return 0;
    error_set_step(e, PULL_STEP);
    int r = pull_start(u, e);
    if (r < 0)
        return r;
    unit_slot_release(u);
    return 1;
}

void prepare_start(struct managed_unit *u) {
    struct error e = {};

    cleanup_cancel(u);
    int r = fetch_first(u, &e);
    if (r > 0)
        return;
    if (r == 0)
        r = prepare(u, &e);
    if (r >= 0 && !u->tree_worker) {
        e.step[0] = '\0';
        r = fill_start(u, &e);
    }
    unit_mark_dirty(u);
    if (r < 0)
        prepare_failed(u, &e);
    else if (u->tree_worker || u->fill)
        unit_slot_release(u);
    else
        unit_event(u, EVENT_PREPARED);
}

/* What davitd cannot see without touching a file system that may hang (a volume on NFS, say) the launcher
 * finds out. The upper directory of the first try belongs to the id range, so the second one gets its own. */
bool prepare_fall_back(struct managed_unit *u, const struct error *e) {
    if (!prepare_can_fall_back(u, e))
        return false;
    if (tree_is_made(u)) {
        /* As on disk whatever the user namespace is. */
        prepare_without_user_namespace(u, e->text);
        unit_mark_dirty(u);
        return true;
    }
    _cleanup_free_ char *second = u->resources.upper_dir ? strf("%s.host", u->resources.upper_dir) : NULL;
    if (!second || mkdir_parents(AT_FDCWD, second, 0700) < 0)
        return false;
    char *slash = strrchr(u->resources.upper_dir, '/');
    *slash = '\0';
    cleanup_remove_tree(u->manager, u->resources.upper_dir, slash + 1);
    free(u->resources.upper_dir);
    u->resources.upper_dir = TAKE_PTR(second);
    prepare_without_user_namespace(u, e->text);
    unit_mark_dirty(u);
    return true;
}

/* Only what a worker does takes longer than prepare_start() itself. What was made is for prepare_cleanup().
 */
void prepare_cancel(struct managed_unit *u) {
    pull_cancel(u);
    tree_cancel(u);
    fill_cancel(u);
    unit_set_status_text(u, NULL);
}
