/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * struct unit: what unit files say, checked and complete, and nothing about what runs.
 *
 * A unit is made by unit_load() from a fragment, its drop-ins and (for an instance) its template, and never
 * changed afterwards; a reload makes a new one. Every value that a key can have is stored here with its
 * default filled in, so that nobody behind this header asks "was it set?", except where the difference means
 * something (the *_set fields, the UNSET constants).
 *
 * All keys are in one table (unit/keys.c): section, name, type, where it is stored, default, documentation.
 * Parsing, `davit check`, `davit show`, the manual page and completion come from that table.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/hashmap.h"
#include "base/list.h"
#include "base/str.h"

enum unit_type {
    UNIT_CONTAINER,
    UNIT_SERVICE,
    UNIT_VOLUME,
    UNIT_TARGET,
    UNIT_IMAGE,
    /* recognised, and answered with a problem that says from which issue on they run or that davit does not
       run them */
    UNIT_POD,
    UNIT_NETWORK,
    UNIT_TIMER,
    UNIT_SOCKET,
    UNIT_KUBE,
    UNIT_BUILD,
    UNIT_ARTIFACT,
    _UNIT_TYPE_COUNT,
    _UNIT_TYPE_INVALID = -1,
};
const char *unit_type_suffix(enum unit_type t); /* ".container" */
/* Type from the name's suffix; _UNIT_TYPE_INVALID. */
enum unit_type unit_type_from_name(const char *name);

#define UNIT_NAME_MAX 255

/* ---- problems ---- */
enum problem_level { PROBLEM_NOTE, PROBLEM_WARNING, PROBLEM_ERROR };
struct problem {
    enum problem_level level;
    unsigned line;                            /* 0 = the whole file */
    char *file, *section, *key, *text, *hint; /* all but text may be NULL */
    struct problem *next;
};

/* ---- values ---- */
enum exec_flags {
    EXEC_IGNORE_FAILURE = 1 << 0,   /* - */
    EXEC_ARGV0 = 1 << 1,            /* @ */
    EXEC_NO_ENV_EXPAND = 1 << 2,    /* : */
    EXEC_FULLY_PRIVILEGED = 1 << 3, /* + and ! */
    EXEC_IN_CONTAINER = 1 << 4,     /* ReloadCmd=: none of the prefixes */
};
struct exec_command {
    uint32_t flags;
    char *path;
    char **argv; /* argv[0] is what the program sees; ${VAR} and $VAR are still in it, see unit/expand.h */
};
struct exec_list {
    struct exec_command *commands;
    size_t count;
};

enum dependency_kind {
    DEP_AFTER,
    DEP_BEFORE,
    DEP_REQUIRES,
    DEP_WANTS,
    DEP_BINDS_TO,
    DEP_PART_OF,
    DEP_REQUISITE,
    DEP_CONFLICTS,
    DEP_ON_FAILURE,
    DEP_ON_SUCCESS,
    DEP_WANTED_BY,   /* inverse of Wants, from [Install] and from *.wants directories */
    DEP_REQUIRED_BY, /* inverse of Requires */
    DEP_UPHOLDS,
    DEP_UPHELD_BY, /* its inverse, from [Install] and from *.upholds directories */
    DEP_PROPAGATES_STOP_TO,
    DEP_STOP_PROPAGATED_FROM, /* its inverse */
    DEP_PROPAGATES_RELOAD_TO,
    DEP_RELOAD_PROPAGATED_FROM, /* its inverse */
    _DEP_COUNT,
};
const char *dependency_name(enum dependency_kind k); /* "After" */
/* What it is called from the other end: "BoundBy"; NULL where that is a kind of its own. */
const char *dependency_inverse_name(enum dependency_kind k);

