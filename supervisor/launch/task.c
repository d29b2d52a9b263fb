/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chores: what may take long and needs no program of its own runs in a clone of the launcher, in the host's
 * tree. What most containers leave behind is an upper directory with next to nothing in it: removing that is
 * done in less time than a process takes, so the launcher does it itself.
 */
#include "base/fs.h"
#include "launch/internal.h"

/* A few milliseconds on a slow disk. */
#define SMALL_TREE_ENTRIES 64

static int remove_within(char *const *argv, int (*remover)(int dirfd, const char *name), struct error *e) {
    _cleanup_close_ int directory = open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return errno == ENOENT ? 0 : error_set_errno(e, errno, "open %s", argv[0]);
    if (isempty(argv[1]) || strchr(argv[1], '/') || streq(argv[1], ".") || streq(argv[1], ".."))
        return error_set(e, EINVAL, "\"%s\" is not a name in %s", argv[1], argv[0]);
    int r = remover(directory, argv[1]);
    return r < 0 ? error_set_errno(e, r, "remove %s/%s", argv[0], argv[1]) : 0;
}

static int remove_tree_at(char *const *argv, struct error *e) {
    return remove_within(argv, remove_tree, e);
}

static int remove_small(int dirfd, const char *name) {
    return remove_small_tree(dirfd, name, SMALL_TREE_ENTRIES);
}

static int copy_tree_to(char *const *argv, struct error *e) {
    _cleanup_close_ int from = open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (from < 0)
        return error_set_errno(e, errno, "open %s", argv[0]);
    _cleanup_close_ int to = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to < 0)
        return error_set_errno(e, errno, "open %s", argv[1]);
    int r = copy_tree(from, to, NULL, e);
    return r < 0 ? error_prefix(e, r, "copy %s to %s", argv[0], argv[1]) : 0;
}

static int (*const tasks[_SPEC_TASK_COUNT])(char *const *argv, struct error *e) = {
    [TASK_REMOVE_TREE] = remove_tree_at,
    [TASK_COPY_TREE] = copy_tree_to,
};

bool task_try(const struct launcher *l, const struct container_spec *s) {
    struct error ignored = {}; /* the clone meets it again, and can take its time */

    if (s->kind != SPEC_TASK || s->task != TASK_REMOVE_TREE || host_enter(l, &ignored) < 0)
        return false;
    int r = remove_within(s->argv, remove_small, &ignored);
    host_leave(l);
    return r == 0;
}

int task_run(const struct container_spec *s, struct error *e) {
    return tasks[s->task](s->argv, e);
}
