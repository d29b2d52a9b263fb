/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The key table and what walks it. Internal to unit/.
 *
 * A key is a row in keys.c: where it may stand, what type its values have, where the value is stored, its
 * default and what it means. A value type knows how to parse, to show and to clear a field. Everything else
 * (assignment, defaults, `davit show`, freeing a unit, the manual page) walks the table.
 */
#pragma once

#include "base/words.h"
#include "unit/specifier.h"
#include "unit/unit.h"

enum key_section {
    SECTION_UNIT = 1 << 0,
    SECTION_CONTAINER = 1 << 1,
    SECTION_SERVICE = 1 << 2,
    SECTION_VOLUME = 1 << 3,
    SECTION_INSTALL = 1 << 4,
    SECTION_IMAGE = 1 << 5,
    _SECTION_COUNT = 6,
};
/* "Container"; NULL for a bit that is none. */
const char *section_name(enum key_section s);
/* 0 if there is no such section. */
enum key_section section_from_name(const char *name);

/* Which struct a field is in. The optional ones exist in units of their type only. */
enum key_base { BASE_UNIT, BASE_CONTAINER, BASE_VOLUME, BASE_IMAGE };

enum key_flags {
    KEY_UNQUOTE =
        1 << 0, /* one pair of double quotes around the whole value goes: Quadlet's rule for its scalars */
    KEY_EMPTY_COUNTS = 1 << 1,     /* an empty assignment is a value, not "back to the default" */
    KEY_ZERO_IS_INFINITY = 1 << 2, /* time spans */
    KEY_OLD_NAME = 1 << 3,         /* accepted, neither shown nor documented */
    KEY_SHOWN_ELSEWHERE = 1 << 4,  /* a second name for another row's field: documented, shown there */
    KEY_REPEATABLE = 1 << 5,       /* several assignments add up (documentation only: the type does it) */
};

struct assignment;
struct key {
    uint8_t sections, flags, base;
    uint16_t offset;
    const char *name;
    const struct value_type *type;
    const char *const *choices; /* value_choice: names in order of the enum's values */
    int (*check)(struct assignment *a, const char *value); /* strings, words, lines, pairs: of each one */
    const char *default_text;                              /* parsed into the field before any file is read */
    const char *default_shown;                             /* where the default depends on the unit */
    const char *documentation;
};
extern const struct key keys[];
extern const size_t n_keys;
#define KEYS_MAX 256

struct value_type {
    const char *name; /* as the manual calls it */
    /* value is not empty unless KEY_EMPTY_COUNTS; 0, -ENOMEM, or -EINVAL after assignment_fail(). On failure
     * the field keeps what it had. */
    int (*parse)(struct assignment *a, void *field, const char *value);
    /* Appends the value in force; nothing where it is not set. */
    int (*show)(const struct key *k, const void *field, char ***values);
    /* Back to "not set", memory freed. Also called on zeroed memory, to set what is not zero when unset. */
    void (*clear)(void *field);
};

/* A unit while it is being read. */
struct load {
    const struct unit_environment *env;
    struct unit *u;
    bool is_set[KEYS_MAX]; /* assigned in a file, by row */
};

/* One assignment on its way into the unit. */
struct assignment {
    struct load *load;
    const struct key *key;
    const char *file, *section, *value; /* value as written; file NULL for a default from the table */
    unsigned line;
};

/* The field of a key in u, or NULL if u's type has not got it. */
void *key_field(const struct key *k, struct unit *u);
bool key_applies(const struct key *k, enum unit_type type, enum key_section section);
/* Row by name and section; NULL. */
const struct key *key_find(enum key_section section, const char *name);
/* Was the key assigned in one of the files? */
bool load_has(const struct load *l, const char *name);

/* Adds a problem to the unit; an error also marks it. Returns 0 or -ENOMEM. */
int load_problem(struct load *l, enum problem_level level, const char *file, unsigned line,
    const char *section, const char *key, const char *hint, const char *fmt, ...) _printf_(8, 9);
/* The value cannot be used: problem of level error, returns -EINVAL (-ENOMEM). */
int assignment_fail(struct assignment *a, const char *hint, const char *fmt, ...) _printf_(3, 4);
int assignment_warn(struct assignment *a, const char *hint, const char *fmt, ...) _printf_(3, 4);
/* Specifiers in text. Same returns as a parse function. */
int assignment_expand(struct assignment *a, const char *text, char **ret);
/* The words of value, split by flags; at most VALUES_MAX. Same returns as a parse function. */
int assignment_words(struct assignment *a, const char *value, enum words_flags flags, char ***ret);
/* Fails if a list that holds count values cannot take one more. No unit needs so many, and appending is
 * quadratic. */
