/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Volume=, Mount= and Tmpfs=: three ways to write one thing, struct volume_mount. podman-run(1)'s rules for
 * --volume,
 * --mount and --tmpfs; the options that several of them share are in one table.
 *
 * Where an option would change who can reach or change which data, and davit does not have it, the unit is
 * refused.
 */
#include "base/fs.h"
#include "base/words.h"
#include "unit/key.h"
#include "unit/name.h"

enum origin { FROM_VOLUME = 'V', FROM_MOUNT = 'M', FROM_TMPFS = 'T' };

static void mount_done(struct volume_mount *m) {
    free(m->source);
    free(m->target);
    free(m->options);
    *m = (struct volume_mount){0};
}

/* ---- options ---- */

enum option_class { ON, OFF, PROPAGATION, NOTHING, REFUSED };
#define FIELD(f) offsetof(struct volume_mount, f)

static const struct {
    const char *name;
    enum option_class class;
    char value;      /* PROPAGATION */
    size_t field;    /* ON, OFF */
    const char *why; /* REFUSED */
} options[] = {
    {"ro", ON, 0, FIELD(read_only), NULL},
    {"readonly", ON, 0, FIELD(read_only), NULL},
    {"rw", OFF, 0, FIELD(read_only), NULL},
    {"noexec", ON, 0, FIELD(no_exec), NULL},
    {"exec", OFF, 0, FIELD(no_exec), NULL},
    {"nosuid", ON, 0, FIELD(no_suid), NULL},
    {"suid", OFF, 0, FIELD(no_suid), NULL},
    {"nodev", ON, 0, FIELD(no_dev), NULL},
    {"dev", OFF, 0, FIELD(no_dev), NULL},
    {"rbind", ON, 0, FIELD(recursive), NULL},
    {"bind", OFF, 0, FIELD(recursive), NULL},
    {"bind-nonrecursive", OFF, 0, FIELD(recursive), NULL},
    {"U", ON, 0, FIELD(chown), NULL},
    {"chown", ON, 0, FIELD(chown), NULL},
    {"idmap", ON, 0, FIELD(idmap), NULL},
    {"copy", OFF, 0, FIELD(no_copy), NULL},
    {"nocopy", ON, 0, FIELD(no_copy), NULL},
    {"volume-nocopy", ON, 0, FIELD(no_copy), NULL},
    {"tmpcopyup", OFF, 0, FIELD(no_copy), NULL},
    {"notmpcopyup", ON, 0, FIELD(no_copy), NULL},
    {"private", PROPAGATION, 0, 0, NULL},
    {"rprivate", PROPAGATION, 0, 0, NULL},
    {"shared", PROPAGATION, 's', 0, NULL},
    {"rshared", PROPAGATION, 's', 0, NULL},
    {"slave", PROPAGATION, 'l', 0, NULL},
    {"rslave", PROPAGATION, 'l', 0, NULL},
    {"unbindable", PROPAGATION, 'u', 0, NULL},
    {"runbindable", PROPAGATION, 'u', 0, NULL},
    /* SELinux labels for the content: davit sets none, and needs none where there is no SELinux */
    {"z", NOTHING, 0, 0, NULL},
    {"Z", NOTHING, 0, 0, NULL},
    {"relabel", NOTHING, 0, 0, NULL},
    {"consistency", NOTHING, 0, 0, NULL},
    {"cached", NOTHING, 0, 0, NULL},
    {"delegated", NOTHING, 0, 0, NULL},
    {"O", REFUSED, 0, 0, "overlay volumes are not supported yet: writes would reach the source"},
    {"upperdir", REFUSED, 0, 0, "overlay volumes are not supported yet"},
    {"workdir", REFUSED, 0, 0, "overlay volumes are not supported yet"},
    {"subpath", REFUSED, 0, 0, "sub-paths of volumes are not supported yet"},
    {"volume-subpath", REFUSED, 0, 0, "sub-paths of volumes are not supported yet"},
};

