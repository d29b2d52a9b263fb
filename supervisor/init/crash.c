/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/crash.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "init/machine.h"

#define STACK_BYTES (32 * 1024)
/* A core dump of a few hundred KiB, or a sync of a disk that answers. */
#define CHILD_USEC (10 * USEC_PER_SEC)
#define CHILD_POLL_USEC (20 * USEC_PER_MSEC)
/* Whoever else writes to the console at this moment. */
#define SAY_USEC (500 * USEC_PER_MSEC)

static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

static struct {
    enum crash_action action;
    usec_t delay;
    bool core;
} chosen;
static volatile sig_atomic_t crashed;

static void choose(const struct boot_options *options) {
    chosen.action = options->crash_action;
    chosen.delay = options->crash_delay;
    chosen.core = options->crash_core;
}

static void say(const char *text) {
    static const char *const places[] = {"/dev/kmsg", "/dev/console"};
    static int fds[] = {-1, -1}; /* they stay open: close(2) of a console waits until all is said */
    static const char prefix[] = "<0>davit-init: ";
    struct {
        const char *text;
        size_t length;
    } parts[] = {{prefix, sizeof prefix - 1}, {text, strlen(text)}, {"\n", 1}};
    char line[384];
    size_t n = 0;

    /* One write: a message of the kernel's log is what one write brings. */
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        for (size_t k = 0; k < parts[i].length && n < sizeof line; k++)
            line[n++] = parts[i].text[k];
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        size_t skip = i == 0 ? 0 : 3; /* the priority is the kernel's affair */
        if (fds[i] < 0)
            fds[i] = open(places[i], O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        (void)write_within(fds[i], line + skip, n - skip, SAY_USEC);
    }
}

static void sleep_for(usec_t usec) {
    struct timespec rest = {
        .tv_sec = (time_t)(usec / USEC_PER_SEC), .tv_nsec = (long)(usec % USEC_PER_SEC * NSEC_PER_USEC)};

    while (nanosleep(&rest, &rest) < 0 && errno == EINTR)
        ;
}

/* Waits for one child, and not for ever: it may hang on the very disk that broke everything. */
static void wait_for(pid_t pid) {
    for (usec_t waited = 0; pid > 0 && waited < CHILD_USEC; waited += CHILD_POLL_USEC) {
        if (waitpid(pid, NULL, WNOHANG | __WALL) != 0)
            return;
        sleep_for(CHILD_POLL_USEC);
    }
}

/* fork(2) itself, without the C library's handlers, which may wait for a lock that we hold. */
static pid_t raw_fork(void) {
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void leave_core(int signal_number) {
    pid_t pid = raw_fork();

    if (pid == 0) {
        const struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
        sigset_t one;
        (void)setrlimit(RLIMIT_CORE, &limit);
        (void)!chdir("/");
        (void)signal(signal_number, SIG_DFL);
        (void)sigemptyset(&one);
        (void)sigaddset(&one, signal_number);
        (void)sigprocmask(SIG_UNBLOCK, &one, NULL);
        (void)syscall(SYS_kill, syscall(SYS_getpid), signal_number);
        _exit(1);
    }
    wait_for(pid);
}

/* Where no child can be had nothing is synced: what broke may be the very disk, and we must get past it. */
static void sync_disks(void) {
    pid_t pid = raw_fork();

    if (pid == 0) {
        sync();
        _exit(0);
    }
    wait_for(pid);
}

static _noreturn_ void way_out(void) {
    sync_disks();
    if (chosen.action != CRASH_FREEZE) {
        say(chosen.action == CRASH_REBOOT ? "rebooting" : "powering off");
        (void)reboot(chosen.action == CRASH_REBOOT ? RB_AUTOBOOT : RB_POWER_OFF);
    }
    say("standing still");
    for (;;)
        (void)pause();
}

static void announce_delay(void) {
    static const char *const names[] = {[CRASH_REBOOT] = "davit-init cannot go on; rebooting soon",
        [CRASH_POWEROFF] = "davit-init cannot go on; powering off soon",
        [CRASH_FREEZE] = "davit-init cannot go on; standing still (davit.crash=freeze)"};

    say(names[chosen.action]);
    if (chosen.action != CRASH_FREEZE)
        sleep_for(chosen.delay);
}

static const char *fault_name(int signal_number) {
    switch (signal_number) {
    case SIGSEGV:
        return "caught SIGSEGV";
    case SIGBUS:
        return "caught SIGBUS";
    case SIGFPE:
        return "caught SIGFPE";
    case SIGILL:
        return "caught SIGILL";
    case SIGABRT:
        return "caught SIGABRT";
    case SIGTRAP:
        return "caught SIGTRAP";
    default:
        return "caught SIGSYS";
    }
}

static void on_fault(int signal_number) {
    if (crashed++ == 0) {
        say(fault_name(signal_number));
        if (chosen.core)
            leave_core(signal_number);
        announce_delay();
    }
    way_out();
}

void crash_handler_install(const struct boot_options *options) {
    static char stack[STACK_BYTES]; /* pages that nobody touches cost nothing */
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK | SA_NODEFER};

    choose(options);
    if (init_role() != ROLE_MACHINE)
        return;
    (void)sigaltstack(&alternate, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
        (void)sigaction(faults[i], &action, NULL);
}

_noreturn_ void crash_stop(const struct boot_options *options, const char *text) {
    choose(options);
    say(text);
    announce_delay();
    way_out();
}
