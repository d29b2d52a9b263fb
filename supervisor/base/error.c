/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <limits.h>
#include <stdarg.h>
#include <string.h>

#define CUT_MARK "..."

/* 0 would read as success at the end of a `return error_set(...)`, so it becomes EIO. INT_MIN has no positive
 * form. */
static int errno_positive(int number) {
    if (number == 0 || number == INT_MIN)
        return EIO;
    return number < 0 ? -number : number;
}

/* Moves a cut position back to the start of the UTF-8 character that it would split. */
static size_t character_start(const char *s, size_t position) {
    while (position > 0 && ((unsigned char)s[position] & 0xC0) == 0x80)
        position--;
    return position;
}

/* Cuts s, which is longer than room bytes, so that it ends in "..." and fits with its NUL. */
static void cut_text(char *s, size_t room) {
    size_t keep = character_start(s, room - sizeof(CUT_MARK));
    memcpy(s + keep, CUT_MARK, sizeof(CUT_MARK));
}

/* Messages are one line wherever they are shown; a newline in them could pass for a second message. */
static void flatten(char *s) {
    for (; *s; s++)
        if (*s == '\n' || *s == '\r')
            *s = ' ';
}

/* Stores head + tail. When both do not fit, head is cut, but never below half of the room: tail is either
 * short (an errno's description) or the older half of a message. */
static void store_text(struct error *e, const char *head, const char *tail) {
    char text[2 * ERROR_TEXT_MAX];
    size_t tail_length = MIN(strlen(tail), (size_t)ERROR_TEXT_MAX / 2);
    size_t head_room = sizeof(e->text) - tail_length;
    size_t head_length = strlen(head);

    memcpy(text, head, MIN(head_length, head_room - 1) + 1);
    if (head_length >= head_room)
        cut_text(text, head_room);
    else
        text[head_length] = '\0';
    (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s", tail);
    if (strlen(text) >= sizeof(e->text))
        cut_text(text, sizeof(e->text));
    memcpy(e->text, text, strlen(text) + 1);
    flatten(e->text);
}

/* A step that was named before anything failed still holds; one that belongs to an earlier error does not. */
static void start_error(struct error *e, int number) {
    if (e->number != 0)
        e->step[0] = '\0';
    e->number = number;
}

int error_set(struct error *e, int number, const char *fmt, ...) {
    number = errno_positive(number);
    if (!e)
        return -number;

    /* Formatted aside: the arguments may point into e->text. */
    char text[ERROR_TEXT_MAX + 8];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);

    start_error(e, number);
    store_text(e, text, "");
    return -number;
}

int error_set_errno(struct error *e, int number, const char *fmt, ...) {
    number = errno_positive(number);
    if (!e)
        return -number;

    char text[ERROR_TEXT_MAX + 8], description[128];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)snprintf(description, sizeof(description), ": %s", errno_text(number));

    start_error(e, number);
    store_text(e, text, description);
    return -number;
}

int error_prefix(struct error *e, int r, const char *fmt, ...) {
    if (!e)
        return r;

    char prefix[ERROR_TEXT_MAX + 8], old[ERROR_TEXT_MAX + 2];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(prefix, sizeof(prefix), fmt, ap);
    va_end(ap);
    (void)snprintf(old, sizeof(old), ": %s", e->text[0] ? e->text : errno_text(e->number));

    e->number = errno_positive(e->number);
    store_text(e, prefix, old);
    return r;
}

void error_set_step(struct error *e, const char *step) {
    if (e && e->step[0] == '\0')
        (void)snprintf(e->step, sizeof(e->step), "%s", step);
}

const char *error_format(const struct error *e, char *buffer, size_t size) {
    if (!e)
        return "unknown error";

    const char *text = e->text[0] ? e->text : errno_text(e->number);
    if (!buffer || size == 0 || e->step[0] == '\0')
        return text;
    (void)snprintf(buffer, size, "%s: %s", e->step, text);
    return buffer;
}

const char *errno_text(int number) {
    if (number == 0)
        return "Success";
#ifdef __GLIBC__
    /* Unlike strerror() this never loads a message catalogue, so it works in the static davit-init too. */
    const char *text = strerrordesc_np(errno_positive(number));
#else
    const char *text = strerror(errno_positive(number));
#endif
    return text ? text : "Unknown error";
}
