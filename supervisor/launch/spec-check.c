/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a spec must be before anything is done with it: every enum in its range, every descriptor position
 * within what came along, every path absolute and free of "..", every count below what the kernel takes. A
 * spec comes from davitd, which is trusted, but the launcher runs with all privileges and does not rely on
 * it.
 */
#include <limits.h>
#include <linux/filter.h>
#include <linux/ioprio.h>
#include <sched.h>

#include "base/fs.h"
#include "launch/spec.h"

enum {
    MAX_LAYERS = 499,    /* overlayfs: OVL_MAX_STACK, and one is the init layer */
    MAX_ID_RANGES = 340, /* user_namespaces(7) */
    MAX_HOSTNAME = 64,   /* __NEW_UTS_LEN */
    MAX_SUPPLEMENTARY = 1024,
};

static const uint32_t all_namespaces = NS_MOUNT | NS_UTS | NS_IPC | NS_PID | NS_NETWORK | NS_CGROUP | NS_USER;
static const uint32_t all_mount_flags = (MOUNT_UNBINDABLE << 1) - 1;

#define BAD(e, ...) error_set((e), EBADMSG, __VA_ARGS__)

static int check_path(const char *path, const char *what, struct error *e) {
    if (!path || !path_is_absolute(path) || !path_is_normalized(path))
        return BAD(e, "%s must be an absolute path without \"..\", not \"%s\"", what, path ? path : "");
    return 0;
}

static int check_optional_path(const char *path, const char *what, struct error *e) {
    return path ? check_path(path, what, e) : 0;
}

