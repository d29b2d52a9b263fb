/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Value types around running a program: command lines, environments, exit statuses. */
#include "base/fs.h"
#include "base/parse.h"
#include "base/words.h"
#include "unit/key.h"

static int next_word(struct assignment *a, const char **p, char **ret) {
    int r = words_next(p, ret, NULL, WORDS_UNQUOTE | WORDS_CUNESCAPE);
    if (r == -EINVAL)
        return assignment_fail(a, "quotes must be closed; a literal backslash is written \\\\",
            "unknown escape or unbalanced quotes");
    return r;
}

/* ---- ExecStart= and its kin: [prefixes]program arguments [; another command] ---- */

static void command_done(struct exec_command *c) {
    free(c->path);
    strv_free(c->argv);
}

static void clear_commands(void *field) {
    struct exec_list *l = field;
    for (size_t i = 0; i < l->count; i++)
        command_done(&l->commands[i]);
    free(l->commands);
    *l = (struct exec_list){0};
}

static const struct {
    char prefix;
    uint32_t flag;
} command_prefixes[] = {
    {'-', EXEC_IGNORE_FAILURE},
    {'@', EXEC_ARGV0},
    {':', EXEC_NO_ENV_EXPAND},
    {'+', EXEC_FULLY_PRIVILEGED},
    {'!', EXEC_FULLY_PRIVILEGED},
};

/* Takes the prefix characters off a program's name. */
static const char *take_prefixes(const char *word, uint32_t *flags) {
    for (size_t i = 0; i < ARRAY_SIZE(command_prefixes);) {
        if (*word == command_prefixes[i].prefix) {
            *flags |= command_prefixes[i].flag;
            word++;
            i = 0;
        } else {
            i++;
        }
    }
    return word;
}

static int parse_program(struct assignment *a, const char *word, struct exec_command *c) {
    const char *program = take_prefixes(word, &c->flags);
    int r = assignment_expand(a, program, &c->path);
    if (r < 0)
        return r;
    if (!*c->path)
        return assignment_fail(a, NULL, "the program's name is missing");
    if (strchr(c->path, '/') && !path_is_absolute(c->path))
        return assignment_fail(a,
            "an absolute path, or a plain name to be looked for in the usual directories",
            "\"%s\" is a relative path", c->path);
    return 0;
}

/* ';' as a word of its own, unquoted, ends a command; "\;" is a semicolon. */
static bool at_lone(const char *p, const char *text) {
    const char *rest = startswith(p, text);
    return rest && (*rest == '\0' || strchr(" \t\r\n", *rest));
}

static int parse_argument(struct assignment *a, const char **p, char ***argv) {
    _cleanup_free_ char *word = NULL;
    char *expanded;

    int r = assignment_room(a, strv_length(*argv));
    if (r < 0)
        return r;
    if (at_lone(*p, "\\;")) {
        *p += 2;
        return strv_append(argv, ";") ?: 1;
    }
    r = next_word(a, p, &word);
    if (r <= 0)
        return r;
    r = assignment_expand(a, word, &expanded);
    if (r == 0)
        r = strv_consume(argv, expanded);
    return r < 0 ? r : 1;
}

/* One command. 1 and *c filled, 0 at the end of the text. */
static int parse_command(struct assignment *a, const char **p, struct exec_command *c) {
    _cleanup_free_ char *word = NULL;

    int r = next_word(a, p, &word);
    if (r <= 0)
        return r;
    r = parse_program(a, word, c);
    if (r == 0 && !(c->flags & EXEC_ARGV0))
        r = strv_append(&c->argv, c->path);
    while (r >= 0) {
        *p += strspn(*p, " \t\r\n");
        if (at_lone(*p, ";")) {
            (*p)++;
            break;
        }
        r = parse_argument(a, p, &c->argv);
        if (r == 0)
            break;
    }
    if (r >= 0 && !c->argv)
        return assignment_fail(
            a, "@ wants the name after the program: @/bin/sh -sh", "prefix @ without a name");
    return r < 0 ? r : 1;
}

