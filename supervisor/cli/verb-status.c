/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* status: the fleet in a table, or units in full, each with its last log lines. */
#include <fcntl.h>

#include "base/fs.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/logs.h"
#include "cli/output.h"

enum { LINES_DEFAULT = 10 };

/* ---- pieces ---- */

/* "     Active: " with the names right-aligned in front of the colon; "" goes on with the line before. */
static void title(const char *name) {
    (void)printf("%11s%c ", name, *name ? ':' : ' ');
}

static void put_printable(const char *text) {
    _cleanup_free_ char *safe = text_printable(text, strlen(text));
    (void)fputs(safe ?: "", stdout);
}

static void put_colored(enum color color, const char *text) {
    (void)fputs(color_start(color), stdout);
    put_printable(text);
    (void)fputs(color_start(COLOR_NONE), stdout);
}

static void row(const char *name, const char *text) {
    if (!*text)
        return;
    title(name);
    put_printable(text);
    (void)putchar('\n');
}

static void rows(const char *name, json_t *strings) {
    size_t i;
    json_t *s;
    JSON_ARRAY_FOREACH (i, s, strings)
        row(i == 0 ? name : "", json_string_value(s) ?: "");
}

char *process_text(int64_t pid) {
    char path[64];
    _cleanup_free_ char *data = NULL;
    size_t n = 0;
    (void)snprintf(path, sizeof(path), "/proc/%lld/cmdline", (long long)pid);
    if (file_read(AT_FDCWD, path, 65536, &data, &n) < 0)
        return NULL;
    while (n > 0 && !data[n - 1])
        n--;
    for (size_t i = 0; i < n; i++)
        if (!data[i])
            data[i] = ' ';
    return text_printable(data, MIN(n, (size_t)400));
}

static void put_cut(const char *text, size_t used) {
    size_t width = output_width();
    size_t room = width == SIZE_MAX ? SIZE_MAX : width > used + 10 ? width - used : 10;
    if (text_width(text) <= room) {
        (void)fputs(text, stdout);
        return;
    }
    size_t bytes = text_prefix(text, room - 1);
    (void)printf("%.*s…", (int)bytes, text);
}

/* ---- one unit ---- */

static void print_problem(json_t *p) {
    const char *level = json_text(p, "level"), *file = json_text(p, "file"), *hint = json_text(p, "hint");
    const char *section = json_text(p, "section"), *key = json_text(p, "key");
    int64_t line = json_number(p, "line", 0);

    title(streq(level, "error") ? "Error" : streq(level, "warning") ? "Warning" : "Note");
    put_printable(path_basename(file));
    if (line > 0)
        (void)printf(":%lld", (long long)line);
    if (*file)
        (void)fputs(": ", stdout);
    if (*section)
        (void)printf("[%s] ", section);
    if (*key) {
        put_printable(key);
        (void)fputs("=: ", stdout);
    }
    put_colored(streq(level, "error") ? COLOR_RED : COLOR_YELLOW, json_text(p, "text"));
    if (*hint) {
        (void)fputs(" (", stdout);
        put_printable(hint);
        (void)putchar(')');
    }
    (void)putchar('\n');
}

static void print_problems(json_t *problems) {
    size_t i;
    json_t *p;
    JSON_ARRAY_FOREACH (i, p, problems)
        print_problem(p);
}

static void print_loaded(json_t *u) {
    const char *load = json_text(u, "load"), *fragment = json_text(u, "fragment"),
               *enabled = json_text(u, "enabled");
    title("Loaded");
    put_colored(streq(load, "loaded") ? COLOR_NONE : COLOR_RED, load);
    if (*fragment || *enabled) {
        (void)fputs(" (", stdout);
        put_printable(fragment);
        (void)printf("%s%s)", *fragment && *enabled ? "; " : "", enabled);
    } else if (json_flag(u, "transient"))
        (void)fputs(" (one-off)", stdout);
    (void)putchar('\n');
    if (json_flag(u, "outdated"))
        row("", "The files have changed; the new version is taken at the next start.");
    rows("Drop-in", json_object_get(u, "dropins"));
}

