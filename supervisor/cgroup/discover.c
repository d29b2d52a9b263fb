/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which cgroup hierarchies are mounted, which controllers each has, and where in them we are: from the texts
 * of /proc/self/mountinfo and /proc/self/cgroup (cgroups(7), proc_pid_mountinfo(5)). Names of directories
 * below /sys/fs/cgroup are not trusted: "cpu" and "cpuacct" may be one hierarchy or two, and any mount point
 * will do.
 */
#include "base/parse.h"
#include "cgroup/internal.h"

/* A controller's name for people and in each version's files. */
static const struct {
    const char *name, *v1, *v2;
} controllers[_CONTROLLER_COUNT] = {
    [CONTROLLER_CPU] = {"cpu", "cpu", "cpu"},
    [CONTROLLER_CPUACCT] = {"cpuacct", "cpuacct", NULL},
    [CONTROLLER_CPUSET] = {"cpuset", "cpuset", "cpuset"},
    [CONTROLLER_MEMORY] = {"memory", "memory", "memory"},
    [CONTROLLER_PIDS] = {"pids", "pids", "pids"},
    [CONTROLLER_IO] = {"io", "blkio", "io"},
    [CONTROLLER_DEVICES] = {"devices", "devices", NULL},
    [CONTROLLER_FREEZER] = {"freezer", "freezer", NULL},
};

const char *cgroup_controller_name(enum cgroup_controller c) {
    return controllers[c].name;
}

const char *controller_name_in(enum cgroup_controller c, bool unified) {
    return unified ? controllers[c].v2 : controllers[c].v1;
}

uint32_t controller_bit(const char *name, size_t n, bool unified) {
    for (int c = 0; c < _CONTROLLER_COUNT; c++) {
        const char *known = controller_name_in(c, unified);

        if (known && strlen(known) == n && memcmp(known, name, n) == 0)
            return CONTROLLER_BIT(c);
    }
    return 0;
}

/* Bits of all names in a comma list of n bytes. */
static uint32_t controller_bits(const char *list, size_t n, bool unified) {
    uint32_t bits = 0;

    for (const char *p = list, *end = list + n; p < end;) {
        size_t length = strcspn(p, ",\n");

        length = MIN(length, (size_t)(end - p));
        bits |= controller_bit(p, length, unified);
        p += length + 1;
    }
    return bits;
}

void cgroup_hierarchy_done(struct cgroup_hierarchy *h) {
    free(h->device);
    free(h->mount);
    free(h->mount_root);
    free(h->self);
    free(h->group);
    free(h->path);
    closep(&h->fd);
    *h = (struct cgroup_hierarchy){.fd = -1};
}

const char *cgroup_line_path(const struct cgroup_hierarchy *h, const char *text, size_t *ret_length) {
    for (const char *line = text; *line;) {
        const char *end = strchrnul(line, '\n'), *names = memchr(line, ':', (size_t)(end - line));
        const char *path = names ? memchr(names + 1, ':', (size_t)(end - names - 1)) : NULL;

        if (path) {
            size_t n_names = (size_t)(path - names - 1);
            bool match = h->unified ? n_names == 0 && startswith(line, "0:")
                                    : (controller_bits(names + 1, n_names, false) & h->controllers) != 0;

            if (match) {
                *ret_length = (size_t)(end - path - 1);
                return path + 1;
            }
        }
        line = *end ? end + 1 : end;
    }
    return NULL;
}

void cgroup_explain_missing(const char *cgroups, enum cgroup_controller c, struct error *e) {
    const char *name = controllers[c].v1;
    size_t n = strlen(name);

    for (const char *line = cgroups; *line;) {
        const char *end = strchrnul(line, '\n');

        /* "#subsys_name hierarchy num_cgroups enabled" */
        if (strncmp(line, name, n) == 0 && line[n] == '\t' && end[-1] == '0') {
            (void)error_set(e, ENODEV, "the %s controller is switched off on the kernel's command line",
                controllers[c].name);
            return;
        }
        line = *end ? end + 1 : end;
    }
    (void)error_set(e, ENODEV, "no control group hierarchy here has a %s controller", controllers[c].name);
}

