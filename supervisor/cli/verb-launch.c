/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `davit launch UNIT`: a container under systemd, with no process beside it. davit is only the way in: it
 * prepares, clones the container as a child of systemd (CLONE_PARENT) into a group below the service's own,
 * tells systemd which process is the service now (MAINPID=), and is gone. What a container is comes from its
 * unit file; how it is supervised is the service's business. davit-systemd(7) has the whole picture.
 *
 * The order matters: MAINPID= is in systemd's socket before the child is let go (launch.h's barrier), and
 * READY=1 before its end can be seen (hold_end()), so even a program that ends at once ends as the main
 * process of a service that was started, with its exit status known.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/id128.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "launch/launch.h"
#include "manager/standalone.h"
#include "unit/unit.h"

#define BUSY_TIMEOUT ((usec_t)(120 * USEC_PER_SEC))

/* ---- telling systemd ---- */

/* Connected before the launcher leaves for a mount namespace in which the socket has no path. Without one
 * nobody would learn which process is the service, and from a shell the container would be the shell's child.
 */
static int notify_connect(int *ret, struct error *e) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t length;

    if (isempty(path))
        return error_set(e, ENOENT,
            "there is no $NOTIFY_SOCKET: this is for ExecStart= of a service with Type=notify (davit run is "
            "for shells)");
    int r = socket_address(path, &address, &length);
    if (r < 0)
        return error_set_errno(e, r, "NOTIFY_SOCKET=%s", path);
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, length) < 0)
        return error_set_errno(e, errno, "NOTIFY_SOCKET=%s", path);
    *ret = TAKE_FD(fd);
    return 0;
}

static void notify(int fd, const char *fmt, ...) _printf_(2, 3);
static void notify(int fd, const char *fmt, ...) {
    _cleanup_strbuf_ struct strbuf b = {};
    va_list ap;

    if (fd < 0)
        return;
    va_start(ap, fmt);
    strbuf_vprintf(&b, fmt, ap);
    va_end(ap);
    if (strbuf_failed(&b) || send(fd, b.data, b.length, MSG_NOSIGNAL) < 0)
        cli_error("cannot tell the service manager: %s", errno_text(errno));
}

/* The unit's own WatchdogSec= is for systemd to watch: it takes the interval from whoever may notify. */
static void notify_main_process(int fd, pid_t pid, const struct unit *config) {
    usec_t watchdog = config->service.watchdog;

    if (config->service.notify_access == NOTIFY_NONE || watchdog == 0 || watchdog == USEC_INFINITY)
        notify(fd, "MAINPID=%d", pid);
    else
        notify(fd, "MAINPID=%d\nWATCHDOG_USEC=%" PRIu64, pid, watchdog);
}

/* ---- launching ---- */

/* One try: what launch.h wants kept until launched_done(). */
struct attempt {
    struct container_spec spec;
    int fds[SPEC_MAX_FDS];
    size_t n_fds;
    struct launched launched;
};

static void attempt_done(struct attempt *a) {
    for (size_t i = 0; i < a->n_fds; i++)
        (void)close(a->fds[i]);
    a->n_fds = 0;
    spec_done(&a->spec);
}

/* In the host's mount namespace: what the container gets of the host's files is read now. */
static int attempt_prepare(struct attempt *a, struct standalone *s, struct error *e) {
    *a = (struct attempt){};
    spec_init(&a->spec);
    int r = standalone_spec(s, &a->spec, a->fds, &a->n_fds, e);
    return r < 0 ? r : spec_check(&a->spec, a->n_fds, e);
}

static int attempt_begin(struct attempt *a, struct launcher *l, struct error *e) {
    return launch_begin(l, &a->spec, a->fds, LAUNCH_CLONE_PARENT, &a->launched, e);
}

/* The launcher has left the host's mount namespace for one of its own. */
static int attempt_prepare_again(struct attempt *a, struct standalone *s, int host_fd, struct error *e) {
    _cleanup_close_ int own_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

    attempt_done(a);
    if (own_fd < 0 || setns(host_fd, CLONE_NEWNS) < 0)
        return error_set_errno(e, errno, "enter the host's mount namespace");
    int r = attempt_prepare(a, s, e);
    if (setns(own_fd, CLONE_NEWNS) < 0)
        return error_set_errno(e, errno, "leave the host's mount namespace");
    return r;
}

