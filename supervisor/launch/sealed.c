/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rule R6. A container that runs as root may try to write to the program that started it, through
 * /proc/PID/exe (CVE-2019-5736). So the launcher runs from a copy of itself in a memfd that is sealed against
 * every change.
 */
#include <sys/mman.h>
#include <sys/sendfile.h>

#include "launch/internal.h"

static const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

static int copy_to_memfd(int from, struct error *e) {
    /* MFD_EXEC is new in 6.3; before, every memfd is executable. */
    _cleanup_close_ int fd = memfd_create("davit-launch", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("davit-launch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return error_set_errno(e, errno, "memfd_create");
    for (;;) {
        ssize_t n = sendfile(fd, from, NULL, 1 << 20);
        if (n == 0)
            break;
        if (n < 0)
            return error_set_errno(e, errno, "copy the program");
    }
    if (fchmod(fd, 0555) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0)
        return error_set_errno(e, errno, "seal the program");
    return TAKE_FD(fd);
}

int sealed_reexec(char *const *argv, struct error *e) {
    _cleanup_close_ int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (self < 0)
        return error_set_errno(e, errno, "open /proc/self/exe");
    /* An ordinary file has no seals: the call fails. */
    int have = fcntl(self, F_GET_SEALS);
    if (have >= 0 && (have & seals) == seals)
        return 0;

    _cleanup_close_ int fd = copy_to_memfd(self, e);
    if (fd < 0)
        return fd;
    (void)syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
    return error_set_errno(e, errno, "execute the sealed copy");
}
