/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-launch: turns specs into processes, one after the other, for davitd. Started by davit-init with its
 * socket as descriptor 3 and its number as argument 1. Static and single-threaded: a clone copies its page
 * tables.
 */
#include <fcntl.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "launch/launch.h"

static int fail(const struct error *e) {
    char text[ERROR_TEXT_MAX + ERROR_STEP_MAX + 4];

    log_error("%s", error_format(e, text, sizeof(text)));
    return 1;
}

int main(int argc, char **argv) {
    _cleanup_(launcher_closep) struct launcher *launcher = NULL;
    struct error error = {};

    if (argc != 2 || fcntl(LAUNCH_FD_SOCKET, F_SETFD, 0) < 0) {
        fprintf(stderr, "%s is started by davit-init, with a socket as descriptor %d.\n", argv[0],
            LAUNCH_FD_SOCKET);
        return 2;
    }
    log_open("davit-launch");
    log_never_wait();
    if (sealed_reexec(argv, &error) < 0)
        return fail(&error);
    (void)fcntl(LAUNCH_FD_SOCKET, F_SETFD, FD_CLOEXEC);
    /* Executed from a memfd, the kernel calls us by its number. */
    (void)prctl(PR_SET_NAME, "davit-launch");

    if (launcher_open(&launcher, &error) < 0 || launcher_serve(launcher, LAUNCH_FD_SOCKET, &error) < 0)
        return fail(&error);
    return 0;
}
