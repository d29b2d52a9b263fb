/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/parse.h"
#include "base/str.h"
#include "init/crash.h"
#include "init/handover.h"
#include "init/run.h"

/* So many zombies a turn, so that a fork storm cannot keep davitd's messages and the watchdog waiting. */
#define REAP_TURN 2048
/* davitd died so often while it was to stop the units: go on without it. */
#define STOP_DEATHS_MAX 5
#define LOCK_PATIENCE_USEC (USEC_PER_SEC / 2)
/* Whoever asked to stop is waiting. */
#define STOP_RESTART_DELAY_MAX (500 * USEC_PER_MSEC)
/* After the last event: one wake-up after each burst, none while nothing happens. */
#define TRIM_DELAY USEC_PER_SEC

void keeper_say(struct keeper *k, int priority, const char *fmt, ...) {
    char text[512], status[560];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    log_write(priority, "%s", text);
    (void)snprintf(status, sizeof status, "STATUS=%s\n", text);
    (void)notify_target_send(&k->up, status);
}

/* ---- parts ---- */

void keeper_start_part(struct keeper *k, struct part *p) {
    bool manager = p == &k->parts[PART_MANAGER];

    if (manager)
        boot_note_manager(&k->boot); /* before the fork: its environment has it */
    int r = part_start(k->parts, p, &k->context);

    if (r < 0) { /* no process or no memory to be had: that passes */
        (void)log_errno(LOG_ERR, r, "cannot fork for %s", p->label);
        p->start_at = usec_add(now_monotonic(), USEC_PER_SEC);
        return;
    }
    if (!manager)
        return;
    k->manager_ready = false;
    watchdog_start(&k->watchdog, p->started);
    /* Until it says READY=1 nobody but us can tell the manager above that all is well. */
    k->up_ping_at = k->up_watchdog_usec > 0 ? p->started : USEC_INFINITY;
    if (k->phase == KEEPER_STOPPING)
        (void)kill(p->pid, SIGTERM);
}

static void describe_end(const siginfo_t *info, char *buffer, size_t size) {
    char name[16];

    if (info->si_code == CLD_EXITED)
        (void)snprintf(buffer, size, "exited with status %d", info->si_status);
    else
        (void)snprintf(buffer, size, "was killed by %s%s", signal_name(info->si_status, name),
            info->si_code == CLD_DUMPED ? ", core dumped" : "");
}

static void restart_later(struct keeper *k, struct part *p, const siginfo_t *info) {
    usec_t now = now_monotonic();
    bool killed = info->si_code == CLD_KILLED && info->si_status == SIGKILL;
    char end[64], delay_text[TIMESPAN_MAX];

    p->quick_deaths = part_restart_count(p->quick_deaths, now - p->started, killed);
    usec_t delay = part_restart_delay(p->quick_deaths, k->restart_first);
    if (k->phase == KEEPER_STOPPING)
        delay = MIN(delay, STOP_RESTART_DELAY_MAX);
    p->start_at = usec_add(now, delay);

    describe_end(info, end, sizeof end);
    if (delay == 0)
        log_warning("%s %s: starting it again", p->label, end);
    else
        log_warning("%s %s: starting it again in %s", p->label, end,
            timespan_format(delay, USEC_PER_MSEC, delay_text));
    if (p->quick_deaths >= RESTART_KEEPS_DYING)
        keeper_say(k, LOG_CRIT,
            "%s keeps dying (%u times in a row, last it %s); containers go on, trying again", p->label,
            p->quick_deaths, end);
}

static void manager_ended(struct keeper *k, struct part *p, const siginfo_t *info) {
    watchdog_stop(&k->watchdog);
    k->manager_ready = false;
    k->up_ping_at = k->up_watchdog_usec > 0 ? now_monotonic() : USEC_INFINITY;
    if (k->phase == KEEPER_CLOSING)
        return;

    if (info->si_code == CLD_EXITED && info->si_status == MANAGER_EXIT_DONE) {
        keeper_close(k);
    } else if (info->si_code == CLD_EXITED && info->si_status == MANAGER_EXIT_REEXEC) {
        p->start_at = now_monotonic();
    } else {
        restart_later(k, p, info);
        if (k->phase == KEEPER_STOPPING && ++k->stop_deaths > STOP_DEATHS_MAX) {
            log_error("davitd cannot stop the units: ending without it");
            keeper_close(k);
        }
    }
}

/* A part is a zombie: info describes it, it is not reaped yet. */
static void part_ended(struct keeper *k, struct part *p, const siginfo_t *info) {
    bool manager = p == &k->parts[PART_MANAGER];

    /* What it sent before its end still counts, and is only believed while its pid is taken. */
    if (manager)
        keeper_receive(k);
    p->pid = 0;
    (void)waitid(P_PID, (id_t)info->si_pid, NULL, WEXITED | WNOHANG | __WALL);
    if (manager)
        manager_ended(k, p, info);
    else if (k->phase != KEEPER_CLOSING && p->replaced)
        p->start_at = now_monotonic();
    else if (k->phase != KEEPER_CLOSING)
        restart_later(k, p, info);
    p->replaced = false;
}

