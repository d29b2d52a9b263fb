/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/console.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"

#define LINE_BYTES 1024
#define EARLY_BYTES 2048
/* For another process that writes to the console at this moment, or for a line to drain. */
#define CONSOLE_USEC (50 * USEC_PER_MSEC)
#define LOOK_USEC USEC_PER_MSEC
#define LOOKS_MIN 20 /* a machine that was held up finds the time over in which nothing could be said */
/* What is said already, and dropped with close(): 4 KiB at 9,600 baud. */
#define CLOSE_USEC (5 * USEC_PER_SEC)

static struct {
    const char *program;
    int kmsg_fd;
    int kernel_level;  /* the kernel shows messages below this on its console by itself */
    int console_level; /* ours: up to and including this one */
    bool to_console, to_kmsg;
} machine = {.kmsg_fd = -1, .console_level = LOG_NOTICE, .to_console = true, .to_kmsg = true};

/* Lines as they go to the kernel's log, until it can be opened. */
static struct {
    size_t length;
    unsigned lost; /* for want of room */
    char text[EARLY_BYTES];
} early;

static _printf_(3, 4) size_t format_line(char *line, size_t size, const char *fmt, ...) {
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(line, size, fmt, ap);
    va_end(ap);
    if (n <= 0)
        return 0;
    size_t length = MIN((size_t)n, size - 1);
    line[length - 1] = '\n';
    return length;
}

/* ---- a process, a container ---- */

void console_write(int priority, const char *text, char *const *fields _unused_) {
    char line[LINE_BYTES];

    /* The prefix is for the journal and other collectors (sd-daemon(3)); a person at a terminal needs the
     * name only. */
    size_t length = isatty(STDERR_FILENO)
                        ? format_line(line, sizeof line, "davit-init: %s\n", text)
                        : format_line(line, sizeof line, "<%d>davit-init: %s\n", priority, text);
    _Static_assert(sizeof line <= PIPE_BUF, "one write, whole");
    log_line(STDERR_FILENO, line, length, CONSOLE_USEC); /* SIGPIPE is blocked */
}

/* ---- a machine ---- */

/* close(2) of a serial line waits until all is said: 30 s where nobody takes it. So it is closed when all is said,
 * and stays open meanwhile. */
static int console_fd = -1;

/* Or it is gone: there is nothing to wait for then either. */
static bool console_is_drained(usec_t timeout) {
    usec_t deadline = usec_add(now_monotonic(), timeout);
    int left = 0;

    for (unsigned looks = 0; ioctl(console_fd, TIOCOUTQ, &left) == 0 && left > 0; looks++) {
        if (now_monotonic() >= deadline && (timeout == 0 || looks >= LOOKS_MIN))
            return false;
        (void)usleep((useconds_t)LOOK_USEC);
    }
    return true;
}

void console_close(void) {
    if (console_fd >= 0 && !console_is_drained(CLOSE_USEC))
        (void)tcflush(console_fd, TCOFLUSH);
    close_and_reset(&console_fd);
}

void console_pass_on(void) {
    if (console_fd >= 0)
        (void)fd_set_cloexec(console_fd, false);
}

/* What does not go through, or ends in an error (a console that is gone says EIO), is lost here; the kernel's log has
 * it. */
static void show(int priority, const char *text) {
    static usec_t patience = CONSOLE_USEC;
    char line[LINE_BYTES];

    if (!machine.to_console || priority > machine.console_level || priority < machine.kernel_level)
        return;
    if (console_fd >= 0 && console_is_drained(0)) /* if it was hung up, this one opens another */
        close_and_reset(&console_fd);
    if (console_fd < 0)
        console_fd = open("/dev/console", O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (console_fd < 0)
        return;
    size_t length = format_line(line, sizeof line, "%s: %s\r\n", machine.program, text);
    log_line(console_fd, line, length, CONSOLE_USEC);
    bool drained = console_is_drained(patience);
    if (drained)
        close_and_reset(&console_fd);
    patience = drained ? CONSOLE_USEC : 0;
}

static void keep(const char *line, size_t length) {
    if (length > sizeof early.text - early.length) {
        early.lost++;
        return;
    }
    memcpy(early.text + early.length, line, length);
    early.length += length;
}

static void machine_write(int priority, const char *text, char *const *fields _unused_) {
    char line[LINE_BYTES];
    size_t length =
        format_line(line, sizeof line, "<%d>%s: %s\n", LOG_DAEMON | priority, machine.program, text);

    if (machine.kmsg_fd < 0)
        keep(line, length);
    else if (machine.to_kmsg)
        (void)!write(machine.kmsg_fd, line, length);
    show(priority, text);
}

void console_open_machine(void) {
    machine.program = "davit-init";
    log_set_sink(machine_write);
    /* The kernel gave us its console, blocking; nobody is to write there by accident. Before /dev is there
     * only the numbers matter: they are taken, by descriptors that can do nothing. */
    int fd = open("/dev/null", O_RDWR | O_NOCTTY);
    if (fd < 0)
        fd = open("/", O_PATH | O_DIRECTORY);
    for (int i = STDIN_FILENO; fd >= 0 && i <= STDERR_FILENO; i++)
        if (fd != i)
            (void)dup2(fd, i);
    if (fd > STDERR_FILENO)
        (void)close(fd);
}

/* The first number of four: console_loglevel. */
static void read_kernel_level(void) {
    char text[8] = "";

    int fd = open("/proc/sys/kernel/printk", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, text, sizeof text - 1) > 0 && text[0] >= '0' && text[0] <= '9')
        machine.kernel_level = text[1] >= '0' && text[1] <= '9' ? 10 : text[0] - '0';
    closep(&fd);
}

void console_connect(void) {
    /* Ten lines in five seconds is what one writer is allowed by default; a boot has more to say. */
    (void)file_write(AT_FDCWD, "/proc/sys/kernel/printk_devkmsg", "on\n");
    read_kernel_level();
    _cleanup_close_ int kmsg_fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK),
                        null_fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
    int out_fd = kmsg_fd >= 0 ? kmsg_fd : null_fd;
    if (null_fd >= 0)
        (void)dup2(null_fd, STDIN_FILENO);
    if (out_fd >= 0) {
        (void)dup2(out_fd, STDOUT_FILENO);
        (void)dup2(out_fd, STDERR_FILENO);
    }
    machine.kmsg_fd = kmsg_fd >= 0 ? STDERR_FILENO : -1;
    for (char *line = early.text, *end = line + early.length; line < end;) {
        size_t n = (size_t)((char *)memchr(line, '\n', (size_t)(end - line)) - line) + 1;
        if (machine.kmsg_fd >= 0)
            (void)!write(machine.kmsg_fd, line, n);
        line += n;
    }
    if (early.lost > 0)
        log_warning("%u messages from before there was a /dev/kmsg are lost", early.lost);
    early.length = early.lost = 0;
}

void console_share(const char *program) {
    machine.program = program;
    machine.kmsg_fd = STDERR_FILENO;
    read_kernel_level();
    log_set_sink(machine_write);
}

void console_configure(const struct boot_options *options) {
    machine.to_console = options->log_console;
    machine.to_kmsg = options->log_kmsg;
    machine.console_level = options->console_level;
    if (options->log_level >= 0)
        log_set_level(options->log_level);
}
