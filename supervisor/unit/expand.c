/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See expand.h. */
#include <fcntl.h>
#include <glob.h>

#include "base/fs.h"
#include "base/words.h"
#include "unit/expand.h"

#define ENVIRONMENT_FILE_MAX (1024u * 1024)

static bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Length of the variable name at the start of s, 0 if there is none. */
static size_t name_length(const char *s) {
    size_t n = 0;
    if (!is_name_start(*s))
        return 0;
    while (is_name_start(s[n]) || (s[n] >= '0' && s[n] <= '9'))
        n++;
    return n;
}

/* ---- EnvironmentFile= ---- */

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static bool is_newline(char c) {
    return c == '\n' || c == '\r';
}

/* "..." up to its closing quote: a backslash protects only " \ ` $ and joins lines. Returns what follows the
 * quote. */
static const char *take_double_quoted(const char *p, struct strbuf *value) {
    for (; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1]) {
            p++;
            if (*p == '\n')
                continue;
            if (!strchr("\"\\`$", *p))
                strbuf_putc(value, '\\');
        }
        strbuf_putc(value, *p);
    }
    return *p ? p + 1 : p;
}

static const char *take_single_quoted(const char *p, struct strbuf *value) {
    const char *end = strchrnul(p, '\'');
    strbuf_append(value, p, (size_t)(end - p));
    return *end ? end + 1 : end;
}

/* The value after '=' up to the end of its line. Quoted and bare pieces may follow each other; blanks at the
 * end of a bare piece are not part of it. Returns where the next line starts. */
static const char *take_value(const char *p, struct strbuf *value) {
    size_t keep = 0;

    while (is_blank(*p))
        p++;
    while (*p && !is_newline(*p)) {
        if (*p == '"') {
            p = take_double_quoted(p + 1, value);
            keep = value->length;
        } else if (*p == '\'') {
            p = take_single_quoted(p + 1, value);
            keep = value->length;
        } else if (*p == '\\' && p[1]) {
            if (p[1] != '\n') {
                strbuf_putc(value, p[1]);
                keep = value->length;
            }
            p += 2;
        } else {
            strbuf_putc(value, *p);
            if (!is_blank(*p))
                keep = value->length;
            p++;
        }
    }
    if (!strbuf_failed(value) && value->data)
        value->data[value->length = MIN(value->length, keep)] = '\0';
    return p;
}

/* A comment runs to the end of its line, which a backslash can move on. */
static const char *skip_comment(const char *p) {
    for (; *p && !is_newline(*p); p++)
        if (*p == '\\' && p[1])
            p++;
    return p;
}

static int take_assignment(const char **p, char ***env) {
    const char *line = *p, *equals = line + strcspn(line, "=\n\r");

    if (*equals != '=') {
        *p = equals;
        return 0;
    }
    size_t n = name_length(line), end = n;
    while (is_blank(line[end]))
        end++;

    _cleanup_strbuf_ struct strbuf value = {0};
    *p = take_value(equals + 1, &value);
    _cleanup_free_ char *text = strbuf_take(&value);
    if (!text)
        return -ENOMEM;
    /* A line whose left side is no variable name is passed over, as systemd does. */
    if (n == 0 || line + end != equals)
        return 0;
    _cleanup_free_ char *name = strndup(line, n);
    return name ? strv_env_set(env, name, text) : -ENOMEM;
}

static int load_one(const char *path, char ***env, struct error *e) {
    _cleanup_free_ char *text = NULL;
    size_t size;

    int r = file_read(AT_FDCWD, path, ENVIRONMENT_FILE_MAX, &text, &size);
    if (r < 0)
        return error_set_errno(e, r, "cannot read environment file %s", path);
    if (!utf8_is_valid(text, size))
        return error_set(e, EINVAL, "environment file %s: not UTF-8 text", path);

    const char *p = text;
    while (*p) {
        if (is_blank(*p) || is_newline(*p)) {
            p++;
        } else if (*p == '#' || *p == ';') {
            p = skip_comment(p);
        } else {
            r = take_assignment(&p, env);
            if (r < 0)
                return error_set_errno(e, r, "environment file %s", path);
        }
    }
    return 0;
}

int environment_file_load(const char *path, char ***env, struct error *e) {
    bool optional = *path == '-';
    if (optional)
        path++;

    if (!strpbrk(path, "*?[")) {
        struct error why = {0};
        int r = load_one(path, env, &why);
        if (r == -ENOENT && optional)
            return 0;
        if (r < 0 && e)
            *e = why;
        return r;
    }

    glob_t found = {0};
    int r = glob(path, 0, NULL, &found);
    if (r == GLOB_NOMATCH)
        r = optional ? 0 : error_set(e, ENOENT, "no environment file matches %s", path);
    else if (r != 0)
        r = error_set(e, r == GLOB_NOSPACE ? ENOMEM : EIO, "cannot look for environment files %s", path);
    for (size_t i = 0; r == 0 && i < found.gl_pathc; i++)
        r = load_one(found.gl_pathv[i], env, e);
    globfree(&found);
    return r;
}

/* ---- command lines ---- */

/* ${NAME} becomes its value ("" if unset), $$ becomes $; anything else stays as it is. */
static char *expand_word(const char *word, char *const *env) {
    _cleanup_strbuf_ struct strbuf b = {0};

    for (const char *p = word; *p; p++) {
        size_t n;
        if (*p != '$') {
            strbuf_putc(&b, *p);
        } else if (p[1] == '$') {
            strbuf_putc(&b, '$');
            p++;
        } else if (p[1] == '{' && (n = name_length(p + 2)) > 0 && p[2 + n] == '}') {
            _cleanup_free_ char *name = strndup(p + 2, n);
            if (!name)
                return NULL;
            strbuf_puts(&b, strv_env_get(env, name) ?: "");
            p += 2 + n;
        } else {
            strbuf_putc(&b, '$');
        }
    }
    return strbuf_take(&b);
}

/* $NAME as a word of its own: the value's words, none if it is unset or empty. */
static int expand_split(const char *name, char *const *env, char ***to) {
    const char *value = strv_env_get(env, name);
    if (isempty(value))
        return 0;
    _cleanup_strv_free_ char **words = NULL;
    int r = words_split(value, WORDS_UNQUOTE | WORDS_RELAX | WORDS_KEEP_BACKSLASH, &words);
    return r < 0 ? r : strv_extend(to, words);
}

int command_expand(char *const *argv, char *const *env, char ***ret) {
    _cleanup_strv_free_ char **words = NULL;
    int r = 0;

    STRV_FOREACH (word, argv) {
        const char *name = *word + 1;
        size_t n = **word == '$' ? name_length(name) : 0;
        if (n > 0 && name[n] == '\0')
            r = expand_split(name, env, &words);
        else
            r = strv_consume(&words, expand_word(*word, env));
        if (r < 0)
            return r;
    }
    if (!words) { /* callers get an array, if an empty one */
        words = calloc(1, sizeof(*words));
        if (!words)
            return -ENOMEM;
    }
    *ret = TAKE_PTR(words);
    return 0;
}
