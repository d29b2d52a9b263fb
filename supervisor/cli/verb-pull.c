/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* davit image pull, davit login, davit logout. */
#include <fcntl.h>
#include <inttypes.h>
#include <termios.h>

#include "base/fs.h"
#include "base/parse.h"
#include "cli/image-worker.h"
#include "cli/images.h"
#include "cli/output.h"
#include "image/credentials.h"
#include "image/platform.h"

#define SECRET_MAX 4096

/* ---- arguments for the worker ---- */

/* A relative path is one from here, whatever the worker's directory is. */
static int add_path(char ***argv, const char *name, const char *path) {
    _cleanup_free_ char *here = NULL;

    if (!path || path_is_absolute(path))
        return image_worker_option(argv, name, path);
    here = getcwd(NULL, 0);
    return here ? strv_consume(argv, strf("--%s=%s/%s", name, here, path)) : -ENOMEM;
}

/* What pull and login have in common. */
static int common_arguments(struct cli *c, char ***ret) {
    const struct cli_options *o = &c->options;
    _cleanup_strv_free_ char **argv = NULL;
    int r = image_worker_option(&argv, "tls-verify", o->tls_verify);

    if (r >= 0)
        r = add_path(&argv, "cert-dir", o->cert_dir);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(argv);
    return 0;
}

/* --retry-delay as a time span, to microseconds. */
static int add_delay(char ***argv, const char *written) {
    usec_t delay;

    if (!written)
        return 0;
    if (timespan_parse(written, &delay) < 0) {
        cli_error("--retry-delay=%s is not a time span", written);
        return -EINVAL;
    }
    return strv_consume(argv, strf("--retry-delay=%" PRIu64, delay));
}

/* --platform, or --os, --arch and --variant with this machine's words where they are not there. */
static int add_platform(char ***argv, const struct cli_options *o) {
    _cleanup_(platform_done) struct platform p = {0};
    _cleanup_free_ char *text = NULL;

    if (o->platform)
        return image_worker_option(argv, "platform", o->platform);
    if (!o->os && !o->arch && !o->variant)
        return 0;
    int r = platform_host(o->os, o->arch, o->variant, &p);
    text = r < 0 ? NULL : platform_format(&p);
    return text ? image_worker_option(argv, "platform", text) : -ENOMEM;
}

static int pull_arguments(struct cli *c, char **names, char ***ret) {
    const struct cli_options *o = &c->options;
    _cleanup_strv_free_ char **argv = NULL;
    int r = common_arguments(c, &argv);

    if (r >= 0)
        r = images_add_roots(c, &argv);
    if (r >= 0)
        r = image_worker_option(&argv, "policy", o->policy);
    if (r >= 0)
        r = image_worker_option(&argv, "memory", o->memory);
    if (r >= 0)
        r = add_platform(&argv, o);
    if (r >= 0)
        r = add_path(&argv, "auth-file", o->authfile);
    if (r >= 0 && o->all_tags)
        r = strv_append(&argv, "--all-tags=yes");
    if (r >= 0)
        r = image_worker_option(&argv, "retry", o->retry);
    if (r >= 0)
        r = add_delay(&argv, o->retry_delay);
    if (r >= 0)
        r = strv_append(&argv, "--");
    if (r >= 0)
        r = strv_extend(&argv, names);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(argv);
    return 0;
}

/* ---- pull ---- */

/* The worker gets it in its environment: a command line is for everybody to read. */
static int pass_credentials(const char *text) {
    return setenv("DAVIT_REGISTRY_CREDS", text, 1) < 0 ? negative_errno() : 0;
}

int verb_image_pull(struct cli *c, char **arguments, size_t n) {
    _cleanup_strv_free_ char **argv = NULL;
    int r = pull_arguments(c, arguments, &argv);

    (void)n;
    if (r >= 0 && c->options.creds)
        r = pass_credentials(c->options.creds);
    if (r < 0) {
        if (r == -ENOMEM)
            cli_error("out of memory");
        return EXIT_FAILURE;
    }
    return image_worker_make(c, "pull", argv, true);
}

int image_fetch_again(struct cli *c, const char *name, const char *digest) {
    _cleanup_strv_free_ char **argv = NULL;
    int r = common_arguments(c, &argv);

    if (r >= 0)
        r = image_worker_option(&argv, "digest", digest);
    if (r >= 0)
        r = strv_append(&argv, "--");
    if (r >= 0)
        r = strv_append(&argv, name);
    if (r < 0) {
        cli_error("out of memory");
        return EXIT_FAILURE;
    }
    return image_worker_run(c, "pull", argv);
}

