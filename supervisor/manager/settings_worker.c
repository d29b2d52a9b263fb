/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading davit.conf, in a process of its own (davitd --read-config FILE): libconfig 1.5 cuts integers to 32
 * bits without a word and exits when memory is short, so nothing that matters may depend on it.
 *
 * One table lists every setting. What is not in it is refused, with file, line and the nearest name that is.
 */
#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libconfig.h>
#include <limits.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "image/driver.h"
#include "image/gc-policy.h"
#include "image/memory.h"
#include "image/registries.h"
#include "manager/settings.h"
#include "manager/settings_keys.h"

#define FILE_MAX (1024 * 1024)

static const char *const sinks[] = {"auto", "journal", "file", NULL};

#define SETTING(name, type, member, low, high) \
    { name, type, offsetof(struct settings, member), low, high }

/* ids: 4294967295 is no id, and the range has to end before it. */
static const struct setting_key table[] = {
    SETTING("unit_path", SETTING_PATHS, unit_path, 0, 0),
    SETTING("image_roots", SETTING_PATHS, image_roots, 0, 0),
    SETTING("storage_driver", SETTING_DRIVER, storage_driver, 0, 0),
    SETTING("image_limit", SETTING_LIMIT, image_limit, 0, 0),
    SETTING("image_unused_for", SETTING_TIME, image_unused_for, 0, 0),
    SETTING("image_gc", SETTING_BOOL, image_gc, 0, 0),
    SETTING("image_keep_archives", SETTING_BOOL, image_keep_archives, 0, 0),
    SETTING("image_memory", SETTING_SIZE, image_memory, IMAGE_MEMORY_MIN, IMAGE_MEMORY_MAX),
    SETTING("default_target", SETTING_UNIT, default_target, 0, 0),
    SETTING("strict", SETTING_BOOL, strict, 0, 0),
    SETTING("allow_missing_limits", SETTING_BOOL, allow_missing_limits, 0, 0),
    SETTING("keep_trying", SETTING_BOOL, keep_trying, 0, 0),
    SETTING("start_concurrency", SETTING_U32, start_concurrency, 0, 1024),
    SETTING("max_units", SETTING_U32, max_units, 1, 65536),
    SETTING("max_clients_per_uid", SETTING_U32, max_clients_per_uid, 1, 4096),
    SETTING("log_level", SETTING_LOG_LEVEL, log_level, 0, 0),
    SETTING("log_sink", SETTING_SINK, log_sink, 0, 0),
    SETTING("log_max_size", SETTING_SIZE, log_max_size, 64 * 1024, UINT64_C(1) << 50),
    SETTING("log_max_files", SETTING_U32, log_max_files, 1, 1000),
    SETTING("default_timeout_start", SETTING_TIME, default_timeout_start, 0, 0),
    SETTING("default_timeout_stop", SETTING_TIME, default_timeout_stop, 0, 0),
    SETTING("default_restart_sec", SETTING_TIME, default_restart_sec, 0, 0),
    SETTING("shutdown_timeout", SETTING_TIME, shutdown_timeout, 0, 0),
    SETTING("watchdog_timeout", SETTING_TIME, watchdog_timeout, 0, 0),
    SETTING("watchdog_reboot_timeout", SETTING_TIME, watchdog_reboot_timeout, 0, 0),
    SETTING("watchdog_kexec_timeout", SETTING_TIME, watchdog_kexec_timeout, 0, 0),
    SETTING("userns_base", SETTING_U32, userns_base, 65536, UINT32_MAX - 65536),
    SETTING("userns_size", SETTING_U32, userns_size, 1, 1u << 30),
    SETTING("userns_count", SETTING_U32, userns_count, 0, 65535),
};

const struct setting_key *setting_keys(size_t *ret_count) {
    *ret_count = ARRAY_SIZE(table);
    return table;
}

/* ---- what libconfig does not tell ---- */

/* A number that libconfig would cut to 32 bits, or a comment that never ends: it takes both without a word.
 * Also
 * "@include", which it resolves against the working directory of the moment. */
