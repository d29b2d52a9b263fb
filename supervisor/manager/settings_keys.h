/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of davit.conf's settings, and reading them in a process that may die of it. See
 * settings_worker.c. */
#pragma once

#include "manager/settings.h"

enum setting_type {
    SETTING_PATHS,
    SETTING_SINK,
    SETTING_UNIT,
    SETTING_DRIVER,
    SETTING_LIMIT,
    SETTING_TIME,
    SETTING_U32,
    SETTING_SIZE,
    SETTING_LOG_LEVEL,
    SETTING_BOOL,
};
struct setting_key {
    const char *name;
    enum setting_type type;
    size_t offset;
    uint64_t low, high;
};
const struct setting_key *setting_keys(size_t *ret_count);

/* text of a file called path. 0, or -errno with *e: "davit.conf:7: ...". ret is untouched on failure. */
int settings_parse(const char *path, const char *text, struct settings *ret, struct error *e);
/* A missing file means the built-in settings. */
int settings_read(const char *path, struct settings *ret, struct error *e);
/* For a person: every setting in force on stdout, or the error on stderr. Exit status. */
int settings_print(const char *path);
