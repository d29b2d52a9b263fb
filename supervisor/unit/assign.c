/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From "Key=value at line 7" to a field of the unit: finds the row, parses, and says what is wrong and what
 * to do. */
#include "base/fs.h"
#include "unit/key.h"
#include "unit/name.h"

/* ---- rows and fields ---- */

static const enum key_section type_sections[_UNIT_TYPE_COUNT] = {
    [UNIT_CONTAINER] = SECTION_UNIT | SECTION_CONTAINER | SECTION_SERVICE | SECTION_INSTALL,
    [UNIT_SERVICE] = SECTION_UNIT | SECTION_SERVICE | SECTION_INSTALL,
    [UNIT_VOLUME] = SECTION_UNIT | SECTION_VOLUME | SECTION_SERVICE | SECTION_INSTALL,
    [UNIT_IMAGE] = SECTION_UNIT | SECTION_IMAGE | SECTION_SERVICE | SECTION_INSTALL,
    [UNIT_TARGET] = SECTION_UNIT | SECTION_INSTALL,
};

bool key_applies(const struct key *k, enum unit_type type, enum key_section section) {
    return k->sections & section & type_sections[type];
}

void *key_field(const struct key *k, struct unit *u) {
    char *base = k->base == BASE_UNIT        ? (char *)u
                 : k->base == BASE_CONTAINER ? (char *)u->container
                 : k->base == BASE_VOLUME    ? (char *)u->volume
                                             : (char *)u->image;
    return base ? base + k->offset : NULL;
}

const struct key *key_find(enum key_section section, const char *name) {
    for (size_t i = 0; i < n_keys; i++)
        if ((keys[i].sections & section) && streq(keys[i].name, name))
            return &keys[i];
    return NULL;
}

bool load_has(const struct load *l, const char *name) {
    for (size_t i = 0; i < n_keys; i++)
        if (l->is_set[i] && streq(keys[i].name, name))
            return true;
    return false;
}

/* ---- problems ---- */

static int add_problem(struct load *l, enum problem_level level, const char *file, unsigned line,
    const char *section, const char *key, const char *hint, const char *fmt, va_list ap) {
    char *text;
    if (level == PROBLEM_ERROR)
        l->u->has_errors = true;
    if (vasprintf(&text, fmt, ap) < 0)
        return -ENOMEM;
    int r = problem_add(&l->u->problems, level, file, line, section, key, hint, "%s", text);
    free(text);
    return r;
}

int load_problem(struct load *l, enum problem_level level, const char *file, unsigned line,
    const char *section, const char *key, const char *hint, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int r = add_problem(l, level, file, line, section, key, hint, fmt, ap);
    va_end(ap);
    return r;
}

/* Comments behind a value become part of it: seen in the wild, and never meant. */
static bool has_trailing_comment(const char *value) {
    return strstr(value, " #") || strstr(value, "\t#") || strstr(value, " ;");
}

int assignment_fail(struct assignment *a, const char *hint, const char *fmt, ...) {
    va_list ap;
    if (a->value && has_trailing_comment(a->value))
        hint = "comments go on a line of their own";
    va_start(ap, fmt);
    int r = add_problem(a->load, PROBLEM_ERROR, a->file, a->line, a->section, a->key->name, hint, fmt, ap);
    va_end(ap);
    return r < 0 ? r : -EINVAL;
}

int assignment_warn(struct assignment *a, const char *hint, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int r = add_problem(a->load, PROBLEM_WARNING, a->file, a->line, a->section, a->key->name, hint, fmt, ap);
    va_end(ap);
    return r;
}

/* ---- what values have in common ---- */

int assignment_expand(struct assignment *a, const char *text, char **ret) {
    const struct unit *u = a->load->u;
    _cleanup_free_ char *stand_in = NULL;

    if (!strchr(text, '%')) {
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
    }
    /* A bare template is read to be checked, and "" for %i would be wrong in most places. */
    if (name_is_template(u->name) && !(stand_in = name_with_instance(u->name, "instance")))
        return -ENOMEM;
    const struct specifier_context c = {
        .env = a->load->env, .name = stand_in ?: u->name, .fragment = u->fragment};
    struct error e = {0};
    int r = specifier_expand(&c, text, ret, &e);
    if (r == 0 || r == -ENOMEM)
        return r;
    return assignment_fail(a, "a percent sign itself is written %%", "%s", e.text);
}

