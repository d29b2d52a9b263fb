/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From resource keys of a unit to limits of its control group. Containers always get a device filter: what
 * podman and docker let them use, their own AddDevice= nodes, and DeviceAllow=. Services get one when they
 * ask for it.
 */
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/sysmacros.h>

#include "base/fs.h"
#include "base/log.h"
#include "manager/rooms.h"

#define MAX_RULES 64
#define ANY (-1)
#define RW (DEVICE_READ | DEVICE_WRITE)

/* Making nodes is harmless where opening them is not allowed (and CAP_MKNOD is not there by default). */
static const struct cgroup_device_rule container_rules[] = {
    {'c', ANY, ANY, DEVICE_MKNOD}, {'b', ANY, ANY, DEVICE_MKNOD}, {'c', 1, 3, RW | DEVICE_MKNOD}, /* null */
    {'c', 1, 5, RW | DEVICE_MKNOD},                                                               /* zero */
    {'c', 1, 7, RW | DEVICE_MKNOD},                                                               /* full */
    {'c', 1, 8, RW | DEVICE_MKNOD},                                                               /* random */
    {'c', 1, 9, RW | DEVICE_MKNOD},     /* urandom */
    {'c', 5, 0, RW | DEVICE_MKNOD},     /* tty */
    {'c', 5, 1, RW | DEVICE_MKNOD},     /* console */
    {'c', 5, 2, RW | DEVICE_MKNOD},     /* ptmx */
    {'c', 136, ANY, RW | DEVICE_MKNOD}, /* pts */
};
/* DevicePolicy=closed of a service: what systemd.resource-control(5) lists. */
static const struct cgroup_device_rule closed_rules[] = {
    {'c', 1, 3, RW | DEVICE_MKNOD},
    {'c', 1, 5, RW | DEVICE_MKNOD},
    {'c', 1, 7, RW | DEVICE_MKNOD},
    {'c', 1, 8, RW | DEVICE_MKNOD},
    {'c', 1, 9, RW | DEVICE_MKNOD},
    {'c', 5, 0, RW | DEVICE_MKNOD},
    {'c', 5, 2, RW | DEVICE_MKNOD},
    {'c', 136, ANY, RW | DEVICE_MKNOD},
};

struct rules {
    struct cgroup_device_rule rule[MAX_RULES];
    size_t count;
};

static void add_rule(struct rules *r, char type, int64_t major_number, int64_t minor_number, uint8_t access) {
    if (r->count < MAX_RULES && access != 0)
        r->rule[r->count++] = (struct cgroup_device_rule){type, major_number, minor_number, access};
}

static uint8_t access_bits(bool can_read, bool can_write, bool can_mknod) {
    return (uint8_t)((can_read ? DEVICE_READ : 0) | (can_write ? DEVICE_WRITE : 0) |
                     (can_mknod ? DEVICE_MKNOD : 0));
}

static int add_node(struct rules *r, const char *path, uint8_t access) {
    struct stat st;

    if (stat(path, &st) < 0)
        return negative_errno();
    if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
        return -ENODEV;
    add_rule(r, S_ISCHR(st.st_mode) ? 'c' : 'b', major(st.st_rdev), minor(st.st_rdev), access);
    return 0;
}

/* "char-pts", "block-*": groups of /proc/devices. */
static int add_group(struct rules *r, char type, const char *pattern, uint8_t access) {
    _cleanup_free_ char *text = NULL;
    bool in_section = false, found = false;

    if (streq(pattern, "*")) {
        add_rule(r, type, ANY, ANY, access);
        return 0;
    }
    int e = file_read(AT_FDCWD, "/proc/devices", 256 * 1024, &text, NULL);
    if (e < 0)
        return e;
    for (char *line = text, *next; *line; line = next) {
        next = strchrnul(line, '\n');
        if (*next)
            *next++ = '\0';
        if (startswith(line, "Character devices")) {
            in_section = type == 'c';
        } else if (startswith(line, "Block devices")) {
            in_section = type == 'b';
        } else if (in_section) {
            /* "  5 /dev/tty": number, blank, name */
            char *name;
            long number = strtol(line, &name, 10);
            if (name == line || *name != ' ' || fnmatch(pattern, name + 1, 0) != 0)
                continue;
            add_rule(r, type, number, ANY, access);
            found = true;
        }
    }
    return found ? 0 : -ENODEV;
}

static void add_allowed(struct managed_unit *u, struct rules *r, const struct device_allow *d) {
    uint8_t access = access_bits(d->read, d->write, d->mknod);
    const char *group;
    struct error e = {};
    int result;

    if ((group = startswith(d->specifier, "char-")))
        result = add_group(r, 'c', group, access);
    else if ((group = startswith(d->specifier, "block-")))
        result = add_group(r, 'b', group, access);
    else
        result = add_node(r, d->specifier, access);
    if (result < 0) {
        (void)error_set_errno(&e, result, "DeviceAllow=%s", d->specifier);
        limits_add_problem(u, "DeviceAllow", &e);
    }
}

