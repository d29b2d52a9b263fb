/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's command line, as far as it is for davit: a table of words. Every other word belongs to the
 * kernel or to somebody else and is passed over without a sound. A value that makes no sense is told and
 * passed over too: a typing mistake in a boot loader must not keep a machine from booting.
 *
 * Read as a stream, so that there is no length at which anything breaks; blanks inside double quotes belong
 * to the word (as in the kernel's own next_arg()); the last of several words wins.
 *
 * A container's init takes the same words from its arguments.
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"

enum crash_action { CRASH_REBOOT, CRASH_POWEROFF, CRASH_FREEZE };
enum fsck_mode { FSCK_AUTO, FSCK_FORCE, FSCK_SKIP };
enum fsck_repair { FSCK_PREEN, FSCK_YES, FSCK_NO };
enum cgroup_layout { CGROUP_UNIFIED, CGROUP_HYBRID, CGROUP_LEGACY };

/* Longer words are none of ours, but for the three that take a name, where a longer one is an error. */
#define BOOT_WORD_MAX 384
#define BOOT_NAME_MAX 256

struct boot_options {
    char target[BOOT_NAME_MAX]; /* "" = what davit.conf says */
    int log_level;              /* of all of davit, -1 = not said */
    int console_level;          /* messages up to this priority appear on the console */
    bool log_console, log_kmsg;

    char hostname[65]; /* "" = /etc/hostname */
    char machine_id[33];
    char var[BOOT_NAME_MAX]; /* "" = as it is, "tmpfs", or a device */
    enum cgroup_layout cgroup;
    usec_t boot_timeout; /* for everything before davitd */
    enum fsck_mode fsck_mode;
    enum fsck_repair fsck_repair;

    bool power_key;      /* is ours */
    bool shell;          /* on the console, where davitd does not come up */
    usec_t manager_lost; /* so long without a davitd that is ready, and the machine reboots; 0 = never */

    enum crash_action crash_action;
    usec_t crash_delay;
    bool crash_core;

    char watchdog_device[64];                                        /* "" = the first one */
    usec_t watchdog_usec, watchdog_reboot_usec, watchdog_kexec_usec; /* USEC_INFINITY = not said, 0 = off */
};

void boot_options_init(struct boot_options *o);
/* Takes one word. 0, -ENOENT (not for davit), -EINVAL (ours, with a value that makes no sense). */
int boot_options_take(struct boot_options *o, const char *word);

/* Cuts text that comes in pieces into words. */
struct word_reader {
    size_t length;
    bool quoted, too_long;
    char word[BOOT_WORD_MAX];
};
/* Takes one byte ('\0' at the end of all); true when w->word is a whole word now. Words that are too long are
 * left out. */
bool word_reader_put(struct word_reader *w, char c);

/* Reads the whole file (/proc/cmdline) into *o; what makes no sense is logged. 0 or what open(2) says. */
int boot_options_read(struct boot_options *o, const char *path);
