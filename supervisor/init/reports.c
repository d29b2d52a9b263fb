/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What davitd says to davit-init, word by word: a table of words, each with the function that answers it. */
#include "base/log.h"
#include "base/memory.h"
#include "base/parse.h"
#include "base/str.h"
#include "init/run.h"

struct report {
    struct keeper *keeper;
    struct notify_message *message;
    char fd_name[KEEPER_NAME_MAX + 1]; /* one byte more than is valid: one that is too long stays so */
    bool store;                        /* FDSTORE=1 */
    bool remove;                       /* FDSTOREREMOVE=1 */
    struct ending ending;
    /* What is passed on to whoever started davit-init is put together where the message stands, over lines
     * that have been read: a buffer of its own would be two more pages. */
    size_t up_length;
};

static void on_store(struct report *r, const char *value) {
    r->store = streq(value, "1");
}

static void on_remove(struct report *r, const char *value) {
    r->remove = streq(value, "1");
}

static void on_name(struct report *r, const char *value) {
    (void)snprintf(r->fd_name, sizeof r->fd_name, "%s", value);
}

static void on_ready(struct report *r, const char *value) {
    struct keeper *k = r->keeper;

    if (!streq(value, "1"))
        return;
    k->manager_ready = true;
    lost_end(k);
    if (k->boot.times.ready == 0)
        k->boot.times.ready = now_monotonic();
    k->up_ping_at = USEC_INFINITY;
    watchdog_ping(&k->watchdog, now_monotonic());
    memory_trim(); /* all that there was to start has started */
}

static void on_watchdog(struct report *r, const char *value) {
    struct keeper *k = r->keeper;

    if (streq(value, "1"))
        watchdog_ping(&k->watchdog, now_monotonic());
    else if (streq(value, "trigger"))
        watchdog_trigger(&k->watchdog, now_monotonic());
}

static void on_extend(struct report *r, const char *value) {
    uint64_t usec;

    if (parse_uint(value, 0, UINT64_MAX, &usec) >= 0)
        watchdog_extend(&r->keeper->watchdog, now_monotonic(), usec);
}

static void on_exit_status(struct report *r, const char *value) {
    uint64_t status;

    if (parse_uint(value, 0, 255, &status) >= 0)
        r->keeper->exit_status = (int)status;
}

/* Carried out when the whole message has been read: its argument may come after it. */
static void on_end(struct report *r, const char *value) {
    if (ending_parse(value, &r->ending) < 0)
        log_warning("davitd asks for an end that is not known: %s", value);
}

static void on_end_argument(struct report *r, const char *value) {
    (void)snprintf(r->keeper->ending_argument, sizeof r->keeper->ending_argument, "%s", value);
}

static void replace(const struct part *p) {
    if (p->pid <= 0)
        return;
    log_notice("davitd has %s replaced: killing it", p->label);
    (void)kill(p->pid, SIGKILL);
}

static void on_kill_launcher(struct report *r, const char *value) {
    uint64_t number;

    if (parse_uint(value, 0, LAUNCH_COUNT - 1, &number) >= 0)
        replace(&r->keeper->parts[PART_LAUNCHER + number]);
}

static void on_kill_logd(struct report *r, const char *value) {
    if (streq(value, "1"))
        replace(&r->keeper->parts[PART_LOGD]);
}

static void on_reexec(struct report *r, const char *value) {
    if (streq(value, "1"))
        keeper_request_reexec(r->keeper);
}

/* Each the number of microseconds on CLOCK_MONOTONIC, or a time-out in microseconds. */
static void on_finished(struct report *r, const char *value) {
    struct boot_times *t = &r->keeper->boot.times;

    if (t->finish == 0 && parse_uint(value, t->userspace, UINT64_MAX, &t->finish) >= 0)
        boot_tell_finished(&r->keeper->boot);
    memory_trim(); /* from here on it only sleeps, as a rule */
}

static void on_hardware_watchdog(struct report *r, const char *value) {
    boot_take_watchdog(&r->keeper->boot, value);
    boot_tell_reasons(&r->keeper->boot, r->keeper->runtime_fd);
}

