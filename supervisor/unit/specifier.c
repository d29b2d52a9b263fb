/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See specifier.h. One table: letter, function. Nothing here asks NSS: davit runs its units as root, so the
 * answers about "the user of the manager" are root's. */
#include <sys/utsname.h>

#include "base/fs.h"
#include "base/id128.h"
#include "unit/expand.h"
#include "unit/name.h"
#include "unit/specifier.h"

#define EXPANSION_MAX (64u * 1024)

/* Every function gives a new string, or -EINVAL where the specifier has no value here. */
typedef int (*specifier_function)(const struct specifier_context *c, const char *argument, char **ret);

static int give(char *s, char **ret) {
    if (!s)
        return -ENOMEM;
    *ret = s;
    return 0;
}

static int literal(const struct specifier_context *c _unused_, const char *argument, char **ret) {
    return give(strdup(argument), ret);
}

/* ---- the unit's name ---- */

static int full_name(const struct specifier_context *c, const char *argument _unused_, char **ret) {
    return give(strdup(c->name), ret);
}

static int name_without_type(const struct specifier_context *c, const char *argument _unused_, char **ret) {
    const char *dot = strrchr(c->name, '.');
    return give(dot ? strndup(c->name, (size_t)(dot - c->name)) : strdup(c->name), ret);
}

static int prefix(const struct specifier_context *c, const char *argument _unused_, char **ret) {
    struct name_parts parts;
    int r = name_split(c->name, &parts);
    return r < 0 ? r : give(strndup(parts.prefix, parts.prefix_length), ret);
}

/* "" for a unit that is not an instance, as in systemd. */
static int instance(const struct specifier_context *c, const char *argument _unused_, char **ret) {
    struct name_parts parts;
    int r = name_split(c->name, &parts);
    return r < 0 ? r
                 : give(parts.instance ? strndup(parts.instance, parts.instance_length) : strdup(""), ret);
}

/* The part of the prefix after its last dash. */
static int last_component(const struct specifier_context *c, const char *argument _unused_, char **ret) {
    _cleanup_free_ char *whole = NULL;
    int r = prefix(c, NULL, &whole);
    if (r < 0)
        return r;
    const char *dash = strrchr(whole, '-');
    return give(strdup(dash ? dash + 1 : whole), ret);
}

static int unescaped(const struct specifier_context *c, specifier_function of, char **ret) {
    _cleanup_free_ char *escaped = NULL;
    int r = of(c, NULL, &escaped);
    return r < 0 ? r : unit_name_unescape(escaped, ret);
}

static int prefix_unescaped(const struct specifier_context *c, const char *argument _unused_, char **ret) {
    return unescaped(c, prefix, ret);
}

static int instance_unescaped(const struct specifier_context *c, const char *argument _unused_, char **ret) {
    return unescaped(c, instance, ret);
}

static int last_component_unescaped(
    const struct specifier_context *c, const char *argument _unused_, char **ret) {
    return unescaped(c, last_component, ret);
}

/* The unescaped instance, or else prefix, as an absolute path. */
static int name_as_path(const struct specifier_context *c, const char *argument _unused_, char **ret) {
    _cleanup_free_ char *text = NULL;
    int r = unescaped(c, instance, &text);
    if (r == 0 && !*text) {
        free(text);
        text = NULL;
        r = unescaped(c, prefix, &text);
    }
    return r < 0 ? r : give(strf("%s%s", *text == '/' ? "" : "/", text), ret);
}

static int fragment_path(const struct specifier_context *c, const char *argument _unused_, char **ret) {
    return c->fragment ? give(strdup(c->fragment), ret) : -EINVAL;
}

static int fragment_directory(const struct specifier_context *c, const char *argument _unused_, char **ret) {
    if (!c->fragment)
        return -EINVAL;
    const char *base = path_basename(c->fragment);
    size_t n = base > c->fragment + 1 ? (size_t)(base - c->fragment - 1) : 1;
    return give(strndup(c->fragment, n), ret);
}

/* ---- the manager's directories: argument is the default ---- */

#define DIRECTORY(field) \
    static int field(const struct specifier_context *c, const char *argument, char **ret) { \
        return give(strdup(c->env && c->env->field ? c->env->field : argument), ret); \
    }
DIRECTORY(runtime_dir)
DIRECTORY(state_dir)
DIRECTORY(cache_dir)
DIRECTORY(log_dir)
DIRECTORY(config_dir)

/* ---- the machine ---- */

static int host_name(const struct specifier_context *c _unused_, const char *argument _unused_, char **ret) {
    struct utsname u;
    return uname(&u) < 0 ? negative_errno() : give(strdup(u.nodename), ret);
}

static int host_name_short(
    const struct specifier_context *c _unused_, const char *argument _unused_, char **ret) {
    struct utsname u;
    return uname(&u) < 0 ? negative_errno() : give(strndup(u.nodename, strcspn(u.nodename, ".")), ret);
}

static int kernel_release(
    const struct specifier_context *c _unused_, const char *argument _unused_, char **ret) {
    struct utsname u;
    return uname(&u) < 0 ? negative_errno() : give(strdup(u.release), ret);
}

