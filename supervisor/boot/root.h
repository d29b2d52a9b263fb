/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-initramfs: /init of an initramfs that has nothing but this program and a few kernel modules. Loads
 * what /etc/modules-load.d names, waits for the root file system of the kernel's command line, and becomes
 * the init program on it.
 *
 * It knows the words that the kernel itself knows without an initramfs: root= (a device, UUID=, LABEL=,
 * PARTUUID=, PARTLABEL=), rootfstype=, rootflags=, ro, rw, and init=; what comes from a boot loader's
 * arguments for init is passed on. When there is no root, the reason stays on the console for a while, and
 * then the machine is started again: a disk may need a second power-up, and nobody has to be there to press
 * the button.
 */
#pragma once

#include "base/str.h"

struct root_options {
    char *root, *type, *flags, *init; /* NULL = not said */
    bool writable;
};
void root_options_done(struct root_options *o);
/* From the text of a kernel command line; the last of several words wins. 0 or -ENOMEM. Pure. */
int root_options_parse(const char *command_line, struct root_options *o);
/* The line of fstab that says the same. New string or NULL. Pure. */
char *root_fstab_line(const struct root_options *o);

/* Does not return: the init program, or the end of the machine. argv is passed on. */
_Noreturn void root_run(char **argv);
