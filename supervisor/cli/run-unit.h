/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of `davit run` as the text of a .container file, so that each of its options has the unit
 * language's own meaning, checks and defaults. Pure: no system call but getcwd(3) for relative paths.
 */
#pragma once

#include "cli/cli.h"

/* arguments: IMAGE [COMMAND...]. 0 and a new string, -EINVAL with *e. */
int run_unit_text(const struct cli_options *o, char *const *arguments, size_t n, char **ret, struct error *e);
