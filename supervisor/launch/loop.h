/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A loop device for a file with a file system in it: of a layer (layer-image.c) or a volume (volume-device.c). */
#pragma once

#include <stdbool.h>

#include "base/error.h"

#define LOOP_PATH_MAX 32

/* A new loop device of the open file: its descriptor, and its path in path. The kernel lets go of the device when
 * nothing has it open or mounted any more, so the caller keeps the descriptor until it is mounted. */
int loop_new(int file, bool read_only, char path[static LOOP_PATH_MAX], struct error *e);
