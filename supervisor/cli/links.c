/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shutdown, halt, poweroff, reboot, telinit: the names that scripts and people have called for decades, with
 * the options that systemd's forms of them take. `make install-init` makes them links to davit.
 */
#include <getopt.h>

#include "base/str.h"
#include "cli/cli.h"

/* ---- halt, poweroff, reboot ---- */

/* -n (no sync) and -d (no wtmp) are accepted: file systems are unmounted in any case, and nothing is written
 * to wtmp. */
static int run_halt(struct cli *c, enum ending_kind kind, int argc, char **argv) {
    enum { OPTION_HALT = 256, OPTION_REBOOT, OPTION_NO_WALL, OPTION_HELP };
    static const struct option longs[] = {
        {"halt", no_argument, NULL, OPTION_HALT},
        {"poweroff", no_argument, NULL, 'p'},
        {"reboot", no_argument, NULL, OPTION_REBOOT},
        {"force", no_argument, NULL, 'f'},
        {"wtmp-only", no_argument, NULL, 'w'},
        {"no-wtmp", no_argument, NULL, 'd'},
        {"no-sync", no_argument, NULL, 'n'},
        {"no-wall", no_argument, NULL, OPTION_NO_WALL},
        {"help", no_argument, NULL, OPTION_HELP},
        {},
    };
    struct end_call call = {.kind = kind};

    for (int o; (o = getopt_long(argc, argv, "pfwdnih", longs, NULL)) >= 0;)
        switch (o) {
        case OPTION_HALT:
            call.kind = ENDING_HALT;
            break;
        case 'p':
            call.kind = ENDING_POWEROFF;
            break;
        case OPTION_REBOOT:
            call.kind = ENDING_REBOOT;
            break;
        case 'f':
            call.force++;
            break;
        case 'w':
            return EXIT_SUCCESS; /* davit has no wtmp to write to */
        case OPTION_NO_WALL:
            call.no_wall = true;
            break;
        case OPTION_HELP:
            (void)printf("Usage: %s [--halt|-p|--reboot] [-f] [--no-wall]\n", argv[0]);
            return EXIT_SUCCESS;
        case '?':
            return EXIT_FAILURE;
        default:
            break;
        }
    if (optind < argc && call.kind == ENDING_REBOOT)
        call.argument = argv[optind]; /* as systemd's reboot(8) takes it */
    return cli_end(c, &call);
}

/* ---- shutdown ---- */

static int shutdown_usage(void) {
    (void)puts("Usage: shutdown [-H|-P|-h|-r|-k] [--no-wall] [TIME] [MESSAGE...]\n"
               "       shutdown -c [--no-wall] | --show\n\n"
               "Ends the machine at TIME: now, +MINUTES (default +1), HH:MM.\n\n"
               "  -P, -h, --poweroff   power off (default)\n"
               "  -H, --halt           halt\n"
               "  -r, --reboot         reboot\n"
               "  -k                   only tell those who are logged in\n"
               "  -c                   forget what is scheduled\n"
               "      --no-wall        tell nobody who is logged in\n"
               "      --show           show what is scheduled");
    return EXIT_SUCCESS;
}

static int run_shutdown(struct cli *c, _unused_ enum ending_kind kind, int argc, char **argv) {
    enum { OPTION_NO_WALL = 256, OPTION_SHOW, OPTION_HELP };
    static const struct option longs[] = {
        {"halt", no_argument, NULL, 'H'},
        {"poweroff", no_argument, NULL, 'P'},
        {"reboot", no_argument, NULL, 'r'},
        {"no-wall", no_argument, NULL, OPTION_NO_WALL},
        {"show", no_argument, NULL, OPTION_SHOW},
        {"help", no_argument, NULL, OPTION_HELP},
        {},
    };
    struct end_call call = {.kind = ENDING_POWEROFF};
    bool only_tell = false, cancel = false;

    for (int o; (o = getopt_long(argc, argv, "HPhrkcfFat:", longs, NULL)) >= 0;)
        switch (o) {
        case 'H':
            call.kind = ENDING_HALT;
            break;
        case 'P':
        case 'h':
            call.kind = ENDING_POWEROFF;
            break;
        case 'r':
            call.kind = ENDING_REBOOT;
            break;
        case 'k':
            only_tell = true;
            break;
        case 'c':
            cancel = true;
            break;
        case OPTION_SHOW:
            return cli_end_show(c);
        case OPTION_NO_WALL:
            call.no_wall = true;
            break;
        case OPTION_HELP:
            return shutdown_usage();
        case '?':
            return EXIT_FAILURE;
        default: /* of older forms, without a meaning today */
            break;
        }
    if (cancel)
        return cli_end_cancel(c, call.no_wall);
    const char *when = optind < argc ? argv[optind++] : "+1";
    _cleanup_free_ char *message = strv_join(argv + optind, " ");
    call.message = message;
    int r = when_parse(when, now_realtime(), USEC_PER_MINUTE, &call.when);
    if (r < 0) {
        cli_error("\"%s\" %s", when, r == -ERANGE ? "has passed" : "is no time");
        return EXIT_FAILURE;
    }
    if (streq(when, "now") || streq(when, "+0"))
        call.when = 0;
    if (!only_tell)
        return cli_end(c, &call);
    cli_end_wall(&call);
    return EXIT_SUCCESS;
}

/* ---- telinit ---- */

static int run_telinit(struct cli *c, _unused_ enum ending_kind kind, int argc, char **argv) {
    static const struct {
        const char *levels;
        const char *verb; /* of the command line's own */
        const char *argument;
    } table[] = {
        {"0", "poweroff", NULL},
        {"6", "reboot", NULL},
        {"1sS", "rescue", NULL},
        {"2345", "start", "multi-user.target"},
        {"qQ", "daemon-reload", NULL},
    };
    const char *level = argc == 2 ? argv[1] : "";

    for (size_t i = 0; strlen(level) == 1 && i < ARRAY_SIZE(table); i++) {
        char *arguments[] = {(char *)table[i].argument, NULL};
        if (!strchr(table[i].levels, *level))
            continue;
        c->verb = verb_find(table[i].verb);
        c->options.mode = table[i].argument ? "isolate" : NULL;
        return c->verb->function(c, arguments, table[i].argument ? 1 : 0);
    }
    cli_error("telinit takes one of 0 6 1 s 2 3 4 5 q");
    return EXIT_FAILURE;
}

/* ---- the names ---- */

bool cli_link(struct cli *c, const char *name, int argc, char **argv, int *ret) {
    static const struct {
        const char *name;
        int (*run)(struct cli *c, enum ending_kind kind, int argc, char **argv);
        enum ending_kind kind;
    } table[] = {
        {"shutdown", run_shutdown, ENDING_POWEROFF},
        {"halt", run_halt, ENDING_HALT},
        {"poweroff", run_halt, ENDING_POWEROFF},
        {"reboot", run_halt, ENDING_REBOOT},
        {"telinit", run_telinit, ENDING_NONE},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        if (!streq(name, table[i].name))
            continue;
        int r = paths_load(&c->paths);
        if (r < 0)
            cli_error("the environment has a bad path in one of $DAVIT_...: %s", errno_text(r));
        optind = 0;
        *ret = r < 0 ? EXIT_FAILURE : table[i].run(c, table[i].kind, argc, argv);
        return true;
    }
    return false;
}
