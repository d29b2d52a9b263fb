/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gc of the image store by itself: whenever a new image has come in, and at no other time, so that nobody
 * wakes up for it. davit-image does it, by the limits that davit.conf sets; davitd says which units there are
 * and which images they name.
 */
#include <inttypes.h>

#include "base/log.h"
#include "base/parse.h"
#include "manager/image_worker.h"
#include "manager/spec_internal.h"

static int add(char ***argv, const char *name, const char *value) {
    return value ? strv_consume(argv, strf("--%s=%s", name, value)) : 0;
}

static int make_arguments(struct manager *m, char ***ret) {
    _cleanup_strv_free_ char **argv = NULL;
    struct managed_unit *u;
    int r = strv_append(&argv, "gc");

    if (r >= 0)
        r = strv_append(&argv, "--automatic=yes");
    HASHMAP_FOREACH (u, m->units) {
        const struct unit *config = u->config;

        if (r >= 0)
            r = add(&argv, "unit", u->name);
        if (r >= 0 && config && config->container)
            r = add(&argv, "keep", config->container->image);
        if (r >= 0 && config && config->image)
            r = add(&argv, "keep", config->image->image);
        if (r >= 0 && config && config->image)
            r = add(&argv, "keep", config->image->image_tag);
    }
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
}

void images_collect(struct manager *m) {
    static const struct image_worker_calls calls = {on_event, on_ended};
    _cleanup_strv_free_ char **argv = NULL;
    struct error e = {};

    m->collect_again = m->collector != NULL;
    if (m->collector)
        return;
    int r = make_arguments(m, &argv);
    if (r >= 0)
        r = image_worker_start(m, argv, NULL, &calls, m, &m->collector, &e);
    if (r < 0)
        log_warning("Images: gc: %s", *e.text ? e.text : errno_text(r));
}
