/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The loop: signals, what is due, and the order of things in a turn. */
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "base/log.h"
#include "base/memory.h"
#include "init/run.h"

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

void keeper_watch_keys(struct keeper *k) {
    if (k->boot.machine && k->boot.options.power_key)
        power_keys_open(&k->power_keys, k->epoll_fd);
}

/* As often as it is pressed: seven times within two seconds force, as with Ctrl-Alt-Delete. */
static void take_power_key(struct keeper *k, int fd) {
    if (power_keys_read(&k->power_keys, fd))
        keeper_request_ending(k, (struct ending){.kind = ENDING_POWEROFF}, "the power key was pressed");
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
        if (k->boot.worker == 0)
            keeper_begin_boot(k);
        else {
            boot_worker_overdue(&k->boot);
            keeper_boot_over(k);
        }
    }
    if (lost_deadline(k) <= now)
        lost_overdue(k);
    hardware_watchdog_tick(&k->boot.watchdog, now);
}

/* Milliseconds until something is due; -1 = nothing ever will be, without an event. */
static int time_to_sleep(const struct keeper *k) {
    usec_t due = MIN(MIN(k->watchdog.deadline, k->up_ping_at), k->reexec.deadline);

    due = MIN(due, MIN(k->boot.worker_deadline, k->boot.watchdog.ping_at));
    due = MIN(due, MIN(MIN(k->trim_at, k->upward.at), lost_deadline(k)));
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
        else if (power_keys_have(&k->power_keys, events[i].data.fd))
            take_power_key(k, events[i].data.fd);
    }
    if (writable)
        keeper_feed_writable(k);
    else if (k->reap_again)
        keeper_reap(k);
    do_what_is_due(k);
    keeper_reexec(k);
}

/* ---- start ---- */

int keeper_run(const char *runtime, const char *libexec, const struct boot *boot, int resume_fd) {
    static _Alignas(64) struct keeper k; /* so that it comes first: it shares its page with .data */

    keeper_init(&k, runtime, libexec);
    k.boot = *boot;
    if (resume_fd >= 0)
        keeper_resume(&k, resume_fd);
    else if (keeper_open(&k) < 0)
        return KEEPER_EXIT_SETUP;
    else
        keeper_begin_boot(&k);

    /* From here on nothing returns but the end. All parts are due now, or when davit-boot has ended. */
    while (k.phase != KEEPER_CLOSING || !keeper_closed(&k))
        turn(&k);

    (void)unlink(k.notify_address);
    return keeper_end(&k);
}
