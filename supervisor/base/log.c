/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/parse.h"

/* One message, cut beyond that: a log line allocates nothing, so that running out of memory can be logged. */
#define LOG_TEXT_MAX 2048

static struct {
    const char *program;
    log_sink_t sink;
    int max_priority;
    bool plain; /* for a person at a terminal: no "<N>" */
    bool named; /* many programs write to the same place: the name and "<N>" */
} state = {.max_priority = LOG_INFO};

/* The kernel's log (/dev/kmsg): character device 1:11 wherever Linux runs. */
static bool is_kernel_log(int fd) {
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 11);
}

void log_open(const char *program) {
    state.program = program;
    state.named = is_kernel_log(STDERR_FILENO);
    state.plain = isempty(getenv("JOURNAL_STREAM")) && isatty(STDERR_FILENO);
}

void log_set_sink(log_sink_t sink) {
    state.sink = sink;
}

void log_set_level(int max_priority) {
    state.max_priority = CLAMP(max_priority, LOG_EMERG, LOG_DEBUG);
}

int log_get_level(void) {
    return state.max_priority;
}

int log_level_parse(const char *s, int *ret) {
    static const char *const names[] = {
        "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};
    uint64_t number;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (streq(s, names[i])) {
            *ret = (int)i;
            return 0;
        }
    }
    if (parse_uint(s, LOG_EMERG, LOG_DEBUG, &number) < 0)
        return -EINVAL;
    *ret = (int)number;
    return 0;
}

/* Text may quote a container or a file: a newline in it would start a message of its own, and an escape
 * sequence would reach the terminal. */
static void replace_control_characters(char *s) {
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if ((c < 0x20 && c != '\t') || c == 0x7F)
            *s = c == '\n' ? ' ' : '?';
    }
}

/* What cannot be written is lost: there is no place left to say so. */
static void write_stderr(int priority, const char *text) {
    char head[64], line[LOG_TEXT_MAX];

    if (state.named)
        (void)snprintf(head, sizeof(head), "<%d>%s: ", LOG_DAEMON | LOG_PRI(priority), state.program);
    else if (!state.plain)
        (void)snprintf(head, sizeof(head), "<%d>", LOG_PRI(priority));
    else if (state.program)
        (void)snprintf(head, sizeof(head), "%s: ", state.program);
    else
        head[0] = '\0';
    (void)snprintf(line, sizeof(line), "%s", text);
    replace_control_characters(line);

    /* In one call, so that the lines of several processes do not run into each other. */
    struct iovec parts[] = {
        {.iov_base = head, .iov_len = strlen(head)},
        {.iov_base = line, .iov_len = strlen(line)},
        {.iov_base = (char[]){'\n'}, .iov_len = 1},
    };
    ssize_t n;
    do
        n = writev(STDERR_FILENO, parts, ARRAY_SIZE(parts));
    while (n < 0 && errno == EINTR);
}

static _printf_(3, 0) void write_message(int priority, char *const *fields, const char *fmt, va_list ap) {
    char text[LOG_TEXT_MAX];
    int saved = errno;

    if (LOG_PRI(priority) <= state.max_priority) {
        (void)vsnprintf(text, sizeof(text), fmt, ap);
        if (state.sink)
            state.sink(priority, text, fields);
        else
            write_stderr(priority, text);
    }
    errno = saved;
}

void log_write(int priority, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    write_message(priority, NULL, fmt, ap);
    va_end(ap);
}

void log_write_fields(int priority, char *const *fields, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    write_message(priority, fields, fmt, ap);
    va_end(ap);
}

int log_errno(int priority, int number, const char *fmt, ...) {
    char text[LOG_TEXT_MAX];
    int saved = errno;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_write(priority, "%s: %s", text, errno_text(number));
    errno = saved;
    return number > 0 ? -number : number;
}
