/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shutdown/shutdown.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/log.h"
#include "shutdown/coverage.h"
#include "shutdown/mounts.h"

/* Units had their time. What is left now has no reason to live, or cannot. */
#define TERM_USEC (5 * USEC_PER_SEC)
#define KILL_USEC (5 * USEC_PER_SEC)
#define HOOKS_USEC (30 * USEC_PER_SEC)
/* Something always "goes" where a loop of devices makes itself anew: it is not followed for ever. */
#define ROUNDS_MAX 50

/* Nothing of the disks may be needed from here on, and nothing that a container did to the mount table may
 * come back to it. */
static void settle(const struct shutdown *s) {
    sigset_t all;

    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)umask(022);
    (void)!chdir("/");
    if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
        (void)log_errno(LOG_WARNING, errno, "mlockall");
    watchdog_take(s->watchdog_fd);
    if (s->container)
        return;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        (void)log_errno(LOG_WARNING, errno, "cannot make the mounts private");
    /* The handler of core dumps is on a disk that is about to go. */
    (void)file_write(AT_FDCWD, "/proc/sys/kernel/core_pattern", "|/bin/false");
}

void shutdown_unblock_signals(void) {
    sigset_t none;

    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void take_apart(void) {
    size_t mounts_left = 0, devices_left = 0, went;
    unsigned rounds = 0;

    do {
        went = mounts_take_apart(false, &mounts_left);
        went += devices_detach(false, &devices_left);
    } while (went > 0 && ++rounds < ROUNDS_MAX);
    if (mounts_left + devices_left == 0) {
        log_info("all file systems are unmounted or read-only, all devices detached");
        return;
    }
    (void)mounts_take_apart(true, &mounts_left);
    (void)devices_detach(true, &devices_left);
    log_warning("%zu file systems and %zu devices are left", mounts_left, devices_left);
}

static int reboot_drained(const struct shutdown *s) {
    console_drain();
    return ending_reboot(s->kind, s->argument);
}

/* A machine never comes back from here. */
static int end(struct shutdown *s) {
    coverage_save();
    int r = reboot_drained(s);

    if (s->kind == ENDING_KEXEC) {
        (void)log_errno(
            LOG_NOTICE, r, "no kernel is loaded for kexec, or it does not start: rebooting instead");
        s->kind = ENDING_REBOOT;
        r = reboot_drained(s);
    }
    if (r == -EPERM && s->container)
        return s->status;
    (void)log_errno(LOG_EMERG, r, "%s is not possible", ending_name(s->kind));
    /* Without a ping: a hardware watchdog is the one who can still do something. */
    for (;;)
        (void)pause();
}

static int end_userspace(const struct shutdown *s) {
    (void)hooks_run(HOOKS_DIRECTORY, ending_name(s->kind), HOOKS_USEC);
    (void)root_start_again(s); /* has said why */
    return s->container ? s->status : -1;
}

int shutdown_run(struct shutdown *s) {
    log_info("%s", ending_name(s->kind));
    settle(s);
    kill_everything(TERM_USEC, KILL_USEC);
    if (s->kind == ENDING_SOFT_REBOOT) {
        int r = end_userspace(s);
        if (r >= 0)
            return r;
        s->kind = ENDING_REBOOT; /* userspace cannot come back by itself */
    }
    if (!s->container) {
        save_for_next_boot();
        (void)sync_bounded();
        take_apart();
        (void)hooks_run(HOOKS_DIRECTORY, ending_name(s->kind), HOOKS_USEC);
        root_return_to_initramfs(s);
        (void)sync_bounded();
    }
    return end(s);
}
