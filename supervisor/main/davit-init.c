/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-init: root of davit's processes. Takes its options, puts itself in order, and goes into
 * init/keeper.c.
 *
 * Options are told to the other programs by environment variables (base/paths.h), so each option here is
 * nothing but a convenient way to set one.
 */
#include <fcntl.h>
#include <getopt.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/parse.h"
#include "base/paths.h"
#include "init/console.h"
#include "init/crash.h"
#include "init/machine.h"
#include "init/mounts.h"
#include "init/run.h"

static const struct path_option {
    const char *name, *variable, *meaning;
} path_options[] = {
    {"runtime-dir", "DAVIT_RUNTIME_DIR", "sockets and saved state (/run/davit)"},
    {"state-dir", "DAVIT_STATE_DIR", "images, upper layers, volumes (/var/lib/davit)"},
    {"log-dir", "DAVIT_LOG_DIR", "container logs where there is no journal (/var/log/davit)"},
    {"config", "DAVIT_CONFIG", "settings (/etc/davit/davit.conf)"},
    {"unit-path", "DAVIT_UNIT_PATH", "directories of unit files, separated by colons"},
    {"libexec-dir", "DAVIT_LIBEXEC_DIR", "where davitd, davit-launch and davit-logd are"},
    {"cgroup", "DAVIT_CGROUP", "control group to work in"},
};

#define OPTION_HELP 'h'
#define OPTION_VERSION 'V'
#define OPTION_PATH 256 /* and up: index into path_options */
/* Said by davit-init to itself (init/reexec.h), so they are not in the usage text. */
#define OPTION_RESUME 'r'
#define OPTION_CHECK_STATE 'c'

static void usage(void) {
    (void)puts(
        "Usage: davit-init [OPTIONS]\n\n"
        "Starts davitd and keeps it running, with all containers it starts, until told to stop (SIGTERM).\n");
    for (size_t i = 0; i < ARRAY_SIZE(path_options); i++)
        (void)printf("  --%s=%-*s %s\n", path_options[i].name, 18 - (int)strlen(path_options[i].name), "PATH",
            path_options[i].meaning);
    (void)puts("  -h, --help             this text\n"
               "  -V, --version          the version\n\n"
               "Each PATH can be given in the environment as well (DAVIT_RUNTIME_DIR and so on). "
               "DAVIT_WATCHDOG_USEC\n"
               "sets how long davitd may be silent (default 30000000, 0 = for ever).");
}

struct arguments {
    int resume_fd, check_fd; /* -1 = not given */
};

static int parse_fd(const char *value, int *ret) {
    uint64_t number;

    if (parse_uint(value, STDERR_FILENO + 1, INT32_MAX, &number) < 0) {
        log_error("%s is no descriptor", value);
        return -EINVAL;
    }
    *ret = (int)number;
    return 0;
}

/* 0: go on, 1: done (help, version), -EINVAL. */
static int parse_arguments(int argc, char **argv, struct arguments *ret) {
    struct option options[ARRAY_SIZE(path_options) + 5] = {};
    size_t n = 0;
    int c;

    for (; n < ARRAY_SIZE(path_options); n++)
        options[n] = (struct option){path_options[n].name, required_argument, NULL, OPTION_PATH + (int)n};
    options[n++] = (struct option){"help", no_argument, NULL, OPTION_HELP};
    options[n++] = (struct option){"version", no_argument, NULL, OPTION_VERSION};
    options[n++] = (struct option){"resume", required_argument, NULL, OPTION_RESUME};
    options[n] = (struct option){"check-state", required_argument, NULL, OPTION_CHECK_STATE};

    while ((c = getopt_long(argc, argv, "hV", options, NULL)) >= 0) {
        if (init_role() == ROLE_MACHINE && (c == OPTION_HELP || c == OPTION_VERSION))
            continue;
        if (c == OPTION_HELP) {
            usage();
            return 1;
        }
        if (c == OPTION_VERSION) {
            (void)puts("davit-init " DAVIT_VERSION);
            return 1;
        }
        if (c == OPTION_RESUME || c == OPTION_CHECK_STATE) {
            if (parse_fd(optarg, c == OPTION_RESUME ? &ret->resume_fd : &ret->check_fd) < 0)
                return -EINVAL;
            continue;
        }
        if (c < OPTION_PATH && init_role() != ROLE_PROCESS)
            continue; /* what boot loaders leave behind: an init passes over what it does not know */
        if (c < OPTION_PATH)
            return -EINVAL; /* getopt has said why */
        if (setenv(path_options[c - OPTION_PATH].variable, optarg, 1) < 0)
            return negative_errno();
    }
    if (optind < argc && init_role() == ROLE_PROCESS) {
        log_error("unexpected argument: %s", argv[optind]);
        return -EINVAL;
    }
    return 0;
}

/* What every program may rely on: descriptors 0 to 2 exist, no other is open but those that davit-init hands
 * to itself, or that were kept for it, "/" keeps no mount busy. */
static void put_in_order(bool resumed) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", O_RDWR | O_NOCTTY); /* takes the lowest free number, which is fd */
    if (!resumed)
        (void)close_range(STDERR_FILENO + 1 + (unsigned)upward_inherited(), ~0U, 0);
    (void)!chdir("/");
    (void)umask(022);
}

/* Returns on anything but a machine, with the exit status. */
static int run(const struct boot *boot, int resume_fd) {
    _cleanup_(paths_done) struct paths paths = {};
    int r = paths_load(&paths);
    if (r < 0) {
        (void)log_errno(
            LOG_ERR, r, "the directories of davit (DAVIT_* in the environment) must be absolute paths");
        return 2;
    }
    return keeper_run(paths.runtime, paths.libexec, boot, resume_fd);
}

int main(int argc, char **argv) {
    struct arguments arguments = {.resume_fd = -1, .check_fd = -1};
    struct boot boot;

    boot_init(&boot);
    reexec_note_program(argv[0]);
    log_open("davit-init");
    log_set_sink(console_write);
    int r = parse_arguments(argc, argv, &arguments);
    if (r != 0 && init_role() != ROLE_MACHINE)
        return r > 0 ? EXIT_SUCCESS : 2;
    if (arguments.check_fd >= 0)
        return keeper_check_state(arguments.check_fd);

    if (init_role() == ROLE_MACHINE) {
        if (arguments.resume_fd >= 0)
            boot_resume(&boot);
        else
            boot_begin(&boot);
        (void)run(&boot, arguments.resume_fd);
        /* The kernel panics when its first process ends. */
        crash_stop(&boot.options, "davit-init cannot be set up");
    }
    put_in_order(arguments.resume_fd >= 0);
    if (init_role() == ROLE_CONTAINER) {
        if (arguments.resume_fd < 0)
            mounts_make_in_container();
        boot_take_arguments(&boot, argv + optind);
    }
    return run(&boot, arguments.resume_fd);
}
