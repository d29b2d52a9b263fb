/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/error.h"
#include "base/fs.h"
#include "base/parse.h"

/* One message, cut beyond that: a log line allocates nothing, so that running out of memory can be logged. */
#define LOG_TEXT_MAX 2048
/* Of one who must not wait, for a reader or another writer. */
#define PATIENCE_USEC (50 * USEC_PER_MSEC)

static struct {
    const char *program;
    log_sink_t sink;
    int max_priority;
    bool plain; /* for a person at a terminal: no "<N>" */
    bool named; /* many programs write to the same place: the name and "<N>" */
    bool never_wait;
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

void log_never_wait(void) {
    state.never_wait = true;
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

/* A descriptor of our own that does not block: the shared one is other people's too. */
static int write_terminal_or_pipe(int fd, const char *line, size_t n, usec_t timeout) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    char path[32];

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    _cleanup_close_ int own = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (own >= 0)
        return write_within(own, line, n, timeout);
    /* It may block all the same, if another process fills it between the two calls. */
    if (poll(&p, 1, (int)(timeout / USEC_PER_MSEC)) != 1)
        return -EAGAIN;
    return write_all(fd, line, n);
}

void log_line(int fd, const char *line, size_t n, usec_t timeout) {
    static bool stalled;
    usec_t patience = stalled ? 0 : timeout;
    struct stat st;
    int r;

    if (fcntl(fd, F_GETFL) & O_NONBLOCK)
        r = write_within(fd, line, n, patience);
    else if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
        r = send(fd, line, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? negative_errno() : 0;
    else if (S_ISFIFO(st.st_mode) || isatty(fd))
        r = write_terminal_or_pipe(fd, line, n, patience);
    else
        r = write_all(fd, line, n);
    stalled = r == -EAGAIN;
}

/* What cannot be written is lost: there is no place left to say so. */
void log_to_stderr(int priority, const char *text) {
    char line[PIPE_BUF], clean[LOG_TEXT_MAX];
    int n;

    (void)snprintf(clean, sizeof(clean), "%s", text);
    replace_control_characters(clean);
    if (state.named)
        n = snprintf(
            line, sizeof(line), "<%d>%s: %s\n", LOG_DAEMON | LOG_PRI(priority), state.program, clean);
    else if (!state.plain)
        n = snprintf(line, sizeof(line), "<%d>%s\n", LOG_PRI(priority), clean);
    else
        n = snprintf(line, sizeof(line), "%s%s%s\n", state.program ?: "", state.program ? ": " : "", clean);

    /* In one call, so that the lines of several processes do not run into each other. */
    size_t length = MIN((size_t)MAX(n, 0), sizeof(line) - 1);
    if (state.never_wait)
        log_line(STDERR_FILENO, line, length, PATIENCE_USEC);
    else
        (void)write_all(STDERR_FILENO, line, length);
}

static _printf_(3, 0) void write_message(int priority, char *const *fields, const char *fmt, va_list ap) {
    char text[LOG_TEXT_MAX];
    int saved = errno;

    if (LOG_PRI(priority) <= state.max_priority) {
        (void)vsnprintf(text, sizeof(text), fmt, ap);
        if (state.sink)
            state.sink(priority, text, fields);
        else
            log_to_stderr(priority, text);
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
