/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What units use: ROOT/uses/UNIT, two lines "current DIGEST" and "previous DIGEST". gc keeps both. */
#include <dirent.h>
#include <fcntl.h>

#include "base/fs.h"
#include "image/store.h"

#define USE_MAX 4096

static int use_path(const char *unit, char ret[static 5 + NAME_MAX + 1], struct error *e) {
    if (isempty(unit) || strchr(unit, '/') || *unit == '.' || *unit == '~' || strlen(unit) > NAME_MAX)
        return error_set(e, EINVAL, "\"%s\" is not the name of a unit", unit);
    (void)snprintf(ret, 5 + NAME_MAX + 1, "uses/%s", unit);
    return 0;
}

static void take_line(const char *line, size_t n, const char *word, char ret[static DIGEST_TEXT]) {
    const char *rest = startswith(line, word);
    char digest[DIGEST_TEXT];

    if (!rest || n != (size_t)(rest - line) + DIGEST_TEXT - 1)
        return;
    memcpy(digest, rest, DIGEST_TEXT - 1);
    digest[DIGEST_TEXT - 1] = '\0';
    if (digest_is_valid(digest))
        memcpy(ret, digest, DIGEST_TEXT);
}

int store_use_get(const struct store *s, const char *unit, struct store_use *ret, struct error *e) {
    char path[5 + NAME_MAX + 1];
    _cleanup_free_ char *text = NULL;
    struct store_use use = {};
    struct stat st;

    int r = use_path(unit, path, e);
    if (r < 0)
        return r;
    r = file_read(s->fd, path, USE_MAX, &text, NULL);
    if (r < 0 || fstatat(s->fd, path, &st, 0) < 0)
        return error_set_errno(e, r < 0 ? r : errno, "%s/%s", s->path, path);
    for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        size_t n = strcspn(p, "\n");
        take_line(p, n, "current ", use.current);
        take_line(p, n, "previous ", use.previous);
    }
    use.time = (usec_t)st.st_mtim.tv_sec * USEC_PER_SEC;
    *ret = use;
    return 0;
}

int store_use_set(const struct store *s, const char *unit, const char *manifest, struct error *e) {
    char path[5 + NAME_MAX + 1], text[2 * (DIGEST_TEXT + sizeof("previous "))];
    struct store_use old = {};

    int r = use_path(unit, path, e);
    if (r < 0)
        return r;
    r = store_use_get(s, unit, &old, NULL);
    if (r < 0 && r != -ENOENT)
        old = (struct store_use){};
    /* The usual start: nothing but the time changes. */
    if (streq(old.current, manifest) && utimensat(s->fd, path, NULL, 0) == 0)
        return 0;
    const char *previous = streq(old.current, manifest) ? old.previous : old.current;
    int n = snprintf(text, sizeof(text), "current %s\n%s%s%s", manifest, *previous ? "previous " : "",
        previous, *previous ? "\n" : "");
    r = file_write_atomic(s->fd, path, text, (size_t)n, 0600, false);
    return r < 0 ? error_set_errno(e, r, "writing %s/%s", s->path, path) : 0;
}

int store_use_remove(const struct store *s, const char *unit, struct error *e) {
    char path[5 + NAME_MAX + 1];

    int r = use_path(unit, path, e);
    if (r < 0)
        return r;
    if (unlinkat(s->fd, path, 0) < 0 && errno != ENOENT)
        return error_set_errno(e, errno, "removing %s/%s", s->path, path);
    return 0;
}

int store_use_list(const struct store *s, char ***ret, struct error *e) {
    _cleanup_strv_free_ char **l = NULL;
    int r = 0;

    int fd = openat(s->fd, "uses", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        r = error_set_errno(e, errno, "%s/uses", s->path);
        closep(&fd);
        return r;
    }
    for (const struct dirent *entry; r >= 0 && (entry = readdir(d));)
        if (*entry->d_name != '.' && *entry->d_name != '~')
            r = strv_append(&l, entry->d_name);
    (void)closedir(d);
    if (r < 0)
        return error_set(e, ENOMEM, "out of memory");
    *ret = TAKE_PTR(l);
    return 0;
}
