/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-boot: what a machine needs before its units can run, and what may have to wait for a device, a driver
 * or a foreign file. davit-init starts it once, beside its loop and with a deadline, and starts davitd when
 * it has ended. It may block, allocate and even crash: nothing but its own steps is lost.
 *
 * Each step does what it can and tells what it could not: in the log, and in the report that davitd reads for
 * `davit status`. A step never keeps the next one from running. Only a required file system that is missing
 * makes an emergency of the boot.
 */
#pragma once

#include "base/str.h"
#include "init/cmdline.h"

struct boot_context {
    struct boot_options options;
    struct strbuf report; /* BOOT_REPORT_NAME (init/boot.h) */
    bool emergency;
};

/* ---- reporting ---- */

/* Logs a warning and adds it to the report. */
void boot_problem(struct boot_context *c, const char *fmt, ...) _printf_(2, 3);
/* The same as an error, and emergency.target is what the machine comes up to. */
void boot_emergency(struct boot_context *c, const char *fmt, ...) _printf_(2, 3);
/* Why the machine booted. */
void boot_reason(struct boot_context *c, const char *fmt, ...) _printf_(2, 3);

/* ---- the steps ---- */

void step_reason(struct boot_context *c);     /* reason.c: watchdog, panics of the kernel before */
void step_modules(struct boot_context *c);    /* modules.c: modules-load.d, modules_load= */
void step_sysctl(struct boot_context *c);     /* sysctl.c: sysctl.d */
void step_loopback(struct boot_context *c);   /* identity.c */
void step_fstab(struct boot_context *c);      /* mounting.c: /etc/fstab, swap */
void step_var(struct boot_context *c);        /* var.c: /var can be written to; /tmp */
void step_clock(struct boot_context *c);      /* clock.c: not before this program was made */
void step_hostname(struct boot_context *c);   /* identity.c */
void step_machine_id(struct boot_context *c); /* identity.c */
void step_seed(struct boot_context *c);       /* seed.c */

/* All of them, in order; writes the report. Returns the exit status of the program. */
int boot_run(void);
