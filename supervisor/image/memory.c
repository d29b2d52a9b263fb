/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/memory.h"

#include "base/parse.h"
#include "image/config-file.h"

#define KEY "image_memory"

int image_memory_read(const char *path, uint64_t *ret, struct error *e) {
    uint64_t bytes = IMAGE_MEMORY_DEFAULT;
    const config_setting_t *setting;
    config_t config;

    int r = config_file_read(path, &config, e);
    if (r >= 0 && (setting = config_lookup(&config, KEY))) {
        const char *text = config_setting_get_string(setting);
        if (text ? parse_size(text, 1024, &bytes) < 0 : config_setting_is_number(setting) != CONFIG_TRUE)
            r = error_set(e, EINVAL, "%s: " KEY " is no size", path);
        else if (!text)
            bytes = (uint64_t)config_setting_get_int64(setting);
        if (r >= 0 && (bytes < IMAGE_MEMORY_MIN || bytes > IMAGE_MEMORY_MAX))
            r = error_set(e, ERANGE, "%s: " KEY ": at least 16M is needed", path);
    }
    config_destroy(&config);
    if (r >= 0)
        *ret = bytes;
    return r;
}