enum condition_kind { /* order of the names in values-condition.c */
    CONDITION_PATH_EXISTS,
    CONDITION_PATH_EXISTS_GLOB,
    CONDITION_PATH_IS_DIRECTORY,
    CONDITION_PATH_IS_SYMBOLIC_LINK,
    CONDITION_PATH_IS_MOUNT_POINT,
    CONDITION_PATH_IS_READ_WRITE,
    CONDITION_DIRECTORY_NOT_EMPTY,
    CONDITION_FILE_NOT_EMPTY,
    CONDITION_FILE_IS_EXECUTABLE,
    CONDITION_KERNEL_COMMAND_LINE,
    CONDITION_KERNEL_VERSION,
    CONDITION_ARCHITECTURE,
    CONDITION_HOST,
    CONDITION_MEMORY,
    CONDITION_CPUS,
    CONDITION_ENVIRONMENT,
    _CONDITION_COUNT,
};
/* "PathExists": what stands behind Condition and Assert. */
const char *condition_name(enum condition_kind k);

struct condition { /* ConditionPathExists=[|][!]PATH */
    char *argument;
    enum condition_kind kind;
    bool negate, trigger;
};
struct condition_list {
    struct condition *list;
    size_t n;
};

struct unit_section { /* [Unit] */
    char *description;
    char **documentation;
    char **dependencies[_DEP_COUNT]; /* unit names with suffix */
    struct condition_list conditions, asserts;
    usec_t start_limit_interval;
    unsigned start_limit_burst;
    bool default_dependencies, refuse_manual_start, refuse_manual_stop, stop_when_unneeded;
    int failure_action, success_action, start_limit_action, job_timeout_action; /* ending_of_word() */
    int failure_action_status, success_action_status;                           /* -1 = the main process's */
    usec_t job_timeout, job_running_timeout;                                    /* 0 = none */
    char *reboot_argument, *job_timeout_reboot_argument;                        /* NULL = none */
};

enum service_type { SERVICE_SIMPLE, SERVICE_EXEC, SERVICE_ONESHOT, SERVICE_NOTIFY, SERVICE_NOTIFY_RELOAD };
enum restart_mode { /* Restart= */
    RESTART_NO,
    RESTART_ON_SUCCESS,
    RESTART_ON_FAILURE,
    RESTART_ON_ABNORMAL,
    RESTART_ON_ABORT,
    RESTART_ON_WATCHDOG,
    RESTART_ALWAYS,
};
enum restart_way { RESTART_NORMAL, RESTART_DIRECT }; /* RestartMode= */
enum notify_access { NOTIFY_NONE, NOTIFY_MAIN, NOTIFY_EXEC, NOTIFY_ALL };
enum kill_mode { KILL_CONTROL_GROUP, KILL_MIXED, KILL_PROCESS, KILL_NONE };
enum oom_policy { OOM_STOP, OOM_CONTINUE, OOM_KILL };

struct exit_set {       /* statuses and signals of SuccessExitStatus= and its kin */
    uint32_t status[8]; /* bitmap of 0..255 */
    uint64_t signals;   /* bit (n - 1) = signal n */
};
static inline bool exit_set_has_status(const struct exit_set *s, int status) {
    return status >= 0 && status < 256 && (s->status[status / 32] >> (status % 32) & 1);
}
static inline bool exit_set_has_signal(const struct exit_set *s, int number) {
    return number >= 1 && number <= 64 && (s->signals >> (number - 1) & 1);
}

