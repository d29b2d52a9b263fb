/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `davit info` says of the image store and of what this kernel can do for it. */
#pragma once

#include "cli/cli.h"

/* {"driver", "problem", "shared_data", "path", "size", "free", "images", "kernel", "landlock", "erofs",
 * "squashfs"}; problem: why the driver cannot work there; shared_data: whether files
 * can share theirs; sizes in bytes of the disk that the state directory is on, landlock: version of its
 * interface or 0, file systems: whether layers can be such files. NULL on out of memory. */
json_t *storage_describe(const char *driver, const char *state_dir);
/* The same for people, in the form of `davit info`. */
void storage_print(json_t *storage);