const char *machine_architecture(void) {
    static const char *const names[][2] = {
        {"x86_64", "x86-64"},
        {"i386", "x86"},
        {"i486", "x86"},
        {"i586", "x86"},
        {"i686", "x86"},
        {"aarch64", "arm64"},
        {"aarch64_be", "arm64-be"},
        {"armv6l", "arm"},
        {"armv7l", "arm"},
        {"armv8l", "arm"},
        {"ppc64le", "ppc64-le"},
        {"mips64", "mips64"},
        {"loongarch64", "loongarch64"},
    };
    static struct utsname u; /* a name that is not in the table is returned */
    if (uname(&u) < 0)
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (streq(u.machine, names[i][0]))
            return names[i][1];
    return u.machine;
}

static int architecture(
    const struct specifier_context *c _unused_, const char *argument _unused_, char **ret) {
    const char *name = machine_architecture();
    return name ? give(strdup(name), ret) : -EINVAL;
}

static int machine_id(const struct specifier_context *c _unused_, const char *argument _unused_, char **ret) {
    char id[ID128_TEXT];
    return id128_machine(id) < 0 ? -EINVAL : give(strdup(id), ret);
}

static int boot_id(const struct specifier_context *c _unused_, const char *argument _unused_, char **ret) {
    char id[ID128_TEXT];
    return id128_boot(id) < 0 ? -EINVAL : give(strdup(id), ret);
}

/* A field of os-release(5); "" where it is not set. */
static int os_release(const struct specifier_context *c _unused_, const char *argument, char **ret) {
    static const char *const files[] = {"/etc/os-release", "/usr/lib/os-release"};
    _cleanup_strv_free_ char **fields = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(files) && !fields; i++)
        if (environment_file_load(files[i], &fields, NULL) == -ENOMEM)
            return -ENOMEM;
    return give(strdup(strv_env_get(fields, argument) ?: ""), ret);
}

/* PRETTY_HOSTNAME of machine-info(5), else the host name. */
static int host_name_pretty(const struct specifier_context *c, const char *argument, char **ret) {
    _cleanup_strv_free_ char **fields = NULL;
    if (environment_file_load("-/etc/machine-info", &fields, NULL) == -ENOMEM)
        return -ENOMEM;
    const char *pretty = strv_env_get(fields, "PRETTY_HOSTNAME");
    return isempty(pretty) ? host_name(c, argument, ret) : give(strdup(pretty), ret);
}

static int no_value(
    const struct specifier_context *c _unused_, const char *argument _unused_, char **ret _unused_) {
    return -EINVAL;
}

static const struct {
    char letter;
    specifier_function function;
    const char *argument;
} specifiers[] = {
    {'n', full_name, NULL},
    {'N', name_without_type, NULL},
    {'p', prefix, NULL},
    {'P', prefix_unescaped, NULL},
    {'i', instance, NULL},
    {'I', instance_unescaped, NULL},
    {'j', last_component, NULL},
    {'J', last_component_unescaped, NULL},
    {'f', name_as_path, NULL},
    {'y', fragment_path, NULL},
    {'Y', fragment_directory, NULL},
    {'t', runtime_dir, "/run"},
    {'S', state_dir, "/var/lib"},
    {'C', cache_dir, "/var/cache"},
    {'L', log_dir, "/var/log"},
    {'E', config_dir, "/etc"},
    {'D', literal, "/usr/share"},
    {'T', literal, "/tmp"},
    {'V', literal, "/var/tmp"},
    {'h', literal, "/root"},
    {'s', literal, "/bin/sh"},
    {'u', literal, "root"},
    {'U', literal, "0"},
    {'g', literal, "root"},
    {'G', literal, "0"},
    {'H', host_name, NULL},
    {'l', host_name_short, NULL},
    {'q', host_name_pretty, NULL},
    {'m', machine_id, NULL},
    {'b', boot_id, NULL},
    {'v', kernel_release, NULL},
    {'a', architecture, NULL},
    {'o', os_release, "ID"},
    {'w', os_release, "VERSION_ID"},
    {'W', os_release, "VARIANT_ID"},
    {'B', os_release, "BUILD_ID"},
    {'M', os_release, "IMAGE_ID"},
    {'A', os_release, "IMAGE_VERSION"},
    {'d', no_value, NULL}, /* credentials: not passed yet */
    {'%', literal, "%"},
};

static bool is_letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static int expand_one(const struct specifier_context *c, char letter, struct strbuf *to, struct error *e) {
    for (size_t i = 0; i < ARRAY_SIZE(specifiers); i++) {
        if (specifiers[i].letter != letter)
            continue;
        _cleanup_free_ char *value = NULL;
        int r = specifiers[i].function(c, specifiers[i].argument, &value);
        if (r == -ENOMEM)
            return error_set(e, ENOMEM, "out of memory");
        if (r < 0)
            return error_set(e, EINVAL, "specifier %%%c has no value here", letter);
        strbuf_puts(to, value);
        return 0;
    }
    return error_set(e, EINVAL, "unknown specifier %%%c", letter);
}

int specifier_expand(const struct specifier_context *c, const char *s, char **ret, struct error *e) {
    _cleanup_strbuf_ struct strbuf b = {0};

    for (; *s; s++) {
        /* "100%" and "50%," are no specifiers: the percent sign stays, as in systemd */
        if (*s == '%' && (s[1] == '%' || is_letter_or_digit(s[1]))) {
            int r = expand_one(c, *++s, &b, e);
            if (r < 0)
                return r;
        } else {
            strbuf_putc(&b, *s);
        }
        if (b.length > EXPANSION_MAX)
            return error_set(e, E2BIG, "longer than 64 KiB with its specifiers expanded");
    }
    char *text = strbuf_take(&b);
    if (!text)
        return error_set(e, ENOMEM, "out of memory");
    *ret = text;
    return 0;
}
