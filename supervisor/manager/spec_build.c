/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * struct unit + what prepare_start() made -> struct container_spec: nothing is left for the launcher to
 * guess. The rules about what wins over what (Entrypoint=, Exec=, the image) are podman's.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/fs.h"
#include "base/parse.h"
#include "manager/spec_internal.h"
#include "unit/expand.h"

#define CAP(n) (UINT64_C(1) << (n))

/* What podman gives to a container by default (runtimes.md 4.1). */
static const uint64_t default_capabilities = CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_FOWNER) |
                                             CAP(CAP_FSETID) | CAP(CAP_KILL) | CAP(CAP_NET_BIND_SERVICE) |
                                             CAP(CAP_SETFCAP) | CAP(CAP_SETGID) | CAP(CAP_SETPCAP) |
                                             CAP(CAP_SETUID) | CAP(CAP_SYS_CHROOT);

/* systemd's default: many descriptors for who asks, 1024 for programs that use select(2). */
#define NOFILE_SOFT 1024
#define NOFILE_HARD 524288

/* ---- image ---- */

int spec_image(struct managed_unit *u, const struct image **ret, struct error *e) {
    if (!u->resources.image) {
        struct image *image = calloc(1, sizeof(*image));
        const char *name = NULL;
        int r = image ? images_name(u, &name, e) : error_set(e, ENOMEM, "out of memory");
        if (r >= 0)
            r = images_find(u->manager, name, image, e);
        if (r < 0) {
            free(image);
            return r;
        }
        u->resources.image = image;
    }
    *ret = u->resources.image;
    return 0;
}

/* Of use only until the spec is made; a restarted davitd resolves it again. */
static void forget_image(struct managed_unit *u) {
    if (!u->resources.image)
        return;
    image_done(u->resources.image);
    free(TAKE_PTR(u->resources.image));
}

/* The caller of prepare_*_spec() owns what it gets: the spec, and descriptors of its own. */
int spec_hand_over(struct container_spec *s, int r, struct container_spec *ret, int *fds, size_t n_fds,
    size_t *ret_n_fds, struct error *e) {
    int copies[SPEC_MAX_FDS];
    size_t n = 0;

    for (; r >= 0 && n < n_fds; n++) {
        copies[n] = fcntl(fds[n], F_DUPFD_CLOEXEC, 3);
        if (copies[n] < 0) {
            r = error_set_errno(e, errno, "copying descriptors for the launcher");
            break;
        }
    }
    if (r < 0) {
        while (n > 0)
            (void)close(copies[--n]);
        spec_done(s);
        return r;
    }
    memcpy(fds, copies, n * sizeof(*fds));
    *ret = *s;
    *ret_n_fds = n;
    return 0;
}

/* ---- small parts ---- */

static bool is_host_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

int spec_default_hostname(const char *unit, char **ret) {
    const char *dot = strrchr(unit, '.');
    size_t n = MIN(dot ? (size_t)(dot - unit) : strlen(unit), (size_t)63);
    char *name = malloc(n + sizeof("container"));
    size_t length = 0;

    if (!name)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (is_host_character(unit[i]))
            name[length++] = unit[i];
        else if (length > 0 && name[length - 1] != '-')
            name[length++] = '-';
    }
    while (length > 0 && name[length - 1] == '-')
        length--;
    name[length] = '\0';
    if (length == 0)
        memcpy(name, "container", sizeof("container"));
    *ret = name;
    return 0;
}

int32_t spec_add_fd(int fd, int *fds, size_t *n_fds) {
    if (fd < 0)
        return -1;
    for (size_t i = 0; i < *n_fds; i++) {
        if (fds[i] == fd)
            return (int32_t)i;
    }
    if (*n_fds >= SPEC_MAX_FDS)
        return -1;
    fds[*n_fds] = fd;
    return (int32_t)(*n_fds)++;
}

