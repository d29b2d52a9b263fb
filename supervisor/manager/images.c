/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which image a unit means, and where images are. */
#include "image/image.h"
#include "image/store.h"
#include "manager/rooms.h"

int images_name(struct managed_unit *u, const char **ret, struct error *e) {
    const struct container_section *c = u->config->container;
    const char *written = c->image ? c->image : c->rootfs;

    if (u->pulled_image) {
        *ret = u->pulled_image;
        return 0;
    }
    if (!endswith(written, ".image")) {
        *ret = written;
        return 0;
    }
    const struct managed_unit *from = manager_find(u->manager, written);
    const struct image_section *i = from && from->config ? from->config->image : NULL;
    if (!i || from->config->has_errors || !i->image)
        return error_set(e, ENOENT, i ? "%s has errors, see its status" : "unit %s does not exist", written);
    *ret = i->image_tag ? i->image_tag : i->image;
    return 0;
}

int images_roots(struct manager *m, char ***ret) {
    _cleanup_strv_free_ char **roots = strv_copy(m->settings.image_roots);
    int r = m->settings.image_roots && !roots ? -ENOMEM : 0;

    if (r >= 0)
        r = strv_consume(&roots, strf("%s/images", m->paths.state));
    if (r >= 0)
        r = strv_append(&roots, IMAGES_PRELOADED);
    if (r >= 0)
        *ret = TAKE_PTR(roots);
    return r;
}

int images_find(struct manager *m, const char *name, struct image *ret, struct error *e) {
    _cleanup_strv_free_ char **roots = NULL;

    if (images_roots(m, &roots) < 0)
        return error_set(e, ENOMEM, "out of memory");
    return image_resolve(roots, name, ret, e);
}

int images_check(struct manager *m, const char *name, struct error *e) {
    _cleanup_(image_done) struct image image = {0};

    return images_find(m, name, &image, e);
}

void images_note_use(struct managed_unit *u, const struct image *image) {
    _cleanup_(store_done) struct store s = {.fd = -1};

    if (!image->root || streq(image->root, IMAGES_PRELOADED) || store_open(image->root, false, &s, NULL) < 0)
        return;
    /* Without it gc may take an image that a rollback would have needed: no reason not to start. */
    (void)store_use_set(&s, u->name, image->manifest, NULL);
}
