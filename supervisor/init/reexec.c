/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/reexec.h"
#include "init/console.h"

#include <limits.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "init/handover.h"

#define CHECKED_FD 3

static struct {
    char *argv0;
    const char *path;
} program;

void reexec_note_program(char *argv0) {
    /* As it was named to execve(2), not as /proc/self/exe has it: that would name the old file when a link
     * now leads to a new one. */
    uintptr_t name = (uintptr_t)getauxval(AT_EXECFN);
    const char *path = name != 0 ? (const char *)name : "";
    static char usual[] = "davit-init", found[PATH_MAX]; /* pages that nobody touches cost nothing */

    program.argv0 = argv0 ? argv0 : usual;
    if (path[0] == '/' && !startswith(path, "/dev/fd/") && !startswith(path, "/proc/"))
        program.path = path; /* stays where the kernel has put it */
    else
        program.path = realpath("/proc/self/exe", found) ?: "";
}

const char *reexec_program(void) {
    return program.path;
}

/* ---- the check ---- */

static _noreturn_ void run_checker(int state_fd) {
    char option[32], name[] = "davit-init";
    char *arguments[] = {name, option, NULL};
    sigset_t none;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    int r = state_fd == CHECKED_FD ? fd_set_cloexec(state_fd, false) : dup2(state_fd, CHECKED_FD);
    if (r >= 0) {
        (void)snprintf(option, sizeof option, "--check-state=%d", CHECKED_FD);
        (void)execv(program.path, arguments);
    }
    (void)log_errno(LOG_ERR, errno, "cannot execute %s", program.path);
    _exit(127);
}

static void cannot(struct keeper *k, const char *why) {
    keeper_say(k, LOG_ERR, "davit-init stays as it is, %s: %s",
        *program.path ? program.path : "its program file is not known", why);
}

static void start_check(struct keeper *k) {
    if (k->reexec.checker > 0 || k->reexec.ready)
        return;
    _cleanup_close_ int state = handover_write(k);
    if (state < 0) {
        cannot(k, errno_text(state));
        return;
    }
    pid_t pid = fork();
    if (pid == 0)
        run_checker(state);
    if (pid < 0) {
        cannot(k, errno_text(errno));
        return;
    }
    k->reexec.checker = pid;
    k->reexec.deadline = usec_add(now_monotonic(), REEXEC_CHECK_USEC);
}

void keeper_reexec_checked(struct keeper *k, const siginfo_t *info) {
    char why[64];

    (void)waitid(P_PID, (id_t)info->si_pid, NULL, WEXITED | WNOHANG | __WALL);
    k->reexec.checker = 0;
    k->reexec.deadline = USEC_INFINITY;
    if (info->si_code == CLD_EXITED && info->si_status == 0) {
        k->reexec.ready = true;
        return;
    }
    (void)snprintf(why, sizeof why, "it cannot go on from here (%s %d)",
        info->si_code == CLD_EXITED ? "status" : "signal", info->si_status);
    cannot(k, why);
}

void keeper_reexec_overdue(struct keeper *k) {
    k->reexec.deadline = USEC_INFINITY;
    if (k->reexec.checker > 0)
        (void)kill(k->reexec.checker, SIGKILL);
}

/* ---- the parts, and davit-init itself ---- */

void keeper_request_reexec(struct keeper *k) {
    if (k->phase == KEEPER_CLOSING)
        return;
    for (int i = 0; i < PART_COUNT; i++) {
        struct part *p = &k->parts[i];
        if (i == PART_MANAGER || p->pid <= 0 || p->replaced)
            continue;
        p->replaced = true;
        (void)kill(p->pid, SIGTERM);
    }
    start_check(k);
}

void keeper_reexec(struct keeper *k) {
    char option[32];
    char *arguments[] = {program.argv0, option, NULL};

    if (!k->reexec.ready)
        return;
    k->reexec.ready = false;
    _cleanup_close_ int state = handover_write(k);
    if (state < 0) {
        cannot(k, errno_text(state));
        return;
    }
    (void)snprintf(option, sizeof option, "--resume=%d", state);
    handover_inherit(k, true);
    int r = fd_set_cloexec(state, false);
    if (r >= 0) {
        console_close();
        (void)execv(program.path, arguments);
        r = negative_errno();
    }
    handover_inherit(k, false);
    cannot(k, errno_text(r));
}