struct service_section { /* [Service] */
    enum service_type type;
    enum restart_mode restart;
    enum restart_way restart_way;
    usec_t restart_sec, restart_max_delay; /* USEC_INFINITY = no growth */
    unsigned restart_steps;
    usec_t restart_reset_sec; /* ours: RestartResetSec=, stable running after which back-off starts anew;
                                 default 10 s */
    usec_t restart_jitter;    /* ours and systemd 262's: RestartRandomizedDelaySec= */
    struct exit_set restart_prevent, restart_force, success;
    usec_t timeout_start, timeout_stop, runtime_max, watchdog;
    usec_t timeout_prepare; /* ours: TimeoutPrepareSec=, for image, volumes, network; default 15 min */
    enum notify_access notify_access;
    enum kill_mode kill_mode;
    int kill_signal, restart_kill_signal; /* the latter 0 = as the former */
    int final_kill_signal, watchdog_signal;
    int reload_signal;    /* 0 = a reload sends none */
    usec_t timeout_abort; /* after the watchdog's signal */
    bool send_sighup;
    struct exec_list start, exec_condition, start_pre, start_post, stop, stop_post,
        reload; /* host commands; the last of reload may be ReloadCmd= */
    bool remain_after_exit;
    char **pass_environment;  /* names of variables of davitd's own */
    char **environment;       /* [Service] Environment=, in order */
    char **environment_files; /* absolute, '-' prefix kept for "may be missing" */
    char *user, *group, *working_directory;
};

#define LIMIT_UNSET UINT64_MAX
#define LIMIT_INFINITY (UINT64_MAX - 1)

struct io_limit {
    char *path;
    uint64_t read_bps, write_bps, read_iops, write_iops;
};
enum cpu_policy { CPU_OTHER, CPU_BATCH, CPU_IDLE, CPU_FIFO, CPU_RR }; /* CPUSchedulingPolicy= */
enum io_class { IO_NONE, IO_REALTIME, IO_BEST_EFFORT, IO_IDLE };      /* IOSchedulingClass= */
enum unit_device_policy { UNIT_DEVICES_AUTO, UNIT_DEVICES_CLOSED, UNIT_DEVICES_STRICT };
struct device_allow {
    char *specifier; /* "/dev/x", "char-pts", "block-*" */
    bool read, write, mknod;
};
struct resource_section { /* keys accepted in [Container] and [Service] */
    uint64_t memory_max, memory_high, memory_low, memory_min, memory_swap_max;
    uint64_t cpu_quota; /* hundredths of a percent of one CPU */
    usec_t cpu_quota_period;
    uint64_t cpu_weight; /* 0 = idle */
    uint64_t tasks_max, io_weight;
    char *allowed_cpus, *allowed_memory_nodes;
    struct io_limit *io;
    size_t n_io;
    enum oom_policy oom_policy;
    int32_t oom_score_adjust; /* this and the next: INT32_MIN = unset */
    int32_t nice, cpu_priority, io_priority;
    int cpu_policy, io_class; /* enum cpu_policy, enum io_class */
    enum unit_device_policy device_policy;
    struct device_allow *device_allow;
    size_t n_device_allow;
};

enum user_namespace { USERNS_DEFAULT, USERNS_AUTO, USERNS_HOST };
enum network_mode {
    NETWORK_PRIVATE,
    NETWORK_HOST,
    NETWORK_NONE
}; /* PRIVATE = loopback only, until networks exist */

struct volume_mount { /* Volume=, Mount=, Tmpfs= in one form */
    enum {
        VOLUME_HOST_PATH,
        VOLUME_NAMED,
        VOLUME_ANONYMOUS,
        VOLUME_TMPFS,
        VOLUME_DEVPTS,
        VOLUME_MQUEUE
    } kind;
    char *source; /* host path, or volume unit name ("data.volume"), or plain volume name */
    char *target;
    char *options; /* tmpfs options */
    bool read_only, no_exec, no_suid, no_dev, recursive, chown, idmap, no_copy, create_source, optional;
    char propagation; /* 0, 's'hared, s'l'ave, 'u'nbindable */
    char origin;      /* the key it was written as: 'V'olume=, 'M'ount=, 'T'mpfs= */
};
struct device_entry { /* AddDevice= */
    char *source, *target;
    bool read, write, mknod, optional;
};
struct ulimit {
    int resource;
    uint64_t soft, hard; /* UINT64_MAX = infinity */
};

