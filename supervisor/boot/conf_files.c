/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/conf_files.h"

#include <dirent.h>
#include <fcntl.h>

#include "base/fs.h"
#include "base/log.h"

#define FILE_MAX_BYTES (1024 * 1024)

static const char *const directories[] = {"/etc", "/run", "/usr/local/lib", "/usr/lib"};

DEFINE_CLEANUP(DIR *, closedir)

static int by_name(const void *a, const void *b) {
    return strcmp(path_basename(*(char *const *)a), path_basename(*(char *const *)b));
}

static bool has_name(char *const *paths, const char *name) {
    STRV_FOREACH (p, paths)
        if (streq(path_basename(*p), name))
            return true;
    return false;
}

static int add_directory(const char *path, char ***paths) {
    _cleanup_(closedirp) DIR *d = opendir(path);
    int r = 0;

    for (struct dirent *entry; d && r >= 0 && (entry = readdir(d));)
        if (entry->d_name[0] != '.' && endswith(entry->d_name, ".conf") && !has_name(*paths, entry->d_name))
            r = strv_consume(paths, path_join(path, entry->d_name));
    return r;
}

static bool is_masked(const char *path) {
    char target[16];
    ssize_t n = readlink(path, target, sizeof target - 1);

    return n == 9 && memcmp(target, "/dev/null", 9) == 0;
}

int conf_files_list(const char *root, const char *name, char ***ret) {
    _cleanup_strv_free_ char **found = NULL, **paths = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        _cleanup_free_ char *path = strf("%s%s/%s.d", root, directories[i], name);
        int r = path ? add_directory(path, &found) : -ENOMEM;
        if (r < 0)
            return r;
    }
    if (found)
        qsort(found, strv_length(found), sizeof *found, by_name);
    STRV_FOREACH (p, found)
        if (!is_masked(*p) && strv_append(&paths, *p) < 0)
            return -ENOMEM;
    *ret = TAKE_PTR(paths);
    return 0;
}

int conf_files_read(const char *root, const char *name,
    void (*take)(void *userdata, const char *file, unsigned line, char *text), void *userdata) {
    _cleanup_strv_free_ char **paths = NULL;

    int r = conf_files_list(root, name, &paths);
    if (r < 0)
        return r;
    STRV_FOREACH (p, paths) {
        _cleanup_free_ char *text = NULL;
        r = file_read(AT_FDCWD, *p, FILE_MAX_BYTES, &text, NULL);
        if (r < 0) {
            (void)log_errno(LOG_WARNING, r, "%s", *p);
            continue;
        }
        unsigned number = 0;
        for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
            number++;
            line = strstrip(line);
            if (*line && *line != '#' && *line != ';')
                take(userdata, *p, number, line);
        }
    }
    return 0;
}
