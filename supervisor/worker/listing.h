/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is in a directory. Private to worker/. */
#pragma once

#include "base/error.h"
#include "base/str.h"

/* All but "." and "..", in byte order; path is below directory, through no links, "" for itself. */
int names_list(int directory, const char *path, char ***ret, struct error *e);