static const char *const tmpfs_settings[] = {"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "huge"};

static bool is_false(const char *s) {
    return s && (streq(s, "false") || streq(s, "0") || streq(s, "no"));
}

static int add_tmpfs_setting(struct volume_mount *m, const char *name, const char *value) {
    char *all = strf("%s%s%s=%s", m->options ?: "", m->options ? "," : "", name, value);
    return value_replace(&m->options, all);
}

/* One "name" or "name=value". */
static int apply_option(struct assignment *a, struct volume_mount *m, const char *name, const char *value) {
    for (size_t i = 0; m->kind == VOLUME_TMPFS && value && i < ARRAY_SIZE(tmpfs_settings); i++)
        if (streq(name, tmpfs_settings[i]))
            return add_tmpfs_setting(m, name, value);

    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (!streq(name, options[i].name))
            continue;
        bool *field = (bool *)((char *)m + options[i].field);
        switch (options[i].class) {
        case ON:
        case OFF:
            if (field == &m->idmap && value)
                return assignment_fail(a, "plain idmap", "explicit id maps are not supported yet");
            *field = (options[i].class == ON) != is_false(value);
            return 0;
        case PROPAGATION:
            m->propagation = options[i].value;
            return 0;
        case NOTHING:
            return 0;
        case REFUSED:
            return assignment_fail(a, NULL, "option %s: %s", name, options[i].why);
        }
    }
    return assignment_fail(a,
        "known are ro rw noexec nosuid nodev bind rbind U idmap nocopy z Z and propagation",
        "\"%s\" is not an option of a mount", name);
}

/* "a,b=c": changes text. */
static int apply_options(struct assignment *a, struct volume_mount *m, char *text) {
    int r = 0;
    for (char *save, *option = strtok_r(text, ",", &save); r == 0 && option;
         option = strtok_r(NULL, ",", &save)) {
        char *equals = strchr(option, '=');
        if (equals)
            *equals++ = '\0';
        r = apply_option(a, m, option, equals);
    }
    return r;
}

/* ---- sources and targets ---- */

/* podman's defaults; device nodes below /dev are given on purpose. */
static void set_defaults(struct volume_mount *m, enum origin origin) {
    m->origin = (char)origin;
    m->recursive = true;
    m->no_suid = true;
    m->no_dev = true;
}

static int set_target(struct assignment *a, struct volume_mount *m, const char *target) {
    _cleanup_free_ char *path = strdup(target);
    if (!path)
        return -ENOMEM;
    if (!path_is_absolute(path))
        return assignment_fail(
            a, "[SOURCE:]TARGET[:OPTIONS]", "target \"%s\" is not an absolute path", target);
    path_simplify(path);
    if (!path_is_normalized(path) || streq(path, "/"))
        return assignment_fail(a, NULL, "\"%s\" cannot be the target of a mount", target);
    return value_replace(&m->target, TAKE_PTR(path));
}

/* "foo@.volume" in an instance means the volume of the same instance, as in Quadlet. */
static int volume_unit_name(struct assignment *a, const char *name, char **ret) {
    const struct unit *u = a->load->u;

    if (!unit_name_is_valid(name))
        return assignment_fail(a, NULL, "\"%s\" is not the name of a volume unit", name);
    if (name_is_template(name) && u->instance) {
        *ret = name_with_instance(name, u->instance);
    } else if (!name_is_template(name) || name_is_template(u->name)) { /* the latter: being checked */
        *ret = strdup(name);
    } else {
        return assignment_fail(
            a, NULL, "\"%s\" is a template, and this unit has no instance to give it", name);
    }
    return *ret ? 0 : -ENOMEM;
}

static int set_source(struct assignment *a, struct volume_mount *m, const char *source) {
    char *text = NULL;
    int r;

    if (*source == '/' || *source == '.') {
        m->kind = VOLUME_HOST_PATH;
        r = assignment_absolute_path(a, source, &text);
        if (r == 0 && startswith(text, "/dev/"))
            m->no_dev = false;
    } else if (endswith(source, ".volume")) {
        m->kind = VOLUME_NAMED;
        r = volume_unit_name(a, source, &text);
    } else {
        m->kind = VOLUME_NAMED;
        r = check_object_name(a, source);
        if (r == 0 && !(text = strdup(source)))
            r = -ENOMEM;
    }
    return r < 0 ? r : value_replace(&m->source, text);
}