static int parse_commands(struct assignment *a, void *field, const char *value) {
    struct exec_list *l = field;
    const char *p = value;
    int r;

    do {
        struct exec_command c = {0}, *room = NULL;
        p += strspn(p, " \t\r\n");
        r = assignment_room(a, l->count);
        if (r == 0)
            r = parse_command(a, &p, &c);
        if (r > 0) {
            room = ARRAY_APPEND(l->commands, l->count);
            if (!room)
                r = -ENOMEM;
        }
        if (r > 0)
            *room = c;
        else
            command_done(&c);
    } while (r > 0);
    return r;
}

static int show_commands(const struct key *k _unused_, const void *field, char ***values) {
    const struct exec_list *l = field;

    for (size_t i = 0; i < l->count; i++) {
        const struct exec_command *c = &l->commands[i];
        _cleanup_strbuf_ struct strbuf b = {0};

        if (c->flags & EXEC_IN_CONTAINER) /* another key's */
            continue;
        for (size_t f = 0; f < ARRAY_SIZE(command_prefixes) - 1; f++)
            if (c->flags & command_prefixes[f].flag)
                strbuf_putc(&b, command_prefixes[f].prefix);
        strbuf_puts(&b, c->path);
        STRV_FOREACH (word, c->argv + !(c->flags & EXEC_ARGV0)) {
            _cleanup_free_ char *quoted = streq(*word, ";") ? strdup("\\;") : words_quote(*word);
            if (!quoted)
                return -ENOMEM;
            strbuf_printf(&b, " %s", quoted);
        }
        int r = strv_consume(values, strbuf_take(&b));
        if (r < 0)
            return r;
    }
    return 0;
}

const struct value_type value_commands = {"command line", parse_commands, show_commands, clear_commands};

/* ---- Exec=: the arguments of the container's program ---- */

static int parse_command_line(struct assignment *a, void *field, const char *value) {
    _cleanup_strv_free_ char **argv = NULL;
    char ***list = field;
    const char *p = value;
    int r;

    do {
        p += strspn(p, " \t\r\n");
        r = parse_argument(a, &p, &argv);
    } while (r > 0);
    if (r < 0)
        return r;
    strv_free(*list);
    *list = TAKE_PTR(argv);
    return 0;
}

static int show_command_line(const struct key *k _unused_, const void *field, char ***values) {
    _cleanup_strbuf_ struct strbuf b = {0};
    char *const *argv = *(char **const *)field;

    if (!argv)
        return 0;
    STRV_FOREACH (word, argv) {
        _cleanup_free_ char *quoted = words_quote(*word);
        if (!quoted)
            return -ENOMEM;
        strbuf_printf(&b, "%s%s", word == argv ? "" : " ", quoted);
    }
    return strv_consume(values, strbuf_take(&b));
}

const struct value_type value_command_line = {
    "command line", parse_command_line, show_command_line, clear_strv};

/* ---- Entrypoint=: one word, or a JSON array of strings ---- */

/* A JSON string at *p. Only \uXXXX below the surrogates: nobody writes programs' names in emoji. */
static int take_json_string(const char **p, char **ret) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    _cleanup_strbuf_ struct strbuf b = {0};
    const char *s = *p + 1;

    for (; *s && *s != '"'; s++) {
        if (*s != '\\') {
            strbuf_putc(&b, *s);
            continue;
        }
        const char *name = *++s ? strchr(names, *s) : NULL;
        if (name) {
            strbuf_putc(&b, values[name - names]);
        } else {
            char *end, digits[5] = "";
            if (*s != 'u' || strspn(s + 1, "0123456789abcdefABCDEF") < 4)
                return -EINVAL;
            memcpy(digits, s + 1, 4);
            unsigned long c = strtoul(digits, &end, 16);
            if (c == 0 || c >= 0x80)
                return -EINVAL;
            strbuf_putc(&b, (char)c);
            s += 4;
        }
    }
    if (*s != '"')
        return -EINVAL;
    *p = s + 1;
    *ret = strbuf_take(&b);
    return *ret ? 0 : -ENOMEM;
}

