/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/worker.h"

#include <fcntl.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/parse.h"
#include "image/gc-policy.h"
#include "image/memory.h"
#include "worker/confine.h"

#define PROGRESS_INTERVAL (100 * USEC_PER_MSEC)

/* What names are looked up with, and whose word counts for certificates. */
static const char *const network_files[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf",
    "/etc/host.conf", "/etc/gai.conf", "/run/systemd/resolve", "/etc/ssl", "/usr/lib/ssl", "/etc/pki",
    "/etc/crypto-policies", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", NULL};

static const struct worker_command commands[] = {
    {"import", CONFINE_UNPACK, NULL, import_prepare, import_run, true},
    {"create", CONFINE_UNPACK, NULL, create_prepare, create_run, true},
    {"export", CONFINE_UNPACK, NULL, export_prepare, export_run, false},
    {"save", CONFINE_UNPACK, NULL, save_prepare, save_run, false},
    {"tree", CONFINE_TREE, NULL, tree_prepare, tree_run, false},
    {"gc", CONFINE_UNPACK, NULL, gc_prepare, gc_run, false},
    {"fsck", CONFINE_TREE, NULL, fsck_prepare, fsck_run, false},
    {"pull", CONFINE_FETCH, network_files, command_pull_prepare, command_pull_run, true},
    {"check-login", CONFINE_FETCH, network_files, command_login_prepare, command_login_run, false},
};

#define OPTION(name, member) \
    { name, offsetof(struct worker_options, member), false }
#define OPTIONS(name, member) \
    { name, offsetof(struct worker_options, member), true }

static const struct worker_option options[] = {
    OPTION("store", store),
    OPTION("progress-fd", progress_fd),
    OPTION("timeout", timeout),
    OPTION("memory", memory),
    OPTIONS("name", names),
    OPTIONS("config", config),
    OPTIONS("copy", copy),
    OPTION("from", from),
    OPTION("tree", tree),
    OPTION("upper", upper),
    OPTION("id-base", id_base),
    OPTION("id-count", id_count),
    OPTION("format", format),
    OPTION("output", output),
    OPTION("driver", driver),
    OPTION("target", target),
    OPTION("limit", limit),
    OPTION("unused-for", unused_for),
    OPTIONS("unit", units),
    OPTIONS("keep", keep),
    OPTION("all", all),
    OPTION("automatic", automatic),
    OPTION("repair", repair),
    OPTION("quick", quick),
    OPTION("dry-run", dry_run),
    OPTION("platform", platform),
    OPTIONS("root", roots),
    OPTION("conf", conf),
    OPTION("policy", policy),
    OPTION("digest", digest),
    OPTION("auth-file", auth_file),
    OPTION("cert-dir", cert_dir),
    OPTION("tls-verify", tls_verify),
    OPTION("all-tags", all_tags),
    OPTION("retry", retry),
    OPTION("retry-delay", retry_delay),
};

/* ---- events ---- */

void worker_event(struct worker *w, json_t *event) {
    _cleanup_free_ char *text = event ? json_dumps(event, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

    json_decref(event);
    if (w->progress_fd < 0 || !text)
        return;
    _cleanup_free_ char *line = strf("%s\n", text);
    if (line)
        (void)write_all(w->progress_fd, line, strlen(line));
}

void worker_note(struct worker *w, const char *fmt, ...) {
    struct strbuf b = {};
    va_list ap;

    va_start(ap, fmt);
    strbuf_vprintf(&b, fmt, ap);
    va_end(ap);
    _cleanup_free_ char *text = strbuf_take(&b);
    if (text)
        worker_event(w, json_pack("{s:s, s:s}", "event", "note", "text", text));
}

void worker_progress(struct worker *w, const char *what, uint64_t done, uint64_t total) {
    usec_t now = now_monotonic();

    if (done != total && w->shown + PROGRESS_INTERVAL > now)
        return;
    w->shown = now;
    worker_event(w, json_pack("{s:s, s:s, s:I, s:I}", "event", "progress", "what", what, "done",
                        (json_int_t)done, "total", (json_int_t)total));
}

void worker_image(struct worker *w, const char *name, const char *manifest, const char *id) {
    if (w->wanted)
        return;
    worker_event(w,
        json_pack("{s:s, s:s?, s:s, s:s}", "event", "image", "name", name, "manifest", manifest, "id", id));
}

static void report_error(struct worker *w, const struct error *e) {
    char buffer[ERROR_STEP_MAX + ERROR_TEXT_MAX + 4];

    if (w->progress_fd < 0)
        (void)fprintf(stderr, "davit-image: %s\n", error_format(e, buffer, sizeof(buffer)));
    /* A name in it may be no UTF-8, which JSON cannot carry; messages escape those already. */
    worker_event(w, json_pack("{s:s, s:i, s:s, s:s}", "event", "error", "number", e->number, "step", e->step,
                        "text", e->text));
}

/* ---- the command line ---- */

static int take_option(struct worker_options *o, const char *text, struct error *e) {
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        const char *rest = startswith(text, options[i].name);
        if (!rest || *rest != '=')
            continue;
        void *field = (char *)o + options[i].offset;
        int r = options[i].repeated ? strv_append(field, rest + 1) : free_and_strdup(field, rest + 1);
        return r < 0 ? error_set(e, ENOMEM, "out of memory") : 0;
    }
    return error_set(e, EINVAL, "unknown option --%s", text);
}

static int take_arguments(struct worker *w, int argc, char **argv, struct error *e) {
    for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++)
        if (streq(argv[1], commands[i].name))
            w->command = &commands[i];
    if (!w->command)
        return error_set(
            e, EINVAL, "davit-image is started by davit and davitd: see davit(1), \"davit image\"");
    int i = 2;
    for (; i < argc && startswith(argv[i], "--"); i++) {
        if (streq(argv[i], "--")) {
            i++;
            break;
        }
        int r = take_option(&w->options, argv[i] + 2, e);
        if (r < 0)
            return r;
    }
    w->arguments = argv + i;
    w->n_arguments = (size_t)(argc - i);
    return w->options.store ? 0 : error_set(e, EINVAL, "--store is missing");
}

