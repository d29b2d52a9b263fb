/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Running davit-image and showing what it says (worker/worker.h has its events). */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/spawn.h"
#include "cli/image-worker.h"
#include "cli/output.h"

#define PROGRESS_FD 3
#define BAR_WIDTH 20
#define LINE_MAX_BYTES (64 * 1024)

struct reports {
    struct cli *cli;
    bool terminal; /* progress is shown in one line of stderr */
    bool line;     /* and stands there now */
    bool ids;      /* of images that were fetched IDs are printed, as podman does */
    bool failed;
    void (*on_event)(void *userdata, json_t *event);
    void *userdata;
};

static void clear_line(struct reports *p) {
    if (p->line)
        (void)fputs("\r\033[K", stderr);
    p->line = false;
}

static void print_bar(uint64_t done, uint64_t total) {
    char bar[BAR_WIDTH + 1];
    size_t filled = (size_t)((double)MIN(done, total) / (double)total * BAR_WIDTH);

    memset(bar, '#', filled);
    memset(bar + filled, '.', BAR_WIDTH - filled);
    bar[BAR_WIDTH] = '\0';
    (void)fprintf(stderr, "[%s] ", bar);
}

static void show_image(const struct reports *p, json_t *event) {
    const char *id = startswith(json_text(event, "id"), "sha256:");

    (void)printf("%s\n", p->ids && id ? id : json_text(event, "name"));
}

static void show_progress(struct reports *p, json_t *event) {
    uint64_t done = (uint64_t)json_number(event, "done", 0), total = (uint64_t)json_number(event, "total", 0);
    char have[16], all[16];
    _cleanup_free_ char *what = NULL;

    if (!p->terminal)
        return;
    what = text_printable(json_text(event, "what"), strlen(json_text(event, "what")));
    clear_line(p);
    if (total > 0)
        print_bar(done, total);
    (void)fprintf(stderr, "%s: %s", what ? what : "", size_format(done, have));
    if (total > 0)
        (void)fprintf(stderr, " of %s, %" PRIu64 " %%", size_format(total, all), done * 100 / total);
    (void)fflush(stderr);
    p->line = true;
}

static void show_error(struct reports *p, json_t *event) {
    const char *step = json_text(event, "step"), *text = json_text(event, "text");

    p->failed = true;
    cli_error("%s%s%s", step, *step ? ": " : "", text);
}

static void show_freed(struct reports *p, json_t *event) {
    char size[16];

    cli_remark(p->cli, "%" PRIi64 " images, %" PRIi64 " layers and %" PRIi64 " documents %s, %s %s.",
        json_number(event, "images", 0), json_number(event, "layers", 0), json_number(event, "blobs", 0),
        p->cli->options.dry_run ? "would be removed" : "removed",
        size_format((uint64_t)json_number(event, "bytes", 0), size),
        p->cli->options.dry_run ? "would be freed" : "freed");
}

static void show_event(struct reports *p, json_t *event) {
    const char *kind = json_text(event, "event");

    if (streq(kind, "progress")) {
        show_progress(p, event);
        return;
    }
    clear_line(p);
    if (streq(kind, "error"))
        show_error(p, event);
    else if (streq(kind, "image"))
        show_image(p, event);
    else if (streq(kind, "note"))
        cli_remark(p->cli, "%s", json_text(event, "text"));
    else if (streq(kind, "freed"))
        show_freed(p, event);
    else if (streq(kind, "checked") && json_number(event, "problems", 0) == 0)
        cli_remark(p->cli, "No problems found.");
}

static void take_line(struct reports *p, const char *line) {
    json_t *event = json_loads(line, 0, NULL);

    if (!event)
        return;
    if (p->on_event)
        p->on_event(p->userdata, event);
    if (p->cli->options.json)
        (void)printf("%s\n", line);
    if (!p->cli->options.json || streq(json_text(event, "event"), "error"))
        show_event(p, event);
    json_decref(event);
}

static void read_events(struct reports *p, int fd) {
    FILE *f = fdopen(fd, "r");
    char *line = NULL;
    size_t size = 0;
    ssize_t n;

    if (!f) {
        (void)close(fd);
        return;
    }
    while ((n = getline(&line, &size, f)) > 0 && n < LINE_MAX_BYTES) {
        line[strcspn(line, "\n")] = '\0';
        take_line(p, line);
    }
    clear_line(p);
    free(line);
    (void)fclose(f);
}

static int wait_for(pid_t pid, const struct reports *p) {
    char buffer[16];
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_FAILURE;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return EXIT_SUCCESS;
    if (WIFSIGNALED(status))
        cli_error("davit-image was ended by %s; what it left is removed by \"davit image gc\"",
            WTERMSIG(status) == SIGALRM ? "its time-out" : signal_name(WTERMSIG(status), buffer));
    else if (!p->failed)
        cli_error("davit-image failed without saying why");
    return EXIT_FAILURE;
}

int image_worker_run(struct cli *c, const char *command, char *const *arguments) {
    return image_worker_watch(c, command, arguments, NULL, NULL);
}

int image_worker_watch(struct cli *c, const char *command, char *const *arguments,
    void (*on_event)(void *userdata, json_t *event), void *userdata) {
    struct reports p = {.cli = c,
        .on_event = on_event,
        .userdata = userdata,
        .terminal = isatty(STDERR_FILENO) && !c->options.quiet && !c->options.json,
        .ids = streq(command, "pull")};
    _cleanup_free_ char *program = path_join(c->paths.libexec, "davit-image"),
                        *store = path_join(c->paths.state, "images");
    _cleanup_free_ char *option = store ? strf("--store=%s", store) : NULL;
    _cleanup_strv_free_ char **argv = NULL;
    int fds[2];
    pid_t pid;

    if (!program || !option || strv_append(&argv, program) < 0 || strv_append(&argv, command) < 0 ||
        strv_append(&argv, option) < 0 || strv_append(&argv, "--progress-fd=3") < 0 ||
        image_worker_option(&argv, "conf", c->paths.config) < 0 || strv_extend(&argv, arguments) < 0) {
        cli_error("out of memory");
        return EXIT_FAILURE;
    }
    if (pipe2(fds, O_CLOEXEC) < 0) {
        cli_error("pipe: %s", errno_text(errno));
        return EXIT_FAILURE;
    }
    int r = spawn_with_fd(program, argv, NULL, fds[1], PROGRESS_FD, &pid);
    (void)close(fds[1]);
    if (r < 0) {
        (void)close(fds[0]);
        cli_error("%s: %s", program, errno_text(r));
        return EXIT_FAILURE;
    }
    read_events(&p, fds[0]);
    return wait_for(pid, &p);
}

int image_worker_option(char ***arguments, const char *name, const char *value) {
    return value ? strv_consume(arguments, strf("--%s=%s", name, value)) : 0;
}
