/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's version, for the few things that cannot be tried without harm. */
#pragma once

#include <stdbool.h>

/* Whether the kernel is older than MAJOR.MINOR. */
bool kernel_is_before(int major_number, int minor_number);
