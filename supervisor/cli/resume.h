/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A `davit run` or `davit exec` whose davitd died. The program does not notice, and neither shall the one who
 * waits for it: the next davitd knows it by the key of the request.
 */
#pragma once

#include "cli/cli.h"

/* Connects to the next davitd, once it is there: replaces c->client. 0 or -errno with *e. */
int resume_connect(struct cli *c, struct error *e);
/* Connects to the next davitd and asks it to tell of the end as the last one would have. 0 or -errno with *e; the
 * replies are those of the request with that key. */
int resume_attach(struct cli *c, const char *unit, const char *key, struct error *e);