/* On failure, too, attempt_done() is the caller's. */
static int prepare_and_begin(struct attempt *a, struct launcher **l, struct standalone *s, struct error *e) {
    _cleanup_close_ int host_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

    *a = (struct attempt){};
    if (host_fd < 0)
        return error_set_errno(e, errno, "/proc/self/ns/mnt");
    int r = standalone_prepare(s, e);
    if (r >= 0)
        r = attempt_prepare(a, s, e);
    if (r >= 0)
        r = launcher_open(l, e);
    if (r >= 0)
        r = attempt_begin(a, *l, e);
    if (r >= 0 || !standalone_fall_back(s, e))
        return r;
    r = attempt_prepare_again(a, s, host_fd, e);
    return r < 0 ? r : attempt_begin(a, *l, e);
}

/* End of file: the program runs. Otherwise what kept it from that; the child ends with 125, 126 or 127. */
static int await_program(int status_fd, struct error *e) {
    struct error told;
    ssize_t n;

    do
        n = read(status_fd, &told, sizeof(told));
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return 0;
    if (n != (ssize_t)sizeof(told) || told.number <= 0)
        return error_set(e, EPROTO, "the new process sent an unreadable report");
    *e = told;
    return -e->number;
}

static int fail(const char *unit, int notify_fd, const struct error *e) {
    char buffer[ERROR_TEXT_MAX + ERROR_STEP_MAX + 4];
    const char *text = error_format(e, buffer, sizeof(buffer));

    cli_error("%s: %s", unit, text);
    notify(notify_fd, "STATUS=%s\nERRNO=%d", text, e->number);
    return EXIT_DAVIT_FAILED;
}

static void show_remarks(const struct standalone *s) {
    _cleanup_strv_free_ char **remarks = standalone_remarks(s);

    STRV_FOREACH (remark, remarks)
        cli_error("%s: %s", standalone_config(s)->name, *remark);
}

/* systemd takes a main process that ends before READY=1 for one that broke the protocol, and a short program
 * is faster than we are. The first process of a pid namespace cannot end before everybody in it is reaped: so
 * we put one there that has ended already, and reap it when all is said. 0: there is none. */
static pid_t hold_end(int pidfd) {
    siginfo_t info;

    if (setns(pidfd, CLONE_NEWPID) < 0)
        return 0;
    pid_t pid = fork();
    if (pid < 0)
        return 0;
    if (pid == 0)
        _exit(EXIT_SUCCESS);
    /* The container does not get to see it alive. */
    (void)waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    return pid;
}

static void let_end(pid_t held) {
    if (held > 0)
        (void)waitpid(held, NULL, 0);
}

/* All that there is to say is said before the child may end: then systemd ends this process too. */
static int launch(struct standalone *s, int notify_fd, struct error *e) {
    _cleanup_(launcher_closep) struct launcher *l = NULL;
    const struct unit *config = standalone_config(s);
    struct attempt a;
    pid_t held = 0;

    if (prepare_and_begin(&a, &l, s, e) < 0) {
        attempt_done(&a);
        return fail(config->name, notify_fd, e);
    }
    show_remarks(s);
    notify_main_process(notify_fd, a.launched.pid, config);
    if (config->service.notify_access == NOTIFY_NONE)
        held = hold_end(a.launched.pidfd);
    launch_go(&a.launched);
    int status = EXIT_SUCCESS;
    if (await_program(a.launched.status_fd, e) < 0)
        status = fail(config->name, notify_fd, e);
    else if (config->service.notify_access == NOTIFY_NONE)
        notify(notify_fd, "READY=1");
    let_end(held);
    launched_done(&a.launched);
    attempt_done(&a);
    return status;
}

/* ---- stopping ---- */

/* systemd itself sends the one KillSignal= of the service; the container's may be another, and of the image's
 * only we know. Its end is waited for, for TimeoutStopSec= of the service and at most StopTimeout=. */
