/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/gc-policy.h"

#include "base/parse.h"
#include "image/config-file.h"

void gc_policy_done(struct gc_policy *p) {
    free(p->limit);
    free(p->unused_for);
    free(p->driver);
    *p = (struct gc_policy){};
}

int gc_limit_parse(const char *text, uint64_t disk, uint64_t *ret) {
    uint64_t share;

    if (parse_permyriad(text, 10000, &share) < 0)
        return parse_size(text, 1024, ret) < 0 ? -EINVAL : 0;
    *ret = disk / 10000 * share;
    return 0;
}

/* "" is as good as nothing: it takes back what is set. */
static int take_text(const config_t *config, const char *name, char **field) {
    const char *text = NULL;

    if (config_lookup_string(config, name, &text) != CONFIG_TRUE || isempty(text))
        return 0;
    return free_and_strdup(field, text);
}

/* As davitd reads it: true, or a word for it. */
static void take_bool(const config_t *config, const char *name, bool *field) {
    const char *text;
    int on;

    if (config_lookup_bool(config, name, &on) == CONFIG_TRUE)
        *field = on;
    else if (config_lookup_string(config, name, &text) == CONFIG_TRUE)
        (void)parse_boolean(text, field);
}

int gc_policy_read(const char *path, struct gc_policy *ret, struct error *e) {
    _cleanup_(gc_policy_done) struct gc_policy p = {.automatic = true};
    config_t config;

    int r = config_file_read(path, &config, e);
    if (r >= 0 && (take_text(&config, "image_limit", &p.limit) < 0 ||
                      take_text(&config, "image_unused_for", &p.unused_for) < 0 ||
                      take_text(&config, "storage_driver", &p.driver) < 0))
        r = error_set(e, ENOMEM, "out of memory");
    if (r >= 0) {
        take_bool(&config, "image_gc", &p.automatic);
        take_bool(&config, "image_keep_archives", &p.keep_archives);
    }
    config_destroy(&config);
    if (r < 0)
        return r;
    *ret = p;
    p = (struct gc_policy){};
    return 0;
}
