/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Environment at start time, by systemd's rules: building the block from Environment= and EnvironmentFile=,
 * and expanding ${VAR} and $VAR in command lines (systemd.service(5), "Command lines").
 */
#pragma once

#include "base/error.h"
#include "base/str.h"

/* Reads a file in the format of EnvironmentFile= (systemd.exec(5)) and sets its variables in *env. path may
 * start with
 * '-': then a missing file is fine. */
int environment_file_load(const char *path, char ***env, struct error *e);
/* argv with ${VAR} (in words) and $VAR (a word of its own: split at blanks) replaced; $$ is $. */
int command_expand(char *const *argv, char *const *env, char ***ret);
