/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the files of a unit are: fragments, drop-ins, and links that stand for dependencies. For unit/, and
 * for the manager through unit/load.h.
 *
 * The rules are Quadlet's and systemd's: the first directory of the unit path that has a name wins;
 * directories are searched with everything below them, except *.d, *.wants and *.requires; drop-ins of a more
 * specific directory hide those of the same file name in a less specific one, and what is left is read in the
 * order of file names; a link to /dev/null, or an empty file, masks what it stands for.
 */
#pragma once

#include "unit/unit.h"

struct unit_dirs {
    char **directories; /* the unit path with all subdirectories, highest precedence first */
    char **link_dirs;   /* X.wants and X.requires in any of them, same order */
};
/* Directories that do not exist or cannot be read are left out. 0 or -ENOMEM. */
int unit_dirs_scan(char *const *unit_path, struct unit_dirs *ret);
void unit_dirs_done(struct unit_dirs *d);

struct fragment {
    char *path;
    char *name; /* the unit's real name: differs from the one asked for where that is an alias */
    bool masked;
};
void fragment_done(struct fragment *f);
/* File of a unit, or of its template. 0, -ENOENT, -ENOMEM. */
int dirs_find_fragment(const struct unit_dirs *d, const char *name, struct fragment *ret);
/* Drop-ins of a unit, in the order in which they are read. */
int dirs_find_dropins(const struct unit_dirs *d, const char *name, char ***ret);

struct dependency_links {
    char **wants, **requires;        /* NAME.wants/X: what this unit pulls in */
    char **wanted_by, **required_by; /* X.wants/NAME: who pulls in this one */
    char **masked;                   /* X where X.wants/NAME or X.requires/NAME is a link to /dev/null */
};
int dirs_find_links(const struct unit_dirs *d, const char *name, struct dependency_links *ret);
void dependency_links_done(struct dependency_links *l);

/* A link to /dev/null or an empty file. */
bool path_is_masked(const char *path);
/* Names in a directory, sorted, without those that start with '.'. A directory that cannot be read is empty.
 */
int directory_names(const char *path, char ***ret);
