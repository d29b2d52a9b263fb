/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image save, commit, export: images and file systems as files. davit-image reads and packs. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "cli/container.h"
#include "cli/image-worker.h"
#include "cli/output.h"

static int out_of_memory(char **l) {
    strv_free(l);
    cli_error("out of memory");
    return EXIT_FAILURE;
}

/* ---- standard output of the worker ---- */

static int run_into(struct cli *c, int fd, const char *command, char *const *arguments) {
    (void)fflush(stdout);
    _cleanup_close_ int saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    if (saved < 0 || dup2(fd, STDOUT_FILENO) < 0) {
        cli_error("dup2: %s", errno_text(errno));
        return EXIT_FAILURE;
    }
    int status = image_worker_run(c, command, arguments);
    (void)dup2(saved, STDOUT_FILENO);
    return status;
}

/* To a temporary file beside it first, so that a file of that name is always a whole one. */
static int run_into_file(struct cli *c, const char *path, const char *command, char *const *arguments) {
    _cleanup_free_ char *temporary = strf("%s.XXXXXX", path);
    int status;

    if (!temporary)
        return out_of_memory(NULL);
    _cleanup_close_ int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        cli_error("%s: %s", path, errno_text(errno));
        return EXIT_FAILURE;
    }
    status = run_into(c, fd, command, arguments);
    mode_t mask = umask(0);
    (void)umask(mask);
    if (status == EXIT_SUCCESS &&
        (fchmod(fd, 0666 & ~mask) < 0 || fsync(fd) < 0 || rename(temporary, path) < 0)) {
        cli_error("%s: %s", path, errno_text(errno));
        status = EXIT_FAILURE;
    }
    if (status != EXIT_SUCCESS) {
        (void)unlink(temporary);
        cli_error("%s was not written", path);
    }
    return status;
}

/* --output=FILE, or standard output, which must not be a terminal. */
static int run_to_output(struct cli *c, const char *command, char *const *arguments) {
    const char *path = c->options.output;

    if (path && !streq(path, "-"))
        return run_into_file(c, path, command, arguments);
    if (isatty(STDOUT_FILENO)) {
        cli_error("an archive is not written to a terminal: say --output=FILE, or redirect it");
        return EXIT_FAILURE;
    }
    return run_into(c, STDOUT_FILENO, command, arguments);
}

/* ---- save ---- */

/* The names by which podman knows them as well. */
static const struct format {
    const char *written, *word;
    bool directory;
} formats[] = {
    {"oci", "oci", false},
    {"oci-archive", "oci", false},
    {"oci-dir", "oci", true},
    {"docker", "docker", false},
    {"docker-archive", "docker", false},
};

static const struct format *find_format(const char *written) {
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
        if (streq(written, formats[i].written))
            return &formats[i];
    cli_error("--format=%s: expected oci-archive, oci-dir or docker-archive", written);
    return NULL;
}

/* Into a new directory beside it first, so that one of that name is always a whole one. An empty one is
 * replaced. */
static int run_into_directory(struct cli *c, const char *command, char *const *arguments) {
    _cleanup_strv_free_ char **l = NULL;
    const char *path = c->options.output;

    if (!path || streq(path, "-")) {
        cli_error("--format=oci-dir needs a directory to be made: say --output=DIR");
        return EXIT_FAILURE;
    }
    /* Without the "/" at its end. */
    _cleanup_free_ char *copy = strdup(path),
                        *temporary = copy ? strf("%s.XXXXXX", path_simplify(copy)) : NULL;
    if (!temporary)
        return out_of_memory(NULL);
    if (!mkdtemp(temporary)) {
        cli_error("%s: %s", path, errno_text(errno));
        return EXIT_FAILURE;
    }
    mode_t mask = umask(0);
    (void)umask(mask);
    int status = EXIT_FAILURE;
    if (image_worker_option(&l, "output", temporary) < 0 || strv_extend(&l, arguments) < 0)
        cli_error("out of memory");
    else
        status = image_worker_run(c, command, l);
    if (status == EXIT_SUCCESS && (chmod(temporary, 0777 & ~mask) < 0 || rename(temporary, copy) < 0)) {
        cli_error("%s: %s", path, errno_text(errno));
        status = EXIT_FAILURE;
    }
    if (status != EXIT_SUCCESS) {
        (void)remove_tree(AT_FDCWD, temporary);
        cli_error("%s was not written", path);
    }
    return status;
}

