/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/boot.h"

#include <fcntl.h>
#include <linux/kd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "init/console.h"
#include "init/crash.h"
#include "init/mounts.h"

#define WORKER_PROGRAM "davit-boot"
#define SAFE_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
/* What systemd gives to everything it starts. */
#define FILES_SOFT 1024
#define FILES_HARD (512 * 1024)
#define MEMLOCK_BYTES (8 * 1024 * 1024)

extern char **environ;

void boot_init(struct boot *b) {
    *b = (struct boot){.times.userspace = now_monotonic(),
        .work_begin = clock_usec(CLOCK_PROCESS_CPUTIME_ID),
        .worker_deadline = USEC_INFINITY};
    boot_options_init(&b->options);
    hardware_watchdog_init(&b->watchdog);
}

/* ---- before the loop ---- */

/* The kernel hands every NAME=value of its command line that it does not know to its first process. What is
 * meant for us stays. */
static void clean_environment(void) {
    size_t kept = 0;

    for (char **e = environ; e && *e; e++)
        if (startswith(*e, "DAVIT_") || startswith(*e, "TERM="))
            environ[kept++] = *e;
    if (environ)
        environ[kept] = NULL;
    (void)setenv("PATH", SAFE_PATH, 1);
}

static void set_limit(int which, const char *name, rlim_t soft, rlim_t hard) {
    const struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};

    if (setrlimit(which, &limit) < 0)
        (void)log_errno(LOG_WARNING, errno, "cannot set the limit %s", name);
}

/* What units start from. The kernel's own hard limit of 4096 open files is too little for many, and a soft
 * limit above 1024 breaks programs that use select(2). Core dumps only by those that raise the limit. */
static void set_limits(void) {
    set_limit(RLIMIT_NOFILE, "of open files", FILES_SOFT, FILES_HARD);
    set_limit(RLIMIT_MEMLOCK, "of locked memory", MEMLOCK_BYTES, MEMLOCK_BYTES);
    set_limit(RLIMIT_CORE, "of core dumps", 0, RLIM_INFINITY);
}

/* Ctrl-Alt-Delete is SIGINT to us, not the end of the machine; Alt-Up SIGWINCH, where there is a keyboard. */
static void take_keys(void) {
    if (reboot(RB_DISABLE_CAD) < 0)
        (void)log_errno(LOG_WARNING, errno, "Ctrl-Alt-Delete stays with the kernel");
    _cleanup_close_ int fd = open("/dev/tty0", O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0)
        (void)ioctl(fd, KDSIGACCEPT, SIGWINCH);
}

static void read_command_line(struct boot *b) {
    int r = boot_options_read(&b->options, "/proc/cmdline");

    if (r < 0)
        (void)log_errno(LOG_WARNING, r, "/proc/cmdline");
    console_configure(&b->options);
    crash_handler_install(&b->options);
    if (b->options.watchdog_usec != USEC_INFINITY)
        b->watchdog.run_usec = b->options.watchdog_usec;
    if (b->options.watchdog_reboot_usec != USEC_INFINITY)
        b->watchdog.reboot_usec = b->options.watchdog_reboot_usec;
    if (b->options.watchdog_kexec_usec != USEC_INFINITY)
        b->watchdog.kexec_usec = b->options.watchdog_kexec_usec;
    (void)snprintf(b->watchdog.device, sizeof b->watchdog.device, "%s", b->options.watchdog_device);
}

/* The driver may be a module that davit-boot will load: a device that is not there yet is no news. Nor is one
 * that is still not there when the next davitd asks. */
static void open_watchdog(struct boot *b, bool drivers_loaded) {
    int r = hardware_watchdog_open(&b->watchdog);

    if (r >= 0 || b->watchdog_missed || (r == -ENODEV && !drivers_loaded))
        return;
    (void)log_errno(LOG_WARNING, r, "no hardware watchdog");
    b->watchdog_missed = drivers_loaded;
}

void boot_begin(struct boot *b) {
    struct error e = {};

    b->machine = true;
    console_open_machine();
    (void)close_range(STDERR_FILENO + 1, ~0U, 0); /* an initramfs has left them, or a userspace before */
    crash_handler_install(&b->options);
    (void)setsid();
    (void)umask(022);
    clean_environment();
    if (mounts_make(&e) < 0)
        crash_stop(&b->options, e.text);
    console_connect();
    read_command_line(b);
    b->times.mounts = now_monotonic();
    log_info("davit-init " DAVIT_VERSION " is the first process of this machine");

    open_watchdog(b, false);
    take_keys();
    set_limits();
    if (cgroups_make(b->options.cgroup, &e) < 0)
        log_warning("%s", e.text);
}

void boot_resume(struct boot *b) {
    b->machine = true;
    console_open_machine();
    console_connect();
    read_command_line(b);
}

void boot_take_arguments(struct boot *b, char *const *words) {
    for (; *words; words++)
        if (boot_options_take(&b->options, *words) == -EINVAL)
            log_warning("%s makes no sense here: ignored", *words);
}

/* ---- davit-boot ---- */

static _noreturn_ void run_worker(const char *libexec, const char *argument) {
    char path[4096];
    sigset_t none;

    (void)setsid();
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)snprintf(path, sizeof path, "%s/" WORKER_PROGRAM, libexec);
    (void)execl(path, WORKER_PROGRAM, argument, (char *)NULL);
    (void)log_errno(LOG_ERR, errno, "cannot start %s", path);
    _exit(127);
}

