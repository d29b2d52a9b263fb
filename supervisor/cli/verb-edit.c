/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mask, unmask, edit, revert: what the administrator puts over the files that are there. */
#include <fcntl.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/str.h"
#include "cli/cli.h"
#include "unit/unit.h"

enum { TEXT_MAX = 4 * 1024 * 1024 }; /* longer ones are no unit files */

/* A full name, also of a unit that is not there (yet): a mask may come before what it hides. */
static int full_name(const struct unit_environment *env, const char *written, char **ret) {
    int r = cli_unit_resolve(env, written, ret);
    if (r != -ENOENT || !unit_name_is_valid(written))
        return r;
    *ret = strdup(written);
    return *ret ? 0 : -ENOMEM;
}

/* ---- mask, unmask, revert ---- */

static int override_one(
    struct cli *c, const struct unit_environment *env, const char *written, char ***changes) {
    const char *verb = c->verb->name;
    bool runtime = c->options.runtime;
    _cleanup_free_ char *name = NULL;
    struct error e = {};

    int r = full_name(env, written, &name);
    if (r == -ENOENT)
        error_set(&e, ENOENT, "there is no such unit");
    if (r >= 0)
        r = streq(verb, "mask")     ? unit_mask(env, name, runtime, changes, &e)
            : streq(verb, "unmask") ? unit_unmask(env, name, runtime, changes, &e)
                                    : unit_revert(env, name, changes, &e);
    if (r < 0)
        cli_error("cannot %s %s: %s", verb, written, *e.text ? e.text : errno_text(r));
    return r;
}

int verb_mask(struct cli *c, char **arguments, size_t n) {
    _cleanup_strv_free_ char **changes = NULL;
    struct unit_environment env;
    int status = EXIT_SUCCESS;

    (void)cli_unit_environment(c, &env);
    for (size_t i = 0; i < n; i++)
        if (override_one(c, &env, arguments[i], &changes) < 0)
            status = EXIT_FAILURE;
    cli_files_changed(c, changes);
    if (c->options.now && status == EXIT_SUCCESS)
        status = cli_run_jobs(c, "stop", arguments, n);
    return status;
}

/* ---- edit ---- */

#define MARK "### What follows is the unit as it is; it is not kept."

/* What the editor shows: what is there to be changed and, for a drop-in, the whole unit for reading. */
static char *text_to_edit(const struct cli *c, const char *path, const struct unit *u) {
    _cleanup_free_ char *now = NULL;
    _cleanup_strv_free_ char **files = u ? unit_files(u) : NULL;
    struct strbuf b = {};

    bool exists = file_read(AT_FDCWD, path, TEXT_MAX, &now, NULL) >= 0;
    if (c->options.full) {
        if (!exists && u && u->fragment && file_read(AT_FDCWD, u->fragment, TEXT_MAX, &now, NULL) < 0)
            return NULL;
        return now ? TAKE_PTR(now) : strdup("");
    }
    strbuf_printf(&b, "%s\n\n" MARK "\n", exists ? now : "");
    STRV_FOREACH (file, files) {
        _cleanup_free_ char *text = NULL;
        char *rest, *line;
        if (streq(*file, path) || file_read(AT_FDCWD, *file, TEXT_MAX, &text, NULL) < 0)
            continue;
        strbuf_printf(&b, "\n### %s\n", *file);
        rest = text;
        while ((line = strsep(&rest, "\n")) && (rest || *line))
            strbuf_printf(&b, "# %s\n", line);
    }
    return strbuf_take(&b);
}

/* The user's editor, as one command line of the shell's: it may have arguments. */
static int run_editor(const char *path) {
    static const char *const names[] = {"SYSTEMD_EDITOR", "VISUAL", "EDITOR"};
    const char *editor = NULL;
    int status;

    for (size_t i = 0; i < ARRAY_SIZE(names) && isempty(editor); i++)
        editor = getenv(names[i]);
    _cleanup_free_ char *command = isempty(editor) ? strdup("for e in editor nano vim vi; do command -v $e "
                                                            ">/dev/null && exec $e \"$1\"; done; exit 127")
                                                   : strf("%s \"$1\"", editor);
    if (!command)
        return -ENOMEM;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)execl("/bin/sh", "sh", "-c", command, "davit-edit", path, NULL);
        _exit(127);
    }
    if (pid < 0)
        return negative_errno();
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return negative_errno();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        cli_error("%s: nothing is changed", WIFEXITED(status) && WEXITSTATUS(status) == 127
                                                ? "there is no editor; set $EDITOR, or use --stdin"
                                                : "the editor failed");
        return -ECANCELED;
    }
    return 0;
}

