/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An error on its way from the place that knows what went wrong to the place that decides what to do.
 *
 * Library folders never log. They return a negative errno and, where a person will want to know more, fill a
 * struct error: the step that failed ("pivot_root"), the errno, and one line of text that names the path, key
 * or peer. The struct is fixed in size and allocates nothing, so it can cross a pipe as it is and can be
 * filled when memory is short.
 */
#pragma once

#include "base/macro.h"

#define ERROR_STEP_MAX 32
#define ERROR_TEXT_MAX 476

struct error {
    int32_t number;            /* positive errno, 0 = no error */
    char step[ERROR_STEP_MAX]; /* "" or the name of the step, as users see it in `davit status` */
    char text[ERROR_TEXT_MAX]; /* one line, no newline, cut with "..." when too long */
};

/* Fills *e (which may be NULL) and returns -number, so that callers write `return error_set(e, EINVAL, ...)`.
 * A number <= 0 is taken as a negative errno and turned round. An error that is already set is
 * replaced, its step included; a step that was named before anything failed is kept. */
int error_set(struct error *e, int number, const char *fmt, ...) _printf_(3, 4);

/* The same, with ": " and the errno's description appended to the text. */
int error_set_errno(struct error *e, int number, const char *fmt, ...) _printf_(3, 4);

/* Puts "PREFIX: " in front of the text of an error that is already set. Returns r, what the caller's callee has
 * returned, so that the errno is kept also where e is NULL: `return error_prefix(e, r, "layer %s", name)`. */
int error_prefix(struct error *e, int r, const char *fmt, ...) _printf_(3, 4);

/* Names the step if none is named yet. */
void error_set_step(struct error *e, const char *step);

/* "step: text", "text", or the errno's description: whatever is there. Never NULL; valid until the next call
 * with the same buffer. */
const char *error_format(const struct error *e, char *buffer, size_t size);

/* Description of an errno (sign does not matter). Never NULL, no allocation. */
const char *errno_text(int number);
