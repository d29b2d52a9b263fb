/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random 128-bit identifiers (invocations, machine id) as 32 lower-case hexadecimal digits. */
#pragma once

#include "base/macro.h"

#define ID128_TEXT 33 /* with the NUL */
/* Fills data from getrandom(2). Never blocks and never fails: before the kernel's generator is seeded the
 * bytes are only unlikely to repeat, which is enough for names and hash keys. Not for secrets. */
void random_bytes(void *data, size_t n);

/* A new one, in the form of a version 4 UUID. */
void id128_random(char ret[static ID128_TEXT]);
bool id128_is_valid(const char *s);
/* /etc/machine-id, /proc/sys/kernel/random/boot_id (dashes removed). 0, -EINVAL (no id in it), or what
 * open(2) says. */
int id128_machine(char ret[static ID128_TEXT]);
int id128_boot(char ret[static ID128_TEXT]);
