/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Time. A unit has one source for each thing that it waits for, made when it is needed and gone afterwards,
 * so that an idle fleet has none and causes no wake-up. Tests replace this file by a clock of their own.
 */
#include "manager/core.h"

usec_t core_now(void) {
    return now_monotonic();
}

/* sd-event puts timers together that lie within each other's accuracy: the longer the wait, the less it
 * matters. */
static usec_t accuracy_of(usec_t delay) {
    return CLAMP(delay / 64, USEC_PER_MSEC, USEC_PER_SEC);
}

static int on_timer(struct managed_unit *u, enum unit_timer which) {
    unit_timer_cancel(u, which);
    unit_timer_fired(u, which);
    return 0;
}

#define DEFINE_HANDLER(name, which) \
    static int name(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) { \
        return on_timer(userdata, which); \
    }
DEFINE_HANDLER(on_state, TIMER_STATE)
DEFINE_HANDLER(on_watchdog, TIMER_WATCHDOG)
DEFINE_HANDLER(on_runtime, TIMER_RUNTIME)
DEFINE_HANDLER(on_stable, TIMER_STABLE)
DEFINE_HANDLER(on_oom, TIMER_OOM)
DEFINE_HANDLER(on_job, TIMER_JOB)
DEFINE_HANDLER(on_needs, TIMER_NEEDS)
DEFINE_HANDLER(on_poll, TIMER_POLL)

static const sd_event_time_handler_t handlers[] = {
    [TIMER_STATE] = on_state,
    [TIMER_WATCHDOG] = on_watchdog,
    [TIMER_RUNTIME] = on_runtime,
    [TIMER_STABLE] = on_stable,
    [TIMER_OOM] = on_oom,
    [TIMER_JOB] = on_job,
    [TIMER_NEEDS] = on_needs,
    [TIMER_POLL] = on_poll,
};
_Static_assert(ARRAY_SIZE(handlers) == _TIMER_COUNT, "a handler for each timer");

void unit_timer_set(struct managed_unit *u, enum unit_timer which, usec_t at) {
    usec_t now = core_now();
    int r;

    if (at == USEC_INFINITY) {
        unit_timer_cancel(u, which);
        return;
    }
    if (u->timers[which]) {
        /* A watchdog is moved with each WATCHDOG=1; its accuracy was fixed when it was made. */
        r = sd_event_source_set_time(u->timers[which], at);
        if (r >= 0)
            r = sd_event_source_set_enabled(u->timers[which], SD_EVENT_ONESHOT);
    } else {
        r = sd_event_add_time(u->manager->event, &u->timers[which], CLOCK_MONOTONIC, at,
            accuracy_of(at > now ? at - now : 0), handlers[which], u);
        if (r >= 0)
            r = sd_event_source_set_priority(u->timers[which], PRIORITY_TIMER);
    }
    if (r < 0)
        log_errno(LOG_ERR, r, "%s: cannot set a timer", u->name);
}

void unit_timer_cancel(struct managed_unit *u, enum unit_timer which) {
    if (u->timers[which])
        u->timers[which] = sd_event_source_disable_unref(u->timers[which]);
}

bool unit_timer_is_set(const struct managed_unit *u, enum unit_timer which) {
    return u->timers[which];
}
