/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t n) {
    const uint8_t *in = data;
    char *out = malloc((n + 2) / 3 * 4 + 1), *p = out;

    if (!out)
        return NULL;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t group = (uint32_t)in[i] << 16;

        if (i + 1 < n)
            group |= (uint32_t)in[i + 1] << 8;
        if (i + 2 < n)
            group |= in[i + 2];
        *p++ = alphabet[group >> 18];
        *p++ = alphabet[group >> 12 & 63];
        *p++ = i + 1 < n ? alphabet[group >> 6 & 63] : '=';
        *p++ = i + 2 < n ? alphabet[group & 63] : '=';
    }
    *p = '\0';
    return out;
}

int base64_decode(const char *text, char **ret, size_t *ret_size) {
    size_t length = strlen(text), digits = strcspn(text, "=");
    uint32_t group = 0;
    size_t n = 0;

    /* One digit left over holds six bits of a byte; padding fills four digits or is not there. */
    if (digits % 4 == 1 || (digits < length && (length % 4 != 0 || length - digits > 2)))
        return -EINVAL;
    if (text[digits + strspn(text + digits, "=")] != '\0')
        return -EINVAL;
    _cleanup_free_ char *out = malloc(digits / 4 * 3 + 4);
    if (!out)
        return -ENOMEM;
    for (size_t i = 0; i < digits; i++) {
        const char *digit = strchr(alphabet, text[i]);

        if (!digit)
            return -EINVAL;
        group = group << 6 | (uint32_t)(digit - alphabet);
        if (i % 4 == 0)
            continue;
        out[n++] = (char)(group >> (6 - 2 * (i % 4)));
    }
    out[n] = '\0';
    *ret = TAKE_PTR(out);
    if (ret_size)
        *ret_size = n;
    return 0;
}