static void print_active(json_t *u) {
    char time[TIMESTAMP_MAX], ago[TIMESPAN_MAX + 8];
    const char *active = json_text(u, "active"), *state = json_text(u, "state"),
               *result = json_text(u, "result");
    int64_t since = json_number(u, "since", 0), restart = json_number(u, "restart_at", 0);
    enum color color = state_color(active);

    title("Active");
    (void)fputs(color_start(color), stdout);
    (void)printf("%s (%s", active, json_text(u, "sub"));
    if (streq(active, "failed") || streq(state, "backoff"))
        (void)printf(", result: %s", result);
    (void)printf(")%s", color_start(COLOR_NONE));
    if (json_flag(u, "frozen"))
        (void)printf(" %sfrozen%s", color_start(COLOR_YELLOW), color_start(COLOR_NONE));
    if (since > 0)
        (void)printf(" since %s; %s", timestamp_format((usec_t)since, time),
            time_ago((usec_t)since, now_realtime(), ago));
    (void)putchar('\n');
    if (restart > 0 && streq(state, "backoff")) {
        title("Restart");
        (void)printf("%s; %s\n", timestamp_format((usec_t)restart, time),
            time_ago((usec_t)restart, now_realtime(), ago));
    }
    row("Job", json_text(u, "job"));
    row("Condition", json_text(u, "condition"));
}

static void print_process(json_t *u) {
    int64_t pid = json_number(u, "pid", 0), control = json_number(u, "control_pid", 0);
    char name[64];
    _cleanup_free_ char *comm = NULL;

    if (pid > 0) {
        (void)snprintf(name, sizeof(name), "/proc/%lld/comm", (long long)pid);
        (void)file_read_line(AT_FDCWD, name, &comm);
        title("Main PID");
        (void)printf("%lld", (long long)pid);
        if (comm) {
            (void)fputs(" (", stdout);
            put_printable(comm);
            (void)putchar(')');
        }
        (void)putchar('\n');
    }
    if (control > 0) {
        title("Control PID");
        (void)printf("%lld\n", (long long)control);
    }
    json_t *end = json_object_get(u, "exit");
    if (json_is_object(end) && pid == 0) {
        char buffer[16];
        int64_t status = json_number(end, "status", 0);
        bool exited = streq(json_text(end, "code"), "exited");
        title("Last exit");
        if (streq(json_text(end, "code"), "unknown"))
            (void)puts("unknown, it was not seen");
        else
            (void)printf("%s, %s%s\n", json_text(end, "code"), exited ? "status " : "",
                exited ? (snprintf(buffer, sizeof(buffer), "%lld", (long long)status), buffer)
                       : signal_name((int)status, buffer));
    }
    row("Status", json_text(u, "status_text"));
}

/* "12.3M (limit: 100.0M, peak: 20.1M)"; sizes or plain numbers. */
static void print_amount(
    const char *name, json_t *r, const char *now, const char *limit, const char *peak, bool size) {
    const char *const fields[] = {now, limit, peak}, *const words[] = {"", "limit: ", "peak: "};
    bool open = false;
    if (json_number(r, now, -1) < 0)
        return;
    title(name);
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        int64_t n = fields[i] ? json_number(r, fields[i], -1) : -1;
        char text[32];
        if (n < 0)
            continue;
        if (!size || !size_format((uint64_t)n, text))
            (void)snprintf(text, sizeof(text), "%lld", (long long)n);
        (void)printf("%s%s%s", i == 0 ? "" : open ? ", " : " (", words[i], text);
        open = open || i > 0;
    }
    (void)puts(open ? ")" : "");
}

