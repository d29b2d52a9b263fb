/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The narrow door between "a name in Image= or Rootfs=" and "directories to mount": name -> ordered read-only
 * layer directories and the image's defaults. A name is
 *
 *   - an absolute directory, taken as the root file system;
 *   - a name below an image root (davit.conf image_roots, default <state>/images): <root>/NAME (NAME:latest
 * also without its tag), which is either a root file system directory, or a directory with a file "layers"
 * (one layer directory a line, topmost last, absolute or relative to it; # comments) and optionally
 * "image.conf" (INI, section [Image]: Entrypoint= Cmd= Environment= WorkingDir= User= StopSignal=);
 *   - <root>/NAME.erofs or <root>/NAME.squashfs, a file system image that is mounted where it lies, with its
 *     defaults in NAME.conf (as image.conf);
 *   - the name of an image in the store of an image root (store.h), or the digest of one;
 *   - a colon list of absolute directories, lowest layer first.
 *
 * A plain directory comes before an image of the store with the same name, and an earlier root before a
 * later.
 *
 * May read files and so may block on a sick disk: in davitd it is called while the unit is *preparing*.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "image/oci.h"

struct image {
    char **layers; /* absolute directories, or files with a file system in them; lowest first, at least one */
    char *root;    /* the image root whose store it is from, NULL for plain directories */
    char manifest[DIGEST_TEXT]; /* and its manifest there, "" for plain directories */
    char **entrypoint, **cmd, **environment;
    char *working_dir, *user;
    int stop_signal;      /* 0 = not set */
    char **volumes;       /* absolute, simplified, neither "/" nor below /proc, /sys or /dev */
    char **labels;        /* NAME=VALUE */
    char **exposed_ports; /* "80/tcp" */
    struct oci_healthcheck healthcheck;
};
#define IMAGE_MAX_LAYERS 499
/* The last image root: images that came with the system, which nobody writes to. */
#define IMAGES_PRELOADED "/usr/share/davit/images"

/* Paths below the root that davit itself makes in every container: the files of the init layer and mount
 * points. They are never part of an image that is made from a container. NULL at the end. */
extern const char *const image_paths_made[];

/* 0; -ENOENT with a hint (what was looked for where), -ENOTDIR, -EINVAL, -E2BIG. ret is untouched
 * on failure. */
int image_resolve(char *const *image_roots, const char *name, struct image *ret, struct error *e);
void image_done(struct image *i);
/* What is mounted for an image, lowest first: each of its layers once, nothing that another hides as a whole,
 * and what it may have on top of them (worker/settle.h). -ENOENT: one is not in the store. */
struct store;
struct store_image;
int image_layers(const struct store *s, const struct store_image *image, char ***ret, struct error *e);
