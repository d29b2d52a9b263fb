/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/resume.h"

/* A davitd that left in order took its sockets away, and comes back soon or, where all of davit ends, never.
 * One that was killed is started again for ever; an exit status is worth waiting for it. */
#define RETURN_PATIENCE_USEC (3 * USEC_PER_SEC)
#define EXIT_STATUS_PATIENCE_USEC (30 * USEC_PER_SEC)
#define RETURN_INTERVAL_USEC (50 * USEC_PER_MSEC)

int resume_connect(struct cli *c, struct error *e) {
    usec_t begin = now_monotonic(), patience;
    int r;
    client_free(TAKE_PTR(c->client));
    for (;;) {
        r = client_open(c->paths.runtime, false, &c->client, e);
        patience = r == -ENOENT ? RETURN_PATIENCE_USEC : r == -ECONNREFUSED ? EXIT_STATUS_PATIENCE_USEC : 0;
        if (now_monotonic() >= usec_add(begin, patience))
            return r;
        (void)usleep(RETURN_INTERVAL_USEC);
    }
}

int resume_attach(struct cli *c, const char *unit, const char *key, struct error *e) {
    int r = resume_connect(c, e);
    return r < 0 ? r
                 : client_send(c->client, "io.davit.Unit.Attach",
                       unit_parameters(unit, "key", json_string(key)), CLIENT_MORE, NULL, 0, e);
}
