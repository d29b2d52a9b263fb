/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens in which state: one row a state, one column an event. A pair that is meant to do nothing says
 * so (IGNORED); a pair that is not written down does not compile.
 *
 * Handlers do not call each other across events: an event that is raised while a handler runs waits in its
 * unit's queue until the handler has returned. The queue is drained before the outermost unit_event()
 * returns, and not by an event source of its own, because "peek, act, save, consume" (manager.h) needs an
 * exit to have been acted upon when the feed is consumed.
 */
#include "manager/core.h"

static void nothing(struct managed_unit *u _unused_) {}
#define IGNORED nothing

/* The columns, in the order of enum unit_event. A macro with a parameter for each, so that a row of the wrong
 * length does not compile. */
#define ROW(start, prepared, failure, launched, ready, main_exit, control_exit, empty, stop, reload, \
    reloading, stopping, timeout, watchdog, oom, cleaned) \
    { \
        [EVENT_START] = start, [EVENT_PREPARED] = prepared, [EVENT_FAILURE] = failure, \
        [EVENT_LAUNCHED] = launched, [EVENT_READY] = ready, [EVENT_MAIN_EXIT] = main_exit, \
        [EVENT_CONTROL_EXIT] = control_exit, [EVENT_EMPTY] = empty, [EVENT_STOP] = stop, \
        [EVENT_RELOAD] = reload, [EVENT_RELOADING] = reloading, [EVENT_STOPPING] = stopping, \
        [EVENT_TIMEOUT] = timeout, [EVENT_WATCHDOG] = watchdog, [EVENT_OOM] = oom, [EVENT_CLEANED] = cleaned \
    }
_Static_assert(_EVENT_COUNT == 16, "ROW has a column for each event");

static void on_backoff_over(struct managed_unit *u) {
    unit_follow_up(u, FOLLOW_RESTART);
}

