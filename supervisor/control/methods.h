/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of methods: what the .varlink files promise, and who keeps it. A test compares the two.
 */
#pragma once

#include "control/call.h"

struct managed_unit;

enum method_flags {
    METHOD_WRITES = 1 << 0,     /* changes something: not on the status socket */
    METHOD_NEEDS_MORE = 1 << 1, /* makes no sense as a single answer */
    METHOD_UNIT = 1 << 2,       /* `unit` is looked up before, and must be there */
};

#define METHOD_PARAMETERS_MAX 13

struct method {
    const char *interface, *name;
    unsigned flags;
    /* 0, or negative errno with *e: answered by the dispatcher. u is NULL without METHOD_UNIT. */
    int (*handler)(struct call *c, struct managed_unit *u, struct error *e);
    const char *parameters[METHOD_PARAMETERS_MAX]; /* by name, see call.c; "!name" = must be there */
};
extern const struct method methods[];
extern const size_t n_methods;

/* The interface files, as built in. NULL after the last. */
const char *interface_name(size_t i);
const char *interface_text(const char *name);

int method_exec(struct call *c, struct managed_unit *u, struct error *e);
int method_attach(struct call *c, struct managed_unit *u, struct error *e);
int method_run(struct call *c, struct managed_unit *u, struct error *e);
int method_signal(struct call *c, struct managed_unit *u, struct error *e);
