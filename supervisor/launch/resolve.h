/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Paths inside a root file system that somebody else filled (rule R1 of docs/design.md). Every look-up is
 * openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS) from the root's descriptor: absolute links and ".." stay
 * inside it, and /proc/self/fd/N leads nowhere. What is created is created one component at a time in a
 * directory that is already open, and never through a symbolic link. There is no fallback to strings.
 *
 * All functions return a descriptor or a negative errno; descriptors are close-on-exec.
 */
#pragma once

#include "launch/kernel.h"

/* Opens path below root. flags as for openat. */
int root_open(int root, const char *path, int flags);
/* The same, but fails with -ELOOP if any component is a symbolic link, and with -EXDEV at a mount point. */
int root_open_strict(int root, const char *path, int flags);
/* O_PATH descriptor of the directory path; missing components are made with mode, owned by the caller's ids.
 */
int root_make_directory(int root, const char *path, mode_t mode);
/* O_PATH descriptor of path for something to be attached there; made (with its parents) if missing: a
 * directory, or an empty file. */
int root_make_target(int root, const char *path, bool directory);
