/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Base64 with the alphabet of RFC 4648 section 4, as credential files and HTTP have it. */
#pragma once

#include "base/str.h"

/* New string, or NULL when memory is short. */
char *base64_encode(const void *data, size_t n);
/* The decoded bytes with a NUL behind them; ret_size may be NULL. Padding may be missing, blanks may not be
 * there. 0, -EINVAL, -ENOMEM. */
int base64_decode(const char *text, char **ret, size_t *ret_size);
