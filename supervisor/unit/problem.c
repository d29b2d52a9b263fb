/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Problems found while reading unit files: kept with the unit, shown by `davit check` and `davit status`. */
#include "unit/unit.h"

/* A hostile or binary file must not fill the manager's memory with complaints about itself. */
#define PROBLEMS_MAX 100
#define PROBLEM_TEXT_MAX 400

static void problem_free(struct problem *p) {
    free(p->file);
    free(p->section);
    free(p->key);
    free(p->text);
    free(p->hint);
    free(p);
}
DEFINE_CLEANUP(struct problem *, problem_free)

void problems_free(struct problem *list) {
    while (list) {
        struct problem *next = list->next;
        problem_free(list);
        list = next;
    }
}

static int copy_optional(char **to, const char *from) {
    if (!from)
        return 0;
    /* Keys and sections can be as long as a line; nobody reads more than this of one. */
    *to = strndup(from, PROBLEM_TEXT_MAX);
    return *to ? 0 : -ENOMEM;
}

/* Text from a file goes to terminals: no control characters, no half UTF-8 sequence at the cut. */
static void make_printable(char *s) {
    if (!s)
        return;
    for (char *c = s; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    for (size_t n = strlen(s); n > 0 && !utf8_is_valid(s, n); n--)
        s[n - 1] = '\0';
}

int problem_add(struct problem **list, enum problem_level level, const char *file, unsigned line,
    const char *section, const char *key, const char *hint, const char *fmt, ...) {
    size_t count = 0;
    struct problem **end = list;
    for (; *end; end = &(*end)->next, count++)
        if (count == PROBLEMS_MAX) { /* the last one stands for all that follow */
            (*end)->level = MAX((*end)->level, level);
            return 0;
        }

    _cleanup_(problem_freep) struct problem *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->level = level;
    if (copy_optional(&p->file, file) < 0)
        return -ENOMEM;
    if (count == PROBLEMS_MAX) {
        p->text = strdup("further problems are not listed");
    } else {
        va_list ap;
        va_start(ap, fmt);
        char text[PROBLEM_TEXT_MAX];
        (void)vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        p->line = line;
        p->text = strdup(text);
        if (copy_optional(&p->section, section) < 0 || copy_optional(&p->key, key) < 0 ||
            copy_optional(&p->hint, hint) < 0)
            return -ENOMEM;
    }
    if (!p->text)
        return -ENOMEM;
    make_printable(p->section);
    make_printable(p->key);
    make_printable(p->text);
    make_printable(p->hint);
    *end = TAKE_PTR(p);
    return 0;
}

char *problem_format(const struct problem *p) {
    _cleanup_strbuf_ struct strbuf b = {0};

    if (p->file)
        strbuf_puts(&b, p->file);
    if (p->file && p->line > 0)
        strbuf_printf(&b, ":%u", p->line);
    if (p->file)
        strbuf_puts(&b, ": ");
    if (p->section)
        strbuf_printf(&b, "[%s]%s", p->section, p->key ? " " : ": ");
    if (p->key)
        strbuf_printf(&b, "%s=: ", p->key);
    strbuf_puts(&b, p->text);
    if (p->hint)
        strbuf_printf(&b, " (%s)", p->hint);
    return strbuf_take(&b);
}
