/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A `davit run` or `davit exec` whose davitd died. The container does not notice, and neither shall the one
 * who waits for it: the next davitd knows the unit, so its events tell when the program ends, and the unit's
 * description how. A command of exec it knows by its pid or, before that was told, by the key of the request (session.c).
 */
#pragma once

#include "cli/cli.h"

/* Connects to the next davitd, once it is there: replaces c->client. 0 or -errno with *e. */
int resume_connect(struct cli *c, struct error *e);
/* Connects to the next davitd and asks for events. 0; 1 if the program ended meanwhile, *ret_status is what
 * to exit with; or -errno with *e. Replaces c->client. */
int resume_start(struct cli *c, const char *unit, int *ret_status, struct error *e);
/* A reply to that: 0 if it is not the end of the unit's program, 1 with *ret_status if it is. */
int resume_reply(struct cli *c, const char *unit, const struct client_reply *r, int *ret_status);
/* The same for a command that `davit exec` runs: the next davitd is asked to tell of its end as the last one
 * would have. 0 or -errno with *e; the replies are those of an exec. */
int resume_exec(struct cli *c, const char *unit, int64_t pid, struct error *e);
/* The session's number means nothing to the new davitd: the signal goes to the unit. */
void resume_signal(struct cli *c, const char *unit, int number);
