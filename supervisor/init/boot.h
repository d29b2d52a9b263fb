/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-init as the first process of a machine, up to the start of davitd.
 *
 *   boot_begin()    before the loop, nothing of it waits: descriptors, mounts, the kernel's log and the
 *                   command line, crash handler, control groups, limits, hardware watchdog
 *   davit-boot      in a process of its own, beside the loop and with a deadline: whatever may wait for a
 *                   device or touch foreign files (modules, fstab, sysctl.d, host name, ...)
 *   davitd          when davit-boot has ended, however that was
 *
 * A boot that fails halfway is an emergency, not an end: davitd starts emergency.target then, and says why.
 * Only without the file systems of mounts.h nothing can be done; then the machine says so and reboots
 * (`davit.crash=`).
 *
 * In a container and as an ordinary process all of this is left out: struct boot stays as boot_init() made
 * it.
 */
#pragma once

#include "base/boot_times.h"
#include "base/ending.h"
#include "init/cmdline.h"
#include "init/hardware_watchdog.h"
#include "init/keeper.h"

struct boot {
    bool machine;
    bool emergency; /* davit-boot says so */
    struct boot_options options;
    struct boot_times times;
    usec_t work_begin; /* processor time when we began: process 1 of a machine has the kernel's start in it */
    struct hardware_watchdog watchdog;
    bool watchdog_missed;   /* it has been said that there is none */
    pid_t worker;           /* davit-boot, 0 = not running */
    usec_t worker_deadline; /* while it runs: its end; else when to start it; USEC_INFINITY = never */
    pid_t shell; /* davit-boot again, as a shell for who sits there while davitd does not come up */
};

/* Exit status of davit-boot: something that units need is missing. */
#define BOOT_EXIT_EMERGENCY 10
/* File in the runtime directory: what davit-boot has to tell, a line each: "reason TEXT", "problem TEXT",
 * "emergency TEXT"; "work OWN OTHER": processor time in microseconds that its own steps took, and what the
 * kernel (modules) and its children (mounts, fsck) took for them. */
#define BOOT_REPORT_NAME "boot"
#define BOOT_REPORT_WORK "work "
/* Environment of davitd, beside base/boot_times.h. */
#define BOOT_TARGET_VARIABLE "DAVIT_TARGET"
#define BOOT_LOG_VARIABLE "DAVIT_LOG_LEVEL"

/* Nothing but the time. */
void boot_init(struct boot *b);
/* As PID 1 of a machine. Does not return when it fails. */
void boot_begin(struct boot *b);
/* The same after davit-init was replaced in place (reexec.h): all is made already, only what an execve takes
 * away comes back. The rest is in the state that was handed over. */
void boot_resume(struct boot *b);
/* As PID 1 of a container, from its arguments. */
void boot_take_arguments(struct boot *b, char *const *words);

/* Starts davit-boot. 0 or -errno (no process to be had). */
int boot_start_worker(struct boot *b, const char *libexec);
/* davitd keeps dying and has never been ready: a shell on the console, unless one is there already or
 * davit.shell=no. It ends like any other child. */
void boot_start_shell(struct boot *b, const char *libexec);
/* It has ended. */
void boot_worker_ended(struct boot *b, int code, int status);
/* It is overdue: killed, and waited for no longer. */
void boot_worker_overdue(struct boot *b);

/* The hardware watchdog knows of a reason for this boot that sysfs does not tell: adds it to the report, which
 * is davit-boot's until that has ended. */
void boot_tell_reasons(struct boot *b, int runtime_fd);

/* A davitd is started: of the first one the time is kept, and what we have used up to there. */
void boot_note_manager(struct boot *b);
/* The default target is reached (times.finish is set): says how long it took, as systemd does. */
void boot_tell_finished(const struct boot *b);
/* X_DAVIT_WATCHDOG=: what davit.conf says of the hardware watchdog; the kernel's command line has been there
 * first. */
void boot_take_watchdog(struct boot *b, const char *value);

/* Sets the hardware watchdog for what comes after davit-init; as with systemd a reboot has one even where the
 * running machine has none. Returns its descriptor for davit-shutdown, -1 = none. */
int boot_arm_watchdog(struct boot *b, enum ending_kind kind);

/* Between fork and exec of davitd: what it is to know. 0 or -errno. */
int boot_manager_environment(const struct boot *b);
