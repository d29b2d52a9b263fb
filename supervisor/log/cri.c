/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/cri.h"

#include <string.h>

size_t cri_head(usec_t realtime, char ret[static CRI_HEAD_MAX]) {
    char stamp[TIMESTAMP_MAX];

    return (size_t)snprintf(ret, CRI_HEAD_MAX, "%s stdout ", timestamp_format_rfc3339(realtime, stamp));
}

char *cri_append(char *out, const char *head, size_t head_length, const struct line *line) {
    memcpy(out, head, head_length);
    out += head_length;
    *out++ = line->partial ? 'P' : 'F';
    *out++ = ' ';
    memcpy(out, line->text, line->length);
    out += line->length;
    *out++ = '\n';
    return out;
}
