/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/roots.h"

#include "base/fs.h"
#include "base/str.h"
#include "image/config-file.h"
#include "image/image.h"

static int take(const config_t *config, const char *conf, char ***roots, struct error *e) {
    const config_setting_t *s = config_lookup(config, "image_roots");
    int n = s && config_setting_is_aggregate(s) && !config_setting_is_group(s) ? config_setting_length(s) : 0;

    if (s && !config_setting_is_aggregate(s))
        return error_set(e, EINVAL, "%s: image_roots is no list of directories", conf);
    for (int i = 0; i < n; i++) {
        const char *path = config_setting_get_string_elem(s, i);
        if (!path || !path_is_absolute(path))
            return error_set(e, EINVAL, "%s: image_roots has something that is no absolute path", conf);
        if (strv_append(roots, path) < 0)
            return error_set(e, ENOMEM, "out of memory");
    }
    return 0;
}

int image_roots_read(const char *conf, const char *own, char ***ret, size_t *ret_own, struct error *e) {
    _cleanup_strv_free_ char **roots = NULL;
    config_t config;

    int r = config_file_read(conf, &config, e);
    if (r >= 0)
        r = take(&config, conf, &roots, e);
    config_destroy(&config);
    if (r < 0)
        return r;
    size_t n = strv_length(roots);
    if (strv_append(&roots, own) < 0 || strv_append(&roots, IMAGES_PRELOADED) < 0)
        return error_set(e, ENOMEM, "out of memory");
    *ret = TAKE_PTR(roots);
    *ret_own = n;
    return 0;
}
