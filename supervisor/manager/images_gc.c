/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gc of the image store by itself: whenever a new image has come in, when one finds the disk full, and once after a
 * boot if the last one was cut off; at no other time, so that nobody wakes up for it. davit-image does it, by the
 * limits that davit.conf sets; davitd says which units there are and which images they name.
 */
#include <inttypes.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "manager/image_worker.h"
#include "manager/spec_internal.h"
#include "unit/dirs.h"

static int add(char ***argv, const char *option, const char *value) {
    return strv_consume(argv, strf("--%s=%s", option, value));
}

static int add_unit(char ***argv, const struct managed_unit *u) {
    const char *images[UNIT_IMAGES] = {};
    int r = add(argv, "unit", u->name);

    if (u->config)
        unit_images(u->config, images);
    for (size_t i = 0; i < UNIT_IMAGES && r >= 0; i++)
        if (images[i])
            r = add(argv, "keep", images[i]);
    return r;
}

/* No unit is made of a template before somebody starts an instance, which may be after the image has gone. */
static int add_templates(struct manager *m, char ***argv) {
    int r = 0;

    STRV_FOREACH (name, m->templates)
        r = r < 0 ? r : add(argv, "unit", *name);
    STRV_FOREACH (image, m->template_images)
        r = r < 0 ? r : add(argv, "keep", *image);
    return r;
}

static int make_arguments(struct manager *m, char ***ret) {
    _cleanup_strv_free_ char **argv = NULL;
    struct managed_unit *u;
    int r = strv_append(&argv, "gc");

    if (r >= 0)
        r = strv_append(&argv, "--automatic=yes");
    HASHMAP_FOREACH (u, m->units)
        r = r < 0 ? r : add_unit(&argv, u);
    if (r >= 0)
        r = add_templates(m, &argv);
    if (r >= 0)
        *ret = TAKE_PTR(argv);
    return r;
}

static void on_event(void *userdata _unused_, const char *kind, json_t *event) {
    uint64_t bytes = (uint64_t)json_integer_value(json_object_get(event, "bytes"));
    char size[16];

    if (streq(kind, "note"))
        log_info("Images: %s", json_string_value(json_object_get(event, "text")) ?: "");
    else if (streq(kind, "freed") && bytes > 0)
        log_info("Images: %s freed", size_format(bytes, size));
}

static void on_ended(void *userdata, const struct error *e) {
    struct manager *m = userdata;

    m->collector = NULL;
    if (e)
        log_warning("Images: gc: %s", e->text);
    if (m->collect_again)
        images_collect(m);
    else
        pull_room_made(m);
}

void images_collect(struct manager *m) {
    static const struct image_worker_calls calls = {on_event, on_ended};
    _cleanup_strv_free_ char **argv = NULL;
    struct error e = {};

    m->collect_again = m->collector != NULL;
    if (m->collector)
        return;
    int r = make_arguments(m, &argv);
    if (r < 0)
        (void)error_set_errno(&e, r, "which units there are");
    else
        r = image_worker_start(m, argv, NULL, &calls, m, &m->collector, &e);
    if (r < 0)
        on_ended(m, &e);
}

void images_collect_left(struct manager *m) {
    _cleanup_free_ char *path = path_join(m->paths.state, "images/work");
    _cleanup_strv_free_ char **left = NULL;

    if (path && directory_names(path, &left) >= 0 && left)
        images_collect(m);
}
