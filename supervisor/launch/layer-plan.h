/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small tmpfs that is described before it is made, so that the same one is not made twice: a container that
 * starts again, and one that crashes in a loop, gets the layer that it had. Nobody writes to a layer once it
 * is made; overlays share it as they share the layers of an image.
 *
 * Owns: the cache of made layers in struct launcher. Never decides what is in a layer: that is init-layer.c.
 */
#pragma once

#include <sys/stat.h>

#include "base/error.h"
#include "base/str.h"

struct launcher;
struct prepared;

/* Records one after the other: the root first, a directory before what is in it. Equal bytes, equal layers.
 */
struct layer_plan {
    struct strbuf records;
};

/* path: absolute, "/" for the root. mode: with its type, S_IFDIR or S_IFREG. content: of a file, else NULL.
 * Out of memory is told by layer_plan_make(). */
void layer_plan_add(
    struct layer_plan *plan, const char *path, mode_t mode, uid_t uid, gid_t gid, const char *content);
/* Whether path is in the plan, and its mode. */
bool layer_plan_find(const struct layer_plan *plan, const char *path, mode_t *ret_mode);
/* The layer as a detached mount: p->init_layer. If init_layer_is_kept, the descriptor is the cache's, valid
 * until 32 other layers were asked for; else it is the caller's, since this kernel wants layers attached, and
 * a mount cannot be attached twice. */
int layer_plan_make(const struct layer_plan *plan, struct prepared *p, struct error *e);
/* Writes it into a directory that is there: what is in the way of a file goes, directories stay as they are.
 */
int layer_plan_write(const struct layer_plan *plan, int fd, struct error *e);
void layer_plan_free(struct layer_plan *plan);

void layer_cache_free(struct launcher *l);
