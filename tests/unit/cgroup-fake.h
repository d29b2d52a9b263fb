/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine made of files: hierarchies are directories below a temporary one, with whatever files a test puts
 * there, and cgroup/ is told about them by texts like those of /proc. What it writes where can then be read
 * back.
 *
 * Files keep what was written first beyond the end of a shorter second write: a test that looks at a file's
 * text makes sure that it is written once.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cgroup/internal.h"

struct fake {
    char *directory;
    struct strbuf mountinfo;
    char *self, *cgroups;
    unsigned mounts;
    struct cgroup_tree *tree;
};
int fake_setup(void **state);
int fake_teardown(void **state);
/* Adds a mount at `point` ("/memory") and makes its directory; super: its options, "rw,memory"; root: what it
 * shows. */
void fake_mount(struct fake *f, const char *type, const char *point, const char *root, const char *super);
void fake_unified(
    struct fake *f, const char *base); /* cgroup2 at /unified, all controllers, enabled down to /BASE */
/* Files, by path below the directory; parents are made. */
void fake_put(struct fake *f, const char *path, const char *text);
void fake_expect(struct fake *f, const char *path, const char *text);
bool fake_exists(struct fake *f, const char *path);
void fake_directory(struct fake *f, const char *path);
/* Opens f->tree. */
int fake_open(struct fake *f, const char *base, struct error *e);
void fake_open_ok(struct fake *f, const char *base);
