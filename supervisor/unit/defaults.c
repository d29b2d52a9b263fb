/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * After the files are read: defaults that depend on the unit, dependencies that follow from other keys, and
 * checks that need more than one key. systemd.service(5) and podman-systemd.unit(5) for the rules.
 */
#include <signal.h>

#include "unit/key.h"
#include "unit/limits.h"
#include "unit/name.h"

#define PODMAN_PIDS_LIMIT 2048
#define SERVICE_TASKS_PERCENT 15                 /* DefaultTasksMax= of systemd-system.conf(5) */
#define DEFAULT_STOP_TIMEOUT (10 * USEC_PER_SEC) /* podman-systemd.unit(5) */
#define DEFAULT_TIMEOUT_START (90 * USEC_PER_SEC)

/* A problem of the unit as a whole: no single line is to blame. */
#define REPORT(l, level, section, key, hint, ...) \
    load_problem((l), (level), (l)->u->fragment ?: (l)->u->name, 0, (section), (key), (hint), __VA_ARGS__)

static int add_dependency(struct unit *u, enum dependency_kind kind, const char *name) {
    char ***list = &u->unit.dependencies[kind];
    if (streq(name, u->name) || strv_contains(*list, name))
        return 0;
    return strv_append(list, name);
}

/* ---- defaults ---- */

/* systemd-%N, as Quadlet names what it makes; for instances systemd-%p_%i. */
static char *object_name(const struct unit *u) {
    struct name_parts parts;
    if (name_split(u->name, &parts) < 0)
        return NULL;
    if (u->instance)
        return strf("systemd-%.*s_%s", (int)parts.prefix_length, parts.prefix, u->instance);
    return strf("systemd-%.*s", (int)(parts.suffix - u->name), u->name);
}

static int fill_object_name(const struct unit *u, char **name) {
    if (*name)
        return 0;
    *name = object_name(u);
    return *name ? 0 : -ENOMEM;
}

/* Type=notify is what Quadlet gives every container, and podman answers it when the program runs: our
 * SERVICE_EXEC. With Notify=yes the program itself answers. */
static void fill_container_type(struct load *l) {
    struct unit *u = l->u;
    if (load_has(l, "Type") && u->service.type == SERVICE_ONESHOT)
        return;
    u->service.type = u->container->notify ? SERVICE_NOTIFY : SERVICE_EXEC;
}

static int fill_container(struct load *l) {
    struct unit *u = l->u;
    struct container_section *c = u->container;

    fill_container_type(l);
    if (!load_has(l, "KillMode"))
        u->service.kill_mode = KILL_MIXED;
    if (!load_has(l, "OOMPolicy"))
        u->resources.oom_policy = OOM_CONTINUE;
    if (!load_has(l, "NotifyAccess"))
        u->service.notify_access = c->notify ? NOTIFY_ALL : NOTIFY_NONE;
    if (!load_has(l, "TasksMax") && !load_has(l, "PidsLimit"))
        u->resources.tasks_max = PODMAN_PIDS_LIMIT;
    /* podman: --memory limits swap to the same amount; where a machine has swap the limit would mean little
     * otherwise */
    if (load_has(l, "Memory") && !load_has(l, "MemorySwapMax") && u->resources.memory_max != LIMIT_INFINITY)
        u->resources.memory_swap_max = u->resources.memory_max;
    if (!load_has(l, "StopSignal") && load_has(l, "KillSignal"))
        c->stop_signal = u->service.kill_signal;
    /* podman's time to end, unless the file says systemd's: a shell as pid 1 ignores SIGTERM, and 90 s are
     * long. */
    if (!load_has(l, "StopTimeout") && !load_has(l, "TimeoutStopSec") && !load_has(l, "TimeoutSec"))
        c->stop_timeout = DEFAULT_STOP_TIMEOUT;
    return fill_object_name(u, &c->container_name);
}

