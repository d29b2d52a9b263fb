/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <jansson.h>

#include "base/parse.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/logs.h"
#include "cli/output.h"
#include "unit/unit.h"

enum { FOLLOW_LINES = 10, LINES_MAX = 1000000 };

enum log_format { FORMAT_SHORT, FORMAT_CAT, FORMAT_JSON };
static const char *const formats[] = {"short", "cat", "json"};

struct printer {
    enum log_format format;
    bool printed, space_before; /* an empty line before the first */
    const char *unknown;        /* neither a unit nor a log file is called so */
};

/* ---- printing ---- */

static void print_json(const struct log_entry *entry) {
    char time[TIMESTAMP_MAX];
    json_t *message = json_stringn(entry->text, entry->length);
    if (!message) { /* no UTF-8, or with a NUL: JSON has no other way to say it */
        _cleanup_free_ char *safe = text_printable(entry->text, entry->length);
        message = json_string(safe ?: "");
    }
    json_t *o = json_pack("{sssssiso}", "timestamp", timestamp_format_rfc3339(entry->time, time), "unit",
        entry->unit, "priority", entry->priority, "message", message);
    if (o && entry->stream)
        (void)json_object_set_new(o, "stream", json_string(entry->stream));
    if (o)
        (void)json_dumpf(o, stdout, JSON_COMPACT);
    (void)putchar('\n');
    json_decref(o);
}

/* "Nov 21 05:46:11 web[.suffix]: ", as syslog has always looked. */
static void print_head(const struct log_entry *entry) {
    time_t seconds = (time_t)(entry->time / USEC_PER_SEC);
    struct tm tm;
    char time[32] = "";
    const char *suffix = endswith(entry->unit, ".container");
    if (localtime_r(&seconds, &tm))
        (void)strftime(time, sizeof(time), "%b %d %H:%M:%S", &tm);
    (void)printf("%s%s %.*s:%s ", color_start(COLOR_GREY), time,
        (int)(suffix ? (size_t)(suffix - entry->unit) : strlen(entry->unit)), entry->unit,
        color_start(COLOR_NONE));
}

/* To a terminal nothing but text; into a file or pipe the bytes as they are. */
static void print_text(const struct log_entry *entry) {
    enum color color = entry->priority <= LOG_ERR       ? COLOR_RED
                       : entry->priority == LOG_WARNING ? COLOR_YELLOW
                                                        : COLOR_NONE;
    if (!isatty(STDOUT_FILENO)) {
        (void)fwrite(entry->text ?: "", 1, entry->length, stdout);
        return;
    }
    _cleanup_free_ char *safe = text_printable(entry->text, entry->length);
    if (color)
        (void)fputs(color_start(color), stdout);
    (void)fputs(safe ?: "", stdout);
    if (color)
        (void)fputs(color_start(COLOR_NONE), stdout);
}

static int print_entry(void *userdata, const struct log_entry *entry) {
    struct printer *p = userdata;
    if (p->space_before && !p->printed)
        (void)putchar('\n');
    p->printed = true;
    if (p->format == FORMAT_JSON) {
        print_json(entry);
        return 0;
    }
    if (p->format == FORMAT_SHORT)
        print_head(entry);
    print_text(entry);
    (void)putchar('\n');
    return ferror(stdout) ? 1 : 0;
}

static int print_entry_now(void *userdata, const struct log_entry *entry) {
    int r = print_entry(userdata, entry);
    (void)fflush(stdout);
    return r;
}

/* ---- where the logs are ---- */

/* davitd knows its log directory and where output goes; without it there are the built-in paths and what is
 * in them. */
static void ask_manager(struct cli *c, bool *ret_journal, bool *ret_known) {
    struct client_reply reply;
    *ret_journal = *ret_known = false;
    if (!c->client && client_open(c->paths.runtime, true, &c->client, NULL) < 0)
        return;
    if (client_call(c->client, "io.davit.Manager.GetStatus", NULL, 5 * USEC_PER_SEC, &reply, NULL) < 0)
        return;
    const char *directory = json_text(reply.parameters, "log_dir"),
               *sink = json_text(reply.parameters, "log_sink");
    if (*directory)
        (void)free_and_strdup(&c->paths.log, directory);
    *ret_journal = streq(sink, "journal");
    *ret_known = *ret_journal || streq(sink, "file");
    client_reply_done(&reply);
}

static bool has_files(const char *unit, void *data) {
    const int *directory = data;
    return *directory >= 0 && cri_exists(*directory, unit);
}