uint64_t spec_own_capabilities(void) {
    static uint64_t own;
    static bool known;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

    if (!known && syscall(SYS_capget, &header, data) == 0) {
        own = data[0].permitted | (uint64_t)data[1].permitted << 32;
        known = true;
    }
    return own;
}

int spec_capabilities(const struct container_section *c, uint64_t *ret, struct error *e) {
    uint64_t own = spec_own_capabilities(), wanted;

    if (c->drop_capabilities == UINT64_MAX)
        wanted = c->add_capabilities;
    else if (c->add_capabilities == UINT64_MAX)
        wanted = own & ~c->drop_capabilities;
    else
        wanted = (default_capabilities | c->add_capabilities) & ~c->drop_capabilities;

    /* What was asked for by name and cannot be had is an error; of the defaults we give what there is. */
    if (c->add_capabilities != UINT64_MAX && (wanted & c->add_capabilities & ~own) != 0)
        return error_set(e, EPERM, "AddCapability=: davit itself runs without capability number %d",
            __builtin_ctzll(wanted & c->add_capabilities & ~own));
    *ret = wanted & own;
    return 0;
}

static int add_rlimit(struct container_spec *s, uint32_t resource, uint64_t soft, uint64_t hard) {
    for (uint32_t i = 0; i < s->n_rlimits; i++) {
        if (s->rlimits[i].resource == resource) {
            s->rlimits[i] = (struct spec_rlimit){resource, soft, hard};
            return 0;
        }
    }
    struct spec_rlimit *grown = reallocarray(s->rlimits, s->n_rlimits + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    s->rlimits = grown;
    grown[s->n_rlimits++] = (struct spec_rlimit){resource, soft, hard};
    return 0;
}

/* The hard limit that we were started with: nobody below us can have more without CAP_SYS_RESOURCE. */
static uint64_t own_nofile_limit(void) {
    static struct rlimit limit;

    if (limit.rlim_max == 0 && getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return NOFILE_SOFT;
    return limit.rlim_max;
}

int spec_add_rlimits(struct container_spec *s, const struct ulimit *l, size_t n) {
    uint64_t hard = MIN((uint64_t)NOFILE_HARD, own_nofile_limit());

    int r = add_rlimit(s, RLIMIT_NOFILE, MIN((uint64_t)NOFILE_SOFT, hard), hard);
    for (size_t i = 0; i < n && r >= 0; i++)
        r = add_rlimit(s, (uint32_t)l[i].resource, l[i].soft, l[i].hard);
    return r;
}

/* davit itself may be protected from the OOM killer; what it runs is not, unless asked for. */
static int32_t oom_score(const struct unit *config) {
    static int32_t own = INT32_MIN;
    _cleanup_free_ char *text = NULL;

    if (config->resources.oom_score_adjust != INT32_MIN)
        return config->resources.oom_score_adjust;
    if (own == INT32_MIN && file_read_line(AT_FDCWD, "/proc/self/oom_score_adj", &text) >= 0)
        own = (int32_t)strtol(text, NULL, 10);
    return own == 0 || own == INT32_MIN ? INT32_MIN : 0;
}

static void set_scheduling(const struct resource_section *r, struct container_spec *s) {
    static const int policies[] = {SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_FIFO, SCHED_RR};
    static const int classes[] = {IOPRIO_CLASS_NONE, IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE};
    int io_class = classes[r->io_class];

    s->nice = r->nice;
    s->cpu_policy = (uint32_t)policies[r->cpu_policy];
    if (r->cpu_policy == CPU_FIFO || r->cpu_policy == CPU_RR)
        s->cpu_priority = r->cpu_priority == INT32_MIN ? 1 : (uint32_t)r->cpu_priority;
    /* systemd.exec(5): a priority alone is one of the class best-effort. */
    if (io_class == IOPRIO_CLASS_NONE && r->io_priority != INT32_MIN)
        io_class = IOPRIO_CLASS_BE;
    if (io_class != IOPRIO_CLASS_NONE)
        s->io_priority =
            IOPRIO_PRIO_VALUE((uint32_t)io_class, io_class == IOPRIO_CLASS_IDLE ? 0u
                                                  : r->io_priority == INT32_MIN ? (uint32_t)IOPRIO_BE_NORM
                                                                                : (uint32_t)r->io_priority);
}

int spec_common(struct managed_unit *u, struct container_spec *s, int *fds, size_t *n_fds, struct error *e) {
    s->unit = strdup(u->name);
    s->invocation = u->invocation[0] ? strdup(u->invocation) : NULL;
    if (!s->unit || (u->invocation[0] && !s->invocation))
        return error_set(e, ENOMEM, "out of memory");
    if (u->resources.cgroup) {
        int r = cgroup_paths(u->manager->cgroups, u->name, &s->cgroup_unified, &s->cgroup_v1_tasks);
        if (r < 0)
            return error_set_errno(e, r, "control group of %s", u->name);
    }
    s->stdin_fd = -1;
    s->stdout_fd = s->stderr_fd = spec_add_fd(u->resources.log_fd, fds, n_fds);
    s->oom_score_adjust = oom_score(u->config);
    set_scheduling(&u->config->resources, s);
    return 0;
}

static void use_stdio(const struct unit_stdio *io, struct container_spec *s, int *fds, size_t *n_fds) {
    s->terminal_fd = spec_add_fd(io->terminal_fd, fds, n_fds);
    if (io->terminal_fd >= 0) { /* it takes the place of all three, the log's included */
        s->stdin_fd = s->stdout_fd = s->stderr_fd = -1;
        return;
    }
    s->stdin_fd = spec_add_fd(io->stdin_fd, fds, n_fds);
    if (io->stdout_fd >= 0)
        s->stdout_fd = spec_add_fd(io->stdout_fd, fds, n_fds);
    if (io->stderr_fd >= 0)
        s->stderr_fd = spec_add_fd(io->stderr_fd, fds, n_fds);
}

/* ---- command and identity ---- */

/* Entrypoint= replaces the image's, and then the image's Cmd no longer counts; Exec= replaces Cmd. */
static int command_of_container(
    struct managed_unit *u, const struct image *image, char ***ret, struct error *e) {
    const struct container_section *c = u->config->container;
    _cleanup_strv_free_ char **command = NULL, **expanded = NULL, **env = NULL;

    int r = strv_extend(&command, c->entrypoint_set ? c->entrypoint : image->entrypoint);
    if (r < 0)
        return error_set(e, ENOMEM, "out of memory");
    if (c->exec) {
        r = environment_for_expansion(u, &env, e);
        if (r < 0)
            return r;
        r = command_expand(c->exec, env, &expanded);
        if (r < 0)
            return error_set_errno(e, r, "Exec=");
        r = strv_extend(&command, expanded);
    } else if (!c->entrypoint_set) {
        r = strv_extend(&command, image->cmd);
    }
    if (r < 0)
        return error_set(e, ENOMEM, "out of memory");
    if (!command || isempty(command[0]))
        return error_set(
            e, EINVAL, "there is no command: the image names none, and neither Exec= nor Entrypoint= is set");
    *ret = TAKE_PTR(command);
    return 0;
}

/* User= may be "user:group", as in podman and in images. */
static int split_user(const char *text, char **ret_user, char **ret_group) {
    const char *colon = text ? strchr(text, ':') : NULL;

    if (!text)
        return 0;
    *ret_user = colon ? strndup(text, (size_t)(colon - text)) : strdup(text);
    if (!*ret_user)
        return -ENOMEM;
    if (colon && colon[1] && !*ret_group) {
        *ret_group = strdup(colon + 1);
        if (!*ret_group)
            return -ENOMEM;
    }
    return 0;
}

static int identity_of_container(const struct container_section *c, const struct image *image,
    const char *user, struct container_spec *s, struct error *e) {
    const char *written = user ? user : c->user ? c->user : image->user;

    if (!user && c->group && free_and_strdup(&s->group, c->group) < 0)
        return error_set(e, ENOMEM, "out of memory");
    if (split_user(isempty(written) ? NULL : written, &s->user, &s->group) < 0)
        return error_set(e, ENOMEM, "out of memory");
    s->groups = strv_copy(c->group_add);
    if (c->group_add && !s->groups)
        return error_set(e, ENOMEM, "out of memory");
    s->no_new_privileges = c->no_new_privileges;
    return spec_capabilities(c, &s->capabilities, e);
}

static int hostname_of(const struct managed_unit *u, char **ret, struct error *e) {
    const char *written = u->config->container->host_name;

    int r = 0;
    if (!isempty(written)) {
        *ret = strdup(written);
        r = *ret ? 0 : -ENOMEM;
    } else {
        r = spec_default_hostname(u->name, ret);
    }
    return r < 0 ? error_set_errno(e, r, "host name") : 0;
}

/* ---- namespaces and root file system ---- */

static int add_id_maps(const struct managed_unit *u, struct container_spec *s) {
    if (u->resources.id_count == 0)
        return 0;
    const struct spec_id_range range = {0, u->resources.id_base, u->resources.id_count};
    s->uid_map = malloc(sizeof(range));
    s->gid_map = malloc(sizeof(range));
    if (!s->uid_map || !s->gid_map)
        return -ENOMEM;
    *s->uid_map = *s->gid_map = range;
    s->n_uid_map = s->n_gid_map = 1;
    s->namespaces |= NS_USER;
    return 0;
}

static int root_of_container(
    struct managed_unit *u, const struct image *image, struct container_spec *s, struct error *e) {
    const struct container_section *c = u->config->container;
    _cleanup_strv_free_ char **layers = NULL;

    s->namespaces =
        NS_MOUNT | NS_UTS | NS_IPC | NS_PID | NS_CGROUP | (c->network == NETWORK_HOST ? 0 : NS_NETWORK);
    s->layers = strv_copy(image->layers);
    s->read_only = c->read_only;
    /* Thrown away at the end, so that syncing it to disk is of no use to anybody. */
    s->volatile_upper = true;
    s->shm_size = c->shm_size;
    if (add_id_maps(u, s) < 0 || !s->layers || free_and_strdup(&s->upper_dir, u->resources.upper_dir) < 0)
        return error_set(e, ENOMEM, "out of memory");
    if (u->resources.notify_fd >= 0) {
        int r = notify_path(u, &s->notify_socket);
        if (r < 0)
            return error_set_errno(e, r, "notify socket");
    }
    return tree_is_wanted(u, image, &layers) ? tree_of_container(u, s, e) : 0;
}

static int build_container(struct managed_unit *u, const struct image *image, struct container_spec *s,
    int *fds, size_t *n_fds, struct error *e) {
    const struct container_section *c = u->config->container;
    bool terminal = u->stdio && u->stdio->terminal_fd >= 0;

    s->kind = SPEC_CONTAINER;
    int r = spec_common(u, s, fds, n_fds, e);
    if (r >= 0)
        r = root_of_container(u, image, s, e);
    if (r >= 0)
        r = hostname_of(u, &s->hostname, e);
    if (r >= 0)
        r = files_of_container(u, s->hostname, s, e);
    if (r >= 0)
        r = mounts_of_container(u, image, s, e);
    if (r >= 0)
        r = devices_of_container(c, s, e);
    if (r >= 0)
        r = masks_of_container(c, s, e);
    if (r >= 0)
        r = sysctls_of_container(c, s, e);
    if (r >= 0)
        r = command_of_container(u, image, &s->argv, e);
    if (r >= 0)
        r = environment_of_container(u, image, s->hostname, terminal, &s->environment, e);
    if (r >= 0)
        r = identity_of_container(c, image, NULL, s, e);
    if (r < 0)
        return r;
    if (spec_add_rlimits(s, c->ulimits, c->n_ulimits) < 0 ||
        free_and_strdup(&s->working_dir, c->working_dir ? c->working_dir : image->working_dir) < 0)
        return error_set(e, ENOMEM, "out of memory");
    s->run_init = c->run_init;
    if (u->stdio)
        use_stdio(u->stdio, s, fds, n_fds);
    return 0;
}

int prepare_main_spec(struct managed_unit *u, struct container_spec *ret, int fds[static SPEC_MAX_FDS],
    size_t *ret_n_fds, struct error *e) {
    const struct image *image;
    struct container_spec s;
    size_t n_fds = 0;

    spec_init(&s);
    int r;
    if (run_waits_for_stdio(u))
        return error_set(e, ECONNRESET, "its client's input and output went with an earlier davitd");
    if (u->config->type == UNIT_CONTAINER) {
        r = spec_image(u, &image, e);
        if (r >= 0)
            r = build_container(u, image, &s, fds, &n_fds, e);
    } else {
        r = spec_of_service(u, &s, fds, &n_fds, e);
    }
    r = spec_hand_over(&s, r, ret, fds, n_fds, ret_n_fds, e);
    if (r >= 0)
        forget_image(u);
    return r;
}

/* ---- davit exec ---- */

static int build_exec(struct managed_unit *u, const struct exec_request *x, const struct image *image,
    struct container_spec *s, int *fds, size_t *n_fds, struct error *e) {
    const struct container_section *c = u->config->container;
    _cleanup_free_ char *hostname = NULL;

    s->kind = SPEC_EXEC;
    int r = spec_common(u, s, fds, n_fds, e);
    if (r >= 0)
        r = hostname_of(u, &hostname, e);
    if (r >= 0)
        r = environment_of_container(u, image, hostname, x->terminal_fd >= 0, &s->environment, e);
    if (r >= 0)
        r = identity_of_container(c, image, x->user, s, e);
    if (r < 0)
        return r;
    STRV_FOREACH (assignment, x->environment) {
        const char *value = strchr(*assignment, '=');
        _cleanup_free_ char *name =
            strndup(*assignment, value ? (size_t)(value - *assignment) : strlen(*assignment));
        if (!name || strv_env_set(&s->environment, name, value ? value + 1 : "") < 0)
            return error_set(e, ENOMEM, "out of memory");
    }
    if (x->privileged)
        s->capabilities = spec_own_capabilities();
    s->argv = strv_copy(x->argv);
    const char *directory = x->working_dir   ? x->working_dir
                            : c->working_dir ? c->working_dir
                                             : image->working_dir;
    if (!s->argv || free_and_strdup(&s->working_dir, directory) < 0 ||
        spec_add_rlimits(s, c->ulimits, c->n_ulimits) < 0)
        return error_set(e, ENOMEM, "out of memory");
    s->join_pidfd = spec_add_fd(u->main->pidfd, fds, n_fds);
    const struct unit_stdio io = {x->stdin_fd, x->stdout_fd, x->stderr_fd, x->terminal_fd};
    use_stdio(&io, s, fds, n_fds);
    return 0;
}

int prepare_exec_spec(struct managed_unit *u, const struct exec_request *x, struct container_spec *ret,
    int fds[static SPEC_MAX_FDS], size_t *ret_n_fds, struct error *e) {
    const struct image *image;
    struct container_spec s;
    size_t n_fds = 0;

    if (u->config->type != UNIT_CONTAINER)
        return error_set(e, EINVAL, "%s is not a container", u->name);
    if (!u->main || u->main->pidfd < 0)
        return error_set(e, ESRCH, "%s is not running", u->name);
    spec_init(&s);
    int r = spec_image(u, &image, e);
    if (r >= 0)
        r = build_exec(u, x, image, &s, fds, &n_fds, e);
    forget_image(u);
    return spec_hand_over(&s, r, ret, fds, n_fds, ret_n_fds, e);
}