static void all_parts_due(struct keeper *k) {
    for (int i = 0; k->phase != KEEPER_CLOSING && i < PART_COUNT; i++)
        k->parts[i].start_at = now_monotonic();
}

/* A machine's units need what davit-boot prepares: the parts wait for its end. Where it cannot be started
 * they have to do without. */
static void begin_boot(struct keeper *k) {
    if (!k->boot.machine)
        return;
    int r = boot_start_worker(&k->boot, k->context.libexec);
    if (r < 0) {
        (void)log_errno(LOG_ERR, r, "cannot fork for davit-boot");
        return;
    }
    for (int i = 0; i < PART_COUNT; i++)
        k->parts[i].start_at = USEC_INFINITY;
}

/* ---- reaping ---- */

/* Parts that ended, wherever they stand in the queue of zombies. */
static void reap_parts(struct keeper *k) {
    for (int i = 0; i < PART_COUNT; i++) {
        siginfo_t info = {};
        pid_t pid = k->parts[i].pid;
        if (pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 &&
            info.si_pid == pid)
            part_ended(k, &k->parts[i], &info);
    }
    if (k->reexec.checker > 0) {
        siginfo_t info = {};
        if (waitid(P_PID, (id_t)k->reexec.checker, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 &&
            info.si_pid > 0)
            keeper_reexec_checked(k, &info);
    }
}

static void wait_for_feed(struct keeper *k) {
    struct epoll_event event = {.events = EPOLLOUT, .data.fd = k->feed.write_fd};

    if (k->feed_full || epoll_ctl(k->epoll_fd, EPOLL_CTL_ADD, k->feed.write_fd, &event) < 0)
        return;
    k->feed_full = true;
    log_notice("the exit feed is full: ended processes stay zombies until davitd reads on");
}

/* Peek, append, reap, in this order: whatever goes wrong in between, the end of a child is either still with
 * the kernel or already in the feed. Until davitd reads it nothing else can happen to that record. */
static void reap(struct keeper *k) {
    k->reap_again = false;
    for (int n = 0; n < REAP_TURN; n++) {
        siginfo_t info = {};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 || info.si_pid == 0)
            return;

        struct part *p = part_find(k->parts, info.si_pid);
        if (p) {
            part_ended(k, p, &info);
            continue;
        }
        if (info.si_pid == k->reexec.checker) {
            keeper_reexec_checked(k, &info);
            continue;
        }
        if (k->boot.worker > 0 && info.si_pid == k->boot.worker) {
            (void)waitid(P_PID, (id_t)info.si_pid, NULL, WEXITED | WNOHANG | __WALL);
            boot_worker_ended(&k->boot, info.si_code, info.si_status);
            all_parts_due(k);
            continue;
        }
        if (k->phase != KEEPER_CLOSING) { /* then there is nobody to read it */
            int r = feed_append(&k->feed, &info);
            if (r < 0) {
                wait_for_feed(k);
                reap_parts(k);
                return;
            }
        }
        (void)waitid(P_PID, (id_t)info.si_pid, NULL, WEXITED | WNOHANG | __WALL);
    }
    k->reap_again = true;
}

static void feed_writable(struct keeper *k) {
    (void)epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, k->feed.write_fd, NULL);
    k->feed_full = false;
    reap(k);
}

/* ---- signals ---- */

static void take_signal(struct keeper *k, const struct signalfd_siginfo *info) {
    const struct signal_rule *rule = signal_rule_find((int)info->ssi_signo);
    pid_t manager = k->parts[PART_MANAGER].pid;
    struct ending e = {};

    if (!rule)
        return;
    e.kind = signal_rule_ending(rule, init_role(), init_container_manager());
    switch (rule->by_role[init_role()].action) {
    case SIGNAL_IGNORE:
        break;
    case SIGNAL_REAP:
        k->reap_again = true;
        break;
    case SIGNAL_FORCE:
        e.urgency = ENDING_FORCE;
        keeper_request_ending(k, e, rule->meaning);
        break;
    case SIGNAL_STOP:
        keeper_request_ending(k, e, rule->meaning);
        break;
    case SIGNAL_FORWARD:
        if (manager > 0)
            (void)kill(manager, (int)info->ssi_signo);
        break;
    case SIGNAL_REEXEC: /* davitd goes in order and asks for the rest; without it the rest goes alone */
        if (manager > 0)
            (void)kill(manager, SIGRTMIN + 25);
        else
            keeper_request_reexec(k);
        break;
    }
}

static void take_signals(struct keeper *k) {
    struct signalfd_siginfo infos[4]; /* 128 bytes each, on a stack that counts its pages */

    for (;;) {
        ssize_t n = read(k->signal_fd, infos, sizeof infos);
        if (n <= 0)
            break;
        for (size_t i = 0; i < (size_t)n / sizeof infos[0]; i++)
            take_signal(k, &infos[i]);
    }
}

/* ---- time ---- */

