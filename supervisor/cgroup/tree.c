/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tree: what this machine has, which part of it is ours, and groups made and removed in all of it at
 * once.
 *
 * A directory in a v1 hierarchy costs some 50 µs over a group's life and another 40 µs for each process that
 * enters it, so a group gets one only where it is of use: memory, pids and cpu always; cpuset, blkio and
 * devices when a limit asks for it (limits.c); cpuacct and freezer only on machines where no unified
 * hierarchy tells the same for nothing.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/xattr.h>

#include "cgroup/internal.h"

#define PROC_TEXT_MAX (16U * 1024 * 1024)

void cgroup_tree_free(struct cgroup_tree *t) {
    if (!t)
        return;
    device_programs_done(t);
    for (size_t i = 0; i < t->n_hierarchies; i++)
        cgroup_hierarchy_done(&t->hierarchies[i]);
    free(t->proc);
    free(t);
}

/* systemd marks a group that it hands over (Delegate=yes); the user.* form is of 251 and later. */
static bool is_delegated(const struct cgroup_hierarchy *h) {
    static const char *const marks[] = {"trusted.delegate", "user.delegate"};
    _cleanup_free_ char *path = strf("%s%s", h->mount, h->self);

    for (size_t i = 0; path && i < ARRAY_SIZE(marks); i++) {
        char value = '0';

        if (getxattr(path, marks[i], &value, 1) == 1 && value == '1')
            return true;
    }
    return false;
}

/* The group below which all is made: "/a/b", the same in each hierarchy but for one case: where systemd
 * delegates, its v1 hierarchies may not have our group, and then the plain name below their root does. */
static int choose_base(const struct cgroup_tree *t, const struct cgroup_hierarchy *h, const char *base,
    char **ret, struct error *e) {
    _cleanup_free_ char *path = NULL;

    if (base) {
        path = strf("/%s", base);
        if (!path)
            return -ENOMEM;
        path_simplify(path);
        if (!path_is_normalized(path) || streq(path, "/"))
            return error_set(e, EINVAL, "DAVIT_CGROUP=%s: must be the name of a group below the root", base);
    } else if (t->unified && t->unified->self && !streq(t->unified->self, "/") && is_delegated(t->unified) &&
               h->self && streq(h->self, t->unified->self))
        path = strdup(h->self);
    else
        path = strdup("/" CGROUP_DEFAULT_BASE);
    if (!path)
        return -ENOMEM;
    *ret = TAKE_PTR(path);
    return 0;
}

/* A hierarchy whose subtree cannot be made (read-only in a container, say) is of no use, but no reason to
 * give up. */
static void drop_hierarchy(struct cgroup_tree *t, struct cgroup_hierarchy *h, const struct error *why) {
    for (int c = 0; c < _CONTROLLER_COUNT; c++)
        if (h->controllers & CONTROLLER_BIT(c))
            t->missing[c] = *why;
    if (h == t->unified)
        t->unified = NULL;
    h->controllers = 0;
    close_and_reset(&h->fd);
}

static int make_subtrees(struct cgroup_tree *t, const char *base, struct error *e) {
    struct error first = {0};
    size_t usable = 0;

    for (size_t i = 0; i < t->n_hierarchies; i++) {
        struct cgroup_hierarchy *h = &t->hierarchies[i];
        _cleanup_free_ char *relative = NULL;
        struct error why = {0};
        int r = choose_base(t, h, base, &relative, e);

        if (r < 0)
            return r;
        r = cgroup_subtree_make(h, relative, &why);
        if (r < 0) {
            if (first.number == 0)
                first = why;
            drop_hierarchy(t, h, &why);
        } else
            usable++;
    }
    if (usable > 0)
        return 0;
    if (first.number == 0)
        return error_set(e, ENOENT, "no control group hierarchy is mounted (expected one at /sys/fs/cgroup)");
    if (e)
        *e = first;
    return -first.number;
}

/* Needed in every group: what limits or tells something about any container. */
static bool always_made(const struct cgroup_tree *t, const struct cgroup_hierarchy *h) {
    uint32_t needed =
        CONTROLLER_BIT(CONTROLLER_MEMORY) | CONTROLLER_BIT(CONTROLLER_PIDS) | CONTROLLER_BIT(CONTROLLER_CPU);

    if (!t->unified)
        needed |= CONTROLLER_BIT(CONTROLLER_CPUACCT) | CONTROLLER_BIT(CONTROLLER_FREEZER);
    return h->unified || (h->controllers & needed) != 0;
}

/* A directory has a link from each one below it. Only a hint: where nobody counts them it says yes. */
static bool has_groups(const struct cgroup_hierarchy *h) {
    struct stat st;

    return h->fd >= 0 && (fstat(h->fd, &st) < 0 || st.st_nlink != 2);
}

