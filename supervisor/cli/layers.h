/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Layers on top of each other, read as overlay would show them and without mounting anything: for verbs that
 * compare.
 *
 * What is in layers was made by others: it is only walked by descriptor, beneath the layer and through no
 * link. Overlay's marks are a character device 0:0, which hides a name, and an attribute on a directory,
 * which hides what the layers below have in it.
 */
#pragma once

#include <sys/stat.h>

#include "base/error.h"
#include "base/str.h"

/* A directory below `at`, or -errno. */
int layer_open_directory(int at, const char *path);

struct layer_stack {
    int *roots;   /* their trees, topmost first */
    char **names; /* the same, as the caller knows them: a layer with the same name has the same content */
    size_t n;
};
/* layers: host directories, lowest first, as struct image has them. */
int layer_stack_open(char *const *layers, struct layer_stack *ret, struct error *e);
void layer_stack_done(struct layer_stack *s);

/* A directory of the whole: those layers that contribute to it, topmost first. */
struct layer_directory {
    const struct layer_stack *stack;
    char *path; /* relative, "" for the root */
    size_t *layers, n;
};
/* Those of `stack` that have the path as a directory, down to one that hides what is below it. -ENOMEM */
int layer_directory_find(const struct layer_stack *stack, const struct layer_directory *parent,
    const char *name, struct layer_directory *ret);
void layer_directory_done(struct layer_directory *d);
/* What one of its layers has of it, or -errno. */
int layer_directory_open(const struct layer_directory *d, size_t layer);

struct layer_entry {
    char *name;
    size_t layer; /* which shows it */
    struct stat st;
};
/* What is in it, by name. -errno with *e. */
int layer_directory_read(
    const struct layer_directory *d, struct layer_entry **ret, size_t *ret_n, struct error *e);
void layer_entries_free(struct layer_entry *l, size_t n);
