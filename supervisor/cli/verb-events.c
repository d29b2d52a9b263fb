/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/parse.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/output.h"

static void print_problem(json_t *problem) {
    const char *file = json_text(problem, "file");
    int64_t line = json_number(problem, "line", 0);
    if (*file && line > 0)
        (void)printf("%s:%lld: ", file, (long long)line);
    else if (*file)
        (void)printf("%s: ", file);
    (void)printf("%s", json_text(problem, "text"));
}

static void print_event(json_t *event) {
    const char *kind = json_text(event, "event"), *unit = json_text(event, "unit");
    const char *result = json_text(event, "result"), *message = json_text(event, "message");
    int64_t timestamp = json_number(event, "timestamp", 0);
    char time[TIMESTAMP_MAX];

    if (streq(kind, "subscribed"))
        return;
    (void)printf("%s%s%s ", color_start(COLOR_GREY),
        timestamp_format(timestamp > 0 ? (usec_t)timestamp : now_realtime(), time), color_start(COLOR_NONE));
    if (streq(kind, "state")) {
        const char *new = json_text(event, "new");
        enum color color = streq(new, "failed") || streq(new, "backoff") ? COLOR_RED
                           : streq(new, "running")                       ? COLOR_GREEN
                                                                         : COLOR_NONE;
        (void)printf("%s: %s -> %s%s%s", unit, json_text(event, "old"), color_start(color), new,
            color_start(COLOR_NONE));
        if (*result && !streq(result, "success"))
            (void)printf(" (%s)", result);
    } else if (streq(kind, "job")) {
        (void)printf("%s: %s %s", unit, json_text(event, "type"), result);
        if (*message) {
            _cleanup_free_ char *safe = text_printable(message, strlen(message));
            (void)printf(": %s", safe ?: "");
        }
    } else if (streq(kind, "problem")) {
        (void)printf("%s: ", unit);
        print_problem(json_object_get(event, "problem"));
    } else if (streq(kind, "progress")) {
        char done[16], total[16];
        _cleanup_free_ char *safe = text_printable(message, strlen(message));

        (void)printf("%s: fetching %s, %s of %s", unit, safe ?: "",
            size_format((uint64_t)json_number(event, "done", 0), done),
            size_format((uint64_t)json_number(event, "total", 0), total));
    } else if (streq(kind, "reload"))
        (void)printf("unit files read again: %lld units, %lld problems",
            (long long)json_number(event, "units", 0), (long long)json_number(event, "problems", 0));
    else
        (void)printf("%s%s%s", kind, *unit ? ": " : "", unit);
    (void)putchar('\n');
}

/* Until the connection ends. True if davitd said that it leaves for good. */
static bool stream(struct cli *c, struct error *e) {
    struct client_reply reply;
    bool ended = false;

    if (client_send(c->client, "io.davit.Events.Subscribe", NULL, CLIENT_MORE, NULL, 0, e) < 0)
        return false;
    while (client_receive(c->client, USEC_INFINITY, &reply, e) >= 0) {
        if (reply.error) {
            error_set(e, EIO, "%s", client_reply_message(&reply));
            client_reply_done(&reply);
            return true;
        }
        json_t *event = json_object_get(reply.parameters, "event");
        ended = streq(json_text(event, "event"), "exit");
        if (c->options.json && event) {
            (void)json_dumpf(event, stdout, JSON_COMPACT);
            (void)putchar('\n');
        } else if (event)
            print_event(event);
        (void)fflush(stdout);
        client_reply_done(&reply);
    }
    return ended;
}

/* Goes on when davitd is replaced by a new one: that is when events are most wanted. */
int verb_events(struct cli *c, char **arguments _unused_, size_t n _unused_) {
    struct error e = {};
    if (cli_connect(c, true) < 0)
        return EXIT_FAILURE;
    for (;;) {
        bool ended = stream(c, &e);
        client_free(TAKE_PTR(c->client));
        if (ended && e.number == ECONNRESET)
            return EXIT_SUCCESS;
        if (ended || e.number != ECONNRESET) {
            cli_error("%s", e.text);
            return EXIT_FAILURE;
        }
        cli_remark(c, "davitd is gone, waiting for the next one");
        if (client_open(c->paths.runtime, true, &c->client, &e) < 0) {
            cli_error("%s", e.text);
            return EXIT_FAILURE;
        }
    }
}
