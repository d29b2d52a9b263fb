/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/resume.h"

#include "base/str.h"
#include "cli/output.h"

enum { ANSWER_SECONDS = 10 };
/* A davitd that left in order took its sockets away, and comes back soon or, where all of davit ends, never.
 * One that was killed is started again for ever; an exit status is worth waiting for it. */
#define RETURN_PATIENCE_USEC (3 * USEC_PER_SEC)
#define EXIT_STATUS_PATIENCE_USEC (30 * USEC_PER_SEC)
#define RETURN_INTERVAL_USEC (50 * USEC_PER_MSEC)

/* {"code": "exited", "status": 3} as an exit status; false if there is none, or it is not known. */
static bool exit_status(json_t *end, int *ret_status) {
    int status = (int)json_number(end, "status", 0);
    if (!json_is_object(end) || streq(json_text(end, "code"), "unknown"))
        return false;
    *ret_status = streq(json_text(end, "code"), "exited") ? status : EXIT_SIGNALLED + status;
    return true;
}

/* By a connection of its own. 1 with *ret_status if the program has ended, 0 if it runs. */
static int ask_for_end(struct cli *c, const char *unit, int *ret_status) {
    _cleanup_(client_freep) struct client *client = NULL;
    struct client_reply reply;
    usec_t patience = ANSWER_SECONDS * USEC_PER_SEC;
    int r = 1;

    *ret_status = EXIT_DAVIT_FAILED;
    if (client_open(c->paths.runtime, false, &client, NULL) < 0 ||
        client_call(client, "io.davit.Unit.Describe", unit_parameter(unit), patience, &reply, NULL) < 0)
        return 1;
    json_t *u = json_object_get(reply.parameters, "unit");
    if (reply.error)
        cli_error("%s ended while davitd was away; its exit status is not known", unit);
    else if (json_number(u, "pid", 0) > 0)
        r = 0;
    else if (!exit_status(json_object_get(u, "exit"), ret_status))
        cli_error("%s has ended; its exit status is not known", unit);
    client_reply_done(&reply);
    return r;
}

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

int resume_start(struct cli *c, const char *unit, int *ret_status, struct error *e) {
    struct client_reply reply;

    int r = resume_connect(c, e);
    if (r >= 0)
        r = client_send(c->client, "io.davit.Events.Subscribe", NULL, CLIENT_MORE, NULL, 0, e);
    if (r >= 0)
        r = client_receive(c->client, ANSWER_SECONDS * USEC_PER_SEC, &reply, e);
    if (r < 0)
        return r;
    r = reply.error ? error_set(e, EIO, "%s", client_reply_message(&reply)) : 0;
    client_reply_done(&reply);
    /* From here on no event is missed; what happened before is seen by asking. */
    return r < 0 ? r : ask_for_end(c, unit, ret_status);
}

int resume_exec(struct cli *c, const char *unit, int64_t pid, struct error *e) {
    json_t *p = unit_parameters(unit, "pid", json_integer((json_int_t)pid));

    int r = resume_connect(c, e);
    if (r < 0) {
        json_decref(p);
        return r;
    }
    return client_send(c->client, "io.davit.Unit.Attach", p, CLIENT_MORE, NULL, 0, e);
}

int resume_reply(struct cli *c, const char *unit, const struct client_reply *r, int *ret_status) {
    json_t *event = json_object_get(r->parameters, "event");
    const char *new = json_text(event, "new");

    if (!streq(json_text(event, "event"), "state") || !streq(json_text(event, "unit"), unit))
        return 0;
    if (exit_status(json_object_get(event, "exit"), ret_status))
        return 1;
    if (!streq(new, "stopping") && !streq(new, "failed") && !streq(new, "inactive"))
        return 0;
    return ask_for_end(c, unit, ret_status);
}

void resume_signal(struct cli *c, const char *unit, int number) {
    _cleanup_(client_freep) struct client *client = NULL;
    struct client_reply reply;
    json_t *p = json_pack("{sssssi}", "unit", unit, "whom", "main", "signal", number);

    if (client_open(c->paths.runtime, false, &client, NULL) < 0)
        json_decref(p);
    else if (client_call(client, "io.davit.Unit.Kill", p, ANSWER_SECONDS * USEC_PER_SEC, &reply, NULL) >= 0)
        client_reply_done(&reply);
}
