/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * poweroff, reboot, halt, kexec, soft-reboot, exit, rescue, emergency. davitd is asked; where it does not
 * answer and davit-init is PID 1, a signal to that does the same (init/signals.h): a machine can be ended
 * also when its manager is broken.
 */
#include <fcntl.h>
#include <signal.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/wall.h"
#include "cli/cli.h"
#include "cli/output.h"

/* systemd(1): SIGRTMIN+3 and on, and 10 more for the form that does not stop units in order. */
static const struct {
    enum ending_kind kind;
    int realtime;
} signals[] = {
    {ENDING_HALT, 3}, {ENDING_POWEROFF, 4}, {ENDING_REBOOT, 5}, {ENDING_KEXEC, 6}, {ENDING_SOFT_REBOOT, 7}};

static bool davit_init_is_first(void) {
    _cleanup_free_ char *comm = NULL;

    return file_read_line(AT_FDCWD, "/proc/1/comm", &comm) >= 0 && streq(comm, "davit-init");
}

/* --force --force. Not for whoever sits in a fleet on somebody else's machine. */
static int end_here(const struct end_call *call) {
    if (call->kind != ENDING_HALT && call->kind != ENDING_POWEROFF && call->kind != ENDING_REBOOT) {
        cli_error("%s cannot be forced twice", ending_name(call->kind));
        return EXIT_FAILURE;
    }
    if (!davit_init_is_first()) {
        cli_error(
            "davit is not the init of this machine, and does not %s it by force", ending_name(call->kind));
        return EXIT_FAILURE;
    }
    cli_error("%s", errno_text(ending_reboot(call->kind, call->argument)));
    return EXIT_FAILURE;
}

static int signal_init(const struct end_call *call) {
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        if (signals[i].kind != call->kind)
            continue;
        if (kill(1, SIGRTMIN + signals[i].realtime + (call->force > 0 ? 10 : 0)) == 0)
            return EXIT_SUCCESS;
        cli_error("cannot signal davit-init: %s", errno_text(errno));
    }
    return EXIT_FAILURE;
}

static json_t *parameters(const struct end_call *call) {
    const struct ending e = {call->kind, call->force > 0 ? ENDING_FORCE : ENDING_ORDERLY};
    json_t *p = json_pack("{ss}", "action", ending_format(e));

    if (p && call->kind == ENDING_EXIT)
        (void)json_object_set_new(p, "status", json_integer(call->status));
    if (p && !isempty(call->argument))
        (void)json_object_set_new(p, "argument", json_string(call->argument));
    if (p && !isempty(call->message))
        (void)json_object_set_new(p, "message", json_string(call->message));
    if (p && call->when > 0)
        (void)json_object_set_new(p, "when", json_integer((json_int_t)call->when));
    if (p && call->when > 0 && call->no_wall)
        (void)json_object_set_new(p, "no_wall", json_true());
    return p;
}

void cli_end_wall(const struct end_call *call) {
    _cleanup_free_ char *text = call->no_wall ? NULL : wall_text(call->kind, call->when, call->message);

    if (text)
        wall(text);
}

/* Of what is to come davitd tells the others. */
static void tell(const struct end_call *call) {
    char time[TIMESTAMP_MAX];

    if (call->when <= now_realtime())
        cli_end_wall(call);
    else if (!call->quiet)
        (void)fprintf(stderr,
            "%s is scheduled for %s; 'davit %s --when=cancel' or 'shutdown -c' takes it back.\n",
            ending_name(call->kind), timestamp_format(call->when, time), ending_name(call->kind));
}

int cli_end(struct cli *c, const struct end_call *call) {
    struct client_reply reply;
    struct error e = {};

    if (call->force > 1)
        return end_here(call);
    int r = client_open(c->paths.runtime, false, &c->client, &e);
    if (r < 0 && call->when == 0 && davit_init_is_first())
        return signal_init(call);
    if (r < 0) {
        cli_error("%s", e.text);
        return EXIT_FAILURE;
    }
    r = call->force > 0 && call->when == 0
            ? cli_call_last(c, "io.davit.Manager.End", parameters(call), &reply)
            : cli_call(c, "io.davit.Manager.End", parameters(call), &reply);
    if (r < 0)
        return EXIT_FAILURE;
    client_reply_done(&reply);
    if (call->kind != ENDING_EXIT)
        tell(call);
    return EXIT_SUCCESS;
}

int cli_end_cancel(struct cli *c, bool no_wall) {
    struct client_reply reply;

    if (cli_connect(c, false) < 0 || cli_call(c, "io.davit.Manager.CancelEnd",
                                         no_wall ? json_pack("{sb}", "no_wall", 1) : NULL, &reply) < 0)
        return EXIT_FAILURE;
    client_reply_done(&reply);
    return EXIT_SUCCESS;
}

int cli_end_show(struct cli *c) {
    struct client_reply reply;
    char time[TIMESTAMP_MAX];

    if (cli_connect(c, true) < 0 || cli_call(c, "io.davit.Manager.GetScheduledEnd", NULL, &reply) < 0)
        return EXIT_FAILURE;
    const char *action = json_text(reply.parameters, "action"),
               *message = json_text(reply.parameters, "message");
    int status = *action ? EXIT_SUCCESS : EXIT_FAILURE; /* as systemctl --when=show */
    if (c->options.json)
        json_print(reply.parameters);
    else if (!*action)
        cli_error("nothing is scheduled");
    else
        (void)printf("%s at %s%s%s\n", action,
            timestamp_format((usec_t)json_number(reply.parameters, "when", 0), time), *message ? ": " : "",
            message);
    client_reply_done(&reply);
    return status;
}

int verb_end(struct cli *c, _unused_ char **arguments, _unused_ size_t n) {
    const struct cli_options *o = &c->options;
    struct end_call call = {.force = o->force,
        .argument = o->reboot_argument,
        .message = o->message,
        .no_wall = o->no_wall,
        .quiet = o->quiet};
    struct ending e = {};

    if (o->when && streq(o->when, "cancel"))
        return cli_end_cancel(c, o->no_wall);
    if (o->when && streq(o->when, "show"))
        return cli_end_show(c);
    if (o->when) {
        int r = when_parse(o->when, now_realtime(), USEC_PER_SEC, &call.when);
        if (r < 0) {
            cli_error("\"%s\" %s", o->when, r == -ERANGE ? "has passed" : "is no time");
            return EXIT_FAILURE;
        }
    }
    (void)ending_parse(c->verb->name, &e);
    call.kind = e.kind;
    return cli_end(c, &call);
}

/* isolate UNIT; rescue and emergency are those targets. */
int verb_isolate(struct cli *c, char **arguments, size_t n) {
    _cleanup_free_ char *target = n > 0 ? strdup(arguments[0]) : strf("%s.target", c->verb->name);
    char *units[] = {target, NULL};

    c->options.mode = "isolate";
    return target ? cli_run_jobs(c, "start", units, 1) : EXIT_FAILURE;
}