static void fill_service(struct load *l) {
    struct unit *u = l->u;
    struct service_section *s = &u->service;

    if (!load_has(l, "Type"))
        s->type = s->start.count > 0 ? SERVICE_SIMPLE : SERVICE_ONESHOT;
    if (!load_has(l, "KillMode"))
        s->kill_mode = KILL_CONTROL_GROUP;
    if (!load_has(l, "OOMPolicy"))
        u->resources.oom_policy = OOM_STOP;
    if (!load_has(l, "NotifyAccess"))
        s->notify_access = s->type == SERVICE_NOTIFY || s->type == SERVICE_NOTIFY_RELOAD || s->watchdog > 0
                               ? NOTIFY_MAIN
                               : NOTIFY_NONE;
    if (s->type != SERVICE_NOTIFY_RELOAD)
        s->reload_signal = 0; /* systemd.service(5) */
    else if (s->reload_signal == 0)
        s->reload_signal = SIGHUP;
    if (!load_has(l, "TasksMax")) {
        uint64_t share = machine_tasks_max() * SERVICE_TASKS_PERCENT / 100;
        u->resources.tasks_max = MAX(share, 1u);
    }
}

/* A volume is made once and stays: what Quadlet generates for it is a oneshot that remains. */
static int fill_volume(struct load *l) {
    l->u->service.type = SERVICE_ONESHOT;
    l->u->service.remain_after_exit = true;
    return fill_object_name(l->u, &l->u->volume->volume_name);
}

/* It is fetched and stays, as a volume does. */
static void fill_image(struct load *l) {
    l->u->service.type = SERVICE_ONESHOT;
    l->u->service.remain_after_exit = true;
}

/* davit.conf may have other defaults. */
static void fill_times(struct load *l) {
    struct service_section *s = &l->u->service;
    const struct unit_environment none = {0}, *env = l->env ?: &none;
    bool both = load_has(l, "TimeoutSec");

    if (!both && !load_has(l, "TimeoutStartSec"))
        s->timeout_start = s->type == SERVICE_ONESHOT       ? USEC_INFINITY
                           : env->default_timeout_start > 0 ? env->default_timeout_start
                                                            : DEFAULT_TIMEOUT_START;
    if (!both && env->default_timeout_stop > 0 && !load_has(l, "TimeoutStopSec"))
        s->timeout_stop = env->default_timeout_stop;
    if (!load_has(l, "TimeoutAbortSec"))
        s->timeout_abort = s->timeout_stop;
    if (env->default_restart_sec > 0 && !load_has(l, "RestartSec"))
        s->restart_sec = env->default_restart_sec;
}

static int fill_type_defaults(struct load *l) {
    int r = 0;
    switch (l->u->type) {
    case UNIT_CONTAINER:
        r = fill_container(l);
        break;
    case UNIT_SERVICE:
        fill_service(l);
        break;
    case UNIT_VOLUME:
        r = fill_volume(l);
        break;
    case UNIT_IMAGE:
        fill_image(l);
        break;
    default:
        break;
    }
    fill_times(l);
    return r;
}

/* ---- dependencies ---- */

static int add_needed(struct unit *u, const char *name) {
    int r = add_dependency(u, DEP_REQUIRES, name);

    return r < 0 ? r : add_dependency(u, DEP_AFTER, name);
}

/* Volume=data.volume and Image=web.image need these units, and after they are done. */
static int add_named_units(struct unit *u) {
    const struct container_section *c = u->container;
    int r = c && c->image && endswith(c->image, ".image") ? add_needed(u, c->image) : 0;

    for (size_t i = 0; c && r == 0 && i < c->n_volumes; i++) {
        const char *source = c->volumes[i].source;
        if (c->volumes[i].kind != VOLUME_NAMED || !source || !endswith(source, ".volume"))
            continue;
        r = add_needed(u, source);
    }
    return r;
}

/* A target is reached when what it pulls in is started (systemd.target(5)). */
static int order_after_pulled_in(struct unit *u) {
    static const enum dependency_kind pulls[] = {
        DEP_WANTS, DEP_REQUIRES, DEP_BINDS_TO, DEP_REQUISITE, DEP_UPHOLDS};
    for (size_t i = 0; i < ARRAY_SIZE(pulls); i++)
        STRV_FOREACH (name, u->unit.dependencies[pulls[i]]) {
            if (strv_contains(u->unit.dependencies[DEP_BEFORE], *name))
                continue;
            int r = add_dependency(u, DEP_AFTER, *name);
            if (r < 0)
                return r;
        }
    return 0;
}

static int add_default_dependencies(struct unit *u) {
    if (!u->unit.default_dependencies)
        return 0;
    int r = u->type == UNIT_TARGET ? order_after_pulled_in(u) : add_dependency(u, DEP_AFTER, "basic.target");
    if (r == 0)
        r = add_dependency(u, DEP_CONFLICTS, "shutdown.target");
    if (r == 0)
        r = add_dependency(u, DEP_BEFORE, "shutdown.target");
    return r;
}

