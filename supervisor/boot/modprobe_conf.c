/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/modprobe_conf.h"

#include <fnmatch.h>

#include "base/str.h"
#include "boot/conf_files.h"
#include "boot/modules.h"
#include "init/cmdline.h"

static bool is_same(const char *a, const char *b) {
    char x[MODULE_NAME_MAX], y[MODULE_NAME_MAX];

    return module_name(a, x) >= 0 && module_name(b, y) >= 0 && streq(x, y);
}

int modprobe_conf_take(struct modprobe_conf *c, char *line) {
    char *rest = strstrip(line);
    const char *word = strsep(&rest, " \t");

    if (!rest)
        return 0;
    rest = strstrip(rest);
    if (streq(word, "options"))
        return strv_append(&c->options, rest);
    if (streq(word, "alias"))
        return strv_append(&c->aliases, rest);
    if (streq(word, "softdep"))
        return strv_append(&c->softdeps, rest);
    return streq(word, "blacklist") ? strv_append(&c->blacklist, rest) : 0;
}

int modprobe_conf_blacklist(struct modprobe_conf *c, const char *names) {
    _cleanup_free_ char *copy = strdup(names);
    int r = copy ? 0 : -ENOMEM;

    for (char *rest = copy, *name; r >= 0 && (name = strsep(&rest, ","));)
        if (*name)
            r = strv_append(&c->blacklist, name);
    return r;
}

bool modprobe_conf_forbids(const struct modprobe_conf *c, const char *name) {
    STRV_FOREACH (forbidden, c->blacklist)
        if (is_same(*forbidden, name))
            return true;
    return false;
}

char *modprobe_conf_options(const struct modprobe_conf *c, const char *name) {
    _cleanup_strbuf_ struct strbuf out = {};

    STRV_FOREACH (line, c->options) {
        char of[MODULE_NAME_MAX];
        size_t n = strcspn(*line, " \t");
        const char *parameters = *line + n + strspn(*line + n, " \t");
        if (n >= sizeof of || !*parameters)
            continue;
        memcpy(of, *line, n);
        of[n] = '\0';
        if (is_same(of, name))
            strbuf_printf(&out, "%s%s", out.length > 0 ? " " : "", parameters);
    }
    return out.length > 0 ? strbuf_take(&out) : strdup("");
}

/* "-" and "_" are the same but in a range, "[0-9]". */
static char *with_underscores(const char *s) {
    char *copy = strdup(s);
    bool in_range = false;

    for (char *c = copy; c && *c; c++) {
        in_range = *c == '[' || (in_range && *c != ']');
        *c = *c == '-' && !in_range ? '_' : *c;
    }
    return copy;
}

static bool matches(const char *pattern, const char *name) {
    _cleanup_free_ char *p = with_underscores(pattern), *n = with_underscores(name);

    return p && n && fnmatch(p, n, 0) == 0;
}

char *modprobe_conf_alias(const struct modprobe_conf *c, const char *name) {
    STRV_FOREACH (line, c->aliases) {
        _cleanup_free_ char *copy = strdup(*line);
        char *module = copy;
        const char *pattern = strsep(&module, " \t");
        if (pattern && module && matches(pattern, name))
            return strdup(strstrip(module));
    }
    return NULL;
}

int modprobe_conf_softdeps(const struct modprobe_conf *c, const char *name, bool post, char ***ret) {
    int r = 0;

    STRV_FOREACH (line, c->softdeps) {
        _cleanup_free_ char *copy = strdup(*line);
        char *rest = copy;
        const char *of = strsep(&rest, " \t");
        bool wanted = false;
        if (!of)
            return -ENOMEM;
        if (!is_same(of, name))
            continue;
        for (char *word; r >= 0 && (word = strsep(&rest, " \t"));) {
            if (streq(word, "pre:") || streq(word, "post:"))
                wanted = streq(word, "post:") == post;
            else if (*word && wanted)
                r = strv_append(ret, word);
        }
    }
    return r;
}

static void take_line(void *userdata, const char *file _unused_, unsigned line _unused_, char *text) {
    (void)modprobe_conf_take(userdata, text);
}

void modprobe_conf_read(struct modprobe_conf *c, const char *command_line) {
    struct word_reader w = {};

    (void)conf_files_read("", "modprobe", take_line, c);
    for (const char *p = command_line;; p++) {
        const char *names = word_reader_put(&w, *p) ? startswith(w.word, "modprobe.blacklist=") : NULL;
        if (names)
            (void)modprobe_conf_blacklist(c, names);
        if (!*p)
            break;
    }
}