/* clang-format off */
static const unit_handler_t table[][_EVENT_COUNT] = {
    /* A clean-up that took too long may end here: nobody waits for it any more. A time-out is that of a client of
     * `davit run` that has not come back. */
    [STATE_INACTIVE] = ROW(
        /* start      */ unit_begin_start,
        /* prepared   */ IGNORED,
        /* failure    */ IGNORED,
        /* launched   */ IGNORED,
        /* ready      */ IGNORED,
        /* main exit  */ IGNORED,
        /* ctrl exit  */ IGNORED,
        /* empty      */ IGNORED,
        /* stop       */ IGNORED,
        /* reload     */ IGNORED,
        /* reloading  */ IGNORED,
        /* stopping   */ IGNORED,
        /* timeout    */ run_forget_key,
        /* watchdog   */ IGNORED,
        /* oom        */ IGNORED,
        /* cleaned    */ IGNORED),
    [STATE_WAITING] = ROW(
        /* start      */ unit_begin_start,
        /* prepared   */ IGNORED,
        /* failure    */ IGNORED,
        /* launched   */ IGNORED,
        /* ready      */ IGNORED,
        /* main exit  */ IGNORED,
        /* ctrl exit  */ IGNORED,
        /* empty      */ IGNORED,
        /* stop       */ unit_on_stop_waiting,
        /* reload     */ IGNORED,
        /* reloading  */ IGNORED,
        /* stopping   */ IGNORED,
        /* timeout    */ IGNORED,
        /* watchdog   */ IGNORED,
        /* oom        */ IGNORED,
        /* cleaned    */ IGNORED),
    [STATE_PREPARING] = ROW(
        /* start      */ IGNORED,
        /* prepared   */ unit_on_prepared,
        /* failure    */ unit_on_prepare_failure,
        /* launched   */ IGNORED,
        /* ready      */ IGNORED,
        /* main exit  */ IGNORED,
        /* ctrl exit  */ IGNORED,
        /* empty      */ IGNORED,
        /* stop       */ unit_on_stop_preparing,
        /* reload     */ IGNORED,
        /* reloading  */ IGNORED,
        /* stopping   */ IGNORED,
        /* timeout    */ unit_on_prepare_timeout,
        /* watchdog   */ IGNORED,
        /* oom        */ IGNORED,
        /* cleaned    */ IGNORED),
    [STATE_STARTING] = ROW(
        /* start      */ IGNORED,
        /* prepared   */ IGNORED,
        /* failure    */ unit_on_launch_failure,
        /* launched   */ unit_on_launched,
        /* ready      */ unit_on_ready,
        /* main exit  */ unit_on_main_exit,
        /* ctrl exit  */ unit_on_control_exit,
        /* empty      */ IGNORED, /* the exit itself says more */
        /* stop       */ unit_on_stop,
        /* reload     */ IGNORED,
        /* reloading  */ IGNORED,
        /* stopping   */ unit_on_stopping,
        /* timeout    */ unit_on_start_timeout,
        /* watchdog   */ unit_on_watchdog,
        /* oom        */ unit_on_oom,
        /* cleaned    */ IGNORED),
    [STATE_RUNNING] = ROW(
        /* start      */ IGNORED,
        /* prepared   */ IGNORED,
        /* failure    */ unit_on_launch_failure, /* Type=simple is running before it is launched */
        /* launched   */ IGNORED,
        /* ready      */ IGNORED,
        /* main exit  */ unit_on_main_exit,
        /* ctrl exit  */ IGNORED,
        /* empty      */ IGNORED,
        /* stop       */ unit_on_stop,
        /* reload     */ unit_begin_reload,
        /* reloading  */ unit_on_reloading,
        /* stopping   */ unit_on_stopping,
        /* timeout    */ unit_on_runtime_max,
        /* watchdog   */ unit_on_watchdog,
        /* oom        */ unit_on_oom,
        /* cleaned    */ IGNORED),
    [STATE_RELOADING] = ROW(
        /* start      */ IGNORED,
        /* prepared   */ IGNORED,
        /* failure    */ unit_on_launch_failure,
        /* launched   */ IGNORED,
        /* ready      */ unit_on_ready,
        /* main exit  */ unit_on_main_exit,
        /* ctrl exit  */ unit_on_control_exit,
        /* empty      */ IGNORED,
        /* stop       */ unit_on_stop,
        /* reload     */ IGNORED, /* the job waits for its turn */
        /* reloading  */ unit_on_reload_begun,
        /* stopping   */ unit_on_stopping,
        /* timeout    */ unit_on_reload_timeout,
        /* watchdog   */ unit_on_watchdog,
        /* oom        */ unit_on_oom,
        /* cleaned    */ IGNORED),
    [STATE_STOPPING] = ROW(
        /* start      */ IGNORED,
        /* prepared   */ IGNORED,
        /* failure    */ unit_on_launch_failure,
        /* launched   */ IGNORED,
        /* ready      */ IGNORED,
        /* main exit  */ unit_on_main_exit,
        /* ctrl exit  */ unit_on_control_exit,
        /* empty      */ unit_on_stop_progress,
        /* stop       */ unit_on_stop_again,
        /* reload     */ IGNORED,
        /* reloading  */ IGNORED,
        /* stopping   */ IGNORED,
        /* timeout    */ unit_on_stop_timeout,
        /* watchdog   */ IGNORED,
        /* oom        */ unit_on_oom,
        /* cleaned    */ unit_on_cleaned),
    [STATE_BACKOFF] = ROW(
        /* start      */ unit_begin_start,
        /* prepared   */ IGNORED,
        /* failure    */ IGNORED,
        /* launched   */ IGNORED,
        /* ready      */ IGNORED,
        /* main exit  */ IGNORED,
        /* ctrl exit  */ IGNORED,
        /* empty      */ IGNORED,
        /* stop       */ unit_on_stop_backoff,
        /* reload     */ IGNORED,
        /* reloading  */ IGNORED,
        /* stopping   */ IGNORED,
        /* timeout    */ on_backoff_over,
        /* watchdog   */ IGNORED,
        /* oom        */ IGNORED,
        /* cleaned    */ IGNORED),
    [STATE_FAILED] = ROW(
        /* start      */ unit_begin_start,
        /* prepared   */ IGNORED,
        /* failure    */ IGNORED,
        /* launched   */ IGNORED,
        /* ready      */ IGNORED,
        /* main exit  */ IGNORED,
        /* ctrl exit  */ IGNORED,
        /* empty      */ IGNORED,
        /* stop       */ IGNORED,
        /* reload     */ IGNORED,
        /* reloading  */ IGNORED,
        /* stopping   */ IGNORED,
        /* timeout    */ run_forget_key,
        /* watchdog   */ IGNORED,
        /* oom        */ IGNORED,
        /* cleaned    */ IGNORED),
};
/* clang-format on */
_Static_assert(ARRAY_SIZE(table) == _STATE_COUNT, "a row for each state");

unit_handler_t unit_handler(enum unit_state state, enum unit_event event) {
    return table[state][event] == IGNORED ? NULL : table[state][event];
}

void unit_event(struct managed_unit *u, enum unit_event event) {
    struct manager *m = u->manager;

    /* Each at most once: a second one that comes before the first is handled would say nothing new. */
    for (unsigned i = 0; i < u->n_events; i++)
        if (u->events[i] == event)
            return;
    u->events[u->n_events++] = (uint8_t)event;
    if (list_empty(&u->event_link))
        list_append(&m->event_queue, &u->event_link);
    if (m->handling_events)
        return;

    m->handling_events = true;
    while (!list_empty(&m->event_queue)) {
        struct managed_unit *next = LIST_ENTRY(m->event_queue.next, struct managed_unit, event_link);
        enum unit_event e = next->events[0];

        memmove(next->events, next->events + 1, --next->n_events);
        list_remove(&next->event_link);
        if (next->n_events > 0)
            list_append(&m->event_queue, &next->event_link);
        table[next->state][e](next);
    }
    m->handling_events = false;
}
