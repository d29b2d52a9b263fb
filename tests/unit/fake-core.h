/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A manager without its core, for tests of the rooms around it: units come from text, events are only
 * counted. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "manager/manager.h"
#include "manager/rooms.h"

struct fake_core {
    struct manager m;
    char directory[64]; /* everything is below it: run/, state/, units/, log/ */
    unsigned events[_EVENT_COUNT];
    unsigned watchdog_pings;
    usec_t extended, watchdog_set;
    char kept_text[64]; /* of which unit last */
};
extern struct fake_core *fake;

/* Sets fake up in a new directory; fake_core_done() removes it again. */
void fake_core_new(void);
void fake_core_done(void);
/* The same, as cmocka has it. */
int fake_core_setup(void **state);
int fake_core_teardown(void **state);
/* Writes units/NAME and loads it. */
struct managed_unit *fake_unit(const char *name, const char *text);
/* Turns the loop until nothing more happens within a moment. */
void fake_turn(void);