static int scan_text(const char *path, const char *text, struct error *e) {
    unsigned line = 1;

    for (const char *p = text; *p; p++) {
        if (*p == '\n') {
            line++;
        } else if (*p == '"') {
            for (p++; *p && *p != '"'; p++) {
                line += *p == '\n';
                if (*p == '\\' && p[1])
                    p++;
            }
            if (!*p)
                return error_set(e, EINVAL, "%s:%u: a string does not end", path, line);
        } else if (*p == '#' || (*p == '/' && p[1] == '/')) {
            p += strcspn(p, "\n");
            if (!*p)
                break;
            line++;
        } else if (*p == '/' && p[1] == '*') {
            unsigned begin = line;
            for (p += 2; *p && !(*p == '*' && p[1] == '/'); p++)
                line += *p == '\n';
            if (!*p)
                return error_set(e, EINVAL, "%s:%u: a comment does not end", path, begin);
            p++;
        } else if (*p == '@') {
            return error_set(e, EINVAL, "%s:%u: @include is not supported", path, line);
        } else if (isdigit((unsigned char)*p) &&
                   !(p > text && (isalnum((unsigned char)p[-1]) || p[-1] == '_' || p[-1] == '.'))) {
            char *end;
            errno = 0;
            unsigned long long number = strtoull(p, &end, 0);
            if (errno == ERANGE || (number > INT_MAX && *end != 'L'))
                return error_set(e, ERANGE,
                    "%s:%u: the number %.*s is too large (write it as a string, or with an L behind it)",
                    path, line, (int)(end - p), p);
            p = end - 1;
        }
    }
    return 0;
}

/* ---- one value ---- */

static int bad(const config_setting_t *setting, const char *path, struct error *e, const char *expected) {
    return error_set(e, EINVAL, "%s:%u: %s: %s is expected", path, config_setting_source_line(setting),
        config_setting_name(setting), expected);
}

static int get_number(const config_setting_t *s, uint64_t *ret) {
    int type = config_setting_type(s);
    long long number;

    if (type == CONFIG_TYPE_STRING)
        return parse_uint(config_setting_get_string(s), 0, UINT64_MAX, ret);
    if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
        return -EINVAL;
    number = config_setting_get_int64(s);
    if (number < 0)
        return -ERANGE;
    *ret = (uint64_t)number;
    return 0;
}

static int set_paths(const config_setting_t *s, const char *path, char ***field, struct error *e) {
    _cleanup_strv_free_ char **list = NULL;

    if (!config_setting_is_aggregate(s) || config_setting_is_group(s))
        return bad(s, path, e, "a list of absolute paths, [\"/a\", \"/b\"],");
    for (int i = 0; i < config_setting_length(s); i++) {
        const char *value = config_setting_get_string_elem(s, i);
        if (!value || !path_is_absolute(value) || !path_is_normalized(value))
            return bad(s, path, e, "a list of absolute paths, [\"/a\", \"/b\"],");
        if (strv_append(&list, value) < 0)
            return error_set(e, ENOMEM, "out of memory");
    }
    strv_free(*field);
    *field = TAKE_PTR(list);
    return 0;
}

static int set_text(
    const config_setting_t *s, const char *path, const struct setting_key *k, char **field, struct error *e) {
    const char *value = config_setting_get_string(s);

    if (k->type == SETTING_SINK && (!value || !strv_contains((char *const *)(uintptr_t)sinks, value)))
        return bad(s, path, e, "\"auto\", \"journal\" or \"file\"");
    if (k->type == SETTING_UNIT && (isempty(value) || strchr(value, '/') || !strchr(value, '.')))
        return bad(s, path, e, "the name of a unit, \"default.target\",");
    return free_and_strdup(field, value) < 0 ? error_set(e, ENOMEM, "out of memory") : 0;
}

