/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Digests as OCI documents write them: "sha256:" and 64 lower-case hexadecimal digits. Only SHA-256 is taken:
 * it is what every registry and tool uses, and what the store's file names are made of.
 */
#pragma once

#include "base/macro.h"

#define DIGEST_PREFIX "sha256:"
#define DIGEST_HEX 64
#define DIGEST_TEXT (sizeof(DIGEST_PREFIX) + DIGEST_HEX) /* with the NUL */

/* Exactly of that form: nothing else may ever become a file name in the store. */
bool digest_is_valid(const char *s);
/* The digits: the name of a blob or layer in the store. s must be valid. */
static inline const char *digest_hex(const char *s) {
    return s + sizeof(DIGEST_PREFIX) - 1;
}
/* "sha256:" before 64 valid digits, such as a file name. false if they are none. */
bool digest_from_hex(const char *hex, char ret[static DIGEST_TEXT]);
