/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/str.h"
#include "shutdown/shutdown.h"

#define LOOK_USEC (20 * USEC_PER_MSEC)

struct hook {
    char *path;
    pid_t pid; /* 0 = it has ended */
};

/* Executable plain files, by their names' order, so that what is started first is known. */
static char **list_hooks(const char *directory) {
    char **paths = NULL;
    DIR *d = opendir(directory);

    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        if (fstatat(dirfd(d), e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111))
            (void)strv_consume(&paths, strf("%s/%s", directory, e->d_name));
    }
    if (d)
        (void)closedir(d);
    strv_sort(paths);
    return paths;
}

static pid_t start(const char *path, const char *verb) {
    pid_t pid = fork();

    if (pid == 0) {
        (void)setsid();
        (void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
        shutdown_unblock_signals();
        console_give();
        (void)execl(path, path, verb, (char *)NULL);
        (void)log_errno(LOG_WARNING, errno, "cannot execute %s", path);
        _exit(127);
    }
    if (pid < 0)
        (void)log_errno(LOG_WARNING, errno, "cannot fork for %s", path);
    return MAX(pid, 0);
}

static void ended(struct hook *hooks, size_t n, pid_t pid, int status) {
    for (size_t i = 0; i < n; i++) {
        if (hooks[i].pid != pid)
            continue;
        hooks[i].pid = 0;
        if (WIFSIGNALED(status))
            log_warning("%s was killed by signal %d", hooks[i].path, WTERMSIG(status));
        else if (WEXITSTATUS(status) != 0)
            log_warning("%s ended with status %d", hooks[i].path, WEXITSTATUS(status));
    }
}

static bool any_runs(const struct hook *hooks, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (hooks[i].pid > 0)
            return true;
    return false;
}

static void wait_for(struct hook *hooks, size_t n, usec_t timeout) {
    usec_t deadline = usec_add(now_monotonic(), timeout);

    while (any_runs(hooks, n) && now_monotonic() < deadline) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG | __WALL);
        if (pid > 0)
            ended(hooks, n, pid, status);
        else {
            (void)usleep((useconds_t)LOOK_USEC);
            watchdog_keepalive();
        }
    }
}

size_t hooks_run(const char *directory, const char *verb, usec_t timeout) {
    _cleanup_strv_free_ char **paths = list_hooks(directory);
    size_t n = strv_length(paths);
    _cleanup_free_ struct hook *hooks = calloc(n + 1, sizeof *hooks);

    if (!hooks)
        return 0;
    for (size_t i = 0; i < n; i++)
        hooks[i] = (struct hook){.path = paths[i], .pid = start(paths[i], verb)};
    wait_for(hooks, n, timeout);
    for (size_t i = 0; i < n; i++)
        if (hooks[i].pid > 0) {
            log_warning("%s takes too long: killing it", hooks[i].path);
            (void)kill(-hooks[i].pid, SIGKILL); /* setsid(): with what it has started */
        }
    return n;
}
