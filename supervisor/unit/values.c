/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Value types that know nothing of containers: strings, lists, numbers, times, names of units. */
#include "base/fs.h"
#include "base/parse.h"
#include "base/words.h"
#include "unit/key.h"
#include "unit/name.h"

/* ---- shared pieces ---- */

int value_replace(char **field, char *taken) {
    if (!taken)
        return -ENOMEM;
    free(*field);
    *field = taken;
    return 0;
}

void clear_string(void *field) {
    char **s = field;
    free(*s);
    *s = NULL;
}

void clear_strv(void *field) {
    char ***l = field;
    strv_free(*l);
    *l = NULL;
}

void clear_zero32(void *field) {
    *(uint32_t *)field = 0;
}

int show_strv(const struct key *k _unused_, const void *field, char ***values) {
    return strv_extend(values, *(char **const *)field);
}

void *array_grow(void *array, size_t *n, size_t size) {
    char *grown = reallocarray(array, *n + 1, size);
    if (!grown)
        return NULL;
    memset(grown + *n * size, 0, size);
    (*n)++;
    return grown;
}

static int check_one(struct assignment *a, const char *value) {
    return a->key->check ? a->key->check(a, value) : 0;
}

/* ---- strings and paths ---- */

static int parse_string(struct assignment *a, void *field, const char *value) {
    _cleanup_free_ char *text = NULL;
    int r = assignment_expand(a, value, &text);
    if (r == 0)
        r = check_one(a, text);
    return r < 0 ? r : value_replace(field, TAKE_PTR(text));
}

static int parse_path(struct assignment *a, void *field, const char *value) {
    _cleanup_free_ char *text = NULL;
    int r = assignment_expand(a, value, &text);
    if (r < 0)
        return r;
    if (!path_is_absolute(text))
        return assignment_fail(a, "it has to start with /", "\"%s\" is not an absolute path", text);
    path_simplify(text);
    if (!path_is_normalized(text))
        return assignment_fail(a, NULL, "path \"%s\" has \"..\" in it or is too long", text);
    r = check_one(a, text);
    return r < 0 ? r : value_replace(field, TAKE_PTR(text));
}

static int show_string(const struct key *k _unused_, const void *field, char ***values) {
    const char *s = *(char *const *)field;
    return s ? strv_append(values, s) : 0;
}

const struct value_type value_string = {"text", parse_string, show_string, clear_string};
const struct value_type value_path = {"path", parse_path, show_string, clear_string};

/* ---- booleans and numbers ---- */

static int parse_yes_no(struct assignment *a, void *field, const char *value) {
    if (parse_boolean(value, field) < 0)
        return assignment_fail(a, "write yes or no", "\"%s\" is neither yes nor no", value);
    return 0;
}

static int show_boolean(const struct key *k _unused_, const void *field, char ***values) {
    return strv_append(values, *(const bool *)field ? "yes" : "no");
}

static void clear_boolean(void *field) {
    *(bool *)field = false;
}

const struct value_type value_boolean = {"yes or no", parse_yes_no, show_boolean, clear_boolean};

static int parse_unsigned(struct assignment *a, void *field, const char *value) {
    uint64_t n;
    if (parse_uint(value, 0, UINT32_MAX, &n) < 0)
        return assignment_fail(a, NULL, "\"%s\" is not a whole number from 0 to 4294967295", value);
    *(unsigned *)field = (unsigned)n;
    return 0;
}

static int show_unsigned(const struct key *k _unused_, const void *field, char ***values) {
    return strv_consume(values, strf("%u", *(const unsigned *)field));
}

const struct value_type value_unsigned = {"number", parse_unsigned, show_unsigned, clear_zero32};

static int parse_id_number(struct assignment *a, void *field, const char *value) {
    if (parse_id(value, field) < 0)
        return assignment_fail(a, NULL, "\"%s\" is not a number from 0 to 4294967294", value);
    return 0;
}

static int show_id(const struct key *k, const void *field, char ***values) {
    return *(const uint32_t *)field == UINT32_MAX ? 0 : show_unsigned(k, field, values);
}

static void clear_id(void *field) {
    *(uint32_t *)field = UINT32_MAX;
}

const struct value_type value_id = {"user or group number", parse_id_number, show_id, clear_id};

static int parse_status_number(struct assignment *a, void *field, const char *value) {
    uint64_t n;
    if (parse_uint(value, 0, 255, &n) < 0)
        return assignment_fail(a, NULL, "\"%s\" is not an exit status from 0 to 255", value);
    *(int *)field = (int)n;
    return 0;
}

