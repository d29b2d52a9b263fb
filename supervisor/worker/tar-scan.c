/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/tar-scan.h"

#include "base/parse.h"
#include "worker/unpack-internal.h"

void tar_scan_done(struct tar_scan *s) {
    free(s->path);
    free(s->extended);
    free(s->long_name);
    *s = TAR_SCAN_INIT;
}

/* ---- numbers ---- */

/* Octal digits with blanks around them, or GNU's base 256 for large ones. */
static int number(const char *field, size_t n, uint64_t *ret) {
    uint64_t value = 0;
    size_t i = 0;

    if ((unsigned char)field[0] == 0x80) {
        for (i = 1; i < n; i++) {
            if (value > UINT64_MAX >> 9)
                return -ERANGE;
            value = value << 8 | (unsigned char)field[i];
        }
        *ret = value;
        return 0;
    }
    while (i < n && field[i] == ' ')
        i++;
    for (; i < n && field[i] >= '0' && field[i] <= '7'; i++)
        value = value << 3 | (uint64_t)(field[i] - '0');
    for (; i < n; i++)
        if (field[i] != ' ' && field[i] != '\0')
            return -EINVAL;
    *ret = value;
    return 0;
}

static bool checksum_is_right(const char *block) {
    const struct ustar *h = (const void *)block;
    uint64_t sum = 0, expected;

    for (size_t i = 0; i < USTAR_BLOCK; i++) {
        bool own = i >= offsetof(struct ustar, checksum) &&
                   i < offsetof(struct ustar, checksum) + sizeof(h->checksum);
        sum += own ? ' ' : (unsigned char)block[i];
    }
    return number(h->checksum, sizeof(h->checksum), &expected) >= 0 && sum == expected;
}

static bool is_zero(const char *block) {
    for (size_t i = 0; i < USTAR_BLOCK; i++)
        if (block[i])
            return false;
    return true;
}

/* ---- what stands before a header ---- */

/* "LENGTH KEY=VALUE\n" after another; -EINVAL is doubt. */
static int read_pax(struct tar_scan *s) {
    char *p = s->extended, *end = p + s->n_extended;

    while (p < end) {
        char *blank = memchr(p, ' ', (size_t)(end - p)), *equals;
        uint64_t length;

        if (!blank)
            return -EINVAL;
        *blank = '\0';
        if (parse_uint(p, 1, (uint64_t)(end - p), &length) < 0)
            return -EINVAL;
        char *last = p + length - 1;
        equals = last > blank ? memchr(blank + 1, '=', (size_t)(last - blank - 1)) : NULL;
        if (!equals || *last != '\n')
            return -EINVAL;
        *equals = *last = '\0';
        const char *key = blank + 1, *value = equals + 1;
        if (strlen(value) != (size_t)(last - value))
            return -EINVAL;
        if (streq(key, "path")) {
            int r = free_and_strdup(&s->long_name, value);
            if (r < 0)
                return r;
        } else if (streq(key, "size")) {
            if (parse_uint(value, 0, INT64_MAX, &s->pax_size) < 0)
                return -EINVAL;
            s->has_pax_size = true;
        } else if (startswith(key, "GNU.sparse."))
            s->sparse = true;
        p += length;
    }
    return 0;
}

static int extended_is_whole(struct tar_scan *s) {
    int r = 0;

    if (s->extended_type == 'x')
        r = read_pax(s);
    else {
        s->extended[s->n_extended] = '\0';
        r = free_and_strdup(&s->long_name, s->extended);
    }
    free(TAKE_PTR(s->extended));
    s->n_extended = 0;
    return r;
}

static void forget_extended(struct tar_scan *s) {
    free(TAKE_PTR(s->long_name));
    s->has_pax_size = s->sparse = false;
}

/* ---- headers ---- */

static char *name_of(const struct tar_scan *s) {
    const struct ustar *h = (const void *)s->block;
    bool posix = memcmp(h->magic, "ustar", 6) == 0;

    if (s->long_name)
        return strdup(s->long_name);
    if (posix && h->prefix[0])
        return strf("%.*s/%.*s", (int)sizeof(h->prefix), h->prefix, (int)sizeof(h->name), h->name);
    return strndup(h->name, sizeof(h->name));
}

/* Content that can be found again in the tree: 1 and s->path; 0 if it cannot. */
static int content_is_file(struct tar_scan *s) {
    _cleanup_(name_done) struct name name = {};
    _cleanup_free_ char *text = name_of(s);

    if (!text)
        return -ENOMEM;
    int r = name_parse(text, &name, NULL);
    if (r == -ENOMEM)
        return r;
    if (r < 0 || name.kind != NAME_ENTRY || endswith(text, "/"))
        return 0;
    free(s->path);
    s->path = TAKE_PTR(name.path);
    return 1;
}

