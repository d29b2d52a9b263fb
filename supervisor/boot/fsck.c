/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/fsck.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/str.h"
#include "init/cmdline.h"

/* fsck(8), "EXIT STATUS": a sum of these. */
enum { CORRECTED = 1, REBOOT = 2, UNCORRECTED = 4 };

int fsck_result(int status, struct error *e) {
    if ((status & ~(CORRECTED | REBOOT)) == 0)
        return status & REBOOT ? FSCK_REBOOT : 0;
    if (status & UNCORRECTED)
        return error_set(e, EUCLEAN, "fsck leaves errors uncorrected (status %d)", status);
    return error_set(e, EIO, "fsck failed (status %d)", status);
}

static char *find_program(const char *type) {
    static const char *const directories[] = {"/sbin", "/usr/sbin"};

    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        _cleanup_free_ char *path = strf("%s/fsck.%s", directories[i], type);
        if (path && access(path, X_OK) == 0)
            return TAKE_PTR(path);
    }
    return NULL;
}

static _noreturn_ void execute(
    const char *program, const char *source, const struct boot_options *o, pid_t parent) {
    static const char *const repairs[] = {[FSCK_PREEN] = "-a", [FSCK_YES] = "-y", [FSCK_NO] = "-n"};
    const char *force = o->fsck_mode == FSCK_FORCE ? "-f" : NULL;

    /* It must not write to a disk that is given up and perhaps mounted. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    (void)execl(
        program, program, repairs[o->fsck_repair], force ?: source, force ? source : NULL, (char *)NULL);
    _exit(127);
}

static int wait_for(pid_t pid, struct error *e) {
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int status = 0;

    if (pidfd < 0 || poll(&p, 1, (int)(FSCK_TIMEOUT / USEC_PER_MSEC)) <= 0) {
        (void)kill(pid, SIGKILL);
        return error_set(e, ETIMEDOUT, "fsck takes too long");
    }
    if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
        return error_set(e, EIO, "fsck was killed");
    if (WEXITSTATUS(status) & CORRECTED)
        log_notice("fsck has corrected errors");
    return fsck_result(WEXITSTATUS(status), e);
}

int fsck_run(const char *source, const char *type, struct error *e) {
    _cleanup_free_ char *program = find_program(type);
    struct boot_options options;
    pid_t self = getpid();

    boot_options_init(&options);
    (void)boot_options_read(&options, "/proc/cmdline");
    if (!program || options.fsck_mode == FSCK_SKIP)
        return 0;
    log_info("checking %s", source);
    pid_t pid = fork();
    if (pid == 0)
        execute(program, source, &options, self);
    return pid < 0 ? error_set_errno(e, errno, "no process for fsck") : wait_for(pid, e);
}
