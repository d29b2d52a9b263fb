/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/modprobe_conf.h"

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
