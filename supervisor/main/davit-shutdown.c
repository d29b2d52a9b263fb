/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* davit-shutdown: the end of a machine. Takes what davit-init tells it, puts its descriptors in order, and
 * goes into shutdown/shutdown.c. */
#include <fcntl.h>
#include <getopt.h>

#include "base/log.h"
#include "base/parse.h"
#include "shutdown/shutdown.h"

static void usage(void) {
    (void)puts("davit-shutdown is executed by davit-init, in its place:\n"
               "  davit-shutdown VERB [OPTION...]\n\n"
               "VERB is halt, poweroff, reboot, kexec or soft-reboot.\n\n"
               "  --argument=TEXT        for the reboot command\n"
               "  --watchdog-fd=N        hardware watchdog, open\n"
               "  --init=PATH            what a soft-reboot executes\n"
               "  --container            nothing but processes is ours to end\n"
               "  --status=N             exit status where reboot(2) is forbidden");
}

enum {
    OPTION_ARGUMENT = 256,
    OPTION_WATCHDOG_FD,

    OPTION_INIT,
    OPTION_CONTAINER,
    OPTION_STATUS
};

static int take_option(struct shutdown *s, int option) {
    uint64_t n = 0;

    switch (option) {
    case OPTION_ARGUMENT:
        s->argument = optarg;
        return 0;
    case OPTION_INIT:
        s->init = optarg;
        return 0;
    case OPTION_CONTAINER:
        s->container = true;
        return 0;
    default:
        break;
    }
    if (!optarg || parse_uint(optarg, 0, INT64_MAX, &n) < 0)
        return -EINVAL;
    if (option == OPTION_WATCHDOG_FD)
        s->watchdog_fd = (int)n;
    else
        s->status = (int)(n & 0xff);
    return 0;
}

/* Process 1 cannot refuse: the kernel panics when it ends. A davit-init of another version may have executed us,
 * so what is not understood is passed over. 0, 1: the ending is not known, so it is a reboot; or -EINVAL. */
static int parse_arguments(int argc, char **argv, struct shutdown *s) {
    static const struct option options[] = {
        {"argument", required_argument, NULL, OPTION_ARGUMENT},
        {"watchdog-fd", required_argument, NULL, OPTION_WATCHDOG_FD},
        {"init", required_argument, NULL, OPTION_INIT},
        {"container", no_argument, NULL, OPTION_CONTAINER},
        {"status", required_argument, NULL, OPTION_STATUS},
        {},
    };
    bool lenient = getpid() == 1;
    struct ending e;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
        if ((c < OPTION_ARGUMENT || take_option(s, c) < 0) && !lenient)
            return -EINVAL;
    bool known = optind < argc && ending_parse(argv[optind], &e) >= 0 && e.kind != ENDING_NONE &&
                 e.kind != ENDING_EXIT;
    if (!lenient && (!known || optind + 1 != argc))
        return -EINVAL;
    s->kind = known ? e.kind : ENDING_REBOOT;
    return known ? 0 : 1;
}

/* The console as it is now: whoever had it as a terminal is gone. Never as a controlling terminal, and never
 * waiting for one who reads it (shutdown/console.c). Without a console the kernel's log takes the messages. */
static void open_standard_fds(int keep) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int out = open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

    if (out < 0)
        out = open("/dev/kmsg", O_WRONLY | O_NOCTTY | O_CLOEXEC);
    if (null >= 0)
        (void)dup2(null, STDIN_FILENO);
    if (out >= 0) {
        (void)dup2(out, STDOUT_FILENO);
        (void)dup2(out, STDERR_FILENO);
    }
    if (keep > STDERR_FILENO) {
        (void)close_range(STDERR_FILENO + 1, (unsigned)keep - 1, 0);
        (void)close_range((unsigned)keep + 1, ~0U, 0);
    } else
        (void)close_range(STDERR_FILENO + 1, ~0U, 0);
}

int main(int argc, char **argv) {
    struct shutdown s = {.watchdog_fd = -1};

    int r = parse_arguments(argc, argv, &s);
    if (r < 0) {
        usage();
        return EXIT_FAILURE;
    }
    if (getpid() != 1) {
        (void)fputs("davit-shutdown: only for PID 1; 'davit poweroff' asks for an end in order\n", stderr);
        return EXIT_FAILURE;
    }
    log_open("davit-shutdown");
    log_set_sink(console_log);
    if (!s.container)
        open_standard_fds(s.watchdog_fd);
    if (r > 0)
        log_warning("no ending that is known was asked for");
    return shutdown_run(&s);
}
