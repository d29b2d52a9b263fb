/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What davit-init is here: the first process of a machine, the first process of a container, or an ordinary
 * process below somebody else's init. Everything that differs between the three asks init_role(), so that
 * the duties of a machine (mounts, console, hardware watchdog, reboot(2)) are never done where another has
 * done them already.
 *
 * Only PID 1 can be more than a process. It is a container's when somebody says so (the container interface,
 * https://systemd.io/CONTAINER_INTERFACE, and what docker and podman leave) or when the kernel shows that its
 * pid or user namespace is not the first one; else the machine is ours.
 */
#pragma once

#include "base/macro.h"

enum init_role {
    ROLE_MACHINE,   /* PID 1 of hardware or of a virtual machine: all duties */
    ROLE_CONTAINER, /* PID 1 of a container: reaps, keeps, and ends with a status; no reboot(2), no mounts */
    ROLE_PROCESS,   /* a service of systemd, a program from a shell */
};

/* What the decision is made from. Strings may be NULL. */
struct role_facts {
    pid_t pid;
    const char *container;  /* $container */
    bool marked;            /* a file that container managers leave is there */
    bool foreign_namespace; /* in a pid or user namespace that is not the kernel's first */
};
/* Pure. */
enum init_role init_role_decide(const struct role_facts *facts);

/* Looks at the process and at /proc (if there is one already), once; later calls give the same answer. */
enum init_role init_role(void);
/* "machine", "container", "process" */
const char *init_role_name(enum init_role role);
/* The container manager's own word for itself ("docker", "systemd-nspawn", ...), "" if it does not say or
 * this is no container. */
const char *init_container_manager(void);
