/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The client's side of the control socket, for the command line: it waits, with a time limit, where the
 * server never does.
 */
#pragma once

#include "base/clock.h"
#include "control/varlink.h"

struct client;

enum client_flags {
    CLIENT_MORE = 1 << 0,
    CLIENT_ONEWAY = 1 << 1,
};

struct client_reply {
    json_t *parameters; /* never NULL, an object */
    char *error;        /* name of the error, NULL = success */
    bool continues;
};
void client_reply_done(struct client_reply *r);
/* What the error says to a person. Valid as long as the reply, and until the next call. */
const char *client_reply_message(const struct client_reply *r);
/* True if the error's name ends so: "NoSuchUnit". */
bool client_reply_is(const struct client_reply *r, const char *error);

/* Connects to <runtime>/control or, for questions by a user who may not use that, <runtime>/status. While
 * davitd is being restarted the socket is there and nobody listens: that is waited out for a moment. Errors
 * come with a hint in *e. */
int client_open(const char *runtime_dir, bool read_only, struct client **ret, struct error *e);
void client_free(struct client *c);
DEFINE_CLEANUP(struct client *, client_free)

/* Sends a request. parameters (may be NULL) are taken over, fds stay the caller's. */
int client_send(struct client *c, const char *method, json_t *parameters, enum client_flags flags,
    const int *fds, size_t n_fds, struct error *e);
/* Waits for the next reply. timeout: USEC_INFINITY = for ever. -ETIMEDOUT, -ECONNRESET (the server is gone).
 */
int client_receive(struct client *c, usec_t timeout, struct client_reply *ret, struct error *e);
/* The same without waiting: -EAGAIN. */
int client_poll(struct client *c, struct client_reply *ret, struct error *e);
/* To wait on, for POLLIN, before client_poll(). */
int client_fd(const struct client *c);

/* Sends and waits for the one reply. An error reply is 0 as well: see ret->error. A davitd that ends before it has
 * answered a mere question is no answer: the next one is asked, by a new connection (client_fd() changes, and what was
 * under way on the old one is gone). Whatever changes something is asked once: -ECONNRESET. */
int client_call(struct client *c, const char *method, json_t *parameters, usec_t timeout,
    struct client_reply *ret, struct error *e);
