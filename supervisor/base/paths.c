/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/paths.h"

#include "base/fs.h"

/* The Makefile sets both, from SYSCONFDIR and LIBEXECDIR. */
#ifndef DAVIT_SYSCONF_DIR
#define DAVIT_SYSCONF_DIR "/etc"
#endif
#ifndef DAVIT_LIBEXEC_DIR
#define DAVIT_LIBEXEC_DIR "/usr/lib/davit"
#endif

/* A copy of an absolute path, simplified. */
static int copy_path(const char *path, char **ret) {
    if (!path_is_absolute(path))
        return -EINVAL;
    char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    *ret = path_simplify(copy);
    return 0;
}

/* Set but empty counts as unset, as in a shell's ${NAME:-default}. */
static const char *environment(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return isempty(value) ? otherwise : value;
}

static int load_directories(struct paths *p) {
    const struct {
        const char *variable, *otherwise;
        char **field;
    } table[] = {
        {"DAVIT_CONFIG", DAVIT_SYSCONF_DIR "/davit/davit.conf", &p->config},
        {"DAVIT_RUNTIME_DIR", "/run/davit", &p->runtime},
        {"DAVIT_STATE_DIR", "/var/lib/davit", &p->state},
        {"DAVIT_LOG_DIR", "/var/log/davit", &p->log},
        {"DAVIT_LIBEXEC_DIR", DAVIT_LIBEXEC_DIR, &p->libexec},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        int r = copy_path(environment(table[i].variable, table[i].otherwise), table[i].field);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_unit_directory(struct paths *p, const char *path) {
    char *copy;
    int r = copy_path(path, &copy);
    return r < 0 ? r : strv_consume(&p->unit_path, copy);
}

/* The order is Quadlet's: what was made at run time wins over the administrator's, that over the vendor's. */
static int load_default_unit_path(struct paths *p) {
    _cleanup_free_ char *runtime_units = path_join(p->runtime, "units");
    if (!runtime_units)
        return -ENOMEM;

    const char *directories[] = {runtime_units, DAVIT_SYSCONF_DIR "/davit/units", DAVIT_LIBEXEC_DIR "/units"};
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        int r = add_unit_directory(p, directories[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int load_unit_path(struct paths *p) {
    const char *list = environment("DAVIT_UNIT_PATH", NULL);
    if (!list)
        return load_default_unit_path(p);

    while (*list) {
        size_t n = strcspn(list, ":");
        _cleanup_free_ char *directory = strndup(list, n);
        if (!directory)
            return -ENOMEM;
        int r = n == 0 ? 0 : add_unit_directory(p, directory);
        if (r < 0)
            return r;
        list += n + (list[n] == ':');
    }
    return 0;
}

int paths_load(struct paths *ret) {
    _cleanup_(paths_done) struct paths p = {};

    int r = load_directories(&p);
    if (r < 0)
        return r;
    r = load_unit_path(&p);
    if (r < 0)
        return r;

    const char *cgroup = environment("DAVIT_CGROUP", NULL);
    if (cgroup) {
        p.cgroup = strdup(cgroup);
        if (!p.cgroup)
            return -ENOMEM;
    }

    *ret = p;
    p = (struct paths){};
    return 0;
}

void paths_done(struct paths *p) {
    free(p->config);
    free(p->runtime);
    free(p->state);
    free(p->log);
    free(p->libexec);
    strv_free(p->unit_path);
    free(p->cgroup);
    *p = (struct paths){};
}