static int set_time(const config_setting_t *s, const char *path, usec_t *field, struct error *e) {
    const char *text = config_setting_get_string(s);
    uint64_t seconds;

    if (text)
        return timespan_parse(text, field) < 0 ? bad(s, path, e, "a time span, \"90s\" or \"1min 30s\",") : 0;
    if (get_number(s, &seconds) < 0 || seconds > USEC_INFINITY / USEC_PER_SEC - 1)
        return bad(s, path, e, "a time span, \"90s\" or \"1min 30s\",");
    *field = seconds * USEC_PER_SEC;
    return 0;
}

static int set_integer(
    const config_setting_t *s, const char *path, const struct setting_key *k, void *field, struct error *e) {
    const char *text = config_setting_get_string(s);
    uint64_t number;

    int r = k->type == SETTING_SIZE && text ? parse_size(text, 1024, &number) : get_number(s, &number);
    if (r < 0 && r != -ERANGE)
        return bad(s, path, e, k->type == SETTING_SIZE ? "a size, \"16M\"," : "a number");
    if (r == -ERANGE || number < k->low || number > k->high)
        return error_set(e, ERANGE, "%s:%u: %s: from %" PRIu64 " to %" PRIu64 " is possible", path,
            config_setting_source_line(s), k->name, k->low, k->high);
    if (k->type == SETTING_SIZE)
        *(uint64_t *)field = number;
    else
        *(uint32_t *)field = (uint32_t)number;
    return 0;
}

static int set_driver(const config_setting_t *s, const char *path, char **field, struct error *e) {
    const struct storage_driver *driver;

    int r = storage_driver_find(config_setting_get_string(s) ?: "", &driver, e);
    if (r < 0)
        return error_prefix(e, r, "%s:%u: storage_driver", path, config_setting_source_line(s));
    return free_and_strdup(field, driver->name) < 0 ? error_set(e, ENOMEM, "out of memory") : 0;
}

static int set_value(struct settings *settings, const struct setting_key *k, const config_setting_t *s,
    const char *path, struct error *e) {
    void *field = (char *)settings + k->offset;
    const char *text = config_setting_get_string(s);
    uint64_t limit;

    switch (k->type) {
    case SETTING_PATHS:
        return set_paths(s, path, field, e);
    case SETTING_SINK:
    case SETTING_UNIT:
        return set_text(s, path, k, field, e);
    case SETTING_DRIVER:
        return set_driver(s, path, field, e);
    case SETTING_LIMIT:
        if (text && (isempty(text) || gc_limit_parse(text, 0, &limit) >= 0))
            return free_and_strdup(field, text) < 0 ? error_set(e, ENOMEM, "out of memory") : 0;
        return bad(s, path, e, "a size (\"4G\") or a part of the disk (\"40%\")");
    case SETTING_TIME:
        return set_time(s, path, field, e);
    case SETTING_U32:
    case SETTING_SIZE:
        return set_integer(s, path, k, field, e);
    case SETTING_LOG_LEVEL:
        return text && log_level_parse(text, field) >= 0 ? 0 : bad(s, path, e, "a log level, \"info\",");
    case SETTING_BOOL:
        if (config_setting_type(s) == CONFIG_TYPE_BOOL) {
            *(bool *)field = config_setting_get_bool(s);
            return 0;
        }
        return text && parse_boolean(text, field) >= 0 ? 0 : bad(s, path, e, "true or false");
    }
    return -EINVAL;
}

/* ---- the tree ---- */

static int unknown(const char *name, const config_setting_t *s, const char *path, struct error *e) {
    const char *nearest = NULL;
    unsigned best = 4;

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        unsigned distance = edit_distance(name, table[i].name);
        if (distance < best) {
            best = distance;
            nearest = table[i].name;
        }
    }
    return error_set(e, EINVAL, "%s:%u: unknown setting %s%s%s%s", path, config_setting_source_line(s), name,
        nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
}

/* Nothing that davitd itself has a use for: checked here, read again by who fetches images. */
static int check_registries(const config_setting_t *s, const char *path, struct error *e) {
    struct registries registries;
    int r;

    registries_init(&registries);
    r = registries_parse(s, path, &registries, e);
    registries_done(&registries);
    return r;
}

