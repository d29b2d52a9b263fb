/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: unit/fake-api.c */
/*
 * Whatever a client writes: through framing, parser and dispatcher to a manager that only pretends. The first
 * byte chooses the socket (control or status) and whether jobs end at once; the rest is the stream as it
 * comes, with a NUL at the end.
 */
#include <fcntl.h>
#include <sys/socket.h>

#include "../unit/fake-api.h"
#include "base/log.h"
#include "control/server.h"
#include "fuzz.h"

static void run(sd_event *event) {
    while (sd_event_run(event, 0) > 0)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct manager manager;
    static struct control *control;
    int pair[2];

    if (size == 0)
        return 0;
    if (!control) {
        log_set_level(LOG_EMERG);
        manager.settings.max_clients_per_uid = 8;
        expect(sd_event_new(&manager.event) >= 0 && control_new_detached(&manager, &control) >= 0);
    }
    fake_reset();
    fake.immediate = data[0] & 2;
    expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    expect(control_add_client(control, pair[1], data[0] & 1) >= 0);
    (void)send(pair[0], data + 1, size - 1, MSG_NOSIGNAL);
    (void)send(pair[0], "", 1, MSG_NOSIGNAL);
    run(manager.event);
    /* What was left open goes on, in the order in which a manager would call back. */
    fake_event(json_pack("{ss}", "event", "state"));
    fake_finish_jobs(JOB_DONE, "done");
    if (fake.n_execs > 0)
        fake_exec_started(0, 1, NULL);
    run(manager.event);
    (void)close(pair[0]);
    run(manager.event);
    expect(control->n_connections == 0);
    return 0;
}
