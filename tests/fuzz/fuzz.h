/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What all fuzz targets have in common. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* A promise that the code under test makes. A broken one is said before the abort: the stack of an optimised
 * target shows neither the line nor the function. */
#define expect(promise) \
    do { \
        if (!(promise)) { \
            (void)fprintf( \
                stderr, "%s:%d: %s: broken promise: %s\n", __FILE__, __LINE__, __func__, #promise); \
            abort(); \
        } \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
