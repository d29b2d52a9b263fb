/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One group in one hierarchy: names, directories, and reading and writing its files. */
#include <dirent.h>
#include <fcntl.h>

#include "base/parse.h"
#include "cgroup/internal.h"

/* NAME/FILE: the longest kernel file name we use has some 45 bytes. */
#define GROUP_PATH_MAX (NAME_MAX + 1 + 64)

bool cgroup_name_is_valid(const char *name) {
    return !isempty(name) && !streq(name, ".") && !streq(name, "..") && !streq(name, CGROUP_OWN_LEAF) &&
           strlen(name) <= NAME_MAX && !strpbrk(name, "/\n");
}

struct cgroup_hierarchy *cgroup_home(struct cgroup_tree *t, enum cgroup_controller c) {
    return t->home[c] == CGROUP_NO_HIERARCHY ? NULL : &t->hierarchies[t->home[c]];
}

static int group_path(char buffer[static GROUP_PATH_MAX], const char *name, const char *file) {
    int n;

    if (!cgroup_name_is_valid(name))
        return -EINVAL;
    n = snprintf(buffer, GROUP_PATH_MAX, "%s%s%s", name, *file ? "/" : "", file);
    return n < GROUP_PATH_MAX ? 0 : -ENAMETOOLONG;
}

int cgroup_group_open(const struct cgroup_hierarchy *h, const char *name, const char *file, int flags) {
    char path[GROUP_PATH_MAX];
    int fd, r = group_path(path, name, file);

    if (r < 0)
        return r;
    fd = openat(h->fd, path, flags | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? negative_errno() : fd;
}

int cgroup_group_write(
    const struct cgroup_hierarchy *h, const char *name, const char *file, const char *text) {
    char path[GROUP_PATH_MAX];
    int r = group_path(path, name, file);

    return r < 0 ? r : file_write(h->fd, path, text);
}

int cgroup_group_read(const struct cgroup_hierarchy *h, const char *name, const char *file, char **ret) {
    char path[GROUP_PATH_MAX];
    int r = group_path(path, name, file);

    return r < 0 ? r : file_read(h->fd, path, CGROUP_FILE_MAX, ret, NULL);
}

/* Digits up to the end of the line; "max" and a negative number mean "no limit". */
static int number_parse(const char *s, uint64_t *ret) {
    char digits[24];
    size_t n = strcspn(s, " \n");

    if (startswith(s, "max") || *s == '-') {
        *ret = CGROUP_INFINITY;
        return 0;
    }
    if (n >= sizeof(digits))
        return -EINVAL;
    memcpy(digits, s, n);
    digits[n] = '\0';
    return parse_uint(digits, 0, UINT64_MAX, ret);
}

int cgroup_group_read_number(
    const struct cgroup_hierarchy *h, const char *name, const char *file, uint64_t *ret) {
    _cleanup_free_ char *text = NULL;
    int r = cgroup_group_read(h, name, file, &text);

    return r < 0 ? r : number_parse(text, ret);
}

int cgroup_group_read_key(
    const struct cgroup_hierarchy *h, const char *name, const char *file, const char *key, uint64_t *ret) {
    _cleanup_free_ char *text = NULL;
    size_t n = strlen(key);
    int r = cgroup_group_read(h, name, file, &text);

    if (r < 0)
        return r;
    for (const char *line = text; *line;) {
        const char *end = strchrnul(line, '\n');

        if (strncmp(line, key, n) == 0 && line[n] == ' ')
            return number_parse(line + n + 1, ret);
        line = *end ? end + 1 : end;
    }
    return -ENODATA;
}

int cgroup_group_make(struct cgroup_hierarchy *h, const char *name) {
    _cleanup_close_ int fd = -1;
    bool made;
    int r;

    if (!cgroup_name_is_valid(name))
        return -EINVAL;
    made = mkdirat(h->fd, name, 0755) == 0;
    if (!made && errno != EEXIST)
        return negative_errno();
    h->used = true;
    if (h->unified || !(h->controllers & CONTROLLER_BIT(CONTROLLER_CPUSET)))
        return made;
    /* Also when it was there: whoever made it may have died before filling it. */
    fd = cgroup_group_open(h, name, "", O_PATH | O_DIRECTORY);
    r = fd < 0 ? fd : cgroup_cpuset_inherit(h->fd, fd);
    if (r < 0 && made)
        (void)unlinkat(h->fd, name, AT_REMOVEDIR);
    return r < 0 ? r : made;
}

/* Tries to remove every directory in fd. 1 and its name in busy if one has children or processes, else 0. */
static int remove_children(int fd, char busy[static NAME_MAX + 1]) {
    _cleanup_close_ int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    int r = 0;

    if (!d)
        return negative_errno();
    copy = -1; /* the DIR owns it */
    for (struct dirent *entry; (entry = readdir(d));) {
        if (entry->d_type != DT_DIR || streq(entry->d_name, ".") || streq(entry->d_name, ".."))
            continue;
        if (unlinkat(fd, entry->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
            if (errno != EBUSY) {
                r = negative_errno();
                break;
            }
            (void)snprintf(busy, NAME_MAX + 1, "%s", entry->d_name);
            r = 1;
        }
    }
    closedir(d);
    return r;
}

/*
 * Removes what is below the group that fd (taken over) is. A container may have nested groups as deep as it
 * liked: no recursion, no path as a string, one descriptor at a time. The walk goes down into whatever is
 * busy; a group that is still busy after its own children are gone has processes, and that ends it.
 */
static int remove_below(int group_fd) {
    _cleanup_close_ int fd = group_fd;
    char from[NAME_MAX + 1] = "", busy[NAME_MAX + 1];

    for (size_t depth = 0;;) {
        int next, r = remove_children(fd, busy);

        if (r < 0)
            return r;
        if (r == 0 && depth == 0)
            return 0;
        next = openat(fd, r > 0 ? busy : "..", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            return negative_errno();
        close_and_reset(&fd);
        fd = next;
        if (r > 0) {
            depth++;
            memcpy(from, busy, sizeof(from));
            continue;
        }
        depth--;
        if (*from && unlinkat(fd, from, AT_REMOVEDIR) < 0 && errno != ENOENT)
            return negative_errno();
        *from = '\0'; /* the name one level further up is not known; remove_children() finds it */
    }
}

int cgroup_group_remove(const struct cgroup_hierarchy *h, const char *name) {
    int fd, r;

    if (!cgroup_name_is_valid(name))
        return -EINVAL;
    if (unlinkat(h->fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != EBUSY)
        return negative_errno();
    fd = cgroup_group_open(h, name, "", O_PATH | O_DIRECTORY);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    r = remove_below(fd);
    if (r < 0)
        return r;
    return unlinkat(h->fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : negative_errno();
}