struct pull_section {   /* how an image is fetched, in [Container] and [Image] */
    int policy;         /* enum pull_policy (image/pull-policy.h), whose order that of the words is */
    unsigned retry;     /* after the first attempt */
    usec_t retry_delay; /* 0 = growing */
};

struct container_section { /* [Container] */
    char *image, *rootfs;  /* exactly one; rootfs may have podman's ":O"/":idmap" suffix options, removed */
    char *container_name;
    char **exec;       /* Exec= */
    char **reload_cmd; /* ReloadCmd=; also the last of service.reload */
    char **entrypoint; /* Entrypoint= */
    bool entrypoint_set;
    char **environment; /* NAME=value, or NAME alone: the host's value is passed */
    char **environment_files;
    char *host_name, *user, *group, *working_dir, *timezone;
    char **group_add;
    enum user_namespace user_namespace;
    uint32_t user_namespace_size; /* 65536 */
    struct volume_mount *volumes;
    size_t n_volumes;
    bool read_only, read_only_tmpfs, no_new_privileges, run_init;
    uint64_t shm_size;                            /* 0 = unlimited */
    uint64_t add_capabilities, drop_capabilities; /* bitmaps; "all" = all bits */
    char **mask, **unmask;                        /* "ALL" kept */
    char **sysctl;                                /* key=value */
    struct ulimit *ulimits;
    size_t n_ulimits;
    enum network_mode network;
    int stop_signal;     /* 0 = the image's, else SIGTERM */
    usec_t stop_timeout; /* USEC_INFINITY = not set: TimeoutStopSec= */
    bool notify;         /* Notify=yes: the container gets the socket and READY=1 means ready */
    struct device_entry *devices;
    size_t n_devices;
    char **add_host; /* "name:ip" */
    char **dns, **dns_search, **dns_option;
    char **labels, **annotations; /* key=value */
    struct pull_section pull;
};

struct volume_section { /* [Volume] */
    char *volume_name, *type, *device, *options, *user, *group;
    uint32_t uid, gid; /* UINT32_MAX = unset */
    bool copy;
    char **labels;
};

struct image_section { /* [Image] */
    char *image, *image_tag;
    char *arch, *os, *variant; /* NULL = this machine's */
    char *auth_file, *cert_dir, *creds;
    bool all_tags, tls_verify;
    struct pull_section pull;
};

struct install_section { /* [Install] */
    char **wanted_by, **required_by, **upheld_by, **alias, **also;
    char *default_instance;
};

struct unit {
    enum unit_type type;
    char *name;     /* "web.container", "shell@a.container" */
    char *instance; /* "a" or NULL */
    char *template; /* "shell@.container" or NULL */
    char *fragment; /* path of the file, NULL for built-in units */
    char **dropins;
    struct problem *problems; /* in order of discovery */
    bool has_errors;          /* then it cannot be started; the sections are not to be relied on */
    bool enabled;             /* a link in *.wants or *.requires, or [Install] honoured by enable state */
    uint64_t content_hash;    /* of fragment and drop-ins: reload tells changed units by it */
    struct unit_section unit;
    struct service_section service;
    struct resource_section resources;
    struct container_section *container; /* UNIT_CONTAINER only */
    struct volume_section *volume;       /* UNIT_VOLUME only */
    struct image_section *image;         /* UNIT_IMAGE only */
    struct install_section install;
};

void unit_free(struct unit *u);
DEFINE_CLEANUP(struct unit *, unit_free)
void problems_free(struct problem *list);
int problem_add(struct problem **list, enum problem_level level, const char *file, unsigned line,
    const char *section, const char *key, const char *hint, const char *fmt, ...) _printf_(8, 9);
/* "web.container:7: [Container] Memry=: unknown key (did you mean Memory=?)" */
char *problem_format(const struct problem *p);

