/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image gc: finds out what units there are and what they refer to, and leaves the rest to davit-image.
 */
#include <dirent.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/parse.h"
#include "cli/image-worker.h"
#include "cli/output.h"
#include "unit/unit.h"

#define MANAGER_TIMEOUT (5 * USEC_PER_SEC)

static int add_images(const struct unit *u, char ***l) {
    const char *named[UNIT_IMAGES];
    int r = 0;

    unit_images(u, named);
    for (size_t i = 0; i < ARRAY_SIZE(named) && r >= 0; i++)
        if (named[i])
            r = image_worker_option(l, "keep", named[i]);
    return r;
}

/* What no unit is made of yet. */
static int add_templates(const struct unit_environment *env, char ***names, struct error *e) {
    _cleanup_strv_free_ char **files = NULL;
    int r = unit_list_files(env, &files, e);

    STRV_FOREACH (file, files)
        if (r >= 0 && name_is_template(*file))
            r = strv_append(names, *file);
    return r;
}

/* Units of files, and templates: their names, and the images that they name. One that does not load keeps what
 * it has used. */
static int add_unit_files(struct cli *c, char ***l) {
    _cleanup_strv_free_ char **names = NULL;
    struct unit_environment env;
    struct error e = {};

    (void)cli_unit_environment(c, &env);
    int r = unit_list_names(&env, &names, &e);
    if (r >= 0)
        r = add_templates(&env, &names, &e);
    if (r < 0) {
        cli_error("cannot list unit files: %s", *e.text ? e.text : errno_text(r));
        return r;
    }
    STRV_FOREACH (name, names) {
        _cleanup_(unit_freep) struct unit *u = NULL;

        r = image_worker_option(l, "unit", *name);
        if (r >= 0 && unit_load(&env, *name, &u, NULL) >= 0)
            r = add_images(u, l);
        if (r < 0)
            return r;
    }
    return 0;
}

/* While davitd is away: whatever runs was saved before it was launched. */
static int add_saved_units(struct cli *c, char ***l, struct error *e) {
    _cleanup_free_ char *path = path_join(c->paths.runtime, "state");
    DIR *d = path ? opendir(path) : NULL;
    int r = 0;

    if (!path)
        return error_set_errno(e, ENOMEM, "state");
    if (!d)
        return errno == ENOENT ? 0 : error_set_errno(e, errno, "%s", path);
    for (const struct dirent *entry = readdir(d); entry && r >= 0; entry = readdir(d))
        if (entry->d_name[0] != '.')
            r = image_worker_option(l, "unit", entry->d_name);
    (void)closedir(d);
    return r;
}

/* Those that have no file: one-off containers. */
static int add_running_units(struct cli *c, char ***l, struct error *e) {
    _cleanup_(client_freep) struct client *client = NULL;
    struct client_reply reply;
    json_t *unit;
    size_t i;

    int r = client_open(c->paths.runtime, true, &client, e);
    if (r == -ENOENT || r == -ECONNREFUSED)
        return add_saved_units(c, l, e);
    if (r >= 0)
        r = client_call(client, "io.davit.Manager.ListUnits", NULL, MANAGER_TIMEOUT, &reply, e);
    if (r >= 0 && reply.error) {
        r = error_set(e, EIO, "%s", client_reply_message(&reply));
        client_reply_done(&reply);
    }
    if (r < 0)
        return error_prefix(e, r, "which images one-off containers use is not known");
    JSON_ARRAY_FOREACH (i, unit, json_object_get(reply.parameters, "units")) {
        if (r >= 0 && *json_text(unit, "name"))
            r = image_worker_option(l, "unit", json_text(unit, "name"));
    }
    client_reply_done(&reply);
    return r;
}

/* What every gc is told: units, and what they name. */
static int make_arguments(struct cli *c, char ***l, struct error *e) {
    int r = add_unit_files(c, l);

    if (r >= 0)
        r = add_running_units(c, l, e);
    return r;
}

static void on_freed(void *userdata, json_t *event) {
    uint64_t *bytes = userdata;

    if (streq(json_text(event, "event"), "freed"))
        *bytes = (uint64_t)json_number(event, "bytes", 0);
}

uint64_t image_collect(struct cli *c) {
    struct cli silent = *c;
    _cleanup_strv_free_ char **l = NULL;
    uint64_t bytes = 0;

    silent.options.quiet = true;
    silent.options.json = false;
    if (make_arguments(c, &l, NULL) >= 0 && image_worker_option(&l, "automatic", "yes") >= 0)
        (void)image_worker_watch(&silent, "gc", l, on_freed, &bytes);
    return bytes;
}

/* ---- before a disk is too full ---- */

static void on_error(void *userdata, json_t *event) {
    if (streq(json_text(event, "event"), "error"))
        *(int *)userdata = (int)json_number(event, "number", 0);
}

int image_worker_make(struct cli *c, const char *command, char *const *arguments, bool again) {
    int number = 0, status = image_worker_watch(c, command, arguments, on_error, &number);
    char size[16];

    if (status != EXIT_SUCCESS && number == ENOSPC && again) {
        uint64_t freed = image_collect(c);
        if (freed > 0) {
            cli_remark(c, "Of what no image needs, %s are gone; trying again.", size_format(freed, size));
            status = image_worker_run(c, command, arguments);
        }
    }
    if (status == EXIT_SUCCESS)
        (void)image_collect(c);
    return status;
}

int verb_image_gc(struct cli *c, char **arguments _unused_, size_t n _unused_) {
    _cleanup_strv_free_ char **l = NULL;
    struct error e = {};

    int r = make_arguments(c, &l, &e);
    if (r >= 0 && c->options.all)
        r = image_worker_option(&l, "all", "yes");
    if (r >= 0 && c->options.dry_run)
        r = image_worker_option(&l, "dry-run", "yes");
    if (r >= 0 && c->options.limit)
        r = image_worker_option(&l, "limit", c->options.limit);
    if (r >= 0 && c->options.unused_for)
        r = image_worker_option(&l, "unused-for", c->options.unused_for);
    if (r < 0) {
        cli_error("%s", *e.text ? e.text : errno_text(r));
        return EXIT_FAILURE;
    }
    return image_worker_run(c, "gc", l);
}
