/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mounts, devices, masked paths and sysctls of a container. */
#include <fnmatch.h>
#include <glob.h>
#include <limits.h>

#include "base/fs.h"
#include "manager/spec_internal.h"

/* ---- mounts ---- */

static struct spec_mount *new_mount(struct container_spec *s, enum spec_mount_kind kind, const char *target) {
    struct spec_mount *grown = reallocarray(s->mounts, s->n_mounts + 1, sizeof(*grown));
    if (!grown)
        return NULL;
    s->mounts = grown;
    struct spec_mount *m = &grown[s->n_mounts];
    *m = (struct spec_mount){.kind = kind, .target = strdup(target)};
    if (!m->target)
        return NULL;
    (void)path_simplify(m->target);
    s->n_mounts++;
    return m;
}

static uint32_t common_flags(const struct volume_mount *v) {
    return (v->read_only ? MOUNT_READ_ONLY : 0u) | (v->no_exec ? MOUNT_NOEXEC : 0u) |
           (v->no_suid ? MOUNT_NOSUID : 0u) | (v->no_dev ? MOUNT_NODEV : 0u) |
           (v->recursive ? MOUNT_RECURSIVE : 0u) | (v->chown ? MOUNT_CHOWN : 0u) |
           (v->create_source ? MOUNT_CREATE_SOURCE : 0u) | (v->optional ? MOUNT_OPTIONAL : 0u) |
           (v->propagation == 's' ? MOUNT_SHARED : 0u) | (v->propagation == 'l' ? MOUNT_SLAVE : 0u) |
           (v->propagation == 'u' ? MOUNT_UNBINDABLE : 0u);
}

/* In a user namespace everything of the host is mounted through the container's id map: what its root writes
 * is root's on disk, as it is without one. */
static uint32_t idmap_flag(const struct managed_unit *u) {
    return u->resources.id_count > 0 ? MOUNT_IDMAP : 0;
}

static int add_named(
    struct managed_unit *u, const struct volume_mount *v, struct container_spec *s, struct error *e) {
    struct volume_source source;

    int r = volume_resolve(u->manager, v->source, &source, e);
    if (r < 0)
        return r;
    enum spec_mount_kind kind = source.device ? MOUNT_DEVICE : source.path ? MOUNT_BIND : MOUNT_TMPFS;
    struct spec_mount *m = new_mount(s, kind, v->target);
    if (m) {
        m->flags = common_flags(v);
        m->source = TAKE_PTR(source.path);
        m->options = TAKE_PTR(source.options);
        m->owner_uid = source.uid;
        m->owner_gid = source.gid;
        if (m->kind != MOUNT_TMPFS)
            m->flags |= idmap_flag(u);
        /* A file system of its own starts out as root's. */
        if (m->kind == MOUNT_DEVICE && (source.uid != 0 || source.gid != 0))
            m->flags |= MOUNT_CHOWN;
        if (m->kind == MOUNT_BIND && source.copy && !v->no_copy)
            m->flags |= MOUNT_COPY_UP;
    }
    volume_source_done(&source);
    return m ? 0 : error_set(e, ENOMEM, "out of memory");
}

/* The n-th anonymous volume of the unit, made by prepare_start(). */
static int add_anonymous(struct managed_unit *u, size_t n, const char *target, uint32_t flags,
    struct container_spec *s, struct error *e) {
    if (n >= strv_length(u->resources.anonymous_volumes))
        return error_set(e, EIO, "anonymous volume for %s was not prepared", target);
    struct spec_mount *m = new_mount(s, MOUNT_BIND, target);
    if (!m)
        return error_set(e, ENOMEM, "out of memory");
    m->source = strf("%s/volumes/%s/_data", u->manager->paths.state, u->resources.anonymous_volumes[n]);
    m->flags = flags | idmap_flag(u);
    return m->source ? 0 : error_set(e, ENOMEM, "out of memory");
}

