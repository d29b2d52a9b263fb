/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `davit analyze` knows of a boot: the reply to io.davit.Manager.GetBoot, sorted. Times in microseconds
 * on davitd's CLOCK_MONOTONIC. */
#pragma once

#include "base/boot_times.h"
#include "base/json.h"

struct unit_start {
    const char *name;  /* borrowed from the reply */
    usec_t begin, end; /* end 0: it is still at it */
    json_t *after;
};

struct boot_data {
    const char *target;
    struct boot_times times;
    usec_t load, loaded; /* davitd reads the unit files */
    usec_t first_start;  /* the first process of a unit is asked for */
    struct boot_work {
        usec_t init, boot, boot_other, manager;
    } work;                    /* processor time up to there; 0 = not known */
    bool machine;              /* times count from the start of the kernel */
    struct unit_start *starts; /* by begin */
    size_t n_starts;
};
/* The reply has to live as long. 0 or -ENOMEM. */
int boot_data_read(json_t *reply, struct boot_data *ret);
void boot_data_done(struct boot_data *b);
/* 0 for a start that is not over. */
static inline usec_t start_duration(const struct unit_start *s) {
    return s->end > s->begin ? s->end - s->begin : 0;
}
/* The start of that unit, or NULL. */
const struct unit_start *boot_data_find(const struct boot_data *b, const char *name);
/* Of the units that s comes after, the one that held it up: the last to be ready before s began. NULL if
 * there is none. */
const struct unit_start *boot_data_before(const struct boot_data *b, const struct unit_start *s);

/* The boot as a picture: SVG on f. 0 or -EIO. */
int boot_plot(const struct boot_data *b, FILE *f);