/* MAINPID is not here on purpose: our own pid is the main process, whatever davitd's is. */
static const struct word {
    const char *name;
    bool up; /* passed on as it came */
    void (*answer)(struct report *r, const char *value);
} words[] = {
    {"READY", true, on_ready},
    {"STATUS", true, NULL},
    {"RELOADING", true, NULL},
    {"MONOTONIC_USEC", true, NULL}, /* belongs to RELOADING */
    {"STOPPING", true, NULL},
    {"ERRNO", true, NULL},
    {"WATCHDOG", true, on_watchdog},
    {"EXTEND_TIMEOUT_USEC", true, on_extend},
    {"FDSTORE", false, on_store},
    {"FDSTOREREMOVE", false, on_remove},
    {"FDNAME", false, on_name},
    {"EXIT_STATUS", false, on_exit_status},
    {"X_DAVIT_KILL_LAUNCHER", false, on_kill_launcher},
    {"X_DAVIT_KILL_LOGD", false, on_kill_logd},
    {"X_DAVIT_END", false, on_end},
    {"X_DAVIT_END_ARGUMENT", false, on_end_argument},
    {"X_DAVIT_REEXEC", false, on_reexec},
    {"X_DAVIT_FINISHED", false, on_finished},
    {"X_DAVIT_WATCHDOG", false, on_hardware_watchdog},
};

/* line: "NAME\0value", in the message. */
static void pass_up(struct report *r, char *line, const char *value) {
    /* A hang that davitd reports is answered here; it is no reason for systemd to end everything. */
    if (streq(line, "WATCHDOG") && !streq(value, "1"))
        return;
    size_t n = (size_t)(value - line) + strlen(value);
    char *text = r->message->text;
    line[value - line - 1] = '=';
    /* Between lines and not behind the last one: there the end of the message has to stay, or what an
     * earlier, longer one has left behind it would be read as well. */
    if (r->up_length > 0)
        text[r->up_length++] = '\n';
    memmove(text + r->up_length, line, n + 1);
    r->up_length += n;
}

static void take_line(struct report *r, char *line) {
    char *value = strchr(line, '=');

    if (!value)
        return;
    *value++ = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (!streq(line, words[i].name))
            continue;
        if (words[i].answer)
            words[i].answer(r, value);
        if (words[i].up)
            pass_up(r, line, value);
        return;
    }
}

static void store_fds(struct report *r) {
    struct notify_message *m = r->message;
    const char *name = *r->fd_name ? r->fd_name : "stored";

    if (r->remove) {
        if (*r->fd_name && store_remove(&r->keeper->store, r->fd_name) > 0)
            upward_changed(r->keeper);
        return;
    }
    for (size_t i = 0; r->store && i < m->n_fds; i++) {
        int x = store_add(&r->keeper->store, TAKE_FD(m->fds[i]), name);
        if (x < 0)
            (void)log_errno(LOG_WARNING, x, "cannot store descriptor \"%.*s\"", KEEPER_NAME_MAX, name);
        else
            upward_changed(r->keeper);
    }
}

static void take_message(struct keeper *k, struct notify_message *m) {
    struct report r = {.keeper = k, .message = m};
    char *rest = m->text, *line;

    while ((line = notify_next_line(&rest)))
        take_line(&r, line);
    store_fds(&r);
    m->text[r.up_length] = '\0';
    if (r.up_length > 0)
        (void)notify_target_send(&k->up, m->text);
    if (r.ending.kind != ENDING_NONE)
        keeper_request_ending(k, r.ending, ending_format(r.ending));
}

void keeper_receive(struct keeper *k) {
    struct notify_message *m = &k->message;

    for (;;) {
        int r = notify_receive(k->notify_fd, m);
        if (r == -EBADMSG)
            continue;
        if (r <= 0)
            return;
        /* Only the davitd that runs now, which davit-init itself has started. Its pid cannot be somebody
         * else's: davit-init has not reaped it. A faked pid needs privileges in our user namespace (unix(7)).
         */
        if (m->pid > 0 && m->pid == k->parts[PART_MANAGER].pid && (m->uid == 0 || m->uid == geteuid()))
            take_message(k, m);
        notify_message_done(m);
    }
}