int assignment_room(struct assignment *a, size_t count) {
    return count < VALUES_MAX ? 0 : assignment_fail(a, NULL, "more than %d values", VALUES_MAX);
}

int assignment_words(struct assignment *a, const char *value, enum words_flags flags, char ***ret) {
    _cleanup_strv_free_ char **words = NULL;

    for (size_t count = 0;; count++) {
        char *word;
        int r = words_next(&value, &word, NULL, flags);
        if (r == -EINVAL)
            return assignment_fail(a, "quotes must be closed; a literal backslash is written \\\\",
                "unknown escape or unbalanced quotes");
        if (r < 0)
            return r;
        if (r == 0)
            break;
        r = strv_consume(&words, word);
        if (r == 0)
            r = assignment_room(a, count);
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(words);
    return 0;
}

/* Appends the parts of path to b, which holds an absolute path without a slash at its end. */
static void append_parts(struct strbuf *b, const char *path) {
    while (*path) {
        path += strspn(path, "/");
        size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.') {
            while (b->length > 0 && b->data[--b->length] != '/')
                ;
            if (b->data)
                b->data[b->length] = '\0';
        } else if (n > 0 && !(n == 1 && *path == '.')) {
            strbuf_putc(b, '/');
            strbuf_append(b, path, n);
        }
        path += n;
    }
}

/* Strings only: the launcher opens the result by descriptor, and decides about links then. */
int assignment_absolute_path(struct assignment *a, const char *path, char **ret) {
    _cleanup_strbuf_ struct strbuf b = {0};
    const char *fragment = a->load->u->fragment;

    if (!*path)
        return assignment_fail(a, NULL, "the path is missing");
    if (!path_is_absolute(path)) {
        const char *base = fragment ? path_basename(fragment) : NULL;
        if (!base || !path_is_absolute(fragment))
            return assignment_fail(
                a, "write an absolute path", "\"%s\" is relative, and the unit has no file", path);
        _cleanup_free_ char *directory = strndup(fragment, (size_t)(base - fragment));
        if (!directory)
            return -ENOMEM;
        append_parts(&b, directory);
    } else if (strstr(path, "/../") || endswith(path, "/..")) {
        return assignment_fail(a, NULL, "path \"%s\" has \"..\" in it", path);
    }
    append_parts(&b, path);
    if (b.length == 0)
        strbuf_putc(&b, '/');
    char *text = strbuf_take(&b);
    if (!text)
        return -ENOMEM;
    if (!path_is_normalized(text)) {
        free(text);
        return assignment_fail(a, NULL, "the path is too long");
    }
    *ret = text;
    return 0;
}

/* ---- defaults from the table ---- */

static int reset(struct load *l, const struct key *k) {
    void *field = key_field(k, l->u);
    struct assignment a = {.load = l, .key = k};

    k->type->clear(field);
    if (!k->default_text)
        return 0;
    a.value = k->default_text;
    return k->type->parse(&a, field, k->default_text);
}