static int check_paths(char *const *paths, const char *what, struct error *e) {
    STRV_FOREACH (p, paths) {
        int r = check_path(*p, what, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_positions(const struct container_spec *s, size_t n_fds, struct error *e) {
    const int32_t positions[] = {
        s->join_pidfd, s->stdin_fd, s->stdout_fd, s->stderr_fd, s->terminal_fd, s->pass_fd};

    for (size_t i = 0; i < ARRAY_SIZE(positions); i++)
        if (positions[i] < -1 || (positions[i] >= 0 && (size_t)positions[i] >= n_fds))
            return BAD(e, "descriptor %d of %zu asked for", positions[i], n_fds);
    if (s->kind == SPEC_EXEC && s->join_pidfd < 0)
        return BAD(e, "no process to join");
    return 0;
}

static int check_id_map(const struct spec_id_range *map, uint32_t n, const char *what, struct error *e) {
    if (n > MAX_ID_RANGES)
        return BAD(e, "%s of %u ranges, more than %d", what, n, MAX_ID_RANGES);
    for (uint32_t i = 0; i < n; i++)
        /* The last id, 4294967295, is no id: it means "leave as it is" to the kernel. */
        if (map[i].count == 0 || map[i].inside > UINT32_MAX - map[i].count ||
            map[i].outside > UINT32_MAX - map[i].count)
            return BAD(e, "%s with a bad range %u:%u:%u", what, map[i].inside, map[i].outside, map[i].count);
    return 0;
}

static bool maps_root(const struct spec_id_range *map, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (map[i].inside == 0)
            return true;
    return false;
}

static int check_namespaces(const struct container_spec *s, struct error *e) {
    if (s->namespaces & ~all_namespaces)
        return BAD(e, "unknown namespaces 0x%x", s->namespaces & ~all_namespaces);
    int r = check_id_map(s->uid_map, s->n_uid_map, "uid map", e);
    if (r >= 0)
        r = check_id_map(s->gid_map, s->n_gid_map, "gid map", e);
    if (r < 0 || s->kind != SPEC_CONTAINER)
        return r;
    if (!(s->namespaces & NS_MOUNT))
        return BAD(e, "a container needs a mount namespace of its own");
    if (!(s->namespaces & NS_USER) && (s->n_uid_map > 0 || s->n_gid_map > 0))
        return BAD(e, "id maps without a user namespace");
    if ((s->namespaces & NS_USER) &&
        (!maps_root(s->uid_map, s->n_uid_map) || !maps_root(s->gid_map, s->n_gid_map)))
        return BAD(e, "the id maps do not map root");
    return 0;
}

static int check_mounts(const struct container_spec *s, struct error *e) {
    for (uint32_t i = 0; i < s->n_mounts; i++) {
        const struct spec_mount *m = &s->mounts[i];

        if (m->kind >= _SPEC_MOUNT_KIND_COUNT || (m->flags & ~all_mount_flags))
            return BAD(e, "unknown kind or flags of a mount (%u, 0x%x)", m->kind, m->flags);
        int r = check_path(m->target, "target of a mount", e);
        if (r >= 0 && (m->kind == MOUNT_BIND || m->kind == MOUNT_DEVICE))
            r = check_path(m->source, "source of a mount", e);
        if (r >= 0 && m->kind == MOUNT_DEVICE && (isempty(m->options) || m->options[0] == ','))
            return BAD(e, "no file system type for %s", m->source);
        if (r < 0)
            return r;
        if (strspn(m->target, "/") == strlen(m->target))
            return BAD(e, "nothing can be mounted at \"%s\"", m->target);
    }
    for (uint32_t i = 0; i < s->n_devices; i++) {
        int r = check_path(s->devices[i].source, "source of a device", e);
        if (r >= 0)
            r = check_path(s->devices[i].target, "target of a device", e);
        if (r < 0)
            return r;
        if (s->devices[i].mode > 07777)
            return BAD(e, "mode of device %s", s->devices[i].target);
    }
    return 0;
}

static int check_files(const struct container_spec *s, struct error *e) {
    for (uint32_t i = 0; i < s->n_files; i++) {
        int r = check_path(s->files[i].path, "a file", e);
        if (r < 0)
            return r;
        if (!s->files[i].content || s->files[i].mode > 07777 || isempty(path_basename(s->files[i].path)))
            return BAD(e, "file %s without content or with a bad mode", s->files[i].path);
    }
    return 0;
}

static int check_rootfs(const struct container_spec *s, struct error *e) {
    size_t n_layers = strv_length(s->layers);

    if (s->tree && (n_layers > 0 || s->upper_dir))
        return BAD(e, "a root file system is either a tree or layers");
    if (!s->tree && (n_layers == 0 || n_layers > MAX_LAYERS))
        return BAD(e, "%zu layers: a root file system has 1 to %d", n_layers, MAX_LAYERS);
    int r = check_paths(s->layers, "a layer", e);
    if (r >= 0)
        r = check_optional_path(s->tree, "the tree of a root file system", e);
    if (r >= 0)
        r = check_optional_path(s->upper_dir, "the upper directory", e);
    if (r >= 0)
        r = check_files(s, e);
    if (r >= 0)
        r = check_mounts(s, e);
    if (r >= 0)
        r = check_paths(s->masked_paths, "a masked path", e);
    if (r >= 0)
        r = check_paths(s->read_only_paths, "a read-only path", e);
    if (r >= 0)
        r = check_optional_path(s->notify_socket, "the notify socket", e);
    if (r < 0)
        return r;
    if (s->hostname && (isempty(s->hostname) || strlen(s->hostname) > MAX_HOSTNAME))
        return BAD(e, "host name of %zu bytes: 1 to %d are possible", strlen(s->hostname), MAX_HOSTNAME);
    for (uint32_t i = 0; i < s->n_sysctls; i++)
        if (isempty(s->sysctls[i].key) || !s->sysctls[i].value)
            return BAD(e, "sysctl without key or value");
    return 0;
}

static int check_scheduling(const struct container_spec *s, struct error *e) {
    bool real_time = s->cpu_policy == SCHED_FIFO || s->cpu_policy == SCHED_RR;

    if (s->nice != INT32_MIN && (s->nice < -20 || s->nice > 19))
        return BAD(e, "nice value %d", s->nice);
    if (!real_time && s->cpu_policy != SCHED_OTHER && s->cpu_policy != SCHED_BATCH &&
        s->cpu_policy != SCHED_IDLE)
        return BAD(e, "scheduling policy %u", s->cpu_policy);
    if (real_time ? s->cpu_priority < 1 || s->cpu_priority > 99 : s->cpu_priority != 0)
        return BAD(e, "scheduling priority %u", s->cpu_priority);
    if (s->io_priority > IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, IOPRIO_NR_LEVELS - 1) ||
        IOPRIO_PRIO_DATA(s->io_priority) >= IOPRIO_NR_LEVELS)
        return BAD(e, "I/O priority %u", s->io_priority);
    return 0;
}

static int check_process(const struct container_spec *s, struct error *e) {
    if (s->kind == SPEC_TASK ? strv_length(s->argv) != 2 : isempty(s->argv ? s->argv[0] : NULL))
        return BAD(e, "no command");
    if (s->kind == SPEC_TASK && (s->task == TASK_NONE || s->task >= _SPEC_TASK_COUNT))
        return BAD(e, "unknown task %u", s->task);
    if (strv_length(s->groups) > MAX_SUPPLEMENTARY)
        return BAD(e, "more than %d supplementary groups", MAX_SUPPLEMENTARY);
    for (uint32_t i = 0; i < s->n_rlimits; i++)
        if (s->rlimits[i].resource >= RLIM_NLIMITS || s->rlimits[i].soft > s->rlimits[i].hard)
            return BAD(e, "bad resource limit %u", s->rlimits[i].resource);
    if (s->oom_score_adjust != INT32_MIN && (s->oom_score_adjust < -1000 || s->oom_score_adjust > 1000))
        return BAD(e, "OOM score adjustment %d", s->oom_score_adjust);
    int r = check_scheduling(s, e);
    if (r < 0)
        return r;
    if (s->umask != UINT32_MAX && s->umask > 07777)
        return BAD(e, "umask 0%o", s->umask);
    if (s->seccomp_size % sizeof(struct sock_filter) != 0 ||
        s->seccomp_size / sizeof(struct sock_filter) > BPF_MAXINSNS)
        return BAD(e, "system call filter of %u bytes", s->seccomp_size);
    r = check_optional_path(s->program, "the program", e);
    return r < 0 ? r : check_optional_path(s->working_dir, "the working directory", e);
}

int spec_check(const struct container_spec *s, size_t n_fds, struct error *e) {
    if (s->kind >= _SPEC_KIND_COUNT)
        return BAD(e, "unknown kind of request (%u)", s->kind);
    int r = check_positions(s, n_fds, e);
    if (r >= 0)
        r = check_namespaces(s, e);
    if (r >= 0)
        r = check_optional_path(s->cgroup_unified, "the control group", e);
    if (r >= 0)
        r = check_paths(s->cgroup_v1_tasks, "a tasks file", e);
    if (r >= 0 && (s->kind == SPEC_CONTAINER || s->kind == SPEC_FILL))
        r = check_rootfs(s, e);
    if (r >= 0)
        r = check_process(s, e);
    return r;
}
