/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket's server, in davitd's event loop: <runtime>/control (0600, everything) and
 * <runtime>/status (0666, questions only).
 *
 * It owns the sockets, the connections and their calls. A connection has one call at a time: Varlink answers
 * in the order of the questions, so while a call waits for its job nothing more is read from its client, and
 * a client that wants two things at once opens two connections. It never writes a unit's state and never
 * waits: what is to be done goes through manager/api.h, and its completion comes back as a callback with the
 * struct call as userdata.
 *
 * No client can hold the manager up: requests are bounded (1 MiB, 64 KiB on the status socket), a client that
 * does not read is not asked for more and is dropped at 4 MiB, connections per user and new connections per
 * time are bounded, and all sources run at the lowest priority.
 */
#pragma once

#include <sys/socket.h>
#include <systemd/sd-event.h>

#include "base/error.h"
#include "base/list.h"
#include "control/varlink.h"

struct manager;
struct call;

#define CONTROL_REQUEST_MAX_READ_ONLY (64U * 1024)
/* More connections than this to one of the sockets, over all users, are refused. */
#define CONTROL_CONNECTIONS_MAX 1024U

struct control {
    struct manager *manager;
    struct list connections;
    unsigned n_connections;
    struct list runnable; /* connections with requests that wait in their buffer, or that are to be dropped */
    sd_event_source *run; /* on while runnable is not empty */
    sd_event_source *listeners[2];
    int reserve_fd; /* given up for a moment to refuse a connection when there are no descriptors left */
};

struct connection {
    struct control *control;
    struct list link, runnable;
    struct varlink_stream stream;
    sd_event_source *source;
    struct ucred peer;
    bool read_only;
    bool dropped; /* to be freed by the run source, when nobody up the stack uses it any more */
    struct call *call;
};

/* Makes both sockets, replacing what an earlier davitd left, and sets m->control. */
int control_new(struct manager *m, struct error *e);
/* Makes the sockets anew, for new clients; those that are there stay. On failure the old ones are still there. */
int control_listen(struct control *c, struct error *e);
/* Drops all clients and removes the sockets. */
void control_free(struct control *c);

/* The part of control_new() without sockets, and the part of accepting behind accept(): what tests talk to.
 */
int control_new_detached(struct manager *m, struct control **ret);
int control_add_client(struct control *c, int fd, bool read_only);

/* ---- for call.c ---- */
/* Queues a reply and sends what can be sent. A client that does not read is marked as dropped. */
void connection_send(struct connection *n, json_t *object, const int *fds, size_t n_fds);
/* The call is over: go on with what the client asked meanwhile. */
void connection_call_done(struct connection *n);
