/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an image says of a directory besides what is in it: owner, mode, time, extended attributes. Overlay's own
 * marks are not among them. */
#pragma once

#include "base/error.h"

/* Of a directory that nobody describes; its time is whatever it is. */
#define ATTRIBUTES_DEFAULT (-1)

/* Both by descriptor. What `to` had before is gone. from may be ATTRIBUTES_DEFAULT. */
int attributes_copy(int from, int to, struct error *e);
/* 1: they are the same; 0: they differ. a may be ATTRIBUTES_DEFAULT. */
int attributes_equal(int a, int b, struct error *e);
