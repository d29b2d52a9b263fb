/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens when davit-init itself gets a fatal signal: a kernel whose PID 1 ends panics without a word
 * about why, and a box that just stands there is worse still. The handler says so in the kernel's log and on
 * the console, leaves a core dump if one is wanted (a forked child dies in davit-init's place), waits long
 * enough for a person to read, and then does what `davit.crash=` says: reboot, power off, or stand still.
 *
 * The same way out serves where davit-init cannot begin at all (crash_stop()).
 *
 * Only async-signal-safe calls; a stack of its own, since the ordinary one may be what is broken. A crash
 * inside the handler skips everything but the last step. As PID 1 of a container or as an ordinary process
 * davit-init simply dies of the signal: whoever runs it knows what to do then.
 */
#pragma once

#include "init/cmdline.h"

/* Installs the handler; a second call takes other options. */
void crash_handler_install(const struct boot_options *options);
/* Says text (one line, no newline) and takes the way out. Never returns. As PID 1 of a machine only. */
_noreturn_ void crash_stop(const struct boot_options *options, const char *text);