static void print_resources(json_t *u) {
    json_t *r = json_object_get(u, "resources");
    char span[TIMESPAN_MAX];
    int64_t cpu = json_number(r, "cpu_usec", -1);

    if (!json_is_object(r) || streq(json_text(u, "active"), "inactive"))
        return;
    print_amount("Tasks", r, "tasks", "tasks_max", NULL, false);
    print_amount("Memory", r, "memory", "memory_max", "memory_peak", true);
    if (json_number(r, "swap", 0) > 0)
        print_amount("Swap", r, "swap", NULL, NULL, true);
    if (cpu >= 0) {
        title("CPU");
        (void)puts(timespan_format((usec_t)cpu, USEC_PER_MSEC, span));
    }
}

static void print_processes(json_t *u) {
    json_t *pids = json_object_get(u, "processes"), *pid;
    size_t i, n = json_array_size(pids);

    row("CGroup", *json_text(u, "cgroup_path") ? json_text(u, "cgroup_path") : json_text(u, "cgroup"));
    JSON_ARRAY_FOREACH (i, pid, pids) {
        _cleanup_free_ char *text = process_text(json_integer_value(pid));
        char number[24];
        (void)snprintf(number, sizeof(number), "%lld ", (long long)json_integer_value(pid));
        (void)printf("%13s%s%s%s", "", color_start(COLOR_GREY), i + 1 < n ? "├─" : "└─", number);
        put_cut(text ?: "", 15 + strlen(number));
        (void)printf("%s\n", color_start(COLOR_NONE));
    }
}

static void print_failure(json_t *u) {
    json_t *e = json_object_get(u, "error");
    int64_t restarts = json_number(u, "restarts", 0), ooms = json_number(u, "oom_kills", 0);
    const char *result = json_text(u, "result"), *reason = json_text(u, "restart_reason");

    if (!streq(result, "success") || restarts > 0) {
        title("Result");
        put_colored(streq(result, "success") ? COLOR_NONE : COLOR_RED, result);
        if (*reason)
            (void)printf(" (%s)", reason);
        (void)putchar('\n');
    }
    if (restarts > 0 || ooms > 0) {
        title("Restarts");
        (void)printf("%lld", (long long)restarts);
        if (ooms > 0)
            (void)printf(
                ", %lld process%s killed for want of memory", (long long)ooms, ooms == 1 ? "" : "es");
        (void)putchar('\n');
    }
    if (json_is_object(e)) {
        title("Failure");
        if (*json_text(e, "step"))
            (void)printf("step %s: ", json_text(e, "step"));
        put_colored(COLOR_RED, json_text(e, "message"));
        (void)putchar('\n');
    }
}

static void print_limits(json_t *u) {
    size_t i;
    json_t *l;
    JSON_ARRAY_FOREACH (i, l, json_object_get(u, "limits")) {
        title("Limit");
        put_colored(COLOR_YELLOW, json_text(l, "key"));
        (void)fputs(json_flag(l, "unsupported") ? " is not applied: " : " was refused: ", stdout);
        put_printable(json_text(l, "message"));
        (void)putchar('\n');
    }
}

static void print_unit(struct cli *c, json_t *u) {
    const char *active = json_text(u, "active"), *description = json_text(u, "description");
    bool broken = streq(json_text(u, "load"), "error");

    (void)printf("%s%s%s ", color_start(broken ? COLOR_RED : state_color(active)),
        streq(active, "inactive") && !broken ? "○"
        : streq(active, "failed") || broken  ? "×"
                                             : "●",
        color_start(COLOR_NONE));
    put_printable(json_text(u, "name"));
    if (*description) {
        (void)fputs(" - ", stdout);
        put_printable(description);
    }
    (void)putchar('\n');
    print_loaded(u);
    print_active(u);
    rows("Docs", json_object_get(u, "documentation"));
    print_process(u);
    print_failure(u);
    print_problems(json_object_get(u, "problems"));
    print_limits(u);
    print_resources(u);
    print_processes(u);

    size_t lines = LINES_DEFAULT;
    uint64_t wanted;
    if (c->options.lines && parse_uint(c->options.lines, 0, 100000, &wanted) >= 0)
        lines = (size_t)wanted;
    if (lines > 0)
        logs_print_tail(c, json_text(u, "name"), lines);
}