/* The full name, even of a unit that is gone and has only left its log. */
static char *resolve(struct cli *c, struct printer *p, const char *written, int directory) {
    struct client_reply reply;
    bool missing = false;
    char *name = NULL;

    if (c->client && client_call(c->client, "io.davit.Unit.Describe", unit_parameter(written),
                         5 * USEC_PER_SEC, &reply, NULL) >= 0) {
        if (!reply.error)
            name = strdup(json_text(json_object_get(reply.parameters, "unit"), "name"));
        missing = client_reply_is(&reply, "NoSuchUnit");
        client_reply_done(&reply);
    }
    if (name || unit_name_resolve(written, has_files, &directory, &name) >= 0)
        return name;
    if (missing)
        p->unknown = written;
    return unit_type_from_name(written) >= 0 ? strdup(written) : strf("%s.container", written);
}

static bool is_in_files(const struct log_query *query, int directory) {
    if (!query->units)
        return directory >= 0;
    STRV_FOREACH (unit, query->units)
        if (directory >= 0 && cri_exists(directory, *unit))
            return true;
    return false;
}

static int read_logs(
    struct cli *c, char **units, struct log_query *query, struct printer *p, struct error *e) {
    _cleanup_strv_free_ char **names = NULL;
    bool journal, known;
    log_sink_function sink = query->follow ? print_entry_now : print_entry;

    if (c->options.dmesg) {
        query->units = units;
        return logs_read_kernel(query, sink, p, e);
    }
    ask_manager(c, &journal, &known);
    _cleanup_close_ int directory = open(c->paths.log, O_PATH | O_DIRECTORY | O_CLOEXEC);
    STRV_FOREACH (unit, units)
        if (strv_consume(&names, resolve(c, p, *unit, directory)) < 0)
            return error_set(e, ENOMEM, "Out of memory");
    query->units = names;
    if (!known)
        journal = !is_in_files(query, directory) && (directory < 0 || !query->follow);
    if (p->unknown && !journal) /* the journal may still know one that is gone */
        return error_set(e, ENOENT, "there is no unit %s, and no log of one", p->unknown);
    if (journal)
        return logs_read_journal(query, sink, p, e);
    /* No directory: nothing was ever written. */
    return directory < 0 ? 0 : logs_read_files(c->paths.log, query, sink, p, e);
}

void logs_print_tail(struct cli *c, const char *unit, size_t lines) {
    struct log_query query = {.until = USEC_INFINITY, .lines = lines};
    struct printer p = {.space_before = true};
    struct error e = {};
    char *units[] = {(char *)unit, NULL};
    (void)read_logs(c, units, &query, &p, &e);
}

/* ---- the verb ---- */

static int parse_options(const struct cli *c, struct log_query *query, struct printer *p) {
    const struct cli_options *o = &c->options;
    const char *wanted = o->lines ?: o->tail;
    uint64_t lines = 0;
    usec_t now = now_realtime();

    *query = (struct log_query){.until = USEC_INFINITY, .lines = SIZE_MAX, .follow = o->follow};
    if (wanted && !streq(wanted, "all")) {
        if (parse_uint(wanted, 0, LINES_MAX, &lines) < 0) {
            cli_error("--lines is a number up to %d, or all", LINES_MAX);
            return -EINVAL;
        }
        query->lines = (size_t)lines;
    } else if (!wanted && o->follow && !o->since)
        query->lines = FOLLOW_LINES;
    if ((o->since && timestamp_parse(o->since, now, &query->since) < 0) ||
        (o->until && timestamp_parse(o->until, now, &query->until) < 0)) {
        cli_error("\"%s\" is no time; try \"2026-11-21 05:46\", \"today\", \"-5min\", \"1h ago\"",
            o->since && timestamp_parse(o->since, now, &query->since) < 0 ? o->since : o->until);
        return -EINVAL;
    }
    for (size_t i = 0; o->output && i < ARRAY_SIZE(formats); i++)
        if (streq(formats[i], o->output)) {
            p->format = (enum log_format)i;
            return 0;
        }
    if (o->output) {
        cli_error("--output is short, cat or json, not \"%s\"", o->output);
        return -EINVAL;
    }
    p->format = o->json ? FORMAT_JSON : FORMAT_SHORT;
    return 0;
}

int verb_logs(struct cli *c, char **arguments, size_t n) {
    struct log_query query;
    struct printer p = {};
    struct error e = {};

    if (parse_options(c, &query, &p) < 0)
        return EXIT_FAILURE;
    _cleanup_strv_free_ char **units = NULL;
    for (size_t i = 0; i < n + strv_length(c->options.units); i++)
        if (strv_append(&units, i < n ? arguments[i] : c->options.units[i - n]) < 0)
            return EXIT_FAILURE;
    int r = read_logs(c, units, &query, &p, &e);
    if (r < 0) {
        cli_error("%s", e.text);
        return p.unknown ? EXIT_NO_SUCH_UNIT : EXIT_FAILURE;
    }
    if (p.unknown && !p.printed) {
        cli_error("there is no unit %s, and it is not in the journal", p.unknown);
        return EXIT_NO_SUCH_UNIT;
    }
    if (!p.printed && !c->options.json && isatty(STDOUT_FILENO))
        cli_remark(c, "-- No entries --");
    return EXIT_SUCCESS;
}