struct mount_line {
    bool read_only;
    char *device, *root, *point, *type, *options;
};

/* ID PARENT DEVICE ROOT POINT OPTIONS [OPTIONAL...] - TYPE SOURCE SUPEROPTIONS; cuts up line. */
static bool mount_line_parse(char *line, struct mount_line *ret) {
    char *field[6], *rest = line;

    for (size_t i = 0; i < ARRAY_SIZE(field); i++)
        if (!(field[i] = strsep(&rest, " ")))
            return false;
    for (char *optional; (optional = strsep(&rest, " ")) && !streq(optional, "-");)
        ;
    ret->device = field[2];
    ret->read_only = startswith(field[5], "ro") && strchr(",", field[5][2]); /* "rw" or "ro" comes first */
    ret->root = octal_unescape(field[3]);
    ret->point = octal_unescape(field[4]);
    ret->type = strsep(&rest, " ");
    (void)strsep(&rest, " "); /* source */
    ret->options = rest;
    return ret->type && ret->options;
}

/* Path of a group below the mount point, when the mount shows it. */
static char *below_mount(const char *mount_root, const char *group, size_t n) {
    size_t n_root = streq(mount_root, "/") ? 0 : strlen(mount_root);

    if (n < n_root || memcmp(group, mount_root, n_root) != 0 || strstr(group, "/../"))
        return NULL;
    if (n == n_root)
        return strdup("/");
    return group[n_root] == '/' ? strndup(group + n_root, n - n_root) : NULL;
}

/* Where we are in h. A group that was moved away from under us, or a mount of another cgroup namespace,
 * leaves NULL. */
static int find_self(const struct cgroup_environment *env, struct cgroup_hierarchy *h) {
    size_t length;
    const char *group = cgroup_line_path(h, env->self_cgroup, &length), *leaf;

    if (!group || startswith(h->mount_root, "/.."))
        return 0;
    h->self = below_mount(h->mount_root, group, length);
    /* A restarted manager finds itself in the leaf that it moved to the first time. */
    if (h->self && (leaf = endswith(h->self, "/" CGROUP_OWN_LEAF)))
        h->self[MAX(leaf - h->self, 1)] = '\0';
    return 0;
}

static int add_hierarchy(
    const struct cgroup_environment *env, const struct mount_line *m, struct cgroup_tree *t) {
    struct cgroup_hierarchy *h;
    bool unified = streq(m->type, "cgroup2");
    uint32_t bits = unified ? 0 : controller_bits(m->options, strlen(m->options), false);

    if (!unified && bits == 0) /* name=systemd, net_cls, ...: nothing for us */
        return 0;
    /* As container managers show those that are not for the container: its controllers are missing here. */
    if (!unified && m->read_only)
        return 0;
    for (size_t i = 0; i < t->n_hierarchies; i++)
        if (streq(t->hierarchies[i].device, m->device))
            return 0;
    if (t->n_hierarchies == CGROUP_MAX_HIERARCHIES)
        return -E2BIG;
    h = &t->hierarchies[t->n_hierarchies++];
    *h = (struct cgroup_hierarchy){.unified = unified, .controllers = bits, .fd = -1};
    h->device = strdup(m->device);
    h->mount = strf("%s%s", env->prefix, m->point);
    h->mount_root = strdup(m->root);
    if (!h->device || !h->mount || !h->mount_root)
        return -ENOMEM;
    return find_self(env, h);
}

int cgroup_discover(const struct cgroup_environment *env, struct cgroup_tree *t) {
    _cleanup_free_ char *text = strdup(env->mountinfo);
    char *rest = text, *line;

    if (!text)
        return -ENOMEM;
    while ((line = strsep(&rest, "\n"))) {
        struct mount_line m;
        int r;

        if (!mount_line_parse(line, &m) || (!streq(m.type, "cgroup") && !streq(m.type, "cgroup2")))
            continue;
        r = add_hierarchy(env, &m, t);
        if (r < 0)
            return r;
    }
    return 0;
}