/* False: no need to ask the kernel about a group in h. */
static bool may_have_group(const struct cgroup_hierarchy *h) {
    return h->fd >= 0 && (h->always || h->used);
}

/* Who is at home where; and, on a legacy machine, which hierarchy stands for the group as a whole. */
static int assign_homes(struct cgroup_tree *t, const char *cgroups, struct error *e) {
    static const enum cgroup_controller tracking[] = {
        CONTROLLER_FREEZER, CONTROLLER_PIDS, CONTROLLER_MEMORY, CONTROLLER_CPU};

    for (int c = 0; c < _CONTROLLER_COUNT; c++) {
        t->home[c] = CGROUP_NO_HIERARCHY;
        for (size_t i = 0; i < t->n_hierarchies; i++)
            if (t->hierarchies[i].fd >= 0 && (t->hierarchies[i].controllers & CONTROLLER_BIT(c)))
                t->home[c] = (int)i;
        if (t->home[c] == CGROUP_NO_HIERARCHY && t->missing[c].number == 0)
            cgroup_explain_missing(cgroups, (enum cgroup_controller)c, &t->missing[c]);
    }
    for (size_t i = 0; i < t->n_hierarchies; i++) {
        t->hierarchies[i].always = t->hierarchies[i].fd >= 0 && always_made(t, &t->hierarchies[i]);
        t->hierarchies[i].used = has_groups(&t->hierarchies[i]);
    }
    t->tracking = t->unified;
    t->track = t->unified ? &cgroup_tracking_unified : &cgroup_tracking_v1;
    for (size_t i = 0; !t->tracking && i < ARRAY_SIZE(tracking); i++)
        t->tracking = cgroup_home(t, tracking[i]);
    if (!t->tracking)
        return error_set(
            e, ENOENT, "no control group hierarchy here can tell which processes belong together");
    return 0;
}

