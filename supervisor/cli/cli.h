/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line, `davit`. A verb is a row in verbs.c and a function in a file of its family (verb-*.c); an
 * option is a row in options.c. Help, parsing and completion come from these two tables.
 *
 * The command line decides nothing about units: it asks davitd over the control socket, and reads unit files
 * and logs itself where no manager is needed (check, cat, enable, logs).
 */
#pragma once

#include "base/ending.h"
#include "base/paths.h"
#include "control/client.h"

/* Exit statuses, as systemctl(1) and podman-run(1) have them. */
enum {
    EXIT_NOT_RUNNING = 3,    /* status, is-active: the unit is there and does not run */
    EXIT_NO_SUCH_UNIT = 4,   /* status, is-active */
    EXIT_NOT_INSTALLED = 5,  /* start, stop, ...: no such unit */
    EXIT_DAVIT_FAILED = 125, /* run, exec: it was davit that failed, not the program */
    EXIT_CANNOT_EXECUTE = 126,
    EXIT_NOT_FOUND = 127,
    EXIT_SIGNALLED = 128, /* + number of the signal */
};

struct cli_options {
    bool help, version, json, quiet, no_pager, plain;
    const char *format, *type, *state, *drop_in, *tail;
    bool no_legend, value, no_stream, reverse, after, before, runtime, full, from_stdin;
    bool archive;
    unsigned force; /* how often it was said */
    bool no_wall;
    const char *when, *message, *reboot_argument;
    bool all, failed, no_block, now, strict, follow, dmesg, keep;
    bool cleanup, stop_payload, no_limits;
    bool interactive, terminal, detach, remove, read_only, privileged, init;
    const char *runtime_dir, *signal, *kill_whom, *mode, *lines, *since, *until, *output;
    const char *user, *workdir, *name, *hostname, *memory, *memory_swap, *cpus, *pids_limit, *userns,
        *entrypoint, *network;
    const char *stop_signal, *stop_timeout, *shm_size, *tz;
    bool repair, quick, dry_run, no_trunc; /* image */
    const char *from, *limit, *unused_for; /* image */
    char **config, **copy;                 /* image */
    bool all_tags, password_stdin;
    const char *policy, *platform, *os, *arch, *variant, *authfile, *creds, *cert_dir, *tls_verify, *retry,
        *retry_delay, *username, *pull;
    char **units, **properties, **env, **env_files, **volumes, **mounts, **tmpfs, **cap_add, **cap_drop,
        **ulimits, **devices;
    char **group_add, **labels, **annotations, **dns, **add_host, **sysctl, **security_opt, **unit_properties;
};

struct verb;

struct cli {
    const struct verb *verb;
    struct cli_options options;
    struct paths paths;
    struct client *client; /* made by cli_connect() */
};

struct verb {
    const char *name, *arguments, *help; /* a name of two words belongs to a family: "image list" */
    const char
        *options;      /* names of the options that it takes besides the general ones, with blanks between */
    unsigned min, max; /* number of arguments */
    int (*function)(struct cli *c, char **arguments, size_t n); /* its result is the exit status */
    bool program; /* what follows the first argument is a command line, not options; failures are 125 */
    const char *heading; /* the help starts a new group here */
};
extern const struct verb verbs[];
extern const size_t n_verbs;
const struct verb *verb_find(const char *name);
/* True if there are verbs of two words that begin with this one. */
bool verb_is_family(const char *word);

/* ---- options.c ---- */

enum option_kind { OPTION_FLAG, OPTION_COUNT, OPTION_STRING, OPTION_STRINGS };
struct option_info {
    const char *name;
    const char *letter; /* one, NULL = none */
    const char *argument;
    const char *help;
    size_t offset; /* in struct cli_options */
    enum option_kind kind;
    bool general; /* every verb takes it */
};
extern const struct option_info option_table[];
extern const size_t n_options;
/* True if the verb (NULL: what stands before a verb) takes this option. */
bool verb_takes(const struct verb *v, const struct option_info *o);
/* Reads options from argv[1] on and moves the rest behind them. Returns the index of the first argument, or
 * -EINVAL (explained on stderr). */
