/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Roots that are trees of their own (image/driver.h): davit-image makes one before the launch, which may take
 * as long as copying the image does. Meanwhile the unit gives its launch slot to others, as one does whose
 * image is being fetched.
 */
#include <unistd.h>

#include "base/fs.h"
#include "image/driver.h"
#include "manager/image_worker.h"
#include "manager/spec_internal.h"

static char *tree_path(const struct managed_unit *u) {
    return path_join(u->resources.upper_dir, TREE_NAME);
}

bool tree_is_wanted(struct managed_unit *u, const struct image *image, char ***ret_layers) {
    const struct storage_driver *driver;

    return storage_driver_find(u->manager->settings.storage_driver, &driver, NULL) >= 0 &&
           storage_driver_layers(driver, image, ret_layers) >= 0 && *ret_layers;
}

bool tree_is_made(const struct managed_unit *u) {
    _cleanup_free_ char *path = u->resources.upper_dir ? tree_path(u) : NULL;
    return path && access(path, F_OK) == 0;
}

int tree_arguments(struct managed_unit *u, const struct image *image, char ***ret, struct error *e) {
    _cleanup_strv_free_ char **argv = NULL, **layers = NULL;

    *ret = NULL;
    if (!tree_is_wanted(u, image, &layers) || tree_is_made(u))
        return 0;
    int r = strv_append(&argv, "tree");
    if (r >= 0)
        r = strv_consume(&argv, strf("--driver=%s", u->manager->settings.storage_driver));
    if (r >= 0)
        r = strv_consume(&argv, strf("--target=%s", u->resources.upper_dir));
    if (r >= 0)
        r = strv_consume(&argv, strf("--root=%s", image->root));
    if (r >= 0)
        r = strv_append(&argv, "--");
    if (r >= 0)
        r = strv_extend(&argv, layers);
    if (r < 0)
        return error_set(e, ENOMEM, "out of memory");
    *ret = TAKE_PTR(argv);
    return 0;
}

int tree_of_container(const struct managed_unit *u, struct container_spec *s, struct error *e) {
    char *path = tree_path(u);

    if (!path)
        return error_set(e, ENOMEM, "out of memory");
    strv_free(TAKE_PTR(s->layers));
    free(TAKE_PTR(s->upper_dir));
    s->tree = path;
    return 0;
}

/* ---- in davitd ---- */

static void on_event(void *userdata, const char *kind, json_t *event _unused_) {
    struct managed_unit *u = userdata;

    if (streq(kind, "progress"))
        unit_set_status_text(u, "Putting the layers of its image together");
}

static void on_ended(void *userdata, const struct error *e) {
    struct managed_unit *u = userdata;
    struct error failure = {};

    u->tree_worker = NULL;
    unit_set_status_text(u, NULL);
    if (!e && tree_is_made(u)) {
        unit_slot_request(u);
        return;
    }
    if (e)
        failure = *e;
    else
        (void)error_set(&failure, EIO, "the worker ended before it was done");
    error_set_step(&failure, "rootfs");
    prepare_failed(u, &failure);
}

int tree_start(struct managed_unit *u, const struct image *image, struct error *e) {
    static const struct image_worker_calls calls = {on_event, on_ended};
    _cleanup_strv_free_ char **argv = NULL;

    int r = tree_arguments(u, image, &argv, e);
    if (r < 0 || !argv)
        return r;
    r = image_worker_start(u->manager, argv, NULL, &calls, u, &u->tree_worker, e);
    return r < 0 ? r : 1;
}

void tree_cancel(struct managed_unit *u) {
    if (u->tree_worker)
        image_worker_cancel(TAKE_PTR(u->tree_worker));
}