int cgroup_tree_open_at(
    const struct cgroup_environment *env, const char *base, struct cgroup_tree **ret, struct error *e) {
    _cleanup_tree_ struct cgroup_tree *t = calloc(1, sizeof(*t));
    int r;

    if (!t || !(t->proc = strdup(env->proc)))
        return error_set_errno(e, ENOMEM, "control groups");
    for (size_t i = 0; i < DEVICE_PROGRAM_CACHE; i++)
        t->programs[i].fd = -1;
    r = cgroup_discover(env, t);
    if (r < 0)
        return error_set_errno(e, r, "reading the mounted control group hierarchies");
    for (size_t i = 0; i < t->n_hierarchies; i++)
        if (t->hierarchies[i].unified)
            t->unified = &t->hierarchies[i];
    r = make_subtrees(t, base, e);
    if (r >= 0)
        r = assign_homes(t, env->cgroups, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(t);
    return 0;
}

int cgroup_tree_open(const char *base, struct cgroup_tree **ret, struct error *e) {
    _cleanup_free_ char *mountinfo = NULL, *self = NULL, *cgroups = NULL;
    int r = file_read(AT_FDCWD, "/proc/self/mountinfo", PROC_TEXT_MAX, &mountinfo, NULL);

    if (r < 0)
        return error_set_errno(e, r, "/proc/self/mountinfo");
    r = file_read(AT_FDCWD, "/proc/self/cgroup", PROC_TEXT_MAX, &self, NULL);
    if (r < 0)
        return error_set_errno(e, r, "/proc/self/cgroup");
    (void)file_read(
        AT_FDCWD, "/proc/cgroups", PROC_TEXT_MAX, &cgroups, NULL); /* only to explain what is missing */
    return cgroup_tree_open_at(&(struct cgroup_environment){.mountinfo = mountinfo,
                                   .self_cgroup = self,
                                   .cgroups = cgroups ? cgroups : "",
                                   .prefix = "",
                                   .proc = "/proc"},
        base, ret, e);
}

int cgroup_tree_remove(struct cgroup_tree *t) {
    int first_error = 0;

    for (size_t i = 0; i < t->n_hierarchies; i++) {
        int r = t->hierarchies[i].fd < 0 ? 0 : cgroup_subtree_remove(&t->hierarchies[i]);

        if (r < 0 && first_error == 0)
            first_error = r;
    }
    return first_error;
}

bool cgroup_tree_has(const struct cgroup_tree *t, enum cgroup_controller c) {
    /* Core features of the unified hierarchy under the names of what they replaced. */
    if (t->unified && (c == CONTROLLER_FREEZER || c == CONTROLLER_DEVICES || c == CONTROLLER_CPUACCT))
        return true;
    return t->home[c] != CGROUP_NO_HIERARCHY;
}

const char *cgroup_tree_mode(const struct cgroup_tree *t) {
    if (!t->unified)
        return "legacy";
    for (size_t i = 0; i < t->n_hierarchies; i++)
        if (!t->hierarchies[i].unified && t->hierarchies[i].fd >= 0)
            return "hybrid";
    return "unified";
}

static int list_hierarchy(const struct cgroup_hierarchy *h, char ***names) {
    int r = 0, fd = openat(h->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d;

    if (fd < 0)
        return negative_errno();
    d = fdopendir(fd);
    if (!d) {
        close_and_reset(&fd);
        return -ENOMEM;
    }
    for (struct dirent *entry; r >= 0 && (entry = readdir(d));)
        if (entry->d_type == DT_DIR && cgroup_name_is_valid(entry->d_name))
            r = strv_append(names, entry->d_name);
    closedir(d);
    return r;
}

int cgroup_tree_list(struct cgroup_tree *t, char ***ret_names) {
    _cleanup_strv_free_ char **all = NULL, **names = NULL;
    const char *last = NULL;

    for (size_t i = 0; i < t->n_hierarchies; i++) {
        int r = t->hierarchies[i].fd < 0 ? 0 : list_hierarchy(&t->hierarchies[i], &all);

        if (r < 0)
            return r;
    }
    strv_sort(all);
    STRV_FOREACH (name, all) {
        if (last && streq(last, *name))
            continue;
        if (strv_append(&names, *name) < 0)
            return -ENOMEM;
        last = *name;
    }
    *ret_names = TAKE_PTR(names);
    return 0;
}

int cgroup_create(struct cgroup_tree *t, const char *name, struct error *e) {
    bool made[CGROUP_MAX_HIERARCHIES] = {false};

    if (!cgroup_name_is_valid(name))
        return error_set(e, EINVAL, "\"%s\" cannot be the name of a control group", name);
    for (size_t i = 0; i < t->n_hierarchies; i++) {
        int r = t->hierarchies[i].always ? cgroup_group_make(&t->hierarchies[i], name) : 0;

        if (r < 0) {
            for (size_t k = 0; k < i; k++)
                if (made[k])
                    (void)cgroup_group_remove(&t->hierarchies[k], name);
            return error_set_errno(e, r, "control group %s/%s cannot be made", t->hierarchies[i].path, name);
        }
        made[i] = r > 0;
    }
    return 0;
}

int cgroup_paths(struct cgroup_tree *t, const char *name, char **ret_unified, char ***ret_v1_tasks) {
    _cleanup_free_ char *unified = NULL;
    _cleanup_strv_free_ char **tasks = NULL;

    if (!cgroup_name_is_valid(name))
        return -EINVAL;
    if (t->unified && !(unified = strf("%s/%s", t->unified->path, name)))
        return -ENOMEM;
    for (size_t i = 0; i < t->n_hierarchies; i++) {
        const struct cgroup_hierarchy *h = &t->hierarchies[i];

        if (h->unified || !may_have_group(h) || (!h->always && faccessat(h->fd, name, F_OK, 0) < 0))
            continue;
        if (strv_consume(&tasks, strf("%s/%s/tasks", h->path, name)) < 0)
            return -ENOMEM;
    }
    *ret_unified = TAKE_PTR(unified);
    *ret_v1_tasks = TAKE_PTR(tasks);
    return 0;
}

/* The unified hierarchy first: while a process is left there, nothing else needs to be tried. */
int cgroup_remove(struct cgroup_tree *t, const char *name) {
    int first_error = t->unified ? cgroup_group_remove(t->unified, name) : 0;

    if (first_error < 0)
        return first_error;
    for (size_t i = 0; i < t->n_hierarchies; i++) {
        struct cgroup_hierarchy *h = &t->hierarchies[i];
        int r = h->unified || !may_have_group(h) ? 0 : cgroup_group_remove(h, name);

        if (r < 0 && first_error == 0)
            first_error = r;
    }
    return first_error;
}

/* The kernel says which files a delegatee may own ("Delegation" in cgroup-v2.rst); limit files are never
 * among them. */
int cgroup_delegate(struct cgroup_tree *t, const char *name, uid_t uid, gid_t gid) {
    _cleanup_free_ char *list = NULL;
    _cleanup_close_ int fd = -1;
    char *rest, *file;
    int r;

    if (!t->unified)
        return -EOPNOTSUPP;
    fd = cgroup_group_open(t->unified, name, "", O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fd;
    r = file_read(AT_FDCWD, "/sys/kernel/cgroup/delegate", PROC_TEXT_MAX, &list, NULL);
    if (r < 0 && !(list = strdup("cgroup.procs\ncgroup.threads\ncgroup.subtree_control\n")))
        return -ENOMEM;
    if (fchown(fd, uid, gid) < 0)
        return negative_errno();
    for (rest = list; (file = strsep(&rest, "\n"));)
        if (*file && fchownat(fd, file, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
            return negative_errno();
    return 0;
}