int boot_start_worker(struct boot *b, const char *libexec) {
    pid_t pid = fork();

    if (pid < 0)
        return negative_errno();
    if (pid == 0)
        run_worker(libexec, NULL);
    b->worker = pid;
    b->worker_deadline =
        b->options.boot_timeout == 0 ? USEC_INFINITY : usec_add(now_monotonic(), b->options.boot_timeout);
    return 0;
}

void boot_start_shell(struct boot *b, const char *libexec) {
    if (!b->machine || !b->options.shell || b->shell > 0 || b->times.ready != 0)
        return;
    pid_t pid = fork();
    if (pid == 0)
        run_worker(libexec, "--shell=emergency");
    if (pid < 0) {
        (void)log_errno(LOG_ERR, errno, "cannot fork for a shell on the console: at davitd's next death");
        return;
    }
    b->shell = pid;
    log_error("davitd does not come up: a shell on the console (davit.shell=no would leave it out)");
}

static void worker_done(struct boot *b) {
    b->worker = 0;
    b->worker_deadline = USEC_INFINITY;
    b->times.boot = now_monotonic();
    open_watchdog(b, true);
}

void boot_worker_ended(struct boot *b, int code, int status) {
    worker_done(b);
    if (code == CLD_EXITED && status == 0)
        return;
    if (code == CLD_EXITED && status == BOOT_EXIT_EMERGENCY) {
        b->emergency = true;
        log_error("something that units need is missing: going to emergency.target");
        return;
    }
    log_error(WORKER_PROGRAM " %s %d: going on without what it did not get to",
        code == CLD_EXITED ? "ended with status" : "was killed by signal", status);
}

void boot_worker_overdue(struct boot *b) {
    log_error(WORKER_PROGRAM " did not end in time (davit.boot_timeout=): going on without it");
    (void)kill(b->worker, SIGKILL);
    worker_done(b);
}

void boot_tell_reasons(struct boot *b, int runtime_fd) {
    const char *text;
    char line[64];

    if (b->watchdog.boot_status == 0)
        return;
    _cleanup_close_ int fd =
        openat(runtime_fd, BOOT_REPORT_NAME, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    for (size_t i = 0; (text = hardware_watchdog_reason(b->watchdog.boot_status, &i));) {
        log_notice("%s", text);
        (void)snprintf(line, sizeof line, "reason %s\n", text);
        if (fd >= 0)
            (void)write_all(fd, line, strlen(line));
    }
    b->watchdog.boot_status = 0;
}

/* ---- davitd ---- */

void boot_note_manager(struct boot *b) {
    if (b->times.manager != 0)
        return;
    b->times.manager = now_monotonic();
    b->times.init_work = clock_usec(CLOCK_PROCESS_CPUTIME_ID) - b->work_begin;
}

void boot_tell_finished(const struct boot *b) {
    char kernel[TIMESPAN_MAX], userspace[TIMESPAN_MAX], sum[TIMESPAN_MAX];
    const struct boot_times *t = &b->times;

    if (!b->machine)
        return;
    log_notice("startup finished in %s (kernel) + %s (userspace) = %s",
        timespan_format(t->userspace, USEC_PER_MSEC, kernel),
        timespan_format(t->finish - t->userspace, USEC_PER_MSEC, userspace),
        timespan_format(t->finish, USEC_PER_MSEC, sum));
}

void boot_take_watchdog(struct boot *b, const char *value) {
    const struct {
        usec_t said;
        usec_t *wanted;
    } times[] = {
        {b->options.watchdog_usec, &b->watchdog.run_usec},
        {b->options.watchdog_reboot_usec, &b->watchdog.reboot_usec},
        {b->options.watchdog_kexec_usec, &b->watchdog.kexec_usec},
    };
    usec_t run_before = b->watchdog.run_usec;
    usec_t usec[ARRAY_SIZE(times)];

    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        char *end;
        usec[i] = strtoull(value, &end, 10);
        if (end == value || *end != (i + 1 < ARRAY_SIZE(times) ? ',' : '\0'))
            return;
        value = end + 1;
    }
    if (!b->machine)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(times); i++)
        if (times[i].said == USEC_INFINITY)
            *times[i].wanted = usec[i];
    if (b->watchdog.fd >= 0 && b->watchdog.run_usec != run_before)
        (void)hardware_watchdog_set(&b->watchdog, b->watchdog.run_usec);
    open_watchdog(b, true);
}

int boot_arm_watchdog(struct boot *b, enum ending_kind kind) {
    struct hardware_watchdog *w = &b->watchdog;
    usec_t usec = kind == ENDING_KEXEC ? w->kexec_usec : kind == ENDING_HALT ? 0 : w->reboot_usec;

    if (!b->machine || (kind == ENDING_SOFT_REBOOT && w->fd < 0)) /* the machine itself goes on */
        return -1;
    w->run_usec = usec;
    int r = w->fd >= 0 ? hardware_watchdog_set(w, usec) : hardware_watchdog_open(w);
    if (r < 0 && r != -ENODEV)
        (void)log_errno(LOG_WARNING, r, "the hardware watchdog cannot be set for the way down");
    return w->fd;
}

int boot_manager_environment(const struct boot *b) {
    char times[BOOT_TIMES_TEXT_MAX], level[8];
    const char *target = b->emergency ? "emergency.target" : b->options.target;

    boot_times_format(&b->times, times);
    (void)snprintf(level, sizeof level, "%d", b->options.log_level);
    if (setenv(BOOT_TIMES_VARIABLE, times, 1) < 0)
        return negative_errno();
    if (*target && setenv(BOOT_TARGET_VARIABLE, target, 1) < 0)
        return negative_errno();
    if (b->options.log_level >= 0 && setenv(BOOT_LOG_VARIABLE, level, 1) < 0)
        return negative_errno();
    return 0;
}
