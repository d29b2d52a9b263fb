/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A struct manager that has settings, paths and tables but no loop, with one unit in it and those that
 * it names: its volumes and its image. */
#include "manager/standalone.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>

#include "base/fs.h"
#include "manager/image_worker.h"
#include "manager/settings_keys.h"
#include "manager/spec_internal.h"

struct standalone {
    struct manager manager;
    struct managed_unit unit;
    struct managed_unit *named; /* .volume and .image units */
    size_t n_named;
    struct unit_stdio stdio;
    bool no_limits;
    void (*busy)(void *userdata, const char *what);
    void *userdata;
};

/* ---- loading ---- */

static bool unit_exists(const char *name, void *data) {
    struct unit *u = NULL;

    if (unit_load(data, name, &u, NULL) < 0)
        return false;
    unit_free(u);
    return true;
}

static int refuse_errors(const struct unit *u, struct error *e) {
    for (const struct problem *p = u->problems; p; p = p->next) {
        if (p->level != PROBLEM_ERROR)
            continue;
        _cleanup_free_ char *text = problem_format(p);
        return error_set(e, EINVAL, "%s", text ? text : u->name);
    }
    return u->has_errors ? error_set(e, EINVAL, "%s has errors", u->name) : 0;
}

static int load_config(
    const struct unit_environment *env, const char *written, struct unit **ret, struct error *e) {
    _cleanup_(unit_freep) struct unit *u = NULL;
    _cleanup_free_ char *name = NULL;

    int r = unit_name_resolve(written, unit_exists, (void *)env, &name);
    if (r < 0)
        return error_set(e, ENOENT, "there is no unit %s", written);
    r = unit_load(env, name, &u, e);
    if (r < 0)
        return r;
    r = refuse_errors(u, e);
    if (r < 0)
        return r;
    if (u->type != UNIT_CONTAINER || !u->container)
        return error_set(e, EINVAL, "%s is not a container: systemd can run it by itself", name);
    *ret = TAKE_PTR(u);
    return 0;
}

/* One that is missing is found missing where it is used. There is room for it in s->named. */
static int load_named(struct standalone *s, const struct unit_environment *env, const char *name,
    const char *suffix, struct error *e) {
    struct managed_unit *u = &s->named[s->n_named];

    if (!endswith(name, suffix) || manager_find(&s->manager, name))
        return 0;
    int r = unit_load(env, name, &u->config, e);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    s->n_named++;
    u->manager = &s->manager;
    u->name = u->config->name;
    r = hashmap_put(s->manager.units, u->name, u);
    return r < 0 ? error_set_errno(e, r, "%s", u->name) : 0;
}

static int load_all_named(struct standalone *s, const struct unit_environment *env, struct error *e) {
    const struct container_section *c = s->unit.config->container;

    s->named = calloc(c->n_volumes + 1, sizeof(*s->named));
    if (!s->named)
        return error_set(e, ENOMEM, "out of memory");
    int r = c->image ? load_named(s, env, c->image, ".image", e) : 0;
    for (size_t i = 0; i < c->n_volumes && r >= 0; i++)
        if (c->volumes[i].kind == VOLUME_NAMED)
            r = load_named(s, env, c->volumes[i].source, ".volume", e);
    return r;
}

static int load(struct standalone *s, const char *written, struct error *e) {
    _cleanup_strv_free_ char **path = strv_copy(s->manager.paths.unit_path);
    const struct settings *settings = &s->manager.settings;

    if (strv_extend(&path, settings->unit_path) < 0)
        return error_set(e, ENOMEM, "out of memory");
    const struct unit_environment env = {.unit_path = path, .strict = settings->strict};
    int r = load_config(&env, written, &s->unit.config, e);
    if (r < 0)
        return r;
    s->unit.name = s->unit.config->name;
    return load_all_named(s, &env, e);
}

/* ---- making and freeing ---- */

