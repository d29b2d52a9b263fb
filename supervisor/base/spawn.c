/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/spawn.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

int spawn_with_fd(
    const char *program, char *const *argv, char *const *environment, int fd, int as, pid_t *ret) {
    posix_spawn_file_actions_t actions;

    (void)posix_spawn_file_actions_init(&actions);
    /* The same number twice would leave close-on-exec set. */
    if (fd == as)
        (void)fcntl(fd, F_SETFD, 0);
    else
        (void)posix_spawn_file_actions_adddup2(&actions, fd, as);
    int r = posix_spawn(ret, program, &actions, NULL, argv, environment ? environment : environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return -r;
}
