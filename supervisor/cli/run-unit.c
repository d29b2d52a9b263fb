/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/run-unit.h"

#include <inttypes.h>
#include <limits.h>

#include "base/fs.h"
#include "base/parse.h"
#include "base/str.h"
#include "base/words.h"

/* ---- values ---- */

/* Specifiers are the unit language's; a person at a prompt means a plain "%". */
static void put_escaped(struct strbuf *b, const char *value) {
    for (; *value; value++) {
        if (*value == '%')
            strbuf_putc(b, '%');
        strbuf_putc(b, *value);
    }
}

/* Values that are taken as they are cannot hold what the file format has a meaning for. */
static int put_plain(struct strbuf *b, const char *key, const char *value, struct error *e) {
    size_t n = strlen(value);
    if (value[strcspn(value, "\n\r")])
        return error_set(e, EINVAL, "%s: a line break in \"%s\"", key, value);
    if (n > 0 && (value[n - 1] == '\\' || strchr(" \t", value[0]) || strchr(" \t", value[n - 1])))
        return error_set(e, EINVAL, "%s: blank or backslash at the edge of \"%s\"", key, value);
    strbuf_printf(b, "%s=", key);
    put_escaped(b, value);
    strbuf_putc(b, '\n');
    return 0;
}

/* Values that are split into words: one quoted word. */
static int put_word(struct strbuf *b, const char *value, bool command) {
    _cleanup_free_ char *quoted = words_quote(value);
    if (!quoted)
        return -ENOMEM;
    for (const char *p = quoted; *p; p++) {
        if (*p == '%' || (*p == '$' && command)) /* $ in a command line would be a variable */
            strbuf_putc(b, *p);
        strbuf_putc(b, *p);
    }
    return 0;
}

static int put_words(struct strbuf *b, const char *key, char *const *words, size_t n, bool command) {
    strbuf_printf(b, "%s=", key);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            strbuf_putc(b, ' ');
        int r = put_word(b, words[i], command);
        if (r < 0)
            return r;
    }
    strbuf_putc(b, '\n');
    return 0;
}

/* ---- options that are not a key as they are ---- */

/* "./data:/data" is a directory here, "data:/data" a volume of that name: as docker and podman have it. */
static char *absolute_source(const char *s) {
    _cleanup_free_ char *here = NULL;
    if (s[0] != '.' || (s[1] != '/' && s[1] != ':' && s[1] != '.' && s[1] != '\0'))
        return strdup(s);
    size_t n = strcspn(s, ":");
    _cleanup_free_ char *relative = strndup(s, n);
    here = getcwd(NULL, 0);
    if (!relative || !here)
        return NULL;
    char resolved[PATH_MAX];
    /* Where it does not exist yet the error is davitd's to tell, with the path in it. */
    return realpath(relative, resolved) ? strf("%s%s", resolved, s + n)
                                        : strf("%s/%s%s", here, relative, s + n);
}

static int put_volume(struct strbuf *b, const char *value, struct error *e) {
    _cleanup_free_ char *volume = absolute_source(value);
    return volume ? put_plain(b, "Volume", volume, e) : -ENOMEM;
}

/* "NAME" passes our own value on; one that we do not have is left out. */
static int put_env(struct strbuf *b, const char *value) {
    _cleanup_free_ char *whole = NULL;
    if (!strchr(value, '=')) {
        const char *ours = getenv(value);
        if (!ours)
            return 0;
        whole = strf("%s=%s", value, ours);
        if (!whole)
            return -ENOMEM;
    }
    strbuf_puts(b, "Environment=");
    int r = put_word(b, whole ?: value, false);
    strbuf_putc(b, '\n');
    return r;
}

/* EnvironmentFile= takes a file relative to the unit file, of which there is none: make it absolute. */
static int put_env_file(struct strbuf *b, const char *value, struct error *e) {
    char resolved[PATH_MAX];
    if (!realpath(value, resolved))
        return error_set_errno(e, errno, "--env-file %s", value);
    return put_plain(b, "EnvironmentFile", resolved, e);
}

static int put_security_opt(struct strbuf *b, const char *value, struct error *e) {
    static const struct { const char *prefix, *key; } options[] = {{"mask=", "Mask"}, {"unmask=", "Unmask"}};
    if (streq(value, "no-new-privileges") || streq(value, "no-new-privileges:true") ||
        streq(value, "no-new-privileges=true"))
        return put_plain(b, "NoNewPrivileges", "yes", e);
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        const char *rest = startswith(value, options[i].prefix);
        if (rest)
            return put_plain(b, options[i].key, rest, e);
    }
    return error_set(e, EINVAL, "--security-opt: \"%s\" is not known", value);
}

