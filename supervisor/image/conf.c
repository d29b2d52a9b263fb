/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "[Image]", then Key=value lines; comments begin with # or ;. An empty value resets. The names are those of
 * unit keys where there is one, and mean what the OCI image configuration means: Entrypoint and Cmd together
 * are the command.
 */
#include "image/conf.h"

#include "base/parse.h"
#include "base/words.h"

static int set_words(char ***list, const char *value) {
    char **words;
    int r = words_split(value, WORDS_UNQUOTE | WORDS_CUNESCAPE, &words);

    if (r < 0)
        return r;
    strv_free(*list);
    *list = words;
    return 0;
}

static int set_entrypoint(struct image *i, const char *value) {
    return set_words(&i->entrypoint, value);
}

static int set_cmd(struct image *i, const char *value) {
    return set_words(&i->cmd, value);
}

/* Repeatable; a later value of the same name wins. */
static int set_environment(struct image *i, const char *value) {
    _cleanup_strv_free_ char **words = NULL;
    int r = words_split(value, WORDS_UNQUOTE | WORDS_CUNESCAPE, &words);

    if (r < 0)
        return r;
    if (isempty(value)) {
        strv_free(TAKE_PTR(i->environment));
        return 0;
    }
    STRV_FOREACH (word, words) {
        char *equals = strchr(*word, '=');

        if (!equals || equals == *word)
            return -EINVAL;
        *equals = '\0';
        r = strv_env_set(&i->environment, *word, equals + 1);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_working_dir(struct image *i, const char *value) {
    if (*value && *value != '/')
        return -EINVAL;
    return free_and_strdup(&i->working_dir, *value ? value : NULL);
}

static int set_user(struct image *i, const char *value) {
    return free_and_strdup(&i->user, *value ? value : NULL);
}

static int set_stop_signal(struct image *i, const char *value) {
    if (!*value) {
        i->stop_signal = 0;
        return 0;
    }
    return parse_signal(value, &i->stop_signal);
}

static const struct {
    const char *key;
    int (*set)(struct image *i, const char *value);
    const char *form; /* for the message, when a value is refused */
} keys[] = {
    {"Entrypoint", set_entrypoint, "words, quoted where they contain blanks"},
    {"Cmd", set_cmd, "words, quoted where they contain blanks"},
    {"Environment", set_environment, "NAME=VALUE words"},
    {"WorkingDir", set_working_dir, "an absolute path"},
    {"User", set_user, "a name or number"},
    {"StopSignal", set_stop_signal, "a signal, such as SIGTERM"},
};

static int set_key(const char *key, const char *value, struct image *i, struct error *e) {
    for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
        int r;

        if (!streq(key, keys[k].key))
            continue;
        r = keys[k].set(i, value);
        if (r == -EINVAL || r == -ERANGE)
            return error_set(e, -r, "%s=%s: expected %s", key, value, keys[k].form);
        return r < 0 ? error_set_errno(e, r, "%s=", key) : 0;
    }
    return error_set(e, EINVAL, "unknown key \"%s\" in section [Image]", key);
}

/* One line that is neither empty nor a comment. */
static int parse_line(char *line, bool *in_section, bool *ours, struct image *i, struct error *e) {
    char *equals, *end;

    if (*line == '[') {
        end = strchr(line, ']');
        if (!end || end[1])
            return error_set(e, EINVAL, "\"%s\" is not a section header", line);
        *end = '\0';
        *in_section = true;
        *ours = streq(line + 1, "Image");
        return 0;
    }
    if (!*in_section)
        return error_set(e, EINVAL, "\"%s\" stands before the first section header", line);
    if (!*ours)
        return 0;
    equals = strchr(line, '=');
    if (!equals || equals == line)
        return error_set(e, EINVAL, "\"%s\" is not of the form Key=value", line);
    *equals = '\0';
    return set_key(strstrip(line), strstrip(equals + 1), i, e);
}

int image_conf_parse(const char *text, size_t size, struct image *i, struct error *e) {
    _cleanup_free_ char *copy = strndup(text, size);
    bool in_section = false, ours = false;
    char *rest, *line;
    unsigned number = 0;

    if (!copy)
        return error_set_errno(e, ENOMEM, "image.conf");
    if (strlen(copy) != size)
        return error_set(e, EINVAL, "a NUL byte is in the file");
    for (rest = copy; (line = strsep(&rest, "\n"));) {
        int r;

        number++;
        line = strstrip(line);
        if (!*line || *line == '#' || *line == ';')
            continue;
        r = parse_line(line, &in_section, &ours, i, e);
        if (r < 0)
            return error_prefix(e, r, "line %u", number);
    }
    return 0;
}