int keys_init(struct load *l) {
    for (size_t i = 0; i < n_keys; i++) {
        if (!key_field(&keys[i], l->u) || (keys[i].flags & KEY_OLD_NAME))
            continue;
        int r = reset(l, &keys[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

void keys_clear(struct unit *u) {
    for (size_t i = 0; i < n_keys; i++) {
        void *field = key_field(&keys[i], u);
        if (field)
            keys[i].type->clear(field);
    }
}

/* ---- unknown keys ---- */

/* Mistakes with a better answer than the nearest key. */
static const struct {
    const char *name, *hint;
} known_mistakes[] = {
    {"CPUs", "write CPUQuota=200% for two CPUs"},
    {"Cpus", "write CPUQuota=200% for two CPUs"},
    {"CPU", "write CPUQuota=200% for two CPUs"},
    {"MemoryReservation", "write MemoryLow="},
    {"MemorySwap", "write MemorySwapMax=, which counts swap alone"},
    {"Command", "write Exec="},
    {"Cmd", "write Exec="},
    {"Ports", "the key is PublishPort=, not supported yet"},
    {"Volumes", "write Volume=, one a line"},
    {"Env", "write Environment="},
    {"DependsOn", "write Requires= and After= in [Unit]"},
    {"Privileged", "write AddCapability=all and the AddDevice= that are needed"},
    {"RestartPolicy", "write Restart= in [Service]"},
    {"Hostname", "write HostName="},
    {"Workdir", "write WorkingDir="},
};

/* How far a key may be from a known one to be taken for a slip of the finger. */
static unsigned likely_distance(const char *name) {
    return strlen(name) <= 4 ? 1 : strlen(name) <= 8 ? 2 : 3;
}

/* "did you mean X?", "belongs in [Y]", or NULL. Returned text is the caller's. */
static int unknown_key_hint(const struct load *l, enum key_section section, const char *name, char **ret) {
    const struct key *nearest = NULL;
    unsigned best = likely_distance(name) + 1;

    for (size_t i = 0; i < ARRAY_SIZE(known_mistakes); i++)
        if (streq(name, known_mistakes[i].name)) {
            *ret = strdup(known_mistakes[i].hint);
            return *ret ? 0 : -ENOMEM;
        }
    for (size_t i = 0; i < n_keys; i++) {
        if (keys[i].flags & KEY_OLD_NAME)
            continue;
        enum key_section home = keys[i].sections & type_sections[l->u->type];
        if (streq(keys[i].name, name) && home) {
            *ret = strf("it belongs in [%s]", section_name(home & -home));
            return *ret ? 0 : -ENOMEM;
        }
        unsigned distance = strcasecmp(keys[i].name, name) == 0 ? 0 : edit_distance(keys[i].name, name);
        if ((home & section) && distance < best) {
            best = distance;
            nearest = &keys[i];
        }
    }
    if (nearest) {
        *ret = strf("did you mean %s=?", nearest->name);
        return *ret ? 0 : -ENOMEM;
    }
    *ret = NULL;
    return 0;
}

static int report_unknown_key(
    struct load *l, const char *file, unsigned line, enum key_section section, const char *name) {
    _cleanup_free_ char *hint = NULL;

    int r = unknown_key_hint(l, section, name, &hint);
    if (r < 0)
        return r;
    return load_problem(l, l->env && l->env->strict ? PROBLEM_ERROR : PROBLEM_WARNING, file, line,
        section_name(section), name, hint, "unknown key, ignored");
}

/* ---- assignment ---- */

/* Quadlet's scalars: one pair of double quotes around the whole value is not part of it. */
static char *unquote(const char *value) {
    size_t n = strlen(value);
    if (n >= 2 && value[0] == '"' && value[n - 1] == '"')
        return strndup(value + 1, n - 2);
    return strdup(value);
}

static bool is_host_command(const struct key *k) {
    return k->type == &value_commands;
}

/* Keys that have a place in the table but none in this unit. 1 if reported. */
static int refuse_misplaced(
    struct load *l, const char *file, unsigned line, const struct key *k, enum key_section section) {
    if (l->u->type == UNIT_CONTAINER && streq(k->name, "ExecStart"))
        return load_problem(l, PROBLEM_ERROR, file, line, section_name(section), k->name,
                   "write Exec= in [Container] for what runs inside, ExecStartPre= for a command on the host "
                   "before it",
                   "a .container has no ExecStart=")
                   ?: 1;
    if ((l->u->type == UNIT_VOLUME || l->u->type == UNIT_IMAGE) && is_host_command(k))
        return load_problem(l, PROBLEM_ERROR, file, line, section_name(section), k->name, NULL,
                   "a %s runs no commands", unit_type_suffix(l->u->type))
                   ?: 1;
    return 0;
}

int key_assign(struct load *l, const char *file, unsigned line, enum key_section section, const char *name,
    const char *value) {
    _cleanup_free_ char *unquoted = NULL;

    if (startswith(name, "X-"))
        return 0;
    const struct key *k = key_find(section, name);
    int r = k ? refuse_misplaced(l, file, line, k, section)
              : key_unsupported(l, file, line, section, name, value);
    if (r != 0)
        return MIN(r, 0);
    if (!k)
        return report_unknown_key(l, file, line, section, name);

    struct assignment a = {
        .load = l, .key = k, .file = file, .section = section_name(section), .value = value, .line = line};
    if (k->flags & KEY_UNQUOTE) {
        unquoted = unquote(value);
        if (!unquoted)
            return -ENOMEM;
        a.value = value = unquoted;
    }
    if (!*value && !(k->flags & KEY_EMPTY_COUNTS)) {
        l->is_set[k - keys] = false;
        return reset(l, k);
    }
    r = k->type->parse(&a, key_field(k, l->u), value);
    if (r == 0)
        l->is_set[k - keys] = true;
    return r == -ENOMEM ? r : 0;
}
