/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which hooks belong to which step. */
#include "manager/core.h"

const struct exec_list *unit_step_commands(
    const struct managed_unit *u, enum unit_state state, enum unit_step step) {
    const struct service_section *s = &u->config->service;

    if (state == STATE_RELOADING)
        return &s->reload;
    switch (step) {
    case STEP_CONDITION:
        return &s->exec_condition;
    case STEP_START_PRE:
        return &s->start_pre;
    case STEP_START_POST:
        return &s->start_post;
    case STEP_STOP:
        return &s->stop;
    case STEP_STOP_POST:
        return &s->stop_post;
    default:
        return NULL;
    }
}

const struct exec_command *unit_current_hook(const struct managed_unit *u) {
    const struct exec_list *l = u->config ? unit_step_commands(u, u->state, u->step) : NULL;

    return l && u->control_index < l->count ? &l->commands[u->control_index] : NULL;
}