static int show_exit_status(const struct key *k, const void *field, char ***values) {
    return *(const int *)field < 0 ? 0 : show_unsigned(k, field, values);
}

static void clear_exit_status(void *field) {
    *(int *)field = -1;
}

const struct value_type value_exit_status = {
    "exit status", parse_status_number, show_exit_status, clear_exit_status};

static int parse_signal_name(struct assignment *a, void *field, const char *value) {
    int n;
    if (parse_signal(value, &n) < 0)
        return assignment_fail(a, "a name such as SIGTERM, or a number", "\"%s\" is not a signal", value);
    *(int *)field = n;
    return 0;
}

static int show_signal(const struct key *k _unused_, const void *field, char ***values) {
    char buffer[16];
    int n = *(const int *)field;
    return n > 0 ? strv_append(values, signal_name(n, buffer)) : 0;
}

const struct value_type value_signal = {"signal", parse_signal_name, show_signal, clear_zero32};

/* ---- time spans ---- */

static int parse_time(struct assignment *a, void *field, const char *value) {
    usec_t t;
    if (timespan_parse(value, &t) < 0)
        return assignment_fail(
            a, "seconds, or a span such as 500ms, 1min 30s, infinity", "\"%s\" is not a time span", value);
    *(usec_t *)field = t == 0 && (a->key->flags & KEY_ZERO_IS_INFINITY) ? USEC_INFINITY : t;
    return 0;
}

static int show_time(const struct key *k _unused_, const void *field, char ***values) {
    char buffer[TIMESPAN_MAX];
    return strv_append(values, timespan_format(*(const usec_t *)field, 1, buffer));
}

static void clear_time(void *field) {
    *(usec_t *)field = 0;
}

const struct value_type value_time = {"time span", parse_time, show_time, clear_time};

/* TimeoutSec=: sets the start's and the stop's. */
static int parse_timeout_both(struct assignment *a, void *field, const char *value) {
    struct service_section *s = container_of((usec_t *)field, struct service_section, timeout_start);
    int r = parse_time(a, &s->timeout_start, value);
    if (r == 0)
        s->timeout_stop = s->timeout_start;
    return r;
}

/* Nothing: the fields belong to the other two keys. */
static void clear_nothing(void *field _unused_) {}

const struct value_type value_timeout_both = {"time span", parse_timeout_both, show_time, clear_nothing};

/* ---- one of a few words ---- */

/* Enums are stored through int: the table's offset says where, its choices what. */
_Static_assert(sizeof(enum restart_mode) == sizeof(int), "enums are not the size of int");

static int fail_choice(struct assignment *a, const char *value) {
    _cleanup_free_ char *all = strv_join((char *const *)a->key->choices, ", ");
    _cleanup_free_ char *hint = all ? strf("one of: %s", all) : NULL;
    return hint ? assignment_fail(a, hint, "\"%s\" is not a value of this key", value) : -ENOMEM;
}

static int parse_choice(struct assignment *a, void *field, const char *value) {
    for (int i = 0; a->key->choices[i]; i++)
        if (streq(value, a->key->choices[i])) {
            *(int *)field = i;
            return 0;
        }
    return fail_choice(a, value);
}

static int show_choice(const struct key *k, const void *field, char ***values) {
    return strv_append(values, k->choices[*(const int *)field]);
}

const struct value_type value_choice = {"word", parse_choice, show_choice, clear_zero32};

/* Docker's word, in many a Quadlet file; systemd passes over it, and so the unit loads here as well. */
static int parse_restart(struct assignment *a, void *field, const char *value) {
    if (streq(value, "unless-stopped"))
        return assignment_warn(a, "write Restart=always: an explicit stop is never undone by a restart",
            "\"unless-stopped\" is docker's word and is ignored");
    if (strncmp(value, "on-failure:", strlen("on-failure:")) == 0)
        return assignment_fail(a, "write Restart=on-failure, and StartLimitBurst= in [Unit] for the number",
            "\"%s\" is docker's syntax", value);
    return parse_choice(a, field, value);
}

const struct value_type value_restart = {"word", parse_restart, show_choice, clear_zero32};

/* Types of systemd that are not in enum service_type: what to say instead. */
static const struct {
    const char *name, *hint;
} foreign_service_types[] = {
    {"forking", "run the program in the foreground and use Type=exec or Type=notify"},
    {"dbus", "davit has no bus: use Type=notify or Type=exec"},
};

