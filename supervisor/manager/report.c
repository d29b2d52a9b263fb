/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What davitd says, goes to the journal; where there is none to stderr, which davit-init makes the kernel's log on a
 * machine. Never waits: what journald does not take goes the second way.
 */
#include <stdarg.h>

#include "base/log.h"
#include "log/journal.h"
#include "manager/rooms.h"

#define TEXT_MAX 2048
#define FIELDS_MAX 24

static struct journal journal = {.fd = -1, .path = JOURNAL_SOCKET};

static void put(struct iovec *v, size_t *n, const char *field) {
    if (*n < FIELDS_MAX)
        v[(*n)++] = (struct iovec){.iov_base = (void *)(uintptr_t)field, .iov_len = strlen(field)};
}

static void sink(int priority, const char *text, char *const *fields) {
    struct iovec v[FIELDS_MAX];
    char priority_field[16];
    size_t n = 0;

    _cleanup_free_ char *message = strf("MESSAGE=%s", text);
    (void)snprintf(priority_field, sizeof(priority_field), "PRIORITY=%d", priority);
    if (message) {
        put(v, &n, message);
        put(v, &n, priority_field);
        put(v, &n, "SYSLOG_IDENTIFIER=davitd");
        put(v, &n, "SYSLOG_FACILITY=3");
        for (char *const *f = fields; f && *f; f++)
            put(v, &n, *f);
        if (journal_send(&journal, v, n) >= 0)
            return;
    }
    log_to_stderr(priority, text);
}

void report_open(struct manager *m) {
    (void)m;
    log_open("davitd");
    (void)journal_open(&journal); /* one that comes later is found with a later message */
    log_set_sink(sink);
}

void report_close(void) {
    log_set_sink(NULL);
    journal_close(&journal);
}

/* ---- messages about a unit ---- */

struct fields {
    char text[10][320];
    char *list[11];
    size_t count;
};

static void _printf_(2, 3) add(struct fields *f, const char *fmt, ...) {
    if (f->count >= ARRAY_SIZE(f->text))
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(f->text[f->count], sizeof(f->text[0]), fmt, ap);
    va_end(ap);
    f->list[f->count] = f->text[f->count];
    f->list[++f->count] = NULL;
}

static void collect(const struct managed_unit *u, const char *message_id, struct fields *f) {
    const struct container_section *c = u->config ? u->config->container : NULL;

    add(f, "UNIT=%s", u->name);
    if (c && c->container_name)
        add(f, "CONTAINER_NAME=%s", c->container_name);
    if (u->invocation[0])
        add(f, "INVOCATION_ID=%s", u->invocation);
    if (message_id)
        add(f, "MESSAGE_ID=%s", message_id);
    add(f, "RESULT=%s",
        unit_result_name(u->pending_result != RESULT_SUCCESS ? u->pending_result : u->result));
    add(f, "RESTART_COUNT=%u", u->restarts);
    if (u->main_code != 0) {
        add(f, "EXIT_CODE=%s", exit_code_word(u->main_code));
        add(f, "EXIT_STATUS=%d", u->main_status);
    }
}

void report_unit(struct managed_unit *u, int priority, const char *message_id, const char *fmt, ...) {
    char text[TEXT_MAX];
    struct fields f = {};
    va_list ap;

    if (priority > log_get_level())
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    collect(u, message_id, &f);
    log_write_fields(priority, f.list, "%s: %s", u->name, text);
}