static void worker_done(struct worker *w) {
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        void *field = (char *)&w->options + options[i].offset;
        if (options[i].repeated)
            strv_free(*(char ***)field);
        else
            free(*(char **)field);
    }
    for (size_t i = 0; i < w->n_inputs; i++)
        closep(&w->inputs[i]);
    free(w->inputs);
    closep(&w->output);
    closep(&w->makers);
    store_done(&w->store);
}

int worker_add_input(struct worker *w, int fd, struct error *e) {
    int *grown = reallocarray(w->inputs, w->n_inputs + 1, sizeof(*grown));

    if (!grown) {
        close(fd);
        return error_set(e, ENOMEM, "out of memory");
    }
    w->inputs = grown;
    w->inputs[w->n_inputs++] = fd;
    return 0;
}

static int read_id(const char *text, uint32_t *ret, struct error *e) {
    uint64_t n;

    if (!text)
        return 0;
    if (parse_uint(text, 0, UINT32_MAX, &n) < 0)
        return error_set(e, EINVAL, "\"%s\" is no number of ids", text);
    *ret = (uint32_t)n;
    return 0;
}

int worker_ids(const struct worker *w, uint32_t *ret_base, uint32_t *ret_count, struct error *e) {
    int r = read_id(w->options.id_base, ret_base, e);
    return r < 0 ? r : read_id(w->options.id_count, ret_count, e);
}

int worker_output(const void *data, size_t n, struct error *e) {
    int r = write_all(STDOUT_FILENO, data, n);
    return r < 0 ? error_set_errno(e, r, "writing the archive") : 0;
}

/* ---- running ---- */

static int open_progress(struct worker *w, struct error *e) {
    uint64_t fd;

    if (!w->options.progress_fd)
        return 0;
    if (parse_uint(w->options.progress_fd, 1, INT32_MAX, &fd) < 0 || fcntl((int)fd, F_GETFD) < 0)
        return error_set(e, EINVAL, "--progress-fd=%s is no descriptor", w->options.progress_fd);
    w->progress_fd = (int)fd;
    (void)fd_set_cloexec(w->progress_fd, true);
    return 0;
}

/* How much a decompressor needs is said by the archive, so what makes images has a limit: heap and stacks of
 * threads together. */
static int take_memory(struct worker *w, struct error *e) {
    const char *conf = w->options.conf ? w->options.conf : WORKER_CONF;

    if (w->options.memory)
        return parse_size(w->options.memory, 1024, &w->memory) < 0
                   ? error_set(e, EINVAL, "--memory=%s is no size", w->options.memory)
                   : 0;
    return w->command && w->command->makes ? image_memory_read(conf, &w->memory, e) : 0;
}

static int take_keep_archives(struct worker *w, struct error *e) {
    _cleanup_(gc_policy_done) struct gc_policy p = {};
    const char *conf = w->options.conf ? w->options.conf : WORKER_CONF;

    int r = w->command && w->command->makes ? gc_policy_read(conf, &p, e) : 0;
    w->keep_archives = p.keep_archives;
    return r;
}

static int run(struct worker *w, struct error *e) {
    usec_t timeout = CONFINE_TIME;

    int r = open_progress(w, e);
    if (r < 0)
        return r;
    r = confine_close_others(w->progress_fd);
    if (r < 0)
        return error_set_errno(e, r, "closing descriptors");
    uint64_t seconds;
    if (w->options.timeout) {
        if (parse_uint(w->options.timeout, 1, CONFINE_TIME / USEC_PER_SEC, &seconds) < 0)
            return error_set(e, EINVAL, "--timeout=%s", w->options.timeout);
        timeout = seconds * USEC_PER_SEC;
    }
    r = take_memory(w, e);
    if (r >= 0)
        r = take_keep_archives(w, e);
    if (r < 0)
        return r;
    r = store_open(w->options.store, true, &w->store, e);
    if (r >= 0 && w->command->makes)
        r = w->makers = store_lock_makers(&w->store, LOCK_SH, e);
    if (r >= 0 && w->command->prepare)
        r = w->command->prepare(w, e);
    if (r >= 0)
        r = confine(w, timeout, e);
    return r < 0 ? r : w->command->run(w, e);
}

int worker_main(int argc, char **argv) {
    struct worker w = {.store.fd = -1, .makers = -1, .output = -1, .progress_fd = -1};
    struct error e = {};

    /* Names in archives are bytes; this locale lets libarchive leave valid UTF-8 as it is. */
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    (void)umask(0); /* modes are those that are asked for */
    (void)signal(SIGPIPE, SIG_IGN);
    /* Few and short-lived objects: one arena, and big ones back to the kernel at once. */
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_TRIM_THRESHOLD, 256 * 1024);

    int r = take_arguments(&w, argc, argv, &e);
    if (r >= 0)
        r = run(&w, &e);
    if (r < 0)
        report_error(&w, &e);
    worker_done(&w);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
