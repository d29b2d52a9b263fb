/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NAME.d directories as systemd reads them (sysctl.d(5), modules-load.d(5)): /etc, /run, /usr/local/lib,
 * /usr/lib. A file hides those of the same name in a later directory, a link to /dev/null hides them without
 * taking their place, and all are read in the order of their names, wherever they are. */
#pragma once

#include "base/str.h"

/* Paths of the files NAME.d/X.conf, in the order of reading. root is put before each directory ("" but for
 * tests). 0 or -ENOMEM. */
int conf_files_list(const char *root, const char *name, char ***ret);
/* Reads each file and calls take with every line that is neither empty nor a comment ('#', ';'), blanks at
 * both ends cut off. A file that cannot be read is logged. */
int conf_files_read(const char *root, const char *name,
    void (*take)(void *userdata, const char *file, unsigned line, char *text), void *userdata);
