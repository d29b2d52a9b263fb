/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * modprobe.d(5), as far as it says something about a module that is loaded by its name: options, alias, softdep,
 * and blacklist, which counts here as for systemd's modules-load.d. Also modprobe.blacklist= of the kernel's
 * command line. install and remove are shell commands, for modprobe(8): who needs them runs it as a unit.
 */
#pragma once

#include <stdbool.h>

struct modprobe_conf {
    char **options; /* "NAME PARAMETER=VALUE ...", in the order in which they were read */
    char **blacklist;
    char **aliases;  /* "PATTERN MODULE" */
    char **softdeps; /* "NAME pre: NAME ... post: NAME ..." */
};

/* Takes one line, which is changed. Others than these are passed over. 0 or -ENOMEM. */
int modprobe_conf_take(struct modprobe_conf *c, char *line);
/* The names of a list with commas. */
int modprobe_conf_blacklist(struct modprobe_conf *c, const char *names);
bool modprobe_conf_forbids(const struct modprobe_conf *c, const char *name);
/* All options of a module, "" where there are none. New string, NULL when out of memory. */
char *modprobe_conf_options(const struct modprobe_conf *c, const char *name);
/* What the name stands for: the MODULE of the first alias whose PATTERN (glob(7)) it matches. New string; NULL: no
 * alias, or out of memory. */
char *modprobe_conf_alias(const struct modprobe_conf *c, const char *name);
/* What softdep wants before the module, or (post) after it. *ret is appended to. 0 or -ENOMEM. */
int modprobe_conf_softdeps(const struct modprobe_conf *c, const char *name, bool post, char ***ret);
/* The files of this machine, and its command line. */
void modprobe_conf_read(struct modprobe_conf *c, const char *command_line);
