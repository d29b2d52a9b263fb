/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chores: what may take long and needs no program of its own runs in a clone of the launcher, in the host's
 * tree. */
#include "base/fs.h"
#include "launch/internal.h"

static int remove_tree_at(char *const *argv, struct error *e) {
    _cleanup_close_ int directory = open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return errno == ENOENT ? 0 : error_set_errno(e, errno, "open %s", argv[0]);
    if (isempty(argv[1]) || strchr(argv[1], '/') || streq(argv[1], ".") || streq(argv[1], ".."))
        return error_set(e, EINVAL, "\"%s\" is not a name in %s", argv[1], argv[0]);
    int r = remove_tree(directory, argv[1]);
    return r < 0 ? error_set_errno(e, r, "remove %s/%s", argv[0], argv[1]) : 0;
}

static int copy_tree_to(char *const *argv, struct error *e) {
    _cleanup_close_ int from = open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (from < 0)
        return error_set_errno(e, errno, "open %s", argv[0]);
    _cleanup_close_ int to = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to < 0)
        return error_set_errno(e, errno, "open %s", argv[1]);
    int r = copy_tree(from, to, NULL, e);
    return r < 0 ? error_prefix(e, "copy %s to %s", argv[0], argv[1]) : 0;
}

static int (*const tasks[_SPEC_TASK_COUNT])(char *const *argv, struct error *e) = {
    [TASK_REMOVE_TREE] = remove_tree_at,
    [TASK_COPY_TREE] = copy_tree_to,
};

int task_run(const struct container_spec *s, struct error *e) {
    return tasks[s->task](s->argv, e);
}