static int parse_service_type(struct assignment *a, void *field, const char *value) {
    for (size_t i = 0; i < ARRAY_SIZE(foreign_service_types); i++)
        if (streq(value, foreign_service_types[i].name))
            return assignment_fail(a, foreign_service_types[i].hint, "Type=%s is not supported", value);
    if (streq(value, "idle")) {
        *(int *)field = SERVICE_SIMPLE;
        return 0;
    }
    return parse_choice(a, field, value);
}

const struct value_type value_service_type = {"word", parse_service_type, show_choice, clear_zero32};

/* ---- lists ---- */

/* Expands and checks each word and adds it to the list, all of them or none. */
static int append_words(struct assignment *a, char ***list, const char *value, enum words_flags flags) {
    _cleanup_strv_free_ char **words = NULL, **expanded = NULL;

    int r = assignment_words(a, value, flags, &words);
    if (r < 0)
        return r;
    if (strv_length(*list) > 0) {
        r = assignment_room(a, strv_length(*list) + strv_length(words));
        if (r < 0)
            return r;
    }
    STRV_FOREACH (word, words) {
        char *text;
        r = assignment_expand(a, *word, &text);
        if (r == 0)
            r = strv_consume(&expanded, text);
        if (r < 0)
            return r;
    }
    STRV_FOREACH (word, expanded) {
        r = check_one(a, *word);
        if (r < 0)
            return r;
    }
    return strv_extend(list, expanded);
}

/* Quadlet's "word list": quotes group, a backslash is a backslash. */
static int parse_words(struct assignment *a, void *field, const char *value) {
    return append_words(a, field, value, WORDS_UNQUOTE | WORDS_KEEP_BACKSLASH);
}

/* One value a line, neither split nor unquoted. */
static int parse_line(struct assignment *a, void *field, const char *value) {
    _cleanup_free_ char *text = NULL;
    int r = assignment_expand(a, value, &text);
    if (r == 0)
        r = check_one(a, text);
    if (r == 0)
        r = assignment_room(a, strv_length(*(char ***)field));
    return r < 0 ? r : strv_consume(field, TAKE_PTR(text));
}

/* NAME=VALUE words into a map: the last one of a name wins. */
static int parse_pairs(struct assignment *a, void *field, const char *value) {
    _cleanup_strv_free_ char **words = NULL;
    int r = append_words(a, &words, value, WORDS_UNQUOTE | WORDS_CUNESCAPE);
    if (r < 0)
        return r;

    r = assignment_room(a, strv_length(*(char ***)field) + strv_length(words));
    if (r < 0)
        return r;
    STRV_FOREACH (word, words) {
        char *equals = strchr(*word, '=');
        if (equals == *word)
            return assignment_fail(a, "write name=value", "\"%s\" has no name", *word);
        if (equals)
            *equals = '\0';
        r = strv_env_set(field, *word, equals ? equals + 1 : "");
        if (r < 0)
            return r;
    }
    return 0;
}

const struct value_type value_words = {"words", parse_words, show_strv, clear_strv};
const struct value_type value_lines = {"text, one a line", parse_line, show_strv, clear_strv};
const struct value_type value_pairs = {"name=value words", parse_pairs, show_strv, clear_strv};

/* ---- names of units ---- */

static int append_dependency(struct assignment *a, char ***list, const char *name) {
    _cleanup_free_ char *full = NULL;

    if (!name_is_valid_dependency(name)) {
        full = strf("%s.service", name);
        if (!full)
            return -ENOMEM;
        if (!unit_name_is_valid(full))
            return assignment_fail(
                a, "a name with its type: db.container", "\"%s\" is not a unit name", name);
        int r = assignment_warn(
            a, "write the type: db.container, network.target", "\"%s\" is taken as %s", name, full);
        if (r < 0)
            return r;
    }
    if (name_is_template(full ?: name))
        return assignment_fail(a, "write name@instance.type", "\"%s\" is a template, not a unit", name);
    if (strv_contains(*list, full ?: name))
        return 0;
    return assignment_room(a, strv_length(*list)) ?: strv_append(list, full ?: name);
}

/* Never reset by an empty assignment (systemd.unit(5)): that comes as a value here, to be told. */
static int parse_dependencies(struct assignment *a, void *field, const char *value) {
    _cleanup_strv_free_ char **names = NULL;

    if (!*value)
        return assignment_warn(
            a, "override the whole file instead", "dependencies cannot be taken back, ignored");
    int r = append_words(a, &names, value, WORDS_UNQUOTE | WORDS_KEEP_BACKSLASH);
    STRV_FOREACH (name, names) {
        if (r < 0)
            break;
        r = append_dependency(a, field, *name);
    }
    return r;
}

const struct value_type value_dependencies = {"unit names", parse_dependencies, show_strv, clear_strv};
