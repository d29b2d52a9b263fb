/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/log.h"
#include "shutdown/coverage.h"
#include "shutdown/shutdown.h"

/* How often a waiting loop looks up: often enough for the watchdog and for a person. */
#define PAUSE_USEC (20 * USEC_PER_MSEC)
#define WAITING (-EINPROGRESS)
/* In all, and not each time: 1 s. Those who were killed make room as they are reaped. */
#define FORK_TRIES 50

/* Shared with the child: how far it got. */
struct progress {
    _Atomic size_t at; /* the item it is at; n when it is done */
    _Atomic int results[];
};

/* Everybody's zombies are ours. */
static void reap(void) {
    while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
        ;
}

void bounded_pause(usec_t usec) {
    (void)usleep((useconds_t)usec);
    watchdog_keepalive();
    reap();
}

static _noreturn_ void work(
    struct progress *p, size_t n, int (*function)(void *context, size_t i), void *context) {
    for (size_t i = p->at; i < n; i++) {
        p->at = i;
        p->results[i] = function(context, i);
    }
    p->at = n;
    coverage_save();
    _exit(EXIT_SUCCESS);
}

/* Waits for the child until it is done, or has been at one item for too long. True: it is done. */
static bool watch(int pidfd, struct progress *p, size_t n, usec_t timeout) {
    size_t at = p->at;
    usec_t deadline = usec_add(now_monotonic(), timeout);

    for (;;) {
        struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
        int ended = poll(&poll_fd, 1, (int)(PAUSE_USEC / USEC_PER_MSEC));

        watchdog_keepalive();
        if (p->at >= n || ended > 0)
            return true;
        if (p->at != at) {
            at = p->at;
            deadline = usec_add(now_monotonic(), timeout);
        } else if (now_monotonic() >= deadline)
            return false;
    }
}

/* Without a child, from item at on: it may hang then, and only a hardware watchdog gets us out. But what is not
 * done is lost for certain: nothing would be synced, and no disk clean. */
static void run_here(
    size_t at, size_t n, int (*function)(void *context, size_t i), void *context, int *results) {
    for (; at < n; at++) {
        results[at] = function(context, at);
        watchdog_keepalive();
    }
}

static pid_t fork_patiently(void) {
    static int tries = FORK_TRIES;
    pid_t pid = fork();

    for (; pid < 0 && tries > 0; tries--) {
        if (tries == FORK_TRIES)
            (void)log_errno(LOG_WARNING, errno, "cannot fork: waiting a little, then going on without");
        bounded_pause(PAUSE_USEC);
        pid = fork();
    }
    return pid;
}

/* One child, from item p->at on. False: it could not be made. */
static bool run_child(
    struct progress *p, size_t n, int (*function)(void *context, size_t i), void *context, usec_t timeout) {
    pid_t pid = fork_patiently();

    if (pid < 0)
        return false;
    if (pid == 0)
        work(p, n, function, context);

    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    bool done = watch(pidfd, p, n, timeout);
    if (!done)
        (void)kill(pid, SIGKILL); /* it may not go even then: that is why it is a child */
    closep(&pidfd);
    reap();
    if (p->at < n) {
        size_t at = p->at;
        if (p->results[at] == WAITING)
            p->results[at] = done ? -ECHILD : -ETIMEDOUT; /* it died at this one, or hangs in it */
        p->at = at + 1;
    }
    return true;
}

void bounded_run(
    size_t n, int (*function)(void *context, size_t i), void *context, usec_t timeout, int *results) {
    size_t size = sizeof(struct progress) + n * sizeof(_Atomic int);
    struct progress *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    size_t done = 0;

    if (p == MAP_FAILED) {
        run_here(0, n, function, context, results);
        return;
    }
    for (size_t i = 0; i < n; i++)
        p->results[i] = WAITING;
    while (p->at < n && run_child(p, n, function, context, timeout))
        ;
    for (; done < p->at; done++)
        results[done] = p->results[done];
    run_here(done, n, function, context, results);
    (void)munmap(p, size);
}

int bounded_call(int (*function)(void *context, size_t i), void *context, usec_t timeout) {
    int result;

    bounded_run(1, function, context, timeout, &result);
    return result;
}
