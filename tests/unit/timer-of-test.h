/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sd_event_add_time_relative(3), where the test is told of each timer that is made: it can be over at once then. */
#pragma once

#include <systemd/sd-event.h>

static void timer_made(uint64_t usec, sd_event_source *timer);

int __real_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock, uint64_t usec,
    uint64_t accuracy, sd_event_time_handler_t callback, void *userdata);
int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock, uint64_t usec,
    uint64_t accuracy, sd_event_time_handler_t callback, void *userdata);
int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock, uint64_t usec,
    uint64_t accuracy, sd_event_time_handler_t callback, void *userdata) {
    int r = __real_sd_event_add_time_relative(event, ret, clock, usec, accuracy, callback, userdata);

    if (r >= 0)
        timer_made(usec, *ret);
    return r;
}
