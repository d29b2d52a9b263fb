/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One request on its way through the server: who asked, what, and how it is answered.
 *
 * A handler answers with call_reply() or returns an error, or leaves the call open and answers from a
 * callback of the manager, to which the call is the userdata. The last answer frees the call. When its client
 * goes, the call is taken back from the manager (api_forget_client(), api_unsubscribe()) and freed, so no
 * callback ever sees a dead one.
 */
#pragma once

#include "base/id128.h"
#include "control/server.h"

/* Every parameter that any method takes, decoded. Strings live as long as the call; absent ones are NULL,
 * numbers their defaults. */
struct arguments {
    const char *unit, *mode, *whom, *name, *unit_text, *user, *working_dir, *session, *interface, *key;
    const char *action, *argument, *message;
    uint64_t when;
    char **argv, **environment;
    bool wait, keep, privileged, no_wall, again;
    int signal, status, pid;
    int stdio[3], terminal; /* positions of descriptors, -1 = none */
};

struct method;

struct call {
    struct connection *connection;
    const struct method *method;
    json_t *request;
    struct arguments arguments;
    struct varlink_message message; /* for its descriptors */
    bool more, oneway;
    bool answered; /* the last reply is out */
    bool
        in_handler; /* the manager may call back from inside an api_ function: freed by the dispatcher then */
    bool subscribed;          /* has a listener at the manager */
    bool attached;            /* Exec, Run: a program works for this client */
    char session[ID128_TEXT]; /* Exec, Run */
    char *unit;               /* Run, jobs: full name */
};

/* Takes one request, dispatches it, and answers what is wrong with it. The message's descriptors are taken
 * over. -EBADMSG if it is no Varlink request at all: the client is not worth talking to. */
int call_dispatch(struct connection *n, struct varlink_message *m);
/* The client is gone. */
void call_abandon(struct call *c);

/* parameters are taken over in all of these; NULL means none, or that they could not be made (out of memory).
 */
void call_reply(struct call *c, json_t *parameters);
void call_reply_more(struct call *c, json_t *parameters);
/* name: "io.davit.Unit.NoSuchSession" */
void call_error(struct call *c, const char *name, json_t *parameters);
/* The error of an api_ function (negative errno), named by the method's interface: NoSuchUnit, InvalidUnit,
 * ... */
void call_fail(struct call *c, int number, const struct error *e);

struct call *control_find_session(struct control *control, const char *session);
