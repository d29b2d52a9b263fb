/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/digest.h"

#include "base/str.h"

static bool is_hex(const char *s) {
    return strspn(s, "0123456789abcdef") == DIGEST_HEX && s[DIGEST_HEX] == '\0';
}

bool digest_is_valid(const char *s) {
    const char *hex = s ? startswith(s, DIGEST_PREFIX) : NULL;
    return hex && is_hex(hex);
}

bool digest_from_hex(const char *hex, char ret[static DIGEST_TEXT]) {
    if (!is_hex(hex))
        return false;
    memcpy(ret, DIGEST_PREFIX, sizeof(DIGEST_PREFIX) - 1);
    memcpy(ret + sizeof(DIGEST_PREFIX) - 1, hex, DIGEST_HEX + 1);
    return true;
}
