/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ends a process at its N-th stop at a system call: before the call (odd) or after it (even). Between two
 * calls a program changes nothing that others can see, so all N together are what "at any instruction" means.
 *
 *   die-at PID N            a process that runs
 *   die-at PID N ERRNO      the call does not happen and fails with ERRNO instead; PID lives
 *   davitd, davit-logd, davit-launch   called so, by davit-init: $DIE_AT.NAME holds N for one life, and is removed;
 *                           then executes the real one, as the process that it is
 *
 * Where N was reached $DIE_AT.NAME.hit appears (PID form: "hit" is printed, "end" if PID ended before).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* Calls that fail in a machine's life: out of memory, descriptors, processes, space. */
static int may_fail(long number) {
    static const long calls[] = {SYS_memfd_create, SYS_write, SYS_clone, SYS_execve, SYS_openat, SYS_mmap,
        SYS_signalfd4, SYS_epoll_create1, SYS_epoll_ctl, SYS_socket, SYS_sendto};

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (calls[i] == number)
            return 1;
    return 0;
}

/* Let go on; the signal that stopped it, if it was one, is delivered. -1: it is gone. */
static int next_stop(pid_t pid, int *status) {
    int signal = 0;

    for (;;) {
        if (ptrace(PTRACE_SYSCALL, pid, 0, signal) < 0 || waitpid(pid, status, __WALL) != pid ||
            !WIFSTOPPED(*status))
            return -1;
        signal = WSTOPSIG(*status);
        if (signal == (SIGTRAP | 0x80))
            return 0;
        if (*status >> 16 != 0) /* an event of ptrace, not a signal */
            signal = 0;
    }
}

static int inject(pid_t pid, int error) {
#ifdef __x86_64__
    struct user_regs_struct registers;
    int status;

    if (ptrace(PTRACE_GETREGS, pid, 0, &registers) < 0)
        return -1;
    registers.orig_rax = (unsigned long long)-1;
    if (ptrace(PTRACE_SETREGS, pid, 0, &registers) < 0 || next_stop(pid, &status) < 0 ||
        ptrace(PTRACE_GETREGS, pid, 0, &registers) < 0)
        return -1;
    registers.rax = (unsigned long long)-error;
    return (int)ptrace(PTRACE_SETREGS, pid, 0, &registers);
#else
    (void)pid;
    (void)error;
    return -1;
#endif
}

static long call_number(pid_t pid) {
#ifdef __x86_64__
    struct user_regs_struct registers;
    return ptrace(PTRACE_GETREGS, pid, 0, &registers) < 0 ? -1 : (long)registers.orig_rax;
#else
    (void)pid;
    return -1;
#endif
}

/* Before the process ends: what comes of its end may be over before we run again. */
static void set_mark(const char *mark) {
    if (mark)
        (void)close(open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

/* 1 reached, 0 the process ended before. The file is made where N was reached; NULL = none. */
static int watch(pid_t pid, unsigned long n, int error, const char *mark) {
    int status, entry = 1;

    if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0 || waitpid(pid, &status, __WALL) != pid)
        return 0;
    for (unsigned long count = 0;;) {
        if (next_stop(pid, &status) < 0)
            return 0;
        if (error == 0 && ++count == n) {
            set_mark(mark);
            return kill(pid, SIGKILL) == 0;
        }
        if (error != 0 && entry && may_fail(call_number(pid)) && ++count == n)
            return inject(pid, error) == 0 && ptrace(PTRACE_DETACH, pid, 0, 0) == 0;
        entry = !entry;
    }
}

static void seize(pid_t pid) {
    if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD) < 0) {
        perror("die-at: ptrace");
        _exit(77);
    }
}

static void trace_parent(pid_t parent, unsigned long n, int ready, const char *mark) {
    seize(parent);
    (void)!write(ready, "x", 1);
    (void)close(ready);
    /* Nothing of the parent's may stay open here: davit-init waits for ends of files. */
    for (int fd = 3; fd < 1024; fd++)
        (void)close(fd);
    (void)watch(parent, n, 0, mark);
    _exit(0);
}

static void be(const char *name, char **argv) {
    const char *prefix = getenv("DIE_AT");
    char program[4096], file[4000] = "", mark[4096], text[32] = "", byte;
    int ready[2];

    /* build/tests/soak/die-at; workers, which are davitd as well, have no environment to say it with */
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 32);
    program[n > 0 ? n : 0] = '\0';
    for (int i = 0; i < 3 && strrchr(program, '/'); i++)
        *strrchr(program, '/') = '\0';
    (void)snprintf(strchr(program, '\0'), 32, "/%s", name);
    if (prefix)
        (void)snprintf(file, sizeof file, "%s.%s", prefix, name);

    int fd = prefix ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0 && read(fd, text, sizeof text - 1) > 0 && unlink(file) == 0 && pipe2(ready, O_CLOEXEC) == 0) {
        pid_t parent = getpid();
        (void)snprintf(mark, sizeof mark, "%s.hit", file);
        if (fork() == 0)
            trace_parent(parent, strtoul(text, NULL, 10), ready[1], mark);
        (void)close(ready[1]);
        (void)!read(ready[0], &byte, 1);
        (void)close(ready[0]);
    }
    if (fd >= 0)
        (void)close(fd);
    (void)execv(program, argv);
    perror(program);
    _exit(127);
}

int main(int argc, char **argv) {
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];

    if (strncmp(name, "davit", 5) == 0)
        be(name, argv);
    if (argc < 3 || argc > 4) {
        (void)fprintf(stderr, "Usage: die-at PID N [ERRNO]\n");
        return 2;
    }
    pid_t pid = (pid_t)atol(argv[1]);
    seize(pid);
    (void)puts("ready");
    (void)fflush(stdout);
    (void)puts(watch(pid, strtoul(argv[2], NULL, 10), argc > 3 ? atoi(argv[3]) : 0, NULL) ? "hit" : "end");
    return 0;
}