static int signal_main_process(struct standalone *s, struct error *e) {
    const char *text = getenv("MAINPID");
    usec_t wait;
    uint64_t pid;

    int signal = standalone_stop_signal(s, &wait);
    if (signal == SIGTERM || isempty(text))
        return 0;
    if (parse_uint(text, 1, INT32_MAX, &pid) < 0)
        return error_set(e, EINVAL, "MAINPID=%s", text);
    _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd < 0)
        return errno == ESRCH ? 0 : error_set_errno(e, errno, "process %s", text);
    if (syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0 && errno != ESRCH)
        return error_set_errno(e, errno, "signal %d to process %s", signal, text);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    (void)poll(&p, 1, (int)MIN(wait / USEC_PER_MSEC, (usec_t)INT32_MAX));
    return 0;
}

/* ---- the verb ---- */

/* Rule R6 (sealed.c). The options are put together again, since the verb has only what they meant. */
static int reexec_sealed(struct cli *c, char *unit, struct error *e) {
    char *argv[6];
    size_t n = 0;

    argv[n++] = (char *)"davit";
    argv[n++] = (char *)"launch";
    if (c->options.no_limits)
        argv[n++] = (char *)"--no-limits";
    if (c->options.runtime_dir)
        (void)setenv("DAVIT_RUNTIME_DIR", c->options.runtime_dir, 1);
    argv[n++] = (char *)"--";
    argv[n++] = unit;
    argv[n] = NULL;
    int r = sealed_reexec(argv, e);
    (void)prctl(PR_SET_NAME, "davit");
    return r;
}

/* An image may take longer than the service's TimeoutStartSec=: each sign of life is good for two minutes
 * more. */
static void tell_busy(void *userdata, const char *what) {
    const int *notify_fd = userdata;
    _cleanup_free_ char *text = what ? text_printable(what, strlen(what)) : NULL;

    notify(*notify_fd, "EXTEND_TIMEOUT_USEC=%" PRIu64 "%s%s", BUSY_TIMEOUT,
        text ? "\nSTATUS=Preparing: " : "", text ? text : "");
}

static int open_unit(
    struct cli *c, const char *unit, int *notify_fd, struct standalone **ret, struct error *e) {
    const char *given = getenv("INVOCATION_ID");
    char invocation[ID128_TEXT];

    id128_random(invocation);
    const struct standalone_options options = {
        .invocation = given && id128_is_valid(given) ? given : invocation,
        .notify_socket = getenv("NOTIFY_SOCKET"),
        .no_limits = c->options.no_limits,
        .stdout_fd = STDOUT_FILENO,
        .stderr_fd = STDERR_FILENO,
        .busy = tell_busy,
        .userdata = notify_fd,
    };
    return standalone_open(&c->paths, unit, &options, ret, e);
}

static int start(struct cli *c, char *unit) {
    _cleanup_(standalone_freep) struct standalone *s = NULL;
    _cleanup_close_ int notify_fd = -1;
    struct error e = {};

    int r = reexec_sealed(c, unit, &e);
    if (r >= 0)
        r = notify_connect(&notify_fd, &e);
    if (r >= 0)
        r = open_unit(c, unit, &notify_fd, &s, &e);
    return r < 0 ? fail(unit, notify_fd, &e) : launch(s, notify_fd, &e);
}

static int stop(struct cli *c, const char *unit) {
    _cleanup_(standalone_freep) struct standalone *s = NULL;
    struct error e = {};
    int notify_fd = -1;

    int r = open_unit(c, unit, &notify_fd, &s, &e);
    if (r >= 0)
        r = signal_main_process(s, &e);
    return r < 0 ? fail(unit, -1, &e) : EXIT_SUCCESS;
}

int verb_launch(struct cli *c, char **arguments, size_t n _unused_) {
    struct error e = {};

    if (c->options.stop_payload)
        return stop(c, arguments[0]);
    if (!c->options.cleanup)
        return start(c, arguments[0]);
    return standalone_cleanup(&c->paths, arguments[0], &e) < 0 ? fail(arguments[0], -1, &e) : EXIT_SUCCESS;
}
