/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "control/signals.h"

#include <signal.h>
#include <systemd/sd-event.h>

#include "base/log.h"
#include "control/server.h"
#include "manager/manager.h"

static void on_terminate(struct manager *m, _unused_ const char *argument) {
    log_notice("Asked to end: stopping everything");
    (void)manager_stop_all(m);
}

static void reload_done(_unused_ void *userdata, unsigned units, unsigned problems, const struct error *e) {
    if (e)
        log_error("Reload: %s", e->text);
    else
        log_info("Reloaded: %u units, %u problems", units, problems);
}

void reload_and_log(struct manager *m) {
    struct error e = {};

    if (api_reload(m, reload_done, NULL, &e) < 0)
        log_error("Reload: %s", e.text);
}

static void on_hangup(struct manager *m, _unused_ const char *argument) {
    reload_and_log(m);
}

static void on_reexecute(struct manager *m, _unused_ const char *argument) {
    struct error e = {};

    if (api_reexecute(m, &e) < 0)
        log_error("Cannot be replaced: %s", e.text);
}

/* Whoever has removed the sockets, or mounted something over them, gets them back. */
static void on_reopen(struct manager *m, _unused_ const char *argument) {
    struct error e = {};

    if ((m->control ? control_listen(m->control, &e) : control_new(m, &e)) < 0)
        log_error("Control socket: %s", e.text);
    else
        log_notice("Control sockets are open again");
}

static void on_dump(struct manager *m, _unused_ const char *argument) {
    struct managed_unit *u;

    HASHMAP_FOREACH (u, m->units)
        log_notice("%s: %s, %s%s", u->name, unit_state_name(u->state), unit_result_name(u->result),
            u->job ? ", has a job" : "");
}

static void start(struct manager *m, const char *name, enum job_mode mode) {
    struct managed_unit *u;
    struct error e = {};

    int r = api_find_unit(m, name, &u, &e);
    if (r >= 0)
        r = api_queue_job(m, u, JOB_START, mode, NULL, NULL, &e);
    if (r < 0)
        log_error("Cannot go to %s: %s", name, e.text);
}

static void on_isolate(struct manager *m, const char *target) {
    start(m, target ?: m->settings.default_target, JOB_MODE_ISOLATE);
}

/* Alt-ArrowUp. Most machines have nothing for it. */
static void on_keyboard_request(struct manager *m, const char *target) {
    if (manager_find(m, target))
        start(m, target, JOB_MODE_REPLACE);
}

static void on_debug(struct manager *m, const char *level) {
    log_set_level(level ? LOG_DEBUG : m->settings.log_level);
}

static const struct {
    int number;
    bool realtime;
    void (*answer)(struct manager *m, const char *argument);
    const char *argument;
} table[] = {
    {SIGTERM, false, on_terminate, NULL},
    {SIGINT, false, on_terminate, NULL},
    {SIGHUP, false, on_hangup, NULL},
    {SIGUSR1, false, on_reopen, NULL},
    {SIGUSR2, false, on_dump, NULL},
    {SIGWINCH, false, on_keyboard_request, "kbrequest.target"},
    {0, true, on_isolate, NULL},
    {1, true, on_isolate, "rescue.target"},
    {2, true, on_isolate, "emergency.target"},
    {22, true, on_debug, "debug"},
    {23, true, on_debug, NULL},
    {25, true, on_reexecute, NULL},
};

static int number_of(size_t i) {
    return table[i].realtime ? SIGRTMIN + table[i].number : table[i].number;
}

static int on_signal(_unused_ sd_event_source *s, const struct signalfd_siginfo *info, void *userdata) {
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (number_of(i) == (int)info->ssi_signo)
            table[i].answer(userdata, table[i].argument);
    return 0;
}

int signals_watch(struct manager *m) {
    sigset_t set;
    int r = 0;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        (void)sigaddset(&set, number_of(i));
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(table) && r >= 0; i++)
        r = sd_event_add_signal(m->event, NULL, number_of(i), on_signal, m);
    return r;
}
