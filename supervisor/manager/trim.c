/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The answer to a `davit status` of a thousand units, or a reload, needs a megabyte or two for a moment.
 * malloc(3) keeps what is not at the top of its heap, and on a small machine that is memory the containers
 * could have. So a while after the last such moment the free pages are given back: one wake-up after
 * activity, none without.
 */
#include <malloc.h>

#include "manager/core.h"

#define TRIM_DELAY (2 * USEC_PER_SEC)

static int on_trim(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata _unused_) {
    (void)malloc_trim(0);
    return 0;
}

void manager_trim_later(struct manager *m) {
    int r;

    if (m->trim) {
        (void)sd_event_source_set_time_relative(m->trim, TRIM_DELAY);
        (void)sd_event_source_set_enabled(m->trim, SD_EVENT_ONESHOT);
        return;
    }
    r = sd_event_add_time_relative(m->event, &m->trim, CLOCK_MONOTONIC, TRIM_DELAY, USEC_PER_SEC, on_trim, m);
    if (r >= 0)
        (void)sd_event_source_set_priority(m->trim, PRIORITY_SAVE);
}
