/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading what containers wrote: from the files that davit-logd keeps (CRI log format, UNIT.log, UNIT.log.1,
 * ... older), or from the journal. Both give entries, oldest first.
 */
#pragma once

#include <syslog.h>

#include "base/clock.h"
#include "cli/cli.h"

struct log_entry {
    usec_t time;               /* wall clock */
    const char *unit, *stream; /* stream may be NULL */
    const char *text;          /* without newline; any bytes */
    size_t length;
    int priority; /* LOG_INFO where not known */
};

/* ---- one unit's files (logs-cri.c) ---- */

struct cri_reader {
    char *unit;
    int directory; /* borrowed */
    int fd;        /* of the file that is being read, -1 before the first */
    ino_t inode;
    bool final;   /* the file was rotated away: after one more look at its end comes the next */
    usec_t since; /* files that ended earlier are passed over */
    /* private */
    char *buffer;
    size_t start, end, size;
    struct strbuf partial; /* pieces of a line whose end has not come yet */
    usec_t partial_time, last_time;
};

int cri_reader_init(struct cri_reader *r, int directory, const char *unit);
void cri_reader_done(struct cri_reader *r);
/* True if the unit has log files. */
bool cri_exists(int directory, const char *unit);
/* Moves to the last n lines, pieces of one line counted as one. 0 or -errno. */
int cri_reader_seek_tail(struct cri_reader *r, size_t n);
/* The next whole line. 1, 0 (the end as of now; ask again later), or -errno. ret lives until the next call.
 */
int cri_reader_next(struct cri_reader *r, struct log_entry *ret);
/* At the end: the line that has not ended yet. 1 or 0. */
int cri_reader_rest(struct cri_reader *r, struct log_entry *ret);
/* One record, without its newline. *ret_partial: it goes on in the next one. A line that is no record is
 * taken as text. */
void cri_parse(const char *line, size_t length, struct log_entry *ret, bool *ret_partial);

/* ---- many units in the order of time (logs-merge.c) ---- */

struct log_query {
    char **units;        /* full names; NULL = all */
    usec_t since, until; /* 0, USEC_INFINITY = no bound */
    size_t lines;        /* SIZE_MAX = all */
    bool follow;
};
/* Returns 0 to go on, 1 to stop. */
typedef int (*log_sink_function)(void *userdata, const struct log_entry *entry);

/* Reads the files in directory. Follows for ever if so asked, until the sink says stop. */
int logs_read_files(const char *directory, const struct log_query *query, log_sink_function sink,
    void *userdata, struct error *e);
/* The same from the journal (logs-journal.c). */
int logs_read_journal(const struct log_query *query, log_sink_function sink, void *userdata, struct error *e);

/* The kernel's log of this boot (logs-kernel.c). Units of the query are senders here: "kernel", "davit-init". */
int logs_read_kernel(const struct log_query *query, log_sink_function sink, void *userdata, struct error *e);
/* One record of /dev/kmsg, which is cut up. boot_time: wall clock of the boot. False: it is none. */
bool kernel_record_parse(char *record, size_t n, usec_t boot_time, struct log_entry *ret);

/* ---- verb-logs.c ---- */

/* For `status`: the last lines of a unit, with an empty line before them. Silent when there are none. */
void logs_print_tail(struct cli *c, const char *unit, size_t lines);