/* Quadlet makes an ExecReload= of ReloadCmd=, behind those that there are. */
static int add_reload_cmd(struct unit *u) {
    struct exec_list *reload = &u->service.reload;
    char **argv = u->container->reload_cmd;

    if (!argv)
        return 0;
    struct exec_command *c = ARRAY_APPEND(reload->commands, reload->count);
    if (!c)
        return -ENOMEM;
    c->flags = EXEC_IN_CONTAINER;
    c->path = strdup(argv[0]);
    c->argv = strv_copy(argv);
    return c->path && c->argv ? 0 : -ENOMEM;
}

/* ---- checks ---- */

static int check_container_root(struct load *l) {
    const struct container_section *c = l->u->container;
    if (c->image && c->rootfs)
        return REPORT(l, PROBLEM_ERROR, "Container", "Rootfs", "keep one of the two",
            "Image= and Rootfs= are both set");
    /* a value that was refused is a problem already */
    if (!c->image && !c->rootfs && !l->u->has_errors)
        return REPORT(l, PROBLEM_ERROR, "Container", "Image", "write Image= or Rootfs= in [Container]",
            "the container has no root file system");
    return 0;
}

static int compare_targets(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int check_mount_targets(struct load *l) {
    const struct container_section *c = l->u->container;
    if (c->n_volumes < 2)
        return 0;
    _cleanup_free_ const char **targets = reallocarray(NULL, c->n_volumes, sizeof(*targets));
    if (!targets)
        return -ENOMEM;
    for (size_t i = 0; i < c->n_volumes; i++)
        targets[i] = c->volumes[i].target;
    qsort(targets, c->n_volumes, sizeof(*targets), compare_targets);
    for (size_t i = 1; i < c->n_volumes; i++)
        if (streq(targets[i - 1], targets[i]))
            return REPORT(l, PROBLEM_ERROR, "Container", "Volume", "each place can have one mount",
                "two mounts have the target %s", targets[i]);
    return 0;
}

static int check_container(struct load *l) {
    struct unit *u = l->u;
    const struct container_section *c = u->container;

    int r = check_container_root(l);
    if (r == 0)
        r = check_mount_targets(l);
    if (r == 0 && c->group && !c->user)
        r = REPORT(l, PROBLEM_ERROR, "Container", "Group", "set User= as well", "Group= without User=");
    if (r == 0 && (u->service.kill_mode == KILL_PROCESS || u->service.kill_mode == KILL_NONE))
        r = REPORT(l, PROBLEM_ERROR, "Service", "KillMode", "mixed or control-group",
            "a container cannot leave processes behind");
    if (r == 0 && (u->service.user || u->service.group) && u->service.start_pre.count == 0)
        r = REPORT(l, PROBLEM_WARNING, "Service", u->service.user ? "User" : "Group",
            "User= in [Container] is the user inside",
            "only host commands such as ExecStartPre= run as this");
    if (r == 0 && u->service.watchdog > 0 && !c->notify)
        r = REPORT(l, PROBLEM_WARNING, "Service", "WatchdogSec", "set Notify=yes in [Container]",
            "the container has no notify socket to send WATCHDOG=1 to");
    if (r == 0 && c->reload_cmd && u->service.reload_signal != 0)
        r = REPORT(l, PROBLEM_ERROR, "Container", "ReloadSignal", "keep one of the two",
            "ReloadCmd= and ReloadSignal= are both set");
    STRV_FOREACH (setting, c->sysctl)
        if (r == 0 && c->network == NETWORK_HOST && startswith(*setting, "net."))
            r = REPORT(l, PROBLEM_ERROR, "Container", "Sysctl",
                "leave it out, or use a network of the container's own",
                "%s would change the host's network (Network=host)", *setting);
    return r;
}

static int check_service(struct load *l) {
    const struct service_section *s = &l->u->service;

    if (s->start.count > 1 && s->type != SERVICE_ONESHOT)
        return REPORT(l, PROBLEM_ERROR, "Service", "ExecStart",
            "an empty ExecStart= first takes back those of the original file; several need Type=oneshot",
            "more than one ExecStart=");
    if (s->start.count > 0 || l->u->has_errors)
        return 0;
    if (s->type != SERVICE_ONESHOT || !s->remain_after_exit)
        return REPORT(l, PROBLEM_ERROR, "Service", "ExecStart",
            "write the program's absolute path and its arguments", "the service has nothing to run");
    if (s->stop.count == 0)
        return REPORT(l, PROBLEM_ERROR, "Service", "ExecStart", NULL, "neither ExecStart= nor ExecStop=");
    return 0;
}

static int check_restart(struct load *l) {
    struct service_section *s = &l->u->service;
    int r = 0;

    if (s->type == SERVICE_ONESHOT && (s->restart == RESTART_ALWAYS || s->restart == RESTART_ON_SUCCESS))
        r = REPORT(l, PROBLEM_ERROR, "Service", "Restart",
            "on-failure, or another Type=", "a oneshot that succeeds would start for ever");
    if (r == 0 && s->restart_max_delay < s->restart_sec) {
        s->restart_sec = s->restart_max_delay;
        r = REPORT(l, PROBLEM_WARNING, "Service", "RestartMaxDelaySec", "make it the longer of the two",
            "RestartMaxDelaySec= is less than RestartSec=, which is lowered to it");
    }
    bool has_steps = s->restart_steps > 0, has_max = s->restart_max_delay != USEC_INFINITY;
    if (r == 0 && has_steps != has_max) {
        r = REPORT(l, PROBLEM_WARNING, "Service", has_steps ? "RestartSteps" : "RestartMaxDelaySec",
            "set RestartSteps= and RestartMaxDelaySec=", "without the other of the two it has no effect");
        s->restart_steps = 0;
        s->restart_max_delay = USEC_INFINITY;
    }
    return r;
}

static int check_volume(struct load *l) {
    const struct volume_section *v = l->u->volume;
    const char *key = v->type      ? "Type"
                      : v->options ? "Options"
                      : v->user    ? "User"
                      : v->group   ? "Group"
                                   : NULL;

    if (!key || v->device)
        return 0;
    return REPORT(l, PROBLEM_ERROR, "Volume", key,
        "set Device= as well; UID= and GID= set who owns a plain directory", "%s= without Device=", key);
}

static int check_image_section(struct load *l) {
    const struct image_section *i = l->u->image;

    if (!i->image && !l->u->has_errors)
        return REPORT(
            l, PROBLEM_ERROR, "Image", "Image", "write Image= in [Image]", "there is no image to fetch");
    return 0;
}

/* podman asks, waits StopTimeout=, kills; systemd's clock must not run out before that. */
static int check_stop_timeout(struct load *l) {
    struct service_section *s = &l->u->service;
    usec_t stop = l->u->container->stop_timeout;

    if (stop == USEC_INFINITY || s->timeout_stop > stop)
        return 0;
    if (load_has(l, "TimeoutStopSec") || load_has(l, "TimeoutSec"))
        return REPORT(l, PROBLEM_WARNING, "Container", "StopTimeout",
            "make TimeoutStopSec= in [Service] longer",
            "SIGKILL comes at TimeoutStopSec=, before StopTimeout= is over");
    s->timeout_stop = usec_add(stop, 10 * USEC_PER_SEC);
    return 0;
}

static int check_install(struct load *l) {
    STRV_FOREACH (alias, l->u->install.alias)
        if (unit_type_from_name(*alias) != l->u->type) {
            int r = REPORT(l, PROBLEM_ERROR, "Install", "Alias", "both names need the same type",
                "%s is not the name of a %s", *alias, unit_type_suffix(l->u->type));
            if (r < 0)
                return r;
        }
    return 0;
}

int defaults_fill(struct load *l) {
    struct unit *u = l->u;

    int r = fill_type_defaults(l);
    if (r == 0 && u->type == UNIT_CONTAINER)
        r = check_container(l);
    if (r == 0 && u->type == UNIT_CONTAINER)
        r = check_stop_timeout(l);
    if (r == 0 && u->type == UNIT_CONTAINER)
        r = add_reload_cmd(u);
    if (r == 0 && u->type == UNIT_SERVICE)
        r = check_service(l);
    if (r == 0 && u->type == UNIT_VOLUME)
        r = check_volume(l);
    if (r == 0 && u->type == UNIT_IMAGE)
        r = check_image_section(l);
    if (r == 0)
        r = check_restart(l);
    if (r == 0)
        r = check_install(l);
    if (r == 0)
        r = add_named_units(u);
    if (r == 0)
        r = add_default_dependencies(u);
    return r;
}