static int parse_json_words(const char *p, char ***ret) {
    static const char blanks[] = " \t\r\n";
    _cleanup_strv_free_ char **words = NULL;

    p++; /* the bracket */
    p += strspn(p, blanks);
    while (*p != ']') {
        char *word;
        if (*p != '"')
            return -EINVAL;
        int r = take_json_string(&p, &word);
        if (r == 0)
            r = strv_consume(&words, word);
        if (r < 0)
            return r;
        p += strspn(p, blanks);
        if (*p == ',') {
            p++;
            p += strspn(p, blanks);
            if (*p == ']')
                return -EINVAL;
        } else if (*p != ']')
            return -EINVAL;
    }
    p++;
    if (p[strspn(p, blanks)] != '\0')
        return -EINVAL;
    *ret = TAKE_PTR(words);
    return 0;
}

static int parse_entrypoint(struct assignment *a, void *field, const char *value) {
    struct container_section *c = container_of(field, struct container_section, entrypoint);
    _cleanup_strv_free_ char **words = NULL;
    _cleanup_free_ char *text = NULL;

    int r = assignment_expand(a, value, &text);
    if (r < 0)
        return r;
    if (*text == '[')
        r = parse_json_words(text, &words);
    else if (*text)
        r = strv_append(&words, text);
    if (r == -EINVAL)
        return assignment_fail(a, "write [\"program\", \"argument\"]", "bad JSON array");
    if (r == 0 && *text != '[' && strpbrk(text, " \t"))
        r = assignment_warn(a, "several words are written as [\"program\", \"argument\"]",
            "\"%s\" is one program name with blanks in it", text);
    if (r < 0)
        return r;
    strv_free(c->entrypoint);
    c->entrypoint = TAKE_PTR(words);
    c->entrypoint_set = true;
    return 0;
}

static void clear_entrypoint(void *field) {
    struct container_section *c = container_of((char ***)field, struct container_section, entrypoint);
    clear_strv(&c->entrypoint);
    c->entrypoint_set = false;
}

const struct value_type value_entrypoint = {
    "program, or JSON array of words", parse_entrypoint, show_command_line, clear_entrypoint};

/* ---- Environment= ---- */

static bool is_variable_name(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!(s[i] == '_' || (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
                (i > 0 && s[i] >= '0' && s[i] <= '9')))
            return false;
    return n > 0;
}

/* NAME alone takes the place of an earlier NAME=value. */
static int set_name_only(char ***env, const char *name) {
    int r = strv_env_set(env, name, "");
    STRV_FOREACH (entry, *env) {
        const char *rest = startswith(*entry, name);
        if (r == 0 && rest && *rest == '=')
            (*entry)[rest - *entry] = '\0';
    }
    return r;
}

/* A name without '=' becomes an assignment: strv_env_set() would not find it. */
static int remove_name_only(char ***env, const char *name) {
    strv_remove(*env, name);
    return 0;
}

static int add_variable(struct assignment *a, char ***env, char *word, bool name_alone) {
    char *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) : strlen(word);

    if (!equals && !name_alone)
        return assignment_fail(a,
            "write NAME=value, with quotes around all of it if there are blanks in the value",
            "\"%s\" is not an assignment", word);
    /* A container's program may want names such as "app.port"; systemd's rule is for host processes. */
    if (n == 0 || (!name_alone && !is_variable_name(word, n)))
        return assignment_fail(a, NULL, "\"%.*s\" is not the name of a variable", (int)MIN(n, 100u), word);
    if (equals)
        *equals = '\0';
    int r = remove_name_only(env, word);
    if (r < 0)
        return r;
    return equals ? strv_env_set(env, word, equals + 1) : set_name_only(env, word);
}

