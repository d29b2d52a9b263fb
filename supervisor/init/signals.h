/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The signals that davit-init takes, and what each means. The table in signals.c is the contract; keeper.c
 * only walks it.
 *
 * What a signal means to an init differs from one init to the next (SIGTERM reboots busybox, re-executes
 * systemd, halts dinit), so davit-init has a meaning for each of its three roles (init/machine.h):
 *
 *   machine    PID 1 of a machine: systemd's meanings. Ctrl-Alt-Delete is SIGINT, SIGTERM re-executes.
 *   container  PID 1 of a container: what container managers send to end it. docker, podman: SIGTERM, or the
 *              image's StopSignal; Ctrl-C at a terminal is SIGINT. systemd-nspawn and machinectl:
 *              SIGRTMIN+3, +4, +5. LXC: SIGPWR to halt and SIGINT to reboot (lxc.signal.halt,
 *              lxc.signal.reboot), the one quirk, in signal_rule_ending() below.
 *   process    below somebody else's init: SIGTERM means what it means to every service, stop and end.
 *
 * Real-time signals are the ones of systemd(1). Numbers are taken from SIGRTMIN at run time, since the C
 * library keeps the first few for itself (glibc 2, musl 3).
 *
 * How an ending is carried out, by role (end.c):
 *
 *                machine                  container                              process
 *   exit N       power off                exit status N                          exit status N
 *   halt         davit-shutdown, halt     exit status 0 (*)                      exit status 0
 *   poweroff     davit-shutdown, off      exit status 0 (*)                      exit status 0
 *   reboot       davit-shutdown, reboot   exit status 133 (*)                    exit status 133
 *   kexec        davit-shutdown, kexec    as reboot                              exit status 133
 *   soft-reboot  davit-shutdown, which executes davit-init again                 exit status 133
 *
 *   (*) Under LXC and systemd-nspawn by reboot(2): in a pid namespace it ends PID 1 with SIGHUP (reboot) or
 *       SIGINT (halt, poweroff), and these two managers wait for exactly that: they start the container
 *       again, or not. systemd-nspawn then itself ends with 133 where systemd-nspawn@.service is to restart
 *       it. Others (docker, podman, a shell) know exit statuses only. Where reboot(2) is forbidden
 *       (CAP_SYS_BOOT) it is the exit status too.
 *
 * Signals that are not in the table are blocked and read, and then have no effect; SIGSEGV and its kind keep
 * the kernel's default, SIGKILL and SIGSTOP cannot be had.
 */
#pragma once

#include <signal.h>

#include "base/ending.h"
#include "base/str.h"
#include "init/machine.h"

enum signal_action {
    SIGNAL_IGNORE,
    SIGNAL_REAP,    /* some child ended */
    SIGNAL_STOP,    /* stop all units, then the ending of the rule */
    SIGNAL_FORCE,   /* kill everything at once, then the ending of the rule */
    SIGNAL_FORWARD, /* davitd knows what to do: passed on as it is */
    SIGNAL_REEXEC,  /* davit's own programs start again from their (new) files; containers are not touched */
};

struct signal_meaning {
    enum signal_action action;
    enum ending_kind ending; /* of STOP and FORCE */
};

struct signal_rule {
    int number; /* signal number, or offset from SIGRTMIN where realtime is true */
    bool realtime;
    struct signal_meaning by_role[ROLE_PROCESS + 1];
    char meaning[84]; /* in place: a pointer would be relocated, and its page davit-init's own */
};

/* What systemd-nspawn@.service and others take as "start me again" (RestartForceExitStatus=133). */
#define KEEPER_EXIT_REBOOT 133
/* So many requests to stop within SIGNAL_FORCE_USEC and nothing is waited for any more, as systemd does with
 * Ctrl-Alt-Delete. */
#define SIGNAL_FORCE_COUNT 7
#define SIGNAL_FORCE_USEC (2 * 1000000ULL)

extern const struct signal_rule signal_rules[];
extern const size_t n_signal_rules;

static inline int signal_rule_number(const struct signal_rule *rule) {
    return rule->realtime ? SIGRTMIN + rule->number : rule->number;
}

/* The rule of a signal, or NULL. */
const struct signal_rule *signal_rule_find(int number);

/* True for a manager that waits for reboot(2) of its container's PID 1, and not for an exit status. */
static inline bool manager_takes_reboot(const char *manager) {
    return startswith(manager, "lxc") || streq(manager, "systemd-nspawn");
}

/* The ending that a STOP rule asks for. manager: init_container_manager(). */
static inline enum ending_kind signal_rule_ending(
    const struct signal_rule *rule, enum init_role role, const char *manager) {
    if (role == ROLE_CONTAINER && rule->number == SIGINT && !rule->realtime && startswith(manager, "lxc"))
        return ENDING_REBOOT;
    return rule->by_role[role].ending;
}