struct unit_environment {   /* what the units are read for */
    char *const *unit_path; /* directories, highest precedence first */
    const char *runtime_dir, *state_dir, *cache_dir, *log_dir,
        *config_dir; /* for specifiers %t %S %C %L %E */
    bool strict;     /* unknown keys are errors */
    /* for units that say nothing; 0 = the key table's own defaults */
    usec_t default_timeout_start, default_timeout_stop, default_restart_sec;
};

/* Loads one unit by its full name: fragment (first directory wins), template, drop-ins (*.conf by
 * unit-language.md's order), defaults, implicit dependencies, *.wants and *.requires links. 0 with *ret even
 * if the unit has problems (see has_errors); -ENOENT if there is no such file; -EINVAL for an invalid name;
 * -ENOMEM; others when a file cannot be read. */
int unit_load(const struct unit_environment *env, const char *name, struct unit **ret, struct error *e);
/* Loads a unit from a given file (`davit check FILE`), named after it, with the drop-ins beside it. */
int unit_load_file(const struct unit_environment *env, const char *path, struct unit **ret, struct error *e);
/* Names of all units found in the unit path: fragments, instances by link or by *.wants; bare templates are
 * left out. Sorted. Files that cannot be units are skipped. */
int unit_list_names(const struct unit_environment *env, char ***ret, struct error *e);
/* Names of all files in the unit path: templates, aliases and masks too. Sorted. */
int unit_list_files(const struct unit_environment *env, char ***ret, struct error *e);
/* Every file that makes up the unit, fragment first. */
char **unit_files(const struct unit *u);
/* Images that a container or an .image unit names, NULL where there is none. */
#define UNIT_IMAGES 3
void unit_images(const struct unit *u, const char *ret[static UNIT_IMAGES]);
/* NAME as a person writes it ("web", "web.service" for a web.container, a path) to candidates in order of
 * preference: exact, .container, .service, ...; the first for which exists(name, data) is true is returned.
 * -ENOENT. */
int unit_name_resolve(
    const char *written, bool (*exists)(const char *name, void *data), void *data, char **ret);
bool unit_name_is_valid(const char *name);
/* "shell@.container": what instances are made from, and never a unit itself. */
bool name_is_template(const char *name);

/* enable/disable: links below the /etc unit directory, as systemctl makes them, also for the units of Also=.
 * Changed links are appended to *ret_changes as "created PATH -> TARGET" or "removed PATH", units of Also= that
 * cannot be enabled as "left out: WHY". -ENOENT with text when [Install] is empty. */
int unit_enable(const struct unit_environment *env, const char *name, char ***ret_changes, struct error *e);
int unit_disable(const struct unit_environment *env, const char *name, char ***ret_changes, struct error *e);
/* Where the administrator's files and links go or, with runtime, those that are gone at the next boot: one of
 * unit_path. NULL: there is none. */
const char *unit_override_root(const struct unit_environment *env, bool runtime);
/* A link to /dev/null above the unit's files, or none any more. -EEXIST: the unit's file is where the link would be.
 */
int unit_mask(
    const struct unit_environment *env, const char *name, bool runtime, char ***ret_changes, struct error *e);
int unit_unmask(
    const struct unit_environment *env, const char *name, bool runtime, char ***ret_changes, struct error *e);
/* Takes back what is above the unit as it came: masks, drop-ins in NAME.d, a file where a lower directory has one. */
int unit_revert(const struct unit_environment *env, const char *name, char ***ret_changes, struct error *e);
/* "enabled", "disabled", "static", "linked", "indirect", "generated" as systemctl is-enabled says. */
const char *unit_enable_state(const struct unit_environment *env, const struct unit *u);

/* The key table, for `davit show`, the manual page and completion. */
struct key_info {
    const char *section, *name, *type, *default_text, *documentation;
};
size_t unit_keys(const struct key_info **ret);
/* Value of a key as it is in force, one string a value ("show"). NULL strv if the unit type has no such key.
 */
int unit_show_key(const struct unit *u, const char *section, const char *key, char ***ret_values);
