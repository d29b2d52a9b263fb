/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Our subtree in one hierarchy: made from the mount point down, one directory at a time, because two kinds of
 * hierarchy want something done at each level before the next one is of use: the unified one has controllers
 * enabled top-down (cgroup.subtree_control, "Top-down Constraint" in the kernel's cgroup-v2.rst), a v1 cpuset
 * is filled.
 */
#include <fcntl.h>

#include "base/parse.h"
#include "cgroup/internal.h"

/* Controllers of the unified hierarchy that groups may need. */
static const enum cgroup_controller wanted[] = {
    CONTROLLER_CPU,
    CONTROLLER_CPUSET,
    CONTROLLER_MEMORY,
    CONTROLLER_PIDS,
    CONTROLLER_IO,
};
/* Each round moves all processes it sees; only a fork between reading and moving makes another one necessary.
 */
#define EVACUATE_ROUNDS 64

int cgroup_cpuset_inherit(int parent_fd, int fd) {
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        _cleanup_free_ char *now = NULL, *parent = NULL;
        int r = file_read_line(fd, files[i], &now);

        if (r < 0)
            return r;
        if (!isempty(now)) /* ours from an earlier run, or cgroup.clone_children did it */
            continue;
        r = file_read_line(parent_fd, files[i], &parent);
        if (r >= 0)
            r = file_write(fd, files[i], parent);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Bits of the controllers in a file like cgroup.controllers: names with blanks between. */
static int read_controllers(int fd, const char *file, uint32_t *ret) {
    _cleanup_free_ char *line = NULL;
    uint32_t bits = 0;
    char *rest, *name;
    int r = file_read_line(fd, file, &line);

    if (r < 0)
        return r;
    for (rest = line; (name = strsep(&rest, " "));)
        bits |= controller_bit(name, strlen(name), true);
    *ret = bits;
    return 0;
}

/* Moves every process of the group to a leaf below it. */
static int evacuate(int fd) {
    if (mkdirat(fd, CGROUP_OWN_LEAF, 0755) < 0 && errno != EEXIST)
        return negative_errno();
    for (int round = 0; round < EVACUATE_ROUNDS; round++) {
        _cleanup_free_ char *pids = NULL;
        char *rest, *pid;
        int r = file_read(fd, "cgroup.procs", CGROUP_FILE_MAX, &pids, NULL);

        if (r < 0)
            return r;
        if (isempty(pids))
            return 0;
        for (rest = pids; (pid = strsep(&rest, "\n"));) {
            if (isempty(pid))
                continue;
            r = file_write(fd, CGROUP_OWN_LEAF "/cgroup.procs", pid);
            if (r < 0 && r != -ESRCH)
                return r;
        }
    }
    return -EBUSY;
}

/* Enables what is available and not yet enabled, each by a write of its own, so that one that cannot be had
 * does not cost the others. What came of it is read back at the end, by the caller.
 *
 * A group with processes of its own cannot hand on controllers (no-internal-processes rule; EBUSY). To wait
 * for that error would be too late: cpu and pids can be enabled all the same, but make the group "threaded",
 * and then it is EOPNOTSUPP for memory. So processes that are in the way are moved first. The machine's root
 * is exempt and has no cgroup.type. */
static int enable_controllers(int fd, bool own) {
    uint32_t available = 0, enabled = 0, missing = 0;
    int r = read_controllers(fd, "cgroup.controllers", &available);

    if (r >= 0)
        r = read_controllers(fd, "cgroup.subtree_control", &enabled);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        missing |= available & ~enabled & CONTROLLER_BIT(wanted[i]);
    if (missing && own && faccessat(fd, "cgroup.type", F_OK, 0) == 0) {
        r = evacuate(fd);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        char text[32];

        if (!(missing & CONTROLLER_BIT(wanted[i])))
            continue;
        (void)snprintf(text, sizeof(text), "+%s", controller_name_in(wanted[i], true));
        (void)file_write(fd, "cgroup.subtree_control", text);
    }
    return 0;
}

/* mkdir and open of one component. *ret_made is left alone when it was there. */
static int step_into(const struct cgroup_hierarchy *h, int parent, const char *name, bool *ret_made) {
    _cleanup_close_ int fd = -1;
    int r;

    if (mkdirat(parent, name, 0755) == 0)
        *ret_made = true;
    else if (errno != EEXIST)
        return negative_errno();
    fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return negative_errno();
    if (!h->unified && (h->controllers & CONTROLLER_BIT(CONTROLLER_CPUSET))) {
        r = cgroup_cpuset_inherit(parent, fd);
        if (r < 0)
            return r;
    }
    return TAKE_FD(fd);
}

/* Is the part of our path that is `length` bytes long below the mount point the group that we are in? */
static bool is_self(const struct cgroup_hierarchy *h, size_t length) {
    if (!h->self)
        return false;
    if (length == 0)
        return streq(h->self, "/");
    return strlen(h->self) == length && memcmp(h->self, h->path + strlen(h->mount), length) == 0;
}

/* From the mount point to the end of relative ("a/b"; is cut up). A descriptor or -errno. */
static int walk(struct cgroup_hierarchy *h, char *relative) {
    _cleanup_close_ int fd = open(h->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
    size_t length = 0;
    bool made = false;

    if (fd < 0)
        return negative_errno();
    for (char *component, *rest = relative;;) {
        int r, next;

        if (h->unified) {
            r = enable_controllers(fd, is_self(h, length));
            if (r < 0)
                return r;
        }
        component = strsep(&rest, "/");
        if (!component)
            return TAKE_FD(fd);
        next = step_into(h, fd, component, &made);
        if (next < 0)
            return next;
        close_and_reset(&fd);
        fd = next;
        length += 1 + strlen(component);
        if (!made)
            h->kept = strlen(h->mount) + length;
    }
}

/* relative: "/a/b", simplified, not "/". */
int cgroup_subtree_make(struct cgroup_hierarchy *h, const char *relative, struct error *e) {
    _cleanup_free_ char *copy = strdup(relative + 1);
    uint32_t enabled;
    int r;

    h->group = strf("%s%s", streq(h->mount_root, "/") ? "" : h->mount_root, relative);
    h->path = strf("%s%s", h->mount, relative);
    if (!copy || !h->group || !h->path)
        return error_set_errno(e, ENOMEM, "%s", h->mount);
    h->kept = strlen(h->mount);
    h->own = h->self && streq(h->self, relative);
    h->fd = walk(h, copy);
    if (h->fd < 0)
        return error_set_errno(e, h->fd, "control group %s cannot be made ready", h->path);
    if (!h->unified)
        return 0;
    r = read_controllers(h->fd, "cgroup.subtree_control", &enabled);
    if (r < 0)
        return error_set_errno(e, r, "%s/cgroup.subtree_control", h->path);
    h->controllers = enabled;
    return 0;
}

int cgroup_subtree_remove(struct cgroup_hierarchy *h) {
    _cleanup_free_ char *path = h->path ? strdup(h->path) : NULL;

    if (!path)
        return h->path ? -ENOMEM : 0;
    if (h->own)
        return 0;
    /* The last component was made for us, by this process or by an earlier one; those above it only if `kept`
     * says so. */
    do {
        if (rmdir(path) < 0 && errno != ENOENT)
            return negative_errno();
        *strrchr(path, '/') = '\0';
    } while (strlen(path) > h->kept);
    return 0;
}
