/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/words.h"

#define BLANKS " \t\n\r"

static bool is_separator(char c, const char *separators) {
    return c != '\0' && strchr(separators, c);
}

static int digit_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Reads exactly n digits of the base. */
static int read_digits(const char *s, unsigned n, unsigned base, uint32_t *ret) {
    uint32_t value = 0;
    for (unsigned i = 0; i < n; i++) {
        int digit = digit_value(s[i]);
        if (digit < 0 || (unsigned)digit >= base)
            return -EINVAL;
        value = value * base + (unsigned)digit;
    }
    *ret = value;
    return 0;
}

/* Appends a Unicode character as UTF-8. */
static int put_character(struct strbuf *out, uint32_t c) {
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return -EINVAL;
    if (c < 0x80) {
        strbuf_putc(out, (char)c);
        return 0;
    }

    unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xC0, 0xE0, 0xF0};
    strbuf_putc(out, (char)(lead[more] | c >> (6 * more)));
    while (more-- > 0)
        strbuf_putc(out, (char)(0x80 | (c >> (6 * more) & 0x3F)));
    return 0;
}

/* Decodes the escape whose character after the backslash is *s, and appends it. Returns the number of
 * characters that it took, or -EINVAL with nothing appended. \xHH and \NNN are bytes, as in C; \u and \U are
 * characters. */
static int unescape(const char *s, struct strbuf *out) {
    static const char names[] = "abfnrtv\\\"'s", values[] = "\a\b\f\n\r\t\v\\\"' ";
    static const struct {
        char name;
        unsigned digits, base;
    } numbers[] = {{'x', 2, 16}, {'u', 4, 16}, {'U', 8, 16}};
    uint32_t value;

    const char *name = *s ? strchr(names, *s) : NULL;
    if (name) {
        strbuf_putc(out, values[name - names]);
        return 1;
    }

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (*s != numbers[i].name)
            continue;
        if (read_digits(s + 1, numbers[i].digits, numbers[i].base, &value) < 0 || value == 0)
            return -EINVAL;
        if (*s == 'x')
            strbuf_putc(out, (char)value);
        else if (put_character(out, value) < 0)
            return -EINVAL;
        return 1 + (int)numbers[i].digits;
    }

    if (read_digits(s, 3, 8, &value) < 0 || value == 0 || value > UINT8_MAX)
        return -EINVAL;
    strbuf_putc(out, (char)value);
    return 3;
}

/* Takes the backslash at **p and what belongs to it. */
static int take_backslash(const char **p, bool quoted, enum words_flags flags, struct strbuf *out) {
    const char *s = *p + 1;

    if (*s == '\0') {
        *p = s;
        if ((flags & WORDS_CUNESCAPE_RELAX) && (!quoted || (flags & WORDS_RELAX))) {
            strbuf_putc(out, '\\');
            return 0;
        }
        return flags & WORDS_RELAX ? 0 : -EINVAL;
    }

    if (flags & (WORDS_CUNESCAPE | WORDS_CUNESCAPE_RELAX)) {
        int n = unescape(s, out);
        if (n > 0) {
            *p = s + n;
            return 0;
        }
        if (!(flags & WORDS_CUNESCAPE_RELAX))
            return -EINVAL;
        strbuf_putc(out, '\\');
    }

    /* Unknown and kept, or no escapes wanted: then a backslash only takes the meaning from the next
     * character. */
    strbuf_putc(out, *s);
    *p = s + 1;
    return 0;
}

/* Takes characters up to the separator or the end behind the word. */
static int take_word(const char **p, const char *separators, enum words_flags flags, struct strbuf *out) {
    char quote = '\0';

    while (**p && (quote || !is_separator(**p, separators))) {
        if (**p == '\\' && !(flags & WORDS_KEEP_BACKSLASH)) {
            int r = take_backslash(p, quote != '\0', flags, out);
            if (r < 0)
                return r;
            continue;
        }

        if (quote && **p == quote)
            quote = '\0';
        else if (!quote && (flags & WORDS_UNQUOTE) && (**p == '"' || **p == '\''))
            quote = **p;
        else
            strbuf_putc(out, **p);
        (*p)++;
    }
    return quote && !(flags & WORDS_RELAX) ? -EINVAL : 0;
}

int words_next(const char **p, char **ret, const char *separators, enum words_flags flags) {
    _cleanup_strbuf_ struct strbuf word = {};
    const char *s = *p;

    if (!s)
        return 0;
    if (!separators)
        separators = BLANKS;

    while (is_separator(*s, separators))
        s++;
    if (*s == '\0') {
        *p = s;
        return 0;
    }

    int r = take_word(&s, separators, flags, &word);
    if (r < 0)
        return r;
    while (is_separator(*s, separators))
        s++;

    char *text = strbuf_take(&word);
    if (!text)
        return -ENOMEM;
    *ret = text;
    *p = s;
    return 1;
}

int words_split(const char *s, enum words_flags flags, char ***ret) {
    _cleanup_strv_free_ char **words = NULL;

    for (;;) {
        char *word;
        int r = words_next(&s, &word, NULL, flags);
        if (r < 0)
            return r;
        if (r == 0)
            break;
        r = strv_consume(&words, word);
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(words);
    return 0;
}

char *words_quote(const char *s) {
    static const char names[] = "abfnrtv\\\"", values[] = "\a\b\f\n\r\t\v\\\"";
    _cleanup_strbuf_ struct strbuf out = {};
    /* Bytes that are no text must not reach a terminal as they are. */
    bool text = utf8_is_valid(s, strlen(s)), plain = *s != '\0';

    strbuf_putc(&out, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        const char *value = strchr(values, c);
        if (value)
            strbuf_printf(&out, "\\%c", names[value - values]);
        else if (c < 0x20 || c == 0x7F || (c >= 0x80 && !text))
            strbuf_printf(&out, "\\x%02x", c);
        else {
            strbuf_putc(&out, *s);
            plain &= c != ' ' && c != '\'';
            continue;
        }
        plain = false;
    }
    strbuf_putc(&out, '"');

    char *quoted = strbuf_take(&out);
    if (!quoted || !plain)
        return quoted;
    size_t n = strlen(quoted) - 2;
    memmove(quoted, quoted + 1, n);
    quoted[n] = '\0';
    return quoted;
}
