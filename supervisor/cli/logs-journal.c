/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Container output, and what davitd says of a unit, as journald keeps it: by the field UNIT= that both have.
 */
#include <systemd/sd-journal.h>

#include "base/parse.h"
#include "base/str.h"
#include "cli/logs.h"

static int add_matches(sd_journal *j, char *const *units) {
    int r = 0;
    STRV_FOREACH (unit, units) {
        _cleanup_free_ char *match = strf("UNIT=%s", *unit);
        r = match ? sd_journal_add_match(j, match, 0) : -ENOMEM; /* the same field twice means either */
        if (r < 0)
            return r;
    }
    if (units)
        return 0;
    /* All of ours: containers have a name, davitd an identifier. */
    r = sd_journal_add_match(j, "SYSLOG_IDENTIFIER=davitd", 0);
    if (r >= 0)
        r = sd_journal_add_disjunction(j);
    if (r >= 0)
        r = sd_journal_add_match(j, "_COMM=davit-logd", 0);
    return r;
}

/* A copy of the field's value, NULL if the entry has none. */
static char *field(sd_journal *j, const char *name, size_t *ret_length) {
    const void *data;
    size_t n, prefix = strlen(name) + 1;
    if (sd_journal_get_data(j, name, &data, &n) < 0 || n < prefix)
        return NULL;
    char *value = malloc(n - prefix + 1);
    if (!value)
        return NULL;
    memcpy(value, (const char *)data + prefix, n - prefix);
    value[n - prefix] = '\0';
    if (ret_length)
        *ret_length = n - prefix;
    return value;
}

static int hand_on(sd_journal *j, const struct log_query *query, log_sink_function sink, void *userdata) {
    struct log_entry entry = {.priority = LOG_INFO};
    uint64_t number;
    int r = sd_journal_get_realtime_usec(j, &entry.time);
    if (r < 0)
        return r;
    if (entry.time > query->until)
        return 1;
    _cleanup_free_ char *unit = field(j, "UNIT", NULL), *priority = field(j, "PRIORITY", NULL);
    _cleanup_free_ char *text = field(j, "MESSAGE", &entry.length),
                        *who = field(j, "SYSLOG_IDENTIFIER", NULL);
    if (!text)
        return 0;
    if (priority && parse_uint(priority, 0, 7, &number) >= 0)
        entry.priority = (int)number;
    entry.unit = unit ?: who ?: "davit";
    entry.text = text;
    return sink(userdata, &entry);
}

/* Stands before the first entry that is wanted. */
static int seek(sd_journal *j, const struct log_query *query) {
    int r;
    if (query->lines != SIZE_MAX) {
        r = query->until != USEC_INFINITY ? sd_journal_seek_realtime_usec(j, query->until)
                                          : sd_journal_seek_tail(j);
        if (r >= 0)
            r = sd_journal_previous_skip(j, query->lines + 1);
        /* Fewer than asked for: from the first one on. */
        if (r >= 0 && (size_t)r <= query->lines)
            r = sd_journal_seek_head(j);
        return MIN(r, 0);
    }
    return query->since > 0 ? sd_journal_seek_realtime_usec(j, query->since) : sd_journal_seek_head(j);
}

int logs_read_journal(
    const struct log_query *query, log_sink_function sink, void *userdata, struct error *e) {
    _cleanup_(sd_journal_closep) sd_journal *j = NULL;
    int r = sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY);

    if (r >= 0)
        r = sd_journal_set_data_threshold(j, 0);
    if (r >= 0)
        r = add_matches(j, query->units);
    if (r >= 0)
        r = seek(j, query);
    if (r < 0)
        return error_set_errno(e, r, "Cannot read the journal");
    for (;;) {
        r = sd_journal_next(j);
        if (r == 0 && query->follow)
            r = sd_journal_wait(j, UINT64_MAX) < 0 ? -EIO : 0;
        else if (r > 0) {
            usec_t time = 0;
            if (sd_journal_get_realtime_usec(j, &time) < 0 || time < query->since)
                continue;
            r = hand_on(j, query, sink, userdata);
            if (r > 0)
                return 0;
        } else
            break;
        if (r < 0)
            break;
    }
    return r < 0 ? error_set_errno(e, r, "Cannot read the journal") : 0;
}