int options_parse(struct cli_options *options, const struct verb *v, int argc, char **argv);
void options_done(struct cli_options *options);

/* ---- main.c ---- */

/* The whole of main(). */
int cli_main(int argc, char **argv);
/* "davit: text" on stderr, unless it is only a remark and --quiet was given. */
void cli_error(const char *fmt, ...) _printf_(1, 2);
void cli_remark(const struct cli *c, const char *fmt, ...) _printf_(2, 3);

/* ---- connect.c: davitd, and what is done without it ---- */

/* Connects once. 0, or -errno (explained on stderr). read_only: the verb only asks. */
int cli_connect(struct cli *c, bool read_only);
/* One question, one answer. 0 with a success reply; else what is wrong has been said. -ENOENT: no such unit.
 */
int cli_call(struct cli *c, const char *method, json_t *parameters, struct client_reply *ret);
/* The same for what davitd may be killed by before it answers: its end is as good as an answer. */
int cli_call_last(struct cli *c, const char *method, json_t *parameters, struct client_reply *ret);
/* What client_call() has returned, for who calls it in a way of their own: the same is said and returned, and an error's reply
 * freed. */
int cli_check_reply(int called, struct client_reply *reply, const struct error *e);
/* The exit status for an error reply to a job or the like, which it also explains. what: "start web". */
int cli_reply_failed(const char *what, const struct client_reply *r);
/* The same as number: -ENOENT for NoSuchUnit, else -EIO. */
int cli_reply_number(const struct client_reply *r);
/* Directories to read units from: davitd's when it answers (davit.conf may add some), else the built-in ones.
 * The strings live as long as the process. */
struct unit_environment;
int cli_unit_environment(struct cli *c, struct unit_environment *ret);
/* Full name of a unit that exists in the unit path: "web" to "web.container". -ENOENT. */
int cli_unit_resolve(const struct unit_environment *env, const char *written, char **ret);
/* "web" is the name of a unit; "dir/x" or a path is not. */
json_t *unit_parameter(const char *unit);
/* {"unit": ..., NAME: value} */
json_t *unit_parameters(const char *unit, const char *name, json_t *value);

/* ---- patterns.c ---- */

/* "web" means web.container too, as everywhere. */
bool unit_name_matches(const char *name, const char *pattern);
/* Where the verb takes patterns and some of the words are: *ret has the names of all units that are meant, once each
 * (possibly none). *ret is untouched where there is nothing to be done. -errno (explained). */
int cli_patterns_expand(struct cli *c, char **words, size_t n, char ***ret);

/* ---- verbs ---- */

