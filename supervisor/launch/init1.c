/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The small init inside a container (RunInit=yes): pid 1 stays in the launcher's image, whose pages it
 * shares, and starts the program as pid 2. It passes signals on, reaps what others leave behind, and ends
 * with the program's status; the kernel then ends the rest of the PID namespace.
 *
 * Pid 1 of a namespace ignores every signal it has no handler for. So all are blocked, which the kernel does
 * queue, and taken one by one with sigwaitinfo(2): no handler, no race.
 */
#include <sys/prctl.h>
#include <sys/wait.h>

#include "launch/coverage.h"
#include "launch/internal.h"

/* The program leads a process group of its own: from a terminal, ^C reaches it once, not once more through
 * us. */
static void _noreturn_ run_program(struct child *c) {
    struct error error = {};

    (void)setpgid(0, 0);
    if (c->p->terminal_fd >= 0)
        (void)tcsetpgrp(0, getpid()); /* SIGTTOU is still blocked */
    (void)child_execute(c, &error);
    child_fail(c, &error);
}

static int exit_code(int status) {
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void reap(pid_t program) {
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0)
            return;
        if (pid == program) {
            coverage_save();
            _exit(exit_code(status));
        }
    }
}

/* What ps(1) shows of pid 1, inside and in `davit status`: not a second launcher. The space is that of
 * davit-launch's own arguments, its name and its number; in another program there may be no room, and nothing
 * is done. */
static void set_title(void) {
    static const char launcher[] = "davit-launch", title[] = "davit-init1";
    char *argument = program_invocation_name;

    (void)prctl(PR_SET_NAME, title);
    if (!streq(argument, launcher))
        return;
    memset(argument, 0, sizeof(launcher) + strlen(argument + sizeof(launcher)));
    memcpy(argument, title, sizeof(title));
}

void init1_run(struct child *c) {
    sigset_t all;

    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* for a container that shares its PID namespace */
    set_title();
    struct clone_request request = {.exit_signal = SIGCHLD};
    pid_t program = sys_clone3(&request);
    if (program < 0) {
        struct error error = {};
        error_set_errno(&error, program, "clone3");
        error_set_step(&error, "run-init");
        child_fail(c, &error);
    }
    if (program == 0)
        run_program(c);

    /* The status pipe among them: it ends when the program's copy closes on execve. */
    (void)close_range(0, ~0U, 0);
    for (;;) {
        siginfo_t info;
        int signal = sigwaitinfo(&all, &info);
        if (signal == SIGCHLD)
            reap(program);
        else if (signal > 0)
            (void)kill(program, signal);
    }
}
