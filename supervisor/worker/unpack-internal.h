/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private to unpack*.c. */
#pragma once

#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/hashmap.h"
#include "worker/unpack.h"

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_META ".wh..wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"
#define AUFS_LINKS ".wh..wh.plnk"

struct recipe_writer;
struct unpack {
    const struct store *store;
    struct stream stream;
    struct archive *tar;
    int root;          /* the tree */
    int work;          /* its directory: links/ and late are beside the tree */
    int links;         /* AUFS's hard link targets, -1 until one comes */
    FILE *late;        /* of each directory, what it gets when everything else is done */
    bool has_defaults; /* a directory has got a default ACL */
    /* The directory of the last entry: the next is most often in it. "" is the root. */
    char *parent_path;
    int parent_fd;
    struct recipe_writer *recipe;
    struct hashmap *implicit; /* path -> path */
    size_t implicit_bytes;
    uint64_t entries, size, unchecked;
    bool replaced; /* something took the place of an earlier entry, whose content is nowhere any more */
    struct error error;
};

/* What an entry's name means. */
enum name_kind { NAME_ROOT, NAME_ENTRY, NAME_WHITEOUT, NAME_OPAQUE, NAME_AUFS_LINK, NAME_IGNORED };
struct name {
    enum name_kind kind;
    char *path;       /* normalised, relative, "" for the root; without the whiteout's prefix */
    const char *base; /* its last component, in path */
};
void name_done(struct name *n);
/* Takes an archive's name apart. -EINVAL, -ENAMETOOLONG with *e. (unpack-name.c) */
int name_parse(const char *text, struct name *ret, struct error *e);

/* A name for a message: valid UTF-8 on one line, what is not as \xNN, and not too long. NULL gives "?". */
#define NAME_PRINTABLE 256
void name_printable(const char *name, char ret[static NAME_PRINTABLE]);

/* The directory of path (all but its last component), made where it is missing; borrowed. */
int parent_open(struct unpack *u, const struct name *n, struct error *e);
int unpack_entry(struct unpack *u, struct archive_entry *entry, struct error *e);
/* Owner, mode, extended attributes and times. fd: of a regular file or directory, else -1 and the name in the
 * directory is used, never through a link. */
int apply_attributes(
    int directory, const char *base, int fd, struct archive_entry *entry, bool times, struct error *e);
int mark_opaque(int fd, struct error *e);
/* Of a directory that another entry describes anew. */
int clear_xattrs(int fd, struct error *e);
/* What a directory gets at the end: time and default ACL. Later wins; applied by late_apply(). */
int late_note(struct unpack *u, const char *path, struct archive_entry *entry, struct error *e);
int late_apply(struct unpack *u, struct error *e);
/* openat2 beneath root, through no links. */
int open_beneath(int root, const char *path, int flags);
