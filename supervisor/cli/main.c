/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <locale.h>
#include <signal.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/output.h"

/* the Makefile knows */
#ifndef DAVIT_VERSION
#define DAVIT_VERSION "unknown"
#endif

void cli_error(const char *fmt, ...) {
    va_list ap;
    struct strbuf b = {};

    va_start(ap, fmt);
    strbuf_vprintf(&b, fmt, ap);
    va_end(ap);
    _cleanup_free_ char *text = strbuf_take(&b);
    _cleanup_free_ char *safe = text ? text_printable(text, strlen(text)) : NULL;
    (void)fflush(stdout);
    (void)fprintf(stderr, "davit: %s\n", safe ?: fmt);
}

void cli_remark(const struct cli *c, const char *fmt, ...) {
    va_list ap;
    if (c->options.quiet)
        return;
    (void)fflush(stdout);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
}

/* ---- help ---- */

static void print_options(const struct verb *v, bool general) {
    for (size_t i = 0; i < n_options; i++) {
        const struct option_info *o = &option_table[i];
        char text[80];
        if (o->general != general || !verb_takes(v, o))
            continue;
        (void)snprintf(text, sizeof(text), "--%s%s%s", o->name, o->argument ? "=" : "", o->argument ?: "");
        if (o->letter)
            (void)printf("  -%s, %-28s %s\n", o->letter, text, o->help);
        else
            (void)printf("      %-28s %s\n", text, o->help);
    }
}

static void print_help(void) {
    (void)puts("Usage: davit [OPTION...] VERB [ARGUMENT...]\n\nRun and supervise a fleet of containers.");
    for (size_t i = 0; i < n_verbs; i++) {
        char text[64];
        if (verbs[i].heading)
            (void)printf("\n%s:\n", verbs[i].heading);
        (void)snprintf(text, sizeof(text), "%s %s", verbs[i].name, verbs[i].arguments);
        (void)printf("  %-28s %s\n", text, verbs[i].help);
    }
    (void)puts("\nOptions:");
    print_options(NULL, true);
    (void)puts("\n'davit VERB --help' shows the options of a verb; davit(1) has all of it.");
}

static void print_verb_help(const struct verb *v) {
    (void)printf("Usage: davit %s [OPTION...]%s%s\n\n%s.\n\nOptions:\n", v->name, *v->arguments ? " " : "",
        v->arguments, v->help);
    print_options(v, false);
    print_options(v, true);
}

int verb_help(struct cli *c _unused_, char **arguments, size_t n) {
    const struct verb *v = n > 0 ? verb_find(arguments[0]) : NULL;
    if (n > 0 && !v) {
        cli_error("there is no verb \"%s\"", arguments[0]);
        return EXIT_FAILURE;
    }
    if (v)
        print_verb_help(v);
    else
        print_help();
    return EXIT_SUCCESS;
}

static const char *nearest_verb(const char *written) {
    const char *nearest = NULL;
    unsigned least = 3;
    for (size_t i = 0; i < n_verbs; i++) {
        unsigned d = edit_distance(written, verbs[i].name);
        if (d < least) {
            least = d;
            nearest = verbs[i].name;
        }
    }
    return nearest;
}

/* ---- one command line ---- */

static int verb_dispatch(struct cli *c, int argc, char **argv) {
    const struct verb *v = c->verb;
    int failure = v->program ? EXIT_DAVIT_FAILED : EXIT_FAILURE;
    int first = options_parse(&c->options, v, argc, argv);
    if (first < 0)
        return failure;
    if (c->options.help) {
        print_verb_help(v);
        return EXIT_SUCCESS;
    }
    size_t n = (size_t)(argc - first);
    if (n < v->min || n > v->max) {
        cli_error("%s %s", v->name, n > v->max ? "takes fewer arguments" : "needs more arguments");
        (void)fprintf(
            stderr, "Usage: davit %s [OPTION...]%s%s\n", v->name, *v->arguments ? " " : "", v->arguments);
        return failure;
    }
    int r = paths_load(&c->paths);
    if (r < 0) {
        cli_error("the environment has a bad path in one of $DAVIT_...: %s", errno_text(r));
        return failure;
    }
    if (c->options.runtime_dir && free_and_strdup(&c->paths.runtime, c->options.runtime_dir) < 0)
        return failure;
    return v->function(c, argv + first, n);
}

static int dispatch(struct cli *c, int argc, char **argv) {
    int first = options_parse(&c->options, NULL, argc, argv);
    if (first < 0)
        return EXIT_FAILURE;
    if (c->options.version) {
        (void)printf("davit %s\n", DAVIT_VERSION);
        return EXIT_SUCCESS;
    }
    if (c->options.help) {
        print_help();
        return EXIT_SUCCESS;
    }
    if (first == argc) {
        cli_error("which verb?");
        (void)fputs("Try 'davit --help'.\n", stderr);
        return EXIT_FAILURE;
    }
    c->verb = verb_find(argv[first]);
    if (!c->verb) {
        const char *nearest = nearest_verb(argv[first]);
        cli_error("there is no verb \"%s\"%s%s%s", argv[first], nearest ? " (did you mean " : "",
            nearest ?: "", nearest ? "?)" : "");
        return EXIT_FAILURE;
    }
    return verb_dispatch(c, argc - first, argv + first);
}

int cli_main(int argc, char **argv) {
    struct cli c = {};

    (void)setlocale(LC_CTYPE, "");
    log_open("davit");
    int r;
    if (argc < 1 || !cli_link(&c, path_basename(argv[0]), argc, argv, &r))
        r = dispatch(&c, argc, argv);
    if (c.client)
        client_free(c.client);
    paths_done(&c.paths);
    options_done(&c.options);
    /* Output that could not be written is a failure too, but `davit list | head` is none. */
    if (fflush(stdout) != 0 && errno != EPIPE && r == EXIT_SUCCESS) {
        cli_error("cannot write: %s", errno_text(errno));
        r = EXIT_FAILURE;
    }
    return r;
}
