/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/children.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/log.h"
#include "base/str.h"
#include "init/signals.h"
#include "log/protocol.h"

#define PAIR_BUFFER_BYTES (4 * 1024 * 1024)
#define FIRST_FD 3 /* SD_LISTEN_FDS_START, LAUNCH_FD_SOCKET, LOGD_FD_SOCKET */
#define MANAGER_OOM_SCORE_ADJ "-900"
#define HANDED_MAX (2 + LAUNCH_COUNT + KEEPER_MAX_FDS)

/* Descriptors for the next program, in the order of their numbers there, and their names. Used only between
 * fork and exec, so davit-init's own copy of these pages is never touched. */
static struct {
    size_t count;
    int fds[HANDED_MAX];
    size_t names_length;
    char names[STORE_NAMES_MAX + 256];
} handed;

static int pair_open(struct part *p) {
    const int bytes = PAIR_BUFFER_BYTES;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return negative_errno();
    p->manager_end = ends[0];
    p->part_end = ends[1];
    for (size_t i = 0; i < 2; i++) {
        if (setsockopt(ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) < 0)
            (void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        if (setsockopt(ends[i], SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
            (void)setsockopt(ends[i], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
    return 0;
}

void parts_init(struct part parts[static PART_COUNT]) {
    for (int i = 0; i < PART_COUNT; i++) {
        struct part *p = &parts[i];
        *p = (struct part){.manager_end = -1, .part_end = -1};

        if (i == PART_MANAGER)
            p->program = "davitd";
        else if (i == PART_LOGD)
            p->program = "davit-logd";
        else {
            p->program = "davit-launch";
            (void)snprintf(p->number, sizeof p->number, "%d", i - PART_LAUNCHER);
        }
        (void)snprintf(p->label, sizeof p->label, "%s%s%s", p->program, *p->number ? " " : "", p->number);
    }
}

int parts_open(struct part parts[static PART_COUNT]) {
    for (int i = 0; i < PART_COUNT; i++) {
        struct part *p = &parts[i];
        if (i == PART_MANAGER || (p->manager_end >= 0 && p->part_end >= 0))
            continue;
        close_and_reset(&p->manager_end);
        close_and_reset(&p->part_end);
        int r = pair_open(p);
        if (r < 0)
            return r;
    }
    return 0;
}

struct part *part_find(struct part *parts, pid_t pid) {
    for (int i = 0; pid > 0 && i < PART_COUNT; i++)
        if (parts[i].pid == pid)
            return &parts[i];
    return NULL;
}

unsigned part_restart_count(unsigned quick_deaths, usec_t ran, bool killed) {
    usec_t forgiven = ran >= RESTART_STABLE_USEC ? quick_deaths : ran / RESTART_FORGIVE_USEC;
    unsigned count = quick_deaths - (unsigned)MIN((usec_t)quick_deaths, forgiven);

    if (killed && count >= RESTART_KILLED_MAX)
        return MAX(count, (unsigned)RESTART_KILLED_MAX + 1);
    return count + 1;
}

usec_t part_restart_delay(unsigned quick_deaths, usec_t first) {
    if (quick_deaths <= 1)
        return 0;
    unsigned doublings = quick_deaths - 2;
    if (doublings >= 10) /* and never shift further than the number is wide */
        return RESTART_DELAY_MAX;
    return MIN(first << doublings, RESTART_DELAY_MAX);
}

/* ---- from here on: in the child, between fork and exec ---- */

static void hand_over(int fd, const char *name) {
    if (handed.count >= HANDED_MAX)
        return;
    handed.fds[handed.count++] = fd;
    int n = snprintf(handed.names + handed.names_length, sizeof handed.names - handed.names_length, "%s%s",
        handed.names_length ? ":" : "", name);
    handed.names_length += (size_t)n;
}

/* Moves handed.fds to FIRST_FD and up. A descriptor that lies where another is to go first moves out of the
 * way; after that no target is a source of somebody else. */
static int place_handed(void) {
    int end = FIRST_FD + (int)handed.count;

    for (size_t i = 0; i < handed.count; i++) {
        int fd = handed.fds[i], target = FIRST_FD + (int)i;
        if (fd == target || fd >= end)
            continue;
        handed.fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, end);
        if (handed.fds[i] < 0)
            return negative_errno();
    }
    for (size_t i = 0; i < handed.count; i++) {
        int fd = handed.fds[i], target = FIRST_FD + (int)i;
        if (fd == target ? fcntl(fd, F_SETFD, 0) < 0 : dup2(fd, target) < 0)
            return negative_errno();
    }
    return 0;
}

/* The variables of sd_listen_fds_with_names(3) and sd_watchdog_enabled(3). */
static int manager_environment(const struct parts_context *context) {
    char pid[16], count[16], usec[24];

    (void)snprintf(pid, sizeof pid, "%d", getpid());
    (void)snprintf(count, sizeof count, "%zu", handed.count);
    (void)snprintf(usec, sizeof usec, "%llu", (unsigned long long)context->watchdog_usec);
    if (setenv("NOTIFY_SOCKET", context->notify_address, 1) < 0 || setenv("LISTEN_PID", pid, 1) < 0 ||
        setenv("LISTEN_FDS", count, 1) < 0 || setenv("LISTEN_FDNAMES", handed.names, 1) < 0)
        return negative_errno();
    if (context->watchdog_usec > 0 &&
        (setenv("WATCHDOG_PID", pid, 1) < 0 || setenv("WATCHDOG_USEC", usec, 1) < 0))
        return negative_errno();
    return boot_manager_environment(context->boot);
}

static int prepare_manager(const struct part *parts, const struct parts_context *context) {
    hand_over(context->feed->read_fd, "feed");
    for (int i = PART_LAUNCHER; i < PART_COUNT; i++) {
        char name[KEEPER_NAME_MAX];
        (void)snprintf(name, sizeof name, "launch%d", i - PART_LAUNCHER);
        hand_over(parts[i].manager_end, name);
    }
    hand_over(parts[PART_LOGD].manager_end, "logd");
    for (size_t i = 0; i < context->store->count; i++) {
        const struct store_entry *e = &context->store->entries[i];
        if (!e->removed)
            hand_over(e->fd, e->name);
    }
    return manager_environment(context);
}

static void set_oom_score_adj(const char *value) {
    _cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    /* Best effort: lowering it needs CAP_SYS_RESOURCE, and /proc may not be there. */
    if (fd >= 0 && *value)
        (void)!write(fd, value, strlen(value));
}

/* davitd starts with the signals that are meant for it blocked: one that comes before its loop stands waits
 * for it there, and does not kill it. The others start as every program expects to. */
static int set_signal_mask(bool manager) {
    sigset_t mask;

    sigemptyset(&mask);
    if (manager) {
        sigaddset(&mask, SIGTERM);
        for (size_t i = 0; i < n_signal_rules; i++) {
            enum signal_action action = signal_rules[i].by_role[init_role()].action;
            if (action == SIGNAL_FORWARD || (action == SIGNAL_REEXEC && signal_rules[i].realtime))
                sigaddset(&mask, signal_rule_number(&signal_rules[i]));
        }
    }
    return sigprocmask(SIG_SETMASK, &mask, NULL) < 0 ? negative_errno() : 0;
}

static int prepare_child(
    const struct part *parts, const struct part *p, const struct parts_context *context, pid_t keeper) {
    bool manager = p == &parts[PART_MANAGER];
    int r = 0;

    /* Signals of the terminal are for davit-init alone, which knows the right order to stop in. */
    (void)setsid();
    if (prctl(PR_SET_PDEATHSIG, manager ? SIGKILL : SIGTERM) < 0)
        return negative_errno();
    if (getppid() != keeper) /* it died before the line above */
        return -ESRCH;
    if (manager)
        r = prepare_manager(parts, context);
    else {
        hand_over(p->part_end, "");
        if (p == &parts[PART_LOGD] && context->state_fd >= 0)
            hand_over(context->state_fd, "");
        else if (p != &parts[PART_LOGD])
            (void)setrlimit(RLIMIT_NOFILE, &context->files);
    }
    if (r < 0)
        return r;
    set_oom_score_adj(manager ? MANAGER_OOM_SCORE_ADJ : context->oom_score_adj);
    if (dup2(context->null_fd, STDIN_FILENO) < 0)
        return negative_errno();
    r = place_handed();
    if (r < 0)
        return r;
    return set_signal_mask(manager);
}

static _noreturn_ void run_child(
    const struct part *parts, const struct part *p, const struct parts_context *context, pid_t keeper) {
    char path[4096], program[24], number[8];
    char *arguments[] = {program, *p->number ? number : NULL, NULL};

    (void)snprintf(path, sizeof path, "%s/%s", context->libexec, p->program);
    (void)snprintf(program, sizeof program, "%s", p->program);
    (void)snprintf(number, sizeof number, "%s", p->number);
    int r = prepare_child(parts, p, context, keeper);
    if (r >= 0) {
        (void)execv(path, arguments);
        r = negative_errno();
    }
    if (r != -ESRCH)
        (void)log_errno(LOG_ERR, r, "cannot start %s", path);
    _exit(127);
}

/* ---- back in davit-init ---- */

int part_start(struct part *parts, struct part *p, const struct parts_context *context) {
    pid_t keeper = getpid();
    pid_t pid = fork();

    if (pid < 0)
        return negative_errno();
    if (pid == 0)
        run_child(parts, p, context, keeper);
    p->pid = pid;
    p->started = now_monotonic();
    p->start_at = USEC_INFINITY;
    return 0;
}