static int add_mount(struct assignment *a, struct volume_mount *m) {
    struct container_section *c = a->load->u->container;
    int r = assignment_room(a, c->n_volumes);
    if (r < 0)
        return r;
    struct volume_mount *room = ARRAY_APPEND(c->volumes, c->n_volumes);
    if (!room)
        return -ENOMEM;
    *room = *m;
    *m = (struct volume_mount){0};
    return 0;
}

/* ---- Volume=[SOURCE:]TARGET[:OPTIONS] ---- */

static int fill_volume(struct assignment *a, struct volume_mount *m, char *text) {
    char *parts[3] = {text};
    size_t n = 1;

    for (char *colon = text; (colon = strchr(colon, ':')); n++) {
        if (n == ARRAY_SIZE(parts))
            return assignment_fail(a, "[SOURCE:]TARGET[:OPTIONS]", "too many colons");
        *colon++ = '\0';
        parts[n] = colon;
    }
    m->kind = VOLUME_ANONYMOUS;
    int r = n > 1 ? set_source(a, m, parts[0]) : 0;
    if (r == 0)
        r = set_target(a, m, parts[n > 1 ? 1 : 0]);
    if (r == 0 && n > 2)
        r = apply_options(a, m, parts[2]);
    return r;
}

static int parse_volume(struct assignment *a, void *field _unused_, const char *value) {
    _cleanup_(mount_done) struct volume_mount m = {0};
    _cleanup_free_ char *text = NULL;

    set_defaults(&m, FROM_VOLUME);
    int r = assignment_expand(a, value, &text);
    if (r == 0)
        r = fill_volume(a, &m, text);
    return r < 0 ? r : add_mount(a, &m);
}

/* ---- Tmpfs=TARGET[:OPTIONS] ---- */

static int parse_tmpfs(struct assignment *a, void *field _unused_, const char *value) {
    _cleanup_(mount_done) struct volume_mount m = {0};
    _cleanup_free_ char *text = NULL;

    set_defaults(&m, FROM_TMPFS);
    m.kind = VOLUME_TMPFS;
    int r = assignment_expand(a, value, &text);
    if (r < 0)
        return r;
    char *colon = strchr(text, ':');
    if (colon)
        *colon++ = '\0';
    r = set_target(a, &m, text);
    if (r == 0 && colon)
        r = apply_options(a, &m, colon);
    return r < 0 ? r : add_mount(a, &m);
}

/* ---- Mount=type=TYPE,source=...,destination=...,OPTIONS ---- */

static const struct {
    const char *name;
    int kind;
    const char *why; /* not NULL: refused */
} mount_types[] = {
    {"bind", VOLUME_HOST_PATH, NULL},
    {"volume", VOLUME_NAMED, NULL},
    {"tmpfs", VOLUME_TMPFS, NULL},
    {"devpts", VOLUME_DEVPTS, NULL},
    {"mqueue", VOLUME_MQUEUE, NULL},
    {"image", 0, "images as mounts are not supported yet"},
    {"artifact", 0, "artifacts are not supported"},
    {"glob", 0, "globs are not supported: write one Mount= a path"},
    {"ramfs", 0, "write type=tmpfs: its size has a limit"},
};

/* What a part of Mount= is called in its several spellings; else NULL. */
static const char *const source_names[] = {"source", "src", NULL};
static const char *const target_names[] = {"destination", "dst", "target", NULL};

static int fill_mount_type(struct assignment *a, struct volume_mount *m, const char *type) {
    for (size_t i = 0; i < ARRAY_SIZE(mount_types); i++) {
        if (!streq(type, mount_types[i].name))
            continue;
        if (mount_types[i].why)
            return assignment_fail(a, NULL, "type=%s: %s", type, mount_types[i].why);
        m->kind = (__typeof__(m->kind))mount_types[i].kind;
        return 0;
    }
    return assignment_fail(a, "bind, volume, tmpfs, devpts or mqueue", "\"%s\" is not a type of mount", type);
}

