/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The names of a layer's entries, and what their whiteout forms mean. */
#include <limits.h>

#include "base/fs.h"
#include "worker/unpack-internal.h"

void name_done(struct name *n) {
    free(n->path);
    *n = (struct name){};
}

/* Without "." and empty components. ret has room for text. */
static int normalise(const char *text, char *ret, struct error *e) {
    char *out = ret;

    while (*(text += strspn(text, "/"))) {
        size_t n = strcspn(text, "/");

        if (n == 2 && text[0] == '.' && text[1] == '.')
            return error_set(e, EINVAL, "\"..\" in its name leads out of the layer");
        if (n > NAME_MAX)
            return error_set(e, ENAMETOOLONG, "a component of its name has more than %d bytes", NAME_MAX);
        if (n != 1 || *text != '.') {
            if (out != ret)
                *out++ = '/';
            memcpy(out, text, n);
            out += n;
        }
        text += n;
    }
    *out = '\0';
    return 0;
}

/* A component with a whiteout's form above the last one: nothing below it can exist in any image. */
static bool in_whiteout(const char *path, const char *base) {
    for (const char *p = path; p < base; p += strcspn(p, "/") + 1)
        if (startswith(p, WHITEOUT_PREFIX))
            return true;
    return false;
}

int name_parse(const char *text, struct name *ret, struct error *e) {
    _cleanup_(name_done) struct name n = {.kind = NAME_ENTRY};
    size_t length = strlen(text);

    if (length > UNPACK_PATH_MAX)
        return error_set(e, ENAMETOOLONG, "its name has more than %d bytes", UNPACK_PATH_MAX);
    n.path = malloc(length + 1);
    if (!n.path)
        return error_set(e, ENOMEM, "out of memory");
    *n.path = '\0';
    int r = normalise(text, n.path, e);
    if (r < 0)
        return r;
    const char *slash = strrchr(n.path, '/');
    n.base = slash ? slash + 1 : n.path;

    const char *hidden = startswith(n.base, WHITEOUT_PREFIX);
    if (*n.path == '\0')
        n.kind = NAME_ROOT;
    else if (startswith(n.path, AUFS_LINKS "/") && n.base == n.path + sizeof(AUFS_LINKS))
        n.kind = NAME_AUFS_LINK;
    else if (startswith(n.path, AUFS_LINKS) ||
             (startswith(n.base, WHITEOUT_META) && !streq(n.base, WHITEOUT_OPAQUE)))
        n.kind = NAME_IGNORED;
    else if (in_whiteout(n.path, n.base))
        return error_set(e, EINVAL, "it lies below a whiteout");
    else if (streq(n.base, WHITEOUT_OPAQUE)) {
        n.kind = NAME_OPAQUE;
        n.path[slash ? slash - n.path : 0] = '\0';
        n.base = path_basename(n.path);
    } else if (hidden) {
        if (*hidden == '\0' || streq(hidden, ".") || streq(hidden, ".."))
            return error_set(e, EINVAL, "a whiteout of no name");
        n.kind = NAME_WHITEOUT;
        memmove(n.path + (n.base - n.path), hidden, strlen(hidden) + 1);
    }
    *ret = n;
    n = (struct name){};
    return 0;
}

#define PRINTABLE_CUT 240

void name_printable(const char *name, char ret[static NAME_PRINTABLE]) {
    const char *text = name ? name : "?";
    bool utf8 = utf8_is_valid(text, strlen(text));
    size_t out = 0;

    for (const char *p = text; *p && out < PRINTABLE_CUT; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < ' ' || c == 0x7f || (c >= 0x80 && !utf8))
            out += (size_t)snprintf(ret + out, 5, "\\x%02x", c);
        else
            ret[out++] = (char)c;
    }
    if (out >= PRINTABLE_CUT) {
        /* Not in the middle of a character. */
        while (utf8 && out > 0 && ((unsigned char)ret[out - 1] & 0xc0) == 0x80)
            out--;
        out -= utf8 && out > 0 && (unsigned char)ret[out - 1] >= 0xc0;
        out += (size_t)snprintf(ret + out, 4, "...");
    }
    ret[out] = '\0';
}
