/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* davit.conf as libconfig reads it, for those who want a few settings of it (manager/settings.h has all). */
#pragma once

#include <libconfig.h>

#include "base/error.h"

/* Reads the file at path into config, which is initialised here and is the caller's to destroy, also on
 * failure. A file that is not there has no settings. Errors name the file, and of a syntax error the line. */
int config_file_read(const char *path, config_t *config, struct error *e);