static int parse_variables(struct assignment *a, char ***env, const char *value, bool name_alone) {
    const char *p = value;

    for (;;) {
        _cleanup_free_ char *word = NULL, *text = NULL;
        int r = next_word(a, &p, &word);
        if (r <= 0)
            return r;
        r = assignment_room(a, strv_length(*env));
        if (r == 0)
            r = assignment_expand(a, word, &text);
        if (r == 0)
            r = add_variable(a, env, text, name_alone);
        if (r < 0)
            return r;
    }
}

static int parse_environment(struct assignment *a, void *field, const char *value) {
    return parse_variables(a, field, value, false);
}

static int parse_container_environment(struct assignment *a, void *field, const char *value) {
    return parse_variables(a, field, value, true);
}

const struct value_type value_environment = {"NAME=value words", parse_environment, show_strv, clear_strv};
const struct value_type value_container_environment = {
    "NAME=value words", parse_container_environment, show_strv, clear_strv};

/* [-]PATH; relative ones, which only Quadlet's sections allow, count from the unit file. */
static int append_environment_file(struct assignment *a, char ***files, const char *text, bool relative) {
    const char *optional = *text == '-' ? "-" : "";
    _cleanup_free_ char *expanded = NULL, *path = NULL;

    int r = assignment_expand(a, text + strlen(optional), &expanded);
    if (r < 0)
        return r;
    if (!path_is_absolute(expanded) && !relative)
        return assignment_fail(a, "it has to start with /", "\"%s\" is not an absolute path", expanded);
    r = assignment_room(a, strv_length(*files));
    if (r == 0)
        r = assignment_absolute_path(a, expanded, &path);
    return r < 0 ? r : strv_consume(files, strf("%s%s", optional, path));
}

static int parse_environment_file(struct assignment *a, void *field, const char *value) {
    return append_environment_file(a, field, value, false);
}

static int parse_environment_files(struct assignment *a, void *field, const char *value) {
    const char *p = value;

    for (;;) {
        _cleanup_free_ char *word = NULL;
        int r = next_word(a, &p, &word);
        if (r > 0)
            r = append_environment_file(a, field, word, true) ?: 1;
        if (r <= 0)
            return r;
    }
}

const struct value_type value_environment_file = {"path", parse_environment_file, show_strv, clear_strv};
const struct value_type value_environment_files = {"paths", parse_environment_files, show_strv, clear_strv};

/* ---- SuccessExitStatus= and its kin ---- */

static int parse_exit_set(struct assignment *a, void *field, const char *value) {
    struct exit_set set = *(struct exit_set *)field;
    const char *p = value;

    for (;;) {
        _cleanup_free_ char *word = NULL;
        uint8_t status;
        int number;
        int r = next_word(a, &p, &word);
        if (r < 0)
            return r;
        if (r == 0)
            break;
        /* a number is an exit status, never a signal (systemd.service(5)) */
        if (parse_exit_status(word, &status) == 0)
            set.status[status / 32] |= 1u << (status % 32);
        else if (parse_signal(word, &number) == 0 && number <= 64 && !(*word >= '0' && *word <= '9'))
            set.signals |= 1ULL << (number - 1);
        else
            return assignment_fail(a,
                "a number from 0 to 255, a name such as TEMPFAIL, or a signal such as SIGKILL",
                "\"%s\" is neither an exit status nor a signal", word);
    }
    *(struct exit_set *)field = set;
    return 0;
}

static int show_exit_set(const struct key *k _unused_, const void *field, char ***values) {
    const struct exit_set *s = field;
    char buffer[16];
    int r = 0;

    for (int i = 0; r == 0 && i < 256; i++)
        if (exit_set_has_status(s, i))
            r = strv_consume(values, strf("%d", i));
    for (int i = 1; r == 0 && i <= 64; i++)
        if (exit_set_has_signal(s, i))
            r = strv_append(values, signal_name(i, buffer));
    return r;
}

static void clear_exit_set(void *field) {
    *(struct exit_set *)field = (struct exit_set){0};
}

const struct value_type value_exit_set = {
    "exit statuses and signals", parse_exit_set, show_exit_set, clear_exit_set};