static int set_up(struct standalone *s, const struct paths *paths, struct error *e) {
    struct manager *m = &s->manager;

    /* Borrowed: the caller's live longer. */
    m->paths = *paths;
    int r = settings_read(paths->config, &m->settings, e);
    if (r < 0)
        return r;
    m->units = hashmap_new();
    r = m->units ? mkdir_parents(AT_FDCWD, paths->state, 0700) : -ENOMEM;
    if (r < 0)
        return error_set_errno(e, r, "making %s", paths->state);
    m->state_fd = open(paths->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return m->state_fd < 0 ? error_set_errno(e, errno, "opening %s", paths->state) : 0;
}

int standalone_open(const struct paths *paths, const char *unit, const struct standalone_options *options,
    struct standalone **ret, struct error *e) {
    _cleanup_(standalone_freep) struct standalone *s = calloc(1, sizeof(*s));

    if (!s)
        return error_set(e, ENOMEM, "out of memory");
    s->manager.state_fd = s->manager.runtime_fd = -1;
    s->manager.without_davitd = true;
    s->manager.notify_socket = options->notify_socket;
    s->no_limits = options->no_limits;
    s->busy = options->busy;
    s->userdata = options->userdata;
    s->stdio = (struct unit_stdio){-1, options->stdout_fd, options->stderr_fd, -1};
    s->unit.manager = &s->manager;
    s->unit.stdio = &s->stdio;
    s->unit.resources.notify_fd = s->unit.resources.log_fd = -1;
    (void)snprintf(s->unit.invocation, sizeof(s->unit.invocation), "%s", options->invocation);
    int r = set_up(s, paths, e);
    if (r >= 0)
        r = load(s, unit, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(s);
    return 0;
}

void standalone_free(struct standalone *s) {
    struct manager *m = &s->manager;

    for (size_t i = 0; i < s->n_named; i++)
        unit_free(s->named[i].config);
    free(s->named);
    unit_free(s->unit.config);
    free(s->unit.resources.upper_dir);
    free(s->unit.pulled_image);
    strv_free(s->unit.resources.anonymous_volumes);
    if (s->unit.resources.image)
        image_done(s->unit.resources.image);
    free(s->unit.resources.image);
    free(s->unit.cgroup_problems);
    idmaps_free(m);
    hashmap_free(m->units);
    cgroup_tree_free(m->cgroups);
    settings_done(&m->settings);
    closep(&m->state_fd);
    free(s);
}

const struct unit *standalone_config(const struct standalone *s) {
    return s->unit.config;
}

/* ---- davit-image ---- */

static void tell_busy(struct standalone *s, const char *what) {
    if (s->busy)
        s->busy(s->userdata, what);
}

static void on_event(void *userdata, const char *kind, json_t *event) {
    struct standalone *s = userdata;
    const char *text = json_string_value(json_object_get(event, streq(kind, "image") ? "name" : "what"));

    if (streq(kind, "image") && text)
        (void)free_and_strdup(&s->unit.pulled_image, text);
    else
        tell_busy(s, text);
}

static int run_worker(struct standalone *s, char *const *argv, char **environment, struct error *e) {
    static const struct image_worker_calls calls = {.event = on_event};

    tell_busy(s, NULL);
    int r = image_worker_wait(&s->manager, argv, environment, &calls, s, e);
    tell_busy(s, NULL);
    return r;
}

static int fetch_for(struct standalone *s, struct managed_unit *u, struct error *e) {
    _cleanup_strv_free_ char **argv = NULL, **environment = NULL;

    if (!pull_is_needed(u))
        return 0;
    int r = pull_arguments(u, &argv, &environment, e);
    return r < 0 ? r : run_worker(s, argv, environment, e);
}

/* An .image unit does its part first, as if it were started before the container: with its credentials and its
 * policy. What the container is made of is then what images_name() says. */
static int fetch_image(struct standalone *s, struct error *e) {
    const char *written = s->unit.config->container->image;
    struct managed_unit *from =
        written && endswith(written, ".image") ? manager_find(&s->manager, written) : NULL;
    int r = from ? refuse_errors(from->config, e) : 0;

    if (r >= 0 && from)
        r = fetch_for(s, from, e);
    if (r < 0)
        return error_prefix(e, r, "%s", written);
    free(TAKE_PTR(s->unit.pulled_image));
    return fetch_for(s, &s->unit, e);
}

static int make_tree(struct standalone *s, const struct image *image, struct error *e) {
    _cleanup_strv_free_ char **argv = NULL;

    int r = tree_arguments(&s->unit, image, &argv, e);
    return r < 0 || !argv ? r : run_worker(s, argv, NULL, e);
}

/* ---- starting ---- */

static int prepare_notify(struct standalone *s, struct error *e) {
    const char *socket = s->manager.notify_socket;

    if (s->unit.config->service.notify_access == NOTIFY_NONE)
        return 0;
    if (!socket || socket[0] != '/')
        return error_set(
            e, ENOENT, "Notify=yes: there is no NOTIFY_SOCKET with a path; Type=notify is missing");
    /* It says that there is one; its path is what goes into the spec. */
    s->unit.resources.notify_fd = s->manager.state_fd;
    return 0;
}

static int prepare_steps(struct standalone *s, struct error *e) {
    struct managed_unit *u = &s->unit;
    const struct image *image;

    error_set_step(e, PULL_STEP);
    int r = fetch_image(s, e);
    if (r < 0)
        return r;
    *e = (struct error){};
    error_set_step(e, "image");
    r = spec_image(u, &image, e);
    if (r < 0)
        return r;
    u->image_stop_signal = image->stop_signal;
    e->step[0] = '\0';
    error_set_step(e, "cgroup");
    r = cgroup_tree_open(s->manager.paths.cgroup, &s->manager.cgroups, e);
    if (r >= 0)
        r = limits_apply(u, !s->no_limits, e);
    if (r < 0)
        return r;
    e->step[0] = '\0';
    error_set_step(e, "notify");
    r = prepare_notify(s, e);
    if (r < 0)
        return r;
    e->step[0] = '\0';
    error_set_step(e, "user-namespace");
    r = idmaps_new(&s->manager, e);
    if (r >= 0)
        r = prepare_identity_and_root(u, image, e);
    return r < 0 ? r : make_tree(s, image, e);
}

int standalone_prepare(struct standalone *s, struct error *e) {
    int r = standalone_cleanup(&s->manager.paths, s->unit.name, e);
    return r < 0 ? r : prepare_steps(s, e);
}

int standalone_spec(struct standalone *s, struct container_spec *ret, int fds[static SPEC_MAX_FDS],
    size_t *ret_n_fds, struct error *e) {
    return prepare_main_spec(&s->unit, ret, fds, ret_n_fds, e);
}

bool standalone_fall_back(struct standalone *s, const struct error *e) {
    struct managed_unit *u = &s->unit;
    struct error ignored;

    if (!prepare_can_fall_back(u, e))
        return false;
    prepare_without_user_namespace(u, e->text);
    if (tree_is_made(u))
        return true;
    /* The first upper directory belongs to the id range. All by descriptor: the launcher is elsewhere by now.
     */
    _cleanup_close_ int fd =
        openat(s->manager.state_fd, UPPER_DIRECTORY_LAUNCHED, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && remove_tree(fd, u->name) >= 0 && prepare_upper(u, &ignored) >= 0;
}

char **standalone_remarks(const struct standalone *s) {
    char **remarks = NULL;

    for (size_t i = 0; i < s->unit.n_cgroup_problems; i++) {
        const struct cgroup_problem *p = &s->unit.cgroup_problems[i];
        (void)strv_consume(&remarks, strf("%s: %s", p->key, p->error.text));
    }
    return remarks;
}

/* ---- stopping ---- */

int standalone_stop_signal(struct standalone *s, usec_t *ret_timeout) {
    const struct unit *config = s->unit.config;
    const struct image *image;
    struct error ignored;

    *ret_timeout = config->container->stop_timeout != USEC_INFINITY ? config->container->stop_timeout
                                                                    : config->service.timeout_stop;
    if (config->container->stop_signal > 0)
        return config->container->stop_signal;
    if (spec_image(&s->unit, &image, &ignored) >= 0 && image->stop_signal > 0)
        return image->stop_signal;
    return SIGTERM;
}

/* ---- clean-up ---- */

/* One directory of volumes. The group is the service manager's to remove: it is below the service's own. */
static int remove_volumes(int volumes_fd, const char *unit, struct error *e) {
    int copy = fcntl(volumes_fd, F_DUPFD_CLOEXEC, 3), r = 0;
    DIR *d = copy < 0 ? NULL : fdopendir(copy);

    if (!d) {
        closep(&copy);
        return error_set(e, ENOMEM, "out of memory");
    }
    for (const struct dirent *entry = readdir(d); entry && r >= 0; entry = readdir(d)) {
        _cleanup_free_ char *mark = strf("%s/" VOLUME_MARK_LAUNCHED, entry->d_name), *owner = NULL;

        if (!mark || file_read_line(volumes_fd, mark, &owner) < 0 || !streq(owner, unit))
            continue;
        r = remove_tree(volumes_fd, entry->d_name);
        if (r < 0)
            (void)error_set_errno(e, r, "removing volume %s", entry->d_name);
    }
    (void)closedir(d);
    return r;
}

static int remove_upper(int uppers_fd, const char *unit, struct error *e) {
    int r = remove_tree(uppers_fd, unit);
    return r < 0 && r != -ENOENT ? error_set_errno(e, r, "removing the upper directory of %s", unit) : 0;
}

int standalone_cleanup(const struct paths *paths, const char *unit, struct error *e) {
    static const struct {
        const char *directory;
        int (*remove)(int fd, const char *unit, struct error *e);
    } table[] = {
        {UPPER_DIRECTORY_LAUNCHED, remove_upper},
        {"volumes", remove_volumes},
    };
    _cleanup_free_ char *name = endswith(unit, ".container") ? strdup(unit) : strf("%s.container", unit);

    if (!name || !unit_name_is_valid(name))
        return error_set(e, EINVAL, "\"%s\" is not the name of a container", unit);
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        _cleanup_free_ char *path = path_join(paths->state, table[i].directory);
        _cleanup_close_ int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (fd < 0 && path && errno == ENOENT)
            continue;
        if (fd < 0)
            return error_set_errno(e, errno, "opening %s/%s", paths->state, table[i].directory);
        int r = table[i].remove(fd, name, e);
        if (r < 0)
            return r;
    }
    return 0;
}