int verb_image_save(struct cli *c, char **arguments, size_t n) {
    const struct format *format = find_format(c->options.format ?: "oci");
    char **l = NULL;

    if (!format)
        return EXIT_FAILURE;
    int r = image_worker_option(&l, "format", format->word);
    if (r >= 0)
        r = strv_append(&l, "--");
    for (size_t i = 0; i < n && r >= 0; i++)
        r = strv_append(&l, arguments[i]);
    if (r < 0)
        return out_of_memory(l);
    int status = format->directory ? run_into_directory(c, "save", l) : run_to_output(c, "save", l);
    strv_free(l);
    return status;
}

/* ---- of a container ---- */

static int add_ids(char ***l, const struct container *container) {
    _cleanup_free_ char *base = strf("%u", container->id_base), *count = strf("%u", container->id_count);

    if (!base || !count)
        return -ENOMEM;
    if (container->id_count == 0)
        return 0;
    int r = image_worker_option(l, "id-base", base);
    return r < 0 ? r : image_worker_option(l, "id-count", count);
}

/* Nothing may change while it is read; a container that somebody has frozen stays so. */
static int pause_container(struct cli *c, const struct container *container, bool on) {
    struct client_reply reply;

    if (json_flag(container->details, "frozen"))
        return 0;
    int r = cli_call(
        c, on ? "io.davit.Unit.Freeze" : "io.davit.Unit.Thaw", unit_parameter(container->unit), &reply);
    if (r >= 0)
        client_reply_done(&reply);
    return r;
}

static int run_paused(struct cli *c, const struct container *container, const char *command, char **l,
    int (*run)(struct cli *c, const char *command, char *const *arguments)) {
    if (pause_container(c, container, true) < 0)
        return EXIT_FAILURE;
    int status = run(c, command, l);
    if (pause_container(c, container, false) < 0)
        status = EXIT_FAILURE;
    return status;
}

static int commit(struct cli *c, const struct container *container, const char *name) {
    _cleanup_(store_image_done) struct store_image image = {};
    _cleanup_(images_done) struct images images = {};
    const struct store *s;
    char **l = NULL;

    if (!container->directory) {
        cli_error("%s has a read-only root file system: there is nothing to commit", container->unit);
        return EXIT_FAILURE;
    }
    if (images_open(c, false, &images) < 0 || container_image(c, container, &images, &image, &s) < 0)
        return EXIT_FAILURE;
    int r = image_worker_option(&l, "name", name);
    if (r >= 0)
        r = image_worker_option(&l, "from", image.manifest_digest);
    if (r >= 0)
        r = image_worker_option(&l, "upper", container->upper);
    if (r >= 0 && container->upper)
        r = add_ids(&l, container);
    if (r >= 0 && container->tree)
        r = image_worker_option(&l, "tree", container->directory);
    STRV_FOREACH (change, c->options.config)
        r = r < 0 ? r : image_worker_option(&l, "config", *change);
    if (r < 0)
        return out_of_memory(l);
    int status = run_paused(c, container, "create", l, image_worker_run);
    strv_free(l);
    if (status == EXIT_SUCCESS)
        (void)image_collect(c);
    return status;
}

int verb_commit(struct cli *c, char **arguments, size_t n _unused_) {
    _cleanup_(container_done) struct container container = {};

    if (container_open_running(c, arguments[0], &container) < 0)
        return EXIT_FAILURE;
    return commit(c, &container, arguments[1]);
}

int verb_export(struct cli *c, char **arguments, size_t n _unused_) {
    _cleanup_(container_done) struct container container = {};
    _cleanup_free_ char *root = NULL;
    char **l = NULL;

    if (container_open_running(c, arguments[0], &container) < 0)
        return EXIT_FAILURE;
    root = strf("/proc/%d/root/", (int)container.pid);
    if (!root || add_ids(&l, &container) < 0 || strv_append(&l, "--") < 0 || strv_append(&l, root) < 0)
        return out_of_memory(l);
    int status = run_paused(c, &container, "export", l, run_to_output);
    strv_free(l);
    return status;
}
