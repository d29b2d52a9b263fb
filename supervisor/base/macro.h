/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Small language helpers that every folder uses: ownership by cleanup attribute, hand-over of pointers and
 * descriptors, and a few arithmetic idioms. Nothing in here knows about containers.
 *
 * Ownership. A variable marked _cleanup_free_ (or another _cleanup_) owns what it points to and releases it
 * when it leaves scope. TAKE_PTR()/TAKE_FD() hand the value over and leave NULL/-1 behind, so each thing has
 * one owner at any moment.
 */
#pragma once

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Each argument is evaluated once; names of their own, so that one may stand in the other. */
#define UNIQUE__(name, n) name##n
#define UNIQUE_(name, n) UNIQUE__(name, n)
#define CHOOSE_(a, op, b, x, y) \
    ({ \
        const __auto_type x = (a); \
        const __auto_type y = (b); \
        x op y ? x : y; \
    })
#define MIN(a, b) CHOOSE_(a, <, b, UNIQUE_(a_, __COUNTER__), UNIQUE_(b_, __COUNTER__))
#define MAX(a, b) CHOOSE_(a, >, b, UNIQUE_(a_, __COUNTER__), UNIQUE_(b_, __COUNTER__))
#define CLAMP(x, low, high) (MAX((low), MIN((x), (high))))

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))
#define _unused_ __attribute__((unused))
#define _noreturn_ __attribute__((noreturn))

/* Defines FUNC##p, the form that _cleanup_() wants, for a function that frees a pointer and takes NULL. */
#define DEFINE_CLEANUP(type, func) \
    static inline void func##p(type *p) { \
        if (*p) \
            func(*p); \
    }

static inline void freep(void *p) {
    free(*(void **)p);
}

static inline void closep(int *fd) {
    if (*fd >= 0) {
        int saved = errno;
        (void)close(*fd);
        errno = saved;
    }
}

DEFINE_CLEANUP(FILE *, fclose)

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(fclosep)

#define TAKE_PTR(p) \
    ({ \
        __typeof__(p) taken_ = (p); \
        (p) = NULL; \
        taken_; \
    })

#define TAKE_FD(fd) \
    ({ \
        int taken_ = (fd); \
        (fd) = -1; \
        taken_; \
    })

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* -errno of the call that just failed. Never 0, so a caller cannot mistake a failure for success. */
static inline int negative_errno(void) {
    return errno > 0 ? -errno : -EIO;
}

/* Closes *fd if it is open, and marks it closed. */
static inline void close_and_reset(int *fd) {
    closep(fd);
    *fd = -1;
}
