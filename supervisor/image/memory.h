/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image_memory of davit.conf: how much a davit-image that makes images may allocate. Read by itself, before it
 * reads anything else; checked by whoever reads the whole file. */
#pragma once

#include "base/error.h"

/* Most archives stay far below (gzip, zstd and xz as they are by default: below 32 MiB, program and libraries
 * included); the largest window that tools for images write, 32 MiB, fits; those of xz -9 and zstd --long do not.
 */
#define IMAGE_MEMORY_DEFAULT (UINT64_C(48) * 1024 * 1024)
#define IMAGE_MEMORY_MIN (UINT64_C(16) * 1024 * 1024)
#define IMAGE_MEMORY_MAX (UINT64_C(1) << 40)

/* In bytes. -EINVAL with *e: file, and what is wrong. */
int image_memory_read(const char *path, uint64_t *ret, struct error *e);
