/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Environment blocks. A container's: what the image says, then what a container manager owes its payload
 * (https://systemd.io/CONTAINER_INTERFACE), then EnvironmentFile=, then Environment= ; the later wins. A host
 * process's: systemd's order, where EnvironmentFile= wins over Environment=, and that over PassEnvironment=.
 */
#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/parse.h"
#include "manager/spec_internal.h"
#include "unit/expand.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

extern char **environ;

/* "NAME=value" sets, "NAME" passes the host's value on if there is one. */
static int set_assignment(char ***env, const char *assignment) {
    const char *value = strchr(assignment, '=');

    if (!value) {
        const char *host = getenv(assignment);
        return host ? strv_env_set(env, assignment, host) : 0;
    }
    _cleanup_free_ char *name = strndup(assignment, (size_t)(value - assignment));
    return name ? strv_env_set(env, name, value + 1) : -ENOMEM;
}

static int set_assignments(char ***env, char *const *assignments) {
    int r = 0;

    STRV_FOREACH (a, assignments) {
        r = set_assignment(env, *a);
        if (r < 0)
            break;
    }
    return r;
}

/* An image must not learn the host's variables by naming them: there "NAME" alone is an empty one. */
static int set_image_assignments(char ***env, char *const *assignments) {
    int r = 0;

    STRV_FOREACH (a, assignments) {
        r = strchr(*a, '=') ? set_assignment(env, *a) : strv_env_set(env, *a, "");
        if (r < 0)
            break;
    }
    return r;
}

static int load_files(char ***env, char *const *paths, struct error *e) {
    STRV_FOREACH (p, paths) {
        int r = environment_file_load(*p, env, e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A UUID that is the same at every start: from the machine's id and the unit's name. */
static void container_uuid(const struct managed_unit *u, char ret[static 37]) {
    static char machine[ID128_TEXT];
    char seed[ID128_TEXT + UNIT_NAME_MAX + 2];

    if (machine[0] == '\0')
        (void)id128_machine(machine);
    int n = snprintf(seed, sizeof(seed), "%s/%s", machine, u->name);
    size_t length = MIN((size_t)MAX(n, 0), sizeof(seed) - 1);
    uint64_t a = siphash_stable(seed, length),
             b = siphash_stable(seed, length / 2 + 1) ^ a * 0x9e3779b97f4a7c15u;
    /* Version 4, variant 1. */
    (void)snprintf(ret, 37, "%08x-%04x-4%03x-%04x-%012" PRIx64, (unsigned)(a >> 32),
        (unsigned)(a >> 16) & 0xffff, (unsigned)a & 0xfff, 0x8000u | ((unsigned)(b >> 48) & 0x3fff),
        b & 0xffffffffffffu);
}

static bool has_notify(const struct managed_unit *u) {
    return u->resources.notify_fd >= 0;
}

static bool has_watchdog(const struct unit *config) {
    return config->service.watchdog > 0 && config->service.watchdog != USEC_INFINITY;
}

static int set_number(char ***env, const char *name, uint64_t value) {
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    return strv_env_set(env, name, text);
}

/* What is not written in any file. */
static int set_supervision(struct managed_unit *u, const char *notify_socket, char ***env) {
    int r = 0;

    if (u->invocation[0])
        r = strv_env_set(env, "INVOCATION_ID", u->invocation);
    if (r >= 0 && notify_socket)
        r = strv_env_set(env, "NOTIFY_SOCKET", notify_socket);
    if (r >= 0 && notify_socket && has_watchdog(u->config))
        r = set_number(env, "WATCHDOG_USEC", u->config->service.watchdog);
    return r;
}

static bool runs_as_root(const struct container_section *c, const struct image *image) {
    const char *user = c->user ? c->user : image ? image->user : NULL;
    return isempty(user) || streq(user, "root") || streq(user, "0") || startswith(user, "0:") ||
           startswith(user, "root:");
}

static int set_container_defaults(
    struct managed_unit *u, const struct image *image, const char *hostname, bool terminal, char ***env) {
    char uuid[37];

    container_uuid(u, uuid);
    const struct {
        const char *name, *value;
        bool always;
    } table[] = {
        {"container", "davit", true},
        {"container_uuid", uuid, true},
        {"HOSTNAME", hostname, true},
        {"PATH", DEFAULT_PATH, false},
        {"TERM", terminal ? "xterm" : NULL, false},
        /* Of other users the launcher finds it in the container's passwd file. */
        {"HOME", runs_as_root(u->config->container, image) ? "/root" : NULL, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        if (!table[i].value || (!table[i].always && strv_env_get(*env, table[i].name)))
            continue;
        int r = strv_env_set(env, table[i].name, table[i].value);
        if (r < 0)
            return r;
    }
    return set_supervision(u, has_notify(u) ? "/run/host/notify" : NULL, env);
}

int environment_of_container(struct managed_unit *u, const struct image *image, const char *hostname,
    bool terminal, char ***ret, struct error *e) {
    const struct container_section *c = u->config->container;
    _cleanup_strv_free_ char **env = NULL;

    int r = set_image_assignments(&env, image ? image->environment : NULL);
    if (r >= 0)
        r = set_container_defaults(u, image, hostname, terminal, &env);
    if (r < 0)
        return error_set_errno(e, r, "environment");
    r = load_files(&env, c->environment_files, e);
    if (r < 0)
        return r;
    r = set_assignments(&env, c->environment);
    if (r < 0)
        return error_set_errno(e, r, "environment");
    *ret = TAKE_PTR(env);
    return 0;
}

/* What [Service] says, the later wins. A name alone is davitd's variable. */
static int set_service_environment(char ***env, const struct service_section *s, struct error *e) {
    int r = set_assignments(env, s->pass_environment);
    if (r >= 0)
        r = set_assignments(env, s->environment);
    if (r < 0)
        return error_set_errno(e, r, "environment");
    return load_files(env, s->environment_files, e);
}

int environment_for_expansion(struct managed_unit *u, char ***ret, struct error *e) {
    _cleanup_strv_free_ char **env = NULL;

    int r = set_service_environment(&env, &u->config->service, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(env);
    return 0;
}

/* ---- host processes ---- */

/* systemd.exec(5): what ExecStop=, ExecStopPost= and ExecReload= are told about the main process. */
static int set_hook_variables(struct managed_unit *u, char ***env) {
    char buffer[16];
    int r = 0;

    if (u->main && u->main->pid > 0)
        r = set_number(env, "MAINPID", (uint64_t)u->main->pid);
    if (r >= 0 && u->state == STATE_STOPPING)
        r = strv_env_set(env, "SERVICE_RESULT", unit_result_name(u->pending_result));
    if (r < 0 || u->main_code == 0 || u->main_code == EXIT_UNKNOWN || u->state != STATE_STOPPING)
        return r;
    r = strv_env_set(env, "EXIT_CODE", exit_code_word(u->main_code));
    if (r < 0)
        return r;
    if (u->main_code == CLD_EXITED)
        return set_number(env, "EXIT_STATUS", (uint64_t)u->main_status);
    const char *name = signal_name(u->main_status, buffer);
    return strv_env_set(env, "EXIT_STATUS", startswith(name, "SIG") ? name + 3 : name);
}

int environment_of_process(struct managed_unit *u, bool hook, char ***ret, struct error *e) {
    const struct service_section *s = &u->config->service;
    _cleanup_strv_free_ char **env = NULL;
    _cleanup_free_ char *socket = NULL;

    int r = strv_env_set(&env, "PATH", DEFAULT_PATH);
    if (r >= 0 && getenv("LANG"))
        r = strv_env_set(&env, "LANG", getenv("LANG"));
    if (r >= 0 && !s->user)
        r = strv_env_set(&env, "HOME", "/root");
    if (r >= 0 && has_notify(u) && u->config->type == UNIT_SERVICE)
        r = notify_path(u, &socket);
    if (r >= 0)
        r = set_supervision(u, socket, &env);
    if (r >= 0 && hook)
        r = set_hook_variables(u, &env);
    if (r < 0)
        return error_set_errno(e, r, "environment");
    r = set_service_environment(&env, s, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(env);
    return 0;
}