/* The names that only Mount= has for options of the table above. */
static int apply_mount_option(
    struct assignment *a, struct volume_mount *m, const char *name, const char *value) {
    if (streq(name, "bind-propagation") && value)
        return apply_option(a, m, value, NULL);
    if (streq(name, "tmpfs-size") && value)
        return add_tmpfs_setting(m, "size", value);
    if (streq(name, "tmpfs-mode") && value)
        return add_tmpfs_setting(m, "mode", value);
    if (m->kind == VOLUME_DEVPTS && value &&
        (streq(name, "mode") || streq(name, "gid") || streq(name, "max")))
        return add_tmpfs_setting(m, name, value);
    if (streq(name, "bind-nonrecursive")) {
        m->recursive = is_false(value);
        return 0;
    }
    return apply_option(a, m, name, value);
}

/* The last part with one of these names, or NULL. */
static const char *find_part(char *const *parts, const char *const *names) {
    const char *found = NULL;
    STRV_FOREACH (part, parts)
        for (size_t i = 0; names[i]; i++) {
            const char *rest = startswith(*part, names[i]);
            if (rest && *rest == '=')
                found = rest + 1;
        }
    return found;
}

static bool is_structural(const char *part) {
    static const char *const structural[] = {"type=", "source=", "src=", "destination=", "dst=", "target="};
    for (size_t i = 0; i < ARRAY_SIZE(structural); i++)
        if (startswith(part, structural[i]))
            return true;
    return false;
}

static int fill_mount(struct assignment *a, struct volume_mount *m, char *const *parts) {
    static const char form[] = "type=bind,source=/on/host,destination=/in/container";
    static const char *const type_names[] = {"type", NULL};
    const char *type = find_part(parts, type_names) ?: "volume";
    const char *source = find_part(parts, source_names), *target = find_part(parts, target_names);

    int r = fill_mount_type(a, m, type);
    if (r < 0)
        return r;
    if (!target)
        return assignment_fail(a, form, "destination= is missing");
    if (m->kind == VOLUME_HOST_PATH) {
        if (!source || (*source != '/' && *source != '.'))
            return assignment_fail(a, form, "type=bind needs source= with a path");
        r = set_source(a, m, source);
    } else if (m->kind == VOLUME_NAMED) {
        m->kind = VOLUME_ANONYMOUS;
        if (source && (*source == '/' || *source == '.'))
            return assignment_fail(
                a, "type=bind mounts paths", "type=volume wants a volume's name as source");
        r = source ? set_source(a, m, source) : 0;
    } else if (source) {
        return assignment_fail(a, NULL, "type=%s has no source", type);
    }
    if (r == 0)
        r = set_target(a, m, target);
    STRV_FOREACH (part, parts) {
        if (r < 0)
            break;
        if (is_structural(*part))
            continue;
        char *equals = strchr(*part, '=');
        if (equals)
            *equals = '\0';
        r = apply_mount_option(a, m, *part, equals ? equals + 1 : NULL);
    }
    return r;
}

/* One word of Mount=: commas separate, quotes protect them. */
static int parse_one_mount(struct assignment *a, const char *word) {
    _cleanup_(mount_done) struct volume_mount m = {0};
    _cleanup_strv_free_ char **parts = NULL;
    _cleanup_free_ char *text = NULL;

    set_defaults(&m, FROM_MOUNT);
    int r = assignment_expand(a, word, &text);
    if (r < 0)
        return r;
    for (const char *p = text;;) {
        char *part;
        r = words_next(&p, &part, ",", WORDS_UNQUOTE | WORDS_KEEP_BACKSLASH);
        if (r == -EINVAL)
            return assignment_fail(a, NULL, "unbalanced quotes");
        if (r > 0)
            r = strv_consume(&parts, part) ?: assignment_room(a, strv_length(parts)) ?: 1;
        if (r <= 0)
            break;
    }
    if (r == 0)
        r = fill_mount(a, &m, parts);
    return r < 0 ? r : add_mount(a, &m);
}