static uint64_t rounded(uint64_t n) {
    return (n + USTAR_BLOCK - 1) / USTAR_BLOCK * USTAR_BLOCK;
}

static void skip(struct tar_scan *s, uint64_t n) {
    s->left = n;
    s->state = n > 0 ? SCAN_SKIP : SCAN_HEADER;
}

static void rest(struct tar_scan *s) {
    s->state = SCAN_REST;
    s->doubt = true;
}

static int begin_extended(struct tar_scan *s, char type, uint64_t size) {
    if (size == 0 || size > TAR_EXTENDED_MAX) {
        rest(s);
        return 0;
    }
    free(s->extended);
    s->extended = malloc((size_t)size + 1);
    if (!s->extended)
        return -ENOMEM;
    s->n_extended = 0;
    s->extended_type = type;
    s->state = SCAN_EXTENDED;
    s->left = size;
    s->padding = rounded(size) - size;
    return 0;
}

static int begin_file(struct tar_scan *s, uint64_t size) {
    int r = size > 0 && !s->sparse ? content_is_file(s) : 0;

    if (r < 0)
        return r;
    if (r == 0) {
        skip(s, rounded(size));
        s->doubt |= size > 0;
    } else {
        s->state = SCAN_CONTENT;
        s->left = size;
        s->padding = rounded(size) - size;
    }
    forget_extended(s);
    return 0;
}

static int header_is_whole(struct tar_scan *s) {
    const struct ustar *h = (const void *)s->block;
    uint64_t size;

    s->filled = 0;
    if (is_zero(s->block))
        return 0;
    if (!checksum_is_right(s->block) || number(h->size, sizeof(h->size), &size) < 0 || size > INT64_MAX / 2) {
        rest(s);
        return 0;
    }
    switch (h->type) {
    case 'x':
    case 'L':
        return begin_extended(s, h->type, size);
    case 'K':
    case 'g':
        skip(s, rounded(size));
        return 0;
    case '0':
    case '\0':
    case '7':
        return begin_file(s, s->has_pax_size ? s->pax_size : size);
    case '2':
    case '3':
    case '4':
    case '5':
    case '6': /* whatever they say of a size, nothing follows */
        forget_extended(s);
        return 0;
    case '1':
        forget_extended(s);
        if (size > 0) /* whether the content follows depends on who wrote it */
            rest(s);
        return 0;
    default:
        rest(s); /* GNU's sparse files, dumps, volumes */
        return 0;
    }
}

/* ---- the stream ---- */

static ssize_t take_header(struct tar_scan *s, const char *data, size_t n) {
    size_t part = MIN(n, USTAR_BLOCK - s->filled);

    memcpy(s->block + s->filled, data, part);
    s->filled += part;
    int r = s->filled == USTAR_BLOCK ? header_is_whole(s) : 0;
    return r < 0 ? r : (ssize_t)part;
}

static ssize_t take_extended(struct tar_scan *s, const char *data, size_t n) {
    size_t part = (size_t)MIN((uint64_t)n, s->left);

    if (!s->extended) /* begin_extended() made it */
        return -EINVAL;
    memcpy(s->extended + s->n_extended, data, part);
    s->n_extended += part;
    s->left -= part;
    if (s->left > 0)
        return (ssize_t)part;
    skip(s, s->padding);
    int r = extended_is_whole(s);
    if (r == -EINVAL) {
        rest(s);
        r = 0;
    }
    return r < 0 ? r : (ssize_t)part;
}

ssize_t tar_scan_take(struct tar_scan *s, const void *data, size_t n) {
    const char *p = data;
    size_t taken = 0;

    while (taken < n && s->state != SCAN_CONTENT) {
        ssize_t part = (ssize_t)(n - taken);
        if (s->state == SCAN_HEADER)
            part = take_header(s, p + taken, n - taken);
        else if (s->state == SCAN_EXTENDED)
            part = take_extended(s, p + taken, n - taken);
        else if (s->state == SCAN_SKIP) {
            part = (ssize_t)MIN((uint64_t)(n - taken), s->left);
            skip(s, s->left - (uint64_t)part);
        }
        if (part < 0)
            return part;
        taken += (size_t)part;
    }
    return (ssize_t)taken;
}

void tar_scan_content(struct tar_scan *s, uint64_t n) {
    s->left -= n;
    if (s->left == 0)
        skip(s, s->padding);
}
