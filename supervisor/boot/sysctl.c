/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/sysctl.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/log.h"
#include "boot/boot.h"
#include "boot/conf_files.h"

#define ROOT "/proc/sys"
#define WILDCARDS "*?["

DEFINE_CLEANUP(DIR *, closedir)

void sysctl_list_done(struct sysctl_list *l) {
    for (size_t i = 0; i < l->count; i++) {
        free(l->settings[i].path);
        free(l->settings[i].value);
    }
    free(l->settings);
    *l = (struct sysctl_list){};
}

char *sysctl_normalize(char *key) {
    size_t first = strcspn(key, "./");

    if (key[first] != '.')
        return key;
    for (char *p = key; *p; p++)
        if (*p == '.' || *p == '/')
            *p = *p == '.' ? '/' : '.';
    return key;
}

/* The last line for a key counts, at the place of that line. */
static void forget(struct sysctl_list *l, const char *path) {
    for (size_t i = 0; i < l->count; i++) {
        if (!streq(l->settings[i].path, path))
            continue;
        free(l->settings[i].path);
        free(l->settings[i].value);
        l->count--;
        memmove(&l->settings[i], &l->settings[i + 1], (l->count - i) * sizeof l->settings[0]);
        return;
    }
}

int sysctl_take(struct sysctl_list *l, char *line) {
    char *value = strchr(line, '=');
    bool optional = line[0] == '-';

    if (value)
        *value++ = '\0';
    char *key = sysctl_normalize(strstrip(line + optional));
    if (!*key || key[0] == '/' || strstr(key, "..") || (!value && !optional))
        return -EINVAL;

    _cleanup_free_ char *path = strdup(key), *text = value ? strdup(strstrip(value)) : NULL;
    struct sysctl_setting *grown = realloc(l->settings, (l->count + 1) * sizeof *grown);
    if (grown)
        l->settings = grown;
    if (!path || (value && !text) || !grown)
        return -ENOMEM;
    forget(l, path);
    l->settings[l->count++] =
        (struct sysctl_setting){.path = TAKE_PTR(path), .value = TAKE_PTR(text), .optional = optional};
    return 0;
}

bool sysctl_is_named(const struct sysctl_list *l, const char *path) {
    for (size_t i = 0; i < l->count; i++)
        if (streq(l->settings[i].path, path))
            return true;
    return false;
}

/* ---- writing ---- */

struct writing {
    struct boot_context *context;
    struct sysctl_list list;
};

static void write_one(struct writing *w, const struct sysctl_setting *s, const char *path) {
    _cleanup_free_ char *full = path_join(ROOT, path);
    int r = full ? file_write(AT_FDCWD, full, s->value) : -ENOMEM;

    /* A key that this kernel does not have is no fault of the file, which serves many kernels. */
    if (r == -ENOENT || (r < 0 && s->optional))
        (void)log_errno(LOG_DEBUG, r, "sysctl %s", path);
    else if (r < 0)
        boot_problem(w->context, "sysctl.d: %s cannot be set to \"%s\": %s", path, s->value, errno_text(r));
}

/* Goes down the components of a pattern. done: what is matched so far, "" at the top. */
static void write_matching(
    struct writing *w, const struct sysctl_setting *s, const char *done, const char *rest) {
    size_t n = strcspn(rest, "/");
    _cleanup_free_ char *pattern = strndup(rest, n), *directory = path_join(ROOT, done);
    _cleanup_(closedirp) DIR *d = directory ? opendir(directory) : NULL;

    for (struct dirent *entry; d && pattern && (entry = readdir(d));) {
        if (entry->d_name[0] == '.' || fnmatch(pattern, entry->d_name, 0) != 0)
            continue;
        _cleanup_free_ char *path = *done ? path_join(done, entry->d_name) : strdup(entry->d_name);
        if (!path)
            return;
        if (rest[n] == '/')
            write_matching(w, s, path, rest + n + 1);
        else if (!sysctl_is_named(&w->list, path))
            write_one(w, s, path);
    }
}

static void take_line(void *userdata, const char *file, unsigned line, char *text) {
    struct writing *w = userdata;
    int r = sysctl_take(&w->list, text);

    if (r < 0)
        boot_problem(w->context, "%s:%u: %s", file, line,
            r == -EINVAL ? "not of the form KEY = VALUE" : errno_text(r));
}

void step_sysctl(struct boot_context *c) {
    struct writing w = {.context = c};

    (void)conf_files_read("", "sysctl", take_line, &w);
    for (size_t i = 0; i < w.list.count; i++) {
        const struct sysctl_setting *s = &w.list.settings[i];
        if (!s->value)
            continue;
        if (strpbrk(s->path, WILDCARDS))
            write_matching(&w, s, "", s->path);
        else
            write_one(&w, s, s->path);
    }
    sysctl_list_done(&w.list);
}