/* ---- login ---- */

/* The file that is written: as named, or beside davit.conf, where it is still there after a reboot. */
static char *credentials_file(const struct cli *c) {
    const char *named = c->options.authfile ? c->options.authfile : getenv("REGISTRY_AUTH_FILE");
    const char *slash = strrchr(c->paths.config, '/');

    return !isempty(named) ? strdup(named)
                           : strf("%.*s/auth.json", (int)(slash - c->paths.config), c->paths.config);
}

static char *read_line(FILE *f) {
    _cleanup_free_ char *line = NULL;
    size_t size = 0;
    ssize_t n = getline(&line, &size, f);

    if (n < 0 || n > SECRET_MAX)
        return NULL;
    line[strcspn(line, "\r\n")] = '\0';
    return TAKE_PTR(line);
}

/* Asks on the terminal, without echo for what is secret. */
static char *ask(const char *question, bool secret) {
    struct termios old, silent;
    bool hidden = secret && tcgetattr(STDIN_FILENO, &old) == 0;

    (void)fputs(question, stderr);
    if (hidden) {
        silent = old;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    char *answer = read_line(stdin);
    if (hidden) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
        (void)fputc('\n', stderr);
    }
    return answer;
}

static int get_credentials(struct cli *c, char **ret_user, char **ret_password) {
    bool terminal = isatty(STDIN_FILENO);

    if (!c->options.username && (c->options.password_stdin || !terminal)) {
        cli_error("--username is missing");
        return -EINVAL;
    }
    if (!c->options.password_stdin && !terminal) {
        cli_error("standard input is not a terminal: use --password-stdin");
        return -EINVAL;
    }
    *ret_user = c->options.username ? strdup(c->options.username) : ask("Username: ", false);
    *ret_password = c->options.password_stdin ? read_line(stdin) : ask("Password: ", true);
    if (!*ret_user || !*ret_password || !**ret_user || strchr(*ret_user, ':')) {
        cli_error(
            !*ret_user || !*ret_password ? "nothing was typed" : "a user name is not empty and has no colon");
        return -EINVAL;
    }
    return 0;
}

static int check_credentials(struct cli *c, const char *key, const char *user, const char *password) {
    _cleanup_strv_free_ char **argv = NULL;
    _cleanup_free_ char *pair = strf("%s:%s", user, password);
    int r = pair ? common_arguments(c, &argv) : -ENOMEM;

    if (r >= 0)
        r = strv_append(&argv, "--");
    if (r >= 0)
        r = strv_append(&argv, key);
    if (r >= 0)
        r = pass_credentials(pair);
    if (r < 0) {
        cli_error("out of memory");
        return EXIT_FAILURE;
    }
    return image_worker_run(c, "check-login", argv);
}

static void say_registry(struct cli *c, const char *text, const char *key) {
    json_t *o = json_pack("{ss}", "Registry", key);

    if (c->options.json)
        json_print(o);
    else if (!c->options.quiet)
        (void)puts(text);
    json_decref(o);
}

int verb_login(struct cli *c, char **arguments, size_t n) {
    _cleanup_free_ char *key = credentials_key(arguments[0]), *path = credentials_file(c), *user = NULL,
                        *password = NULL;
    struct error e = {0};

    (void)n;
    if (!key || !path) {
        cli_error("out of memory");
        return EXIT_FAILURE;
    }
    if (get_credentials(c, &user, &password) < 0)
        return EXIT_FAILURE;
    int status = check_credentials(c, key, user, password);
    if (status == EXIT_SUCCESS && credentials_store(path, key, user, password, &e) < 0) {
        cli_error("%s", e.text);
        status = EXIT_FAILURE;
    }
    explicit_bzero(password, strlen(password));
    if (status == EXIT_SUCCESS)
        say_registry(c, "Login Succeeded!", key);
    return status;
}

int verb_logout(struct cli *c, char **arguments, size_t n) {
    _cleanup_free_ char *key = credentials_key(arguments[0]), *path = credentials_file(c);
    struct error e = {0};

    (void)n;
    if (!key || !path) {
        cli_error("out of memory");
        return EXIT_FAILURE;
    }
    if (credentials_store(path, key, NULL, NULL, &e) < 0) {
        cli_error("%s", e.text);
        return EXIT_FAILURE;
    }
    _cleanup_free_ char *text = strf("Removed login credentials for %s", key);
    say_registry(c, text ?: "Removed", key);
    return EXIT_SUCCESS;
}
