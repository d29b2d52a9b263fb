/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unit names: types, validity, templates, and what a person may write for one (systemd.unit(5)). */
#include "unit/name.h"
#include "base/fs.h"
#include "unit/specifier.h"

static const char *const type_suffixes[_UNIT_TYPE_COUNT] = {
    [UNIT_CONTAINER] = ".container",
    [UNIT_SERVICE] = ".service",
    [UNIT_VOLUME] = ".volume",
    [UNIT_TARGET] = ".target",
    [UNIT_POD] = ".pod",
    [UNIT_NETWORK] = ".network",
    [UNIT_IMAGE] = ".image",
    [UNIT_TIMER] = ".timer",
    [UNIT_SOCKET] = ".socket",
    [UNIT_KUBE] = ".kube",
    [UNIT_BUILD] = ".build",
    [UNIT_ARTIFACT] = ".artifact",
};

/* systemd's other types: files that came from a systemd host order themselves after these. */
static const char *const foreign_suffixes[] = {
    ".mount", ".automount", ".swap", ".path", ".slice", ".scope", ".device"};

/* A bare "web" is looked for as each of these, in this order. */
static const enum unit_type resolve_order[] = {UNIT_CONTAINER, UNIT_SERVICE, UNIT_TARGET, UNIT_VOLUME,
    UNIT_POD, UNIT_TIMER, UNIT_SOCKET, UNIT_NETWORK, UNIT_IMAGE};

/* What Quadlet calls the service it generates from a unit of ours: people have these names in their files. */
static const struct {
    const char *ending;
    enum unit_type type;
} quadlet_services[] = {
    {"-volume.service", UNIT_VOLUME},
    {"-network.service", UNIT_NETWORK},
    {"-pod.service", UNIT_POD},
    {"-image.service", UNIT_IMAGE},
    {"-build.service", UNIT_BUILD},
    {".service", UNIT_CONTAINER},
};

const char *unit_type_suffix(enum unit_type t) {
    return type_suffixes[t];
}

enum unit_type unit_type_from_name(const char *name) {
    const char *dot = strrchr(name, '.');
    for (enum unit_type t = 0; dot && t < _UNIT_TYPE_COUNT; t++)
        if (streq(dot, type_suffixes[t]))
            return t;
    return _UNIT_TYPE_INVALID;
}

static bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr(":-_.\\", c));
}

/* PREFIX[@[INSTANCE]] in n bytes. A name must not start with '.': "..container" would be a path. */
static bool stem_is_valid(const char *stem, size_t n) {
    if (n == 0 || stem[0] == '@' || stem[0] == '.')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_name_character(stem[i]) && stem[i] != '@')
            return false;
    return true;
}

int name_split(const char *name, struct name_parts *ret) {
    if (strnlen(name, UNIT_NAME_MAX + 1) > UNIT_NAME_MAX)
        return -EINVAL;
    enum unit_type type = unit_type_from_name(name);
    if (type == _UNIT_TYPE_INVALID)
        return -EINVAL;
    const char *suffix = strrchr(name, '.');
    if (!stem_is_valid(name, (size_t)(suffix - name)))
        return -EINVAL;

    const char *at = memchr(name, '@', (size_t)(suffix - name));
    *ret = (struct name_parts){
        .prefix = name,
        .prefix_length = (size_t)((at ?: suffix) - name),
        .instance = at ? at + 1 : NULL,
        .instance_length = at ? (size_t)(suffix - at - 1) : 0,
        .suffix = suffix,
        .type = type,
    };
    return 0;
}

bool unit_name_is_valid(const char *name) {
    struct name_parts parts;
    return name_split(name, &parts) == 0;
}

bool name_is_template(const char *name) {
    struct name_parts parts;
    return name_split(name, &parts) == 0 && parts.instance && parts.instance_length == 0;
}

bool name_is_instance(const char *name) {
    struct name_parts parts;
    return name_split(name, &parts) == 0 && parts.instance && parts.instance_length > 0;
}

char *name_template(const char *name) {
    struct name_parts parts;
    if (name_split(name, &parts) < 0)
        return NULL;
    return strf("%.*s@%s", (int)parts.prefix_length, name, parts.suffix);
}

char *name_with_instance(const char *template, const char *instance) {
    struct name_parts parts;
    if (name_split(template, &parts) < 0)
        return NULL;
    return strf("%.*s@%s%s", (int)parts.prefix_length, template, instance, parts.suffix);
}

bool name_is_valid_dependency(const char *name) {
    if (unit_name_is_valid(name))
        return true;
    const char *dot = strrchr(name, '.');
    if (!dot || strlen(name) > UNIT_NAME_MAX || !stem_is_valid(name, (size_t)(dot - name)))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(foreign_suffixes); i++)
        if (streq(dot, foreign_suffixes[i]))
            return true;
    return false;
}

/* 1 and *ret if stem + suffix exists, 0 if not. */
static int try_candidate(const char *stem, size_t n, const char *suffix, bool (*exists)(const char *, void *),
    void *data, char **ret) {
    char *name = strf("%.*s%s", (int)n, stem, suffix);
    if (!name)
        return -ENOMEM;
    if (unit_name_is_valid(name) && exists(name, data)) {
        *ret = name;
        return 1;
    }
    free(name);
    return 0;
}

int unit_name_resolve(
    const char *written, bool (*exists)(const char *name, void *data), void *data, char **ret) {
    const char *name = strchr(written, '/') ? path_basename(written) : written;
    size_t n = strlen(name);

    if (n > UNIT_NAME_MAX)
        return -ENOENT;
    int r = try_candidate(name, n, "", exists, data, ret);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(quadlet_services); i++) {
        const char *end = endswith(name, quadlet_services[i].ending);
        if (end)
            r = try_candidate(
                name, (size_t)(end - name), type_suffixes[quadlet_services[i].type], exists, data, ret);
    }
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(resolve_order); i++)
        r = try_candidate(name, n, type_suffixes[resolve_order[i]], exists, data, ret);
    return r > 0 ? 0 : r < 0 ? r : -ENOENT;
}

/* ---- escaping, systemd-escape(1) ---- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int unit_name_unescape(const char *s, char **ret) {
    _cleanup_strbuf_ struct strbuf b = {0};

    for (; *s; s++) {
        if (*s == '-') {
            strbuf_putc(&b, '/');
        } else if (*s == '\\') {
            if (s[1] != 'x' || hex_digit(s[2]) < 0 || hex_digit(s[3]) < 0)
                return -EINVAL;
            char c = (char)(hex_digit(s[2]) << 4 | hex_digit(s[3]));
            if (c == '\0')
                return -EINVAL;
            strbuf_putc(&b, c);
            s += 3;
        } else {
            strbuf_putc(&b, *s);
        }
    }
    char *text = strbuf_take(&b);
    if (!text)
        return -ENOMEM;
    *ret = text;
    return 0;
}

int unit_name_escape(const char *s, char **ret) {
    _cleanup_strbuf_ struct strbuf b = {0};

    for (const char *c = s; *c; c++) {
        if (*c == '/')
            strbuf_putc(&b, '-');
        else if (*c == '-' || *c == '\\' || !is_name_character(*c) || (*c == '.' && c == s))
            strbuf_printf(&b, "\\x%02x", (unsigned char)*c);
        else
            strbuf_putc(&b, *c);
    }
    char *text = strbuf_take(&b);
    if (!text)
        return -ENOMEM;
    *ret = text;
    return 0;
}
