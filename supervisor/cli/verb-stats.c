/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stats: what units use, again and again. top: the processes of one unit. */
#include <fcntl.h>
#include <pwd.h>

#include "base/fs.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/output.h"

/* Shares of a processor are measured over this long. */
#define INTERVAL_USEC USEC_PER_SEC

/* ---- stats ---- */

/* What a unit had used when it was last looked at. */
struct usage {
    char *unit;
    int64_t cpu_usec;
    usec_t at;
};

struct usages {
    struct usage *list;
    size_t n;
};

static void usages_done(struct usages *u) {
    for (size_t i = 0; i < u->n; i++)
        free(u->list[i].unit);
    free(u->list);
    *u = (struct usages){};
}

/* The entry of that unit, made if there is none; NULL: out of memory. */
static struct usage *usage_of(struct usages *u, const char *unit) {
    for (size_t i = 0; i < u->n; i++)
        if (streq(u->list[i].unit, unit))
            return &u->list[i];
    struct usage *list = reallocarray(u->list, u->n + 1, sizeof(*list));
    if (!list)
        return NULL;
    u->list = list;
    list[u->n] = (struct usage){.unit = strdup(unit), .cpu_usec = -1};
    return list[u->n].unit ? &list[u->n++] : NULL;
}

/* Percent of one processor since the last look, in tenths; -1: not known yet. */
static int64_t cpu_share(struct usages *u, const char *unit, int64_t cpu_usec) {
    struct usage *usage = usage_of(u, unit);
    int64_t tenths = -1;
    usec_t now = now_monotonic();

    if (!usage || cpu_usec < 0)
        return -1;
    if (usage->cpu_usec >= 0 && cpu_usec >= usage->cpu_usec && now > usage->at)
        tenths = (int64_t)((uint64_t)(cpu_usec - usage->cpu_usec) * 1000 / (now - usage->at));
    usage->cpu_usec = cpu_usec;
    usage->at = now;
    return tenths;
}

static const struct table_column stats_columns[] = {
    {"UNIT", false, true},
    {"CPU%", true, false},
    {"MEMORY", true, false},
    {"LIMIT", true, false},
    {"MEM%", true, false},
    {"SWAP", true, false},
    {"TASKS", true, false},
    {"READ", true, false},
    {"WRITTEN", true, false},
};

static void add_tenths(struct table *t, int64_t tenths) {
    char text[32];
    (void)snprintf(text, sizeof(text), "%lld.%lld", (long long)(tenths / 10), (long long)(tenths % 10));
    table_add(t, COLOR_NONE, tenths >= 0 ? text : NULL);
}

static void add_size(struct table *t, json_t *resources, const char *name) {
    char text[16];
    int64_t n = json_number(resources, name, -1);
    table_add(t, COLOR_NONE, n >= 0 ? size_format((uint64_t)n, text) : NULL);
}

static void add_stats(struct table *t, json_t *unit, int64_t cpu_tenths) {
    json_t *r = json_object_get(unit, "resources");
    int64_t memory = json_number(r, "memory", -1), limit = json_number(r, "memory_max", -1),
            tasks = json_number(r, "tasks", -1);
    char text[32];

    table_add(t, COLOR_NONE, json_text(unit, "name"));
    add_tenths(t, cpu_tenths);
    add_size(t, r, "memory");
    add_size(t, r, "memory_max");
    add_tenths(t, memory >= 0 && limit > 0 ? (int64_t)((double)memory / (double)limit * 1000) : -1);
    add_size(t, r, "swap");
    (void)snprintf(text, sizeof(text), "%lld", (long long)tasks);
    table_add(t, COLOR_NONE, tasks >= 0 ? text : NULL);
    add_size(t, r, "io_read");
    add_size(t, r, "io_write");
}

/* The resources of one unit, with its name and share of the processors: NULL if it does not run or is not there. */
static json_t *sample(struct cli *c, struct usages *usages, const char *unit, int64_t *ret_cpu) {
    struct client_reply reply = {};
    struct error e = {};
    json_t *u = NULL;

    if (client_call(c->client, "io.davit.Unit.Describe", unit_parameter(unit), USEC_INFINITY, &reply, &e) < 0)
        return NULL;
    json_t *details = json_object_get(reply.parameters, "unit"), *r = json_object_get(details, "resources");
    if (!reply.error && json_is_object(r)) {
        *ret_cpu = cpu_share(usages, json_text(details, "name"), json_number(r, "cpu_usec", -1));
        u = json_pack("{ss sO}", "name", json_text(details, "name"), "resources", r);
        if (u && *ret_cpu >= 0)
            (void)json_object_set_new(u, "cpu_percent", json_real((double)*ret_cpu / 10));
    }
    client_reply_done(&reply);
    return u;
}

/* The units to look at: those that were named, or all that run. */
static int wanted_units(struct cli *c, char **arguments, size_t n, char ***ret) {
    struct client_reply reply;
    size_t i;
    json_t *unit;

    for (i = 0; i < n; i++)
        if (strv_append(ret, arguments[i]) < 0)
            return -ENOMEM;
    if (n > 0)
        return 0;
    int r = cli_call(c, "io.davit.Manager.ListUnits", NULL, &reply);
    if (r < 0)
        return r;
    JSON_ARRAY_FOREACH (i, unit, json_object_get(reply.parameters, "units"))
        if (r >= 0 && json_number(unit, "pid", 0) > 0)
            r = strv_append(ret, json_text(unit, "name"));
    client_reply_done(&reply);
    return r;
}

