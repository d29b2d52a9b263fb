/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/listing.h"

#include <dirent.h>

#include "worker/unpack-internal.h"

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int names_list(int directory, const char *path, char ***ret, struct error *e) {
    _cleanup_strv_free_ char **l = NULL;
    int r = 0;

    int fd = open_beneath(directory, path, O_RDONLY | O_DIRECTORY);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        r = error_set_errno(e, fd < 0 ? fd : errno, "reading directory %s", path);
        closep(&fd);
        return r;
    }
    size_t n = 0, room = 0;
    for (const struct dirent *entry; r >= 0 && (entry = readdir(d));) {
        if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
            continue;
        /* Not strv_append(), which counts the list each time: there may be a hundred thousand. */
        if (n + 1 >= room) {
            room = MAX(room * 2, (size_t)64);
            char **grown = reallocarray(l, room, sizeof(*grown));
            r = grown ? 0 : -ENOMEM;
            l = grown ? grown : l;
        }
        if (r >= 0) {
            l[n] = strdup(entry->d_name);
            r = l[n] ? 0 : -ENOMEM;
            n += l[n] != NULL;
            l[n] = NULL;
        }
    }
    (void)closedir(d);
    if (r < 0)
        return error_set(e, ENOMEM, "out of memory");
    if (n > 0)
        qsort(l, n, sizeof(*l), compare_names);
    *ret = TAKE_PTR(l);
    return 0;
}
