/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For code that knows a machine by fixed paths: it runs in a child that is root of a user namespace, with mounts, host
 * name, network and processes of its own, and tmpfs where it writes. What it does to the machine itself, the kernel refuses.
 */
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"

#define PRIVATE_SKIP 77

/* LeakSanitizer cannot look into the first process of a namespace; what `make coverage` counts is written by exit(3). */
static inline _Noreturn void leave(int status) {
#ifdef __SANITIZE_ADDRESS__
    _exit(status);
#else
    exit(status);
#endif
}

/* cmocka's own leave by a jump to the parent's stack. */
#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            (void)fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
            leave(EXIT_FAILURE); \
        } \
    } while (0)

static inline void write_text(const char *path, const char *text) {
    _cleanup_free_ char *directory = strdup(path);

    CHECK(directory);
    *strrchr(directory, '/') = '\0';
    CHECK(!*directory || mkdir_parents(AT_FDCWD, directory, 0755) >= 0);
    CHECK(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, false) >= 0);
}

static inline bool has_text(const char *path, const char *text) {
    _cleanup_free_ char *is = NULL;

    return file_read(AT_FDCWD, path, 64 * 1024, &is, NULL) >= 0 && streq(is, text);
}

/* Makes the namespaces, or ends as one that cannot. */
static inline void enter_private(void) {
    static const char *const own[] = {"/etc", "/run", "/var/lib", "/mnt"};
    uid_t uid = getuid();
    gid_t gid = getgid();
    char map[32];

    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWPID) < 0)
        leave(PRIVATE_SKIP);
    (void)file_write(AT_FDCWD, "/proc/self/setgroups", "deny");
    (void)snprintf(map, sizeof map, "0 %u 1", uid);
    CHECK(file_write(AT_FDCWD, "/proc/self/uid_map", map) >= 0);
    (void)snprintf(map, sizeof map, "0 %u 1", gid);
    CHECK(file_write(AT_FDCWD, "/proc/self/gid_map", map) >= 0);
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) >= 0);
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        CHECK(mount("tmpfs", own[i], "tmpfs", 0, "mode=0755") >= 0);
}

/* Runs f as the first process of its own pid namespace, with a /proc of that. */
static inline int run_private(void (*f)(void)) {
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        enter_private();
        pid_t first = fork();
        if (first == 0) {
            CHECK(mount("proc", "/proc", "proc", 0, NULL) >= 0);
            f();
            leave(EXIT_SUCCESS);
        }
        CHECK(first > 0 && waitpid(first, &status, 0) == first);
        leave(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

#define PRIVATELY(f) \
    do { \
        int private_status = run_private(f); \
        if (private_status == PRIVATE_SKIP) \
            skip(); /* no user namespaces for us here */ \
        assert_int_equal(private_status, EXIT_SUCCESS); \
    } while (0)