int verb_status(struct cli *c, char **arguments, size_t n);
int verb_list(struct cli *c, char **arguments, size_t n);
int verb_job(struct cli *c, char **arguments, size_t n);
int verb_kill(struct cli *c, char **arguments, size_t n);
int verb_freeze(struct cli *c, char **arguments, size_t n);
int verb_reset_failed(struct cli *c, char **arguments, size_t n);
int verb_is(struct cli *c, char **arguments, size_t n);
int verb_is_enabled(struct cli *c, char **arguments, size_t n);
int verb_enable(struct cli *c, char **arguments, size_t n);
int verb_logs(struct cli *c, char **arguments, size_t n);
int verb_show(struct cli *c, char **arguments, size_t n);
int verb_cat(struct cli *c, char **arguments, size_t n);
int verb_check(struct cli *c, char **arguments, size_t n);
int verb_daemon_reload(struct cli *c, char **arguments, size_t n);
int verb_daemon_reexec(struct cli *c, char **arguments, size_t n);
int verb_jobs(struct cli *c, char **arguments, size_t n);
int verb_analyze(struct cli *c, char **arguments, size_t n);
int verb_events(struct cli *c, char **arguments, size_t n);
int verb_exec(struct cli *c, char **arguments, size_t n);
int verb_run(struct cli *c, char **arguments, size_t n);
int verb_launch(struct cli *c, char **arguments, size_t n);
int verb_info(struct cli *c, char **arguments, size_t n);
int verb_image_pull(struct cli *c, char **arguments, size_t n);
int verb_login(struct cli *c, char **arguments, size_t n);
int verb_logout(struct cli *c, char **arguments, size_t n);
int verb_image_list(struct cli *c, char **arguments, size_t n);
int verb_image_import(struct cli *c, char **arguments, size_t n);
int verb_image_create(struct cli *c, char **arguments, size_t n);
int verb_image_gc(struct cli *c, char **arguments, size_t n);
int verb_image_fsck(struct cli *c, char **arguments, size_t n);
int verb_image_exists(struct cli *c, char **arguments, size_t n);
int verb_image_inspect(struct cli *c, char **arguments, size_t n);
int verb_image_history(struct cli *c, char **arguments, size_t n);
int verb_image_tree(struct cli *c, char **arguments, size_t n);
int verb_image_diff(struct cli *c, char **arguments, size_t n);
int verb_image_du(struct cli *c, char **arguments, size_t n);
int verb_inspect(struct cli *c, char **arguments, size_t n);
int verb_image_mount(struct cli *c, char **arguments, size_t n);
int verb_image_unmount(struct cli *c, char **arguments, size_t n);
int verb_image_save(struct cli *c, char **arguments, size_t n);
int verb_cp(struct cli *c, char **arguments, size_t n);
int verb_diff(struct cli *c, char **arguments, size_t n);
int verb_commit(struct cli *c, char **arguments, size_t n);
int verb_export(struct cli *c, char **arguments, size_t n);
int verb_image_tag(struct cli *c, char **arguments, size_t n);
int verb_image_untag(struct cli *c, char **arguments, size_t n);
int verb_image_remove(struct cli *c, char **arguments, size_t n);
int verb_version(struct cli *c, char **arguments, size_t n);
int verb_exit(struct cli *c, char **arguments, size_t n);
int verb_end(struct cli *c, char **arguments, size_t n);
int verb_isolate(struct cli *c, char **arguments, size_t n);
int verb_help(struct cli *c, char **arguments, size_t n);
int verb_wait(struct cli *c, char **arguments, size_t n);
int verb_stats(struct cli *c, char **arguments, size_t n);
int verb_top(struct cli *c, char **arguments, size_t n);
int verb_reload_or_restart(struct cli *c, char **arguments, size_t n);
int verb_list_dependencies(struct cli *c, char **arguments, size_t n);
int verb_list_unit_files(struct cli *c, char **arguments, size_t n);
int verb_is_system_running(struct cli *c, char **arguments, size_t n);
int verb_get_default(struct cli *c, char **arguments, size_t n);
int verb_mask(struct cli *c, char **arguments, size_t n);
int verb_edit(struct cli *c, char **arguments, size_t n);
int verb_reenable(struct cli *c, char **arguments, size_t n);

/* ---- ending.c ---- */

struct end_call {
    enum ending_kind kind;
    unsigned force; /* 1: units are killed; 2: reboot(2) by this process */
    int status;     /* of exit */
    const char *argument, *message;
    usec_t when; /* CLOCK_REALTIME, 0 = now */
    bool no_wall, quiet;
};
/* Asks davitd for an ending or, where it does not answer, PID 1. Exit status. */
int cli_end(struct cli *c, const struct end_call *call);
/* Tells those who are logged in. */
void cli_end_wall(const struct end_call *call);
int cli_end_cancel(struct cli *c, bool no_wall);
int cli_end_show(struct cli *c);
/* "now", "+5" (in units of default_unit µs), "+1h 30min", "23:15" (the next one), and what timestamp_parse()
 * knows. -EINVAL; -ERANGE for what is past. */
int when_parse(const char *s, usec_t now, usec_t default_unit, usec_t *ret);

/* ---- links.c ---- */

/* shutdown, halt, ...: True if name is one of the names that other inits install; then the whole command line
 * is theirs, and *ret the exit status. */
bool cli_link(struct cli *c, const char *name, int argc, char **argv, int *ret);

/* ---- verb-unit-files.c ---- */

/* Says what was done to unit files, one line each. davitd learns of it when it is there; when it is not, it will see
 * them when it comes. */
void cli_files_changed(const struct cli *c, char *const *changes);

/* Queues jobs of one kind for several units and waits for them all: what `enable --now` shares with `start`.
 */
int cli_run_jobs(struct cli *c, const char *verb, char *const *units, size_t n);