static int set_named(struct settings *settings, const char *name, const config_setting_t *s, const char *path,
    struct error *e) {
    if (streq(name, "registries"))
        return check_registries(s, path, e);
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        if (streq(table[i].name, name))
            return set_value(settings, &table[i], s, path, e);
    }
    return unknown(name, s, path, e);
}

static int walk(struct settings *settings, const config_setting_t *root, const char *path, struct error *e) {
    for (unsigned i = 0; i < (unsigned)config_setting_length(root); i++) {
        const config_setting_t *s = config_setting_get_elem(root, i);
        int r = set_named(settings, config_setting_name(s), s, path, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_whole(const struct settings *s, const char *path, struct error *e) {
    uint64_t end = (uint64_t)s->userns_base + (uint64_t)s->userns_size * s->userns_count;

    if (end > UINT32_MAX)
        return error_set(e, ERANGE,
            "%s: userns_base + userns_size * userns_count is %" PRIu64 ", beyond the last user id", path,
            end);
    return 0;
}

int settings_parse(const char *path, const char *text, struct settings *ret, struct error *e) {
    struct settings s;
    config_t config;

    int r = scan_text(path, text, e);
    if (r < 0)
        return r;
    settings_init(&s);
    config_init(&config);
    if (config_read_string(&config, text) != CONFIG_TRUE)
        r = error_set(e, EINVAL, "%s:%d: %s", path, config_error_line(&config), config_error_text(&config));
    else
        r = walk(&s, config_root_setting(&config), path, e);
    config_destroy(&config);
    if (r >= 0)
        r = check_whole(&s, path, e);
    if (r < 0) {
        settings_done(&s);
        return r;
    }
    *ret = s;
    return 0;
}

int settings_read(const char *path, struct settings *ret, struct error *e) {
    _cleanup_free_ char *text = NULL;
    size_t n;

    int r = file_read(AT_FDCWD, path, FILE_MAX, &text, &n);
    if (r == -ENOENT) {
        settings_init(ret);
        return 0;
    }
    if (r < 0)
        return error_set_errno(e, r, "%s", path);
    if (memchr(text, '\0', n))
        return error_set(e, EINVAL, "%s: there is a NUL byte in it", path);
    return settings_parse(path, text, ret, e);
}

int settings_worker(const char *path, int fd) {
    _cleanup_free_ void *data = NULL;
    struct settings s = {};
    struct error e = {};
    size_t n;

    int r = settings_read(path, &s, &e);
    if (settings_encode(&s, &e, &data, &n) < 0 || write_all(fd, data, n) < 0)
        return EXIT_FAILURE;
    settings_done(&s);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- davitd --read-config FILE --print ---- */

static void print_value(const struct settings *settings, const struct setting_key *k) {
    const void *field = (const char *)settings + k->offset;
    char span[TIMESPAN_MAX];

    switch (k->type) {
    case SETTING_PATHS:
        printf("[");
        STRV_FOREACH (s, *(char **const *)field)
            printf("%s\"%s\"", s == *(char **const *)field ? "" : ", ", *s);
        printf("]");
        break;
    case SETTING_SINK:
    case SETTING_UNIT:
    case SETTING_DRIVER:
    case SETTING_LIMIT:
        printf("\"%s\"", *(char *const *)field);
        break;
    case SETTING_TIME:
        printf("\"%s\"", timespan_format(*(const usec_t *)field, 1, span));
        break;
    case SETTING_U32:
        printf("%" PRIu32, *(const uint32_t *)field);
        break;
    case SETTING_SIZE:
        printf("%" PRIu64 "L", *(const uint64_t *)field);
        break;
    case SETTING_LOG_LEVEL:
        printf("\"%d\"", *(const int *)field);
        break;
    case SETTING_BOOL:
        printf("%s", *(const bool *)field ? "true" : "false");
        break;
    }
}

int settings_print(const char *path) {
    struct settings s;
    struct error e = {};

    if (settings_read(path, &s, &e) < 0) {
        (void)fprintf(stderr, "%s\n", e.text);
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        printf("%s = ", table[i].name);
        print_value(&s, &table[i]);
        printf("\n");
    }
    settings_done(&s);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
