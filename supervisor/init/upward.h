/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store (store.h), kept once more by whoever started davit-init. Where davit-init is not PID 1 it can be
 * killed, and with it goes what it keeps: notify sockets that containers write to, FIFOs, and what
 * davit-logd must not forget. systemd keeps descriptors for a service just as davit-init does for davitd, by
 * the same words (FDSTORE=1, FDNAME=), and gives them to the main process that comes next.
 *
 *   $FDSTORE      says that descriptors are kept above, and how many: systemd 254 and later sets it; for
 *                 earlier ones davit.service does. Without it, or with 0, nothing goes up
 *   LISTEN_FDS    of a start: what a davit-init before this one had in its store
 *
 * Nothing is sent at once. What is in the store after UPWARD_DELAY goes up; most of what a start or the end
 * of a container stores is gone again by then. If the queue above is full, what is left waits for the next
 * time. systemd drops a descriptor only when it is told to, or with the service.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"

struct keeper;

struct upward {
    bool on;
    bool logd_state; /* that memory is kept above as well */
    usec_t at;       /* something is to be said then; USEC_INFINITY = all is said */
};

#define UPWARD_DELAY (50 * USEC_PER_MSEC)
#define UPWARD_LOGD_STATE "logd-state"

/* Descriptors 3, 4, ... that were kept for this process: how many. From the environment, before it is
 * cleared. */
size_t upward_inherited(void);
/* Takes them into the store, and learns whether there is somebody to keep more. */
void upward_open(struct keeper *k);
/* The store, or davit-logd's memory, is another one now. */
void upward_changed(struct keeper *k);
/* Says what there is to say. */
void upward_tell(struct keeper *k);
