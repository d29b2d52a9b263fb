/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What values-resource.c shares inside unit/. */
#pragma once

#include "base/macro.h"

/* How many tasks this machine can have: the smaller of pid_max and threads-max. */
uint64_t machine_tasks_max(void);
/* "rwm" and parts of it; false (nothing written) for anything else. */
bool parse_device_access(const char *s, bool *read, bool *write, bool *make);