static int parse_mount(struct assignment *a, void *field _unused_, const char *value) {
    _cleanup_strv_free_ char **words = NULL;
    int r = assignment_words(a, value, WORDS_UNQUOTE | WORDS_CUNESCAPE, &words);

    STRV_FOREACH (word, words) {
        if (r < 0)
            break;
        r = parse_one_mount(a, *word);
    }
    return r;
}

/* ---- shared by the three ---- */

/* The options in force, with a comma before each. */
static void format_options(struct strbuf *b, const struct volume_mount *m) {
    const struct {
        bool on;
        const char *name;
    } flags[] = {
        {m->read_only, "ro"},
        {m->no_exec, "noexec"},
        {m->no_suid, "nosuid"},
        {m->no_dev, "nodev"},
        {!m->recursive, "bind"},
        {m->chown, "U"},
        {m->idmap, "idmap"},
        {m->no_copy, "nocopy"},
        {m->propagation == 's', "rshared"},
        {m->propagation == 'l', "rslave"},
        {m->propagation == 'u', "runbindable"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (flags[i].on)
            strbuf_printf(b, ",%s", flags[i].name);
    if (m->options)
        strbuf_printf(b, ",%s", m->options);
}

static const char *mount_type_name(const struct volume_mount *m) {
    for (size_t i = 0; i < ARRAY_SIZE(mount_types); i++)
        if (!mount_types[i].why && mount_types[i].kind == (int)m->kind)
            return mount_types[i].name;
    return "volume";
}

static char *format_mount(const struct volume_mount *m) {
    _cleanup_strbuf_ struct strbuf b = {0}, list = {0};

    format_options(&list, m);
    const char *text = list.data ?: "";
    if (m->origin == FROM_MOUNT) {
        strbuf_printf(&b, "type=%s", mount_type_name(m));
        if (m->source)
            strbuf_printf(&b, ",source=%s", m->source);
        strbuf_printf(&b, ",destination=%s%s", m->target, text);
    } else {
        if (m->source)
            strbuf_printf(&b, "%s:", m->source);
        strbuf_puts(&b, m->target);
        if (*text && (m->source || m->origin == FROM_TMPFS)) /* Volume=TARGET has no place for options */
            strbuf_printf(&b, ":%s", text + 1);
    }
    return strbuf_failed(&list) ? NULL : strbuf_take(&b);
}

static int show_mounts(const void *field, enum origin origin, char ***values) {
    const struct container_section *c =
        container_of((struct volume_mount *const *)field, struct container_section, volumes);
    int r = 0;
    for (size_t i = 0; r == 0 && i < c->n_volumes; i++)
        if (c->volumes[i].origin == (char)origin)
            r = strv_consume(values, format_mount(&c->volumes[i]));
    return r;
}

/* An empty Volume= takes back the volumes, not the tmpfs beside them. */
static void clear_mounts(void *field, enum origin origin) {
    struct container_section *c =
        container_of((struct volume_mount **)field, struct container_section, volumes);
    size_t kept = 0;

    for (size_t i = 0; i < c->n_volumes; i++) {
        if (c->volumes[i].origin == (char)origin)
            mount_done(&c->volumes[i]);
        else
            c->volumes[kept++] = c->volumes[i];
    }
    c->n_volumes = kept;
    if (kept == 0) {
        free(c->volumes);
        c->volumes = NULL;
    }
}

#define MOUNT_TYPE(name, origin, form) \
    static int show_##name(const struct key *k _unused_, const void *field, char ***values) { \
        return show_mounts(field, origin, values); \
    } \
    static void clear_##name(void *field) { \
        clear_mounts(field, origin); \
    } \
    const struct value_type value_##name = {form, parse_##name, show_##name, clear_##name};

MOUNT_TYPE(volume, FROM_VOLUME, "[source:]target[:options]")
MOUNT_TYPE(mount, FROM_MOUNT, "type=...,source=...,destination=...")
MOUNT_TYPE(tmpfs, FROM_TMPFS, "target[:options]")