static void do_what_is_due(struct keeper *k) {
    usec_t now = now_monotonic();

    for (int i = 0; i < PART_COUNT; i++)
        if (k->parts[i].pid == 0 && k->parts[i].start_at <= now)
            keeper_start_part(k, &k->parts[i]);

    int signal = watchdog_tick(&k->watchdog, now);
    if (signal != 0 && k->parts[PART_MANAGER].pid > 0) {
        keeper_say(
            k, LOG_ERR, "davitd does not answer: sending %s", signal == SIGABRT ? "SIGABRT" : "SIGKILL");
        (void)kill(k->parts[PART_MANAGER].pid, signal);
    }
    if (k->trim_at <= now) {
        k->trim_at = USEC_INFINITY;
        memory_trim();
    }
    if (k->up_ping_at <= now) {
        (void)notify_target_send(&k->up, "WATCHDOG=1\n");
        k->up_ping_at = usec_add(now, k->up_watchdog_usec / 2);
    }
    if (k->upward.at <= now)
        upward_tell(k);
    if (k->reexec.deadline <= now)
        keeper_reexec_overdue(k);
    if (k->phase == KEEPER_CLOSING && k->close_deadline <= now)
        keeper_close_overdue(k);
    if (k->boot.worker_deadline <= now) {
        boot_worker_overdue(&k->boot);
        all_parts_due(k);
    }
    hardware_watchdog_tick(&k->boot.watchdog, now);
}

/* Milliseconds until something is due; -1 = nothing ever will be, without an event. */
static int time_to_sleep(const struct keeper *k) {
    usec_t due = MIN(MIN(k->watchdog.deadline, k->up_ping_at), k->reexec.deadline);

    due = MIN(due, MIN(k->boot.worker_deadline, k->boot.watchdog.ping_at));
    due = MIN(due, MIN(k->trim_at, k->upward.at));
    if (k->reap_again)
        return 0;
    for (int i = 0; i < PART_COUNT; i++)
        if (k->parts[i].pid == 0)
            due = MIN(due, k->parts[i].start_at);
    if (k->phase == KEEPER_CLOSING)
        due = MIN(due, k->close_deadline);
    if (due == USEC_INFINITY)
        return -1;
    usec_t now = now_monotonic();
    if (due <= now)
        return 0;
    return (int)MIN((due - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC, (usec_t)3600 * 1000);
}

/* One turn. The order matters: what davitd has said comes before news of its death, both before anything is
 * found to be overdue. */
static void turn(struct keeper *k) {
    struct epoll_event events[4];
    bool writable = false;

    int n = epoll_wait(k->epoll_fd, events, ARRAY_SIZE(events), time_to_sleep(k));
    if (n > 0)
        k->trim_at = usec_add(now_monotonic(), TRIM_DELAY);
    for (int i = 0; i < n; i++) {
        if (events[i].data.fd == k->notify_fd)
            keeper_receive(k);
        else if (events[i].data.fd == k->signal_fd)
            take_signals(k);
        else if (events[i].data.fd == k->feed.write_fd)
            writable = true;
    }
    if (writable)
        feed_writable(k);
    else if (k->reap_again)
        reap(k);
    do_what_is_due(k);
    keeper_reexec(k);
}

/* ---- start ---- */

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

/* As it is before anything was opened. *k is all zero, and its larger part is not to be touched: pages of the
 * table of stored descriptors cost nothing until they are. */
static void keeper_init(struct keeper *k, const char *runtime, const char *libexec) {
    k->epoll_fd = k->signal_fd = k->notify_fd = k->runtime_fd = -1;
    k->feed.read_fd = k->feed.write_fd = -1;
    k->context.state_fd = k->context.null_fd = -1;
    k->up.fd = -1;
    k->up_ping_at = k->trim_at = k->reexec.deadline = k->upward.at = USEC_INFINITY;
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

static int open_all(struct keeper *k) {
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
static int resume_all(struct keeper *k, int state_fd) {
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

    (void)close_range(STDERR_FILENO + 1, ~0U, 0);
    memset(k, 0, sizeof *k);
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
    while (open_all(k) < 0) {
        (void)usleep(100 * 1000);
        start_over_once(k);
    }
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

int keeper_run(const char *runtime, const char *libexec, const struct boot *boot, int resume_fd) {
    static _Alignas(64) struct keeper k; /* so that it comes first: it shares its page with .data */

    keeper_init(&k, runtime, libexec);
    k.boot = *boot;
    if (resume_fd >= 0) {
        int r = resume_all(&k, resume_fd);
        if (r < 0)
            start_over(&k, r);
    }
    if (resume_fd < 0 && open_all(&k) < 0)
        return KEEPER_EXIT_SETUP;
    if (resume_fd < 0)
        begin_boot(&k);

    /* From here on nothing returns but the end. All parts are due now, or when davit-boot has ended. */
    while (k.phase != KEEPER_CLOSING || !keeper_closed(&k))
        turn(&k);

    (void)unlink(k.notify_address);
    return keeper_end(&k);
}
