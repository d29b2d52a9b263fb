/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the files of a unit are: fragments, drop-ins, and links that stand for dependencies. For unit/, and
 * for the manager through unit/load.h.
 *
 * The rules are Quadlet's and systemd's: the first directory of the unit path that has a name wins;
 * directories are searched with everything below them, except *.d, *.wants, *.requires and *.upholds; drop-ins of a more
 * specific directory hide those of the same file name in a less specific one, and what is left is read in the
 * order of file names; a link to /dev/null, or an empty file, masks what it stands for.
 */
#pragma once

#include "unit/unit.h"

struct unit_dirs {
    char **directories; /* the unit path with all subdirectories, highest precedence first */
    char **link_dirs;   /* X.wants and the like in any of them, same order */
};

/* Directories of links that stand for dependencies. */
struct link_kind {
    const char *suffix;                    /* ".wants": X.wants/NAME means that X has Wants=NAME */
    enum dependency_kind forward, inverse; /* of X, of NAME */
    size_t install;                        /* where struct unit has the list that asks for such links */
};
enum { LINK_KINDS = 3 };
extern const struct link_kind link_kinds[LINK_KINDS];
/* The kind of X.wants by that name; NULL. */
const struct link_kind *link_kind_of(const char *directory);
/* WantedBy= and so on. */
char **unit_install_list(const struct unit *u, const struct link_kind *k);
bool unit_installs_links(const struct unit *u); /* is any of these not empty? */
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
    char **forward[LINK_KINDS]; /* NAME.wants/X: what this unit pulls in */
    char **inverse[LINK_KINDS]; /* X.wants/NAME: who pulls in this one */
    char **masked;              /* X where X.wants/NAME or its like is a link to /dev/null */
};
int dirs_find_links(const struct unit_dirs *d, const char *name, struct dependency_links *ret);
void dependency_links_done(struct dependency_links *l);

/* A link to /dev/null or an empty file. */
bool path_is_masked(const char *path);
/* Names in a directory, sorted, without those that start with '.'. A directory that cannot be read is empty.
 */
int directory_names(const char *path, char ***ret);
