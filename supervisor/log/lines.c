/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/lines.h"

#include <string.h>

/* Gives out n bytes at the position, as a whole line, or as the first, a further, or the last piece of one.
 */
static void take(struct line_cursor *c, size_t n, bool partial, struct line *ret) {
    const char *text = c->data + c->position;
    size_t length = n;

    if (!c->context.continued) {
        c->context.priority = c->default_priority;
        if (n >= 3 && text[0] == '<' && text[1] >= '0' && text[1] <= '7' && text[2] == '>') {
            c->context.priority = (uint8_t)(text[1] - '0');
            text += 3;
            length -= 3;
        }
    }
    c->context.continued = partial;
    c->position += n;
    *ret = (struct line){.text = text, .length = length, .priority = c->context.priority, .partial = partial};
}

bool line_next(struct line_cursor *c, struct line *ret) {
    size_t left = c->length - c->position;
    const char *start = c->data + c->position;
    const char *newline = memchr(start, '\n', MIN(left, (size_t)LINE_MAX_BYTES + 1));

    if (newline) {
        take(c, (size_t)(newline - start), false, ret);
        c->position++;
        return true;
    }
    if (left <= LINE_MAX_BYTES)
        return false;
    take(c, LINE_MAX_BYTES, true, ret);
    return true;
}

bool line_rest(struct line_cursor *c, bool partial, struct line *ret) {
    size_t left = c->length - c->position;

    if (left == 0 && (partial || !c->context.continued))
        return false;
    take(c, left, partial, ret);
    return true;
}