/* The text as the user leaves it, in *text instead of the one before. */
static int edit_text(const struct cli *c, char **text) {
    char path[] = "/tmp/davit-edit-XXXXXX.conf";
    char *edited = NULL;

    if (c->options.from_stdin) {
        int r = fd_read_all(STDIN_FILENO, TEXT_MAX, &edited, NULL);
        if (r < 0)
            return r;
    } else {
        _cleanup_close_ int fd = mkostemps(path, (int)strlen(".conf"), O_CLOEXEC);
        int r = fd < 0 ? negative_errno() : write_all(fd, *text, strlen(*text));
        if (r >= 0)
            r = run_editor(path);
        if (r >= 0) /* by name: editors write a new file */
            r = file_read(AT_FDCWD, path, TEXT_MAX, &edited, NULL);
        if (fd >= 0)
            (void)unlink(path);
        if (r < 0)
            return r;
    }
    free(*text);
    *text = edited;
    char *mark = c->options.full ? NULL : strstr(edited, MARK);
    if (mark)
        *mark = '\0';
    return 0;
}

static int save(const struct cli *c, const char *path, const char *text, char ***changes) {
    _cleanup_free_ char *directory = strndup(path, (size_t)(path_basename(path) - path));
    size_t n = strlen(text), blank = strspn(text, " \t\n");

    if (!directory)
        return -ENOMEM;
    if (blank == n && !c->options.full) { /* nothing is left of a drop-in */
        if (unlink(path) < 0)
            return errno == ENOENT ? 0 : negative_errno();
        (void)rmdir(directory);
        return strv_consume(changes, strf("removed %s", path));
    }
    while (n > 0 && strchr(" \t\n", text[n - 1]))
        n--;
    _cleanup_free_ char *whole = strf("%.*s\n", (int)(n - blank), text + blank);
    int r = whole ? mkdir_parents(AT_FDCWD, directory, 0755) : -ENOMEM;
    if (r >= 0)
        r = file_write_atomic(AT_FDCWD, path, whole, strlen(whole), 0644, true);
    return r < 0 ? r : strv_consume(changes, strf("wrote %s", path));
}

static int edit_file(const struct cli *c, const char *path, char **text, char ***changes) {
    int r = edit_text(c, text);
    return r < 0 ? r : save(c, path, *text, changes);
}

static char *path_to_edit(const struct cli *c, const struct unit_environment *env, const char *name) {
    const char *root = unit_override_root(env, c->options.runtime),
               *file = c->options.drop_in ?: "override.conf";
    if (!root)
        return NULL;
    return c->options.full ? path_join(root, name)
                           : strf("%s/%s.d/%s%s", root, name, file, endswith(file, ".conf") ? "" : ".conf");
}

static int edit_one(struct cli *c, const struct unit_environment *env, const char *written, char ***changes) {
    _cleanup_(unit_freep) struct unit *u = NULL;
    _cleanup_free_ char *name = NULL, *path = NULL, *text = NULL;
    struct error e = {};

    int r = full_name(env, written, &name);
    if (r >= 0 && unit_load(env, name, &u, &e) < 0 && !(c->options.full && c->options.force))
        r = -ENOENT;
    if (r == -ENOENT) {
        cli_error("there is no unit %s; --full --force writes one", written);
        return r;
    }
    path = r >= 0 ? path_to_edit(c, env, name) : NULL;
    text = path ? text_to_edit(c, path, u) : NULL;
    if (r >= 0 && !path)
        r = error_set(&e, ENOENT, "there is no directory for it in the unit path");
    else if (r >= 0 && !text)
        r = -ENOMEM;
    else if (r >= 0)
        r = edit_file(c, path, &text, changes);
    if (r < 0 && r != -ECANCELED)
        cli_error("cannot edit %s: %s", written, *e.text ? e.text : errno_text(r));
    return r;
}

int verb_edit(struct cli *c, char **arguments, size_t n) {
    _cleanup_strv_free_ char **changes = NULL;
    struct unit_environment env;
    int status = EXIT_SUCCESS;

    if (!c->options.from_stdin && !isatty(STDIN_FILENO)) {
        cli_error("edit needs a terminal, or --stdin");
        return EXIT_FAILURE;
    }
    if (c->options.drop_in && strchr(c->options.drop_in, '/')) {
        cli_error("--drop-in is the name of a file, not a path");
        return EXIT_FAILURE;
    }
    (void)cli_unit_environment(c, &env);
    for (size_t i = 0; i < n && status == EXIT_SUCCESS; i++)
        if (edit_one(c, &env, arguments[i], &changes) < 0)
            status = EXIT_FAILURE;
    cli_files_changed(c, changes);
    /* The new text is in force for the next start; what is wrong with it had better be known now. */
    if (strv_length(changes) > 0 && status == EXIT_SUCCESS) {
        c->options.quiet = true;
        status = verb_check(c, arguments, n);
    }
    return status;
}
