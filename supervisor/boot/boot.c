/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/boot.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/paths.h"
#include "boot/modules.h"
#include "init/boot.h"
#include "init/console.h"

/* What the order is for: drivers come before the devices that fstab names; / is writable and /var is there
 * before anything is written to them; the clock is set last among what needs /var (the seed's file tells how
 * late it was when this machine last ran), and before files are written whose dates matter; why the machine
 * booted is told by drivers, and kept in /var. */
static const struct {
    const char *name;
    void (*run)(struct boot_context *c);
} steps[] = {
    {"modules", step_modules},
    {"sysctl", step_sysctl},
    {"loopback", step_loopback},
    {"fstab", step_fstab},
    {"var", step_var},
    {"clock", step_clock},
    {"hostname", step_hostname},
    {"machine-id", step_machine_id},
    {"seed", step_seed},
    {"reason", step_reason},
};

static _printf_(3, 0) void add(
    struct boot_context *c, const char *kind, const char *fmt, va_list ap, int priority) {
    char text[1024];

    (void)vsnprintf(text, sizeof text, fmt, ap);
    log_write(priority, "%s", text);
    for (char *p = text; *p; p++)
        if (*p == '\n')
            *p = ' ';
    strbuf_printf(&c->report, "%s %s\n", kind, text);
}

void boot_problem(struct boot_context *c, const char *fmt, ...) {
    va_list ap;

    va_start(ap, fmt);
    add(c, "problem", fmt, ap, LOG_WARNING);
    va_end(ap);
}

void boot_emergency(struct boot_context *c, const char *fmt, ...) {
    va_list ap;

    va_start(ap, fmt);
    add(c, "emergency", fmt, ap, LOG_ERR);
    va_end(ap);
    c->emergency = true;
}

void boot_reason(struct boot_context *c, const char *fmt, ...) {
    va_list ap;

    va_start(ap, fmt);
    add(c, "reason", fmt, ap, LOG_NOTICE);
    va_end(ap);
}

static usec_t usec_of_timeval(struct timeval t) {
    return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_usec;
}

/* Where the processor time went: into our own steps, and into what the kernel and other programs did for them
 * (modules; in children: mounts, fsck, unpacking). For `davit analyze`. */
static void report_work(struct boot_context *c) {
    usec_t all = clock_usec(CLOCK_PROCESS_CPUTIME_ID), modules = modules_kernel_work();
    struct rusage children = {};

    (void)getrusage(RUSAGE_CHILDREN, &children);
    strbuf_printf(&c->report, BOOT_REPORT_WORK "%llu %llu\n", (unsigned long long)(all - modules),
        (unsigned long long)(modules + usec_of_timeval(children.ru_utime) +
                             usec_of_timeval(children.ru_stime)));
}

static void write_report(struct boot_context *c) {
    _cleanup_(paths_done) struct paths paths = {};
    size_t length = c->report.length;
    _cleanup_free_ char *text = strbuf_take(&c->report);
    _cleanup_free_ char *path = NULL;

    int r = paths_load(&paths);
    if (r >= 0 && text && (path = path_join(paths.runtime, BOOT_REPORT_NAME)))
        r = file_write_atomic(AT_FDCWD, path, text, length, 0644, false);
    if (r < 0)
        (void)log_errno(LOG_WARNING, r, "the report about this boot cannot be written");
}

int boot_run(void) {
    struct boot_context c = {};

    boot_options_init(&c.options);
    (void)boot_options_read(&c.options, "/proc/cmdline");
    console_share("davit-boot");
    console_configure(&c.options);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        usec_t begin = now_monotonic();
        steps[i].run(&c);
        log_debug("%s: %llu us", steps[i].name, (unsigned long long)(now_monotonic() - begin));
    }
    report_work(&c);
    write_report(&c);
    console_close();
    return c.emergency ? BOOT_EXIT_EMERGENCY : EXIT_SUCCESS;
}
