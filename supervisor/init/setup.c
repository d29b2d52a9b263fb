/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How davit-init gets what it keeps: at a start, from the program that it replaces, and anew where that has
 * left nothing that can be read. */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/parse.h"
#include "base/str.h"
#include "init/crash.h"
#include "init/handover.h"
#include "init/run.h"

#define LOCK_PATIENCE_USEC (USEC_PER_SEC / 2)

/* A child that a killed davit-init has just forked holds the lock as well, until it sees that it is alone. */
static int lock_runtime(struct keeper *k) {
    usec_t end = usec_add(now_monotonic(), LOCK_PATIENCE_USEC);

    while (flock(k->runtime_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK || now_monotonic() >= end)
            return log_errno(LOG_ERR, errno, "another davit-init runs in %s", k->runtime);
        (void)usleep(10 * 1000);
    }
    return 0;
}

/* A directory of ours, open to nobody else for writing or listing; others pass through it to the status
 * socket and to their own notify socket, and what else is in it is closed to them. The lock on it makes sure
 * that there is one davit-init for it. */
static int open_runtime(struct keeper *k) {
    struct stat st;

    int r = mkdir_parents(AT_FDCWD, k->runtime, 0711);
    if (r < 0)
        return log_errno(LOG_ERR, r, "cannot make %s", k->runtime);
    k->runtime_fd = open(k->runtime, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (k->runtime_fd < 0 || fstat(k->runtime_fd, &st) < 0)
        return log_errno(LOG_ERR, errno, "cannot open %s", k->runtime);
    if (st.st_uid != geteuid() || (st.st_mode & 022)) {
        log_error("%s belongs to somebody else, or others may write to it", k->runtime);
        return -EPERM;
    }
    return lock_runtime(k);
}

/* Whoever started us may have left signals ignored (nohup, a careless parent): an ignored SIGCHLD would take
 * the children's ends away from us, and the parts would inherit the rest. */
static void reset_signals(void) {
    for (int s = 1; s <= SIGRTMAX; s++)
        if (s != SIGKILL && s != SIGSTOP)
            (void)signal(s, SIG_DFL);
}

static int open_signals(struct keeper *k) {
    sigset_t all;

    sigfillset(&all);
    const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
        sigdelset(&all, faults[i]);
    if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
        return log_errno(LOG_ERR, errno, "sigprocmask");
    k->signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (k->signal_fd < 0)
        return log_errno(LOG_ERR, errno, "signalfd");
    crash_handler_install(&k->boot.options);
    return 0;
}

static int watch(struct keeper *k, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(k->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? negative_errno() : 0;
}

static int open_channels(struct keeper *k) {
    k->notify_fd = notify_listen(k->runtime);
    if (k->notify_fd < 0)
        return log_errno(LOG_ERR, k->notify_fd, "cannot listen on %s/" NOTIFY_SOCKET_NAME, k->runtime);
    int r = feed_open(&k->feed);
    if (r >= 0)
        r = parts_open(k->parts);
    return r < 0 ? log_errno(LOG_ERR, r, "cannot make sockets and pipes for the parts") : 0;
}

static int open_loop(struct keeper *k) {
    k->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (k->epoll_fd < 0)
        return log_errno(LOG_ERR, errno, "epoll_create1");
    int r = watch(k, k->notify_fd);
    if (r >= 0)
        r = watch(k, k->signal_fd);
    if (r < 0)
        return log_errno(LOG_ERR, r, "epoll_ctl");
    k->context.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    return k->context.null_fd < 0 ? log_errno(LOG_ERR, errno, "cannot open /dev/null") : 0;
}

static usec_t choose_restart_delay(void) {
    const char *wanted = getenv("DAVIT_RESTART_USEC");
    uint64_t first = RESTART_DELAY_FIRST;

    if (wanted && parse_uint(wanted, 0, RESTART_DELAY_MAX, &first) < 0)
        log_warning(
            "DAVIT_RESTART_USEC=%s is not a number of microseconds up to 30 seconds: ignored", wanted);
    return first;
}

/* The shorter of what is asked of davitd and what is asked of us: its pings are passed on. */
static void choose_watchdog(struct keeper *k) {
    uint64_t period = WATCHDOG_DEFAULT_USEC, above = 0, pid = 0;
    const char *wanted = getenv("DAVIT_WATCHDOG_USEC"), *usec = getenv("WATCHDOG_USEC"),
               *for_pid = getenv("WATCHDOG_PID");

    if (wanted && parse_uint(wanted, 0, 3600 * USEC_PER_SEC, &period) < 0)
        log_warning("DAVIT_WATCHDOG_USEC=%s is not a number of microseconds up to an hour: ignored", wanted);
    if (k->up.fd >= 0 && usec && parse_uint(usec, 1, UINT64_MAX, &above) >= 0 &&
        (!for_pid || (parse_uint(for_pid, 1, INT32_MAX, &pid) >= 0 && (pid_t)pid == getpid()))) {
        k->up_watchdog_usec = above;
        if (period == 0 || above < period)
            period = above;
    }
    watchdog_init(&k->watchdog, period);
    k->context.watchdog_usec = period;
}

/* Reports go up from here only: the parts have another notify socket, or none. */
static void take_environment(struct keeper *k) {
    const char *const ours[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS",
        "LISTEN_FDNAMES", "FDSTORE"};
    int r = notify_target_open(&k->up, getenv("NOTIFY_SOCKET"));

    if (r < 0)
        (void)log_errno(LOG_WARNING, r, "NOTIFY_SOCKET=%s cannot be used", getenv("NOTIFY_SOCKET"));
    choose_watchdog(k);
    upward_open(k);
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        (void)unsetenv(ours[i]);
}

/* Room for all descriptors that may be stored with us, here and in the parts. */
static void raise_limits(struct keeper *k) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    k->context.files = limit;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* davit-init is the last one that the kernel should pick when memory runs out. Where this is not permitted it
 * stays as it is. */
static void lower_oom_score(struct keeper *k) {
    _cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    char *before = k->context.oom_score_adj;

    if (fd < 0)
        return;
    ssize_t n = read(fd, before, sizeof k->context.oom_score_adj - 1);
    before[MAX(n, 0)] = '\0';
    (void)strstrip(before);
    (void)!pwrite(fd, "-1000", 5, 0);
}

/* *k is all zero, and its larger part is not to be touched: pages of the
 * table of stored descriptors cost nothing until they are. */
void keeper_init(struct keeper *k, const char *runtime, const char *libexec) {
    k->epoll_fd = k->signal_fd = k->notify_fd = k->runtime_fd = -1;
    k->feed.read_fd = k->feed.write_fd = -1;
    k->context.state_fd = k->context.null_fd = -1;
    k->up.fd = -1;
    k->up_ping_at = k->trim_at = k->reexec.deadline = k->upward.at = k->manager_lost_at = USEC_INFINITY;
    k->runtime = runtime;
    (void)snprintf(k->notify_address, sizeof k->notify_address, "%s/" NOTIFY_SOCKET_NAME, runtime);
    k->context.libexec = libexec;
    k->context.notify_address = k->notify_address;
    k->context.feed = &k->feed;
    k->context.store = &k->store;
    k->context.boot = &k->boot;
    k->restart_first = choose_restart_delay();
    watchdog_init(&k->watchdog, 0);
    parts_init(k->parts);
}

int keeper_open(struct keeper *k) {
    /* Orphans of our children become ours, so that no end of a process is missed. PID 1 of a namespace is
     * that anyway. */
    if (getpid() != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return log_errno(LOG_ERR, errno, "cannot become a subreaper");
    take_environment(k);
    reset_signals();
    int r = open_runtime(k);
    if (r >= 0)
        r = open_signals(k);
    if (r >= 0)
        r = open_channels(k);
    if (r >= 0)
        r = open_loop(k);
    if (r < 0)
        return r;

    /* Without it davit-logd works too, but a line may come twice when it is killed. */
    if (k->context.state_fd < 0)
        k->context.state_fd = memfd_create("davit-logd", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    upward_changed(k);
    raise_limits(k);
    lower_oom_score(k);
    return 0;
}

/* Goes on from what the earlier program of this process has left. What is not in its state, the kernel has
 * kept for the process: limits, signals blocked, the rank of a subreaper. */
static int resume(struct keeper *k, int state_fd) {
    int r = handover_read(state_fd, k);
    (void)close(state_fd);
    if (r < 0)
        return r;
    /* Whoever does not come up now takes all containers with it: what is missing at the moment is waited for.
     */
    while (parts_open(k->parts) < 0 || open_signals(k) < 0 || open_loop(k) < 0) {
        close_and_reset(&k->signal_fd);
        close_and_reset(&k->epoll_fd);
        (void)usleep(100 * 1000);
    }
    k->context.watchdog_usec = k->watchdog.period;
    k->reap_again = true; /* the signal for a child may have been taken out by the earlier one */
    upward_changed(k);
    memory_trim();
    log_info("replaced in place: davit-init " DAVIT_VERSION " goes on");
    return 0;
}

static void start_over_once(struct keeper *k) {
    const char *runtime = k->runtime, *libexec = k->context.libexec;
    struct boot boot = k->boot;
    size_t used = offsetof(struct keeper, store.entries) + k->store.count * sizeof k->store.entries[0];

    (void)close_range(STDERR_FILENO + 1, ~0U, 0);
    memset(k, 0, used); /* what lies behind was never touched, and is to stay so */
    keeper_init(k, runtime, libexec);
    k->boot = boot;
    k->boot.worker = 0;
    k->boot.worker_deadline = USEC_INFINITY;
    k->boot.watchdog.fd =
        -1; /* its timer goes on: drivers are not stopped by a close that is not announced */
    (void)hardware_watchdog_open(&k->boot.watchdog);
    /* Greater than all numbers that a davitd can have saved. */
    k->feed.sequence = clock_usec(CLOCK_BOOTTIME);
}

/* The state cannot be read, though the check has said it could. Everything begins anew, as after a start, but
 * with the children: the parts see the ends of their channels and leave, davitd takes over by saved state. */
static void start_over(struct keeper *k, int error) {
    (void)log_errno(LOG_CRIT, error, "cannot read the state of the davit-init before: starting anew");
    start_over_once(k);
    while (keeper_open(k) < 0) {
        (void)usleep(100 * 1000);
        start_over_once(k);
    }
    k->reap_again = true; /* as above */
    memory_trim();
}

void keeper_resume(struct keeper *k, int state_fd) {
    int r = resume(k, state_fd);

    if (r < 0)
        start_over(k, r);
    keeper_watch_keys(k);
}

int keeper_check_state(int fd) {
    static struct keeper scratch;

    keeper_init(&scratch, "", "");
    int r = handover_check(fd, &scratch);
    if (r < 0)
        (void)log_errno(
            LOG_ERR, r, "davit-init " DAVIT_VERSION " cannot read the state of the one that runs");
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