static int describe_units(struct cli *c, char **units, size_t n) {
    json_t *all = json_array();
    int status = EXIT_SUCCESS;

    for (size_t i = 0; i < n; i++) {
        struct client_reply reply;
        int r = cli_call(c, "io.davit.Unit.Describe", unit_parameter(units[i]), &reply);
        if (r < 0) {
            status = r == -ENOENT ? EXIT_NO_SUCH_UNIT : EXIT_FAILURE;
            continue;
        }
        json_t *u = json_object_get(reply.parameters, "unit");
        const char *active = json_text(u, "active");
        if (!streq(active, "active") && !streq(active, "reloading") && status == EXIT_SUCCESS)
            status = EXIT_NOT_RUNNING;
        if (c->options.json)
            (void)json_array_append(all, u);
        else {
            if (i > 0)
                (void)putchar('\n');
            print_unit(c, u);
        }
        client_reply_done(&reply);
    }
    /* One unit is one object, so that `| jq .state` does what one means. */
    if (c->options.json && (n > 1 || json_array_size(all) > 0))
        json_print(n == 1 ? json_array_get(all, 0) : all);
    json_decref(all);
    return status;
}

/* ---- the fleet ---- */

static void print_counts(json_t *units) {
    const char *state;
    json_t *count;
    int64_t total = 0;
    bool first = true;

    title("Units");
    JSON_OBJECT_FOREACH (state, count, units)
        total += json_integer_value(count);
    (void)printf("%lld", (long long)total);
    JSON_OBJECT_FOREACH (state, count, units) {
        if (json_integer_value(count) == 0)
            continue;
        (void)printf("%s%lld ", first ? " (" : ", ", (long long)json_integer_value(count));
        put_colored(streq(state, "failed")    ? COLOR_RED
                    : streq(state, "running") ? COLOR_GREEN
                                              : COLOR_NONE,
            state);
        first = false;
    }
    (void)puts(first ? "" : ")");
}

static int describe_fleet(struct cli *c) {
    struct client_reply reply;
    char time[TIMESTAMP_MAX], ago[TIMESPAN_MAX + 8], host[256] = "localhost";

    if (cli_call(c, "io.davit.Manager.GetStatus", NULL, &reply) < 0)
        return EXIT_FAILURE;
    json_t *s = reply.parameters;
    if (c->options.json) {
        json_print(s);
        client_reply_done(&reply);
        return EXIT_SUCCESS;
    }
    int64_t failed = json_number(json_object_get(s, "units"), "failed", 0),
            since = json_number(s, "since", 0);
    bool running = streq(json_text(s, "phase"), "running");
    enum color color = failed > 0 || !running ? COLOR_RED : COLOR_GREEN;
    (void)gethostname(host, sizeof(host) - 1);
    (void)printf("%s●%s %s\n", color_start(color), color_start(COLOR_NONE), host);
    title("State");
    put_colored(color, running && failed > 0 ? "degraded" : json_text(s, "phase"));
    (void)putchar('\n');
    print_counts(json_object_get(s, "units"));
    title("Jobs");
    (void)printf("%lld\n", (long long)json_number(s, "jobs", 0));
    if (since > 0) {
        title("Since");
        (void)printf(
            "%s; %s\n", timestamp_format((usec_t)since, time), time_ago((usec_t)since, now_realtime(), ago));
    }
    title("davitd");
    (void)printf("%s, pid %lld\n", json_text(s, "version"), (long long)json_number(s, "pid", 0));
    row("CGroups", json_text(s, "cgroups"));
    rows("Booted", json_object_get(s, "boot_reasons"));
    print_problems(json_object_get(s, "problems"));
    client_reply_done(&reply);

    (void)putchar('\n');
    return verb_list(c, NULL, 0);
}

int verb_status(struct cli *c, char **arguments, size_t n) {
    if (cli_connect(c, true) < 0)
        return EXIT_FAILURE;
    return n > 0 ? describe_units(c, arguments, n) : describe_fleet(c);
}
