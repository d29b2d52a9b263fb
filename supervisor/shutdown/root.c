/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changing the root for the last time: back into the initramfs, or on into the next root of a soft-reboot. */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "shutdown/shutdown.h"

/* What programs of the new root expect to find as it was. */
static const char *const carried[] = {"/dev", "/proc", "/sys", "/run"};

/* A directory becomes the root; the old one is at old (below it), or, with old NULL, gone. */
static int change_root(const char *new_root, const char *old) {
    _cleanup_free_ char *old_path = old ? path_join(new_root, old) : NULL;

    /* pivot_root(2) wants a mount point, and one that is not shared. */
    if (mount(new_root, new_root, NULL, MS_BIND | MS_REC, NULL) < 0 ||
        mount(NULL, new_root, NULL, MS_PRIVATE | MS_REC, NULL) < 0)
        return negative_errno();
    for (size_t i = 0; i < ARRAY_SIZE(carried); i++) {
        _cleanup_free_ char *target = path_join(new_root, carried[i]);
        if (!target)
            return -ENOMEM;
        (void)mkdir(target, 0755);
        if (mount(carried[i], target, NULL, MS_BIND | MS_REC, NULL) < 0)
            (void)log_errno(LOG_WARNING, errno, "cannot carry %s over", carried[i]);
    }
    if (old_path)
        (void)mkdir(old_path, 0755);
    if (chdir(new_root) < 0 || syscall(SYS_pivot_root, ".", old ?: ".") < 0)
        return negative_errno();
    /* Without a place for it, the old root lies on top of the new one. */
    if (!old && umount2(".", MNT_DETACH) < 0)
        return negative_errno();
    return chroot(".") < 0 || chdir("/") < 0 ? negative_errno() : 0;
}

void root_return_to_initramfs(const struct shutdown *s) {
    const char *verb = ending_name(s->kind);
    char *arguments[] = {(char *)"/shutdown", (char *)verb, NULL};

    if (access(INITRAMFS_ROOT "/shutdown", X_OK) < 0)
        return;
    log_info("returning to the initramfs");
    int r = change_root(INITRAMFS_ROOT, "oldroot");
    if (r >= 0) {
        shutdown_unblock_signals();
        (void)fd_set_nonblock(STDERR_FILENO, false);
        (void)execv("/shutdown", arguments);
        r = negative_errno();
        (void)fd_set_nonblock(STDERR_FILENO, true);
    }
    (void)log_errno(LOG_ERR, r, "cannot return to the initramfs");
}

/* davit-init where it is here, or where an image has its init. */
static int execute_init(const struct shutdown *s) {
    const char *const places[] = {s->init, "/usr/sbin/davit-init", "/sbin/init"};
    int r = -ENOENT;

    /* A reset in the middle of the next life is what it would bring: that opens its own, when it is told to. */
    watchdog_leave();
    shutdown_unblock_signals();
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        if (isempty(places[i]))
            continue;
        (void)execl(places[i], places[i], (char *)NULL);
        r = log_errno(LOG_WARNING, errno, "cannot execute %s", places[i]);
    }
    return r;
}

int root_start_again(const struct shutdown *s) {
    if (access(NEXT_ROOT, F_OK) == 0) {
        log_info("the next root is " NEXT_ROOT);
        int r = change_root(NEXT_ROOT, NULL);
        if (r < 0)
            return log_errno(LOG_ERR, r, "cannot change into " NEXT_ROOT);
    }
    return execute_init(s);
}
