/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last thing that davit-init does: the ending that was asked for, as the role has it (signals.h).
 *
 * On a machine davit-init makes room for davit-shutdown by execve(2), so that PID 1 goes on with a program
 * that does nothing else. Only if that program cannot be executed (a disk that answers no more) it does what
 * is left to do by itself.
 */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "init/console.h"
#include "init/reexec.h"
#include "init/run.h"

/* For sync(2) without davit-shutdown: a disk that has not written by then is not going to. */
#define SYNC_USEC (10 * USEC_PER_SEC)

/* What the kernel's own process ends in must not return and not loop. */
static _noreturn_ void stay(void) {
    for (;;)
        (void)pause();
}

/* ---- a container, a process ---- */

static int exit_status(const struct keeper *k) {
    switch (k->ending.kind) {
    case ENDING_REBOOT:
    case ENDING_KEXEC:
    case ENDING_SOFT_REBOOT:
        return KEEPER_EXIT_REBOOT;
    case ENDING_HALT:
    case ENDING_POWEROFF:
        return 0;
    default:
        return k->exit_status;
    }
}

/* In a pid namespace reboot(2) is a message to the container manager, by the signal that PID 1 dies of. */
static void tell_manager(enum ending_kind kind) {
    if (!manager_takes_reboot(init_container_manager()))
        return;
    if (kind == ENDING_KEXEC)
        kind = ENDING_REBOOT;
    if (kind == ENDING_REBOOT || kind == ENDING_HALT || kind == ENDING_POWEROFF)
        (void)ending_reboot(kind, NULL);
}

/* ---- davit-shutdown ---- */

/* The next davit-init is to find what this one has found: it is what containers start from. */
static void give_back(const struct keeper *k) {
    _cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && *k->context.oom_score_adj)
        (void)!write(fd, k->context.oom_score_adj, strlen(k->context.oom_score_adj));
    (void)setrlimit(RLIMIT_NOFILE, &k->context.files);
}

/* Everything that davit-shutdown needs is an argument; the watchdog's descriptor is the only one it inherits.
 */
static int execute_shutdown(struct keeper *k) {
    static char path[4096], program[4096], argument[ENDING_ARGUMENT_MAX + 32], watchdog[64], status[32];
    const char *arguments[8] = {"davit-shutdown", ending_name(k->ending.kind)};
    size_t n = 2;
    sigset_t none;

    (void)snprintf(path, sizeof path, "%s/davit-shutdown", k->context.libexec);
    if (*k->ending_argument) {
        (void)snprintf(argument, sizeof argument, "--argument=%s", k->ending_argument);
        arguments[n++] = argument;
    }
    int watchdog_fd = boot_arm_watchdog(&k->boot, k->ending.kind);
    if (watchdog_fd >= 0 && fd_set_cloexec(watchdog_fd, false) >= 0) {
        (void)snprintf(watchdog, sizeof watchdog, "--watchdog-fd=%d", watchdog_fd);
        arguments[n++] = watchdog;
    }
    if (k->ending.kind == ENDING_SOFT_REBOOT) {
        (void)snprintf(program, sizeof program, "--init=%s", reexec_program());
        arguments[n++] = program;
        give_back(k);
    }
    if (init_role() == ROLE_CONTAINER) {
        (void)snprintf(status, sizeof status, "--status=%d", exit_status(k));
        arguments[n++] = "--container";
        arguments[n++] = status;
    }
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    console_pass_on();
    (void)execv(path, (char *const *)arguments);
    return log_errno(LOG_CRIT, errno, "cannot execute %s", path);
}

/* sync(2) cannot be interrupted: a child does it, and is left alone when it takes too long. */
void keeper_sync(usec_t timeout) {
    usec_t end = usec_add(now_monotonic(), timeout);
    pid_t pid = fork();

    /* All others were killed: each one that is reaped makes room. */
    for (; pid < 0 && now_monotonic() < end; pid = fork())
        if (waitpid(-1, NULL, WNOHANG | __WALL) <= 0)
            (void)usleep(10000);
    if (pid <= 0)
        sync(); /* without a child it may hang; without it, all that is not on the disks yet is lost */
    if (pid == 0)
        _exit(0);
    while (pid > 0 && now_monotonic() < end && waitpid(pid, NULL, WNOHANG) == 0)
        (void)usleep(10000);
}

static _noreturn_ void end_machine(struct keeper *k) {
    (void)execute_shutdown(k);
    (void)kill(-1, SIGKILL);
    keeper_sync(SYNC_USEC);
    /* A new start of userspace needs what cannot be executed; a machine that is to come back does so. */
    enum ending_kind kind = k->ending.kind == ENDING_SOFT_REBOOT || k->ending.kind == ENDING_KEXEC
                                ? ENDING_REBOOT
                                : k->ending.kind;
    int r = ending_reboot(kind, k->ending_argument);
    (void)log_errno(LOG_EMERG, r, "%s is not possible", ending_name(kind));
    stay();
}

/* ---- */

int keeper_end(struct keeper *k) {
    if (init_role() == ROLE_MACHINE) {
        if (k->ending.kind == ENDING_NONE || k->ending.kind == ENDING_EXIT)
            k->ending.kind = ENDING_POWEROFF; /* nobody is there to get a status */
        end_machine(k);
    }
    if (init_role() == ROLE_CONTAINER) {
        if (k->ending.kind == ENDING_SOFT_REBOOT)
            (void)execute_shutdown(k);
        tell_manager(k->ending.kind);
    }
    return exit_status(k);
}

void keeper_end_immediately(struct keeper *k, struct ending e) {
    if (init_role() == ROLE_MACHINE)
        (void)log_errno(
            LOG_EMERG, ending_reboot(e.kind, k->ending_argument), "%s is not possible", ending_name(e.kind));
    else if (init_role() == ROLE_CONTAINER)
        tell_manager(e.kind);
}
