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
#include "manager/load.h"
#include "manager/spec_internal.h"
#include "unit/load.h"

static int add(char ***argv, const char *name, const char *value) {
    return value ? strv_consume(argv, strf("--%s=%s", name, value)) : 0;
}

static int add_unit(char ***argv, const char *name, const struct unit *config) {
    int r = add(argv, "unit", name);

    if (r >= 0 && config && config->container)
        r = add(argv, "keep", config->container->image);
    if (r >= 0 && config && config->image)
        r = add(argv, "keep", config->image->image);
    if (r >= 0 && config && config->image)
        r = add(argv, "keep", config->image->image_tag);
    return r;
}

/* No unit is made of a template before somebody starts an instance, which may be after the image has gone. */
static int add_templates(struct manager *m, char ***argv) {
    _cleanup_strv_free_ char **files = NULL;
    struct loader l;
    int r = loader_init(&l, m);

    if (r >= 0)
        r = unit_list_files(&l.env, &files, NULL);
    STRV_FOREACH (name, r >= 0 ? files : NULL) {
        _cleanup_(unit_freep) struct unit *config = NULL;

        if (!name_is_template(*name))
            continue;
        (void)unit_load_from(&l.env, &l.dirs, *name, &config, NULL);
        r = add_unit(argv, *name, config);
        if (r < 0)
            break;
    }
    loader_done(&l);
    return r;
}

static int make_arguments(struct manager *m, char ***ret) {
    _cleanup_strv_free_ char **argv = NULL;
    struct managed_unit *u;
    int r = strv_append(&argv, "gc");

    if (r >= 0)
        r = strv_append(&argv, "--automatic=yes");
    HASHMAP_FOREACH (u, m->units)
        r = r < 0 ? r : add_unit(&argv, u->name, u->config);
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