/* "1.5" CPUs to CPUQuota=150%. */
static int put_cpus(struct strbuf *b, const char *value, struct error *e) {
    uint64_t whole = 0, fraction = 0;
    _cleanup_free_ char *head = strndup(value, strcspn(value, "."));
    const char *dot = strchr(value, '.');
    char digits[5] = "0000";

    if (!head)
        return -ENOMEM;
    if (dot)
        for (size_t i = 0; i < 4 && dot[1 + i]; i++)
            digits[i] = dot[1 + i];
    if ((*head && parse_uint(head, 0, 100000, &whole) < 0) || parse_uint(digits, 0, 9999, &fraction) < 0 ||
        (dot && strlen(dot + 1) > 4) || (!*head && !dot) || whole * 10000 + fraction == 0)
        return error_set(e, EINVAL, "--cpus: \"%s\" is no number of CPUs", value);
    uint64_t permyriad = whole * 10000 + fraction;
    strbuf_printf(b, "CPUQuota=%" PRIu64 ".%02" PRIu64 "%%\n", permyriad / 100, permyriad % 100);
    return 0;
}

/* docker's limit is of memory and swap together, the kernel's (and MemorySwapMax=) of swap alone. */
static int put_memory_swap(struct strbuf *b, const char *memory, const char *value, struct error *e) {
    uint64_t both, alone;
    if (streq(value, "-1"))
        return put_plain(b, "MemorySwapMax", "infinity", e);
    if (!memory)
        return error_set(e, EINVAL, "--memory-swap needs --memory");
    if (parse_size(value, 1024, &both) < 0 || parse_size(memory, 1024, &alone) < 0 || both < alone)
        return error_set(e, EINVAL, "--memory-swap: \"%s\" is no size of at least --memory", value);
    strbuf_printf(b, "MemorySwapMax=%" PRIu64 "\n", both - alone);
    return 0;
}

/* KEY=VALUE for [Container], or SECTION.KEY=VALUE: gathered by section by the caller's passes. */
static bool property_is_in(const char *property, const char *section, const char **ret_rest) {
    size_t key = strcspn(property, "="), head = strcspn(property, ".=");
    bool has_section = head < key;
    if (!has_section) {
        *ret_rest = property;
        return streq(section, "Container");
    }
    *ret_rest = property + head + 1;
    return strlen(section) == head && strncmp(section, property, head) == 0;
}

static int put_properties(struct strbuf *b, char *const *properties, const char *section, struct error *e) {
    STRV_FOREACH (p, properties) {
        const char *rest;
        if (!property_is_in(*p, section, &rest))
            continue;
        if (!strchr(rest, '=') || strpbrk(*p, "\n\r"))
            return error_set(e, EINVAL, "--unit-property: \"%s\" is not KEY=VALUE", *p);
        strbuf_printf(b, "%s\n", rest); /* unit language as it is: specifiers and all */
    }
    return 0;
}

/* A name that can be a host's. */
static bool is_host_name(const char *s) {
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.");
    return n > 0 && n < 64 && !s[n] && s[0] != '-' && s[0] != '.';
}

/* ---- options that are ---- */

#define ONE(field) offsetof(struct cli_options, field), false
#define MANY(field) offsetof(struct cli_options, field), true

static const struct {
    const char *key;
    size_t offset;
    bool many;
} plain_options[] = {
    {"ContainerName", ONE(name)},
    {"Memory", ONE(memory)},
    {"ShmSize", ONE(shm_size)},
    {"UserNS", ONE(userns)},
    {"Network", ONE(network)},
    {"WorkingDir", ONE(workdir)},
    {"StopSignal", ONE(stop_signal)},
    {"StopTimeout", ONE(stop_timeout)},
    {"Timezone", ONE(tz)},
    {"Pull", ONE(pull)},
    {"Mount", MANY(mounts)},
    {"Tmpfs", MANY(tmpfs)},
    {"Ulimit", MANY(ulimits)},
    {"AddDevice", MANY(devices)},
    {"AddCapability", MANY(cap_add)},
    {"DropCapability", MANY(cap_drop)},
    {"GroupAdd", MANY(group_add)},
    {"DNS", MANY(dns)},
    {"AddHost", MANY(add_host)},
};

static const struct {
    const char *key;
    size_t offset;
} word_options[] = {
    {"Sysctl", offsetof(struct cli_options, sysctl)},
    {"Label", offsetof(struct cli_options, labels)},
    {"Annotation", offsetof(struct cli_options, annotations)},
};