static void collect_rules(struct managed_unit *u, struct rules *r) {
    const struct unit *config = u->config;

    if (config->container) {
        for (size_t i = 0;
             i < ARRAY_SIZE(container_rules) && config->resources.device_policy != UNIT_DEVICES_STRICT; i++)
            r->rule[r->count++] = container_rules[i];
        for (size_t i = 0; i < config->container->n_devices; i++) {
            const struct device_entry *d = &config->container->devices[i];
            /* A missing one is the launcher's to report: AddDevice=-/dev/x is fine. */
            (void)add_node(r, d->source, access_bits(d->read, d->write, d->mknod));
        }
    } else if (config->resources.device_policy == UNIT_DEVICES_CLOSED) {
        for (size_t i = 0; i < ARRAY_SIZE(closed_rules); i++)
            r->rule[r->count++] = closed_rules[i];
    }
    for (size_t i = 0; i < config->resources.n_device_allow; i++)
        add_allowed(u, r, &config->resources.device_allow[i]);
}

/* ---- problems ---- */

void limits_add_problem(struct managed_unit *u, const char *key, const struct error *e) {
    if (u->n_cgroup_problems >= CGROUP_MAX_PROBLEMS)
        return;
    struct cgroup_problem *grown = reallocarray(u->cgroup_problems, u->n_cgroup_problems + 1, sizeof(*grown));
    if (!grown)
        return;
    u->cgroup_problems = grown;
    grown[u->n_cgroup_problems++] = (struct cgroup_problem){.key = key, .error = *e, .unsupported = true};
}

/* A limit that security or other units depend on and that the kernel does not have stops the start, unless
 * davit.conf allows it to be missing. One that the kernel refused always does: the value is wrong. */
static int check_problems(
    struct managed_unit *u, const struct cgroup_problem *problems, size_t n, struct error *e) {
    for (size_t i = 0; i < n; i++) {
        const struct cgroup_problem *p = &problems[i];
        if (!p->essential || (p->unsupported && u->manager->settings.allow_missing_limits))
            continue;
        *e = p->error;
        if (!p->unsupported)
            return error_prefix(e, -e->number, "%s=", p->key);
        return error_prefix(e, -e->number,
            "%s= cannot be honoured (allow_missing_limits in davit.conf lets it start)", p->key);
    }
    return 0;
}

static bool has_filter(const struct unit *config) {
    return config->container || config->resources.device_policy != UNIT_DEVICES_AUTO ||
           config->resources.n_device_allow > 0;
}

static int copy_io(const struct resource_section *r, struct cgroup_io_limit **ret) {
    struct cgroup_io_limit *io = calloc(MAX(r->n_io, (size_t)1), sizeof(*io));
    if (!io)
        return -ENOMEM;
    for (size_t i = 0; i < r->n_io; i++)
        io[i] = (struct cgroup_io_limit){
            .path = r->io[i].path,
            .read_bps = r->io[i].read_bps,
            .write_bps = r->io[i].write_bps,
            .read_iops = r->io[i].read_iops,
            .write_iops = r->io[i].write_iops,
        };
    *ret = io;
    return 0;
}

static void fill_limits(const struct resource_section *r, struct cgroup_limits *l) {
    /* LIMIT_UNSET and LIMIT_INFINITY have the values of their CGROUP_ counterparts, so they are copied as
     * they are. */
    l->memory_max = r->memory_max;
    l->memory_high = r->memory_high;
    l->memory_low = r->memory_low;
    l->memory_min = r->memory_min;
    l->memory_swap_max = r->memory_swap_max;
    l->cpu_quota_permyriad = r->cpu_quota;
    l->cpu_quota_period = r->cpu_quota_period;
    l->cpu_weight = r->cpu_weight;
    l->tasks_max = r->tasks_max;
    l->io_weight = r->io_weight;
    l->allowed_cpus = r->allowed_cpus;
    l->allowed_memory_nodes = r->allowed_memory_nodes;
    l->oom_group = r->oom_policy == OOM_KILL;
}

int limits_apply(struct managed_unit *u, bool resources, struct error *e) {
    const struct resource_section *r = &u->config->resources;
    struct cgroup_problem *problems = NULL;
    _cleanup_free_ struct cgroup_io_limit *io = NULL;
    struct cgroup_limits l;
    struct rules rules = {};
    size_t n = CGROUP_MAX_PROBLEMS;

    int result = cgroup_create(u->manager->cgroups, u->name, e);
    if (result < 0)
        return result;
    u->resources.cgroup = true;

    free(TAKE_PTR(u->cgroup_problems));
    u->n_cgroup_problems = 0;
    cgroup_limits_init(&l);
    if (resources) {
        result = copy_io(r, &io);
        if (result < 0)
            return error_set_errno(e, result, "control group");
        fill_limits(r, &l);
        l.io = io;
        l.n_io = r->n_io;
    }
    if (has_filter(u->config)) {
        collect_rules(u, &rules);
        l.device_filter = true;
        l.devices = rules.rule;
        l.n_devices = rules.count;
    }
    problems = calloc(CGROUP_MAX_PROBLEMS, sizeof(*problems));
    if (!problems)
        return error_set(e, ENOMEM, "out of memory");
    result = cgroup_apply(u->manager->cgroups, u->name, &l, problems, &n);
    if (n == 0 && result < 0)
        (void)error_set_errno(e, result, "limits of the control group");
    else
        result = check_problems(u, problems, n, e);
    for (size_t i = 0; i < n; i++)
        limits_add_problem(u, problems[i].key, &problems[i].error);
    free(problems);
    return result;
}