int assignment_room(struct assignment *a, size_t count);
#define VALUES_MAX 4096
/* A relative path (as written in a unit) against the directory of the unit file; "." and ".." are resolved.
 */
int assignment_absolute_path(struct assignment *a, const char *path, char **ret);

/* Assigns section.name = value, or reports why not. section is one of the unit's own. 0 or -ENOMEM. */
int key_assign(struct load *l, const char *file, unsigned line, enum key_section section, const char *name,
    const char *value);
/* Every field unset, then the table's defaults. */
int keys_init(struct load *l);
void keys_clear(struct unit *u);

/* unsupported.c: keys that Quadlet or systemd know and davit does not honour yet. 1 if name is one (then a
 * problem is added), 0 if not, -ENOMEM. */
int key_unsupported(struct load *l, const char *file, unsigned line, enum key_section section,
    const char *name, const char *value);

/* defaults.c: defaults that depend on the unit, implicit dependencies, and checks across keys. */
int defaults_fill(struct load *l);

/* ---- value types ---- */
extern const struct value_type value_exit_status; /* int; -1 = not set */
extern const struct value_type value_string, value_path, value_boolean, value_time, value_unsigned,
    value_choice, value_words, value_lines, value_timeout_both, value_pairs, value_signal, value_id,
    value_dependencies, value_restart, value_service_type; /* values.c */
extern const struct value_type value_commands, value_command_line, value_entrypoint, value_environment,
    value_container_environment, value_environment_file, value_environment_files, value_exit_set;
/* values-exec.c */
extern const struct value_type value_conditions; /* values-condition.c */
extern const struct value_type value_memory_limit, value_memory_guarantee, value_memory_podman, value_quota,
    value_quota_period, value_cpu_weight, value_io_weight, value_tasks_max, value_pids_limit, value_cpu_list,
    value_io_read_bandwidth, value_io_write_bandwidth, value_io_read_iops, value_io_write_iops,
    value_device_allow, value_oom_score, value_nice, value_cpu_priority,
    value_io_priority; /* values-resource.c */
extern const struct value_type value_user, value_user_namespace, value_capabilities, value_masks,
    value_ulimit, value_network, value_notify, value_device, value_add_host, value_shm_size,
    value_stop_timeout, value_rootfs;                                  /* values-container.c */
extern const struct value_type value_volume, value_mount, value_tmpfs; /* values-mount.c */

/* ---- pieces that several types share (values.c) ---- */
int value_replace(char **field, char *taken); /* frees the old, stores taken; -ENOMEM if taken is NULL */
void clear_string(void *field);
void clear_strv(void *field);
void clear_zero32(void *field);
int show_strv(const struct key *k, const void *field, char ***values);
/* Makes room for one more element of an array that grows by one; the new element is zeroed. NULL on out of
 * memory. */
void *array_grow(void *array, size_t *n, size_t size);
#define ARRAY_APPEND(array, n) \
    ({ \
        __typeof__(array) grown_ = array_grow((array), &(n), sizeof(*(array))); \
        if (grown_) \
            (array) = grown_; \
        grown_ ? &(array)[(n)-1] : NULL; \
    })

/* ---- checks for single values (checks.c) ---- */
int check_uri(struct assignment *a, const char *value);
int check_object_name(struct assignment *a, const char *value);
int check_host_name(struct assignment *a, const char *value);
int check_user_name(struct assignment *a, const char *value);
int check_image(struct assignment *a, const char *value);
int check_image_source(struct assignment *a, const char *value);
int check_credentials(struct assignment *a, const char *value);
int check_time_zone(struct assignment *a, const char *value);
int check_address(struct assignment *a, const char *value);
int check_sysctl(struct assignment *a, const char *value);
int check_install_name(struct assignment *a, const char *value);
int check_instance(struct assignment *a, const char *value);
int check_variable(struct assignment *a, const char *value);
int check_group_add(struct assignment *a, const char *value);
int check_reboot_argument(struct assignment *a, const char *value);
int check_working_directory(struct assignment *a, const char *value);
