/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * modprobe.d(5), as far as it says something about a module that is loaded by its name: options, and
 * blacklist, which counts here as for systemd's modules-load.d. Also modprobe.blacklist= of the kernel's
 * command line. Aliases, softdep and install are for modprobe(8): who needs them runs it as a unit.
 */
#pragma once

#include <stdbool.h>

struct modprobe_conf {
    char **options; /* "NAME PARAMETER=VALUE ...", in the order in which they were read */
    char **blacklist;
};

/* Takes one line, which is changed. Others than the two are passed over. 0 or -ENOMEM. */
int modprobe_conf_take(struct modprobe_conf *c, char *line);
/* The names of a list with commas. */
int modprobe_conf_blacklist(struct modprobe_conf *c, const char *names);
bool modprobe_conf_forbids(const struct modprobe_conf *c, const char *name);
/* All options of a module, "" where there are none. New string, NULL when out of memory. */
char *modprobe_conf_options(const struct modprobe_conf *c, const char *name);
/* The files of this machine, and its command line. */
void modprobe_conf_read(struct modprobe_conf *c, const char *command_line);
