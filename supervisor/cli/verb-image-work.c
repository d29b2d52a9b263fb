/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image import, create: what davit-image does. They need no manager, and may run beside one. */
#include "base/str.h"
#include "cli/image-worker.h"

/* ---- arguments of the worker ---- */

static int add_all(char ***l, const char *option, char *const *values) {
    STRV_FOREACH (value, values) {
        int r = image_worker_option(l, option, *value);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A path as the worker sees it: it does not look for options in it. */
static int run(struct cli *c, const char *command, char **options, const char *path) {
    if ((path && (strv_append(&options, "--") < 0 || strv_append(&options, path) < 0))) {
        strv_free(options);
        cli_error("out of memory");
        return EXIT_FAILURE;
    }
    /* Standard input comes once. */
    int status = image_worker_make(c, command, options, !streq_ptr(path, "-"));
    strv_free(options);
    return status;
}

int verb_image_import(struct cli *c, char **arguments, size_t n) {
    char **l = NULL;

    if (image_worker_option(&l, "name", n > 1 ? arguments[1] : NULL) < 0 ||
        image_worker_option(&l, "memory", c->options.memory) < 0 ||
        add_all(&l, "config", c->options.config) < 0) {
        strv_free(l);
        cli_error("out of memory");
        return EXIT_FAILURE;
    }
    return run(c, "import", l, arguments[0]);
}

int verb_image_create(struct cli *c, char **arguments, size_t n _unused_) {
    char **l = NULL;

    if (image_worker_option(&l, "name", arguments[0]) < 0 ||
        image_worker_option(&l, "from", c->options.from) < 0 ||
        add_all(&l, "config", c->options.config) < 0 || add_all(&l, "copy", c->options.copy) < 0) {
        strv_free(l);
        cli_error("out of memory");
        return EXIT_FAILURE;
    }
    return run(c, "create", l, NULL);
}
