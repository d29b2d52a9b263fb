/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Kernel modules, without kmod: names and dependencies from modules.dep (depmod(8)), parameters from the
 * kernel's command line ("NAME.PARAMETER=VALUE"), finit_module(2). Compressed files are unpacked by the
 * kernel where it can (5.17 and later, if built so), else by xz, zstd or gzip.
 *
 * Of modprobe.d options, blacklist, alias and softdep count (modprobe_conf.h).
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"

/* The line of a module in the text of modules.dep: "kernel/fs/overlayfs/overlay.ko.xz: dep dep". '-' and '_'
 * in names are the same. A copy without the newline; NULL if there is none, or out of memory. */
char *modules_find(const char *dep, const char *name);
/* "kernel/drivers/net/foo-bar.ko.xz" is "foo_bar". 0, -EINVAL, -ENAMETOOLONG. */
#define MODULE_NAME_MAX 64
int module_name(const char *path, char ret[static MODULE_NAME_MAX]);
/* The parameters of a module in a command line: "a=1 b=2", "" where there are none. New string or NULL. */
char *modules_parameters(const char *command_line, const char *name);

/* Loads one with all it depends on. 0 also when it is there already or part of the kernel; -ENOENT if there
 * is no such module; -errno. */
int module_load(const char *name, struct error *e);
/* Processor time of this process that the kernel has used to load modules. */
usec_t modules_kernel_work(void);