static int put_table_options(struct strbuf *b, const struct cli_options *o, struct error *e) {
    int r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(plain_options) && r >= 0; i++) {
        const void *field = (const char *)o + plain_options[i].offset;
        if (plain_options[i].many) {
            STRV_FOREACH (s, *(char *const *const *)field)
                if (r >= 0)
                    r = put_plain(b, plain_options[i].key, *s, e);
        } else if (*(const char *const *)field)
            r = put_plain(b, plain_options[i].key, *(const char *const *)field, e);
    }
    for (size_t i = 0; i < ARRAY_SIZE(word_options) && r >= 0; i++)
        STRV_FOREACH (s, *(char *const *const *)(const void *)((const char *)o + word_options[i].offset))
            if (r >= 0)
                r = put_words(b, word_options[i].key, s, 1, false);
    return r;
}

static int put_identity(struct strbuf *b, const struct cli_options *o, struct error *e) {
    const char *hostname = o->hostname ?: o->name && is_host_name(o->name) ? o->hostname ?: o->name : NULL;
    int r = 0;
    if (hostname)
        r = put_plain(b, "HostName", hostname, e);
    if (r >= 0 && o->user) {
        const char *colon = strchr(o->user, ':');
        _cleanup_free_ char *user = strndup(o->user, colon ? (size_t)(colon - o->user) : strlen(o->user));
        r = user ? put_plain(b, "User", user, e) : -ENOMEM;
        if (r >= 0 && colon)
            r = put_plain(b, "Group", colon + 1, e);
    }
    return r;
}

static int put_special_options(struct strbuf *b, const struct cli_options *o, struct error *e) {
    int r = put_identity(b, o, e);
    STRV_FOREACH (s, o->volumes)
        if (r >= 0)
            r = put_volume(b, *s, e);
    STRV_FOREACH (s, o->env)
        if (r >= 0)
            r = put_env(b, *s);
    STRV_FOREACH (s, o->env_files)
        if (r >= 0)
            r = put_env_file(b, *s, e);
    STRV_FOREACH (s, o->security_opt)
        if (r >= 0)
            r = put_security_opt(b, *s, e);
    if (r >= 0 && o->cpus)
        r = put_cpus(b, o->cpus, e);
    if (r >= 0 && o->memory_swap)
        r = put_memory_swap(b, o->memory, o->memory_swap, e);
    if (r >= 0 && o->pids_limit)
        r = put_plain(b, "PidsLimit", streq(o->pids_limit, "0") ? "-1" : o->pids_limit, e);
    if (r >= 0 && o->read_only)
        strbuf_puts(b, "ReadOnly=yes\n");
    if (r >= 0 && o->init)
        strbuf_puts(b, "RunInit=yes\n");
    if (r >= 0 && o->privileged)
        r = error_set(
            e, EINVAL, "--privileged is for exec; give run the capabilities and devices that it needs");
    return r;
}

int run_unit_text(
    const struct cli_options *o, char *const *arguments, size_t n, char **ret, struct error *e) {
    _cleanup_strbuf_ struct strbuf b = {};
    _cleanup_free_ char *image = absolute_source(arguments[0]);
    int r = image ? 0 : -ENOMEM;

    strbuf_puts(&b, "[Unit]\n");
    if (r >= 0)
        r = put_properties(&b, o->unit_properties, "Unit", e);
    strbuf_puts(&b, "[Container]\n");
    if (r >= 0)
        r = put_plain(&b, "Image", image, e);
    if (r >= 0)
        r = put_special_options(&b, o, e);
    if (r >= 0)
        r = put_table_options(&b, o, e);
    if (r >= 0 && o->entrypoint)
        r = put_plain(&b, "Entrypoint", o->entrypoint, e);
    if (r >= 0 && n > 1)
        r = put_words(&b, "Exec", arguments + 1, n - 1, true);
    if (r >= 0)
        r = put_properties(&b, o->unit_properties, "Container", e);
    strbuf_puts(&b, "[Service]\nRestart=no\n");
    if (r >= 0)
        r = put_properties(&b, o->unit_properties, "Service", e);
    STRV_FOREACH (p, o->unit_properties) {
        const char *rest;
        if (r >= 0 && !property_is_in(*p, "Unit", &rest) && !property_is_in(*p, "Container", &rest) &&
            !property_is_in(*p, "Service", &rest))
            r = error_set(
                e, EINVAL, "--unit-property: \"%s\": the section is Unit, Container or Service", *p);
    }
    char *text = r < 0 ? NULL : strbuf_take(&b);
    if (r >= 0 && !text)
        r = -ENOMEM;
    if (r < 0)
        return e && e->number ? r : error_set(e, r, "%s", errno_text(r));
    *ret = text;
    return 0;
}
