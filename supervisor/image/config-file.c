/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/config-file.h"

#include <fcntl.h>

#include "base/fs.h"

#define CONFIG_MAX (1024U * 1024)

int config_file_read(const char *path, config_t *config, struct error *e) {
    _cleanup_free_ char *text = NULL;

    config_init(config);
    int r = file_read(AT_FDCWD, path, CONFIG_MAX, &text, NULL);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return error_set_errno(e, r, "%s", path);
    if (config_read_string(config, text) != CONFIG_TRUE)
        return error_set(e, EINVAL, "%s:%d: %s", path, config_error_line(config), config_error_text(config));
    return 0;
}
