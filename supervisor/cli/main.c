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

/* Those of one family, or all. */
static void print_verbs(const char *family) {
    for (size_t i = 0; i < n_verbs; i++) {
        const char *rest = family ? startswith(verbs[i].name, family) : verbs[i].name;
        char text[64];
        if (!rest || (family && *rest != ' '))
            continue;
        if (verbs[i].heading && !family)
            (void)printf("\n%s:\n", verbs[i].heading);
        (void)snprintf(text, sizeof(text), "%s %s", verbs[i].name, verbs[i].arguments);
        (void)printf("  %-28s %s\n", text, verbs[i].help);
    }
}

static void print_help(void) {
    (void)puts("Usage: davit [OPTION...] VERB [ARGUMENT...]\n\nRun and supervise a fleet of containers.");
    print_verbs(NULL);
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

static void print_family_help(const char *family) {
    (void)printf("Usage: davit %s VERB [OPTION...] [ARGUMENT...]\n\n", family);
    print_verbs(family);
    (void)printf(
        "\n'davit %s VERB --help' shows the options of a verb; davit-%s(1) has all of it.\n", family, family);
}

/* "image pull" is one verb; "image" alone, where there is none of that name, is a family of them. */
static const struct verb *find_verb(char **words, size_t n, size_t *ret_used) {
    _cleanup_free_ char *two = n > 1 ? strf("%s %s", words[0], words[1]) : NULL;
    const struct verb *v = two ? verb_find(two) : NULL;

    *ret_used = v ? 2 : 1;
    return v ?: n > 0 ? verb_find(words[0]) : NULL;
}

int verb_help(struct cli *c _unused_, char **arguments, size_t n) {
    size_t used;
    const struct verb *v = find_verb(arguments, n, &used);

    if (n == 0)
        print_help();
    else if (v)
        print_verb_help(v);
    else if (n == 1 && verb_is_family(arguments[0]))
        print_family_help(arguments[0]);
    else {
        _cleanup_free_ char *written = strv_join(arguments, " ");
        cli_error("there is no verb \"%s\"", written ?: arguments[0]);
        return EXIT_FAILURE;
    }
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

/* Verbs for which -o or --format is something else: a mode of logs, a file, the form of an archive. */
static bool means_json(const struct verb *v, bool format) {
    return v->function != verb_image_save &&
           (format || (v->function != verb_logs && v->function != verb_export));
}

/* `-o json` (kubectl, systemctl) and `--format json` (podman) are --json. */
static bool take_json_word(struct cli *c, const char *option, const char *word) {
    static const char *const people[] = {"short", "text", "table"};

    if (startswith(word, "json")) {
        c->options.json = true;
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(people); i++)
        if (streq(word, people[i]))
            return true;
    cli_error("%s of %s is text or json, not \"%s\"%s", option, c->verb->name, word,
        strstr(word, "{{") ? ": there are no templates, but jq(1) takes what --json prints" : "");
    return false;
}

static bool output_settle(struct cli *c) {
    const struct cli_options *o = &c->options;

    return (!o->output || !means_json(c->verb, false) || take_json_word(c, "-o", o->output)) &&
           (!o->format || !means_json(c->verb, true) || take_json_word(c, "--format", o->format));
}

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
    if (!output_settle(c))
        return failure;
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
    _cleanup_strv_free_ char **names = NULL;
    if (cli_patterns_expand(c, argv + first, n, &names) < 0)
        return failure;
    if (!names)
        return v->function(c, argv + first, n);
    /* Patterns that match nothing: nothing to be done, and none of it has failed. */
    return *names ? v->function(c, names, strv_length(names)) : EXIT_SUCCESS;
}

/* What those who come from elsewhere type, and what it is here. */
static const char *foreign_verb(const char *word) {
    static const struct {
        const char *word, *hint;
    } foreign[] = {
        {"attach", "'davit logs -f UNIT' follows its output, 'davit exec -it UNIT sh' opens a shell in it"},
        {"build", "'davit image import' takes what buildah or docker have built; 'davit image create' adds "
                  "files to an image"},
        {"create", "write a unit file and 'davit start' it, or 'davit run -d' a one-off container"},
        {"load", "'davit image import' takes what 'docker save' and 'podman save' write"},
        {"push", "'davit image save' writes an archive that 'skopeo copy' brings to a registry"},
        {"prune", "'davit image gc --all' removes what nobody needs"},
        {"search", "'davit image pull' fetches an image by its name"},
        {"system", "'davit info' and 'davit image du' show what there is, 'davit image gc' makes room"},
        {"rm", "'davit stop' ends a container and removes what it has written; a unit is there as long as "
               "its file"},
        {"down", "'davit stop' with the units, or a target that they are PartOf="},
        {"up", "'davit start' with the units, or a target that Wants= them"},
        {"preset", "'davit enable' and 'davit disable'; containers with an [Install] section are enabled by "
                   "being there"},
        {"set-property",
            "'davit edit UNIT' writes a drop-in, 'davit edit --runtime' one until the next boot"},
        {"set-default", "default_target in davit.conf says which it is"},
        {"rename", "a container is called after its unit's file; ContainerName= is its name in the journal"},
        {"update", "'davit edit UNIT', then 'davit restart UNIT'"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
        if (streq(word, foreign[i].word))
            return foreign[i].hint;
    return NULL;
}

/* second: the word behind it, or NULL */
static int no_such_verb(const char *word, const char *second) {
    bool family = verb_is_family(word);

    if (family && (!second || *second == '-')) {
        bool asked = second && (streq(second, "--help") || streq(second, "-h"));
        if (!asked)
            cli_error("which verb of \"%s\"?", word);
        print_family_help(word);
        return asked ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    _cleanup_free_ char *two = family ? strf("%s %s", word, second) : strdup(word);
    const char *hint = foreign_verb(family ? second : word), *nearest = nearest_verb(two ?: word);
    if (hint) {
        cli_error("there is no verb \"%s\": %s", two ?: word, hint);
        return EXIT_FAILURE;
    }
    cli_error("there is no verb \"%s\"%s%s%s", two ?: word, nearest ? " (did you mean " : "", nearest ?: "",
        nearest ? "?)" : "");
    return EXIT_FAILURE;
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
    size_t used;
    c->verb = find_verb(argv + first, (size_t)(argc - first), &used);
    if (!c->verb)
        return no_such_verb(argv[first], argv[first + 1]);
    first += (int)used - 1;
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