static int print_samples(struct cli *c, struct usages *usages, char **arguments, size_t n, bool print) {
    struct table t = {.columns = stats_columns, .n_columns = ARRAY_SIZE(stats_columns)};
    _cleanup_strv_free_ char **units = NULL;
    json_t *all = json_array();

    int r = wanted_units(c, arguments, n, &units);
    STRV_FOREACH (unit, units) {
        int64_t cpu = -1;
        json_t *u = r < 0 ? NULL : sample(c, usages, *unit, &cpu);
        if (!u)
            continue;
        add_stats(&t, u, cpu);
        (void)json_array_append_new(all, u);
    }
    if (r >= 0 && print && c->options.json)
        json_print(all);
    else if (r >= 0 && print)
        (void)table_print(&t, stdout, output_width(), !c->options.no_legend);
    table_free(&t);
    json_decref(all);
    (void)fflush(stdout);
    return r;
}

/* Each must be there; whether it runs may change. */
static int check_units(struct cli *c, char **arguments, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct client_reply reply;
        int r = cli_call(c, "io.davit.Unit.Describe", unit_parameter(arguments[i]), &reply);
        if (r < 0)
            return r;
        client_reply_done(&reply);
    }
    return 0;
}

int verb_stats(struct cli *c, char **arguments, size_t n) {
    struct usages usages = {};
    bool screen = isatty(STDOUT_FILENO) && !c->options.no_stream && !c->options.json;

    int r = cli_connect(c, true);
    if (r >= 0)
        r = check_units(c, arguments, n);
    if (r >= 0) /* the first look only tells where the counters stand */
        r = print_samples(c, &usages, arguments, n, false);
    while (r >= 0) {
        (void)usleep(INTERVAL_USEC);
        if (screen)
            (void)fputs("\033[H\033[2J", stdout);
        r = print_samples(c, &usages, arguments, n, true);
        if (c->options.no_stream || ferror(stdout))
            break;
    }
    usages_done(&usages);
    return r >= 0 ? EXIT_SUCCESS : r == -ENOENT ? EXIT_NO_SUCH_UNIT : EXIT_FAILURE;
}

/* ---- top ---- */

/* The value of "Name:" in a /proc/PID/status; a new string or NULL. */
static char *status_field(const char *status, const char *name) {
    const char *line = strstr(status, name);
    if (!line)
        return NULL;
    line += strlen(name) + strspn(line + strlen(name), " \t");
    return strndup(line, strcspn(line, "\n"));
}

/* The last number of a list: the innermost namespace's. Cuts the string. */
static const char *last_word(char *list) {
    char *space = list ? strpbrk(list, "\t ") : NULL;
    return !space ? list : last_word(space + strspn(space, "\t "));
}

static char *user_text(const char *uids) {
    char *end;
    unsigned long uid = uids ? strtoul(uids, &end, 10) : 0;
    const struct passwd *pw = getpwuid((uid_t)uid);
    return !uids ? NULL : pw ? strdup(pw->pw_name) : strf("%lu", uid);
}

static const struct table_column top_columns[] = {
    {"PID", true, false},
    {"INSIDE", true, false},
    {"USER", false, false},
    {"STATE", false, false},
    {"MEMORY", true, false},
    {"COMMAND", false, true},
};

static void add_process(struct table *t, json_t *all, int64_t pid) {
    char path[64], size[16] = "";
    _cleanup_free_ char *status = NULL;

    (void)snprintf(path, sizeof(path), "/proc/%lld/status", (long long)pid);
    if (file_read(AT_FDCWD, path, 65536, &status, NULL) < 0)
        return; /* gone meanwhile */
    _cleanup_free_ char *number = strf("%lld", (long long)pid), *inside = status_field(status, "\nNSpid:"),
                        *uid = status_field(status, "\nUid:"), *state = status_field(status, "\nState:"),
                        *memory = status_field(status, "\nVmRSS:"), *user = user_text(uid),
                        *command = process_text(pid);
    uint64_t bytes = memory ? strtoull(memory, NULL, 10) * 1024 : 0;
    const char *const cells[] = {
        number, last_word(inside), user, state, memory ? size_format(bytes, size) : NULL, command};

    for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
        table_add(t, COLOR_NONE, cells[i]);
    (void)json_array_append_new(all, json_pack("{sI ss* ss* sI ss*}", "pid", (json_int_t)pid, "user", user,
                                         "state", state, "memory", (json_int_t)bytes, "command", command));
}

int verb_top(struct cli *c, char **arguments, size_t n _unused_) {
    struct table t = {.columns = top_columns, .n_columns = ARRAY_SIZE(top_columns)};
    struct client_reply reply;
    json_t *all, *pid;
    size_t i;

    if (cli_connect(c, true) < 0)
        return EXIT_FAILURE;
    int r = cli_call(c, "io.davit.Unit.Describe", unit_parameter(arguments[0]), &reply);
    if (r < 0)
        return r == -ENOENT ? EXIT_NO_SUCH_UNIT : EXIT_FAILURE;
    all = json_array();
    json_t *pids = json_object_get(json_object_get(reply.parameters, "unit"), "processes");
    JSON_ARRAY_FOREACH (i, pid, pids)
        add_process(&t, all, json_integer_value(pid));
    bool runs = json_array_size(pids) > 0;
    if (c->options.json)
        json_print(all);
    else if (runs)
        (void)table_print(&t, stdout, output_width(), !c->options.no_legend);
    else
        cli_error("%s has no processes", json_text(json_object_get(reply.parameters, "unit"), "name"));
    table_free(&t);
    json_decref(all);
    client_reply_done(&reply);
    return runs ? EXIT_SUCCESS : EXIT_NOT_RUNNING;
}
