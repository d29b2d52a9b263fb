/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What davitd knows of the boot it is part of: what davit-init told it by its environment (target and log
 * level of the kernel's command line, times), what davit-boot left in its report, and when the default target
 * was reached, which it tells davit-init in turn, so that a later davitd knows it too.
 */
#pragma once

#include <jansson.h>

#include "base/boot_times.h"

struct manager;

struct manager_boot {
    char *target;  /* instead of default_target; NULL = not said */
    int log_level; /* instead of log_level; -1 = not said */
    struct boot_times times;
    usec_t units_load, units_loaded; /* of the first davitd only, 0 = somebody else's */
    usec_t first_start;              /* likewise: a unit's first process is asked for */
    usec_t work;                     /* processor time that this davitd has used up to there */
};

/* Takes the environment. Without one (under systemd, in a test) nothing is known but our own times. */
void boot_read_environment(struct manager_boot *b);
void manager_boot_done(struct manager_boot *b);
/* A process of a unit is asked for: of the first one in a boot the time is kept. */
static inline void boot_note_start(struct manager_boot *b) {
    if (b->first_start != 0 || b->units_load == 0)
        return;
    b->first_start = now_monotonic();
    b->work = clock_usec(CLOCK_PROCESS_CPUTIME_ID);
}
/* After each job: the first time that none is left the boot is over. */
void boot_check_finished(struct manager *m);
/* What davit-boot could not do, as io.davit.Manager.Problem, and why the machine booted. */
void boot_add_report(struct manager *m, json_t *problems, json_t *reasons);
/* For `davit analyze`: NULL when out of memory. */
json_t *api_boot_json(struct manager *m);
