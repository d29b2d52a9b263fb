/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The signals that davit-init takes, and what each means. This table is the contract: keeper.c only walks it.
 *
 * The meaning of a signal to an init differs from one init to the next (SIGTERM reboots busybox, re-executes
 * systemd, halts dinit). davit-init is the keeper of a fleet inside some environment - a shell, a systemd
 * service, PID 1 of a container - and there SIGTERM means what it means to every service: stop what you run,
 * then end. The real-time signals are the ones that systemd, machinectl, podman and docker send to an init of
 * their choice; what a machine would do (halt, power off, reboot) a keeper tells by its exit status. Numbers
 * are taken from SIGRTMIN at run time, since the C library keeps the first few for itself (glibc 2, musl 3).
 *
 * Signals that are not in the table are blocked and read, and then have no effect; SIGSEGV and its kind keep
 * the kernel's default, SIGKILL and SIGSTOP cannot be had.
 */
#pragma once

#include <signal.h>

#include "base/macro.h"

enum signal_action {
    SIGNAL_REAP,    /* some child ended */
    SIGNAL_STOP,    /* stop all units, then end with the status of the rule (or davitd's EXIT_STATUS=) */
    SIGNAL_FORCE,   /* kill everything at once, then end with the status of the rule */
    SIGNAL_FORWARD, /* davitd knows what to do: passed on as it is */
    SIGNAL_REEXEC,  /* davitd is to start again from its (new) program file; nothing else is touched */
};

struct signal_rule {
    int number; /* signal number, or offset from SIGRTMIN where realtime is true */
    bool realtime;
    enum signal_action action;
    int status; /* exit status for STOP and FORCE */
    const char *meaning;
};

/* What systemd-nspawn@.service and others take as "start me again" (RestartForceExitStatus=133). */
#define KEEPER_EXIT_REBOOT 133
/* So many requests to stop within SIGNAL_FORCE_USEC and nothing is waited for any more, as systemd does with
 * Ctrl-Alt-Delete. */
#define SIGNAL_FORCE_COUNT 7
#define SIGNAL_FORCE_USEC (2 * 1000000ULL)

static const struct signal_rule signal_rules[] = {
    {SIGCHLD, false, SIGNAL_REAP, 0, "a child ended"},
    {SIGTERM, false, SIGNAL_STOP, 0, "stop all units and end"},
    {SIGINT, false, SIGNAL_STOP, 0, "Ctrl-C, or Ctrl-Alt-Delete: stop all units and end"},
    {SIGHUP, false, SIGNAL_FORWARD, 0, "davitd reads unit files and davit.conf again"},
    {SIGUSR1, false, SIGNAL_FORWARD, 0, "davitd opens its control sockets again"},
    {SIGUSR2, false, SIGNAL_FORWARD, 0, "davitd writes its state to the log"},
    {SIGPWR, false, SIGNAL_STOP, 0, "the power fails"},
    {3, true, SIGNAL_STOP, 0, "halt"},
    {4, true, SIGNAL_STOP, 0, "power off"},
    {5, true, SIGNAL_STOP, KEEPER_EXIT_REBOOT, "reboot"},
    {6, true, SIGNAL_STOP, KEEPER_EXIT_REBOOT, "reboot by kexec"},
    {7, true, SIGNAL_STOP, KEEPER_EXIT_REBOOT, "reboot of userspace only"},
    {13, true, SIGNAL_FORCE, 0, "halt at once"},
    {14, true, SIGNAL_FORCE, 0, "power off at once"},
    {15, true, SIGNAL_FORCE, KEEPER_EXIT_REBOOT, "reboot at once"},
    {16, true, SIGNAL_FORCE, KEEPER_EXIT_REBOOT, "kexec at once"},
    {17, true, SIGNAL_FORCE, KEEPER_EXIT_REBOOT, "reboot of userspace at once"},
    {22, true, SIGNAL_FORWARD, 0, "davitd logs debug messages"},
    {23, true, SIGNAL_FORWARD, 0, "davitd logs no debug messages"},
    {25, true, SIGNAL_REEXEC, 0, "davitd is executed again"},
};

/* The rule of a signal, or NULL. */
static inline const struct signal_rule *signal_rule_find(int number) {
    for (size_t i = 0; i < ARRAY_SIZE(signal_rules); i++) {
        const struct signal_rule *rule = &signal_rules[i];
        if (number == (rule->realtime ? SIGRTMIN + rule->number : rule->number))
            return rule;
    }
    return NULL;
}
