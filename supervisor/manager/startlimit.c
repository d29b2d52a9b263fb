/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* StartLimitIntervalSec= and StartLimitBurst=: systemd's rate limit. A window opens with the first start, and
 * within its interval at most burst starts are allowed; the first one after it opens the next window. */
#include "manager/core.h"

bool start_limit_allows(struct start_limit *l, usec_t interval, unsigned burst, usec_t now) {
    if (interval == 0 || burst == 0)
        return true;
    if (l->window_begin == 0 || now >= usec_add(l->window_begin, interval)) {
        l->window_begin = now;
        l->count = 1;
        return true;
    }
    if (l->count >= burst)
        return false;
    l->count++;
    return true;
}

#define DEFAULT_CAP (30 * USEC_PER_SEC)

usec_t start_limit_cap(const struct service_section *s) {
    if (s->restart_max_delay != USEC_INFINITY)
        return MAX(s->restart_max_delay, s->restart_sec);
    return MAX(s->restart_sec, DEFAULT_CAP);
}
