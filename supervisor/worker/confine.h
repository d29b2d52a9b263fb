/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is left to davit-image once it has opened its inputs. If a decompressor or parser is taken over by
 * what it reads, this is what the taker gets:
 *
 * - files: below the store, by Landlock (kernel 5.19 and later with it switched on); elsewhere nothing can be opened
 *   but what the command's row names, for reading
 * - privileges: the capabilities for making files of any owner and kind, and CAP_SYS_ADMIN, which the kernel wants
 *   for trusted.* attributes: overlay's opaque mark is one. What else that one would allow is not in the list of
 *   system calls
 * - system calls: those in the list. No mounts, namespaces, modules, tracing, execution; sockets only for fetching,
 *   and only those of the Internet, since one word to davitd's socket would be worth more than all of this
 * - resources: memory, descriptors, CPU time, wall-clock time, no core dump
 *
 * no_new_privs is set; descriptors that nobody meant it to have are closed before anything is read.
 */
#pragma once

#include "base/error.h"
#include "worker/worker.h"

#define CONFINE_ADDRESSES (UINT64_C(512) * 1024 * 1024) /* libraries and stacks included */
#define CONFINE_FILES 2048 /* three for each layer of an image with as many as there can be, and some */
#define CONFINE_TIME (6 * 3600 * USEC_PER_SEC) /* CPU time; wall-clock time unless --timeout says else */

/* Closes every descriptor above stderr but keep (-1: none). */
int confine_close_others(int keep);
/* From here on, for all threads made later. */
int confine(const struct worker *w, usec_t timeout, struct error *e);
