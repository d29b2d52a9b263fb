/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/lost.h"

#include "base/log.h"
#include "init/run.h"

void lost_begin(struct keeper *k) {
    if (k->manager_lost_at == USEC_INFINITY)
        k->manager_lost_at = now_monotonic();
}

void lost_end(struct keeper *k) {
    k->manager_lost_at = USEC_INFINITY;
}

usec_t lost_deadline(const struct keeper *k) {
    usec_t patience = k->boot.options.manager_lost;

    if (!k->boot.machine || patience == 0 || k->phase != KEEPER_RUNNING ||
        k->manager_lost_at == USEC_INFINITY)
        return USEC_INFINITY;
    return usec_add(k->manager_lost_at, patience);
}

void lost_overdue(struct keeper *k) {
    char text[TIMESPAN_MAX];

    keeper_say(k, LOG_EMERG, "no davitd has been ready for %s (davit.manager_lost=): rebooting",
        timespan_format(k->boot.options.manager_lost, USEC_PER_SEC, text));
    keeper_request_ending(
        k, (struct ending){.kind = ENDING_REBOOT, .urgency = ENDING_FORCE}, "there is no manager");
}
