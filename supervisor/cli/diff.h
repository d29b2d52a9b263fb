/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What diff and image diff say: changes of a file system, as docker-diff(1) prints them. */
#pragma once

#include "base/json.h"
#include "cli/cli.h"

#define DIFF_DEPTH_MAX 1000 /* directories in each other */

/* kind: A for what is new, C for what is changed (and the directories it is in), D for what is gone. path has
 * no "/" in front. */
void diff_add(json_t *changes, const char *kind, const char *path);
void diff_print(struct cli *c, json_t *changes);