static int add_other(
    struct managed_unit *u, const struct volume_mount *v, struct container_spec *s, struct error *e) {
    static const enum spec_mount_kind kinds[] = {
        [VOLUME_HOST_PATH] = MOUNT_BIND,
        [VOLUME_TMPFS] = MOUNT_TMPFS,
        [VOLUME_DEVPTS] = MOUNT_DEVPTS,
        [VOLUME_MQUEUE] = MOUNT_MQUEUE,
    };
    struct spec_mount *m = new_mount(s, kinds[v->kind], v->target);
    if (!m)
        return error_set(e, ENOMEM, "out of memory");
    m->flags = common_flags(v) | (m->kind == MOUNT_BIND ? idmap_flag(u) : 0u);
    if (free_and_strdup(&m->source, v->source) < 0 || free_and_strdup(&m->options, v->options) < 0)
        return error_set(e, ENOMEM, "out of memory");
    return 0;
}

static bool has_target(const struct container_spec *s, const char *target) {
    for (uint32_t i = 0; i < s->n_mounts; i++) {
        if (streq(s->mounts[i].target, target))
            return true;
    }
    return false;
}

/* ReadOnlyTmpfs=: places that programs write to even when they are told that nothing is writable. /dev and
 * /dev/shm are tmpfs in every container. */
static int add_read_only_tmpfs(const struct container_section *c, struct container_spec *s) {
    static const struct {
        const char *target, *options;
    } table[] = {
        {"/run", "mode=755"},
        {"/tmp", "mode=1777"},
        {"/var/tmp", "mode=1777"},
    };

    if (!c->read_only || !c->read_only_tmpfs)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        if (has_target(s, table[i].target))
            continue;
        struct spec_mount *m = new_mount(s, MOUNT_TMPFS, table[i].target);
        if (!m)
            return -ENOMEM;
        m->flags = MOUNT_NOSUID | MOUNT_NODEV;
        m->options = strdup(table[i].options);
        if (!m->options)
            return -ENOMEM;
    }
    return 0;
}

/* Timezone=: the host's file for that zone over /etc/localtime. */
static int add_timezone(const struct container_section *c, struct container_spec *s, struct error *e) {
    if (isempty(c->timezone) || has_target(s, "/etc/localtime"))
        return 0;
    bool local = streq(c->timezone, "local");
    _cleanup_free_ char *path =
        local ? strdup("/etc/localtime") : strf("/usr/share/zoneinfo/%s", c->timezone);
    if (!path)
        return error_set(e, ENOMEM, "out of memory");
    if (!path_is_normalized(path))
        return error_set(e, EINVAL, "Timezone=%s is not the name of a time zone", c->timezone);

    char *real = realpath(path, NULL);
    if (!real && local && errno == ENOENT)
        return 0; /* a host without one is on UTC, and so is the container */
    if (!real)
        return error_set_errno(e, errno, "Timezone=%s: %s", c->timezone, path);
    struct spec_mount *m = new_mount(s, MOUNT_BIND, "/etc/localtime");
    if (!m) {
        free(real);
        return error_set(e, ENOMEM, "out of memory");
    }
    m->source = real;
    m->flags = MOUNT_READ_ONLY | MOUNT_NOSUID | MOUNT_NODEV | MOUNT_NOEXEC;
    return 0;
}

bool image_volume_is_used(const struct container_section *c, const char *target) {
    for (size_t i = 0; i < c->n_volumes; i++) {
        if (streq(c->volumes[i].target, target))
            return false;
    }
    return true;
}

