/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Specs of host processes: the program of a .service, and the ExecStartPre= ... ExecStopPost= hooks of every
 * unit. */
#include "base/fs.h"
#include "manager/spec_internal.h"
#include "unit/expand.h"

static int command_of(
    const struct exec_command *c, char *const *env, struct container_spec *s, struct error *e) {
    int r = c->flags & EXEC_NO_ENV_EXPAND ? 0 : command_expand(c->argv, env, &s->argv);
    if (r >= 0 && !s->argv) {
        s->argv = strv_copy(c->argv);
        r = s->argv ? 0 : -ENOMEM;
    }
    /* With '@' argv[0] is only what the program sees. */
    if (r >= 0 && c->path && !streq_ptr(s->argv[0], c->path))
        r = free_and_strdup(c->flags & EXEC_ARGV0 ? &s->program : &s->argv[0], c->path);
    return r < 0 ? error_set_errno(e, r, "%s", c->path ? c->path : "command") : 0;
}

static int identity_of(
    const struct service_section *service, const struct exec_command *c, struct container_spec *s) {
    s->capabilities = spec_own_capabilities();
    s->ignore_sigpipe = true;
    int r = free_and_strdup(&s->working_dir, service->working_directory);
    if (r < 0 || (c->flags & EXEC_FULLY_PRIVILEGED))
        return r;
    r = free_and_strdup(&s->user, service->user);
    return r < 0 ? r : free_and_strdup(&s->group, service->group);
}

static int build(struct managed_unit *u, const struct exec_command *c, bool hook, struct container_spec *s,
    int *fds, size_t *n_fds, struct error *e) {
    s->kind = SPEC_PROCESS;
    int r = spec_common(u, s, fds, n_fds, e);
    if (r >= 0)
        r = environment_of_process(u, hook, &s->environment, e);
    if (r >= 0)
        r = command_of(c, s->environment, s, e);
    if (r < 0)
        return r;
    if (identity_of(&u->config->service, c, s) < 0 || spec_add_rlimits(s, NULL, 0) < 0)
        return error_set(e, ENOMEM, "out of memory");
    return 0;
}

int spec_of_service(
    struct managed_unit *u, struct container_spec *s, int *fds, size_t *n_fds, struct error *e) {
    const struct exec_list *list = &u->config->service.start;

    if (u->main_index >= list->count)
        return error_set(e, EINVAL, "%s has no ExecStart=", u->name);
    return build(u, &list->commands[u->main_index], false, s, fds, n_fds, e);
}

/* ReloadCmd=: what `davit exec` would run, with its output in the log. */
static int prepare_inside(struct managed_unit *u, const struct exec_command *c, struct container_spec *ret,
    int *fds, size_t *ret_n_fds, struct error *e) {
    _cleanup_strv_free_ char **env = NULL, **argv = NULL;

    int r = environment_for_expansion(u, &env, e);
    if (r < 0)
        return r;
    r = command_expand(c->argv, env, &argv);
    if (r < 0)
        return error_set_errno(e, r, "ReloadCmd=");
    const struct exec_request x = {
        .argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .terminal_fd = -1};
    return prepare_exec_spec(u, &x, ret, fds, ret_n_fds, e);
}

int prepare_control_spec(struct managed_unit *u, const struct exec_command *c, struct container_spec *ret,
    int fds[static SPEC_MAX_FDS], size_t *ret_n_fds, struct error *e) {
    struct container_spec s;
    size_t n_fds = 0;

    if (c->flags & EXEC_IN_CONTAINER)
        return prepare_inside(u, c, ret, fds, ret_n_fds, e);
    spec_init(&s);
    int r = build(u, c, true, &s, fds, &n_fds, e);
    return spec_hand_over(&s, r, ret, fds, n_fds, ret_n_fds, e);
}
