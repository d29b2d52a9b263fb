/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How it all ends: the words that davit-init, davit-shutdown, davitd and the command line share. They are
 * systemd's, for the values of FailureAction= and its kin, for `systemctl VERB`, and for the argument that
 * hooks of a shutdown get.
 */
#pragma once

#include "base/macro.h"

enum ending_kind {
    ENDING_NONE,
    ENDING_EXIT, /* with a status; a machine that has nobody to give it to powers off */
    ENDING_HALT,
    ENDING_POWEROFF,
    ENDING_REBOOT,
    ENDING_KEXEC,       /* into the kernel that was loaded before; without one: reboot */
    ENDING_SOFT_REBOOT, /* userspace only */
    _ENDING_COUNT,
};

enum ending_urgency {
    ENDING_ORDERLY,   /* units are stopped in their order */
    ENDING_FORCE,     /* units are killed; file systems are still unmounted */
    ENDING_IMMEDIATE, /* reboot(2), now */
    _ENDING_URGENCY_COUNT,
};

struct ending {
    enum ending_kind kind;
    enum ending_urgency urgency;
};

/* Of RebootArgument=; the kernel takes 256 bytes, its NUL included (reboot(2)). */
#define ENDING_ARGUMENT_MAX 256

const char *ending_name(enum ending_kind k); /* "soft-reboot" */
/* "poweroff-force"; "none". A static text. */
const char *ending_format(struct ending e);
/* The inverse. Not every kind has every urgency: -EINVAL for "kexec-immediate" and other words that systemd
 * does not have. */
int ending_parse(const char *s, struct ending *ret);
/* All words, in the order of enum kind, then urgency; NULL at the end: the choices of FailureAction=. A
 * word's place in it and back. */
extern const char *const ending_words[];
struct ending ending_of_word(size_t index);
/* reboot(2) for HALT, POWEROFF, REBOOT and KEXEC, without a sync; argument (may be NULL or "") is for REBOOT.
 * KEXEC without a loaded kernel is -ENOENT and nothing has happened. Returns only with -errno. */
int ending_reboot(enum ending_kind k, const char *argument);