/* What the image's maker declared as data: after the unit's own anonymous volumes, in the image's order. */
static int add_image_volumes(struct managed_unit *u, const struct image *image, size_t first,
    struct container_spec *s, struct error *e) {
    STRV_FOREACH (target, image->volumes) {
        if (!image_volume_is_used(u->config->container, *target))
            continue;
        int r = add_anonymous(u, first++, *target, MOUNT_NOSUID | MOUNT_NODEV | MOUNT_COPY_UP, s, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int compare_mounts(const void *a, const void *b) {
    return strcmp(((const struct spec_mount *)a)->target, ((const struct spec_mount *)b)->target);
}

int mounts_of_container(
    struct managed_unit *u, const struct image *image, struct container_spec *s, struct error *e) {
    const struct container_section *c = u->config->container;
    size_t anonymous = 0;
    int r = 0;

    for (size_t i = 0; i < c->n_volumes && r >= 0; i++) {
        const struct volume_mount *v = &c->volumes[i];
        if (v->kind == VOLUME_NAMED)
            r = add_named(u, v, s, e);
        else if (v->kind == VOLUME_ANONYMOUS)
            r = add_anonymous(
                u, anonymous++, v->target, common_flags(v) | (v->no_copy ? 0u : MOUNT_COPY_UP), s, e);
        else
            r = add_other(u, v, s, e);
    }
    if (r >= 0)
        r = add_image_volumes(u, image, anonymous, s, e);
    if (r < 0)
        return r;
    /* By fill.c: the launcher shall not be kept from its work. */
    for (uint32_t i = 0; i < s->n_mounts && u->volumes_filled; i++)
        s->mounts[i].flags &= ~(uint32_t)MOUNT_COPY_UP;
    r = add_read_only_tmpfs(c, s);
    if (r < 0)
        return error_set_errno(e, r, "mounts");
    r = add_timezone(c, s, e);
    if (r < 0)
        return r;

    /* A parent's path is a prefix of its children's, so it sorts before them. */
    if (s->n_mounts > 1)
        qsort(s->mounts, s->n_mounts, sizeof(*s->mounts), compare_mounts);
    for (uint32_t i = 1; i < s->n_mounts; i++) {
        if (streq(s->mounts[i - 1].target, s->mounts[i].target))
            return error_set(e, EINVAL, "two mounts at %s", s->mounts[i].target);
    }
    return 0;
}

/* ---- devices ---- */

int devices_of_container(const struct container_section *c, struct container_spec *s, struct error *e) {
    if (c->n_devices == 0)
        return 0;
    s->devices = calloc(c->n_devices, sizeof(*s->devices));
    if (!s->devices)
        return error_set(e, ENOMEM, "out of memory");
    for (size_t i = 0; i < c->n_devices; i++) {
        struct spec_device *d = &s->devices[s->n_devices++];
        const struct device_entry *from = &c->devices[i];
        d->source = strdup(from->source);
        d->target = strdup(from->target ? from->target : from->source);
        d->optional = from->optional;
        if (!d->source || !d->target)
            return error_set(e, ENOMEM, "out of memory");
    }
    return 0;
}

/* ---- masked and read-only paths: podman's lists (runtimes.md 4.2) ---- */

static const char *const masked[] = {
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
};
static const char *const read_only[] = {
    "/proc/asound",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
};

/* Each CPU has one; which there are does not change while we run. */
static char *const *thermal_paths(void) {
    static char **found;
    static bool looked;
    glob_t matches;

    if (!looked && glob("/sys/devices/system/cpu/cpu*/thermal_throttle", GLOB_NOSORT, NULL, &matches) == 0) {
        for (size_t i = 0; i < matches.gl_pathc; i++)
            (void)strv_append(&found, matches.gl_pathv[i]);
        globfree(&matches);
    }
    looked = true;
    return found;
}

/* Calls for each path of a colon list. Returns the first -errno of add. */
static int each_path(const char *list, int (*add)(void *data, const char *path), void *data) {
    while (*list) {
        size_t n = strcspn(list, ":");
        _cleanup_free_ char *path = strndup(list, n);
        if (!path)
            return -ENOMEM;
        int r = n == 0 ? 0 : add(data, path);
        if (r < 0)
            return r;
        list += n + (list[n] == ':');
    }
    return 0;
}

static int add_path(void *data, const char *path) {
    char ***list = data;
    return strv_contains(*list, path) ? 0 : strv_append(list, path);
}

/* A pattern of Unmask=, also "ALL". */
static int remove_pattern(void *data, const char *pattern) {
    char **list = *(char ***)data;
    size_t kept = 0;

    for (size_t i = 0; list && list[i]; i++) {
        if (strcasecmp(pattern, "ALL") == 0 || fnmatch(pattern, list[i], FNM_PATHNAME) == 0)
            free(list[i]);
        else
            list[kept++] = list[i];
    }
    if (list)
        list[kept] = NULL;
    return 0;
}

int masks_of_container(const struct container_section *c, struct container_spec *s, struct error *e) {
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(masked) && r >= 0; i++)
        r = strv_append(&s->masked_paths, masked[i]);
    STRV_FOREACH (p, thermal_paths())
        r = r < 0 ? r : strv_append(&s->masked_paths, *p);
    for (size_t i = 0; i < ARRAY_SIZE(read_only) && r >= 0; i++)
        r = strv_append(&s->read_only_paths, read_only[i]);

    STRV_FOREACH (list, c->unmask) {
        r = r < 0 ? r : each_path(*list, remove_pattern, &s->masked_paths);
        r = r < 0 ? r : each_path(*list, remove_pattern, &s->read_only_paths);
    }
    STRV_FOREACH (list, c->mask)
        r = r < 0 ? r : each_path(*list, add_path, &s->masked_paths);
    return r < 0 ? error_set_errno(e, r, "masked paths") : 0;
}

/* ---- sysctls ---- */

/* Rule R9: only what belongs to a namespace that is the container's own. */
static const char *const ipc_sysctls[] = {
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
};

static int check_sysctl(const struct container_section *c, const char *key, struct error *e) {
    for (const char *p = key; *p; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                strchr("._-/", *p)))
            return error_set(e, EINVAL, "Sysctl=%s: not the name of a sysctl", key);
    }
    if (strstr(key, "..") || strstr(key, "//") || key[0] == '.' || key[0] == '/')
        return error_set(e, EINVAL, "Sysctl=%s: not the name of a sysctl", key);

    if (startswith(key, "net.") || startswith(key, "net/"))
        return c->network == NETWORK_HOST
                   ? error_set(e, EPERM, "Sysctl=%s would change the host: it has Network=host", key)
                   : 0;
    if (startswith(key, "fs.mqueue.") || streq(key, "kernel.domainname"))
        return 0;
    if (streq(key, "kernel.hostname"))
        return error_set(e, EINVAL, "Sysctl=%s: HostName= sets it", key);
    for (size_t i = 0; i < ARRAY_SIZE(ipc_sysctls); i++) {
        if (streq(key, ipc_sysctls[i]))
            return 0;
    }
    return error_set(e, EPERM, "Sysctl=%s is not part of any namespace, it would change the host", key);
}

static int add_sysctl(struct container_spec *s, const char *key, size_t key_length, const char *value) {
    struct spec_sysctl *grown = reallocarray(s->sysctls, s->n_sysctls + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    s->sysctls = grown;
    grown[s->n_sysctls] = (struct spec_sysctl){.key = strndup(key, key_length), .value = strdup(value)};
    struct spec_sysctl *added = &grown[s->n_sysctls++];
    return added->key && added->value ? 0 : -ENOMEM;
}

int sysctls_of_container(const struct container_section *c, struct container_spec *s, struct error *e) {
    STRV_FOREACH (entry, c->sysctl) {
        const char *value = strchr(*entry, '=');
        if (!value || value == *entry)
            return error_set(e, EINVAL, "Sysctl=%s: KEY=VALUE is expected", *entry);
        _cleanup_free_ char *key = strndup(*entry, (size_t)(value - *entry));
        if (!key)
            return error_set(e, ENOMEM, "out of memory");
        int r = check_sysctl(c, key, e);
        if (r < 0)
            return r;
        if (add_sysctl(s, key, strlen(key), value + 1) < 0)
            return error_set(e, ENOMEM, "out of memory");
    }
    return 0;
}
