/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image.conf: the defaults that an image brings along. Private to image/. */
#pragma once

#include "image/image.h"

/* Adds the settings of section [Image] to i; other sections are left to others. Errors begin with the line's
 * number. i may be half filled after a failure; its owner frees it. */
int image_conf_parse(const char *text, size_t size, struct image *i, struct error *e);
